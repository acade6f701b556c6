//! The event types: name, title, description, sample and JSON Schema of `data`.
//!
//! Seven are built in ([`super::samples`]), more may be declared in the configuration. `data` belongs to the
//! platform: only the few members that Hookswitch itself uses are checked, and those are the required ones in the
//! schema.

use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::event::{CallId, EventType};
use super::invalid::{Invalid, pointer};
use super::json::{self, Kind, Member};
use super::long_members::LongMembers;
use super::samples::{BUILT_IN, BuiltIn, CONVERSATION_MEMBERS, MEMBERS};
use super::text::excerpt;

/// Maximum characters of a title.
const TITLE_MOST: usize = 100;
/// Maximum length of a `lead_phone` indexed for the log; a longer one is not a phone number.
const PHONE_MOST: usize = 64;

/// All event types: the seven built-in and the declared ones. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Catalogue {
    entries: Arc<[Entry]>,
}

/// The members of an event's data that Hookswitch uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataKeys {
    /// `call_id`
    pub call: CallId,
    /// `lead_phone`, if it is a string or a number of 1 to 64 characters.
    pub phone: Option<String>,
    /// Where its long members are.
    pub long: LongMembers,
}

/// An event type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, such as `call.new`.
    pub name: EventType,
    /// Its display name.
    pub title: String,
    /// When it occurs; may be empty if declared in the configuration.
    pub description: String,
    /// A sample of `data`: valid, compact JSON text.
    pub sample: String,
}

/// An unchecked event type from the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// Words of lower case letters, digits and `_`, joined by dots; at least two.
    pub name: String,
    /// Its display name, 1 to 100 characters.
    pub title: String,
    /// When it occurs.
    pub description: String,
    /// JSON text of the sample `data`.
    pub sample: String,
}

/// A required member of `data`, besides `call_id`.
struct Required {
    event_type: &'static str,
    member: &'static str,
    /// The allowed kinds of value.
    kinds: &'static [Kind],
    /// The same in words.
    wanted: &'static str,
    /// The same as JSON Schema's `type`.
    schema: &'static [&'static str],
}

const REQUIRED: [Required; 3] = [
    Required {
        event_type: "call.scheduled",
        member: "scheduled_for",
        // Platforms write times as text or as seconds; both are passed through unchanged.
        kinds: &[Kind::String, Kind::Number],
        wanted: "the time as a string or a number",
        schema: &["string", "number"],
    },
    Required {
        event_type: "call.smsfollowup",
        member: "message",
        kinds: &[Kind::String],
        wanted: "a string",
        schema: &["string"],
    },
    Required {
        event_type: "call.smsfollowup",
        member: "conversation",
        kinds: &[Kind::List],
        wanted: "a list of the messages, oldest first",
        schema: &["array"],
    },
];

impl Catalogue {
    /// The seven built-in and the declared types.
    ///
    /// # Errors
    /// Every fault of the declared ones, at `/INDEX/member`.
    pub fn new(declared: Vec<Declared>) -> Result<Self, Invalid> {
        let mut entries: Vec<Entry> = BUILT_IN.iter().map(built_in).collect();
        let mut invalid = Invalid::default();
        for (index, declared) in declared.into_iter().enumerate() {
            match read_declared(&declared, &entries) {
                Ok(entry) => entries.push(entry),
                Err(inner) => invalid.nest(&format!("/{index}"), inner),
            }
        }
        invalid.or(Some(Self { entries: entries.into() }))
    }

    /// All types: the seven in the order of a call, then the declared ones in their order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The type with this name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name.as_str() == name)
    }

    /// JSON Schema (2020-12) of the `data` of this event type: the documented members are described, the required
    /// ones typed, and any other member is allowed.
    pub fn schema(&self, entry: &Entry) -> Value {
        let of_type = || REQUIRED.iter().filter(|required| required.event_type == entry.name.as_str());
        let sample: Value = serde_json::from_str(&entry.sample).unwrap_or_default();
        let names = sample.as_object().into_iter().flat_map(|members| members.keys());
        let mut properties: serde_json::Map<String, Value> =
            names.map(|name| (name.clone(), described(name, &MEMBERS))).collect();
        let mut say = |member: &str, key: &str, value: Value| {
            properties.entry(member).or_insert_with(|| json!({}))[key] = value;
        };
        say("call_id", "type", json!("string"));
        say("call_id", "minLength", json!(1));
        say("call_id", "maxLength", json!(128));
        say("call_id", "pattern", json!(r"^[^\u0000-\u001f\u007f-\u009f]*$"));
        for required in of_type() {
            say(required.member, "type", json!(required.schema));
        }
        if entry.name.as_str() == "call.smsfollowup" {
            say("conversation", "items", message_schema());
        }
        let required: Vec<&str> = std::iter::once("call_id").chain(of_type().map(|required| required.member)).collect();
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": entry.title,
            "description": entry.description,
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": true,
            "examples": [sample],
        })
    }

    /// `text` as one of the event types.
    ///
    /// # Errors
    /// A sentence that lists the valid types.
    pub fn event_type(&self, text: &str) -> Result<EventType, String> {
        self.get(text).map(|entry| entry.name.clone()).ok_or_else(|| {
            let names: Vec<_> = self.entries.iter().map(|entry| format!("`{}`", entry.name)).collect();
            format!("must be one of {}, not `{}`", names.join(", "), excerpt(text))
        })
    }

    /// Checks the data of an event: it must be an object with a `call_id` and what its type requires (nothing more if
    /// the type is unknown). [`json::check`] must have passed.
    ///
    /// # Errors
    /// Every fault with its pointer, relative to `data`.
    pub fn check_data(&self, event_type: Option<&EventType>, data: &RawValue) -> Result<DataKeys, Invalid> {
        self.check_members(event_type, data, &json::members(data).map_err(|fault| Invalid::one("", fault))?)
    }

    /// The same of the members of `data`.
    ///
    /// # Errors
    /// As for [`Self::check_data`].
    pub(super) fn check_members(
        &self,
        event_type: Option<&EventType>,
        data: &RawValue,
        members: &[Member<'_>],
    ) -> Result<DataKeys, Invalid> {
        let mut invalid = Invalid::default();
        let keys = read_keys(data, members).map_err(|inner| invalid.nest("", inner)).ok();
        let of_type = |required: &&Required| event_type.is_some_and(|name| name.as_str() == required.event_type);
        for required in REQUIRED.iter().filter(of_type) {
            let kind = members.iter().find(|(name, _)| name == required.member).map(|(_, value)| Kind::of(value));
            match kind {
                Some(kind) if required.kinds.contains(&kind) => {}
                Some(kind) => {
                    let detail = format!("must be {}, not {}", required.wanted, kind.with_article());
                    invalid.add(pointer(required.member), detail);
                }
                None => invalid.add(pointer(required.member), format!("is missing: {}", required.wanted)),
            }
        }
        invalid.or(keys)
    }
}

