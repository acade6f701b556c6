# Signing in with a token

sign-in = Anmelden
token = Token
sign-in-token-help = Sie erhalten es von Ihrer Administration. Das erste steht in der Datei { $file } des Datenverzeichnisses.
sign-in-no-token = Geben Sie ein Token ein.
sign-in-ingest = Dieses Token darf nur Ereignisse senden. Melden Sie sich mit einem Token der Rolle „read“ oder „admin“ an.
sign-in-unknown = Dieses Token ist nicht bekannt. Prüfen Sie, ob es vollständig ist.
sign-in-too-many =
    Dieses Token ist nicht bekannt, und es wurden zu viele ausprobiert. Versuchen Sie es in { $seconds ->
        [one] { $seconds } Sekunde
       *[other] { $seconds } Sekunden
    } erneut.

# Signing in by a portal link

portal-signing-in = Anmeldung
portal-moment = Einen Moment, bitte.
portal-needs-scripts = Hierfür wird JavaScript benötigt: Erlauben Sie es für diese Seite und öffnen Sie den Link noch einmal von dort, wo Sie ihn gefunden haben.
portal-nobody = Hier ist niemand mehr angemeldet. Gehen Sie zurück zu den Einstellungen Ihres Kontos und öffnen Sie die Webhooks von dort aus erneut.
portal-signed-out = Abgemeldet
portal-refused = Dieser Link kann nicht verwendet werden
portal-refused-now = Dieser Link kann im Moment nicht verwendet werden.
portal-unreachable = Der Server ist nicht erreichbar
portal-unreachable-advice = Prüfen Sie die Verbindung und öffnen Sie den Link dann erneut.
portal-used = Dieser Link wurde bereits verwendet: Jeder öffnet die Seite nur einmal. Gehen Sie dorthin zurück, wo Sie ihn gefunden haben, und öffnen Sie die Seite von dort aus erneut.
portal-expired = Dieser Link ist abgelaufen: Jeder gilt nur wenige Minuten. Gehen Sie dorthin zurück, wo Sie ihn gefunden haben, und öffnen Sie die Seite von dort aus erneut.
portal-unknown = Dieser Link ist ungültig: Er ist unvollständig, wurde unterwegs verändert oder widerrufen. Gehen Sie dorthin zurück, wo Sie ihn gefunden haben, und öffnen Sie die Seite von dort aus erneut.
portal-too-many =
    Es wurden zu viele ungültige Links ausprobiert. Versuchen Sie es in { $seconds ->
        [one] { $seconds } Sekunde
       *[other] { $seconds } Sekunden
    } erneut.

# Signing in at the provider of OpenID Connect

sign-in-with = Mit { $provider } anmelden
oidc-signed-in = Sie sind angemeldet
oidc-not-signed-in = Sie sind nicht angemeldet
oidc-continue = Weiter
oidc-again = Erneut mit { $provider } versuchen
oidc-by-token = Mit einem Token anmelden
oidc-elsewhere = Diese Anmeldung wurde nicht in diesem Browser unter dieser Adresse begonnen, oder darin wurde seitdem eine andere begonnen.
oidc-late = Sie waren mehr als zehn Minuten fort, daher ist diese Anmeldung abgelaufen.
oidc-used = Diese Anmeldung wurde bereits verwendet: Jede öffnet die Seite nur einmal.
oidc-declined = { $provider } hat Sie nicht angemeldet: Sie haben abgelehnt, oder Sie dürfen diese Seite dort nicht nutzen.
oidc-not-accepted = Die Antwort von { $provider } konnte nicht angenommen werden. Wenn das wieder geschieht, wenden Sie sich an Ihre Administration.
oidc-token-expired = Die Antwort von { $provider } war bei ihrer Ankunft abgelaufen. Wenn das wieder geschieht, wenden Sie sich an Ihre Administration: Die Uhren könnten abweichen.
oidc-group = { $provider } kennt Sie, aber keine Ihrer Gruppen darf diese Seite nutzen. Bitten Sie Ihre Administration, Sie einer hinzuzufügen.
oidc-away = { $provider } ist im Moment nicht erreichbar. Versuchen Sie es in Kürze erneut.
oidc-too-many =
    Zu viele Anmeldungen sind fehlgeschlagen. Versuchen Sie es in { $seconds ->
        [one] { $seconds } Sekunde
       *[other] { $seconds } Sekunden
    } erneut.
