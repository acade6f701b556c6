# Who changed what

activity-about = Quién cambió qué y quién vio qué secreto.
activity-who = Quién
activity-who-example = nombre o ID
activity-what = Qué
activity-everything = Todo
activity-none-found = Ninguna entrada coincide
activity-none = Todavía nada
activity-none-advice = Aquí aparecen todos los cambios y cada vez que se ve un secreto.
activity-caption = Cambios, los más recientes primero
activity-when = Cuándo
activity-before-and-after = Antes y después
activity-older = Entradas anteriores
