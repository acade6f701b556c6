# The call report

report-about = Wie Anrufe verliefen, nach ihrem Beginn.
report-range = Zeitraum
report-today = Heute
report-days = { $days } Tage
report-range-and-filters = Zeitraum und Filter
report-group-by = Gruppieren nach
report-day = Tag
report-hour = Stunde
report-every-source = Alle Quellen
report-none = Keine Anrufe in diesem Zeitraum
report-none-advice = Wählen Sie einen längeren Zeitraum. Anrufe werden gezählt, sobald die Telefonplattform ihr erstes Ereignis sendet.
report-incomplete = Einige kürzlich angenommene Ereignisse werden noch gezählt.
report-calls = Anrufe
report-connected = Verbunden
report-missed = Verpasst
report-other = Andere
report-time-to-claim = Zeit bis zur Übernahme
report-time-to-connect = Zeit bis zur Verbindung
report-length = Gesprächsdauer
report-sms-answered = SMS beantwortet
report-p90 = 90 % innerhalb von { $time }
report-p90-length = 90 % bis zu { $time }
report-sms-note = { $replied } von { $sent }, die Hälfte innerhalb von { $time }
report-calls-chart = Anrufe: verbunden, verpasst und andere; die Zahlen stehen in der Tabelle darunter
report-column =
    { $name }: { $calls ->
        [one] { $calls } Anruf
       *[other] { $calls } Anrufe
    }, { $connected } verbunden, { $missed } verpasst
report-connection-rate = Verbindungsquote
report-rates-chart = Verbindungsquote und Quote verpasster Anrufe; die Zahlen stehen in der Tabelle darunter
report-median = Median
report-90 = 90 %
report-claim-chart = Zeit bis zur Übernahme, Median und 90. Perzentil; die Zahlen stehen in der Tabelle darunter
report-none-claimed = In diesem Zeitraum wurde kein Anruf übernommen.
report-outcomes = Ergebnisse
report-no-outcomes = Kein Ereignis dieser Anrufe nennt ein Ergebnis.
report-by-day = Nach Tag
report-by-hour = Nach Stunde
report-utc = UTC
report-utc-rounded = UTC; Mediane und Perzentile sind gerundet
report-table = Der Bericht als Tabelle
report-caption = Der Bericht als Tabelle, Zeiten in UTC
report-began = Beginn
report-to-claim = Bis Übernahme
report-to-connect = Bis Verbindung
report-unknown = Unbekannt
report-total = Gesamt
