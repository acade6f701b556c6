//! Repeated posts of events.

use crate::engine::embedded::kv::stored_key::stored;
use crate::model::keys;

use super::*;

#[test]
fn an_event_posted_twice_at_once_is_accepted_once_and_both_get_the_same_answer() {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open(dir.path());
    ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    // The writer blocks in an answer until both are queued, so that they share a group commit.
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

fn with_content(event_type: &str, data: &str, id: &str) -> NewEvent {
    let text = format!(r#"{{"type":"{event_type}","company":"acme","source":"api","id":"{id}","data":{data}}}"#);
    NewEvent::from_json(json::parse(&text).unwrap(), &Catalogue::new(Vec::new()).unwrap()).unwrap()
}

fn refusal(store: &Store, events: Vec<NewEvent>) -> Vec<(String, String)> {
    match ask(|reply| store.accept(events, reply)).unwrap_err() {
        StoreError::Invalid(invalid) => invalid.errors.into_iter().map(|error| (error.pointer, error.detail)).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn reusing_an_id_with_different_content_is_refused_and_nothing_is_stored() {
    const DATA: &str = r#"{"call_id":"c","n":1.50,"list":[1,2]}"#;
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open(dir.path());
    ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    let first = accept(&store, vec![with_content("call.new", DATA, "one")])[0];
    let copy = tempfile::tempdir().unwrap();
    copy_dir(dir.path(), copy.path());
    drop(store);
    running.stop();
    // The receipt survives a crash and a stop.
    for dir in [copy.path(), dir.path()] {
        let Open { store, running, .. } = open(dir);
        for same in [DATA, r#"{ "n": 15e-1, "list": [1, 2], "call_id": "\u0063" }"#] {
            let again = accept(&store, vec![with_content("call.new", same, "one")]);
            assert_eq!(again, [Accepted { duplicate: true, ..first }], "{same}");
        }
        for (event_type, data, named) in [
            ("call.new", r#"{"call_id":"c","n":1.50,"list":[2,1]}"#, "another `data`:"),
            ("call.missed", DATA, "another `type`:"),
            ("call.missed", r#"{"call_id":"d"}"#, "another `type` and another `data`:"),
        ] {
            let refused = refusal(&store, vec![event("x", None), with_content(event_type, data, "one")]);
            assert_eq!(refused.len(), 1);
            assert_eq!(refused[0].0, "/1/id");
            assert!(refused[0].1.contains(named) && refused[0].1.contains(&first.id.to_string()), "{refused:?}");
        }
        // Within one batch, too.
        let twice = ["{\"call_id\":\"a\"}", "{\"call_id\":\"b\"}"].map(|data| with_content("call.new", data, "two"));
        assert_eq!(refusal(&store, twice.to_vec())[0].0, "/1/id");
        assert_eq!(owed(&store), [1], "nothing was stored");
        let again = accept(&store, vec![with_content("call.new", "{\"call_id\":\"b\"}", "two")]);
        assert!(!again[0].duplicate, "the id of a refused batch is free");
        drop(store);
        running.stop();
    }
}

#[test]
fn a_version_1_receipt_gives_the_number_of_deliveries_without_content() {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open(dir.path());
    ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    let first = accept(&store, vec![event("c", Some("one"))])[0];
    let key = stored(&keys::producer("acme", "one"));
    let value = store.embedded().kv.get(&key).unwrap().unwrap();
    store.embedded().kv.put(key, value[..24].to_vec());
    let again = accept(&store, vec![event("another", Some("one"))]);
    assert_eq!(again, [Accepted { duplicate: true, ..first }]);
    running.stop();
}
