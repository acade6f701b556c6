//! JSON as `application/x-www-form-urlencoded`, as parsed by default by PHP, Rack, `qs` and parsers of flat keys.
//!
//! The path of a value becomes its key: `data[conversation][0][body]`. Numbers keep their digits, `true` and `false`
//! are words, null is an empty value; empty lists and objects have no representation and are omitted. Members with a
//! single value come first, in order, then lists and objects, shortest first: a receiver that stops early has the
//! most.
//!
//! **Names.** What a parser would take for structure, fold onto another name or drop is percent-encoded in the name,
//! before the form's own encoding: control characters, blanks, `.`, `[`, `]`, `%`, and the first character of the
//! names in [`RESERVED`]. An empty name is `%` alone. So a part of a key, percent-decoded once more, is the member's
//! name, and distinct names stay distinct.
//!
//! **Limits.** A list or object becomes one field with its JSON text if parsers would not read its fields completely:
//! nested deeper than [`DEPTH_MOST`], with a key longer than [`KEY_MOST`], or with an empty item before another (`qs`
//! would shift the later ones). Then the member with the most fields follows, and the next, until there are at most
//! [`FIELDS_MOST`] fields. [`Written::json_members`] lists them.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::value::RawValue;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::json::{self, Kind, Member};
use super::subscription::Nested;

/// Maximum fields: PHP (`max_input_vars`), Express and Django stop at 1,000, ASP.NET at 1,024.
const FIELDS_MOST: usize = 900;
/// Maximum brackets after a name: `qs` flattens deeper levels into one name (Rack allows 32, PHP 64).
const DEPTH_MOST: usize = 5;
/// Maximum length of an encoded key: ASP.NET refuses longer ones.
const KEY_MOST: usize = 2_048;
/// Maximum bytes of [`Written::json_members`], which is sent as a header.
const NAMED_MOST: usize = 2_048;

/// Names with side effects: those of every JavaScript object, which `qs` ignores, and the one by which Rails,
/// Laravel, Symfony and Express override a request's method.
const RESERVED: [&str; 13] = [
    "__proto__",
    "__defineGetter__",
    "__defineSetter__",
    "__lookupGetter__",
    "__lookupSetter__",
    "_method",
    "constructor",
    "hasOwnProperty",
    "isPrototypeOf",
    "propertyIsEnumerable",
    "toLocaleString",
    "toString",
    "valueOf",
];

const CHECKED: &str = "the document was checked when it was accepted";

/// A form as sent.
pub(super) struct Written {
    /// The body.
    pub(super) text: String,
    /// The keys of fields that are JSON text because of a limit, joined by commas; `*` for all lists and objects.
    pub(super) json_members: Option<String>,
}

/// Writes `heading`, and then `data` (which has passed [`json::check`]): as the member `inside`, or its members at
/// the top level except those whose names are in the heading.
pub(super) fn write(heading: &[(&str, &str)], data: &RawValue, inside: Option<&str>, nested: Nested) -> Written {
    let members = json::members(data).expect(CHECKED);
    let kept = |(name, _): &Member<'_>| inside.is_some() || heading.iter().all(|(taken, _)| taken != name);
    let single = |(_, value): &(_, &RawValue)| !matches!(Kind::of(value), Kind::List | Kind::Object);
    let (singles, mut composite): (Vec<_>, Vec<_>) = members.into_iter().filter(kept).partition(single);
    composite.sort_by_key(|(_, value)| value.get().len());
    let parts = Parts { heading, data, inside, singles, composite };
    match nested {
        Nested::Brackets => parts.brackets(),
        Nested::Json => Written { text: parts.json(), json_members: None },
    }
}

/// The parts of a form.
struct Parts<'d> {
    heading: &'d [(&'d str, &'d str)],
    data: &'d RawValue,
    inside: Option<&'d str>,
    singles: Vec<Member<'d>>,
    composite: Vec<Member<'d>>,
}

/// How a list or object is written.
struct Plan {
    key: String,
    fields: usize,
    as_json: bool,
}

