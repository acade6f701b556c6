# The call report

report-about = How calls turned out, by the time they started.
report-range = Period
report-today = Today
report-days = { $days } days
report-range-and-filters = Period and filters
report-group-by = Group by
report-day = Day
report-hour = Hour
report-every-source = All sources
report-none = No calls in this period
report-none-advice = Choose a longer period. Calls are counted as soon as the phone platform posts their first event.
report-incomplete = Some recently accepted events are still being counted.
report-calls = Calls
report-connected = Connected
report-missed = Missed
report-other = Other
report-time-to-claim = Time to claim
report-time-to-connect = Time to connect
report-length = Call duration
report-sms-answered = SMS answered
report-p90 = 90 % within { $time }
report-p90-length = 90 % up to { $time }
report-sms-note = { $replied } of { $sent }, half within { $time }
report-calls-chart = Calls: connected, missed and other; the table below has the numbers
report-column =
    { $name }: { $calls ->
        [one] { $calls } call
       *[other] { $calls } calls
    }, { $connected } connected, { $missed } missed
report-connection-rate = Connection rate
report-rates-chart = Connection rate and missed rate; the table below has the numbers
report-median = Median
report-90 = 90 %
report-claim-chart = Time to claim, median and 90th percentile; the table below has the numbers
report-none-claimed = No call was claimed in this period.
report-outcomes = Outcomes
report-no-outcomes = No event of these calls names an outcome.
report-by-day = By day
report-by-hour = By hour
report-utc = UTC
report-utc-rounded = UTC; medians and percentiles are rounded
report-table = The report as a table
report-caption = The report as a table, times in UTC
report-began = Started
report-to-claim = To claim
report-to-connect = To connect
report-unknown = Unknown
report-total = Total
