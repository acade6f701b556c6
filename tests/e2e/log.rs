//! The log: filters, pages, one attempt in full, and exports.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::daemon::{Created, Daemon};
use crate::platform::{EVENT_TYPES, event, with};
use crate::receiver::{Answer, Receiver};

/// Number of entries made by [`fill`]: for acme 7 delivered; for globex 2 failed attempts and their deliveries.
const ENTRIES: usize = 11;

/// A log to filter; acme's subscription and globex's.
fn fill(daemon: &Daemon) -> (Receiver, Created, Created) {
    let receiver = Receiver::start(|request| match (request.path.as_str(), request.attempt()) {
        ("/globex", 1) => Answer::status(503).body("come again"),
        _ => Answer::status(200).body("thank you"),
    });
    let acme = daemon.subscribe(&receiver.url("/acme"), json!({}));
    let globex = daemon.subscribe(&receiver.url("/globex"), json!({"company": "globex"}));
    for event_type in EVENT_TYPES {
        daemon.accept(&event(event_type, "acme-1"));
    }
    for call in ["globex-1", "globex-2"] {
        let mut posted = with(event("call.missed", call), "company", "globex");
        posted["domain"] = json!("shop.globex.example");
        posted["data"]["lead_phone"] = json!("+12025550199");
        daemon.accept(&posted);
    }
    daemon.wait_for_list("/v1/log", ENTRIES);
    (receiver, acme, globex)
}

