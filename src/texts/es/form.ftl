# The form of a webhook

form-about-new = Introduzca la URL, pruébela, seleccione el formato y los eventos, y guarde.
form-needs-scripts = Para probar y guardar se necesita JavaScript. Sin él puede leer aquí la configuración, la lista y los registros.
form-name-and-url = Nombre y URL
form-name-for = para usted y su equipo
form-name-example = CRM de ventas
form-webhook-url = URL del webhook
form-test = Probar
form-url-help = Cada evento se envía allí como HTTP POST. «Probar» envía un ejemplo de inmediato, incluso antes de guardar.
url-use = Usarla
url-no-scheme = ¿Quiere decir { $url }?
url-not-encrypted = http:// no está cifrado. La mayoría de los receptores admiten https://.
missing-url = Introduzca la URL.
missing-events = Seleccione al menos un evento.
missing-company = Introduzca la empresa.
form-signing-secret = Secreto de firma
form-signing-secret-help = Cada entrega se firma con él, también las pruebas: introdúzcalo primero en su aplicación y podrá comprobar la firma desde el principio. Se le reserva durante una hora y es definitivo en cuanto guarde. Si su aplicación ya tiene un secreto, introdúzcalo aquí.
form-format = Formato
form-sources = Orígenes
form-or-all = déjelo vacío para todos
form-or-all-sources = todos, si no se selecciona ninguno
form-company-unseen = Esta empresa todavía no ha enviado ningún evento: compruebe el nombre.
form-domain-unseen = Todavía no se ha enviado ningún evento de este dominio: compruebe el nombre.
form-scope = Ámbito
form-headers = Cabeceras y autenticación
form-headers-help = Se envían con cada evento, por ejemplo la clave que exige su aplicación. Los valores no se vuelven a mostrar.
form-header-name = Nombre de la cabecera { $number }
form-header-value = Valor de la cabecera { $number }
form-header-remove = la cabecera { $number }
form-name = Nombre
form-value = Valor
form-kept = sin cambios
form-add-header = Añadir una cabecera
form-advanced = Configuración avanzada
form-timeout = Tiempo máximo de respuesta
form-timeout-help = de 100 a 60000
form-in-flight = Solicitudes simultáneas
form-in-flight-help = Cuántas pueden estar en curso a la vez
form-rate = Solicitudes por segundo
form-rate-help = Cuántas pueden iniciarse en un segundo
form-no-limit = sin límite
form-order = Orden
form-order-call = Mantener el orden de los eventos de cada llamada
form-order-none = Lo más rápido posible
form-expire = Caducidad
form-expire-help = Para eventos que más tarde ya no sirven, por ejemplo { $example1 } o { $example2 }. Si se deja vacío, se reintenta como de costumbre.
form-notify = Avisar a
form-notify-for = direcciones de correo, una por línea, { $most } como máximo
form-notify-help = Reciben un correo cuando este webhook falla, se recupera o se desactiva, como máximo una vez al día mientras nada cambie.
form-save = Guardar
form-saving = Guardando…
form-saved = Guardado.
form-saved-next = Secreto y código para el receptor
form-back = Volver

# The body

body = Contenido
body-own = El de la plataforma: JSON o formulario
body-services = Para un servicio
body-template = Una plantilla propia
body-script = Script
body-script-copy = Copiar el script
body-sent-as = Formato
body-form = Formulario (URL encoded)
body-layout = Estructura
body-envelope = Sobre
body-envelope-help = ID, tipo y hora, con los datos dentro
body-flat = Plana
body-flat-help = solo los datos, precedidos de { $member }
body-cloudevent = CloudEvent
body-cloudevent-help = versión 1.0, estructurado; solo JSON
body-nested = Listas y objetos en un formulario
body-brackets = Corchetes
body-brackets-help = un campo por valor, { $example }
body-json = JSON
body-json-help = un campo con texto JSON
body-template-field = Plantilla
body-template-help = En la sintaxis de Jinja. { $member } es un campo del evento y se escapa automáticamente; también están disponibles { $type }, { $timestamp }, { $company } y { $domain }. Filtros: { $filters }. La vista previa muestra el resultado para cada evento.
body-content-type = Tipo de contenido del resultado
preset-flat-strings = Plano, todos los valores como texto
preset-paste-slack = En Slack, añada al canal la aplicación «Incoming WebHooks» (o una propia con webhooks entrantes) y pegue aquí su URL de webhook.
preset-paste-teams = En Teams, abra los flujos de trabajo del canal, elija «Enviar alertas de webhook a un canal» y pegue aquí la URL que se muestra.
preset-paste-google-chat = En el espacio, abra «Aplicaciones e integraciones», añada un webhook y pegue aquí su URL, con key y token.
preset-paste-discord = En los ajustes del canal, abra Integraciones, cree un webhook, copie su URL y péguela aquí.
preset-paste-ntfy = Elija un tema que nadie pueda adivinar, suscríbase a él en la aplicación ntfy y pegue aquí su URL; puede añadir ?title=…&priority=high.
preset-paste-hubspot-form = En HubSpot, cree un formulario con teléfono, nombre, correo electrónico y mensaje, y pegue aquí su URL de envío: primero el ID del portal y después el del formulario.
preset-paste-salesforce-web-to-lead = Active Web-to-Lead en la configuración de Salesforce, cree un formulario y pegue aquí la URL de su action, seguida de &oid= y el valor de su campo oculto oid.
preset-paste-google-sheets = En la hoja, abra Extensiones > Apps Script, pegue el script de abajo, impleméntelo como aplicación web con acceso para cualquier persona y pegue aquí su URL, que termina en /exec. Cada evento se convierte en una fila.
preset-paste-flat-strings = Pegue la URL de su aplicación: recibe un objeto con event, created y los campos de los datos, todos como texto.

