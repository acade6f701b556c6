# The form of a webhook

form-about-new = Geben Sie die URL ein, testen Sie sie, wählen Sie Format und Ereignisse aus und speichern Sie.
form-needs-scripts = Zum Testen und Speichern wird JavaScript benötigt. Ohne JavaScript können Sie hier die Einstellungen, die Liste und das Protokoll lesen.
form-name-and-url = Name und URL
form-name-for = für Sie und Ihr Team
form-name-example = CRM des Vertriebs
form-webhook-url = Webhook-URL
form-test = Testen
form-url-help = Jedes Ereignis wird als HTTP-POST dorthin gesendet. „Testen“ sendet sofort ein Beispiel, auch bevor Sie gespeichert haben.
url-use = Übernehmen
url-no-scheme = Meinen Sie { $url }?
url-not-encrypted = http:// ist unverschlüsselt. Die meisten Empfänger sind mit https:// erreichbar.
missing-url = Geben Sie die URL ein.
missing-events = Wählen Sie mindestens ein Ereignis aus.
missing-company = Geben Sie das Unternehmen ein.
form-signing-secret = Signaturgeheimnis
form-signing-secret-help = Jede Zustellung wird damit signiert, auch beim Testen: Tragen Sie es zuerst in Ihrer Anwendung ein, dann kann die Signatur von Anfang an geprüft werden. Es ist eine Stunde lang für Sie reserviert und gilt dauerhaft, sobald Sie speichern. Wenn Ihre Anwendung schon ein Geheimnis hat, geben Sie dieses hier ein.
form-format = Format
form-sources = Quellen
form-or-all = leer lassen für alle
form-or-all-sources = alle, wenn keine ausgewählt ist
form-company-unseen = Dieses Unternehmen hat noch kein Ereignis gesendet: Prüfen Sie die Schreibweise.
form-domain-unseen = Für diese Domain wurde noch kein Ereignis gesendet: Prüfen Sie die Schreibweise.
form-scope = Geltungsbereich
form-headers = Header und Anmeldung
form-headers-help = Werden mit jedem Ereignis gesendet, zum Beispiel der Schlüssel, den Ihre Anwendung verlangt. Werte werden nie wieder angezeigt.
form-header-name = Name von Header { $number }
form-header-value = Wert von Header { $number }
form-header-remove = Header { $number }
form-name = Name
form-value = Wert
form-kept = unverändert
form-add-header = Header hinzufügen
form-advanced = Erweiterte Einstellungen
form-timeout = Zeitlimit für die Antwort
form-timeout-help = 100 bis 60000
form-in-flight = Gleichzeitige Anfragen
form-in-flight-help = Wie viele höchstens gleichzeitig laufen dürfen
form-rate = Anfragen pro Sekunde
form-rate-help = Wie viele höchstens in einer Sekunde beginnen dürfen
form-no-limit = ohne Limit
form-order = Reihenfolge
form-order-call = Reihenfolge der Ereignisse eines Anrufs einhalten
form-order-none = So schnell wie möglich
form-expire = Verfall
form-expire-help = Für Ereignisse, die später nutzlos sind, zum Beispiel { $example1 } oder { $example2 }. Wenn leer, wird wie üblich weiter zugestellt.
form-notify = Benachrichtigen
form-notify-for = E-Mail-Adressen, eine pro Zeile, höchstens { $most }
form-notify-help = Sie erhalten eine E-Mail, wenn dieser Webhook fehlschlägt, sich erholt oder deaktiviert wird, höchstens einmal am Tag, solange sich nichts ändert.
form-save = Speichern
form-saving = Wird gespeichert …
form-saved = Gespeichert.
form-saved-next = Geheimnis und Code für den Empfänger
form-back = Zurück

# The body

