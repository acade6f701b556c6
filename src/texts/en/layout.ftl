# The frame of all views, and what several of them say.

skip = Skip to content
sections = Sections
section-webhooks = Webhooks
section-logs = Logs
section-calls = Calls
section-report = Report
section-activity = Activity
section-keys = Keys
section-status = Status
company = Company
all-companies = All companies
every-company = All companies
domain = Domain
every-domain = All domains
source = Source
source-widget = Widget
source-lead-connect = Lead Connect
source-api = API
signed-in-as = Signed in as
help = Help
handbook = Handbook
sign-out = Sign out
language = Language
show = Show
show-more = Show more
show-all = Show all
find = Search
filters = Filters
more-filters = More filters
clear-filters = Clear filters
export-csv = Export CSV
from = From
until = Until
actions = Actions
created = Created
last-used = Last used
never = Never
webhook = Webhook
event = Event
call = Call
agent = Agent
response = Response
request = Request
status = Status
state = State
attempt = Attempt
attempts = Attempts
duration = Duration
waiting = Waiting
secret = Secret
deliver-again = Deliver again
discard = Discard
remove = Remove
looked-back = Searched back to { $time }.
looked-back-in-vain = Nothing found so far, searched back to { $time }.
look-further = Search further back

# How a webhook is

webhook-active = Active
webhook-failing = Failing
webhook-paused = Paused
webhook-disabled = Disabled
webhook-slow = Slow

# What became of a delivery

status-pending = Pending
status-delivered = Delivered
status-retrying = Retrying
status-failed = Failed
status-expired = Expired
status-cancelled = Cancelled

# The last day of a webhook

none-yet = None yet
no-response = No response
nothing-sent = Nothing sent
nothing-sent-since = Nothing sent since { $time }
day-chart =
    { $attempts ->
        [one] { $attempts } attempt
       *[other] { $attempts } attempts
    }, { $failed } failed
day-attempts = of { $attempts }
day-attempts-since = of { $attempts } since { $time }

# Problems

problem-not-found = Not found
problem-not-allowed = Not allowed
problem-unreadable = This address is not valid
problem-other = Something went wrong
problem-back = Back to the webhooks
problem-nothing-here = There is nothing at this address.
problem-new-needs-admin = Creating webhooks requires a token with the role “admin”.

# Scripts

unreachable = Hookswitch does not respond. Check the connection and try again.
connection-lost = Connection lost, trying again
session-ended = Your session has ended. Sign in again.
answered = Hookswitch responded with { $status }.
copy = Copy
copied = Copied
copy-failed = Could not copy
copy-id = Copy { $id }
cancel = Cancel
not-saved = This could not be saved:
problem-about-403 = You do not have permission for this.
problem-about-404 = There is nothing at this address, or you do not have access to it.
problem-about-422 = Part of the address is not valid.
problem-about-429 = There are too many requests at once. Try again in a moment.
problem-about-500 = An internal error occurred.
problem-about-503 = Hookswitch is not ready at the moment. Try again in a moment.

# What is wrong at the moment

problems-failing =
    { $count ->
        [one] { $count } webhook is
       *[other] { $count } webhooks are
    } failing.
problems-disabled =
    { $count ->
        [one] { $count } webhook was
       *[other] { $count } webhooks were
    } disabled.
problems-waiting =
    { $count ->
        [one] { $count } delivery waits
       *[other] { $count } deliveries wait
    } for them.
problems-show = Show
sort = Sort by
page-before = Previous
page-after = Next
page-of = Page { $number } of { $pages }

# One search for everything

search = Search
search-hint = Search ( / )
search-help = A name, a phone number or its last digits, a call or the beginning of its ID, a webhook, or the ID of an event, a delivery or an attempt.
search-none = Nothing found for “{ $text }”
search-until = Names, beginnings and last digits were searched back to { $time }.

# Keyboard shortcuts

keys-title = Keyboard shortcuts
keys-search = Search
keys-sheet = This list
keys-on = Single keys work
close = Close
