# The list of webhooks

webhooks-about = Each webhook is one of your URLs that receives events about calls and SMS as they happen.
webhooks-new = New webhook
webhooks-none = No webhooks yet
webhooks-none-of = No webhooks for { $company } yet
webhooks-start = Enter the URL of your web application, test it, select the events, and save. From then on, each event arrives there within moments.
webhooks-add-first = Add the first webhook
webhooks-read-only = Your access is read-only: ask an administrator to add one.
webhooks-caption = Webhooks
webhooks-find = Name, URL or ID
webhooks-problems = With problems
webhooks-none-match = No webhook matches
sort-problems = Problems first
sort-name = Name
sort-waiting = Waiting deliveries
sort-newest = Newest first
events = Events
last-response = Last response
last-day = Last 24 hours
last-week = Last 7 days
format-form = Form
format-json = JSON
webhooks-more-events = and { $count } more

# Why a webhook was disabled

disabled-disabled-by-hand = disabled by hand
disabled-the-receiver-answered-410-gone = the receiver responded with 410 Gone
disabled-every-attempt-failed-for-too-long = every attempt failed for too long
disabled-its-secrets-on-the-disk-cannot-be-opened = its secrets on the disk cannot be decrypted
