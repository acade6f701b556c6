# The event types that are built in; those of the configuration have titles of their own.

event-title-call-new = Llamada nueva
event-title-call-scheduled = Llamada programada
event-title-call-missed = Llamada perdida
event-title-call-claimed = Llamada asignada
event-title-call-connected = Llamada conectada
event-title-call-finished = Llamada finalizada
event-title-call-smsfollowup = Respuesta por SMS
event-about-call-new = El widget, Lead Connect o la API generó una llamada.
event-about-call-scheduled = Un cliente pidió mediante el widget que se le llamara más tarde.
event-about-call-missed = No había ningún agente disponible, por lo que no se pudo realizar la llamada.
event-about-call-claimed = Un agente se hizo cargo de la llamada.
event-about-call-connected = Un agente se hizo cargo de la llamada y el cliente está al teléfono.
event-about-call-finished = El agente y el cliente terminaron la llamada.
event-about-call-smsfollowup = Un cliente potencial respondió a un SMS enviado después de una llamada. Contiene la respuesta, la conversación completa y los datos de contacto.
event-group-calls = Eventos de llamada
event-group-sms = Eventos de SMS
event-group-further = Otros eventos
every-event = Todos los eventos

# The list of event types

catalogue = Tipos de evento
catalogue-about = Cuándo ocurre cada evento, cómo se envía y el esquema de sus datos.
catalogue-link = Todos los tipos de evento con ejemplos y esquemas
catalogue-schema = JSON Schema de los datos
sample-json-envelope = JSON, sobre
sample-json-flat = JSON, plano
sample-form-envelope = Formulario, sobre
sample-form-flat = Formulario, plano
sample-cloudevent = CloudEvent
