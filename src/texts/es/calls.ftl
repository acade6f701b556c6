# The list of calls

calls-about = Cada llamada con sus eventos, entregas y SMS.
calls-find = Teléfono o ID de la llamada
calls-none-found = No se encontró ninguna llamada
calls-none-found-advice = Ninguna llamada tiene este ID y ningún evento contiene este teléfono. Los números se buscan tal como los envía la plataforma, por ejemplo { $example }.
calls-none-match = Ninguna llamada coincide con estos filtros.
calls-none = Todavía no hay llamadas
calls-none-advice = Una llamada aparece aquí en cuanto la plataforma telefónica envía su primer evento.
calls-caption = Llamadas, las más recientes primero
calls-began = Inicio
calls-nobody = nadie
calls-older = Llamadas anteriores
call-state-new = Nueva
call-state-scheduled = Programada
call-state-missed = Perdida
call-state-claimed = Asignada
call-state-connected = Conectada
call-state-finished = Finalizada

# One call

call-title = Llamada { $call }
call-in-log = Ver en los registros
call-phone = Teléfono
call-timeline = Cronología
call-truncated = Esta llamada tiene un historial largo; aquí se omite la parte más antigua.
call-no-events = Todavía no se ha enviado ningún evento de esta llamada, o ya no se conserva ninguno.
call-data = Datos
call-data-of = Datos de { $event }, { $time }
call-attempt = { $event } a { $webhook }
call-sms = SMS con { $name }
call-sms-lead = SMS con el cliente
call-earlier-messages = Mensajes anteriores
call-messages = Mensajes
call-message-erased = borrado
call-message-file = archivo
call-message-inbound = Cliente
call-message-outbound = Al cliente
call-message-told = enviado como respuesta por SMS
call-message-count =
    { $count ->
        [one] { $count } mensaje
       *[other] { $count } mensajes
    }, { $inbound } del cliente
call-deliveries = Entregas
call-no-deliveries = Ningún webhook ha seleccionado los eventos de esta llamada.
call-webhook-deleted = un webhook eliminado
