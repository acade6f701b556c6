use super::*;
use crate::cli::client::read;
use crate::cli::receiver::message;
use std::time::SystemTime;

fn posted() -> Posted {
    let event_type =
        r#"{"name":"call.smsfollowup","sample":{"call_id":"c-1","n":1.50,"conversation":[{"body":"Hi & bye"}]}}"#;
    Posted { event_type: read(event_type).unwrap(), id: "evt_1".to_owned(), deliveries: 1 }
}

fn arrival(name: &str, value: &str) -> Arrival {
    Arrival { message: message(&[(name, value)], ""), at: SystemTime::UNIX_EPOCH, status: 200 }
}

#[test]
fn an_envelope_must_hold_data_byte_for_byte() {
    let good = r#"{"id":"evt_1","type":"call.smsfollowup","data":{"call_id":"c-1","n":1.50,"conversation":[{"body":"Hi & bye"}]}}"#;
    assert_eq!(envelope_fault(&posted(), good.as_bytes()), Ok(()));
    for wrong in [&good.replace("1.50", "1.5"), &good.replace("evt_1", "evt_2"), "{}", "[]", "no JSON", "\u{fffd}"] {
        assert!(envelope_fault(&posted(), wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn a_flat_body_must_hold_the_members_in_their_order() {
    let good = r#"{"event":"call.smsfollowup","call_id":"c-1","n":1.50,"conversation":[{"body":"Hi & bye"}]}"#;
    assert_eq!(flat_fault(&posted(), good.as_bytes()), Ok(()));
    let swapped = r#"{"event":"call.smsfollowup","n":1.50,"call_id":"c-1","conversation":[{"body":"Hi & bye"}]}"#;
    for wrong in [swapped, &good.replace("1.50", "2"), r#"{"event":"call.smsfollowup"}"#, ""] {
        assert!(flat_fault(&posted(), wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn a_form_must_hold_texts_numbers_and_the_conversation() {
    let good = "type=call.smsfollowup&data%5Bcall_id%5D=c-1&data%5Bn%5D=1.50&data%5Bconversation%5D%5B0%5D%5Bbody%5D=Hi+%26+bye";
    assert_eq!(form_fault(&posted(), good.as_bytes()), Ok(()));
    for wrong in [good.replace("c-1", "c-2"), good.replace("1.50", "1.5"), good.replace("bye", "buy"), String::new()] {
        assert!(form_fault(&posted(), wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn sequence_numbers_must_be_whole() {
    let fault = |numbers: &[&str], wanted| {
        let arrivals: Vec<Arrival> = numbers.iter().map(|number| arrival("hookswitch-sequence", number)).collect();
        sequence_fault(&arrivals, wanted)
    };
    assert_eq!(fault(&["2", "1", "3", "3"], 3), None);
    assert!(fault(&["1", "3"], 2).is_some());
    assert!(fault(&["1", "2"], 3).is_some());
    assert!(fault(&["one"], 1).is_some());
    assert!(sequence_fault(&[arrival("x", "y")], 1).is_some());
}
