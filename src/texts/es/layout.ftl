# The frame of all views, and what several of them say.

skip = Saltar al contenido
sections = Secciones
section-webhooks = Webhooks
section-logs = Registros
section-calls = Llamadas
section-report = Informe
section-activity = Actividad
section-keys = Claves
section-status = Estado
company = Empresa
all-companies = Todas las empresas
every-company = Todas las empresas
domain = Dominio
every-domain = Todos los dominios
source = Origen
source-widget = Widget
source-lead-connect = Lead Connect
source-api = API
signed-in-as = Sesión de
help = Ayuda
handbook = Manual
sign-out = Cerrar sesión
language = Idioma
show = Mostrar
show-more = Mostrar más
show-all = Mostrar todo
find = Buscar
filters = Filtros
more-filters = Más filtros
clear-filters = Quitar los filtros
export-csv = Exportar CSV
from = Desde
until = Hasta
actions = Acciones
created = Creado
last-used = Último uso
never = Nunca
webhook = Webhook
event = Evento
call = Llamada
agent = Agente
response = Respuesta
request = Solicitud
status = Estado
state = Estado
attempt = Intento
attempts = Intentos
duration = Duración
waiting = En espera
secret = Secreto
deliver-again = Entregar de nuevo
discard = Descartar
remove = Quitar
looked-back = Búsqueda realizada hasta el { $time }.
looked-back-in-vain = Nada encontrado hasta ahora; búsqueda realizada hasta el { $time }.
look-further = Seguir buscando

# How a webhook is

webhook-active = Activo
webhook-failing = Con fallos
webhook-paused = En pausa
webhook-disabled = Desactivado
webhook-slow = Lento

# What became of a delivery

status-pending = Pendiente
status-delivered = Entregado
status-retrying = Reintentando
status-failed = Fallido
status-expired = Caducado
status-cancelled = Cancelado

# The last day of a webhook

none-yet = Ninguna todavía
no-response = Sin respuesta
nothing-sent = Nada enviado
nothing-sent-since = Nada enviado desde { $time }
day-chart =
    { $attempts ->
        [one] { $attempts } intento
       *[other] { $attempts } intentos
    }, { $failed } fallidos
day-attempts = de { $attempts }
day-attempts-since = de { $attempts } desde { $time }

# Problems

problem-not-found = No encontrado
problem-not-allowed = No permitido
problem-unreadable = Esta dirección no es válida
problem-other = Algo ha fallado
problem-back = Volver a los webhooks
problem-nothing-here = No hay nada en esta dirección.
problem-new-needs-admin = Para crear webhooks se necesita un token con el rol «admin».

# Scripts

unreachable = Hookswitch no responde. Compruebe la conexión e inténtelo de nuevo.
connection-lost = Conexión perdida, reintentando
session-ended = Su sesión ha terminado. Inicie sesión de nuevo.
answered = Hookswitch respondió con { $status }.
copy = Copiar
copied = Copiado
copy-failed = No se pudo copiar
copy-id = Copiar { $id }
cancel = Cancelar
not-saved = No se pudo guardar:
problem-about-403 = No tiene permiso para esto.
problem-about-404 = No hay nada en esta dirección o no tiene acceso.
problem-about-422 = Una parte de la dirección no es válida.
problem-about-429 = Hay demasiadas solicitudes a la vez. Inténtelo de nuevo en un momento.
problem-about-500 = Se ha producido un error interno.
problem-about-503 = Hookswitch no está listo en este momento. Inténtelo de nuevo en un momento.

# What is wrong at the moment

problems-failing =
    { $count ->
        [one] { $count } webhook falla.
       *[other] { $count } webhooks fallan.
    }
problems-disabled =
    { $count ->
        [one] Se desactivó { $count } webhook.
       *[other] Se desactivaron { $count } webhooks.
    }
problems-waiting =
    { $count ->
        [one] { $count } entrega los espera.
       *[other] { $count } entregas los esperan.
    }
problems-show = Mostrar
sort = Ordenar por
page-before = Anterior
page-after = Siguiente
page-of = Página { $number } de { $pages }

# One search for everything

search = Buscar
search-hint = Buscar ( / )
search-help = Un nombre, un número de teléfono o sus últimas cifras, una llamada o el principio de su ID, un webhook, o el ID de un evento, una entrega o un intento.
search-none = No se ha encontrado nada para «{ $text }»
search-until = Los nombres, principios y últimas cifras se buscaron hasta { $time }.

# Keyboard shortcuts

keys-title = Atajos de teclado
keys-search = Buscar
keys-sheet = Esta lista
keys-on = Las teclas sueltas funcionan
close = Cerrar
