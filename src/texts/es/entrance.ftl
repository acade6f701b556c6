# Signing in with a token

sign-in = Iniciar sesión
token = Token
sign-in-token-help = Se lo facilita su administrador. El primero está en el archivo { $file } del directorio de datos.
sign-in-no-token = Introduzca un token.
sign-in-ingest = Este token solo permite enviar eventos. Inicie sesión con uno que tenga el rol «read» o «admin».
sign-in-unknown = Este token no se reconoce. Compruebe que esté completo.
sign-in-too-many =
    Este token no se reconoce y se han probado demasiados. Inténtelo de nuevo en { $seconds ->
        [one] { $seconds } segundo
       *[other] { $seconds } segundos
    }.

# Signing in by a portal link

portal-signing-in = Iniciando sesión
portal-moment = Un momento, por favor.
portal-needs-scripts = Se necesita JavaScript: permítalo para esta página y abra de nuevo el enlace desde donde lo encontró.
portal-nobody = Ya no hay ninguna sesión abierta. Vuelva a la configuración de su cuenta y abra de nuevo los webhooks desde allí.
portal-signed-out = Sesión cerrada
portal-refused = Este enlace no se puede usar
portal-refused-now = Este enlace no se puede usar en este momento.
portal-unreachable = No se puede conectar con el servidor
portal-unreachable-advice = Compruebe la conexión y abra de nuevo el enlace.
portal-used = Este enlace ya se ha usado: cada uno abre la página una sola vez. Vuelva a donde lo encontró y ábralo de nuevo desde allí.
portal-expired = Este enlace ha caducado: cada uno funciona solo unos minutos. Vuelva a donde lo encontró y ábralo de nuevo desde allí.
portal-unknown = Este enlace no es válido: está incompleto, se modificó por el camino o se revocó. Vuelva a donde lo encontró y ábralo de nuevo desde allí.
portal-too-many =
    Se han probado demasiados enlaces no válidos. Inténtelo de nuevo en { $seconds ->
        [one] { $seconds } segundo
       *[other] { $seconds } segundos
    }.

# Signing in at the provider of OpenID Connect

sign-in-with = Iniciar sesión con { $provider }
oidc-signed-in = Ha iniciado sesión
oidc-not-signed-in = No ha iniciado sesión
oidc-continue = Continuar
oidc-again = Intentarlo de nuevo con { $provider }
oidc-by-token = Iniciar sesión con un token
oidc-elsewhere = Este inicio de sesión no se comenzó en este navegador y en esta dirección, o desde entonces se comenzó otro.
oidc-late = Han pasado más de diez minutos, por lo que este inicio de sesión ha caducado.
oidc-used = Este inicio de sesión ya se ha usado: cada uno abre la página una sola vez.
oidc-declined = { $provider } no inició su sesión: usted la rechazó o no tiene permiso para usar esta página.
oidc-not-accepted = No se pudo aceptar la respuesta de { $provider }. Si vuelve a ocurrir, avise a su administrador.
oidc-token-expired = La respuesta de { $provider } había caducado al llegar. Si vuelve a ocurrir, avise a su administrador: los relojes pueden diferir.
oidc-group = { $provider } le conoce, pero ninguno de sus grupos puede usar esta página. Pida a su administrador que le añada a uno.
oidc-away = En este momento no se puede conectar con { $provider }. Inténtelo de nuevo dentro de un rato.
oidc-too-many =
    Han fallado demasiados inicios de sesión. Inténtelo de nuevo en { $seconds ->
        [one] { $seconds } segundo
       *[other] { $seconds } segundos
    }.
