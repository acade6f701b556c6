//! How long filters take to decide whether an event is owed: time of the thread that accepts events, for each webhook that
//! has one.
//!
//! For each expression the time of a decision, as the only filter of an event, which includes reading the members of its
//! data, and as one of a hundred of the same event, which share that. The events are the samples of a finished call, and
//! of a long SMS conversation (200 messages); the last expression is as long as one may be.
//!
//! `cargo bench --bench filter`; the wanted limit is 5 µs. What looks into the conversation itself takes longer, by its
//! length.

use std::hint::black_box;
use std::time::Instant;

use hookswitch::core::catalogue::Catalogue;
use hookswitch::core::event::{Event, NewEvent};
use hookswitch::core::filter::{FILTER_MOST, Facts, Filter};
use hookswitch::core::id::EventId;
use hookswitch::core::json;
use hookswitch::core::long_members::LongMembers;
use hookswitch::core::time::Timestamp;

const DECISIONS: u32 = 200_000;
const OF_ONE_EVENT: u32 = 100;
const WANTED_NANOS: f64 = 5_000.0;

fn event(posted: &str) -> (Event, LongMembers) {
    let catalogue = Catalogue::new(Vec::new()).expect("the seven event types");
    let new = NewEvent::from_json(json::parse(posted).expect("JSON"), &catalogue).expect("an event");
    let long = new.long.clone();
    (new.accepted(EventId::from_bits(1 << 80), Timestamp::from_millis(1_790_000_000_000)), long)
}

fn finished_call() -> (Event, LongMembers) {
    event(
        r#"{"type":"call.finished","company":"acme","source":"widget","data":{"call_id":"call_5f2c9a71","type":"outbound",
        "agent_id":"agt_19","widget_id":"wdg_7","lead_phone":"+12025550143","recording":"https://rec.example/5f2c9a71.mp3",
        "duration":187,"retry_attempts":1,"callstatus":"finished","department":"sales","created":"2026-11-23T09:34:10Z"}}"#,
    )
}

fn conversation() -> (Event, LongMembers) {
    let message = r#"{"id":"m","direction":"inbound","from":"+12025550143","to":"+12025550100","body":"Yes, please call me back tomorrow.","sent_at":"2026-11-23T09:30:00Z"}"#;
    let messages = vec![message; 200].join(",");
    event(&format!(
        r#"{{"type":"call.smsfollowup","company":"acme","source":"widget","data":{{"call_id":"c","department":"sales","duration":187,"message":"Yes","conversation":[{messages}]}}}}"#
    ))
}

fn longest() -> String {
    let list = (0..).map(|number| format!("'department {number}'"));
    let mut text = String::new();
    for item in list {
        if text.len() + item.len() + 60 > FILTER_MOST {
            break;
        }
        text += &item;
        text += ", ";
    }
    format!("data.department in [{text}'sales'] and data.duration > 60")
}

/// Nanoseconds for one decision, with `of_one` decisions for each event.
fn nanos(filter: &Filter, (event, long): &(Event, LongMembers), of_one: u32) -> f64 {
    let began = Instant::now();
    for _ in 0..DECISIONS / of_one {
        let facts = Facts::with_long(black_box(event), long);
        for _ in 0..of_one {
            black_box(black_box(filter).decide(&facts).is_ok());
        }
    }
    began.elapsed().as_nanos() as f64 / f64::from(DECISIONS)
}

fn main() {
    let longest = longest();
    let expressions = [
        "type == 'call.finished'",
        "data.department == \"sales\" and data.duration|int > 60",
        "data.department in ['support', 'sales'] and data.lead_phone is startingwith '+1202'",
        "data.none.at.all > 60 or data.retry_attempts|int(0) + 1 == 2",
        longest.as_str(),
    ];
    println!(
        "{:<60} {:>14} {:>14} {:>14}",
        "nanoseconds for a decision", "finished call", "of a hundred", "conversation"
    );
    let mut slowest = [0.0_f64; 3];
    for source in expressions {
        let filter = Filter::parse(source).expect("an expression");
        let (call, sms) = (finished_call(), conversation());
        nanos(&filter, &call, 1);
        let figures = [nanos(&filter, &call, 1), nanos(&filter, &call, OF_ONE_EVENT), nanos(&filter, &sms, 1)];
        slowest = std::array::from_fn(|at| slowest[at].max(figures[at]));
        let name: String = source.chars().take(58).collect();
        println!("{name:<60} {:>14.0} {:>14.0} {:>14.0}", figures[0], figures[1], figures[2]);
    }
    let [call, hundred, sms] = slowest.map(|nanos| nanos / WANTED_NANOS);
    println!(
        "{:<60} {call:>14.2} {hundred:>14.2} {sms:>14.2}",
        format!("the slowest, as a part of {} µs", WANTED_NANOS / 1_000.0)
    );
}
