use super::*;
use proptest::prelude::*;

fn written(text: &str, inside: Option<&str>, nested: Nested) -> Written {
    let raw = json::parse(text).unwrap();
    json::check(raw, 0).unwrap();
    write(&[], raw, inside, nested)
}

fn form(text: &str) -> String {
    written(text, None, Nested::Brackets).text
}

/// The decoded pairs of a form, and which of them are JSON text.
fn pairs(written: &Written) -> Vec<(String, String)> {
    url::form_urlencoded::parse(written.text.as_bytes()).into_owned().collect()
}

#[test]
fn values_are_written_as_documented() {
    let cases = [
        (r#"{"a":true,"b":false,"c":null,"d":"","e":"null"}"#, "a=true&b=false&c=&d=&e=null"),
        (
            r#"{"a":1.50,"b":-0,"c":1E+400,"d":12345678901234567890123}"#,
            "a=1.50&b=-0&c=1E%2B400&d=12345678901234567890123",
        ),
        (r#"{"a":{},"b":[],"c":{"d":[{}]},"e":[1,[]]}"#, "e%5B0%5D=1"),
        (r#"{"a":[null,[2],{"b":3}]}"#, "a%5B0%5D=&a%5B1%5D%5B0%5D=2&a%5B2%5D%5Bb%5D=3"),
        (
            r#"{"z":"ä €\ud83d\ude00","y":"a+b c&d=e\r\n~*-._"}"#,
            "z=%C3%A4+%E2%82%AC%F0%9F%98%80&y=a%2Bb+c%26d%3De%0D%0A%7E*-._",
        ),
        (r#"{"a][b":1,"c":{"d[e]":2}}"#, "a%255D%255Bb=1&c%5Bd%255Be%255D%5D=2"),
        (r#"{"10%":1,"%5b":2,"%255B":3}"#, "10%2525=1&%25255b=2&%2525255B=3"),
        (
            r#"{"":1," event":2,"call.id":3,"call_id":4,"a\u0000b":5,"\t\u007f":6}"#,
            "%25=1&%2520event=2&call%252Eid=3&call_id=4&a%2500b=5&%2509%257F=6",
        ),
        (r#"{"a":{"":1,".":{" ":2}}}"#, "a%5B%25%5D=1&a%5B%252E%5D%5B%2520%5D=2"),
        (
            r#"{"__proto__":1,"o":{"constructor":2},"_method":3,"Constructor":4}"#,
            "%255F_proto__=1&%255Fmethod=3&Constructor=4&o%5B%2563onstructor%5D=2",
        ),
    ];
    for (text, wanted) in cases {
        assert_eq!(form(text), wanted, "{text}");
    }
}

#[test]
fn short_members_come_first() {
    let keys = |text: &str| {
        let pairs = pairs(&written(text, None, Nested::Brackets)).into_iter();
        pairs.map(|(key, _)| key).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(keys(r#"{"o":{"x":1},"l":[1,2],"z":1,"a":"long long long long"}"#), "z a l[0] l[1] o[x]");
}

#[test]
fn with_json_each_list_and_object_is_one_field() {
    let text = r#"{"l":[ {"a":1.50} ],"z":null,"o":{"x":[]},"e":[],"f":{"g":{}}}"#;
    let flat = written(text, None, Nested::Json);
    assert_eq!(flat.json_members, None);
    let wanted = [("z", ""), ("l", r#"[ {"a":1.50} ]"#)].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(pairs(&flat), wanted, "what is empty is left out");
    let whole = written(text, Some("data"), Nested::Json);
    assert_eq!(pairs(&whole), [("data".to_owned(), text.to_owned())]);
}

#[test]
fn values_beyond_parser_limits_become_json_text_and_are_named() {
    let list = |count: usize| format!("[{}]", vec!["1"; count].join(","));
    let long = "k".repeat(KEY_MOST - 4);
    let deep = r#"{"b":{"c":{"d":{"e":{"f":1}}}}}"#;
    let cases = [
        (format!(r#"{{"a":{},"b":{},"c":1}}"#, list(500), list(399)), None, None),
        (format!(r#"{{"a":{},"b":{},"c":1}}"#, list(500), list(400)), Some("a"), Some("data[a]")),
        (
            format!(r#"{{"a":{},"b":{},"c":{}}}"#, list(901), list(900), list(899)),
            Some("c,b,a"),
            Some("data[c],data[b],data[a]"),
        ),
        (format!(r#"{{"a":{deep},"g":1}}"#), None, Some("data[a]")),
        (format!(r#"{{"a":{{"x":{deep}}},"g":1}}"#), Some("a"), Some("data[a]")),
        (
            r#"{"a":[[],1],"b":[1,[]],"ü,.":[{},{"c":2}]}"#.to_owned(),
            Some("a,%C3%BC%2C%2E"),
            Some("data[a],data[%C3%BC%2C%2E]"),
        ),
        (format!(r#"{{"a":{{"{long}":1}},"b":1}}"#), Some("a"), Some("data[a]")),
        (format!(r#"{{"a":[1],"{long}12345":1}}"#), Some("*"), Some("data")),
    ];
    for (text, flat, inside) in cases {
        for (place, wanted) in [(None, flat), (Some("data"), inside)] {
            let shown: String = text.chars().take(60).collect();
            let written = written(&text, place, Nested::Brackets);
            assert_eq!(written.json_members.as_deref(), wanted, "{shown} {place:?}");
            let pairs = pairs(&written);
            assert!(pairs.len() <= FIELDS_MOST, "{shown}: {}", pairs.len());
            for key in wanted.into_iter().flat_map(|keys| keys.split(',')).filter(|key| key.is_ascii() && *key != "*") {
                let field = pairs.iter().find(|(name, _)| named(name) == key);
                let (_, value) = field.unwrap_or_else(|| panic!("{shown}: {key}"));
                assert!(text.contains(value.as_str()), "{shown}: the JSON text as it was posted: {value}");
            }
        }
    }
    let many: Vec<String> = (0..1_000).map(|n| format!("\"m{n}\":{n}")).collect();
    let text = format!("{{{}}}", many.join(","));
    let whole = written(&text, Some("data"), Nested::Brackets);
    assert_eq!((whole.json_members.as_deref(), pairs(&whole)), (Some("data"), vec![("data".to_owned(), text.clone())]));
    let flat = written(&text, None, Nested::Brackets);
    assert_eq!((flat.json_members, flat.text.split('&').count()), (None, 1_000), "there is nothing to make shorter");
    let many: Vec<String> = (0..1_000).map(|n| format!("\"member-{n}\":[{n},{n}]")).collect();
    let flat = written(&format!("{{{}}}", many.join(",")), None, Nested::Brackets);
    assert_eq!((flat.json_members.as_deref(), flat.text.split('&').count()), (Some("*"), 1_000));
}

/// A tree as a receiver sees it: every leaf is text, lists are maps by index.
#[derive(Debug, Clone, PartialEq)]
enum Tree {
    Leaf(String),
    Branch(Vec<(String, Tree)>),
}

/// JSON with its text and the receiver's view of it (`None` if nothing is left).
#[derive(Debug, Clone)]
enum Json {
    Word(&'static str),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    fn text(&self) -> String {
        match self {
            Self::Word(word) => (*word).to_owned(),
            Self::Text(text) => json::quote(text),
            Self::List(items) => format!("[{}]", items.iter().map(Self::text).collect::<Vec<_>>().join(",")),
            Self::Object(members) => {
                let members = members.iter().map(|(n, v)| format!("{}:{}", json::quote(n), v.text()));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }
        }
    }

    fn seen(&self) -> Option<Tree> {
        let branch = |entries: Vec<(String, Option<Tree>)>| {
            let left: Vec<_> = entries.into_iter().filter_map(|(name, tree)| Some((name, tree?))).collect();
            (!left.is_empty()).then_some(Tree::Branch(left))
        };
        match self {
            Self::Word("null") => Some(Tree::Leaf(String::new())),
            Self::Word(word) => Some(Tree::Leaf((*word).to_owned())),
            Self::Text(text) => Some(Tree::Leaf(text.clone())),
            Self::List(items) => branch(items.iter().enumerate().map(|(i, v)| (i.to_string(), v.seen())).collect()),
            Self::Object(members) => branch(members.iter().map(|(n, v)| (n.clone(), v.seen())).collect()),
        }
    }
}

fn decode(text: &str, plus: bool) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        let hex = tail.get(..2).and_then(|h| u8::from_str_radix(std::str::from_utf8(h).ok()?, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (b'+', _) if plus => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// The member name encoded in a part of a key.
fn name(part: &str) -> String {
    if part == "%" { String::new() } else { decode(part, false) }
}

fn parse(form: &str) -> Tree {
    let mut top = Tree::Branch(Vec::new());
    for pair in form.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap();
        let key = decode(key, true);
        let first = key.find('[').unwrap_or(key.len());
        let mut path = vec![name(&key[..first])];
        let steps = key[first..].strip_prefix('[').and_then(|k| k.strip_suffix(']'));
        path.extend(steps.into_iter().flat_map(|steps| steps.split("][")).map(name));
        let mut at = &mut top;
        for step in path {
            let Tree::Branch(entries) = at else { panic!("a value and a branch at once: {key}") };
            let index = entries.iter().position(|(other, _)| *other == step).unwrap_or_else(|| {
                entries.push((step, Tree::Branch(Vec::new())));
                entries.len() - 1
            });
            at = &mut entries[index].1;
        }
        assert_eq!(*at, Tree::Branch(Vec::new()), "{key} appears twice");
        *at = Tree::Leaf(decode(value, true));
    }
    top
}

fn member_name() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-z_]{1,6}",
        4 => "[\\[\\]%5BbDd2&=+ .äx\\x00]{0,6}",
        2 => "\\PC{0,4}",
        1 => prop::sample::select(&RESERVED[..]).prop_map(str::to_owned),
    ]
}

fn object(value: impl Strategy<Value = Json> + 'static) -> impl Strategy<Value = Json> {
    prop::collection::vec((member_name(), value), 0..5).prop_map(|mut members| {
        let mut seen = std::collections::HashSet::new();
        members.retain(|(name, _)| seen.insert(name.clone()));
        Json::Object(members)
    })
}

fn document() -> impl Strategy<Value = Json> {
    const WORDS: &[&str] = &["null", "true", "false", "0", "-1.50", "1E+400", "123456789012345678901234567890"];
    let leaf = prop_oneof![prop::sample::select(WORDS).prop_map(Json::Word), "\\PC{0,8}".prop_map(Json::Text)];
    let value = leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![prop::collection::vec(inner.clone(), 0..4).prop_map(Json::List), object(inner)]
    });
    object(value)
}

/// The part of a document that brackets can express to every parser; the rest is JSON text.
fn seen_in_brackets(document: &Json, json_members: &[String]) -> Tree {
    let Json::Object(members) = document else { return Tree::Branch(Vec::new()) };
    let (singles, mut composite): (Vec<_>, Vec<_>) =
        members.iter().partition(|(_, value)| matches!(value, Json::Word(_) | Json::Text(_)));
    composite.sort_by_key(|(_, value)| value.text().len());
    let entries = singles.into_iter().chain(composite).filter_map(|(name, value)| {
        let mut key = String::new();
        push_name(&mut key, name);
        let text = json_members.contains(&named(&key)).then(|| Tree::Leaf(value.text()));
        Some((name.clone(), text.or_else(|| value.seen())?))
    });
    Tree::Branch(entries.collect())
}

proptest! {
    #[test]
    fn a_receiver_reads_the_same_structure_back(document in document()) {
        let written = written(&document.text(), None, Nested::Brackets);
        let named: Vec<String> = written.json_members.iter().flat_map(|all| all.split(',')).map(str::to_owned).collect();
        prop_assert_eq!(parse(&written.text), seen_in_brackets(&document, &named));
    }
}
