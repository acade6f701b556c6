# The call report

report-about = El resultado de las llamadas, según su inicio.
report-range = Periodo
report-today = Hoy
report-days = { $days } días
report-range-and-filters = Periodo y filtros
report-group-by = Agrupar por
report-day = Día
report-hour = Hora
report-every-source = Todos los orígenes
report-none = No hay llamadas en este periodo
report-none-advice = Elija un periodo más largo. Las llamadas se cuentan en cuanto la plataforma telefónica envía su primer evento.
report-incomplete = Algunos eventos aceptados recientemente aún se están contando.
report-calls = Llamadas
report-connected = Conectadas
report-missed = Perdidas
report-other = Otras
report-time-to-claim = Tiempo hasta la asignación
report-time-to-connect = Tiempo hasta la conexión
report-length = Duración de la llamada
report-sms-answered = SMS respondidos
report-p90 = 90 % en { $time }
report-p90-length = 90 % hasta { $time }
report-sms-note = { $replied } de { $sent }, la mitad en { $time }
report-calls-chart = Llamadas: conectadas, perdidas y otras; la tabla de abajo contiene las cifras
report-column =
    { $name }: { $calls ->
        [one] { $calls } llamada
       *[other] { $calls } llamadas
    }, { $connected } conectadas, { $missed } perdidas
report-connection-rate = Tasa de conexión
report-rates-chart = Tasa de conexión y de llamadas perdidas; la tabla de abajo contiene las cifras
report-median = Mediana
report-90 = 90 %
report-claim-chart = Tiempo hasta la asignación, mediana y percentil 90; la tabla de abajo contiene las cifras
report-none-claimed = En este periodo no se asignó ninguna llamada.
report-outcomes = Resultados
report-no-outcomes = Ningún evento de estas llamadas indica un resultado.
report-by-day = Por día
report-by-hour = Por hora
report-utc = UTC
report-utc-rounded = UTC; medianas y percentiles redondeados
report-table = El informe como tabla
report-caption = El informe como tabla, horas en UTC
report-began = Inicio
report-to-claim = Hasta asignación
report-to-connect = Hasta conexión
report-unknown = Desconocido
report-total = Total
