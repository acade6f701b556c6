# Who changed what

activity-about = Who changed what, and who viewed which secret.
activity-who = Who
activity-who-example = name or ID
activity-what = What
activity-everything = Everything
activity-none-found = No entries match
activity-none = Nothing yet
activity-none-advice = Every change and every view of a secret appears here.
activity-caption = Changes, newest first
activity-when = When
activity-before-and-after = Before and after
activity-older = Older entries

# What was done

action-subscription-create = Webhook created
action-subscription-change = Webhook changed
action-subscription-delete = Webhook deleted
action-subscription-disable = Webhook disabled
action-subscription-rotate-secret = Secret rotated
action-subscription-show-secret = Secret viewed
action-subscription-test = Webhook tested
action-subscription-handshake = Permission to deliver requested
action-subscription-replay = Events replayed
action-subscription-discard = Waiting deliveries discarded
action-subscription-notify = Owners notified
action-url-test = URL tested
action-delivery-retry = Delivered again
action-delivery-cancel = Delivery discarded
action-token-create = Token created
action-token-revoke = Token revoked
action-portal-link-create = Portal link created
action-portal-link-revoke = Portal link revoked
action-session-begin = Signed in
action-session-end = Session ended
action-erasure-begin = Erasure started
action-erasure-done = Erasure finished
action-backup-take = Backup taken
action-configuration-reload = Configuration reloaded
actor-token = Token
actor-session = Session
actor-portal = Portal
actor-sighup = Signal
actor-daemon = Daemon
via-api = API
via-cli = command line
via-page = page
action-session-refuse = Sign-in refused
