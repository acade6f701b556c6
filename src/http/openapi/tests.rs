//! The document against the table of routes and against itself.

use std::collections::{BTreeMap, BTreeSet};

use super::super::routes;
use super::*;

fn whole() -> Value {
    document(&Catalogue::new(Vec::new()).unwrap())
}

/// The paths of `routes::find`, from its source: ids are written `{}`.
fn known_paths() -> BTreeSet<String> {
    let source = include_str!("../routes.rs");
    let table = source.split("pub(super) fn find(").nth(1).expect("the table of paths");
    let table = table.split("\n}\n").next().unwrap();
    let mut paths = BTreeSet::new();
    for line in table.lines() {
        let Some(rest) = line.trim_start().strip_prefix('[') else { continue };
        let Some((segments, _)) = rest.split_once("] => ") else { continue };
        if segments.contains("..") {
            continue;
        }
        let depth = line.len() - line.trim_start().len();
        let prefix = if depth > 8 { "/v1" } else { "" };
        let named = |segment: &str| match segment.strip_prefix('"') {
            Some(name) => name.trim_end_matches('"').to_owned(),
            None => "{}".to_owned(),
        };
        let segments: Vec<String> = segments.split(", ").map(named).collect();
        paths.insert(format!("{prefix}/{}", segments.join("/")));
    }
    paths
}

/// A path of the document with every parameter written `{}`.
fn plain(path: &str) -> String {
    let segments = path.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

/// A path of the document with valid values for its parameters.
fn filled(path: &str) -> String {
    let id = |prefix: &str| format!("{prefix}_01ARZ3NDEKTSV4RRFFQ69G5FAV");
    let found = path.split('/').map(str::to_owned).collect::<Vec<_>>();
    let mut last = String::new();
    let mut segments = Vec::new();
    for segment in found {
        segments.push(match (segment.as_str(), last.as_str()) {
            ("{id}", "events") => id("evt"),
            ("{id}", "subscriptions") => id("sub"),
            ("{id}", "deliveries") => id("dlv"),
            ("{id}", "log") => id("att"),
            ("{id}", "tokens") => id("tok"),
            ("{id}", "sessions") => id("ses"),
            ("{id}", "portal-links") => id("lnk"),
            (other, _) if other.starts_with('{') => "call_1".to_owned(),
            (other, _) => other.to_owned(),
        });
        last = segment;
    }
    segments.join("/")
}

fn operations(document: &Value) -> BTreeMap<(String, &'static str), Value> {
    let paths = document["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, item)| {
        METHODS.iter().filter_map(move |method| Some(((path.clone(), *method), item.get(*method)?.clone())))
    });
    all.collect()
}

#[test]
fn every_route_is_described_and_everything_described_is_a_route() {
    let document = whole();
    let described: BTreeSet<String> = document["paths"].as_object().unwrap().keys().map(|path| plain(path)).collect();
    let known = known_paths();
    assert!(known.len() > 20, "the table of routes was not understood: {known:?}");
    let missing: Vec<_> = known.difference(&described).collect();
    assert!(missing.is_empty(), "describe them in src/http/openapi/: {missing:?}");
    let made_up: Vec<_> = described.difference(&known).collect();
    assert!(made_up.is_empty(), "there are no such routes: {made_up:?}");
}

#[test]
fn the_methods_are_those_of_the_routes() {
    let document = whole();
    for (path, item) in document["paths"].as_object().unwrap() {
        let resource = routes::find(&filled(path)).unwrap_or_else(|| panic!("{path} is not found"));
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let described = item.get(method.to_lowercase()).is_some();
            let there = resource.check_method(&method.parse().unwrap()).is_ok();
            assert_eq!(described, there, "{method} {path}: described {described}, there {there}");
        }
    }
}

#[test]
fn every_operation_has_a_summary_and_roles() {
    let mut ids = BTreeSet::new();
    for ((path, method), operation) in operations(&whole()) {
        let at = format!("{method} {path}");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{at} has no summary");
        assert!(operation["tags"][0].is_string(), "{at} has no tag");
        assert!(ids.insert(operation["operationId"].as_str().expect(&at).to_owned()), "{at}: its id is given twice");
        let roles = operation["x-roles"].as_array().unwrap_or_else(|| panic!("{at} has no x-roles"));
        let known = roles.iter().all(|role| crate::core::token::Role::parse(role.as_str().unwrap()).is_ok());
        assert!(known && (roles.is_empty() || roles.contains(&json!("admin"))), "{at}: {roles:?}");
        let needed = path.matches('{').count();
        let given =
            |list: &Value| list.as_array().map_or(0, |all| all.iter().filter(|one| one["in"] == "path").count());
        let own = whole()["paths"][&path]["parameters"].clone();
        assert_eq!(given(&own) + given(&operation["parameters"]), needed, "{at}: the parameters in its path");
        if let Some(body) = operation.get("requestBody") {
            for (media, content) in body["content"].as_object().unwrap() {
                assert!(content.get("example").is_some(), "{at} has no example of {media}");
            }
        }
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = whole();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in &found {
        let place = document.pointer(reference.strip_prefix('#').unwrap());
        assert!(place.is_some_and(Value::is_object), "{reference} leads nowhere");
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        let used = found.contains(&format!("#/components/schemas/{name}"));
        assert!(used, "nobody refers to the schema {name}");
    }
}

#[test]
fn json_comes_before_other_media_types_and_nothing_is_lost() {
    let document = whole();
    let text = serde_json::to_string(&JsonFirst(&document)).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), document);
    let events = &text[text.find("\"operationId\":\"postEvents\"").unwrap()..];
    assert!(events.find("\"application/json\"").unwrap() < events.find("\"application/cloudevents+json\"").unwrap());
}

#[test]
fn declared_event_types_are_in_it() {
    let declared = crate::core::catalogue::Declared {
        name: "call.rated".to_owned(),
        title: "Rated".to_owned(),
        description: String::new(),
        sample: r#"{"call_id":"c"}"#.to_owned(),
    };
    let document = document(&Catalogue::new(vec![declared]).unwrap());
    let schemas = &document["components"]["schemas"];
    assert!(schemas["EventType"]["enum"].as_array().unwrap().contains(&json!("call.rated")));
    assert_eq!(schemas["NewCallRatedEvent"]["properties"]["type"]["const"], "call.rated");
    assert_eq!(schemas["CallRatedData"]["properties"]["call_id"]["type"], "string");
    assert!(document["webhooks"]["call.rated"]["post"]["requestBody"].is_object());
}

#[test]
fn a_rate_among_new_calls_may_be_above_one() {
    let figures = crate::core::report::Figures {
        events: [("call.new", 1), ("call.connected", 2), ("call.missed", 3)]
            .map(|(name, count)| (crate::core::event::EventType::parse(name).unwrap(), count))
            .into(),
        ..Default::default()
    };
    for (name, rate) in
        [("connection_rate", figures.connection_rate().unwrap()), ("missed_rate", figures.missed_rate().unwrap())]
    {
        let document = whole();
        let shown = document["components"]["schemas"]["Figures"]["properties"][name]["$ref"].as_str().unwrap();
        let schema = document.pointer(shown.strip_prefix('#').unwrap()).unwrap();
        assert!(schema["maximum"].as_f64().is_none_or(|most| rate <= most), "{name} is {rate}: {schema}");
    }
}
