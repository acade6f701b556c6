# The list of webhooks

webhooks-about = Cada webhook es una URL suya que recibe los eventos de llamadas y SMS en cuanto ocurren.
webhooks-new = Webhook nuevo
webhooks-none = Todavía no hay webhooks
webhooks-none-of = Todavía no hay webhooks de { $company }
webhooks-start = Introduzca la URL de su aplicación web, pruébela, seleccione los eventos y guarde. A partir de entonces, cada evento llega allí en cuestión de instantes.
webhooks-add-first = Añadir el primer webhook
webhooks-read-only = Su acceso es de solo lectura: pida a un administrador que añada uno.
webhooks-caption = Webhooks
webhooks-find = Nombre, URL o ID
webhooks-problems = Con problemas
webhooks-none-match = Ningún webhook coincide
sort-problems = Problemas primero
sort-name = Nombre
sort-waiting = Entregas en espera
sort-newest = Más recientes primero
events = Eventos
last-response = Última respuesta
last-day = Últimas 24 horas
last-week = Últimos 7 días
format-form = Formulario
format-json = JSON
webhooks-more-events = y { $count } más

# Why a webhook was disabled

disabled-disabled-by-hand = desactivado a mano
disabled-the-receiver-answered-410-gone = el receptor respondió con 410 (ya no existe)
disabled-every-attempt-failed-for-too-long = todos los intentos han fallado durante demasiado tiempo
disabled-its-secrets-on-the-disk-cannot-be-opened = no se pueden descifrar sus secretos almacenados
