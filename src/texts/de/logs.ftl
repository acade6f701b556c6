# The log

logs-about = Alle Zustellversuche, die neuesten zuerst.
logs-live = Live
logs-all = Alle Versuche
every-status = Alle Status
every-webhook = Alle Webhooks
logs-response-example = 404 oder none
logs-phone = Telefonnummer des Leads
logs-call-example = Anruf-ID
logs-tests = Tests
logs-with-tests = Mit Tests
logs-without-tests = Ohne Tests
logs-tests-only = Nur Tests
logs-one-delivery = Alle Versuche einer Zustellung: { $delivery }
logs-none-match = Keine passenden Einträge
logs-none-match-advice = Ändern Sie die Filter oder setzen Sie sie zurück.
logs-none = Noch nichts gesendet
logs-none-advice = Jeder Zustellversuch erscheint hier mit seiner Antwort, sobald er unternommen wurde.
logs-caption = Zustellversuche, die neuesten zuerst. Der Name des Ereignisses öffnet Anfrage und Antwort.
logs-newest = Zu den neuesten
logs-older = Ältere Einträge
logs-note = Hinweis
logs-test = Test
logs-replay = Wiederholung
logs-new-entries =
    { $count ->
        [one] { $count } neuer Eintrag
       *[other] { $count } neue Einträge
    }
logs-new = { $count } neu
logs-new-or-more = { $count } oder mehr neu
logs-loading = Wird geladen …
logs-not-loaded = Hookswitch antwortet nicht. Schließen Sie diese Zeile und öffnen Sie sie erneut.

# One entry

entry-no-body = Kein Inhalt.
entry-request-body = Inhalt der Anfrage
entry-request-raw = Inhalt der Anfrage, wie gesendet
entry-response-body = Inhalt der Antwort
entry-response-raw = Inhalt der Antwort, wie gesendet
entry-raw = Wie gesendet
entry-request-headers = Header der Anfrage
entry-response-headers = Header der Antwort
entry-hidden = nicht angezeigt
entry-next-attempt = Nächster Versuch
entry-address = Adresse
entry-title = { $event } an { $webhook }
entry-event = Ereignis-ID
entry-delivery = Zustellungs-ID
entry-id = ID des Eintrags
entry-all-attempts = Alle Versuche dieser Zustellung
entry-link = Link zu diesem Eintrag
entry-body-not-kept = Der Inhalt wird nicht aufbewahrt.
entry-nothing-sent = Es wurde nichts gesendet.
entry-no-response = Es gab keine Antwort.
entry-response-truncated = Die Antwort war länger; ihr Anfang wird aufbewahrt.
again-title = Erneut zustellen?
again-delivered = Das Ereignis ist bereits angekommen. Der Empfänger erhält es ein zweites Mal, mit derselben webhook-id.
again-queued = Es ist wieder unterwegs. Das Ergebnis erscheint oben im Protokoll.

# Dead letters

dead = Unzustellbar
dead-about = Zustellungen, die fehlgeschlagen sind und aufgegeben wurden. Sie bleiben erhalten und können erneut zugestellt werden.
dead-all-again = Alle erneut zustellen
dead-none = Nichts Unzustellbares
dead-none-match = Keine passenden unzustellbaren Ereignisse
dead-none-advice = Hier erscheinen Zustellungen, die nach ihrem letzten Versuch aufgegeben wurden.
dead-caption = Unzustellbare Ereignisse, die neuesten zuerst
dead-deleted = gelöscht
dead-of-call = { $event }, Anruf { $call }
dead-older = Ältere
dead-again-queued = Es ist wieder unterwegs. Das Ergebnis erscheint im Protokoll.
dead-discard-title = Dieses unzustellbare Ereignis verwerfen?
dead-discard-text = Es wird nicht zugestellt. Das lässt sich nicht rückgängig machen; im Protokoll bleibt eine Zeile davon.
dead-discarded = Es wurde verworfen.
dead-all-title =
    { $count ->
        [one] { $count } unzustellbares Ereignis
       *[other] { $count } unzustellbare Ereignisse
    } erneut zustellen?
dead-all-title-more = Mehr als { $count } unzustellbare Ereignisse erneut zustellen?
dead-all-text = Jedes wird in seiner Reihenfolge erneut gesendet, einige auf einmal, neben neuen Ereignissen. Ist ein Webhook angehalten, wird gesendet, sobald er fortgesetzt wird.
dead-count = { $webhook }: { $count }
dead-count-more = { $webhook }: { $count } oder mehr
dead-all-queued =
    { $count ->
        [one] { $count } Ereignis ist
       *[other] { $count } Ereignisse sind
    } wieder unterwegs. Die Ergebnisse erscheinen im Protokoll.

# One event

entry-show-event = Ereignis anzeigen
event-producer = ID des Absenders
event-accepted = Angenommen
event-again = Erneut senden
event-to-all = An alle erneut senden
event-to-all-title =
    Erneut an { $count ->
        [one] { $count } Webhook
       *[other] { $count } Webhooks
    } senden?
event-to-all-text = Empfänger, bei denen es angekommen ist, erhalten es ein zweites Mal, mit derselben webhook-id.
event-all-said =
    { $count ->
        [one] { $count } Zustellung ist
       *[other] { $count } Zustellungen sind
    } wieder unterwegs.
event-no-deliveries = Kein Webhook hat dieses Ereignis ausgewählt.
