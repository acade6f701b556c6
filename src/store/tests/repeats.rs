//! Events that are posted again.

use super::*;

#[test]
fn an_event_that_is_posted_twice_at_once_is_accepted_once_and_both_are_told_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open(dir.path());
    ask(|reply| store.create_subscription(draft("acme"), reply)).unwrap();
    // The committer waits in an answer until both are there, so that they are of one group commit.
    let (go_on, both_are_there) = mpsc::channel::<()>();
    let held: Reply<Vec<Accepted>> = Box::new(move |_| both_are_there.recv().unwrap());
    store.accept(vec![event("first", None)], held).unwrap();
    let (sender, answers) = mpsc::channel();
    for _ in 0..2 {
        let sender = sender.clone();
        let answer: Reply<Vec<Accepted>> = Box::new(move |reply| sender.send(reply.unwrap()[0]).unwrap());
        store.accept(vec![event("twice", Some("id-1"))], answer).unwrap();
    }
    go_on.send(()).unwrap();
    let (first, again) = (answers.recv().unwrap(), answers.recv().unwrap());
    assert_eq!((first.deliveries, first.duplicate), (1, false));
    assert_eq!(again, Accepted { duplicate: true, ..first });
    running.stop();
}
