# The event types that are built in; those of the configuration have titles of their own.

event-title-call-new = Neuer Anruf
event-title-call-scheduled = Geplanter Anruf
event-title-call-missed = Verpasster Anruf
event-title-call-claimed = Übernommener Anruf
event-title-call-connected = Verbundener Anruf
event-title-call-finished = Beendeter Anruf
event-title-call-smsfollowup = SMS-Antwort
event-about-call-new = Ein Anruf wurde durch das Widget, Lead Connect oder die API erzeugt.
event-about-call-scheduled = Ein Kunde hat über das Widget um einen späteren Anruf gebeten.
event-about-call-missed = Es war kein Agent verfügbar, daher kam der Anruf nicht zustande.
event-about-call-claimed = Ein Agent hat den Anruf übernommen.
event-about-call-connected = Ein Agent hat den Anruf übernommen, und der Kunde ist in der Leitung.
event-about-call-finished = Agent und Kunde haben das Gespräch beendet.
event-about-call-smsfollowup = Ein Lead hat auf eine SMS geantwortet, die nach einem Anruf gesendet wurde. Enthält die Antwort, die vollständige Unterhaltung und die Kontaktdaten des Leads.
event-group-calls = Anrufereignisse
event-group-sms = SMS-Ereignisse
event-group-further = Weitere Ereignisse
every-event = Alle Ereignisse

# The list of event types

catalogue = Ereignistypen
catalogue-about = Wann jedes Ereignis eintritt, wie es gesendet wird, und das Schema seiner Daten.
catalogue-link = Alle Ereignistypen mit Beispielen und Schemas
catalogue-schema = JSON-Schema der Daten
sample-json-envelope = JSON, Umschlag
sample-json-flat = JSON, flach
sample-form-envelope = Formular, Umschlag
sample-form-flat = Formular, flach
sample-cloudevent = CloudEvent
