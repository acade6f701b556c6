# Why there was no response, in a few words

error-name-not-found = name not found
error-resolve-timeout = DNS timeout
error-address-denied = address not allowed
error-connection-refused = connection refused
error-unreachable = unreachable
error-proxy-failed = proxy failed
error-connect-timeout = connection timeout
error-tls-certificate-expired = certificate expired
error-tls-wrong-name = certificate for another name
error-tls-unknown-issuer = certificate not trusted
error-tls-failed = TLS failed
error-send-timeout = request not read in time
error-response-timeout = no response in time
error-body-timeout = response incomplete
error-disconnected = disconnected
error-protocol-error = not HTTP
error-bad-url = invalid URL
error-sign-in-failed = sign-in failed
error-unexpected-body = unexpected body
error-template-failed = template failed
error-event-unavailable = event no longer stored
error-internal-error = internal error

# The phases of an attempt

phase-resolve = DNS lookup
phase-connect = Connection
phase-send = Sending
phase-wait = Waiting
phase-receive = Response
phase-times = Time per phase

# What an attempt means and what to do, where the page speaks another language than the API, whose message says more.

outcome-working = The URL is working and responding.
outcome-400 = The receiver did not accept the content: check its log, and the format and layout.
outcome-401 = The receiver does not accept the sender: check the secret, the headers and the authentication.
outcome-403 = The receiver does not accept the sender: check the secret, the headers and the authentication.
outcome-404 = The URL is not working: nothing was found at this path. Check that the URL is correct.
outcome-405 = The receiver does not accept POST at this path.
outcome-410 = The receiver says that the URL is gone for good: enter the new URL.
outcome-415 = The receiver does not accept this content type: try the other format.
outcome-429 = The receiver got too many requests: try again later, or set a lower rate.
outcome-502 = A gateway responded, but not the application behind it: check that the application is running.
outcome-503 = The receiver is overloaded or under maintenance: try again later.
outcome-504 = A gateway responded, but not the application behind it: check that the application is running.
outcome-3xx = The receiver responded with a redirect, which is not followed: enter the target URL.
outcome-4xx = The receiver refused the request: check the URL and the receiver’s log.
outcome-5xx = The receiver failed while handling the request: check its error log.
outcome-name-not-found = The host name was not found: check its spelling.
outcome-resolve-timeout = DNS did not respond in time: try again later.
outcome-address-denied = This address is not allowed, for example because it is on a private network: ask your administrator to allow it.
outcome-connection-refused = The connection was refused: check the port, and that the receiver is running.
outcome-unreachable = The receiver cannot be reached: check the network and the firewall.
outcome-proxy-failed = The proxy failed: ask your administrator.
outcome-connect-timeout = The connection was not established in time: check the address, the port and the firewall.
outcome-tls-certificate-expired = The receiver’s certificate has expired or is not valid yet: renew it.
outcome-tls-wrong-name = The receiver’s certificate is for another host name.
outcome-tls-unknown-issuer = The receiver’s certificate is not trusted, for example because it is self-signed.
outcome-tls-failed = The encrypted connection (TLS) failed.
outcome-send-timeout = The receiver did not read the request in time: check that it is not overloaded.
outcome-response-timeout = No response in time: let the receiver respond before it does its work, or set a longer timeout.
outcome-body-timeout = The response did not end in time: let the receiver respond with a short body.
outcome-disconnected = The connection broke: check the receiver’s log.
outcome-protocol-error = The response is not HTTP: check the port, and whether the URL must begin with https://.
outcome-bad-url = The URL is not valid.
outcome-sign-in-failed = The token for authentication could not be fetched: check the authentication of this webhook.
outcome-unexpected-body = The status is a success, but the body is not what this webhook expects.
outcome-template-failed = The template could not be rendered: correct it.
outcome-event-unavailable = The event is no longer stored.
outcome-internal-error = An internal error occurred: try again.
