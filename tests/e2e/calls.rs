//! Calls: found by phone, shown with a timeline, and counted in the report, across a restart.

use serde_json::{Value, json};

use crate::client::Client;
use crate::daemon::{Daemon, hookswitch, items, run};
use crate::platform::{event, with};
use crate::receiver::{Answer, Receiver};

/// An event of a call of 2026-11-20, this many seconds after nine o'clock.
fn at(event_type: &str, call: &str, seconds: u64, more: &Value) -> Value {
    let time = format!("2026-11-20T09:{:02}:{:02}Z", seconds / 60, seconds % 60);
    let mut posted = with(event(event_type, call), "occurred_at", time.as_str());
    if let (Some(data), Some(more)) = (posted["data"].as_object_mut(), more.as_object()) {
        data.extend(more.clone());
    }
    posted
}

fn post_calls(daemon: &Daemon) {
    for (call, wait) in [("r-1", 10), ("r-2", 20), ("r-3", 60)] {
        daemon.accept(&at("call.new", call, 0, &json!({})));
        daemon.accept(&at("call.claimed", call, wait, &json!({"agent_id": 77})));
        daemon.accept(&at("call.connected", call, wait + 5, &json!({"agent_id": 77})));
        let ended = json!({"agent_id": 77, "duration": wait * 3, "callstatus": "finished"});
        daemon.accept(&at("call.finished", call, wait + 65, &ended));
    }
    daemon.accept(&at("call.new", "r-4", 0, &json!({})));
    daemon.accept(&at("call.missed", "r-4", 45, &json!({"callstatus": "missed"})));
    // Repetitions do not count.
    daemon.accept(&at("call.missed", "r-4", 90, &json!({"callstatus": "missed again"})));
}

fn check_report(daemon: &Daemon) {
    let report = daemon.api().get("/v1/report/calls?company=acme").expect(200).json();
    let totals = &report["totals"];
    assert_eq!((&report["by"], &report["exact"]), (&json!("day"), &json!(true)));
    assert_eq!((&totals["calls"], &totals["events"]["call.new"]), (&json!(4), &json!(4)), "{report}");
    assert_eq!((&totals["events"]["call.missed"], &totals["events"]["call.scheduled"]), (&json!(1), &json!(0)));
    assert_eq!((&totals["connection_rate"], &totals["missed_rate"]), (&json!(0.75), &json!(0.25)));
    assert_eq!(totals["time_to_claim"], json!({"calls": 3, "median_seconds": 20.0, "p90_seconds": 60.0}));
    assert_eq!(totals["duration"]["median_seconds"], 60.0);
    assert_eq!(totals["outcomes"], json!({"finished": 3, "missed": 1}));
    assert!(totals["sms"]["reply_rate"].is_null() && totals["sms"]["time_to_reply"]["median_seconds"].is_null());
    let buckets = report["buckets"].as_array().map_or(0, Vec::len);
    assert_eq!((buckets, &report["buckets"][0]["bucket"]), (1, &json!("2026-11-20")));
}

#[test]
fn the_report_counts_each_call_once_also_after_a_restart() {
    let daemon = Daemon::start();
    post_calls(&daemon);
    check_report(&daemon);
    let daemon = daemon.kill().start();
    check_report(&daemon);
    let by_agent = daemon.api().get("/v1/report/calls?by=agent&agent=77").expect(200).json();
    assert_eq!((&by_agent["totals"]["calls"], &by_agent["buckets"][0]["bucket"]), (&json!(3), &json!("77")));
    for (query, calls) in [
        ("company=globex", 0),
        ("by=hour&since=2026-11-20T09:30:00Z&until=2026-11-20T09:40:00Z", 4),
        ("since=2026-11-20T10:00:00Z", 0),
        ("until=2026-11-20T09:00:00Z", 0),
        ("domain=www.acme.example&source=widget", 4),
        ("source=api", 0),
    ] {
        let report = daemon.api().get(&format!("/v1/report/calls?{query}")).expect(200).json();
        assert_eq!(report["totals"]["calls"], calls, "{query}: {report}");
    }
    for (query, at) in [("by=week", "?by"), ("compny=acme", "?compny"), ("since=yesterday", "?since")] {
        let problem = daemon.api().get(&format!("/v1/report/calls?{query}")).expect(422).json();
        assert_eq!(problem["errors"][0]["pointer"], at);
    }
    let csv = daemon.api().request("GET", "/v1/report/calls", &[("Accept", "text/csv")], b"").expect(200);
    let text = csv.text();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("day,Calls,call.new,") && lines[1].starts_with("2026-11-20,4,4,"), "{text}");
    assert!(lines.len() == 3 && lines[2].starts_with("total,4,4,"), "{text}");
}

