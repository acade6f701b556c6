# The form of a webhook

form-about-new = Enter the URL, test it, select format and events, and save.
form-needs-scripts = Testing and saving require JavaScript. Without it you can read the settings here, the list and the logs.
form-name-and-url = Name and URL
form-name-for = for you and your colleagues
form-name-example = CRM of the sales team
form-webhook-url = Webhook URL
form-test = Test
form-url-help = Each event is sent there as an HTTP POST. Test sends a sample right away, even before you have saved.
url-use = Use it
url-no-scheme = Do you mean { $url }?
url-not-encrypted = http:// is not encrypted. Most receivers can be reached with https://.
missing-url = Enter the URL.
missing-events = Select at least one event.
missing-company = Enter the company.
form-signing-secret = Signing secret
form-signing-secret-help = Every delivery is signed with it, and so is Test: enter it in your application first, and the signature can be checked from the start. It is reserved for you for an hour, and permanent once you save. If your application already has a secret, enter that one here.
form-format = Format
form-sources = Sources
form-or-all = leave empty for all
form-or-all-sources = all, if none is selected
form-company-unseen = This company has not posted any event yet: check the spelling.
form-domain-unseen = No event of this domain has been posted yet: check the spelling.
form-scope = Scope
form-headers = Headers and authentication
form-headers-help = Sent with every event, for example the key that your application requires. Values are never shown again.
form-header-name = Name of header { $number }
form-header-value = Value of header { $number }
form-header-remove = header { $number }
form-name = Name
form-value = Value
form-kept = unchanged
form-add-header = Add a header
form-advanced = Advanced settings
form-timeout = Response timeout
form-timeout-help = 100 to 60000
form-in-flight = Concurrent requests
form-in-flight-help = The most that may be in progress at the same time
form-rate = Requests per second
form-rate-help = The most that may start in one second
form-no-limit = no limit
form-order = Order
form-order-call = Keep the order of each call’s events
form-order-none = As fast as possible
form-expire = Expiry
form-expire-help = For events that are of no use later, for example { $example1 } or { $example2 }. If empty, delivery is retried as usual.
form-notify = Notify
form-notify-for = e-mail addresses, one per line, at most { $most }
form-notify-help = They receive an e-mail when this webhook fails, recovers or is disabled, at most once a day while nothing changes.
form-save = Save
form-saving = Saving…
form-saved = Saved.
form-saved-next = Secret and code for the receiver
form-back = Back

# The body

body = Body
body-own = The platform’s own: JSON or form
body-services = For a service
body-template = Your own template
body-script = Script
body-script-copy = Copy the script
body-sent-as = Format
body-form = Form URL Encoded
body-layout = Layout
body-envelope = Envelope
body-envelope-help = ID, type and time, with the data inside
body-flat = Flat
body-flat-help = only the data, preceded by { $member }
body-cloudevent = CloudEvent
body-cloudevent-help = version 1.0, structured; JSON only
body-nested = Lists and objects in a form
body-brackets = Brackets
body-brackets-help = one field per value, { $example }
body-json = JSON
body-json-help = one field with JSON text
body-template-field = Template
body-template-help = In Jinja syntax. { $member } is a member of the event, escaped for you; { $type }, { $timestamp }, { $company } and { $domain } are available, too. Filters: { $filters }. The preview shows the result for each event.
body-content-type = Content type of the result
preset-flat-strings = Flat, every value a string
preset-paste-slack = In Slack, add the app “Incoming WebHooks” (or your own app with incoming webhooks) to the channel and paste its webhook URL here.
preset-paste-teams = In Teams, open the channel’s Workflows, choose “Send webhook alerts to a channel” and paste the URL that it shows here.
preset-paste-google-chat = In the space, open Apps & integrations, add a webhook and paste its URL, including key and token, here.
preset-paste-discord = In the channel’s settings, open Integrations, create a webhook, copy its URL and paste it here.
preset-paste-ntfy = Choose a topic that nobody can guess, subscribe to it in the ntfy app and paste its URL here; you may append ?title=…&priority=high.
preset-paste-hubspot-form = In HubSpot, create a form with phone number, first name, email and message, and paste its submission URL here: the portal ID, then the form ID.
preset-paste-salesforce-web-to-lead = Enable Web-to-Lead in Salesforce Setup, create a form and paste the URL of its action here, followed by &oid= and the value of its hidden field oid.
preset-paste-google-sheets = In the sheet, open Extensions > Apps Script, paste the script below, deploy it as a web app that anyone can access, and paste its URL, which ends in /exec, here. Each event becomes a row.
preset-paste-flat-strings = Paste the URL of your application: it receives one object with event, created and the members of the data, each as a string.

