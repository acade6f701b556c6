use super::*;
use crate::core::event::NewEvent;
use crate::core::time::Timestamp;

fn catalogue() -> Catalogue {
    Catalogue::new(Vec::new()).unwrap()
}

fn member<'a>(entry: &'a Entry, name: &str) -> Option<&'a RawValue> {
    let members = json::members(json::parse(&entry.sample).unwrap()).unwrap();
    members.into_iter().find(|(other, _)| other == name).map(|(_, value)| value)
}

fn faults(event_type: &str, data: &str) -> Vec<(String, String)> {
    let event_type = EventType::parse(event_type).unwrap();
    let invalid = catalogue().check_data(Some(&event_type), json::parse(data).unwrap()).expect_err(data);
    invalid.errors.into_iter().map(|error| (error.pointer, error.detail)).collect()
}

fn declared(name: &str) -> Declared {
    Declared {
        name: name.to_owned(),
        title: "Rated call".to_owned(),
        description: String::new(),
        sample: "{ \"call_id\": \"c 1\",\n \"note\" : \"a \\\" b\\\\\" , \"stars\": 4.50 }".to_owned(),
    }
}

#[test]
fn samples_have_the_documented_members_in_their_order() {
    let wanted = [
        (
            "call.new",
            "call_id widget_id lead_phone lead_name visitor_city visitor_timezone visitor_url referral_url department \
             dynamic_number gaclientid created",
        ),
        (
            "call.scheduled",
            "call_id widget_id lead_phone lead_name visitor_city visitor_timezone visitor_url referral_url department \
             dynamic_number scheduled_for created",
        ),
        ("call.missed", "call_id widget_id lead_phone callstatus retry_attempts created"),
        (
            "call.claimed",
            "call_id agent_id widget_id lead_phone agent_name agent_email agent_phone agent_extension callstatus created",
        ),
        ("call.connected", "call_id type agent_id widget_id lead_phone callstatus retry_attempts created"),
        (
            "call.finished",
            "call_id type agent_id widget_id lead_phone recording duration retry_attempts callstatus created",
        ),
        (
            "call.smsfollowup",
            "call_id widget_id lead_phone lead_name lead_email conversation_id message_id message received_at \
             conversation message_count created",
        ),
    ];
    let catalogue = catalogue();
    assert_eq!(catalogue.entries().len(), wanted.len());
    for (entry, (name, members)) in catalogue.entries().iter().zip(wanted) {
        let seen = json::members(json::parse(&entry.sample).unwrap()).unwrap();
        let seen: Vec<_> = seen.iter().map(|(name, _)| name.as_ref()).collect();
        assert_eq!((entry.name.as_str(), seen.join(" ")), (name, members.to_owned()));
        assert!(!entry.title.is_empty() && !entry.description.is_empty());
        assert_eq!(compact(&entry.sample), entry.sample);
    }
}

#[test]
fn every_sample_is_a_valid_event() {
    for entry in catalogue().entries() {
        let text = format!(
            r#"{{"type":"{}","company":"acme","source":"widget","occurred_at":{},"data":{}}}"#,
            entry.name,
            member(entry, "created").unwrap().get(),
            entry.sample
        );
        let event = NewEvent::from_json(json::parse(&text).unwrap(), &catalogue()).unwrap();
        assert_eq!((event.call.as_str(), event.phone.as_deref()), ("call_5f2c9a71", Some("+12025550143")));
        assert_eq!(event.data, entry.sample);
    }
}

#[test]
fn the_samples_tell_one_story_in_sequence() {
    let catalogue = catalogue();
    let time = |name: &str, at: &str| {
        let text = json::string(member(catalogue.get(name).unwrap(), at).unwrap()).unwrap();
        Timestamp::parse(&text).unwrap()
    };
    let times = [
        time("call.scheduled", "created"),
        time("call.scheduled", "scheduled_for"),
        time("call.missed", "created"),
        time("call.claimed", "created"),
        time("call.connected", "created"),
        time("call.finished", "created"),
        time("call.smsfollowup", "received_at"),
    ];
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    assert_eq!(time("call.new", "created"), time("call.scheduled", "scheduled_for"));
    let talked = time("call.finished", "created").since(time("call.connected", "created"));
    assert_eq!(
        member(catalogue.get("call.finished").unwrap(), "duration").unwrap().get(),
        talked.as_secs().to_string()
    );
    let followup: Value = serde_json::from_str(&catalogue.get("call.smsfollowup").unwrap().sample).unwrap();
    let thread = followup["conversation"].as_array().unwrap();
    assert!(thread.is_sorted_by(|a, b| a["sent_at"].as_str() < b["sent_at"].as_str()));
    assert_eq!(followup["message_count"], thread.len());
    let last = &thread[thread.len() - 1];
    assert_eq!((&last["id"], &last["body"]), (&followup["message_id"], &followup["message"]));
    assert_eq!((&last["sent_at"], &last["from"]), (&followup["received_at"], &followup["lead_phone"]));
}

