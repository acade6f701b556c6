//! Writes the data directory that later builds must be able to open, and what must be found in it.
//!
//! `cargo test --lib store::tests::frozen -- --ignored` writes `tests/frozen/v4/` anew. Run it only when the format
//! changes before a release; after one, a new format gets a directory of its own. `tests/e2e/upgrade.rs` opens a copy
//! with the real binary.

use std::fs;

use serde_json::json;

use super::*;
use crate::core::actor::{Actor, Via};
use crate::core::audit::{Action, Deed};
use crate::core::seal::Keyring;

/// Unicode, digits that must be preserved, and JSON escapes.
const DATA: &str = r#"{"call_id":"вызов-1","lead_name":"Zoë 電話 \"q\" \u00e9","n":1.50,"big":12345678901234567890}"#;

fn posted(company: &str, call: &str, id: &str, data: &str) -> NewEvent {
    let data = data.replace("вызов-1", call);
    let text = format!(
        r#"{{"type":"call.new","company":"{company}","domain":"www.{company}.example","source":"lead_connect","id":"{id}","data":{data}}}"#
    );
    NewEvent::from_json(json::parse(&text).unwrap(), &Catalogue::new(Vec::new()).unwrap()).unwrap()
}

fn wanted(text: &str) -> Draft {
    let patch = Patch::from_json(json::parse(text).unwrap(), &Catalogue::new(Vec::new()).unwrap()).unwrap();
    patch.into_draft(crate::core::subscription::Ordering::Call).unwrap()
}

fn start(dir: &Path) -> Open {
    let mut unstarted = Store::open(dir, settings(), Keyring::default(), NOW).unwrap_or_else(|error| panic!("{error}"));
    unstarted.limit_segment_bytes(9_000);
    let store = unstarted.store().clone();
    let (sender, changes) = mpsc::channel();
    let running = unstarted.start(|| NOW, move |_, change| drop(sender.send(change)), |why| panic!("{why}")).unwrap();
    Open { store, running, changes }
}

/// Accepts an event and finishes its deliveries with `status`, if given.
fn pass(open: &Open, event: NewEvent, status: Option<Status>) -> Accepted {
    let accepted = accept(&open.store, vec![event])[0];
    for delivery in open.store.event_deliveries(accepted.id).unwrap() {
        let Some(status) = status else { continue };
        let mut finish = finish(&delivery, status);
        let subscription = open.store.subscription(delivery.subscription).unwrap();
        finish.entry.subscription = subscription.id;
        finish.entry.company = subscription.company.clone();
        finish.entry.url = subscription.url.clone();
        finish.entry.response = Some(if status == Status::Delivered { 200 } else { 503 });
        finish.after.last_response = finish.entry.response;
        open.store.finish(finish);
        while !open.changes.recv().unwrap().iter().any(|change| matches!(change, StoreEvent::Finished(_))) {}
    }
    accepted
}

