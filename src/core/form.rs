//! JSON as `application/x-www-form-urlencoded` with bracket keys, as PHP, Rails and `qs` read them.
//!
//! A value's place becomes its key: `data[conversation][0][body]`. Order is kept. Numbers keep their
//! digits, `true` and `false` are words, null is an empty value; empty lists and objects have no
//! value to stand behind a key and are left out (the items after one in a list keep their index).
//!
//! A bracket in a member's name would be read as structure, so that a name such as `a][b` could
//! stand where another member belongs: in names, `[` and `]` are written `%5B` and `%5D` before
//! the form's own encoding, and a `%` that would then be read as one of these is written `%25`.

use serde_json::value::RawValue;
use url::form_urlencoded::Serializer;

use super::json::{self, Kind};

/// A form that is being written. What it is given has passed [`json::check`].
pub(super) struct Form {
    pairs: Serializer<'static, String>,
    /// The key of the value that is being written.
    key: String,
}

impl Default for Form {
    fn default() -> Self {
        Self { pairs: Serializer::new(String::new()), key: String::new() }
    }
}

impl Form {
    /// Writes one pair of plain text.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.pairs.append_pair(name, value);
    }

    /// Writes the pairs of the member `name` at the top.
    pub(super) fn value(&mut self, name: &str, value: &RawValue) {
        self.key.clear();
        push_name(&mut self.key, name);
        self.write(value);
    }

    /// The form as text.
    pub(super) fn finish(mut self) -> String {
        self.pairs.finish()
    }

    fn write(&mut self, value: &RawValue) {
        const CHECKED: &str = "the document was checked when it was accepted";
        match Kind::of(value) {
            Kind::Null => self.pair(""),
            Kind::Boolean | Kind::Number => self.pair(value.get()),
            Kind::String => self.pair(&json::string(value).expect(CHECKED)),
            Kind::List => {
                for (index, item) in json::items(value).expect(CHECKED).into_iter().enumerate() {
                    self.below(&index.to_string(), item);
                }
            }
            Kind::Object => {
                for (name, member) in json::members(value).expect(CHECKED) {
                    self.below(&name, member);
                }
            }
        }
    }

    fn below(&mut self, name: &str, value: &RawValue) {
        let length = self.key.len();
        self.key.push('[');
        push_name(&mut self.key, name);
        self.key.push(']');
        self.write(value);
        self.key.truncate(length);
    }

    fn pair(&mut self, value: &str) {
        self.pairs.append_pair(&self.key, value);
    }
}

fn push_name(key: &mut String, name: &str) {
    for (at, c) in name.char_indices() {
        match c {
            '[' => key.push_str("%5B"),
            ']' => key.push_str("%5D"),
            '%' if is_escape(&name.as_bytes()[at..]) => key.push_str("%25"),
            _ => key.push(c),
        }
    }
}

/// Whether `text` begins with something that would be read as an escape of [`push_name`].
fn is_escape(text: &[u8]) -> bool {
    let escapes: [&[u8]; 3] = [b"%5B", b"%5D", b"%25"];
    text.get(..3).is_some_and(|start| escapes.iter().any(|escape| start.eq_ignore_ascii_case(escape)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn form(text: &str) -> String {
        let raw = json::parse(text).unwrap();
        json::check(raw, 0).unwrap();
        let mut form = Form::default();
        for (name, value) in json::members(raw).unwrap() {
            form.value(&name, value);
        }
        form.finish()
    }

    #[test]
    fn values_are_written_as_documented() {
        let cases = [
            (r#"{"a":true,"b":false,"c":null,"d":"","e":"null"}"#, "a=true&b=false&c=&d=&e=null"),
            (
                r#"{"a":1.50,"b":-0,"c":1E+400,"d":12345678901234567890123}"#,
                "a=1.50&b=-0&c=1E%2B400&d=12345678901234567890123",
            ),
            (r#"{"a":{},"b":[],"c":{"d":[{}]},"e":[[],1]}"#, "e%5B1%5D=1"),
            (r#"{"a":[null,[2],{"b":3}]}"#, "a%5B0%5D=&a%5B1%5D%5B0%5D=2&a%5B2%5D%5Bb%5D=3"),
            (
                r#"{"z":"ä €\ud83d\ude00","y":"a+b c&d=e\r\n~*-._"}"#,
                "z=%C3%A4+%E2%82%AC%F0%9F%98%80&y=a%2Bb+c%26d%3De%0D%0A%7E*-._",
            ),
            (r#"{"a][b":1,"c":{"d[e]":2}}"#, "a%255D%255Bb=1&c%5Bd%255Be%255D%5D=2"),
            (r#"{"10%":1,"%5b":2,"%255B":3}"#, "10%25=1&%25255b=2&%2525255B=3"),
        ];
        for (text, wanted) in cases {
            assert_eq!(form(text), wanted, "{text}");
        }
    }

    /// A tree as a receiver sees it: every leaf is text, lists are maps by index.
    #[derive(Debug, Clone, PartialEq)]
    enum Tree {
        Leaf(String),
        Branch(Vec<(String, Tree)>),
    }

    /// JSON with its text and what a receiver should make of it (`None` if nothing is left).
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

    /// Undoes the escapes of names and no others.
    fn name(text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let length = if is_escape(rest.as_bytes()) { 3 } else { c.len_utf8() };
            out.push_str(&if length == 3 && c == '%' { decode(&rest[..3], false) } else { c.to_string() });
            rest = &rest[length..];
        }
        out
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
            assert_eq!(*at, Tree::Branch(Vec::new()), "{key} stands twice");
            *at = Tree::Leaf(decode(value, true));
        }
        top
    }

    fn member_name() -> impl Strategy<Value = String> {
        prop_oneof![3 => "[a-z_]{1,6}", 2 => "[\\[\\]%5BbDd2&=+ .äx]{1,6}", 1 => "\\PC{1,4}"]
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

    proptest! {
        #[test]
        fn a_receiver_reads_the_same_structure_back(document in document()) {
            let seen = document.seen().unwrap_or(Tree::Branch(Vec::new()));
            prop_assert_eq!(parse(&form(&document.text())), seen);
        }
    }
}
