# The list of calls

calls-about = Jeder Anruf mit seinen Ereignissen, Zustellungen und SMS.
calls-find = Telefonnummer oder Anruf-ID
calls-none-found = Kein Anruf gefunden
calls-none-found-advice = Kein Anruf hat diese ID, und kein Ereignis enthält diese Telefonnummer. Nummern werden in der Form gefunden, in der die Plattform sie sendet, zum Beispiel { $example }.
calls-none-match = Kein Anruf passt zu diesen Filtern.
calls-none = Noch keine Anrufe
calls-none-advice = Ein Anruf erscheint hier, sobald die Telefonplattform sein erstes Ereignis sendet.
calls-caption = Anrufe, die neuesten zuerst
calls-began = Begonnen
calls-nobody = niemand
calls-older = Ältere Anrufe
call-state-new = Neu
call-state-scheduled = Geplant
call-state-missed = Verpasst
call-state-claimed = Übernommen
call-state-connected = Verbunden
call-state-finished = Beendet

# One call

call-title = Anruf { $call }
call-in-log = Im Protokoll anzeigen
call-phone = Telefonnummer
call-timeline = Verlauf
call-truncated = Dieser Anruf hat eine lange Vorgeschichte; der älteste Teil wird hier nicht gezeigt.
call-no-events = Zu diesem Anruf wurde noch kein Ereignis gesendet, oder es wird keines mehr aufbewahrt.
call-data = Daten
call-data-of = Daten von { $event }, { $time }
call-attempt = { $event } an { $webhook }
call-sms = SMS mit { $name }
call-sms-lead = SMS mit dem Lead
call-earlier-messages = Frühere Nachrichten
call-messages = Nachrichten
call-message-erased = gelöscht
call-message-file = Datei
call-message-inbound = Lead
call-message-outbound = An den Lead
call-message-told = als SMS-Antwort gesendet
call-message-count =
    { $count ->
        [one] { $count } Nachricht
       *[other] { $count } Nachrichten
    }, { $inbound } vom Lead
call-deliveries = Zustellungen
call-no-deliveries = Kein Webhook hat die Ereignisse dieses Anrufs ausgewählt.
call-webhook-deleted = ein gelöschter Webhook
