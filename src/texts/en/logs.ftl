# The log

logs-about = Every delivery attempt, newest first.
logs-live = Live
logs-all = All attempts
every-status = All statuses
every-webhook = All webhooks
logs-response-example = 404, or none
logs-phone = Lead’s phone number
logs-call-example = Call ID
logs-tests = Tests
logs-with-tests = Include tests
logs-without-tests = Without tests
logs-tests-only = Tests only
logs-one-delivery = All attempts of one delivery: { $delivery }
logs-none-match = No log entries match
logs-none-match-advice = Change or clear the filters.
logs-none = Nothing sent yet
logs-none-advice = Each delivery attempt appears here with its response as soon as it is made.
logs-caption = Delivery attempts, newest first. Select the event’s name to see request and response.
logs-newest = Back to the newest
logs-older = Older entries
logs-note = Note
logs-test = Test
logs-replay = Replay
logs-new-entries =
    { $count ->
        [one] { $count } new entry
       *[other] { $count } new entries
    }
logs-new = { $count } new
logs-new-or-more = { $count } or more new
logs-loading = Loading…
logs-not-loaded = Hookswitch does not respond. Close this row and open it again.

# One entry

entry-no-body = No body.
entry-request-body = Body of the request
entry-request-raw = Body of the request, as sent
entry-response-body = Body of the response
entry-response-raw = Body of the response, as sent
entry-raw = As sent
entry-request-headers = Headers of the request
entry-response-headers = Headers of the response
entry-hidden = not shown
entry-next-attempt = Next attempt
entry-address = Address
entry-title = { $event } to { $webhook }
entry-event = Event ID
entry-delivery = Delivery ID
entry-id = Log entry ID
entry-all-attempts = All attempts of this delivery
entry-link = Link to this entry
entry-body-not-kept = The body is not kept.
entry-nothing-sent = Nothing was sent.
entry-no-response = There was no response.
entry-response-truncated = The response was longer; its beginning is kept.
again-title = Deliver again?
again-delivered = It has already arrived. The receiver gets it a second time, with the same webhook-id.
again-queued = It is on its way again. The result will appear at the top of the log.

# Dead letters

dead = Dead letters
dead-about = Deliveries that failed and were given up. They are kept, and you can deliver them again.
dead-all-again = Deliver all again
dead-none = No dead letters
dead-none-match = No dead letters match
dead-none-advice = A delivery that is given up after its last attempt appears here.
dead-caption = Dead letters, newest first
dead-deleted = deleted
dead-of-call = { $event } of call { $call }
dead-older = Older ones
dead-again-queued = It is on its way again. The result will appear in the log.
dead-discard-title = Discard this dead letter?
dead-discard-text = It will not be delivered. This cannot be undone; the log keeps a line of it.
dead-discarded = It was discarded.
dead-all-title =
    Deliver { $count ->
        [one] { $count } dead letter
       *[other] { $count } dead letters
    } again?
dead-all-title-more = Deliver more than { $count } dead letters again?
dead-all-text = Each is sent again in its order, a few at a time, alongside new events. Those of a paused webhook are sent when it is resumed.
dead-count = { $webhook }: { $count }
dead-count-more = { $webhook }: { $count } or more
dead-all-queued =
    { $count ->
        [one] { $count } dead letter is
       *[other] { $count } dead letters are
    } on the way again. The results will appear in the log.

# One event

entry-show-event = Show the event
event-producer = ID of the producer
event-accepted = Accepted
event-again = Send again
event-to-all = Send to all again
event-to-all-title =
    Send again to { $count ->
        [one] { $count } webhook
       *[other] { $count } webhooks
    }?
event-to-all-text = Receivers to which it has arrived get it a second time, with the same webhook-id.
event-all-said =
    { $count ->
        [one] { $count } delivery is
       *[other] { $count } deliveries are
    } on the way again.
event-no-deliveries = No webhook has selected this event.
