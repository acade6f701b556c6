//! Any bytes as the body of `POST /v1/events`: refused with pointers, or an event that keeps its data byte for byte
//! and can be sent in every format and layout.
#![no_main]

use hookswitch::core::catalogue::Catalogue;
use hookswitch::core::event::{Event, NewEvent};
use hookswitch::core::id::EventId;
use hookswitch::core::json;
use hookswitch::core::payload::body;
use hookswitch::core::subscription::{Format, Layout, Nested};
use hookswitch::core::time::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(raw) = json::parse(text) else { return };
    let catalogue = Catalogue::new(Vec::new()).expect("the seven event types");
    match NewEvent::from_json(raw, &catalogue) {
        Err(invalid) => {
            assert!(!invalid.errors.is_empty());
            let pointers =
                invalid.errors.iter().all(|error| error.pointer.is_empty() || error.pointer.starts_with('/'));
            assert!(pointers && invalid.errors.iter().all(|error| !error.detail.is_empty()), "{invalid:?}");
        }
        Ok(event) => check(text, event),
    }
});

fn check(posted: &str, new: NewEvent) {
    assert!(posted.contains(&new.data), "data is not what was posted");
    let at = Timestamp::from_millis(1_790_000_000_000);
    let event = Event {
        id: EventId::from_bits(1 << 80),
        accepted_at: at,
        occurred_at: new.occurred_at.unwrap_or(at),
        event_type: new.event_type,
        company: new.company,
        domain: new.domain,
        source: new.source,
        producer_id: new.producer_id,
        call: new.call,
        phone: new.phone,
        data: new.data,
    };
    for layout in [Layout::Envelope, Layout::Flat] {
        let sent = String::from_utf8(body(&event, Format::Json, layout, Nested::Brackets).bytes).expect("JSON is text");
        let again = json::parse(&sent).expect("what is sent is JSON");
        let members = json::members(again).expect("an object");
        assert_eq!(json::first_duplicate(&members), None, "{sent}");
        let form = String::from_utf8(body(&event, Format::Form, layout, Nested::Brackets).bytes).expect("a form is text");
        assert!(form.is_ascii(), "{form}");
    }
}
