//! Any JSON as a member of `data`, sent as a form and parsed back by bracket keys like PHP, Rails and `qs`: the same
//! structure, without what a form cannot express (empty lists and objects, and the types of leaves); or its JSON
//! text, where the form says so.
#![no_main]

use std::collections::BTreeMap;

use hookswitch::core::catalogue::Catalogue;
use hookswitch::core::event::{Event, NewEvent};
use hookswitch::core::id::EventId;
use hookswitch::core::json::{self, Kind};
use hookswitch::core::payload::body;
use hookswitch::core::subscription::{Format, Layout, Nested};
use hookswitch::core::time::Timestamp;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

#[derive(Debug, PartialEq)]
enum Tree {
    Leaf(String),
    Branch(BTreeMap<String, Tree>),
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if json::parse(text).is_err() {
        return;
    }
    let posted = format!(r#"{{"type":"call.new","company":"a","source":"api","data":{{"call_id":"c","x":{text}}}}}"#);
    let catalogue = Catalogue::new(Vec::new()).expect("the seven event types");
    let Ok(new) = NewEvent::from_json(json::parse(&posted).expect("checked"), &catalogue) else { return };
    let at = Timestamp::from_millis(1_790_000_000_000);
    let event = Event {
        id: EventId::from_bits(1 << 80),
        accepted_at: at,
        occurred_at: at,
        event_type: new.event_type,
        company: new.company,
        domain: None,
        source: new.source,
        producer_id: None,
        call: new.call,
        phone: new.phone,
        data: new.data,
    };
    let form = body(&event, Format::Form, Layout::Flat, Nested::Brackets);
    let mut read = BTreeMap::new();
    for (key, value) in url::form_urlencoded::parse(&form.bytes) {
        put(&mut read, &steps(&key), value.into_owned());
    }
    let mut wanted = BTreeMap::from([
        ("event".to_owned(), Tree::Leaf("call.new".to_owned())),
        ("call_id".to_owned(), Tree::Leaf("c".to_owned())),
    ]);
    let value = json::parse(text).expect("checked");
    let x = match form.json_members.as_deref() {
        None => tree(value),
        Some("x" | "*") => Some(Tree::Leaf(value.get().to_owned())),
        Some(other) => panic!("{other} is not a member"),
    };
    wanted.extend(x.map(|tree| ("x".to_owned(), tree)));
    assert_eq!(read, wanted);
});

/// `a[b][c]` as its steps.
fn steps(key: &str) -> Vec<String> {
    let (first, rest) = key.split_once('[').map_or((key, None), |(first, rest)| (first, Some(rest)));
    let mut steps = vec![name(first)];
    if let Some(rest) = rest {
        let rest = rest.strip_suffix(']').expect("a bracket that closes");
        steps.extend(rest.split("][").map(name));
    }
    steps
}

/// The name encoded in a part of a key.
fn name(part: &str) -> String {
    if part == "%" {
        return String::new();
    }
    percent_encoding::percent_decode_str(part).decode_utf8().expect("a name is UTF-8").into_owned()
}

fn put(branch: &mut BTreeMap<String, Tree>, steps: &[String], value: String) {
    let (first, rest) = steps.split_first().expect("a key has a name");
    if rest.is_empty() {
        assert!(branch.insert(first.clone(), Tree::Leaf(value)).is_none(), "{first} is given twice");
        return;
    }
    match branch.entry(first.clone()).or_insert_with(|| Tree::Branch(BTreeMap::new())) {
        Tree::Branch(inner) => put(inner, rest, value),
        Tree::Leaf(leaf) => panic!("{first} is {leaf:?} and has members"),
    }
}

/// The part of `value` that a form can express.
fn tree(value: &RawValue) -> Option<Tree> {
    let branch = |pairs: Vec<(String, &RawValue)>| {
        let branch: BTreeMap<_, _> = pairs.into_iter().filter_map(|(name, value)| Some((name, tree(value)?))).collect();
        (!branch.is_empty()).then_some(Tree::Branch(branch))
    };
    match Kind::of(value) {
        Kind::Null => Some(Tree::Leaf(String::new())),
        Kind::Boolean | Kind::Number => Some(Tree::Leaf(value.get().to_owned())),
        Kind::String => Some(Tree::Leaf(json::string(value).expect("checked"))),
        Kind::List => {
            let items = json::items(value).expect("checked").into_iter().enumerate();
            branch(items.map(|(index, item)| (index.to_string(), item)).collect())
        }
        Kind::Object => branch(json::members(value).expect("checked")),
    }
}