body = Inhalt
body-own = Der Plattform: JSON oder Formular
body-services = Für einen Dienst
body-template = Eigene Vorlage
body-script = Skript
body-script-copy = Skript kopieren
body-sent-as = Format
body-form = Formular (URL-kodiert)
body-layout = Aufbau
body-envelope = Umschlag
body-envelope-help = ID, Typ und Zeit, die Daten darin
body-flat = Flach
body-flat-help = nur die Daten, davor { $member }
body-cloudevent = CloudEvent
body-cloudevent-help = Version 1.0, strukturiert; nur JSON
body-nested = Listen und Objekte in einem Formular
body-brackets = Klammern
body-brackets-help = ein Feld je Wert, { $example }
body-json = JSON
body-json-help = ein Feld mit JSON-Text
body-template-field = Vorlage
body-template-help = In der Syntax von Jinja. { $member } ist ein Feld des Ereignisses und wird passend maskiert; auch { $type }, { $timestamp }, { $company } und { $domain } stehen zur Verfügung. Filter: { $filters }. Die Vorschau zeigt das Ergebnis für jedes Ereignis.
body-content-type = Content-Type des Ergebnisses
preset-flat-strings = Flach, alle Werte als Zeichenketten
preset-paste-slack = Fügen Sie in Slack die App „Incoming WebHooks“ (oder eine eigene mit eingehenden Webhooks) zum Kanal hinzu und fügen Sie deren Webhook-URL hier ein.
preset-paste-teams = Öffnen Sie in Teams die Workflows des Kanals, wählen Sie „Webhookwarnungen an einen Kanal senden“ und fügen Sie die angezeigte URL hier ein.
preset-paste-google-chat = Öffnen Sie im Gruppenbereich „Apps und Integrationen“, fügen Sie einen Webhook hinzu und fügen Sie dessen URL mit key und token hier ein.
preset-paste-discord = Öffnen Sie in den Einstellungen des Kanals „Integrationen“, erstellen Sie einen Webhook, kopieren Sie dessen URL und fügen Sie sie hier ein.
preset-paste-ntfy = Wählen Sie ein Thema, das niemand erraten kann, abonnieren Sie es in der ntfy-App und fügen Sie dessen URL hier ein; ?title=…&priority=high kann folgen.
preset-paste-hubspot-form = Erstellen Sie in HubSpot ein Formular mit Telefonnummer, Vorname, E-Mail und Nachricht und fügen Sie dessen Übermittlungs-URL hier ein: erst die Portal-ID, dann die Formular-ID.
preset-paste-salesforce-web-to-lead = Aktivieren Sie Web-to-Lead im Salesforce-Setup, erstellen Sie ein Formular und fügen Sie die URL seiner action hier ein, gefolgt von &oid= und dem Wert des verborgenen Feldes oid.
preset-paste-google-sheets = Öffnen Sie in der Tabelle „Erweiterungen > Apps Script“, fügen Sie das Skript unten ein, stellen Sie es als Web-App mit Zugriff für alle bereit und fügen Sie dessen URL, die auf /exec endet, hier ein. Jedes Ereignis wird eine Zeile.
preset-paste-flat-strings = Fügen Sie die URL Ihrer Anwendung ein: Sie erhält ein Objekt mit event, created und den Feldern der Daten, alle als Zeichenketten.

# The events

events-which = Auswahl
events-all = Alle Ereignisse, auch später hinzukommende
events-some = Nur die ausgewählten
events-read-more = Mehr erfahren
events-about = über { $event }
events-sample = Beispieldaten
events-sample-of = Beispiel für { $event }

# The filter

filter = Filter
filter-failed = { $count }× fehlgeschlagen
filter-help = Ein Ereignis wird nur gesendet, wenn alle Bedingungen erfüllt sind. Eine Bedingung für ein Feld, das ein Ereignis nicht hat, ist nicht erfüllt.
filter-conditions = Bedingungen
filter-more = Dieser Ausdruck ist zu komplex, um in Zeilen gezeigt zu werden. Bearbeiten Sie ihn unten.
filter-add = Bedingung hinzufügen
filter-expression = Als Ausdruck
filter-failures =
    Er ist bei { $count ->
        [one] { $count } Ereignis
       *[other] { $count } Ereignissen
    } fehlgeschlagen, die trotzdem gesendet wurden. Zuletzt: { $last }.
filter-is = ist
filter-not = ist nicht
filter-more-than = ist größer als
filter-less-than = ist kleiner als
filter-holds = enthält
filter-there = ist vorhanden
filter-comparison-of = Vergleich von Bedingung { $number }
filter-member-of = Feld von Bedingung { $number }
filter-value-of = Wert von Bedingung { $number }
filter-condition = Bedingung { $number }

# Signing in at the receiver

