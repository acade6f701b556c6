//! Any text as a template and as a filter: neither panics, hangs or uses up the stack of a thread; what is rendered as
//! JSON is JSON; a filter that fails lets the event through.
#![no_main]

use hookswitch::core::catalogue::Catalogue;
use hookswitch::core::event::{Event, NewEvent};
use hookswitch::core::filter::{Facts, Filter};
use hookswitch::core::id::EventId;
use hookswitch::core::json;
use hookswitch::core::template::{OUTPUT_MOST, Template};
use hookswitch::core::time::Timestamp;
use libfuzzer_sys::fuzz_target;

const POSTED: &str = r#"{"type":"call.new","company":"a","source":"api","data":{"call_id":"c","a":1.50,"s":"%H \"x\" 9",
    "list":[1,[2,{"b":null}]],"department":"sales"}}"#;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let catalogue = Catalogue::new(Vec::new()).expect("the seven event types");
    let new = NewEvent::from_json(json::parse(POSTED).expect("JSON"), &catalogue).expect("an event");
    let event: Event = new.accepted(EventId::from_bits(1 << 80), Timestamp::from_millis(1_790_000_000_000));
    let template = Template::new(text, "application/json");
    let _ = template.check();
    if let Ok(body) = template.render(&event, "https://a.example/?x=y") {
        assert!(body.len() <= OUTPUT_MOST);
        json::parse(std::str::from_utf8(&body).expect("UTF-8")).expect("JSON");
    }
    let filter = Filter::new(text);
    let facts = Facts::of(&event);
    if filter.decide(&facts).is_err() {
        assert!(filter.lets_through(&facts));
    }
});