# The events

events-which = Selection
events-all = All events, including those added later
events-some = Only the selected ones
events-read-more = Read more
events-about = about { $event }
events-sample = Sample data
events-sample-of = Sample of { $event }

# The filter

filter = Filter
filter-failed = failed { $count }×
filter-help = An event is sent only if all conditions are met. A condition on a member that an event does not have is not met.
filter-conditions = Conditions
filter-more = This expression is too complex to be shown as rows. Edit it below.
filter-add = Add a condition
filter-expression = As an expression
filter-failures =
    It failed for { $count ->
        [one] { $count } event
       *[other] { $count } events
    }, which were sent anyway. The last time: { $last }.
filter-is = is
filter-not = is not
filter-more-than = is greater than
filter-less-than = is less than
filter-holds = contains
filter-there = exists
filter-comparison-of = Comparison of condition { $number }
filter-member-of = Member of condition { $number }
filter-value-of = Value of condition { $number }
filter-condition = condition { $number }

# Signing in at the receiver

auth = Authentication
auth-none = None
auth-basic = User name and password
auth-bearer = Token
auth-oauth = OAuth 2 client credentials
auth-user-name = User name
auth-password = Password
auth-token-url = Token URL
auth-client-id = Client ID
auth-client-secret = Client secret
auth-scope = Scope
auth-audience = Audience
auth-if-required = if required
auth-credentials-in = ID and secret are sent
auth-in-header = in the Authorization header
auth-in-body = in the body
auth-oauth-help = A token is fetched when needed and kept until it expires.

# What counts as delivered

success-status = Counts as delivered
success-2xx = Status 200 to 299
success-3xx = Status 200 to 399
success-3xx-help = for targets that respond with a redirect when they are done
success-contains = And the body contains
success-contains-help = for targets that respond with 200 and an error inside
success-pointer = Or its JSON has, at
success-equals = the value
signature = Signature
signature-v1 = With the secret
signature-v1-help = v1, HMAC
signature-v1a = With a key pair
signature-v1a-help = v1a, Ed25519: your application only needs the public key
signature-both = Both
signature-key-later = The public key of v1a appears here after saving.
signature-key = Public key: { $key }
signature-key-before = Public key before the rotation: { $key }

# The client certificate

certificate = Client certificate
certificate-help = Only for a receiver that requires one (mutual TLS): it is presented with every event. The key is never shown again.
certificate-cert = Certificate
certificate-cert-form = PEM, including intermediate certificates
certificate-key = Private key
certificate-key-form = PEM, without a passphrase
certificate-file = From a file
certificate-cert-file = Certificate from a file
certificate-key-file = Private key from a file
certificate-remove = Remove the client certificate
certificate-too-large = { $file } is too large to be a certificate or a key.
certificate-removed = It is removed once you save.

# Copies for other domains

copies = Other domains
copies-help = Creates this webhook for other domains too, with its saved settings and the same secret.
copies-domains = Domains that post events
copies-another = Or another one
copies-copy = Copy to these domains
copies-none = Select a domain or enter one.
copies-done = Copied to { $domains }.
copies-unseen = No event has been posted for { $domains } yet: check the spelling.

# The state of a stored webhook