# The events

events-which = Selección
events-all = Todos los eventos, incluidos los que se añadan más adelante
events-some = Solo los seleccionados
events-read-more = Más información
events-about = sobre { $event }
events-sample = Datos de ejemplo
events-sample-of = Ejemplo de { $event }

# The filter

filter = Filtro
filter-failed = { $count }× con error
filter-help = Un evento se envía solo si se cumplen todas las condiciones. Una condición sobre un campo que el evento no tiene no se cumple.
filter-conditions = Condiciones
filter-more = Esta expresión es demasiado compleja para mostrarse en filas. Edítela abajo.
filter-add = Añadir una condición
filter-expression = Como expresión
filter-failures =
    Falló con { $count ->
        [one] { $count } evento
       *[other] { $count } eventos
    }, que se enviaron de todos modos. La última vez: { $last }.
filter-is = es
filter-not = no es
filter-more-than = es mayor que
filter-less-than = es menor que
filter-holds = contiene
filter-there = existe
filter-comparison-of = Comparación de la condición { $number }
filter-member-of = Campo de la condición { $number }
filter-value-of = Valor de la condición { $number }
filter-condition = la condición { $number }

# Signing in at the receiver

auth = Autenticación
auth-none = Ninguna
auth-basic = Usuario y contraseña
auth-bearer = Token
auth-oauth = OAuth 2 client credentials
auth-user-name = Usuario
auth-password = Contraseña
auth-token-url = URL del token
auth-client-id = ID de cliente
auth-client-secret = Secreto de cliente
auth-scope = Scope
auth-audience = Audience
auth-if-required = si se exige
auth-credentials-in = El ID y el secreto se envían
auth-in-header = en la cabecera Authorization
auth-in-body = en el contenido
auth-oauth-help = El token se obtiene cuando se necesita y se conserva hasta que caduca.

# What counts as delivered

success-status = Se considera entregado
success-2xx = Estado 200 a 299
success-3xx = Estado 200 a 399
success-3xx-help = para destinos que responden con una redirección al terminar
success-contains = Y el contenido incluye
success-contains-help = para destinos que responden con 200 y un error dentro
success-pointer = O su JSON tiene, en
success-equals = el valor
signature = Firma
signature-v1 = Con el secreto
signature-v1-help = v1, HMAC
signature-v1a = Con un par de claves
signature-v1a-help = v1a, Ed25519: su aplicación solo necesita la clave pública
signature-both = Ambas
signature-key-later = La clave pública de v1a aparece aquí después de guardar.
signature-key = Clave pública: { $key }
signature-key-before = Clave pública anterior a la rotación: { $key }

# The client certificate

certificate = Certificado de cliente
certificate-help = Solo para un receptor que lo exija (TLS mutuo): se presenta con cada evento. La clave no se vuelve a mostrar.
certificate-cert = Certificado
certificate-cert-form = PEM, con los certificados intermedios
certificate-key = Clave privada
certificate-key-form = PEM, sin frase de contraseña
certificate-file = Desde un archivo
certificate-cert-file = Certificado desde un archivo
certificate-key-file = Clave privada desde un archivo
certificate-remove = Quitar el certificado de cliente
certificate-too-large = { $file } es demasiado grande para ser un certificado o una clave.
certificate-removed = Se quita al guardar.

# Copies for other domains

copies = Otros dominios
copies-help = Crea este webhook también para otros dominios, con la configuración guardada y el mismo secreto.
copies-domains = Dominios que envían eventos
copies-another = U otro
copies-copy = Copiar a estos dominios
copies-none = Seleccione un dominio o introduzca uno.
copies-done = Copiado a { $domains }.
copies-unseen = Todavía no se ha enviado ningún evento de { $domains }: compruebe el nombre.

