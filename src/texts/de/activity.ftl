# Who changed what

activity-about = Wer was geändert hat und wer welches Geheimnis angesehen hat.
activity-who = Wer
activity-who-example = Name oder ID
activity-what = Was
activity-everything = Alles
activity-none-found = Keine passenden Einträge
activity-none = Noch nichts
activity-none-advice = Hier erscheint jede Änderung und jedes Ansehen eines Geheimnisses.
activity-caption = Änderungen, die neuesten zuerst
activity-when = Wann
activity-before-and-after = Vorher und nachher
activity-older = Ältere Einträge
