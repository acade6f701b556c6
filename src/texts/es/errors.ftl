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

# What an attempt means and what to do, where the page speaks another language than the API, whose message says more.

outcome-working = La URL funciona y responde.
outcome-400 = El receptor no aceptó el contenido: compruebe sus registros, el formato y la estructura.
outcome-401 = El receptor no acepta al remitente: compruebe el secreto, las cabeceras y la autenticación.
outcome-403 = El receptor no acepta al remitente: compruebe el secreto, las cabeceras y la autenticación.
outcome-404 = La URL no funciona: no se encontró nada en esta ruta. Compruebe que la URL sea correcta.
outcome-405 = El receptor no acepta POST en esta ruta.
outcome-410 = El receptor indica que la URL ya no existe: introduzca la nueva URL.
outcome-415 = El receptor no acepta este tipo de contenido: pruebe el otro formato.
outcome-429 = El receptor recibió demasiadas solicitudes: inténtelo más tarde o reduzca la frecuencia.
outcome-502 = Respondió una pasarela, pero no la aplicación que hay detrás: compruebe que la aplicación esté en marcha.
outcome-503 = El receptor está sobrecargado o en mantenimiento: inténtelo más tarde.
outcome-504 = Respondió una pasarela, pero no la aplicación que hay detrás: compruebe que la aplicación esté en marcha.
outcome-3xx = El receptor respondió con una redirección, que no se sigue: introduzca la URL de destino.
outcome-4xx = El receptor rechazó la solicitud: compruebe la URL y los registros del receptor.
outcome-5xx = El receptor falló al tratar la solicitud: compruebe sus registros de errores.
outcome-name-not-found = No se encontró el nombre del host: compruebe cómo está escrito.
outcome-resolve-timeout = DNS no respondió a tiempo: inténtelo más tarde.
outcome-address-denied = Esta dirección no está permitida, por ejemplo porque pertenece a una red privada: pida a su administrador que la permita.
outcome-connection-refused = La conexión fue rechazada: compruebe el puerto y que el receptor esté en marcha.
outcome-unreachable = No se puede llegar al receptor: compruebe la red y el cortafuegos.
outcome-proxy-failed = Falló el proxy: consulte a su administrador.
outcome-connect-timeout = La conexión no se estableció a tiempo: compruebe la dirección, el puerto y el cortafuegos.
outcome-tls-certificate-expired = El certificado del receptor ha caducado o todavía no es válido: renuévelo.
outcome-tls-wrong-name = El certificado del receptor es de otro nombre de host.
outcome-tls-unknown-issuer = El certificado del receptor no es de confianza, por ejemplo porque está autofirmado.
outcome-tls-failed = Falló la conexión cifrada (TLS).
outcome-send-timeout = El receptor no leyó la solicitud a tiempo: compruebe que no esté sobrecargado.
outcome-response-timeout = Sin respuesta a tiempo: haga que el receptor responda antes de procesar o aumente el tiempo máximo.
outcome-body-timeout = La respuesta no terminó a tiempo: haga que el receptor responda con un contenido corto.
outcome-disconnected = Se interrumpió la conexión: compruebe los registros del receptor.
outcome-protocol-error = La respuesta no es HTTP: compruebe el puerto y si la URL debe empezar por https://.
outcome-bad-url = La URL no es válida.
outcome-sign-in-failed = No se pudo obtener el token de autenticación: compruebe la autenticación de este webhook.
outcome-unexpected-body = El estado indica éxito, pero el contenido no es el esperado.
outcome-template-failed = No se pudo procesar la plantilla: corríjala.
outcome-event-unavailable = El evento ya no está almacenado.
outcome-internal-error = Se produjo un error interno: inténtelo de nuevo.
