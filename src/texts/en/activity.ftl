# Who changed what

activity-about = Who changed what, and who viewed which secret.
activity-who = Who
activity-who-example = name or ID
activity-what = What
activity-everything = Everything
activity-none-found = No entries match
activity-none = Nothing yet
activity-none-advice = Every change and every view of a secret appears here.
activity-caption = Changes, newest first
activity-when = When
activity-before-and-after = Before and after
activity-older = Older entries
