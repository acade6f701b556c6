# The frame of all views, and what several of them say.

skip = Zum Inhalt springen
sections = Bereiche
section-webhooks = Webhooks
section-logs = Protokoll
section-calls = Anrufe
section-report = Bericht
section-activity = Aktivität
section-keys = Schlüssel
section-status = Status
company = Unternehmen
all-companies = Alle Unternehmen
every-company = Alle Unternehmen
domain = Domain
every-domain = Alle Domains
source = Quelle
source-widget = Widget
source-lead-connect = Lead Connect
source-api = API
signed-in-as = Angemeldet als
help = Hilfe
handbook = Handbuch
sign-out = Abmelden
language = Sprache
show = Anzeigen
show-more = Mehr anzeigen
show-all = Alle anzeigen
find = Suchen
filters = Filter
more-filters = Weitere Filter
clear-filters = Filter zurücksetzen
export-csv = Als CSV exportieren
from = Von
until = Bis
actions = Aktionen
created = Erstellt
last-used = Zuletzt verwendet
never = Nie
webhook = Webhook
event = Ereignis
call = Anruf
agent = Agent
response = Antwort
request = Anfrage
status = Status
state = Zustand
attempt = Versuch
attempts = Versuche
duration = Dauer
waiting = Wartend
secret = Geheimnis
deliver-again = Erneut zustellen
discard = Verwerfen
remove = Entfernen
looked-back = Durchsucht bis zurück zum { $time }.
looked-back-in-vain = Bisher nichts gefunden, durchsucht bis zurück zum { $time }.
look-further = Weiter zurück suchen

# How a webhook is

webhook-active = Aktiv
webhook-failing = Gestört
webhook-paused = Angehalten
webhook-disabled = Deaktiviert
webhook-slow = Langsam

# What became of a delivery

status-pending = Ausstehend
status-delivered = Zugestellt
status-retrying = Wird wiederholt
status-failed = Fehlgeschlagen
status-expired = Verfallen
status-cancelled = Abgebrochen

# The last day of a webhook

none-yet = Noch keine
no-response = Keine Antwort
nothing-sent = Nichts gesendet
nothing-sent-since = Nichts gesendet seit { $time }
day-chart =
    { $attempts ->
        [one] { $attempts } Versuch
       *[other] { $attempts } Versuche
    }, davon { $failed } fehlgeschlagen
day-attempts = von { $attempts }
day-attempts-since = von { $attempts } seit { $time }

# Problems

problem-not-found = Nicht gefunden
problem-not-allowed = Nicht erlaubt
problem-unreadable = Diese Adresse ist ungültig
problem-other = Da ist etwas schiefgegangen
problem-back = Zurück zu den Webhooks
problem-nothing-here = Unter dieser Adresse gibt es nichts.
problem-new-needs-admin = Um Webhooks anzulegen, benötigen Sie ein Token mit der Rolle „admin“.

# Scripts

unreachable = Hookswitch antwortet nicht. Prüfen Sie die Verbindung und versuchen Sie es erneut.
connection-lost = Verbindung unterbrochen, neuer Versuch läuft
session-ended = Ihre Sitzung ist beendet. Melden Sie sich erneut an.
answered = Hookswitch hat mit { $status } geantwortet.
copy = Kopieren
copied = Kopiert
copy-failed = Kopieren nicht möglich
copy-id = { $id } kopieren
cancel = Abbrechen
not-saved = Das konnte nicht gespeichert werden:
problem-about-403 = Dazu fehlt Ihnen die Berechtigung.
problem-about-404 = Unter dieser Adresse gibt es nichts, oder Sie haben keinen Zugriff darauf.
problem-about-422 = Ein Teil der Adresse ist ungültig.
problem-about-429 = Es sind zu viele Anfragen auf einmal. Versuchen Sie es gleich noch einmal.
problem-about-500 = Es ist ein interner Fehler aufgetreten.
problem-about-503 = Hookswitch ist im Moment nicht bereit. Versuchen Sie es gleich noch einmal.

# What is wrong at the moment

problems-failing =
    { $count ->
        [one] { $count } Webhook ist
       *[other] { $count } Webhooks sind
    } gestört.
problems-disabled =
    { $count ->
        [one] { $count } Webhook wurde
       *[other] { $count } Webhooks wurden
    } deaktiviert.
problems-waiting =
    { $count ->
        [one] { $count } Zustellung wartet
       *[other] { $count } Zustellungen warten
    } auf sie.
problems-show = Anzeigen
sort = Sortieren nach
page-before = Zurück
page-after = Weiter
page-of = Seite { $number } von { $pages }

# One search for everything

search = Suche
search-hint = Suchen ( / )
search-help = Ein Name, eine Telefonnummer oder ihre letzten Ziffern, ein Anruf oder der Anfang seiner ID, ein Webhook oder die ID eines Ereignisses, einer Zustellung oder eines Versuchs.
search-none = Nichts gefunden zu „{ $text }“
search-until = Namen, Anfänge und letzte Ziffern wurden bis { $time } zurück durchsucht.

# Keyboard shortcuts

keys-title = Tastenkürzel
keys-search = Suchen
keys-sheet = Diese Liste
keys-on = Einzelne Tasten wirken
close = Schließen
