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