stored-disabled = Disabled: { $reason }. Its pending deliveries are kept; resume it when the receiver works again.
stored-failing =
    Failing since { $time }: { $attempts ->
        [one] { $attempts } attempt has
       *[other] { $attempts } attempts have
    } failed in a row.
stored-next-try = Next attempt
stored-pause = Pause
stored-resume = Resume
stored-discard = Discard waiting deliveries
stored-delete = Delete
stored-pause-title = Pause this webhook?
stored-pause-text = Nothing more is sent to { $webhook } until you resume it.
stored-pause-kept = New events are kept as well, and everything is sent, in order, when you resume.
stored-discard-title = Discard waiting deliveries?
stored-discard-text = They are cancelled and will not be sent. This cannot be undone; the log keeps a line for each. The webhook itself stays.
stored-delete-title = Delete this webhook?
stored-delete-text = Nothing more is sent to { $webhook }.
stored-delete-waiting = Waiting deliveries are cancelled with it. This cannot be undone; the log stays.
stored-nothing-waits = Nothing is waiting at the moment.
stored-waits =
    { $count ->
        [one] { $count } delivery is
       *[other] { $count } deliveries are
    } waiting.

# The secret

secret-help = Every delivery is signed with it, so that your application can verify that it comes from here.
secret-hide = Hide
secret-rotate = Rotate
secret-rotate-title = Rotate the secret?
secret-rotate-text = The webhook gets a new secret. Until the time below has passed, every delivery carries both signatures, so you have time to change your application.
secret-overlap = The old secret also signs for
secret-overlap-24h = 24 hours
secret-overlap-1h = 1 hour
secret-overlap-7d = 7 days
secret-overlap-0s = not at all: the old one is compromised
secret-new = The new secret
secret-new-help = generated if empty
secret-rotated = This is the new secret. Enter it in your application.

# The test

test-running = Testing…
test-response = Response { $status }
test-curl = The same as a curl command
test-copy-curl = Copy the curl command
test-details = Details ({ $millis } ms)
test-connected = Connected to { $address }
test-sent = Sent
test-what-was-sent = What was sent
test-reply = Reply
test-the-reply = The reply
test-empty = (empty)
test-not-shown = (not shown)

# The preview

preview = Preview
preview-event = Sample event
preview-each = Each event
preview-form-note = One line per field, as your application reads it; it is sent URL encoded.
preview-headers = Headers
preview-line = Line { $line }: { $fault }
preview-is-sent = is sent
preview-is-not-sent = is not sent
preview-filter-fails = is sent, although the filter fails: { $fault }

# Receivers

receivers = Sample code
receivers-help = A receiver to start from, for the chosen format, layout and signature. It checks the signature with the secret from the environment variable { $secret }, or, where a key pair signs, with the public key from { $key }.
receivers-in = Receiver in { $language }
receivers-copy = Copy the receiver in { $language }

# A stored webhook

webhook-tab-activity = Activity
webhook-tab-settings = Settings
webhook-tab-code = Code
webhook-attempts = Recent attempts
webhook-in-log = Open in the log
stored-failing-advice = Check the URL and test it.
code-saved = Saved. Now enter the secret in your application, so that it can check the signature. Below is code to start from.
code-public-key = Public key
code-service = This webhook posts to a service, which needs no code of yours.

# Sending again

replay-recover = Recover failed…
replay-since = Replay since…
replay-title = Send events again?
replay-text = They are sent in their order, alongside new events, each with the same webhook-id as before.
replay-what = Which
replay-failed = Failed deliveries only
replay-all = All events
replay-counting = Counting…
replay-none = Nothing would be sent.
replay-no-time = Enter a time.
replay-count =
    { $count ->
        [one] { $count } event
       *[other] { $count } events
    } would be sent.
replay-do = Send again
replay-queued =
    { $count ->
        [one] { $count } event is
       *[other] { $count } events are
    } on the way again. The results appear below.
