# Why there was no response, in a few words

error-name-not-found = Name nicht gefunden
error-resolve-timeout = DNS-Zeitüberschreitung
error-address-denied = Adresse nicht erlaubt
error-connection-refused = Verbindung abgelehnt
error-unreachable = nicht erreichbar
error-proxy-failed = Proxy-Fehler
error-connect-timeout = Zeitüberschreitung beim Verbinden
error-tls-certificate-expired = Zertifikat abgelaufen
error-tls-wrong-name = Zertifikat für anderen Namen
error-tls-unknown-issuer = Zertifikat nicht vertrauenswürdig
error-tls-failed = TLS-Fehler
error-send-timeout = Anfrage nicht rechtzeitig gelesen
error-response-timeout = keine rechtzeitige Antwort
error-body-timeout = Antwort unvollständig
error-disconnected = Verbindung abgebrochen
error-protocol-error = kein HTTP
error-bad-url = ungültige URL
error-sign-in-failed = Anmeldung fehlgeschlagen
error-unexpected-body = unerwarteter Inhalt
error-template-failed = Vorlage fehlerhaft
error-event-unavailable = Ereignis nicht mehr gespeichert
error-internal-error = interner Fehler

# The phases of an attempt

phase-resolve = DNS-Auflösung
phase-connect = Verbindung
phase-send = Senden
phase-wait = Warten
phase-receive = Antwort
phase-times = Zeit je Phase
