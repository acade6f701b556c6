//! Conversations: atomicity of message and event, repeated posts, long threads, page size.

use serde_json::Value;

use super::*;
use crate::core::conversation::NewMessage;
use crate::engine::embedded::frame;

/// A message of a call of `acme`, sent `at` milliseconds after the start of the thread.
pub(crate) fn message(call: &str, id: Option<&str>, direction: &str, at: u64, body: &str) -> NewMessage {
    let (from, to) = if direction == "outbound" { ("+100", "+143") } else { ("+143", "+100") };
    let sent_at = Timestamp::from_millis(NOW.millis() - 1_000_000 + at);
    let text = serde_json::json!({
        "company": "acme", "source": "api", "call_id": call, "id": id, "direction": direction,
        "from": from, "to": to, "body": body, "sent_at": sent_at.to_string(),
    });
    NewMessage::from_json(json::parse(&text.to_string()).unwrap(), NOW).unwrap()
}

pub(crate) fn post(store: &Store, message: NewMessage) -> PostedMessage {
    let prepared = store.prepare_message(message, NOW).unwrap();
    ask(|reply| store.post_message(prepared, reply)).unwrap()
}

fn try_post(store: &Store, message: NewMessage) -> Result<PostedMessage, StoreError> {
    let prepared = store.prepare_message(message, NOW).unwrap();
    ask(|reply| store.post_message(prepared, reply))
}

fn data(store: &Store, event: EventId) -> Value {
    serde_json::from_str(&store.event(event).unwrap().unwrap().data).unwrap()
}

fn bodies(store: &Store, call: &str) -> Vec<String> {
    let call = CallId::parse(call).unwrap();
    let Some(found) = store.conversation(&Company::parse("acme").unwrap(), &call).unwrap() else { return Vec::new() };
    store.messages(&found.thread, None).unwrap().items.into_iter().map(|message| message.body).collect()
}

fn texts(data: &Value) -> Vec<&str> {
    data["conversation"].as_array().unwrap().iter().map(|item| item["body"].as_str().unwrap()).collect()
}

#[test]
fn a_reply_raises_its_event_with_known_facts_and_both_survive_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open(dir.path());
    ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    let known = r#"{"type":"call.new","company":"acme","domain":"www.acme.example","source":"api",
        "data":{"call_id":"a","lead_name":"Dana","lead_email":"d@mail.example","widget_id":1042}}"#;
    let known = NewEvent::from_json(json::parse(known).unwrap(), &Catalogue::new(Vec::new()).unwrap()).unwrap();
    accept(&store, vec![known]);
    let first = post(&store, message("a", Some("m1"), "outbound", 10, "Shall we?"));
    assert_eq!((first.messages, first.event, first.duplicate), (1, None, false));
    let late = post(&store, message("a", Some("m0"), "inbound", 5, "Hello?"));
    assert_eq!((late.conversation, late.event), (first.conversation, None), "sent before the first outbound message");
    let reply = post(&store, message("a", Some("m2"), "inbound", 10, "Yes"));
    let event = reply.event.unwrap();
    let copy = tempfile::tempdir().unwrap();
    copy_dir(dir.path(), copy.path());
    drop(store);
    running.stop();
    for dir in [copy.path(), dir.path()] {
        let Open { store, running, .. } = open(dir);
        let data = data(&store, event);
        assert_eq!(texts(&data), ["Hello?", "Shall we?", "Yes"]);
        assert_eq!((&data["lead_name"], &data["lead_email"]), (&Value::from("Dana"), &Value::from("d@mail.example")));
        assert_eq!((&data["lead_phone"], &data["widget_id"]), (&Value::from("+143"), &Value::from(1042)));
        assert_eq!(store.event(event).unwrap().unwrap().domain, Domain::parse("www.acme.example").ok());
        assert_eq!(owed(&store), [1, 2], "the event is delivered, too");
        let again = post(&store, message("a", Some("m2"), "inbound", 10, "Yes"));
        assert_eq!(again, PostedMessage { duplicate: true, ..reply });
        // Ids are unique per company, not per call; and different content is a conflict.
        for (call, direction, body, named) in [
            ("b", "inbound", "Yes", "`call_id`"),
            ("a", "inbound", "No", "`body`"),
            ("a", "outbound", "Yes", "`direction`"),
        ] {
            let StoreError::Invalid(invalid) =
                try_post(&store, message(call, Some("m2"), direction, 10, body)).unwrap_err()
            else {
                panic!("another error")
            };
            assert_eq!(invalid.errors[0].pointer, "/id");
            assert!(invalid.errors[0].detail.contains(named), "{invalid}");
        }
        assert_eq!(bodies(&store, "a"), ["Hello?", "Shall we?", "Yes"]);
        let more = post(&store, message("a", None, "inbound", 7, "sent before"));
        assert_eq!((more.messages, more.event), (4, None));
        let more = post(&store, message("a", None, "inbound", 12, "And?"));
        assert_eq!(
            texts(&self::data(&store, more.event.unwrap())),
            ["Hello?", "sent before", "Shall we?", "Yes", "And?"]
        );
        drop(store);
        running.stop();
    }
}

