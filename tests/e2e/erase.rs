//! Erasing a person's data: removed from everything shown and sent at once, and shortly after from the disk; counts
//! stay.

use std::path::Path;

use serde_json::{Value, json};

use crate::daemon::{Daemon, Home, contents};
use crate::engine::has_directory;
use crate::platform::{event, with};
use crate::receiver::{Answer, Received, Receiver};
use crate::wait::eventually;

const LEAD: &str = "+12025550143";
const OTHER: &str = "+12025550199";

fn of_lead(event_type: &str, call: &str, phone: &str, name: &str) -> Value {
    let mut event = event(event_type, call);
    event["data"]["lead_phone"] = json!(phone);
    event["data"]["lead_name"] = json!(name);
    event
}

fn sms(call: &str, direction: &str, lead: &str, body: &str) -> Value {
    let (from, to) = if direction == "inbound" { (lead, "+12025550100") } else { ("+12025550100", lead) };
    json!({"company": "acme", "source": "api", "call_id": call, "direction": direction, "from": from, "to": to,
        "body": body, "lead": {"email": format!("{call}@mail.example")},
        "media": [{"url": format!("https://media.example/{call}.jpg"), "content_type": "image/jpeg"}]})
}

/// Two people's calls, one delivered to a receiver that echoes requests, and one waiting for a receiver that is down.
fn fill(daemon: &Daemon) -> (Receiver, Receiver) {
    let echo = Receiver::start(|request| Answer::status(200).body(request.text()));
    let down = Receiver::start(|_| Answer::status(503).body("come again"));
    daemon.subscribe(&echo.url("/"), json!({}));
    daemon.subscribe(&down.url("/"), json!({"ordering": "none"}));
    daemon.accept(&of_lead("call.new", "dana-1", LEAD, "Dana Whitfield"));
    daemon.accept(&of_lead("call.new", "lee-1", OTHER, "Lee Sanders"));
    // Without its own number, but of the same call.
    let mut claimed = event("call.claimed", "dana-1");
    claimed["data"] = json!({"call_id": "dana-1", "note": "Dana Whitfield is waiting", "agent_id": 77});
    daemon.accept(&claimed);
    for (call, lead) in [("dana-1", LEAD), ("lee-1", OTHER)] {
        daemon.api().post("/v1/messages", &sms(call, "outbound", lead, "Shall we?")).expect(202);
        let raised =
            daemon.api().post("/v1/messages", &sms(call, "inbound", lead, &format!("secret of {call}"))).expect(202);
        assert!(raised.json()["event"].is_string(), "{raised:?}");
    }
    echo.wait_for(5);
    daemon.wait_for_list("/v1/log?status=delivered", 5);
    eventually("attempts at the one that is down", || {
        if daemon.list("/v1/log?status=retrying").is_empty() { Err(String::new()) } else { Ok(()) }
    });
    (echo, down)
}

/// The person's words that occur in `text`.
fn traces(text: &str) -> Vec<&'static str> {
    [LEAD, "Dana Whitfield", "dana-1@mail.example", "secret of dana-1", "media.example/dana-1"]
        .into_iter()
        .filter(|word| text.contains(word))
        .collect()
}

/// The files of the data directory that contain one of the person's words.
fn files_with_traces(data: &Path) -> Vec<String> {
    let files = contents(data).into_iter().filter(|(_, bytes)| !traces(&String::from_utf8_lossy(bytes)).is_empty());
    files.map(|(path, _)| path.display().to_string()).collect()
}

fn check_what_is_shown(daemon: &Daemon) {
    for path in ["/v1/events", "/v1/conversations", "/v1/conversations/dana-1?company=acme", "/v1/log"] {
        let text = daemon.api().get(path).expect(200).text();
        assert_eq!(traces(&text), Vec::<&str>::new(), "{path}: {text}");
    }
    let entries = daemon.list("/v1/log?call=dana-1&limit=500");
    assert!(!entries.is_empty());
    for entry in entries {
        let id = entry["id"].as_str().unwrap_or_default();
        let text = daemon.api().get(&format!("/v1/log/{id}")).expect(200).text();
        assert_eq!(traces(&text), Vec::<&str>::new(), "{text}");
    }
    assert!(daemon.list("/v1/events?phone=%2B12025550143").is_empty());
    assert!(daemon.list("/v1/conversations?phone=%2B12025550143").is_empty());
    // Counts stay, and the other person.
    assert_eq!(daemon.list("/v1/events").len(), 5);
    let thread = daemon.api().get("/v1/conversations/dana-1?company=acme").expect(200).json();
    assert_eq!((&thread["message_count"], thread["messages"].as_array().map(Vec::len)), (&json!(2), Some(2)));
    assert!(thread["messages"][0]["erased_at"].is_string(), "{thread}");
    let other = daemon.api().get("/v1/conversations/lee-1?company=acme").expect(200).text();
    assert!(other.contains("secret of lee-1") && other.contains(OTHER), "{other}");
    assert_eq!(daemon.list("/v1/events?phone=%2B12025550199").len(), 2);
}