#[test]
fn the_members_an_event_depends_on_are_checked() {
    let long = format!(r#"{{"call_id":"{}"}}"#, "x".repeat(129));
    let cases = [
        ("call.new", "[]", "", "an object"),
        ("call.new", "{}", "/call_id", "missing"),
        ("call.new", r#"{"call_id":7}"#, "/call_id", "a string"),
        ("call.new", r#"{"call_id":""}"#, "/call_id", "1 to 128"),
        ("call.new", &long, "/call_id", "1 to 128"),
        ("call.scheduled", r#"{"call_id":"c"}"#, "/scheduled_for", "missing"),
        ("call.scheduled", r#"{"call_id":"c","scheduled_for":null}"#, "/scheduled_for", "null"),
        ("call.smsfollowup", r#"{"call_id":"c","conversation":[]}"#, "/message", "missing"),
        ("call.smsfollowup", r#"{"call_id":"c","message":"m"}"#, "/conversation", "missing"),
        ("call.smsfollowup", r#"{"call_id":"c","message":"m","conversation":{}}"#, "/conversation", "a list"),
        ("call.smsfollowup", r#"{"call_id":"c","message":1,"conversation":[]}"#, "/message", "a string"),
    ];
    for (event_type, data, at, words) in cases {
        let found = faults(event_type, data);
        assert_eq!((found.len(), found[0].0.as_str()), (1, at), "{data}: {found:?}");
        assert!(found[0].1.contains(words), "{data}: {found:?}");
    }
    assert_eq!(faults("call.smsfollowup", "{}").len(), 3);
}

#[test]
fn a_phone_number_is_short_text_or_digits_or_none() {
    let long = format!(r#""{}""#, "1".repeat(PHONE_MOST + 1));
    for (phone, wanted) in [
        (r#""+12025550143""#, Some("+12025550143")),
        ("12025550143", Some("12025550143")),
        ("[12]", None),
        (r#""""#, None),
        (&long, None),
    ] {
        let text = format!(r#"{{"call_id":"c","lead_phone":{phone}}}"#);
        let keys = catalogue().check_data(None, json::parse(&text).unwrap()).unwrap();
        assert_eq!(keys.phone.as_deref(), wanted);
    }
}

#[test]
fn schemas_match_the_checks() {
    let catalogue = catalogue();
    for entry in catalogue.entries() {
        let schema = catalogue.schema(entry);
        assert_eq!(schema["additionalProperties"], true);
        assert_eq!(schema["properties"]["call_id"]["maxLength"], 128);
        for (name, property) in schema["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{} {name}", entry.name);
        }
        for name in schema["required"].as_array().unwrap() {
            assert!(!schema["properties"][name.as_str().unwrap()]["type"].is_null(), "{} {name}", entry.name);
        }
    }
    let required = |name: &str| catalogue.schema(catalogue.get(name).unwrap())["required"].clone();
    assert_eq!(required("call.new"), json!(["call_id"]));
    assert_eq!(required("call.scheduled"), json!(["call_id", "scheduled_for"]));
    assert_eq!(required("call.smsfollowup"), json!(["call_id", "message", "conversation"]));
}

#[test]
fn declared_types_stand_beside_the_seven() {
    let catalogue = Catalogue::new(vec![declared("call.rated"), declared("lead_2.score.v1")]).unwrap();
    let entry = catalogue.get("call.rated").unwrap();
    assert_eq!(entry.sample, r#"{"call_id":"c 1","note":"a \" b\\","stars":4.50}"#);
    assert_eq!(catalogue.schema(entry)["required"], json!(["call_id"]));
    assert_eq!(catalogue.event_type("lead_2.score.v1").unwrap().as_str(), "lead_2.score.v1");
    let unknown = catalogue.event_type("call.lost").unwrap_err();
    assert!(unknown.contains("`call.new`") && unknown.contains("`call.rated`") && unknown.contains("`call.lost`"));
}

#[test]
fn declared_types_that_cannot_be_are_refused_where_they_stand() {
    let long = format!("call.{}", "x".repeat(60));
    for name in [
        "",
        "rated",
        "Call.rated",
        "call.",
        ".call",
        "call..rated",
        "1call.rated",
        "call.räted",
        "call rated",
        "*",
        &long,
    ] {
        let invalid = Catalogue::new(vec![declared("call.good"), declared(name)]).unwrap_err();
        assert_eq!((invalid.errors.len(), invalid.errors[0].pointer.as_str()), (1, "/1/name"), "{name}");
    }
    for (first, second, words) in
        [("call.rated", "call.rated", "declared already"), ("call.rated", "call.new", "built in")]
    {
        let invalid = Catalogue::new(vec![declared(first), declared(second)]).unwrap_err();
        assert_eq!(invalid.errors[0].pointer, "/1/name");
        assert!(invalid.errors[0].detail.contains(words), "{invalid}");
    }
    for (sample, at) in [
        ("", "/0/sample"),
        ("[]", "/0/sample"),
        ("{}", "/0/sample/call_id"),
        (r#"{"call_id":"c","a":{"b":1,"b":2}}"#, "/0/sample/a/b"),
    ] {
        let wrong = Declared { sample: sample.to_owned(), ..declared("call.rated") };
        assert_eq!(Catalogue::new(vec![wrong]).unwrap_err().errors[0].pointer, at, "{sample}");
    }
    let untitled = Declared { title: String::new(), ..declared("call.rated") };
    assert_eq!(Catalogue::new(vec![untitled]).unwrap_err().errors[0].pointer, "/0/title");
}
