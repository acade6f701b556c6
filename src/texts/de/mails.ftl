# Mails to the owners of a webhook

mail-subject-failing = Ihr Webhook schlägt fehl: { $url }
mail-subject-recovered = Ihr Webhook funktioniert wieder: { $url }
mail-subject-disabled = Ihr Webhook wurde deaktiviert: { $url }
mail-about-failing = Zustellungen an den Webhook { $url } von { $company } kommen nicht an. Sie warten und werden wiederholt; noch ist nichts verloren.
mail-about-recovered = Zustellungen an den Webhook { $url } von { $company } kommen wieder an. Wartende Zustellungen werden jetzt gesendet.
mail-about-disabled = Der Webhook { $url } von { $company } wurde deaktiviert. Seine Zustellungen warten, bis ihn jemand fortsetzt.
mail-facts = Einzelheiten:
mail-name = Name: { $name }
mail-reason = Grund: { $reason }
mail-since = Fehlgeschlagen seit: { $time }
mail-failures = Fehlgeschlagene Versuche: { $count }
mail-waiting = Wartende Zustellungen: { $count }
mail-last = Letzte Antwort, am { $time }:
mail-answer-status = Statuscode { $status }
mail-answer-error = { $error }: { $detail }
mail-answer-none = keine
mail-advice = Empfehlung (englisch): { $advice }
mail-resume = Wenn der Empfänger wieder funktioniert, drücken Sie auf der Seite des Webhooks „Testen“ und setzen Sie ihn dann fort: Alle wartenden Zustellungen werden der Reihe nach gesendet.
mail-log = Sein Protokoll
mail-footer = Hookswitch sendet diese Nachricht an die Adressen unter „Benachrichtigen“ des Webhooks { $id }, wenn sich etwas ändert.
mail-footer-daily = Hookswitch sendet diese Nachricht an die Adressen unter „Benachrichtigen“ des Webhooks { $id }, wenn sich etwas ändert, und einmal am Tag, solange er fehlschlägt.