/// Extracts the members of any event's `data` that Hookswitch uses.
///
/// # Errors
/// As for [`Catalogue::check_data`].
pub(super) fn data_keys(data: &RawValue) -> Result<DataKeys, Invalid> {
    read_keys(data, &json::members(data).map_err(|fault| Invalid::one("", fault))?)
}

fn read_keys(data: &RawValue, members: &[Member<'_>]) -> Result<DataKeys, Invalid> {
    let member = |wanted: &str| members.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
    let call = member("call_id").ok_or("is missing: the id that the events of one call share".to_owned());
    let call = call.and_then(json::string).and_then(|text| CallId::parse(&text));
    // Some platforms send a number without a plus sign as a JSON number.
    let phone = member("lead_phone").and_then(|value| match Kind::of(value) {
        Kind::Number => Some(value.get().to_owned()),
        _ => json::string(value).ok(),
    });
    Ok(DataKeys {
        call: call.map_err(|fault| Invalid::one("/call_id", fault))?,
        phone: phone.filter(|phone| (1..=PHONE_MOST).contains(&phone.chars().count())),
        long: LongMembers::among(data, members),
    })
}

fn built_in(built_in: &BuiltIn) -> Entry {
    Entry {
        name: EventType::parse(built_in.name).expect("a test reads every built-in name"),
        title: built_in.title.to_owned(),
        description: built_in.description.to_owned(),
        sample: built_in.sample.to_owned(),
    }
}

/// Validates `declared`, given the existing types.
fn read_declared(declared: &Declared, there: &[Entry]) -> Result<Entry, Invalid> {
    let mut invalid = Invalid::default();
    let name = invalid.check("/name", read_name(&declared.name, there));
    let length = declared.title.chars().count();
    if length == 0 || length > TITLE_MOST || declared.title.chars().any(char::is_control) {
        invalid.add("/title", format!("must have 1 to {TITLE_MOST} characters and no control characters"));
    }
    if let Err(inner) = check_sample(&declared.sample) {
        invalid.nest("/sample", inner);
    }
    let entry = name.map(|name| Entry {
        name,
        title: declared.title.clone(),
        description: declared.description.clone(),
        sample: compact(&declared.sample),
    });
    invalid.or(entry)
}

fn read_name(name: &str, there: &[Entry]) -> Result<EventType, String> {
    let word = |word: &str| {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        !word.is_empty() && word.bytes().all(fits)
    };
    let begins = name.starts_with(|first: char| first.is_ascii_lowercase());
    if !(begins && name.contains('.') && name.split('.').all(word)) {
        return Err(format!(
            "must be words of lower case letters, digits and `_` joined by dots, such as `call.rated`, not `{}`",
            excerpt(name)
        ));
    }
    match there.iter().position(|entry| entry.name.as_str() == name) {
        Some(index) if index < BUILT_IN.len() => Err(format!("is `{name}`, which is built in: choose another")),
        Some(_) => Err(format!("is `{name}`, which is declared already")),
        None => EventType::parse(name),
    }
}

fn check_sample(sample: &str) -> Result<(), Invalid> {
    let raw = json::parse(sample).map_err(|fault| Invalid::one("", format!("is not JSON: {fault}")))?;
    json::check(raw, 1).map_err(|(at, detail)| Invalid::one(at, detail))?;
    data_keys(raw).map(drop)
}

/// JSON text without insignificant whitespace.
fn compact(text: &str) -> String {
    let (mut inside, mut escaped) = (false, false);
    let keep = |c: &char| {
        let blank = !inside && matches!(c, ' ' | '\t' | '\r' | '\n');
        if *c == '"' && !escaped {
            inside = !inside;
        }
        escaped = inside && *c == '\\' && !escaped;
        !blank
    };
    text.chars().filter(keep).collect()
}

fn message_schema() -> Value {
    let members = CONVERSATION_MEMBERS.iter();
    let properties: serde_json::Map<_, _> =
        members.map(|(name, _)| ((*name).to_owned(), described(name, &CONVERSATION_MEMBERS))).collect();
    // Messages are not checked: the platform's data is passed through.
    json!({"properties": properties})
}

fn described(name: &str, descriptions: &[(&str, &str)]) -> Value {
    let found = descriptions.iter().find(|(member, _)| *member == name);
    found.map_or_else(|| json!({}), |(_, description)| json!({"description": description}))
}

#[cfg(test)]
mod tests;
