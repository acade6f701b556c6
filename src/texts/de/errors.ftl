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

# What an attempt means and what to do, where the page speaks another language than the API, whose message says more.

outcome-working = Die URL funktioniert und antwortet.
outcome-400 = Der Empfänger hat den Inhalt nicht angenommen: Prüfen Sie sein Protokoll sowie Format und Aufbau.
outcome-401 = Der Empfänger akzeptiert den Absender nicht: Prüfen Sie Geheimnis, Header und Anmeldung.
outcome-403 = Der Empfänger akzeptiert den Absender nicht: Prüfen Sie Geheimnis, Header und Anmeldung.
outcome-404 = Die URL funktioniert nicht: Unter diesem Pfad wurde nichts gefunden. Prüfen Sie, ob die URL richtig ist.
outcome-405 = Der Empfänger nimmt unter diesem Pfad kein POST an.
outcome-410 = Der Empfänger meldet, dass es die URL nicht mehr gibt: Geben Sie die neue URL ein.
outcome-415 = Der Empfänger nimmt diesen Inhaltstyp nicht an: Versuchen Sie das andere Format.
outcome-429 = Der Empfänger hat zu viele Anfragen erhalten: Versuchen Sie es später erneut oder stellen Sie eine niedrigere Rate ein.
outcome-502 = Ein Gateway hat geantwortet, aber nicht die Anwendung dahinter: Prüfen Sie, ob die Anwendung läuft.
outcome-503 = Der Empfänger ist überlastet oder wird gewartet: Versuchen Sie es später erneut.
outcome-504 = Ein Gateway hat geantwortet, aber nicht die Anwendung dahinter: Prüfen Sie, ob die Anwendung läuft.
outcome-3xx = Der Empfänger hat mit einer Weiterleitung geantwortet, der nicht gefolgt wird: Geben Sie die Ziel-URL ein.
outcome-4xx = Der Empfänger hat die Anfrage abgelehnt: Prüfen Sie die URL und das Protokoll des Empfängers.
outcome-5xx = Beim Empfänger ist ein Fehler aufgetreten: Prüfen Sie sein Fehlerprotokoll.
outcome-name-not-found = Der Hostname wurde nicht gefunden: Prüfen Sie die Schreibweise.
outcome-resolve-timeout = DNS hat nicht rechtzeitig geantwortet: Versuchen Sie es später erneut.
outcome-address-denied = Diese Adresse ist nicht erlaubt, zum Beispiel weil sie in einem privaten Netz liegt: Bitten Sie Ihre Administration, sie zu erlauben.
outcome-connection-refused = Die Verbindung wurde abgelehnt: Prüfen Sie den Port und ob der Empfänger läuft.
outcome-unreachable = Der Empfänger ist nicht erreichbar: Prüfen Sie Netz und Firewall.
outcome-proxy-failed = Der Proxy hat versagt: Wenden Sie sich an Ihre Administration.
outcome-connect-timeout = Die Verbindung kam nicht rechtzeitig zustande: Prüfen Sie Adresse, Port und Firewall.
outcome-tls-certificate-expired = Das Zertifikat des Empfängers ist abgelaufen oder noch nicht gültig: Erneuern Sie es.
outcome-tls-wrong-name = Das Zertifikat des Empfängers gilt für einen anderen Hostnamen.
outcome-tls-unknown-issuer = Dem Zertifikat des Empfängers wird nicht vertraut, zum Beispiel weil es selbst signiert ist.
outcome-tls-failed = Die verschlüsselte Verbindung (TLS) ist fehlgeschlagen.
outcome-send-timeout = Der Empfänger hat die Anfrage nicht rechtzeitig gelesen: Prüfen Sie, ob er überlastet ist.
outcome-response-timeout = Keine rechtzeitige Antwort: Lassen Sie den Empfänger vor der Verarbeitung antworten oder stellen Sie ein längeres Zeitlimit ein.
outcome-body-timeout = Die Antwort endete nicht rechtzeitig: Lassen Sie den Empfänger mit einem kurzen Inhalt antworten.
outcome-disconnected = Die Verbindung ist abgebrochen: Prüfen Sie das Protokoll des Empfängers.
outcome-protocol-error = Die Antwort ist kein HTTP: Prüfen Sie den Port und ob die URL mit https:// beginnen muss.
outcome-bad-url = Die URL ist ungültig.
outcome-sign-in-failed = Das Token für die Anmeldung konnte nicht abgerufen werden: Prüfen Sie die Anmeldung dieses Webhooks.
outcome-unexpected-body = Der Status meldet Erfolg, aber der Inhalt ist nicht der erwartete.
outcome-template-failed = Die Vorlage ließ sich nicht ausführen: Korrigieren Sie sie.
outcome-event-unavailable = Das Ereignis ist nicht mehr gespeichert.
outcome-internal-error = Es ist ein interner Fehler aufgetreten: Versuchen Sie es erneut.