auth = Anmeldung
auth-none = Keine
auth-basic = Benutzername und Passwort
auth-bearer = Token
auth-oauth = OAuth 2 Client Credentials
auth-user-name = Benutzername
auth-password = Passwort
auth-token-url = Token-URL
auth-client-id = Client-ID
auth-client-secret = Client-Geheimnis
auth-scope = Scope
auth-audience = Audience
auth-if-required = falls verlangt
auth-credentials-in = ID und Geheimnis werden gesendet
auth-in-header = im Header Authorization
auth-in-body = im Inhalt
auth-oauth-help = Ein Token wird bei Bedarf abgerufen und bis zum Ablauf aufbewahrt.

# What counts as delivered

success-status = Gilt als zugestellt
success-2xx = Status 200 bis 299
success-3xx = Status 200 bis 399
success-3xx-help = für Ziele, die mit einer Weiterleitung antworten, wenn sie fertig sind
success-contains = Und der Inhalt enthält
success-contains-help = für Ziele, die mit 200 antworten und einen Fehler im Inhalt melden
success-pointer = Oder sein JSON hat, bei
success-equals = den Wert
signature = Signatur
signature-v1 = Mit dem Geheimnis
signature-v1-help = v1, HMAC
signature-v1a = Mit einem Schlüsselpaar
signature-v1a-help = v1a, Ed25519: Ihre Anwendung benötigt nur den öffentlichen Schlüssel
signature-both = Beide
signature-key-later = Der öffentliche Schlüssel für v1a erscheint hier nach dem Speichern.
signature-key = Öffentlicher Schlüssel: { $key }
signature-key-before = Öffentlicher Schlüssel vor der Rotation: { $key }

# The client certificate

certificate = Client-Zertifikat
certificate-help = Nur für einen Empfänger, der eines verlangt (gegenseitiges TLS): Es wird bei jedem Ereignis vorgelegt. Der Schlüssel wird nie wieder angezeigt.
certificate-cert = Zertifikat
certificate-cert-form = PEM, mit Zwischenzertifikaten
certificate-key = Privater Schlüssel
certificate-key-form = PEM, ohne Passphrase
certificate-file = Aus einer Datei
certificate-cert-file = Zertifikat aus einer Datei
certificate-key-file = Privater Schlüssel aus einer Datei
certificate-remove = Client-Zertifikat entfernen
certificate-too-large = { $file } ist zu groß für ein Zertifikat oder einen Schlüssel.
certificate-removed = Es wird beim Speichern entfernt.

# Copies for other domains

copies = Weitere Domains
copies-help = Legt diesen Webhook auch für andere Domains an, mit den gespeicherten Einstellungen und demselben Geheimnis.
copies-domains = Domains, die Ereignisse senden
copies-another = Oder eine andere
copies-copy = Auf diese Domains kopieren
copies-none = Wählen Sie eine Domain aus oder geben Sie eine ein.
copies-done = Kopiert auf { $domains }.
copies-unseen = Für { $domains } wurde noch kein Ereignis gesendet: Prüfen Sie die Schreibweise.

# The state of a stored webhook

stored-disabled = Deaktiviert: { $reason }. Ausstehende Zustellungen bleiben erhalten; setzen Sie ihn fort, sobald der Empfänger wieder funktioniert.
stored-failing =
    Gestört seit { $time }: { $attempts ->
        [one] { $attempts } Versuch ist
       *[other] { $attempts } Versuche sind
    } in Folge fehlgeschlagen.
stored-next-try = Nächster Versuch
stored-pause = Anhalten
stored-resume = Fortsetzen
stored-discard = Wartende Zustellungen verwerfen
stored-delete = Löschen
stored-pause-title = Diesen Webhook anhalten?
stored-pause-text = Bis Sie ihn fortsetzen, wird nichts mehr an { $webhook } gesendet.
stored-pause-kept = Auch neue Ereignisse bleiben erhalten, und alles wird der Reihe nach gesendet, sobald Sie ihn fortsetzen.
stored-discard-title = Wartende Zustellungen verwerfen?
stored-discard-text = Sie werden abgebrochen und nicht gesendet. Das lässt sich nicht rückgängig machen; im Protokoll bleibt für jede eine Zeile. Der Webhook selbst bleibt bestehen.
stored-delete-title = Diesen Webhook löschen?
stored-delete-text = An { $webhook } wird nichts mehr gesendet.
stored-delete-waiting = Wartende Zustellungen werden mit abgebrochen. Das lässt sich nicht rückgängig machen; das Protokoll bleibt bestehen.
stored-nothing-waits = Im Moment wartet nichts.
stored-waits =
    { $count ->
        [one] { $count } Zustellung wartet
       *[other] { $count } Zustellungen warten
    }.