/// The log cut at points within the atomic unit of a reply and its event.
#[test]
fn a_cut_leaves_a_message_with_its_event_or_neither() {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open(dir.path());
    ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    post(&store, message("a", Some("m1"), "outbound", 10, "Shall we?"));
    drop(store);
    running.stop();
    let before = tempfile::tempdir().unwrap();
    copy_dir(dir.path(), before.path());
    let journal = |dir: &Path| dir.join("journal/000001.log");
    let start = std::fs::metadata(journal(before.path())).unwrap().len() as usize;
    let Open { store, running, .. } = open(dir.path());
    let event = post(&store, message("a", Some("m2"), "inbound", 11, "Yes")).event.unwrap();
    drop(store);
    running.stop();
    let bytes = std::fs::read(journal(dir.path())).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for end in (start..bytes.len()).step_by(97).chain([start, bytes.len() - 1, bytes.len()]) {
        let cut = tempfile::tempdir().unwrap();
        copy_dir(before.path(), cut.path());
        std::fs::write(journal(cut.path()), &bytes[..end]).unwrap();
        let Open { store, running, .. } = open(cut.path());
        let stored = bodies(&store, "a") == ["Shall we?", "Yes"];
        assert_eq!(store.event(event).unwrap().is_some(), stored, "cut at {end}");
        let again = post(&store, message("a", Some("m2"), "inbound", 11, "Yes"));
        assert_eq!((again.duplicate, again.event.is_some()), (stored, true), "cut at {end}");
        seen.insert(stored);
        drop(store);
        running.stop();
    }
    assert_eq!(seen.len(), 2, "both outcomes were seen");
}

#[test]
fn messages_of_one_group_commit_see_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open(dir.path());
    let (sender, answers) = mpsc::channel();
    for n in 0..200u64 {
        let direction = if n % 2 == 0 { "outbound" } else { "inbound" };
        let posted = message("a", Some(&n.to_string()), direction, 1_000 - n, &n.to_string());
        let posted = NewMessage { sent_at: Some(Timestamp::from_millis(NOW.millis() - 1_000 + n)), ..posted };
        let prepared = store.prepare_message(posted, NOW).unwrap();
        let sender = sender.clone();
        store.post_message(prepared, Box::new(move |reply| sender.send(reply).unwrap())).unwrap();
    }
    for (n, posted) in answers.iter().take(200).enumerate() {
        let posted = posted.unwrap();
        assert_eq!((posted.messages, posted.event.is_some()), (n as u64 + 1, n % 2 == 1));
        let Some(event) = posted.event else { continue };
        let wanted: Vec<String> = (0..=n).map(|n| n.to_string()).collect();
        assert_eq!(texts(&data(&store, event)), wanted);
    }
    drop(store);
    running.stop();
}

#[test]
fn a_message_of_a_long_thread_costs_no_more_than_its_event() {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open(dir.path());
    post(&store, message("a", None, "outbound", 0, "Shall we?"));
    let (sender, answers) = mpsc::channel();
    let count = 10_000u64;
    for n in 1..count {
        let prepared = store.prepare_message(message("a", None, "outbound", n, &format!("{n:0>150}")), NOW).unwrap();
        let sender = sender.clone();
        store.post_message(prepared, Box::new(move |reply| sender.send(reply.unwrap()).unwrap())).unwrap();
        if n > 200 {
            answers.recv().unwrap();
        }
    }
    // Without the preallocated space after the records.
    let length = |dir: &Path| frame::written(&std::fs::read(dir.join("journal/000001.log")).unwrap());
    let reply = post(&store, message("a", None, "inbound", count, "Yes"));
    let before = length(dir.path());
    let plain = post(&store, message("a", None, "outbound", count + 1, "Fine"));
    assert!(length(dir.path()) - before < 1_000, "a plain message writes itself alone");
    assert_eq!(plain.messages, reply.messages + 1);
    let data = data(&store, reply.event.unwrap());
    assert_eq!(data["message_count"], Value::from(reply.messages));
    assert_eq!(data["conversation_truncated"], Value::from(true));
    let shown = texts(&data);
    assert!(shown.len() > 2_000 && shown.last() == Some(&"Yes"), "{}", shown.len());
    let text = store.event(reply.event.unwrap()).unwrap().unwrap().data;
    assert!(
        text.len() <= settings().max_data_bytes && text.len() > settings().max_data_bytes - 1_000,
        "{}",
        text.len()
    );
    drop(store);
    running.stop();
    // Read from the log, it is the same.
    let Open { store, running, .. } = open(dir.path());
    let again = post(&store, message("a", None, "inbound", count + 2, "Yes!"));
    let anew = self::data(&store, again.event.unwrap());
    let (old, new) = (texts(&data), texts(&anew));
    assert_eq!(old[old.len() - 100..], new[new.len() - 102..new.len() - 2]);
    drop(store);
    running.stop();
}

#[test]
fn a_page_of_threads_with_long_messages_ends_early() {
    const COUNT: usize = 20;
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open(dir.path());
    let body = "x".repeat(60 * 1024);
    for n in 0..COUNT {
        post(&store, message(&format!("c{n}"), None, "outbound", n as u64, &body));
    }
    for phone in [None, Some("+143".to_owned())] {
        let filter = ConversationFilter { phone, ..ConversationFilter::default() };
        let first = store.conversations(&filter, None, 500).unwrap();
        assert!(first.items.len() < COUNT && first.items.len() * body.len() <= 1 << 20, "{}", first.items.len());
        assert!(first.items.len() > COUNT / 2 && first.next.is_some(), "{}", first.items.len());
        let rest = store.conversations(&filter, first.next, 500).unwrap();
        let mut calls: Vec<_> = first.items.iter().chain(&rest.items).map(|one| one.thread.call.clone()).collect();
        calls.dedup();
        assert_eq!((calls.len(), rest.next), (COUNT, None), "each once");
    }
    drop(store);
    running.stop();
}