# The state of a stored webhook

stored-disabled = Desactivado: { $reason }. Las entregas pendientes se conservan; reanúdelo cuando el receptor vuelva a funcionar.
stored-failing =
    Con fallos desde { $time }: { $attempts ->
        [one] { $attempts } intento ha
       *[other] { $attempts } intentos han
    } fallado seguidos.
stored-next-try = Siguiente intento
stored-pause = Pausar
stored-resume = Reanudar
stored-discard = Descartar las entregas en espera
stored-delete = Eliminar
stored-pause-title = ¿Pausar este webhook?
stored-pause-text = No se envía nada más a { $webhook } hasta que lo reanude.
stored-pause-kept = Los eventos nuevos también se conservan y todo se envía, en orden, cuando lo reanude.
stored-discard-title = ¿Descartar las entregas en espera?
stored-discard-text = Se cancelan y no se enviarán. Esta acción no se puede deshacer; en los registros queda una línea de cada una. El webhook se conserva.
stored-delete-title = ¿Eliminar este webhook?
stored-delete-text = No se envía nada más a { $webhook }.
stored-delete-waiting = Las entregas en espera se cancelan con él. Esta acción no se puede deshacer; los registros se conservan.
stored-nothing-waits = En este momento no hay nada en espera.
stored-waits =
    Hay { $count ->
        [one] { $count } entrega
       *[other] { $count } entregas
    } en espera.

# The secret

secret-help = Cada entrega se firma con él para que su aplicación pueda comprobar que procede de aquí.
secret-hide = Ocultar
secret-rotate = Rotar
secret-rotate-title = ¿Rotar el secreto?
secret-rotate-text = El webhook recibe un secreto nuevo. Hasta que pase el tiempo indicado, cada entrega lleva ambas firmas, para que pueda adaptar su aplicación con calma.
secret-overlap = El secreto anterior también firma durante
secret-overlap-24h = 24 horas
secret-overlap-1h = 1 hora
secret-overlap-7d = 7 días
secret-overlap-0s = nada: el anterior está comprometido
secret-new = El secreto nuevo
secret-new-help = se genera si se deja vacío
secret-rotated = Este es el secreto nuevo. Introdúzcalo en su aplicación.

# The test

test-running = Probando…
test-response = Respuesta { $status }
test-curl = Lo mismo como comando curl
test-copy-curl = Copiar el comando curl
test-details = Detalles ({ $millis } ms)
test-connected = Conectado a { $address }
test-sent = Enviado
test-what-was-sent = Lo que se envió
test-reply = Respuesta
test-the-reply = La respuesta
test-empty = (vacía)
test-not-shown = (no se muestra)

# The preview

preview = Vista previa
preview-event = Evento de ejemplo
preview-each = Cada evento
preview-form-note = Una línea por campo, tal como lo lee su aplicación; se envía con codificación URL.
preview-headers = Cabeceras
preview-line = Línea { $line }: { $fault }
preview-is-sent = se envía
preview-is-not-sent = no se envía
preview-filter-fails = se envía, aunque el filtro falla: { $fault }

# Receivers

receivers = Código de ejemplo
receivers-help = Un receptor para empezar, con el formato, la estructura y la firma elegidos. Comprueba la firma con el secreto de la variable de entorno { $secret } o, si firma un par de claves, con la clave pública de { $key }.
receivers-in = Receptor en { $language }
receivers-copy = Copiar el receptor en { $language }

# A stored webhook

webhook-tab-activity = Actividad
webhook-tab-settings = Configuración
webhook-tab-code = Código
webhook-attempts = Intentos recientes
webhook-in-log = Abrir en el registro
stored-failing-advice = Compruebe la URL y pruébela.
code-saved = Guardado. Introduzca ahora el secreto en su aplicación para que pueda comprobar la firma. Abajo tiene código para empezar.
code-public-key = Clave pública
code-service = Este webhook envía a un servicio, que no necesita código propio.

# Sending again

replay-recover = Recuperar los fallidos…
replay-since = Reenviar desde…
replay-title = ¿Reenviar eventos?
replay-text = Se envían en su orden, junto a los eventos nuevos, cada uno con el mismo webhook-id que antes.
replay-what = Cuáles
replay-failed = Solo las entregas fallidas
replay-all = Todos los eventos
replay-counting = Contando…
replay-none = No se enviaría nada.
replay-no-time = Introduzca una hora.
replay-count =
    { $count ->
        [one] Se enviaría { $count } evento.
       *[other] Se enviarían { $count } eventos.
    }
replay-do = Reenviar
replay-queued =
    { $count ->
        [one] { $count } evento está
       *[other] { $count } eventos están
    } de nuevo en camino. Los resultados aparecen abajo.