fn wait_until_done(daemon: &Daemon) -> Value {
    eventually("the erasure to be done", || {
        let all = daemon.list("/v1/erase");
        if all[0]["done_at"].is_string() { Ok(all[0].clone()) } else { Err(json!(all).to_string()) }
    })
}

#[test]
fn an_erased_person_is_gone_from_views_deliveries_and_disk() {
    let daemon = Daemon::start();
    let (echo, _down) = fill(&daemon);
    let there = files_with_traces(&daemon.home().data());
    assert_eq!(there.is_empty(), !has_directory(), "there was something to be erased: {there:?}");
    let erased = daemon.api().post("/v1/erase", &json!({"company": "acme", "phone": LEAD})).expect(202).json();
    assert_eq!((&erased["events"], &erased["cancelled"], &erased["done_at"]), (&json!(3), &json!(3), &Value::Null));
    check_what_is_shown(&daemon);
    let done = wait_until_done(&daemon);
    assert_eq!((&done["events"], &done["messages"]), (&json!(3), &json!(2)), "{done}");
    check_what_is_shown(&daemon);
    assert_eq!(files_with_traces(&daemon.home().data()), Vec::<String>::new());
    assert_eq!(daemon.list("/v1/deliveries?state=cancelled").len(), 3);
    // Later events are new, and are sent complete.
    daemon.accept(&of_lead("call.new", "dana-2", LEAD, "Dana Whitfield"));
    assert_eq!(daemon.list("/v1/events?phone=%2B12025550143").len(), 1);
    let new = |request: &std::sync::Arc<Received>| request.call() == "dana-2" && request.text().contains(LEAD);
    echo.wait_until("the new one", |requests| requests.iter().any(new));
    let (home, exit) = daemon.stop();
    exit.expect(0);
    let daemon = home.start();
    assert_eq!(daemon.list("/v1/events?phone=%2B12025550143").len(), 1);
    assert_eq!(daemon.list("/v1/erase").len(), 1);
}

#[test]
fn an_erasure_survives_kill_9_and_deliveries_go_out_without_the_data() {
    let daemon = Home::new().start();
    let (_echo, down) = fill(&daemon);
    let order = json!({"company": "acme", "phone": LEAD, "deliveries": "deliver"});
    daemon.api().post("/v1/erase", &order).expect(202);
    down.begin_anew();
    let daemon = daemon.kill().start();
    check_what_is_shown(&daemon);
    wait_until_done(&daemon);
    check_what_is_shown(&daemon);
    let requests = down.wait_until("attempts after the erasure", |requests| {
        let mut calls: Vec<String> = requests.iter().map(|request| request.call()).collect();
        calls.sort_unstable();
        calls.dedup();
        calls.len() == 2
    });
    for request in requests.iter().filter(|request| request.call() == "dana-1") {
        assert_eq!(traces(&request.text()), Vec::<&str>::new(), "{request:?}");
    }
    let (home, exit) = daemon.stop();
    exit.expect(0);
    assert_eq!(files_with_traces(&home.data()), Vec::<String>::new());
}

#[test]
fn a_person_whose_number_is_written_as_a_number_is_found_and_erased() {
    let daemon = Daemon::start();
    let mut digits = of_lead("call.new", "dana-1", "", "Dana Whitfield");
    digits["data"]["lead_phone"] = json!(12_025_550_143_u64);
    daemon.accept(&digits);
    assert_eq!(daemon.list("/v1/events?phone=12025550143").len(), 1);
    daemon.api().post("/v1/erase", &json!({"company": "acme", "phone": "12025550143"})).expect(202);
    assert_eq!(daemon.list("/v1/events")[0]["data"]["lead_name"], Value::Null);
    assert_eq!(wait_until_done(&daemon)["events"], 1);
}

#[test]
fn faults_of_an_erasure_are_named() {
    let daemon = Daemon::start();
    for (order, pointer) in [
        (json!({"company": "acme"}), "/phone"),
        (json!({"phone": LEAD}), "/company"),
        (with(json!({"company": "acme", "phone": LEAD}), "deliveries", "drop"), "/deliveries"),
    ] {
        let problem = daemon.api().post("/v1/erase", &order).expect_problem(&[422]);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    let nothing = daemon.api().post("/v1/erase", &json!({"company": "acme", "phone": LEAD})).expect(202).json();
    assert_eq!((&nothing["events"], &nothing["cancelled"]), (&json!(0), &json!(0)));
    wait_until_done(&daemon);
}