#[test]
fn a_call_is_found_by_its_phone_and_shown_on_one_time_line() {
    let daemon = Daemon::start();
    let receiver = Receiver::start(|request| match request.attempt() {
        1 if request.path == "/b" => Answer::status(503),
        _ => Answer::status(200),
    });
    let first = daemon.subscribe(&receiver.url("/a"), json!({}));
    daemon.subscribe(&receiver.url("/b"), json!({"events": ["call.missed"]}));
    daemon.accept(&at("call.new", "t-1", 0, &json!({"lead_phone": "+12025550111", "lead_name": "Dana"})));
    daemon.accept(&at("call.missed", "t-1", 45, &json!({"lead_phone": "+12025550111", "lead_name": "Dana"})));
    daemon.accept(&at("call.new", "t-2", 0, &json!({"lead_phone": "+12025550122"})));
    let other = with(at("call.new", "t-1", 0, &json!({"lead_phone": "+12025550111"})), "company", "globex");
    daemon.accept(&other);
    daemon.wait_for_list("/v1/log?call=t-1", 4);

    let call = daemon.api().get("/v1/calls/t-1?company=acme").expect(200).json();
    assert_eq!(
        (&call["state"], &call["name"], &call["events"]),
        (&json!("missed"), &json!("Dana"), &json!(["call.new", "call.missed"]))
    );
    let line: Vec<(String, String)> = call["timeline"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|moment| {
            let of = &moment["of"];
            let what = if moment["kind"] == "event" { &of["type"] } else { &of["status"] };
            (moment["kind"].as_str().unwrap_or_default().to_owned(), what.as_str().unwrap_or_default().to_owned())
        })
        .collect();
    let events: Vec<&str> = line.iter().filter(|(kind, _)| kind == "event").map(|(_, what)| what.as_str()).collect();
    assert_eq!(events, ["call.new", "call.missed"]);
    assert_eq!(line.iter().filter(|(_, what)| what == "retrying").count(), 1, "{call}");
    assert_eq!(line.iter().filter(|(_, what)| what == "delivered").count(), 3, "{call}");
    let mut owed: Vec<usize> = call["subscriptions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| one["deliveries"].as_array().map_or(0, Vec::len))
        .collect();
    owed.sort_unstable();
    assert_eq!(owed, [1, 2]);
    assert!(call["subscriptions"].to_string().contains(&first.id));

    let problem = daemon.api().get("/v1/calls/t-1").expect(422).json();
    assert_eq!(problem["errors"][0]["pointer"], "?company");
    assert_eq!(daemon.api().get("/v1/calls/t-2").expect(200).json()["company"], "acme");
    for path in ["/v1/calls/t-2?company=globex", "/v1/calls/t-9", "/v1/calls/t-9?company=acme"] {
        daemon.api().get(path).expect(404);
    }
    let found = |query: &str| -> Vec<String> {
        let list = items(&daemon.api().get(&format!("/v1/calls?{query}")).expect(200));
        list.iter()
            .map(|call| format!("{} {}", call["company"].as_str().unwrap_or(""), call["call"].as_str().unwrap_or("")))
            .collect()
    };
    assert_eq!(found("phone=%2B12025550111"), ["globex t-1", "acme t-1"]);
    assert_eq!(found("phone=%2B12025550111&company=acme"), ["acme t-1"]);
    assert_eq!(found(""), ["globex t-1", "acme t-2", "acme t-1"]);
    assert_eq!(found("since=2100-01-01T00:00:00Z"), [""; 0]);
    for list in ["/v1/calls?limit=1", "/v1/calls?limit=1&phone=%2B12025550111"] {
        let mut seen = Vec::new();
        let mut path = list.to_owned();
        loop {
            let reply = daemon.api().get(&path).expect(200);
            seen.extend(items(&reply).iter().map(|call| format!("{}{}", call["company"], call["call"])));
            let Some(cursor) = reply.json()["next"].as_str().map(str::to_owned) else { break };
            path = format!("{list}&cursor={cursor}");
        }
        let unique: std::collections::BTreeSet<_> = seen.iter().collect();
        assert!(unique.len() == seen.len() && seen.len() >= 2, "{seen:?}");
    }
}

#[test]
fn a_call_with_more_events_than_are_shown_shows_its_attempts_too() {
    let daemon = Daemon::start();
    let receiver = Receiver::start(|_| Answer::status(200));
    daemon.subscribe(&receiver.url("/hook"), json!({"events": ["call.missed"]}));
    let news: Vec<String> = (0..501).map(|second| at("call.new", "t-9", second, &json!({})).to_string()).collect();
    let headers = [("content-type", "application/x-ndjson")];
    daemon.api().request("POST", "/v1/events", &headers, news.join("\n").as_bytes()).expect(202);
    daemon.accept(&at("call.missed", "t-9", 600, &json!({})));
    daemon.wait_for_list("/v1/log?call=t-9", 1);
    let call = daemon.api().get("/v1/calls/t-9?company=acme").expect(200).json();
    assert_eq!(call["truncated"], true);
    let line = line(&call);
    assert_eq!((line.len(), line.iter().filter(|kind| kind.starts_with("attempt")).count()), (501, 1), "{line:?}");
}

#[test]
fn a_call_is_found_whatever_its_id_is_made_of() {
    let daemon = Daemon::start();
    for id in ["a/b", "..", "a\\b", "50% ü"] {
        daemon.accept(&at("call.new", id, 0, &json!({})));
        let sms = json!({"company": "acme", "source": "api", "call_id": id, "direction": "outbound", "from": "+12025550100",
            "to": "+12025550143", "body": "Still there?"});
        daemon.api().post("/v1/messages", &sms).expect(202);
        for command in ["call", "conversations"] {
            let mut shown = hookswitch();
            shown.args([command, id, "--company", "acme", "--json", "--url"]).arg(format!("http://{}", daemon.address));
            shown.arg("--data-dir").arg(daemon.home().data());
            let shown = run(shown).expect(0).json();
            let found = if command == "call" { &shown["call"] } else { &shown["call_id"] };
            assert_eq!(found, id, "{command} {shown}");
        }
    }
}

#[test]
fn the_report_counts_outbound_sms_and_replies() {
    let daemon = Daemon::start();
    let sms = |call: &str, direction: &str, time: &str| {
        let (from, to) =
            if direction == "outbound" { ("+12025550100", "+12025550142") } else { ("+12025550142", "+12025550100") };
        let message = json!({"company": "acme", "source": "widget", "call_id": call, "direction": direction, "from": from,
            "to": to, "body": "Hello", "sent_at": format!("2026-11-20T09:{time}:00Z")});
        daemon.api().post("/v1/messages", &message).expect(202);
    };
    for call in ["s-1", "s-2"] {
        daemon.accept(&at("call.new", call, 0, &json!({})));
        sms(call, "outbound", "10");
    }
    sms("s-1", "inbound", "15");
    sms("s-1", "inbound", "40");
    let check = |daemon: &Daemon| {
        let report = daemon.api().get("/v1/report/calls").expect(200).json();
        let wanted = json!({"calls_with_outbound": 2, "calls_with_reply": 1, "reply_rate": 0.5,
            "time_to_reply": {"calls": 1, "median_seconds": 300.0, "p90_seconds": 300.0}});
        assert_eq!((&report["totals"]["calls"], &report["totals"]["sms"]), (&json!(2), &wanted), "{report}");
    };
    check(&daemon);
    let daemon = daemon.kill().start();
    check(&daemon);
}

/// The timeline: its kinds, with the type of an event and the body of a message.
fn line(call: &Value) -> Vec<String> {
    let moments = call["timeline"].as_array().into_iter().flatten();
    let entries = moments.map(|moment| {
        let of = &moment["of"];
        let what = of["type"].as_str().or(of["body"].as_str()).unwrap_or("");
        format!("{} {what}", moment["kind"].as_str().unwrap_or_default())
    });
    entries.collect()
}

#[test]
fn the_time_line_has_the_sms_also_of_a_call_that_has_nothing_else() {
    let daemon = Daemon::start();
    let sms = |call: &str, direction: &str, time: &str, body: &str| {
        let (from, to) =
            if direction == "outbound" { ("+12025550100", "+12025550142") } else { ("+12025550142", "+12025550100") };
        let message = json!({"company": "acme", "domain": "www.acme.example", "source": "widget", "call_id": call,
            "direction": direction, "from": from, "to": to, "body": body, "sent_at": format!("2026-11-20T09:{time}:00Z"),
            "lead": {"name": "Dana"}});
        daemon.api().post("/v1/messages", &message).expect(202);
    };
    daemon.accept(&at("call.missed", "m-1", 45, &json!({})));
    // Posted out of order: the timeline is by time of sending.
    sms("m-1", "outbound", "20", "second");
    sms("m-1", "outbound", "10", "first");
    sms("m-1", "inbound", "30", "reply");
    let call = daemon.api().get("/v1/calls/m-1").expect(200).json();
    let wanted = ["event call.missed", "message first", "message second", "message reply", "event call.smsfollowup"];
    assert_eq!(line(&call), wanted, "{call}");
    let raised = &call["timeline"][4]["of"]["id"];
    assert_eq!(&call["timeline"][3]["of"]["event"], raised, "{call}");

    sms("m-2", "outbound", "10", "only this");
    let path = "/v1/calls/m-2?company=acme";
    let call = daemon.api().get(path).expect(200).json();
    assert_eq!(line(&call), ["message only this"], "{call}");
    let values = ["state", "name", "phone", "domain", "began", "source"].map(|name| call[name].as_str().unwrap_or("-"));
    let wanted = ["sms", "Dana", "+12025550142", "www.acme.example", "2026-11-20T09:10:00.000Z", "widget"];
    assert_eq!(values, wanted, "{call}");
    assert_eq!((&call["events"], &call["subscriptions"]), (&json!([]), &json!([])), "{call}");
    daemon.api().get("/v1/calls/m-2?company=globex").expect(404);

    let reader = |company: &str| {
        let made = daemon.api().post("/v1/tokens", &json!({"role": "read", "company": company})).expect(201).json();
        Client::new(daemon.address, made["token"].as_str().map(str::to_owned))
    };
    assert_eq!(reader("acme").get("/v1/calls/m-2").expect(200).json(), call);
    reader("globex").get("/v1/calls/m-2").expect(404);
    reader("globex").get(path).expect(404);
}
