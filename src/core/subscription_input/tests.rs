use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const LATER: Timestamp = Timestamp::from_millis(1_790_000_001_000);

fn change(text: &str) -> Result<Change, Invalid> {
    Change::from_json(json::parse(text).unwrap(), &Catalogue::new(Vec::new()).unwrap())
}

fn faults(text: &str) -> Vec<(String, String)> {
    let invalid = change(text).expect_err(text);
    invalid.errors.into_iter().map(|error| (error.pointer, error.detail)).collect()
}

fn subscription(text: &str) -> Subscription {
    let draft = change(text).and_then(|change| change.into_draft(Ordering::Call)).unwrap();
    draft.into_subscription(SubscriptionId::from_bits(1), SubscriptionNumber::FIRST, Secret::from_bytes([7; 32]), NOW)
}

const FULL: &str = r#"{"company":"acme","domain":"www.acme.example","sources":["widget","ilr"],
    "url":"https://Acme.Example:443/hook?a=1","format":"form","layout":"flat","nested":"json",
    "events":["call.new","call.missed"],"description":"CRM\nmain","headers":{"X-Key":"k"},"timeout_ms":100,
    "max_in_flight":8192,"rate_per_second":1,"ordering":"none","expire_after":{"call.new":"10m"},"enabled":false}"#;

#[test]
fn every_member_is_read() {
    let full = subscription(FULL);
    let types = |names: &[&str]| names.iter().map(|name| EventType::parse(name).unwrap()).collect();
    assert_eq!(full.company.as_str(), "acme");
    assert_eq!(full.domain, Some(Domain::parse("www.acme.example").unwrap()));
    assert_eq!(full.sources, BTreeSet::from([Source::Widget, Source::LeadConnect]));
    assert_eq!(full.url, "https://acme.example/hook?a=1");
    assert_eq!((full.format, full.layout, full.ordering), (Format::Form, Layout::Flat, Ordering::None));
    assert_eq!(full.nested, Nested::Json);
    assert_eq!(full.events, Selection::Some(types(&["call.new", "call.missed"])));
    assert_eq!(full.description, "CRM\nmain");
    assert_eq!((full.headers[0].name.as_str(), full.headers[0].value.expose()), ("X-Key", "k"));
    assert_eq!(full.timeout, Some(Duration::from_millis(100)));
    assert_eq!((full.max_in_flight, full.rate_per_second), (Some(8192), Some(1)));
    assert_eq!(full.expire_after, BTreeMap::from([(EventType::parse("call.new").unwrap(), Duration::from_secs(600))]));
    assert_eq!(full.disabled, Some(DisabledReason::ByHand));
    assert_eq!((full.created_at, full.updated_at), (NOW, NOW));
}

