# The list of webhooks

webhooks-about = Jeder Webhook ist eine Ihrer URLs, an die Ereignisse zu Anrufen und SMS gesendet werden, sobald sie eintreten.
webhooks-new = Neuer Webhook
webhooks-none = Noch keine Webhooks
webhooks-none-of = Noch keine Webhooks für { $company }
webhooks-start = Geben Sie die URL Ihrer Webanwendung ein, testen Sie sie, wählen Sie die Ereignisse aus und speichern Sie. Von da an trifft jedes Ereignis dort innerhalb weniger Augenblicke ein.
webhooks-add-first = Ersten Webhook anlegen
webhooks-read-only = Sie haben nur Lesezugriff: Bitten Sie Ihre Administration, einen anzulegen.
webhooks-caption = Webhooks
webhooks-find = Name, URL oder ID
webhooks-problems = Mit Problemen
webhooks-none-match = Kein Webhook passt
sort-problems = Probleme zuerst
sort-name = Name
sort-waiting = Wartende Zustellungen
sort-newest = Neueste zuerst
events = Ereignisse
last-response = Letzte Antwort
last-day = Letzte 24 Stunden
last-week = Letzte 7 Tage
format-form = Formular
format-json = JSON
webhooks-more-events = und { $count } weitere

# Why a webhook was disabled

disabled-disabled-by-hand = von Hand deaktiviert
disabled-the-receiver-answered-410-gone = der Empfänger hat mit 410 (nicht mehr vorhanden) geantwortet
disabled-every-attempt-failed-for-too-long = zu lange sind alle Versuche fehlgeschlagen
disabled-its-secrets-on-the-disk-cannot-be-opened = die gespeicherten Geheimnisse lassen sich nicht entschlüsseln
