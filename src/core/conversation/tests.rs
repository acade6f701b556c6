use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn posted() -> Value {
    json!({
        "company": "acme", "source": "widget", "call_id": "c1", "id": "m1", "direction": "inbound",
        "from": "+12025550143", "to": "+12025550100", "body": "Yes", "sent_at": "2026-03-10T15:24:38Z",
        "lead": {"name": "Dana", "email": "dana@mail.example", "phone": "+12025550143"}, "widget_id": 1042,
        "domain": "www.acme.example"
    })
}

fn read(value: &Value) -> Result<NewMessage, Invalid> {
    NewMessage::from_json(json::parse(&value.to_string()).unwrap(), NOW)
}

fn with(name: &str, value: Value) -> Value {
    let mut message = posted();
    message[name] = value;
    message
}

#[test]
fn a_message_is_read_with_all_that_it_says() {
    let message = read(&posted()).unwrap();
    assert_eq!((message.direction, message.body.as_str()), (Direction::Inbound, "Yes"));
    assert_eq!(message.sent_at.unwrap().to_string(), "2026-03-10T15:24:38.000Z");
    assert_eq!(message.lead.widget_id.as_deref(), Some("1042"));
    assert!(message.lead.is_complete());
    for name in ["domain", "id", "sent_at", "lead", "widget_id"] {
        assert!(read(&with(name, Value::Null)).is_ok(), "{name} may be null");
    }
    assert!(read(&with("lead", json!({"name": null}))).is_ok());
    for name in ["domain", "id", "sent_at", "lead", "widget_id"] {
        assert_eq!(read(&with(name, json!(""))), read(&with(name, Value::Null)), "{name} may say nothing");
    }
    for nothing in [json!({"name": "", "email": "", "phone": ""}), json!({}), json!([])] {
        assert_eq!(read(&with("lead", nothing.clone())), read(&with("lead", Value::Null)), "{nothing}");
    }
    let long = "\u{1f600}".repeat(16_384);
    assert!(read(&with("body", json!(long))).is_ok(), "64 KiB of emoji");
    assert!(read(&with("body", json!("שלום\n\t\u{202e}x"))).is_ok());
}

#[test]
fn faults_are_named() {
    let future = NOW.moved(AHEAD_MOST + 1).to_string();
    let cases = [
        ("company", json!(""), "/company"),
        ("source", json!("fax"), "/source"),
        ("call_id", json!(""), "/call_id"),
        ("call_id", json!(17), "/call_id"),
        ("direction", json!("incoming"), "/direction"),
        ("direction", json!(null), "/direction"),
        ("from", json!(""), "/from"),
        ("from", json!(null), "/from"),
        ("to", json!(12_025_550_100u64), "/to"),
        ("to", json!("+1\n2"), "/to"),
        ("body", json!(1), "/body"),
        ("media", json!({"url": "https://m.example/"}), "/media"),
        ("media", json!([{"url": "x"}]), "/media/0/url"),
        ("body", json!("x".repeat(BODY_MOST + 1)), "/body"),
        ("body", json!(["x"]), "/body"),
        ("sent_at", json!(future), "/sent_at"),
        ("sent_at", json!("yesterday"), "/sent_at"),
        ("lead", json!("Dana"), "/lead"),
        ("lead", json!({"mail": "x"}), "/lead/mail"),
        ("lead", json!({"email": "a\nb"}), "/lead/email"),
        ("lead", json!([{}]), "/lead"),
        ("widget_id", json!({}), "/widget_id"),
        ("id", json!("x".repeat(129)), "/id"),
        ("subject", json!("x"), "/subject"),
    ];
    for (name, value, named) in cases {
        let refused = read(&with(name, value.clone())).unwrap_err();
        let pointers: Vec<_> = refused.errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, [named], "{name}: {value}");
    }
    let refused = read(&json!({})).unwrap_err();
    let pointers: Vec<_> = refused.errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(pointers, ["/company", "/source", "/call_id", "/direction", "/from", "/to", "/body"]);
    assert!(read(&with("sent_at", json!(NOW.moved(AHEAD_MOST).to_string()))).is_ok(), "clocks differ a little");
}

