# Who changed what

activity-about = Quién cambió qué y quién vio qué secreto.
activity-who = Quién
activity-who-example = nombre o ID
activity-what = Qué
activity-everything = Todo
activity-none-found = Ninguna entrada coincide
activity-none = Todavía nada
activity-none-advice = Aquí aparecen todos los cambios y cada vez que se ve un secreto.
activity-caption = Cambios, los más recientes primero
activity-when = Cuándo
activity-before-and-after = Antes y después
activity-older = Entradas anteriores

# What was done

action-subscription-create = Webhook creado
action-subscription-change = Webhook modificado
action-subscription-delete = Webhook eliminado
action-subscription-disable = Webhook desactivado
action-subscription-rotate-secret = Secreto rotado
action-subscription-show-secret = Secreto visto
action-subscription-test = Webhook probado
action-subscription-handshake = Permiso de entrega solicitado
action-subscription-replay = Eventos reenviados
action-subscription-discard = Entregas en espera descartadas
action-subscription-notify = Responsables avisados
action-url-test = URL probada
action-delivery-retry = Entregado de nuevo
action-delivery-cancel = Entrega descartada
action-token-create = Token creado
action-token-revoke = Token revocado
action-portal-link-create = Enlace del portal creado
action-portal-link-revoke = Enlace del portal revocado
action-session-begin = Sesión iniciada
action-session-end = Sesión terminada
action-erasure-begin = Borrado iniciado
action-erasure-done = Borrado terminado
action-backup-take = Copia de seguridad realizada
action-configuration-reload = Configuración recargada
actor-token = Token
actor-session = Sesión
actor-portal = Portal
actor-sighup = Señal
actor-daemon = Daemon
via-api = API
via-cli = línea de comandos
via-page = página
action-session-refuse = Inicio de sesión rechazado
