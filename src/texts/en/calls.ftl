# The list of calls

calls-about = Each call with its events, deliveries and SMS.
calls-find = Phone number or call ID
calls-none-found = No call found
calls-none-found-advice = No call has this ID, and no event contains this phone number. Numbers are found in the form in which the platform posts them, such as { $example }.
calls-none-match = No call matches these filters.
calls-none = No calls yet
calls-none-advice = A call appears here as soon as the phone platform posts its first event.
calls-caption = Calls, the most recent first
calls-began = Started
calls-nobody = nobody
calls-older = Older calls
call-state-new = New
call-state-scheduled = Scheduled
call-state-missed = Missed
call-state-claimed = Claimed
call-state-connected = Connected
call-state-finished = Finished

# One call

call-title = Call { $call }
call-in-log = Show in the log
call-phone = Phone number
call-timeline = Timeline
call-truncated = This call has a long history; its oldest part is left out here.
call-no-events = No event of this call has been posted yet, or none is kept any more.
call-data = Data
call-data-of = Data of { $event }, { $time }
call-attempt = { $event } to { $webhook }
call-sms = SMS with { $name }
call-sms-lead = SMS with the lead
call-earlier-messages = Earlier messages
call-messages = Messages
call-message-erased = erased
call-message-file = file
call-message-inbound = Lead
call-message-outbound = To the lead
call-message-told = sent as SMS follow-up
call-message-count =
    { $count ->
        [one] { $count } message
       *[other] { $count } messages
    }, { $inbound } from the lead
call-deliveries = Deliveries
call-no-deliveries = No webhook has selected the events of this call.
call-webhook-deleted = a deleted webhook