#[test]
fn three_members_are_enough() {
    let least = subscription(r#"{"company":"acme","url":"http://acme.example/hook","events":["*"]}"#);
    assert_eq!((least.format, least.layout, least.ordering), (Format::Json, Layout::Envelope, Ordering::Call));
    assert_eq!(least.nested, Nested::Brackets);
    assert_eq!((least.events.clone(), least.enabled()), (Selection::All, true));
    assert!(least.domain.is_none() && least.sources.is_empty() && least.headers.is_empty());
    let missing = change("{}").unwrap().into_draft(Ordering::Call).unwrap_err();
    let pointers: Vec<_> = missing.errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(pointers, ["/company", "/url", "/events"]);
}

#[test]
fn wrong_members_are_refused_where_they_stand() {
    let cases = [
        (r#"{"company":""}"#, "/company", "1 to 128"),
        (r#"{"company":null}"#, "/company", "a string"),
        (r#"{"company":"a","company":"b"}"#, "/company", "twice"),
        (r#"{"domain":1}"#, "/domain", "a string"),
        (r#"{"sources":"widget"}"#, "/sources", "a list"),
        (r#"{"sources":["fax"]}"#, "/sources/0", "lead_connect"),
        (r#"{"url":"ftp://acme.example"}"#, "/url", "http"),
        (r#"{"format":"xml"}"#, "/format", "`json`, `form`"),
        (r#"{"layout":"deep"}"#, "/layout", "`envelope`, `flat`"),
        (r#"{"nested":"indices"}"#, "/nested", "`brackets`, `json`"),
        (r#"{"nested":null}"#, "/nested", "a string"),
        (r#"{"events":[]}"#, "/events", "at least one"),
        (r#"{"events":["call.new","call.lost"]}"#, "/events/1", "call.smsfollowup"),
        (r#"{"events":["call.new","*"]}"#, "/events/1", "alone"),
        (r#"{"events":[1]}"#, "/events/0", "a string"),
        (r#"{"description":"a\u0007"}"#, "/description", "control"),
        (r#"{"headers":{"Host":"x"}}"#, "/headers/Host", "cannot be set"),
        (r#"{"timeout_ms":99}"#, "/timeout_ms", "from 100 to 60000"),
        (r#"{"timeout_ms":60001}"#, "/timeout_ms", "from 100 to 60000"),
        (r#"{"max_in_flight":0}"#, "/max_in_flight", "from 1 to 8192"),
        (r#"{"max_in_flight":8193}"#, "/max_in_flight", "from 1 to 8192"),
        (r#"{"max_in_flight":1.5}"#, "/max_in_flight", "whole"),
        (r#"{"rate_per_second":10001}"#, "/rate_per_second", "from 1 to 10000"),
        (r#"{"ordering":"fifo"}"#, "/ordering", "`call`, `none`"),
        (r#"{"expire_after":"10m"}"#, "/expire_after", "an object"),
        (r#"{"expire_after":{"call.new":"999ms"}}"#, "/expire_after/call.new", "from 1s to 8760h"),
        (r#"{"expire_after":{"call.new":"366d"}}"#, "/expire_after/call.new", "from 1s to 8760h"),
        (r#"{"expire_after":{"call.new":600}}"#, "/expire_after/call.new", "a string"),
        (r#"{"expire_after":{"call.lost":"1m"}}"#, "/expire_after/call.lost", "call.new"),
        (r#"{"enabled":"yes"}"#, "/enabled", "true or false"),
        (r#"{"secret":"whsec_AAAA"}"#, "/secret", "24 to 64 bytes, not of 3"),
        (r#"{"secret":"AAAA"}"#, "/secret", "does not begin so"),
        (r#"{"secret":"whsec_A A="}"#, "/secret", "not base64"),
        (r#"{"secret":7}"#, "/secret", "must be a string"),
        (r#"{"disabled_reason":null}"#, "/disabled_reason", "read-only"),
        (r#"{"waiting":0}"#, "/waiting", "read-only"),
        (r#"{"uri":"x"}"#, "/uri", "expire_after"),
        ("[]", "", "an object"),
    ];
    for (text, at, words) in cases {
        let found = faults(text);
        assert_eq!((found.len(), found[0].0.as_str()), (1, at), "{text}: {found:?}");
        assert!(found[0].1.contains(words), "{text}: {found:?}");
    }
    assert!(faults(&format!(r#"{{"description":"{}"}}"#, "ä".repeat(501)))[0].1.contains("500"));
    assert_eq!(faults(r#"{"url":"x","events":[],"id":"sub_1"}"#).len(), 3);
}

#[test]
fn a_patch_changes_only_its_members() {
    let full = subscription(FULL);
    let patched = change(r#"{"description":"new"}"#).unwrap().apply(&full, LATER).unwrap();
    let mut wanted = full.clone();
    wanted.description = "new".to_owned();
    wanted.updated_at = LATER;
    assert_eq!(patched, wanted);
}

#[test]
fn null_resets() {
    let text = r#"{"domain":null,"sources":null,"headers":null,"timeout_ms":null,"max_in_flight":null,
        "rate_per_second":null,"expire_after":null,"description":null}"#;
    let reset = change(text).unwrap().apply(&subscription(FULL), LATER).unwrap();
    assert_eq!((reset.domain, reset.timeout, reset.max_in_flight, reset.rate_per_second), (None, None, None, None));
    assert!(reset.description.is_empty() && reset.sources.is_empty());
    assert!(reset.headers.is_empty() && reset.expire_after.is_empty());
    let text = r#"{"domain":"","timeout_ms":"","max_in_flight":"","rate_per_second":"","description":"",
        "client_cert":"","client_key":""}"#;
    let reset = change(text).unwrap().apply(&subscription(FULL), LATER).unwrap();
    assert_eq!((reset.domain, reset.timeout, reset.max_in_flight, reset.rate_per_second), (None, None, None, None));
    assert!(reset.description.is_empty() && reset.client_certificate.is_none());
    // An empty text is neither a list nor a choice: it could mean more than intended.
    for name in [
        "company",
        "url",
        "format",
        "layout",
        "nested",
        "ordering",
        "events",
        "sources",
        "headers",
        "expire_after",
        "enabled",
    ] {
        assert_eq!(faults(&format!(r#"{{"{name}":""}}"#)).len(), 1, "{name}");
    }
    for text in [r#"{"url":null}"#, r#"{"format":null}"#, r#"{"events":null}"#, r#"{"enabled":null}"#] {
        assert_eq!(faults(text).len(), 1, "{text}");
    }
}

#[test]
fn enabling_and_disabling_keep_the_reason_straight() {
    let mut current = subscription(FULL);
    let applied = |text: &str, current: &Subscription| change(text).unwrap().apply(current, LATER).unwrap().disabled;
    current.disabled = Some(DisabledReason::Gone);
    assert_eq!(applied(r#"{"enabled":true}"#, &current), None);
    assert_eq!(applied(r#"{"enabled":false}"#, &current), Some(DisabledReason::Gone));
    assert_eq!(applied("{}", &current), Some(DisabledReason::Gone));
    current.disabled = None;
    assert_eq!(applied(r#"{"enabled":false}"#, &current), Some(DisabledReason::ByHand));
}

#[test]
fn a_patch_cannot_move_it_to_another_company_and_keeps_header_values() {
    let full = subscription(FULL);
    let apply = |text: &str| change(text).unwrap().apply(&full, LATER);
    assert!(apply(r#"{"company":"acme"}"#).is_ok());
    assert_eq!(apply(r#"{"company":"other"}"#).unwrap_err().errors[0].pointer, "/company");
    let kept = apply(r#"{"headers":{"X-Key":null,"X-More":"m"}}"#).unwrap().headers;
    let seen: Vec<_> = kept.iter().map(|h| (h.name.as_str(), h.value.expose())).collect();
    assert_eq!(seen, [("X-Key", "k"), ("X-More", "m")]);
    assert_eq!(apply(r#"{"headers":{"X-Other":null}}"#).unwrap_err().errors[0].pointer, "/headers/X-Other");
    let created = change(r#"{"company":"a","url":"http://a.example","events":["*"],"headers":{"X-Key":null}}"#);
    assert!(created.unwrap().into_draft(Ordering::Call).is_err());
}

#[test]
fn no_header_value_shows_in_debug() {
    assert!(!format!("{:?}", change(r#"{"headers":{"X-Key":"hunter2"}}"#).unwrap()).contains("hunter2"));
}
