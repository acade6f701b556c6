# Why there was no response, in a few words

error-name-not-found = nombre no encontrado
error-resolve-timeout = DNS sin respuesta
error-address-denied = dirección no permitida
error-connection-refused = conexión rechazada
error-unreachable = inaccesible
error-proxy-failed = fallo del proxy
error-connect-timeout = conexión agotada
error-tls-certificate-expired = certificado caducado
error-tls-wrong-name = certificado de otro nombre
error-tls-unknown-issuer = certificado no fiable
error-tls-failed = fallo de TLS
error-send-timeout = solicitud no leída a tiempo
error-response-timeout = sin respuesta a tiempo
error-body-timeout = respuesta incompleta
error-disconnected = conexión interrumpida
error-protocol-error = no es HTTP
error-bad-url = URL no válida
error-sign-in-failed = autenticación fallida
error-unexpected-body = contenido inesperado
error-template-failed = fallo de la plantilla
error-event-unavailable = evento ya no almacenado
error-internal-error = error interno

# The phases of an attempt

phase-resolve = Resolución DNS
phase-connect = Conexión
phase-send = Envío
phase-wait = Espera
phase-receive = Respuesta
phase-times = Tiempo por fase