#[test]
fn a_picture_needs_no_text() {
    let picture = json!([{"url": "https://m.example/1.jpg", "content_type": "image/jpeg"}]);
    for (body, media) in [
        (json!(""), json!(null)),
        (json!(null), json!([])),
        (json!(""), picture.clone()),
        (json!(null), picture.clone()),
    ] {
        let mut posted = with("body", body);
        posted["media"] = media;
        assert_eq!(read(&posted).unwrap().body, "", "{posted}");
    }
    let mut alone = with("media", picture);
    alone.as_object_mut().unwrap().remove("body");
    assert_eq!(read(&alone).unwrap().media[0].url, "https://m.example/1.jpg");
    alone["media"] = json!([]);
    assert_eq!(read(&alone).unwrap_err().errors[0].pointer, "/body", "nothing at all is no message");
}

#[test]
fn content_members_distinguish_messages() {
    let one = read(&posted()).unwrap();
    for (name, value) in [
        ("direction", json!("outbound")),
        ("from", json!("+1")),
        ("to", json!("+1")),
        ("body", json!("No")),
        ("media", json!([{"url": "https://m.example/1.jpg"}])),
    ] {
        assert_ne!(read(&with(name, value)).unwrap().content(), one.content(), "{name}");
    }
    for (name, value) in [("sent_at", json!(null)), ("lead", json!(null)), ("domain", json!("")), ("media", json!([]))]
    {
        assert_eq!(read(&with(name, value)).unwrap().content(), one.content(), "{name}");
    }
}

fn message(id: u128, sent_at: u64, body: &str) -> Message {
    Message {
        id: MessageId::from_bits(id),
        producer_id: None,
        direction: Direction::Inbound,
        from: "+12025550143".to_owned(),
        to: "+12025550100".to_owned(),
        body: body.to_owned(),
        media: Vec::new(),
        sent_at: Timestamp::from_millis(sent_at),
        lead: Lead::default(),
        event: None,
        erased_at: None,
    }
}

fn raised(history: &History, newest: &Message, count: u64, most: usize) -> (Value, usize) {
    let call = CallId::parse("c1").unwrap();
    let conversation = ConversationId::from_bits(1);
    let data = FollowUp { call: &call, conversation, message: newest, history, count, created: NOW }.data(most).0;
    (serde_json::from_str(&data).unwrap_or_else(|error| panic!("{error}: {data}")), data.len())
}

#[test]
fn the_event_has_the_message_the_history_and_the_lead() {
    let mut history = History::default();
    let newest = Message {
        lead: Lead { name: Some("Dana \"D\"".to_owned()), widget_id: Some("1042".to_owned()), ..Lead::default() },
        ..message(2, 2_000, "Yes\n\u{1f600} \u{5e9}\u{5dc} \u{0}")
    };
    history.add(Line::of(&newest), 10_000);
    history.add(Line::of(&message(1, 1_000, "Shall we?")), 10_000);
    let (data, _) = raised(&history, &newest, 2, 10_000);
    assert_eq!(data["message"], "Yes\n\u{1f600} \u{5e9}\u{5dc} \u{0}");
    assert_eq!(data["conversation"][0]["body"], "Shall we?");
    assert_eq!(data["conversation"][1]["body"], data["message"]);
    assert_eq!((&data["widget_id"], &data["lead_name"]), (&json!(1042), &json!("Dana \"D\"")));
    assert_eq!((&data["lead_phone"], &data["lead_email"]), (&json!("+12025550143"), &Value::Null));
    assert_eq!((&data["message_count"], &data["received_at"]), (&json!(2), &json!("1970-01-01T00:00:02.000Z")));
    assert!(data.get("conversation_truncated").is_none());
    let catalogue = super::super::catalogue::Catalogue::new(Vec::new()).unwrap();
    let name = catalogue.event_type(RAISED).unwrap();
    let text = data.to_string();
    assert!(catalogue.check_data(Some(&name), json::parse(&text).unwrap()).is_ok());
}

