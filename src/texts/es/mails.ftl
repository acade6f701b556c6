# Mails to the owners of a webhook

mail-subject-failing = Su webhook está fallando: { $url }
mail-subject-recovered = Su webhook vuelve a funcionar: { $url }
mail-subject-disabled = Su webhook se ha desactivado: { $url }
mail-about-failing = Las entregas al webhook { $url } de { $company } no llegan. Quedan en espera y se reintentan; todavía no se ha perdido nada.
mail-about-recovered = Las entregas al webhook { $url } de { $company } vuelven a llegar. Las entregas en espera se están enviando ahora.
mail-about-disabled = El webhook { $url } de { $company } se ha desactivado. Sus entregas esperan hasta que alguien lo reanude.
mail-facts = Detalles:
mail-name = Nombre: { $name }
mail-reason = Motivo: { $reason }
mail-since = Falla desde: { $time }
mail-failures = Intentos fallidos: { $count }
mail-waiting = Entregas en espera: { $count }
mail-last = Última respuesta, el { $time }:
mail-answer-status = código de estado { $status }
mail-answer-error = { $error }: { $detail }
mail-answer-none = ninguna
mail-advice = Qué hacer (en inglés): { $advice }
mail-resume = Cuando el receptor vuelva a funcionar, pulse «Probar» en la página del webhook y después reanúdelo: todas las entregas en espera se envían en orden.
mail-log = Sus registros
mail-footer = Hookswitch envía este mensaje a las direcciones de «Avisar a» del webhook { $id } cuando algo cambia.
mail-footer-daily = Hookswitch envía este mensaje a las direcciones de «Avisar a» del webhook { $id } cuando algo cambia, y una vez al día mientras siga fallando.