#[test]
fn the_log_is_filtered() {
    let daemon = Daemon::start();
    let (_receiver, acme, globex) = fill(&daemon);
    let of_acme = format!("subscription={}", acme.id);
    let of_globex = format!("subscription={}&status=retrying", globex.id);
    let cases = [
        ("company=acme", 7),
        ("company=globex", 4),
        ("company=initech", 0),
        ("domain=shop.globex.example", 4),
        (of_acme.as_str(), 7),
        (of_globex.as_str(), 2),
        ("event=call.missed", 5),
        ("event=call.new&company=acme", 1),
        ("status=delivered", 9),
        ("status=retrying", 2),
        ("status=failed", 0),
        ("response=503", 2),
        ("response=200", 9),
        ("call=globex-1", 2),
        ("phone=%2B12025550199", 4),
        ("phone=%2B12025550142", 7),
        ("test=true", 0),
        ("test=false", ENTRIES),
        ("since=2020-01-01T00:00:00Z", ENTRIES),
        ("since=2100-01-01T00:00:00Z", 0),
        ("until=2020-01-01T00:00:00Z", 0),
    ];
    let (posted, other) = (&daemon.list("/v1/events?company=globex")[0], &daemon.list("/v1/events?company=acme")[0]);
    let (id, call) = (posted["id"].as_str().unwrap(), posted["data"]["call_id"].as_str().unwrap());
    let of_event = [
        (format!("event_id={id}"), 2),
        (format!("event_id={id}&status=delivered"), 1),
        (format!("event_id={id}&call={call}&company=globex"), 2),
        (format!("event_id={id}&company=acme"), 0),
        (format!("event_id={}", other["id"].as_str().unwrap()), 1),
        ("event_id=evt_01K40000000000000000000000".to_owned(), 0),
    ];
    let cases = cases.into_iter().chain(of_event.iter().map(|(query, count)| (query.as_str(), *count)));
    let mut wrong = Vec::new();
    for (query, count) in cases {
        let found = daemon.list(&format!("/v1/log?{query}"));
        if found.len() != count {
            wrong.push(format!("{query}: expected {count}, came {}: {}", found.len(), json!(found)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let created = daemon.list("/v1/log?limit=1")[0]["created"].as_str().unwrap_or_default().to_owned();
    let before = daemon.list(&format!("/v1/log?until={created}")).len();
    let after = daemon.list(&format!("/v1/log?since={created}")).len();
    assert_eq!(before + after, ENTRIES, "`since` includes and `until` excludes {created}");
}

#[test]
fn events_and_log_are_found_by_the_ids_of_an_event() {
    let daemon = Daemon::start();
    let (_receiver, ..) = fill(&daemon);
    let mut posted = event("call.missed", "own-1");
    posted["id"] = json!("order 17/é");
    let id = daemon.accept(&posted)["id"].as_str().unwrap_or_default().to_owned();
    let entries = daemon.wait_for_list("/v1/log?call=own-1", 1);
    let own = "producer_id=order%2017%2F%C3%A9";
    let count = |path: String| daemon.list(&path).len();
    for scope in ["", "&company=acme", "&type=call.missed"] {
        let found = daemon.list(&format!("/v1/events?{own}{scope}"));
        assert!(found.len() == 1 && found[0]["id"] == id.as_str(), "{scope}: {found:?}");
    }
    assert_eq!(count(format!("/v1/events?event_id={id}")), 1);
    assert_eq!(count(format!("/v1/events?event_id={id}&type=call.new")), 0);
    assert_eq!(count(format!("/v1/events?{own}&company=globex")), 0);
    assert_eq!(count("/v1/events?producer_id=order".to_owned()), 0);
    for scope in ["", "&company=acme"] {
        let found = daemon.list(&format!("/v1/log?{own}{scope}"));
        assert!(found.len() == 1 && found[0]["id"] == entries[0]["id"], "{scope}: {found:?}");
    }
    assert_eq!(count(format!("/v1/log?{own}&company=globex")), 0);
    assert_eq!(count("/v1/log?producer_id=nobody".to_owned()), 0);
    daemon.api().get("/v1/log?event_id=17").expect_problem(&[422]);
}

/// All items of a list, page by page.
fn pages(daemon: &Daemon, list: &str, limit: usize) -> Vec<Value> {
    let mut all = Vec::new();
    let mut path = format!("{list}?limit={limit}");
    loop {
        let reply = daemon.api().get(&path).expect(200);
        let page = crate::daemon::items(&reply);
        let next = reply.json()["next"].clone();
        assert!(page.len() <= limit, "a page of {} with limit {limit}", page.len());
        all.extend(page);
        let Some(cursor) = next.as_str() else {
            assert!(next.is_null(), "next is {next}");
            return all;
        };
        assert!(all.len() < 1_000, "pages without end");
        let cursor: String = url::form_urlencoded::byte_serialize(cursor.as_bytes()).collect();
        path = format!("{list}?limit={limit}&cursor={cursor}");
    }
}

#[test]
fn lists_are_paged_newest_first_without_gap_or_repeat() {
    let daemon = Daemon::start();
    let (_receiver, ..) = fill(&daemon);
    for (list, count) in [("/v1/log", ENTRIES), ("/v1/events", 9)] {
        let whole = daemon.list(&format!("{list}?limit=500"));
        assert_eq!(whole.len(), count, "{list}");
        let ids: Vec<_> = whole.iter().map(|item| item["id"].as_str().unwrap_or_default().to_owned()).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), count, "{list} repeats an id");
        assert!(ids.is_sorted_by(|a, b| a > b), "{list} is not newest first: {ids:?}");
        for limit in [1, 4, count, count + 1] {
            assert_eq!(pages(&daemon, list, limit), whole, "{list} with pages of {limit}");
        }
    }
    daemon.accept(&event("call.new", "acme-2"));
    let page = daemon.api().get("/v1/log?limit=4").expect(200).json();
    let cursor = page["next"].as_str().unwrap_or_default().to_owned();
    daemon.api().get(&format!("/v1/log?limit=4&cursor={cursor}&company=acme")).expect_success();
}

#[test]
fn every_list_has_pages() {
    let daemon = Daemon::start();
    let (_receiver, ..) = fill(&daemon);
    for phone in ["+12025550111", "+12025550122"] {
        daemon.api().post("/v1/erase", &json!({"company": "acme", "phone": phone})).expect(202);
        daemon.api().post("/v1/tokens", &json!({"role": "read"})).expect(201);
        daemon
            .api()
            .post(
                "/v1/messages",
                &json!({"company": "acme", "source": "api", "call_id": phone,
            "direction": "outbound", "from": "+12025550100", "to": phone, "body": "Still there?"}),
            )
            .expect(202);
    }
    for list in [
        "/v1/events",
        "/v1/subscriptions",
        "/v1/deliveries",
        "/v1/event-types",
        "/v1/conversations",
        "/v1/calls",
        "/v1/tokens",
        "/v1/erase",
    ] {
        let whole = daemon.list(&format!("{list}?limit=500"));
        assert!(whole.len() > 1, "{list} has {}", whole.len());
        let name = |item: &Value| ["id", "call", "name"].map(|member| item[member].clone());
        let paged: Vec<_> = pages(&daemon, list, 1).iter().map(name).collect();
        assert_eq!(paged, whole.iter().map(name).collect::<Vec<_>>(), "{list}");
        daemon.api().get(&format!("{list}?limit=501")).expect_problem(&[422]);
    }
}

#[test]
fn one_entry_shows_its_request_and_its_response() {
    let daemon = Daemon::start();
    let (receiver, _, globex) = fill(&daemon);
    let entry = daemon.list("/v1/log?call=globex-1&response=503")[0].clone();
    let id = entry["id"].as_str().unwrap_or_default().to_owned();
    let check = |daemon: &Daemon| {
        let reply = daemon.api().get(&format!("/v1/log/{id}")).expect(200);
        let whole = reply.json();
        for name in ["id", "created", "event", "status", "response", "attempt", "delivery", "subscription"] {
            assert_eq!(whole[name], entry[name], "{name}: {reply:?}");
        }
        let request = receiver.requests_to("/globex").into_iter().find(|r| r.call() == "globex-1").expect("it arrived");
        assert_eq!(whole["request"]["body"], request.text(), "{reply:?}");
        let text = reply.text().to_lowercase();
        for shown in ["come again", "webhook-signature", "content-type", "hookswitch-delivery"] {
            assert!(text.contains(shown), "{shown}: {reply:?}");
        }
    };
    check(&daemon);
    check(&daemon.kill().start());
    assert!(entry["next_attempt"].is_string(), "when it is tried again: {entry}");
    assert_eq!(entry["url"], receiver.url("/globex"), "{entry}");
    assert_eq!(entry["subscription"], globex.id.as_str(), "{entry}");
}

#[test]
fn the_log_is_exported_as_csv_and_ndjson() {
    let daemon = Daemon::start();
    let (_receiver, ..) = fill(&daemon);
    let whole = daemon.list("/v1/log?limit=500");
    let export = |kind: &str, query: &str| {
        let reply = daemon.api().request("GET", &format!("/v1/log{query}"), &[("accept", kind)], b"").expect(200);
        assert!(reply.header("content-type").is_some_and(|came| came.starts_with(kind)), "{reply:?}");
        reply.text()
    };
    let lines: Vec<Value> =
        export("application/x-ndjson", "").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids = |entries: &[Value]| entries.iter().map(|entry| entry["id"].to_string()).collect::<BTreeSet<_>>();
    assert_eq!(lines.len(), ENTRIES);
    assert_eq!(ids(&lines), ids(&whole));

    let text = export("text/csv", "");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let columns: Vec<_> = reader.headers().unwrap().iter().map(str::to_lowercase).collect();
    for wanted in ["response", "created", "event", "status"] {
        assert!(columns.contains(&wanted.to_owned()), "column {wanted} of {columns:?}");
    }
    let place = |name: &str| columns.iter().position(|column| column == name).unwrap();
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), ENTRIES, "{text}");
    let retrying = rows.iter().filter(|row| &row[place("status")] == "retrying" && &row[place("response")] == "503");
    assert_eq!(retrying.count(), 2, "{text}");
    assert_eq!(export("application/x-ndjson", "?company=globex").lines().count(), 4, "filters hold for exports too");
}

#[test]
fn an_export_is_not_cut_at_a_page() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    daemon.subscribe(&receiver.url("/"), json!({}));
    let lines: String = (0..700).map(|n| event("call.new", &format!("c{n}")).to_string() + "\n").collect();
    daemon
        .api()
        .request("POST", "/v1/events", &[("content-type", "application/x-ndjson")], lines.as_bytes())
        .expect(202);
    receiver.wait_for(700);
    crate::wait::eventually("an export of 700 lines", || {
        let reply = daemon.api().request("GET", "/v1/log", &[("accept", "application/x-ndjson")], b"").expect(200);
        let count = reply.text().lines().count();
        if count == 700 { Ok(()) } else { Err(format!("{count} lines")) }
    });
}
