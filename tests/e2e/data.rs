//! `data` is passed through unchanged: digits of numbers, order of members, every character.

use serde_json::json;

use crate::client::Reply;
use crate::daemon::Daemon;
use crate::receiver::Receiver;

/// Data that parsing and serialising would change.
const DATA: &[&str] = &[
    r#"{"call_id":"c1","z":1.50,"a":1.0,"m":100,"b":0.1e-7,"huge":123456789012345678901234567890,"tiny":1e-400,"vast":1E400,"minus":-0}"#,
    r#"{"z":"last letter first","call_id":"c2","a":"first letter last","10":1,"9":2,"":3}"#,
    r#"{"call_id":"c3","text":"\u00e9\/\u2028\ud83d\ude00 é 😀 \u0000 \" \\ \t","ключ":"значение","名前":"田中","rtl":"שלום"}"#,
    r#"{ "call_id" : "c4" , "list" : [ ] , "none" : null , "object" : { } , "deep" : [ [ [ { "a" : [ true , false ] } ] ] ] }"#,
    r#"{"call_id":"c5","&=+%[]":"&=+%[] \r\n","html":"</script><b>&amp;","precise":3.14159265358979323846264338327950288}"#,
];

#[track_caller]
fn post(daemon: &Daemon, data: &str) -> Reply {
    let event = format!(r#"{{"type":"call.new","company":"acme","source":"api","data":{data}}}"#);
    daemon.api().request("POST", "/v1/events", &[("content-type", "application/json; charset=utf-8")], event.as_bytes())
}

#[test]
fn data_arrives_byte_for_byte() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    daemon.subscribe(&receiver.url("/envelope"), json!({"ordering": "none"}));
    daemon.subscribe(&receiver.url("/flat"), json!({"layout": "flat", "ordering": "none"}));
    for (before, data) in DATA.iter().enumerate() {
        let accepted = post(&daemon, data).expect(202).json();
        let requests = receiver.wait_for(2 * (before + 1));
        let of_this = |path: &str| {
            let found = requests.iter().find(|r| r.path == path && accepted["id"] == r.webhook_id());
            found.unwrap_or_else(|| panic!("it did not arrive at {path}")).text()
        };
        let envelope = of_this("/envelope");
        let arrived = envelope.find(r#""data":"#).map(|at| &envelope[at + 7..envelope.len() - 1]);
        assert_eq!(arrived, Some(*data), "of {envelope}");
        assert!(envelope.ends_with('}'));
        // Flat: the same members in the same order, after `event`.
        let flat = of_this("/flat");
        let members = |text: &str| text.trim_start_matches('{').trim_end_matches('}').replace(' ', "");
        assert_eq!(members(&flat), format!(r#""event":"call.new",{}"#, members(data)), "of {flat}");
        let id = accepted["id"].as_str().unwrap_or_default();
        let stored = daemon.api().get(&format!("/v1/events/{id}")).expect(200).text();
        assert!(stored.contains(data), "as it is read again: {stored}");
    }
}

#[test]
fn a_form_keeps_digits_and_characters() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    daemon.subscribe(&receiver.url("/"), json!({"format": "form", "layout": "flat", "ordering": "none"}));
    for data in DATA {
        post(&daemon, data).expect(202);
    }
    let requests = receiver.wait_for(DATA.len());
    let pairs: Vec<_> = requests.iter().flat_map(|request| request.form()).collect();
    let wanted = [
        ("z", "1.50"),
        ("a", "1.0"),
        ("b", "0.1e-7"),
        ("huge", "123456789012345678901234567890"),
        ("tiny", "1e-400"),
        ("vast", "1E400"),
        ("minus", "-0"),
        ("text", "é/\u{2028}😀 é 😀 \u{0} \" \\ \t"),
        ("ключ", "значение"),
        ("名前", "田中"),
        ("none", ""),
        ("deep[0][0][0][a][0]", "true"),
        ("deep[0][0][0][a][1]", "false"),
        ("html", "</script><b>&amp;"),
        ("precise", "3.14159265358979323846264338327950288"),
    ];
    for (name, value) in wanted {
        assert!(pairs.contains(&(name.to_owned(), value.to_owned())), "{name}={value} in {pairs:?}");
    }
    for name in ["list", "object"] {
        assert!(!pairs.iter().any(|(key, _)| key.starts_with(name)), "empty {name} is left out: {pairs:?}");
    }
}

#[test]
fn a_large_body_arrives_whole_and_survives_a_restart() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    let subscription = daemon.subscribe(&receiver.url("/"), json!({"enabled": false}));
    // Longer than any single value of the store, and not compressible to a pattern.
    let long: String = (0..60_000).map(|n| format!("{n:x}é")).collect();
    let data = json!({"call_id": "c1", "note": long}).to_string();
    let accepted = post(&daemon, &data).expect(202).json();
    let daemon = daemon.kill().start();
    daemon.api().patch(&subscription.path(), &json!({"enabled": true})).expect(200);
    let request = receiver.wait_for(1)[0].clone();
    assert_eq!(accepted["id"], request.webhook_id());
    assert!(request.text().ends_with(&format!("{data}}}")), "{} bytes came", request.body().len());
    assert!(request.is_signed_with(&subscription.secret));
}