#[test]
#[ignore = "writes tests/frozen/v4 anew"]
fn write_the_frozen_directory() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen/v4");
    let data = root.join("data");
    drop(fs::remove_dir_all(&root));
    fs::create_dir_all(&data).unwrap();
    let open = start(&data);
    let acme = wanted(
        r#"{"company":"acme","url":"http://127.0.0.1:9/hook?k=1","events":["*"],"enabled":false,
            "description":"Büro 電話","headers":{"X-Key":"k"},"format":"form","max_in_flight":3}"#,
    );
    let globex = wanted(
        r#"{"company":"globex","domain":"www.globex.example","url":"https://www.globex.example/in","events":["call.new"],
            "sources":["lead_connect"],"enabled":false,"layout":"flat","ordering":"none"}"#,
    );
    let acme = ask(|reply| open.store.by(anyone()).create_subscription(acme, reply)).unwrap();
    let globex = ask(|reply| open.store.by(anyone()).create_subscription(globex, reply)).unwrap();
    let gone = ask(|reply| open.store.by(anyone()).create_subscription(draft("gone"), reply)).unwrap();
    ask(|reply| open.store.by(anyone()).rotate_secret(globex.id, None, Duration::from_secs(60), reply)).unwrap();
    ask(|reply| open.store.by(anyone()).delete_subscription(gone.id, reply)).unwrap();
    let mut events = Vec::new();
    let standings = [Some(Status::Delivered), Some(Status::Failed), Some(Status::Retrying), None];
    for n in 0..48 {
        let company = if n % 3 == 0 { "globex" } else { "acme" };
        let status = standings[n % 4];
        let (call, id) = (format!("вызов-{n}"), format!("id-{n}"));
        let accepted = pass(&open, posted(company, &call, &id, DATA), status);
        let state = status.map_or("pending", |status| status.as_str());
        events.push(json!({"id": accepted.id.to_string(), "company": company, "call": call, "producer_id": id,
            "state": state, "data": DATA.replace("вызов-1", &call)}));
    }
    drop(open.store);
    open.running.stop();
    // A restart, and a segment as a kill leaves it: the last checkpoint does not cover all of it.
    let open = start(&data);
    let accepted = pass(&open, posted("acme", "вызов-last", "id-last", DATA), None);
    events
        .push(json!({"id": accepted.id.to_string(), "company": "acme", "call": "вызов-last", "producer_id": "id-last",
        "state": "pending", "data": DATA.replace("вызов-1", "вызов-last")}));
    let subscriptions: Vec<_> = open
        .store
        .subscriptions()
        .iter()
        .map(|one| {
            json!({"id": one.id.to_string(), "company": one.company.as_str(), "url": one.url,
                "description": one.description, "secret": one.secret.reveal()})
        })
        .collect();
    assert_eq!(open.store.subscriptions()[0].id, acme.id);
    // Full segments are compressed in the background.
    while !open.store.embedded().wal.compressible(u32::MAX).is_empty() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let counts = open.store.counts();
    let facts = json!({
        "subscriptions": subscriptions,
        "events": events,
        "queue": {"pending": counts.pending, "retrying": counts.retrying, "failed": counts.failed},
        "log_entries": open.store.log(&LogFilter::default(), None, 500).unwrap().items.len(),
    });
    fs::write(root.join("facts.json"), serde_json::to_string_pretty(&facts).unwrap() + "\n").unwrap();
    let killed = root.join("killed");
    fs::create_dir(&killed).unwrap();
    copy_dir(&data, &killed);
    drop(open.store);
    open.running.stop();
    // The directory as a kill leaves it is the result.
    fs::remove_dir_all(&data).unwrap();
    fs::rename(&killed, &data).unwrap();
    // git does not store empty directories, and sled creates it again.
    fs::remove_dir(data.join("state/blobs")).unwrap();
}

/// What came with later kinds of records: the owners of a webhook, and the audit.
#[test]
#[ignore = "writes tests/frozen/v3-audit anew"]
fn write_the_frozen_directory_with_an_audit() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen/v3-audit");
    let data = root.join("data");
    drop(fs::remove_dir_all(&root));
    fs::create_dir_all(&data).unwrap();
    let open = start(&data);
    let draft = wanted(
        r#"{"company":"acme","url":"http://127.0.0.1:9/hook?k=1","events":["*"],"enabled":false,
            "description":"Büro 電話","notify":["it@acme.example"]}"#,
    );
    let actor =
        || Actor::token(crate::core::id::TokenId::from_bits(7), "Zoë").from(Via::Cli, Some([192, 0, 2, 7].into()));
    let made = ask(|reply| open.store.by(actor()).create_subscription(draft, reply)).unwrap();
    let patch = Patch::from_json(
        json::parse(r#"{"notify":["it@acme.example","boss@acme.example"]}"#).unwrap(),
        &Catalogue::new(Vec::new()).unwrap(),
    );
    ask(|reply| open.store.by(actor()).change_subscription(made.id, patch.unwrap(), reply)).unwrap();
    ask(|reply| open.store.by(actor()).note(Deed::to(Action::SecretShow, &made), reply)).unwrap();
    let accepted = pass(&open, posted("acme", "вызов-1", "id-1", DATA), None);
    let counts = open.store.counts();
    let facts = json!({
        "subscriptions": [{"id": made.id.to_string(), "company": "acme", "url": made.url,
            "description": made.description, "secret": made.secret.reveal()}],
        "events": [{"id": accepted.id.to_string(), "company": "acme", "call": "вызов-1", "producer_id": "id-1",
            "state": "pending", "data": DATA}],
        "queue": {"pending": counts.pending, "retrying": counts.retrying, "failed": counts.failed},
        "log_entries": 0,
        "audit": ["subscription.show_secret", "subscription.change", "subscription.create"],
    });
    fs::write(root.join("facts.json"), serde_json::to_string_pretty(&facts).unwrap() + "\n").unwrap();
    drop(open.store);
    open.running.stop();
    // git does not store empty directories, and sled creates it again.
    fs::remove_dir(data.join("state/blobs")).unwrap();
}
