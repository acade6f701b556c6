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