impl Parts<'_> {
    /// Writes each list or object of the document as one field.
    fn json(&self) -> String {
        let mut form = self.begun();
        if let Some(name) = self.inside {
            form.pair(name, self.data.get());
            return form.finish();
        }
        self.singles.iter().for_each(|(name, value)| form.value(&self.key(name), value));
        for (name, value) in &self.composite {
            if measured(value, 0, 0).fields > 0 {
                form.pair(&self.key(name), value.get());
            }
        }
        form.finish()
    }

    fn brackets(&self) -> Written {
        let depth = usize::from(self.inside.is_some());
        let mut plans: Vec<Plan> = self
            .composite
            .iter()
            .map(|(name, value)| {
                let key = self.key(name);
                let measured = measured(value, depth, encoded(&key));
                Plan { key, fields: measured.fields, as_json: !measured.fits() }
            })
            .collect();
        let mut total = self.heading.len() + self.singles.len();
        total += plans.iter().map(|plan| if plan.as_json { 1 } else { plan.fields }).sum::<usize>();
        let mut largest: Vec<usize> = (0..plans.len()).filter(|index| !plans[*index].as_json).collect();
        largest.sort_by_key(|index| std::cmp::Reverse(plans[*index].fields));
        for index in largest {
            if total <= FIELDS_MOST || plans[index].fields < 2 {
                break;
            }
            total -= plans[index].fields - 1;
            plans[index].as_json = true;
        }
        let named = plans.iter().filter(|plan| plan.as_json).map(|plan| named(&plan.key)).collect::<Vec<_>>().join(",");
        let keys = self.singles.iter().map(|(name, _)| encoded(&self.key(name)));
        let keys_fit = keys.chain(plans.iter().map(|plan| encoded(&plan.key))).all(|length| length <= KEY_MOST);
        let fits = total <= FIELDS_MOST && keys_fit && named.len() <= NAMED_MOST;
        if let Some(name) = self.inside.filter(|_| !fits) {
            return Written { text: self.json(), json_members: Some(name.to_owned()) };
        }
        // At the top level there is no enclosing member: the best is that no list or object adds fields.
        if !fits {
            plans.iter_mut().for_each(|plan| plan.as_json = plan.fields > 0);
        }
        let named = if fits { named } else { "*".to_owned() };
        let any = plans.iter().any(|plan| plan.as_json);
        Written { text: self.planned(&plans), json_members: any.then_some(named) }
    }

    fn planned(&self, plans: &[Plan]) -> String {
        let mut form = self.begun();
        self.singles.iter().for_each(|(name, value)| form.value(&self.key(name), value));
        for (plan, (_, value)) in plans.iter().zip(&self.composite) {
            match plan.as_json {
                true => form.pair(&plan.key, value.get()),
                false => form.value(&plan.key, value),
            }
        }
        form.finish()
    }

    fn begun(&self) -> Form {
        let mut form = Form { pairs: Serializer::new(String::new()), key: String::new() };
        self.heading.iter().for_each(|(name, value)| form.pair(name, value));
        form
    }

    /// The key of a member of `data`.
    fn key(&self, name: &str) -> String {
        let mut key = String::new();
        match self.inside {
            Some(outer) => {
                key.push_str(outer);
                push_part(&mut key, name);
            }
            None => push_name(&mut key, name),
        }
        key
    }
}

/// The fields that a value would have.
#[derive(Debug, Clone, Copy, Default)]
struct Measured {
    fields: usize,
    depth: usize,
    /// Length of the longest key, in bytes.
    key: usize,
    /// Whether an item without fields precedes one with fields.
    hole: bool,
}

impl Measured {
    /// Whether parsers read them completely.
    const fn fits(self) -> bool {
        self.depth <= DEPTH_MOST && self.key <= KEY_MOST && !self.hole
    }

    fn with(self, part: Self) -> Self {
        Self {
            fields: self.fields + part.fields,
            depth: self.depth.max(part.depth),
            key: self.key.max(part.key),
            hole: self.hole || part.hole,
        }
    }
}

/// Measures the fields of a value whose own key has `key` bytes and `depth` brackets.
fn measured(value: &RawValue, depth: usize, key: usize) -> Measured {
    const BRACKETS: usize = "%5B%5D".len();
    let below = |name: &str, value: &RawValue| measured(value, depth + 1, key + BRACKETS + encoded(name));
    match Kind::of(value) {
        Kind::List => {
            let (mut whole, mut empty) = (Measured::default(), false);
            for (index, item) in json::items(value).expect(CHECKED).into_iter().enumerate() {
                let part = below(&index.to_string(), item);
                whole = whole.with(part);
                whole.hole |= empty && part.fields > 0;
                empty |= part.fields == 0;
            }
            whole
        }
        Kind::Object => {
            let members = json::members(value).expect(CHECKED);
            let parts = members.iter().map(|(name, member)| {
                let mut escaped = String::new();
                push_name(&mut escaped, name);
                below(&escaped, member)
            });
            parts.fold(Measured::default(), Measured::with)
        }
        _ => Measured { fields: 1, depth, key, hole: false },
    }
}

/// The encoded length of a key.
fn encoded(key: &str) -> usize {
    byte_serialize(key.as_bytes()).map(str::len).sum()
}

/// A key for use in a header: its escapes, plus those of non-ASCII characters and commas.
fn named(key: &str) -> String {
    const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b',');
    utf8_percent_encode(key, ENCODED).to_string()
}

/// A form being written.
struct Form {
    pairs: Serializer<'static, String>,
    /// The key of the value being written.
    key: String,
}

impl Form {
    fn pair(&mut self, key: &str, value: &str) {
        self.pairs.append_pair(key, value);
    }

    /// Writes the fields of a value with this key.
    fn value(&mut self, key: &str, value: &RawValue) {
        key.clone_into(&mut self.key);
        self.write(value);
    }

    fn finish(mut self) -> String {
        self.pairs.finish()
    }

    fn write(&mut self, value: &RawValue) {
        match Kind::of(value) {
            Kind::Null => self.single(""),
            Kind::Boolean | Kind::Number => self.single(value.get()),
            Kind::String => self.single(&json::string(value).expect(CHECKED)),
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
        push_part(&mut self.key, name);
        self.write(value);
        self.key.truncate(length);
    }

    fn single(&mut self, value: &str) {
        self.pairs.append_pair(&self.key, value);
    }
}

fn push_part(key: &mut String, name: &str) {
    key.push('[');
    push_name(key, name);
    key.push(']');
}

/// Appends an escaped member name.
fn push_name(key: &mut String, name: &str) {
    if name.is_empty() {
        key.push('%');
    }
    let reserved = RESERVED.contains(&name);
    for (at, c) in name.char_indices() {
        let escaped = c.is_ascii_control() || matches!(c, ' ' | '.' | '[' | ']' | '%') || (reserved && at == 0);
        if escaped {
            key.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            key.push(c);
        }
    }
}

#[cfg(test)]
mod tests;