# The secret

secret-help = Jede Zustellung wird damit signiert, damit Ihre Anwendung prüfen kann, dass sie von hier kommt.
secret-hide = Verbergen
secret-rotate = Rotieren
secret-rotate-title = Geheimnis rotieren?
secret-rotate-text = Der Webhook erhält ein neues Geheimnis. Bis zum Ende der unten gewählten Zeit trägt jede Zustellung beide Signaturen, damit Sie Ihre Anwendung in Ruhe umstellen können.
secret-overlap = Das alte Geheimnis signiert noch
secret-overlap-24h = 24 Stunden
secret-overlap-1h = 1 Stunde
secret-overlap-7d = 7 Tage
secret-overlap-0s = gar nicht: das alte ist kompromittiert
secret-new = Das neue Geheimnis
secret-new-help = wird erzeugt, wenn leer
secret-rotated = Dies ist das neue Geheimnis. Tragen Sie es in Ihrer Anwendung ein.

# The test

test-running = Wird getestet …
test-response = Antwort { $status }
test-curl = Dasselbe als curl-Befehl
test-copy-curl = curl-Befehl kopieren
test-details = Details ({ $millis } ms)
test-connected = Verbunden mit { $address }
test-sent = Gesendet
test-what-was-sent = Was gesendet wurde
test-reply = Antwort
test-the-reply = Die Antwort
test-empty = (leer)
test-not-shown = (nicht angezeigt)

# The preview

preview = Vorschau
preview-event = Beispielereignis
preview-each = Jedes Ereignis
preview-form-note = Eine Zeile je Feld, wie Ihre Anwendung es liest; gesendet wird es URL-kodiert.
preview-headers = Header
preview-line = Zeile { $line }: { $fault }
preview-is-sent = wird gesendet
preview-is-not-sent = wird nicht gesendet
preview-filter-fails = wird gesendet, obwohl der Filter fehlschlägt: { $fault }

# Receivers

receivers = Beispielcode
receivers-help = Ein Empfänger als Ausgangspunkt, für das gewählte Format, den Aufbau und die Signatur. Er prüft die Signatur mit dem Geheimnis aus der Umgebungsvariable { $secret } oder, wenn ein Schlüsselpaar signiert, mit dem öffentlichen Schlüssel aus { $key }.
receivers-in = Empfänger in { $language }
receivers-copy = Empfänger in { $language } kopieren

# A stored webhook

webhook-tab-activity = Aktivität
webhook-tab-settings = Einstellungen
webhook-tab-code = Code
webhook-attempts = Letzte Versuche
webhook-in-log = Im Protokoll öffnen
stored-failing-advice = Prüfen Sie die URL und testen Sie sie.
code-saved = Gespeichert. Tragen Sie jetzt das Geheimnis in Ihrer Anwendung ein, damit sie die Signatur prüfen kann. Unten finden Sie Code als Ausgangspunkt.
code-public-key = Öffentlicher Schlüssel
code-service = Dieser Webhook sendet an einen Dienst, der keinen eigenen Code braucht.

# Sending again

replay-recover = Fehlgeschlagene nachholen…
replay-since = Erneut senden ab…
replay-title = Ereignisse erneut senden?
replay-text = Sie werden in ihrer Reihenfolge neben neuen Ereignissen gesendet, jedes mit derselben webhook-id wie zuvor.
replay-what = Welche
replay-failed = Nur fehlgeschlagene Zustellungen
replay-all = Alle Ereignisse
replay-counting = Wird gezählt…
replay-none = Es würde nichts gesendet.
replay-no-time = Geben Sie einen Zeitpunkt ein.
replay-count =
    { $count ->
        [one] { $count } Ereignis würde
       *[other] { $count } Ereignisse würden
    } gesendet.
replay-do = Erneut senden
replay-queued =
    { $count ->
        [one] { $count } Ereignis ist
       *[other] { $count } Ereignisse sind
    } wieder unterwegs. Die Ergebnisse erscheinen unten.