#[test]
fn an_event_that_would_be_too_large_leaves_out_the_oldest() {
    let most = 4_000;
    let mut history = History::default();
    for n in 0..100u64 {
        history.add(Line::of(&message(u128::from(n), n, &format!("{n:>50}"))), most);
    }
    let newest = message(99, 99, &format!("{:>50}", 99));
    let (data, length) = raised(&history, &newest, 100, most);
    assert!(length <= most && length > most - 300, "{length}");
    assert_eq!((&data["message_count"], &data["conversation_truncated"]), (&json!(100), &json!(true)));
    let bodies: Vec<_> = data["conversation"].as_array().unwrap().iter().map(|item| item["sent_at"].clone()).collect();
    assert!(bodies.is_sorted_by_key(|sent| sent.as_str().unwrap().to_owned()));
    assert_eq!(data["conversation"].as_array().unwrap().last().unwrap()["body"], data["message"]);
    let (data, _) = raised(&history, &message(100, 100, &"x".repeat(most)), 101, most);
    assert_eq!(data["conversation"], json!([]), "a message that alone is too long still is in the event");
}

proptest! {
    #[test]
    fn a_history_is_sorted_however_its_messages_come(times in proptest::collection::vec(0u64..8, 1..40)) {
        let mut history = History::default();
        let mut model = Vec::new();
        for (id, sent_at) in times.iter().enumerate() {
            history.add(Line::of(&message(id as u128, *sent_at, &id.to_string())), usize::MAX);
            model.push((*sent_at, id));
        }
        model.sort_unstable();
        let (data, _) = raised(&history, &message(0, 0, "x"), times.len() as u64, 1 << 20);
        let seen: Vec<_> = data["conversation"].as_array().unwrap().iter().map(|item| item["body"].clone()).collect();
        let wanted: Vec<_> = model.iter().map(|(_, id)| json!(id.to_string())).collect();
        prop_assert_eq!(seen, wanted);
    }
}

#[test]
fn a_reply_raises_the_event_only_after_an_outbound_message() {
    let inbound = read(&posted()).unwrap();
    let outbound = NewMessage { direction: Direction::Outbound, ..inbound.clone() };
    let at = Timestamp::from_millis;
    let id = MessageId::from_bits;
    let asked = Conversation::begun(ConversationId::from_bits(1), &outbound, id(2), at(10));
    for (direction, sent_at, raises) in [
        (Direction::Inbound, 9, false),
        (Direction::Inbound, 10, true),
        (Direction::Inbound, 11, true),
        (Direction::Outbound, 11, false),
    ] {
        assert_eq!(asked.is_answered_by(direction, at(sent_at)), raises, "{direction:?} {sent_at}");
    }
    let unasked = Conversation::begun(ConversationId::from_bits(1), &inbound, id(2), at(10));
    assert!(!unasked.is_answered_by(Direction::Inbound, at(20)));
    let late = unasked.with(&outbound, id(3), at(5));
    assert_eq!((late.first_at, late.last_at, late.messages, late.inbound), (at(5), at(10), 2, 1));
    assert!(late.is_answered_by(Direction::Inbound, at(5)));
}

#[test]
fn lead_details_come_from_event_data() {
    let lead = Lead::of_data(r#"{"call_id":"c","lead_name":"Dana","lead_phone":17,"widget_id":"w1","lead_email":""}"#);
    let wanted = Lead { name: Some("Dana".to_owned()), widget_id: Some("\"w1\"".to_owned()), ..Lead::default() };
    assert_eq!(lead, wanted);
    assert_eq!(Lead::of_data("[]"), Lead::default());
}
