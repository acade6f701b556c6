# Who changed what

activity-about = Wer was geändert hat und wer welches Geheimnis angesehen hat.
activity-who = Wer
activity-who-example = Name oder ID
activity-what = Was
activity-everything = Alles
activity-none-found = Keine passenden Einträge
activity-none = Noch nichts
activity-none-advice = Hier erscheint jede Änderung und jedes Ansehen eines Geheimnisses.
activity-caption = Änderungen, die neuesten zuerst
activity-when = Wann
activity-before-and-after = Vorher und nachher
activity-older = Ältere Einträge

# What was done

action-subscription-create = Webhook angelegt
action-subscription-change = Webhook geändert
action-subscription-delete = Webhook gelöscht
action-subscription-disable = Webhook deaktiviert
action-subscription-rotate-secret = Geheimnis rotiert
action-subscription-show-secret = Geheimnis angesehen
action-subscription-test = Webhook getestet
action-subscription-handshake = Um Zustellerlaubnis gebeten
action-subscription-replay = Ereignisse erneut gesendet
action-subscription-discard = Wartende Zustellungen verworfen
action-subscription-notify = Verantwortliche benachrichtigt
action-url-test = URL getestet
action-delivery-retry = Erneut zugestellt
action-delivery-cancel = Zustellung verworfen
action-token-create = Token erstellt
action-token-revoke = Token widerrufen
action-portal-link-create = Portal-Link erstellt
action-portal-link-revoke = Portal-Link widerrufen
action-session-begin = Angemeldet
action-session-end = Sitzung beendet
action-erasure-begin = Löschung begonnen
action-erasure-done = Löschung abgeschlossen
action-backup-take = Sicherung erstellt
action-configuration-reload = Konfiguration neu geladen
actor-token = Token
actor-session = Sitzung
actor-portal = Portal
actor-sighup = Signal
actor-daemon = Daemon
via-api = API
via-cli = Kommandozeile
via-page = Seite
action-session-refuse = Anmeldung abgewiesen
