//! SMS conversations: from posted messages to the event raised by a reply, also across kill -9.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::client::Client;
use crate::daemon::{Daemon, Home};
use crate::platform::{event, with};
use crate::receiver::Receiver;
use crate::wait::{PATIENCE, Watched};

const LEAD: &str = "+12025550143";
const OWN: &str = "+12025550100";

/// A message of `acme`, sent `second` seconds after three o'clock.
fn sms(call: &str, direction: &str, second: u32, body: &str) -> Value {
    let (from, to) = if direction == "inbound" { (LEAD, OWN) } else { (OWN, LEAD) };
    let sent_at = format!("2026-03-10T15:{:02}:{:02}Z", second / 60, second % 60);
    json!({"company": "acme", "source": "widget", "call_id": call, "direction": direction, "from": from, "to": to,
        "body": body, "sent_at": sent_at})
}

fn post(daemon: &Daemon, message: &Value) -> Value {
    daemon.api().post("/v1/messages", message).expect(202).json()
}

fn bodies(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items.map(|item| item["body"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_reply_is_delivered_with_the_whole_conversation() {
    let daemon = Daemon::start();
    let (json, form) = (Receiver::willing(), Receiver::willing());
    daemon.subscribe(&json.url("/"), json!({"events": ["call.smsfollowup"], "domain": "www.acme.example"}));
    daemon.subscribe(&form.url("/"), json!({"events": ["call.smsfollowup"], "format": "form"}));
    // The call's own event provides the domain, the widget, and the lead's name.
    let mut call = event("call.new", "c1");
    call["data"]["widget_id"] = json!(1042);
    daemon.accept(&call);
    let first = post(&daemon, &with(sms("c1", "outbound", 0, "Thursday at 9?"), "id", "m1"));
    assert_eq!((&first["messages"], &first["event"], &first["duplicate"]), (&json!(1), &Value::Null, &json!(false)));
    let body = "Friday\n\u{1f44d}\u{1f3fd} \u{5d1}\u{5e1}\u{5d3}\u{5e8} & \"ok\" = 100%";
    let mut reply = with(sms("c1", "inbound", 60, body), "id", "m2");
    reply["lead"] = json!({"email": "dana@mail.example"});
    let answered = post(&daemon, &reply);
    let raised = answered["event"].as_str().unwrap_or_else(|| panic!("no event in {answered}")).to_owned();
    assert_eq!(answered["conversation"], first["conversation"]);
    assert_eq!(post(&daemon, &reply), with(answered.clone(), "duplicate", true));
    let received = json.wait_for(1)[0].json();
    assert_eq!((&received["id"], &received["type"]), (&json!(raised), &json!("call.smsfollowup")));
    assert_eq!(
        (&received["timestamp"], &received["domain"]),
        (&json!("2026-03-10T15:01:00.000Z"), &json!("www.acme.example"))
    );
    let data = &received["data"];
    let line = |id: &str, direction: &str, from: &str, to: &str, body: &str, at: &str| json!({"id": id, "direction": direction, "from": from, "to": to, "body": body, "sent_at": at});
    let wanted = json!({
        "call_id": "c1", "widget_id": 1042, "lead_phone": "+12025550142", "lead_name": "Ada Example",
        "lead_email": "dana@mail.example", "conversation_id": answered["conversation"], "message_id": "m2",
        "message": body, "received_at": "2026-03-10T15:01:00.000Z", "message_count": 2, "created": data["created"],
        "conversation": [
            line("m1", "outbound", OWN, LEAD, "Thursday at 9?", "2026-03-10T15:00:00.000Z"),
            line("m2", "inbound", LEAD, OWN, body, "2026-03-10T15:01:00.000Z"),
        ],
    });
    assert_eq!(data, &wanted);
    let fields: BTreeMap<String, String> = form.wait_for(1)[0].form().into_iter().collect();
    assert_eq!(fields["data[conversation][1][body]"], body);
    assert_eq!(fields["data[message]"], body);
    let stored = daemon.api().get(&format!("/v1/events/{raised}")).expect(200).json();
    assert_eq!(stored["deliveries"].as_array().map(Vec::len), Some(2), "{stored}");
}

#[test]
fn history_is_sorted_however_messages_come_and_a_reply_alone_raises_nothing() {
    let daemon = Daemon::start();
    let alone = post(&daemon, &sms("c1", "inbound", 100, "hello?"));
    assert_eq!((&alone["event"], &alone["messages"]), (&Value::Null, &json!(1)));
    assert_eq!(post(&daemon, &sms("c1", "outbound", 50, "late"))["event"], Value::Null);
    // Ties are in order of arrival; one at the time of the outbound message comes after it.
    let tie = post(&daemon, &sms("c1", "inbound", 50, "tie"));
    let raised = daemon.api().get(&format!("/v1/events/{}", tie["event"].as_str().unwrap())).expect(200).json();
    assert_eq!(bodies(&raised["data"]["conversation"]), ["late", "tie", "hello?"], "what was known then");
    assert_eq!(raised["data"]["message"], "tie");
    assert_eq!(post(&daemon, &sms("c1", "inbound", 49, "before"))["event"], Value::Null);
    let whole = daemon.api().get("/v1/conversations/c1?company=acme").expect(200).json();
    assert_eq!(bodies(&whole["messages"]), ["before", "late", "tie", "hello?"]);
    assert_eq!((&whole["message_count"], &whole["next"]), (&json!(4), &Value::Null));
    assert_eq!(whole["lead"]["phone"], LEAD);
    assert_eq!(whole["messages"][2]["event"], tie["event"]);
    daemon.api().get("/v1/conversations/c1?company=globex").expect_problem(&[404]);
    daemon.api().get("/v1/conversations/c2?company=acme").expect_problem(&[404]);
    daemon.api().get("/v1/conversations/c1").expect_problem(&[422]);
}

#[test]
fn conversations_are_filtered_and_paged() {
    let daemon = Daemon::start();
    for (n, company) in (0..6u32).zip(["acme", "globex"].into_iter().cycle()) {
        let mut message = with(sms(&format!("c{n}"), "outbound", n * 60, "hi"), "company", company);
        message["domain"] = json!(format!("{}.example", n % 3));
        message["to"] = json!(format!("+1202555010{}", n % 2 + 1));
        post(&daemon, &message);
    }
    let calls = |query: &str| -> Vec<String> {
        let items = daemon.list(&format!("/v1/conversations?{query}"));
        items.iter().map(|item| item["call_id"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(calls(""), ["c5", "c4", "c3", "c2", "c1", "c0"]);
    assert_eq!(calls("company=acme"), ["c4", "c2", "c0"]);
    assert_eq!(calls("domain=1.example"), ["c4", "c1"]);
    assert_eq!(calls("phone=%2B12025550101&limit=2"), ["c4", "c2"]);
    assert_eq!(calls("phone=%2B12025550102&company=globex"), ["c5", "c3", "c1"]);
    assert_eq!(calls("phone=%2B12025550100"), Vec::<String>::new(), "the company's own number is not a lead's");
    assert_eq!(calls("since=2026-03-10T15:03:00Z"), ["c5", "c4", "c3"]);
    assert_eq!(calls("until=2026-03-10T15:03:00Z"), ["c2", "c1", "c0"]);
    post(&daemon, &sms("c0", "inbound", 600, "me too"));
    assert_eq!(calls("limit=1"), ["c0"], "the latest message decides");
    for query in ["limit=2", "limit=2&company=acme", "limit=1&phone=%2B12025550101"] {
        let whole = query.split_once('&').map_or("", |(_, rest)| rest);
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = daemon.api().get(&format!("/v1/conversations?{query}{cursor}")).expect(200).json();
            let items = page["items"].as_array().cloned().unwrap_or_default();
            seen.extend(items.iter().map(|item| item["call_id"].as_str().unwrap_or_default().to_owned()));
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, calls(whole), "{query}");
    }
}

#[test]
fn faults_of_a_message_are_named_and_nothing_is_stored() {
    let daemon = Daemon::start();
    let good = || sms("c1", "inbound", 0, "hi");
    let without = |name: &str| {
        let mut message = good();
        message.as_object_mut().map(|members| members.remove(name));
        message
    };
    let large = "x".repeat(1 << 20);
    let cases = [
        (without("from"), 422, "/from"),
        (without("to"), 422, "/to"),
        (without("company"), 422, "/company"),
        (without("call_id"), 422, "/call_id"),
        (with(good(), "from", Value::Null), 422, "/from"),
        (with(good(), "to", ""), 422, "/to"),
        (with(good(), "direction", "incomming"), 422, "/direction"),
        (without("body"), 422, "/body"),
        (with(good(), "media", json!([{"url": "ftp://m.example/1"}])), 422, "/media/0/url"),
        (with(good(), "media", json!([{"url": "https://m.example/1", "size": 1}])), 422, "/media/0/size"),
        (with(good(), "media", json!(vec![json!({"url": "https://m.example/1"}); 21])), 422, "/media"),
        (with(good(), "body", &large[..500_000]), 422, "/body"),
        (with(good(), "body", large.as_str()), 413, ""),
        (with(good(), "sent_at", "2126-03-10T15:00:00Z"), 422, "/sent_at"),
        (with(good(), "sent_at", "15:00"), 422, "/sent_at"),
        (with(good(), "text", "hi"), 422, "/text"),
        (with(good(), "lead", json!({"telephone": LEAD})), 422, "/lead/telephone"),
    ];
    for (message, status, pointer) in cases {
        let shown: String = message.to_string().chars().take(300).collect();
        let problem = daemon.api().post("/v1/messages", &message).expect_problem(&[status]);
        let named = problem["errors"][0]["pointer"].as_str().unwrap_or_default();
        assert_eq!(named, pointer, "{shown}: {problem}");
    }
    daemon.api().request("POST", "/v1/messages", &[("content-type", "application/json")], b"{").expect_problem(&[400]);
    daemon.api().request("POST", "/v1/messages", &[], b"{}").expect_problem(&[415]);
    daemon.api().get("/v1/messages").expect_problem(&[405]);
    assert!(daemon.list("/v1/conversations").is_empty() && daemon.list("/v1/events").is_empty());
}

const CALLS: usize = 20;
const EACH: usize = 30;
const POSTERS: usize = 4;

/// State shared by the posting threads, and the ids of the messages answered 202.
struct Platform {
    daemon: Watched<(usize, Option<SocketAddr>)>,
    token: String,
    stored: Watched<BTreeSet<String>>,
    lost: Watched<usize>,
}

impl Platform {
    /// Posts each call's messages in order, alternating directions; reposts where an answer was lost.
    fn post(&self, poster: usize) {
        let (mut life, mut client) = (0, None);
        for n in 0..EACH {
            for call in (poster..CALLS).step_by(POSTERS) {
                let direction = if n % 3 == 0 { "outbound" } else { "inbound" };
                let id = format!("c{call}/{n}");
                let message = with(sms(&format!("c{call}"), direction, n as u32, &id), "id", id.as_str()).to_string();
                loop {
                    let connected = client.get_or_insert_with(|| self.next_life(&mut life));
                    let headers = [("content-type", "application/json")];
                    match connected.try_request("POST", "/v1/messages", &headers, message.as_bytes()) {
                        Ok(reply) => {
                            let reply = reply.expect(202).json();
                            assert_eq!(reply["event"].is_null(), direction == "outbound", "{id}: {reply}");
                            self.stored.change(|stored| stored.insert(id.clone()));
                            break;
                        }
                        Err(_) => {
                            self.lost.change(|lost| *lost += 1);
                            client = None;
                        }
                    }
                }
            }
        }
    }

    fn next_life(&self, life: &mut usize) -> Client {
        let found = self.daemon.wait(PATIENCE, |(now, address)| address.filter(|_| now > life).map(|a| (*now, a)));
        let (now, address) = found.expect("the daemon was to be started again");
        *life = now;
        Client::new(address, Some(self.token.clone()))
    }
}

#[test]
fn kill_9_leaves_no_message_without_its_event_and_no_event_without_its_message() {
    let mut daemon = Home::new().start();
    let receiver = Receiver::willing();
    daemon.subscribe(&receiver.url("/"), json!({}));
    let platform = Platform {
        daemon: Watched::new((1, Some(daemon.address))),
        token: daemon.home().token(),
        stored: Watched::new(BTreeSet::new()),
        lost: Watched::new(0),
    };
    let daemon = std::thread::scope(|scope| {
        let posters: Vec<_> = (0..POSTERS)
            .map(|poster| {
                let platform = &platform;
                scope.spawn(move || platform.post(poster))
            })
            .collect();
        for enough in [60, 170, 333, 450] {
            let reached = platform.stored.wait(PATIENCE * 2, |stored| (stored.len() >= enough).then_some(()));
            assert!(reached.is_some(), "{enough} messages were to be stored by now");
            platform.daemon.change(|daemon| daemon.1 = None);
            daemon = daemon.kill().start();
            check(&daemon);
            platform.daemon.change(|whereabouts| *whereabouts = (whereabouts.0 + 1, Some(daemon.address)));
        }
        for poster in posters {
            poster.join().expect("a posting thread that did not fail");
        }
        daemon
    });
    assert!(platform.lost.look(|lost| *lost) > 0, "the kills were to hit threads that post");
    assert_eq!(check(&daemon), CALLS * EACH);
    let replies = CALLS * EACH * 2 / 3;
    let arrived = receiver.wait_until("every reply", |requests| {
        requests.iter().map(|request| request.webhook_id()).collect::<BTreeSet<_>>().len() >= replies
    });
    let calls: BTreeSet<String> =
        arrived.iter().map(|request| request.json()["data"]["message_id"].to_string()).collect();
    assert_eq!(calls.len(), replies, "each reply raised one event");
}

/// Compares every conversation with the events; returns the number of messages.
fn check(daemon: &Daemon) -> usize {
    let mut events: BTreeMap<String, Value> = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let page = daemon.api().get(&format!("/v1/events?type=call.smsfollowup&limit=500{cursor}")).expect(200).json();
        for event in page["items"].as_array().into_iter().flatten() {
            events.insert(event["id"].as_str().unwrap_or_default().to_owned(), event["data"].clone());
        }
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let mut count = 0;
    for call in 0..CALLS {
        let reply = daemon.api().get(&format!("/v1/conversations/c{call}?company=acme"));
        if reply.status == 404 {
            continue;
        }
        let whole = reply.expect(200).json();
        let messages = whole["messages"].as_array().cloned().unwrap_or_default();
        assert_eq!(whole["message_count"], messages.len());
        let wanted: Vec<String> = (0..messages.len()).map(|n| format!("c{call}/{n}")).collect();
        assert_eq!(bodies(&whole["messages"]), wanted, "each message once, in order");
        count += messages.len();
        for (n, message) in messages.iter().enumerate() {
            let Some(event) = message["event"].as_str() else {
                assert_eq!(message["direction"], "outbound", "a reply without its event: {message}");
                continue;
            };
            let data = events.remove(event).unwrap_or_else(|| panic!("the event of {message} is missing"));
            assert_eq!(data["message_id"], message["id"]);
            assert_eq!(bodies(&data["conversation"]), wanted[..=n]);
        }
    }
    assert!(events.is_empty(), "events without their messages: {events:?}");
    count
}
