# The log

logs-about = Todos los intentos de entrega, los más recientes primero.
logs-live = En directo
logs-all = Todos los intentos
every-status = Todos los estados
every-webhook = Todos los webhooks
logs-response-example = 404 o none
logs-phone = Teléfono del cliente
logs-call-example = ID de la llamada
logs-tests = Pruebas
logs-with-tests = Con pruebas
logs-without-tests = Sin pruebas
logs-tests-only = Solo pruebas
logs-one-delivery = Todos los intentos de una entrega: { $delivery }
logs-none-match = Ningún registro coincide
logs-none-match-advice = Cambie o quite los filtros.
logs-none = Todavía no se ha enviado nada
logs-none-advice = Cada intento de entrega aparece aquí con su respuesta en cuanto se realiza.
logs-caption = Intentos de entrega, los más recientes primero. El nombre del evento abre la solicitud y la respuesta.
logs-newest = A los más recientes
logs-older = Registros anteriores
logs-note = Nota
logs-test = Prueba
logs-replay = Reenvío
logs-new-entries =
    { $count ->
        [one] { $count } registro nuevo
       *[other] { $count } registros nuevos
    }
logs-new = { $count } nuevos
logs-new-or-more = { $count } o más nuevos
logs-loading = Cargando…
logs-not-loaded = Hookswitch no responde. Cierre esta fila y ábrala de nuevo.

# One entry

entry-no-body = Sin contenido.
entry-request-body = Contenido de la solicitud
entry-request-raw = Contenido de la solicitud, tal como se envió
entry-response-body = Contenido de la respuesta
entry-response-raw = Contenido de la respuesta, tal como se envió
entry-raw = Tal como se envió
entry-request-headers = Cabeceras de la solicitud
entry-response-headers = Cabeceras de la respuesta
entry-hidden = no se muestra
entry-next-attempt = Siguiente intento
entry-address = Dirección
entry-title = { $event } a { $webhook }
entry-event = ID del evento
entry-delivery = ID de la entrega
entry-id = ID del registro
entry-all-attempts = Todos los intentos de esta entrega
entry-link = Enlace a este registro
entry-body-not-kept = El contenido no se conserva.
entry-nothing-sent = No se envió nada.
entry-no-response = No hubo respuesta.
entry-response-truncated = La respuesta era más larga; se conserva el principio.
again-title = ¿Entregar de nuevo?
again-delivered = Ya llegó. El receptor lo recibirá por segunda vez, con el mismo webhook-id.
again-queued = Está de nuevo en camino. El resultado aparecerá al principio de los registros.

# Dead letters

dead = No entregados
dead-about = Entregas que fallaron y se abandonaron. Se conservan y puede entregarlas de nuevo.
dead-all-again = Entregar todo de nuevo
dead-none = No hay entregas fallidas
dead-none-match = Ninguna entrega fallida coincide
dead-none-advice = Aquí aparecen las entregas que se abandonan tras el último intento.
dead-caption = Entregas fallidas, las más recientes primero
dead-deleted = eliminado
dead-of-call = { $event }, llamada { $call }
dead-older = Anteriores
dead-again-queued = Está de nuevo en camino. El resultado aparecerá en los registros.
dead-discard-title = ¿Descartar esta entrega fallida?
dead-discard-text = No se entregará. Esta acción no se puede deshacer; en los registros queda una línea.
dead-discarded = Se descartó.
dead-all-title =
    ¿Entregar de nuevo { $count ->
        [one] { $count } entrega fallida
       *[other] { $count } entregas fallidas
    }?
dead-all-title-more = ¿Entregar de nuevo más de { $count } entregas fallidas?
dead-all-text = Cada una se envía de nuevo en su orden, unas pocas a la vez, junto con los eventos nuevos. Las de un webhook en pausa se envían cuando se reanude.
dead-count = { $webhook }: { $count }
dead-count-more = { $webhook }: { $count } o más
dead-all-queued =
    { $count ->
        [one] { $count } entrega está
       *[other] { $count } entregas están
    } de nuevo en camino. Los resultados aparecerán en los registros.

# One event

entry-show-event = Mostrar el evento
event-producer = ID del productor
event-accepted = Aceptado
event-again = Reenviar
event-to-all = Reenviar a todos
event-to-all-title =
    ¿Reenviar a { $count ->
        [one] { $count } webhook
       *[other] { $count } webhooks
    }?
event-to-all-text = Los receptores a los que ya llegó lo reciben otra vez, con el mismo webhook-id.
event-all-said =
    { $count ->
        [one] { $count } entrega está
       *[other] { $count } entregas están
    } de nuevo en camino.
event-no-deliveries = Ningún webhook ha seleccionado este evento.
