//! An event as a template or a filter sees it: JSON text, read only where it is looked at, with the digits of its
//! numbers.
//!
//! A number that the engine would print with other digits is remembered with those it was posted with ([`Digits`]).

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use minijinja::Value;
use minijinja::value::{DynObject, Enumerator, Object, ObjectRepr};
use serde_json::value::RawValue;

use crate::core::event::{Domain, Event};
use crate::core::json::{self, Kind};

/// What the parts of an event share while it is rendered.
#[derive(Debug, Default)]
pub(super) struct Digits {
    /// The digits of floating-point numbers as they were posted, by their bits.
    known: Mutex<HashMap<u64, Arc<str>>>,
    /// The bytes of lists and objects that were compared.
    compared: AtomicUsize,
}

/// Maximum bytes of lists and objects that are compared: the engine does not count them as work.
const COMPARED_MOST: usize = 8 << 20;

impl Object for Digits {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

impl Digits {
    /// Remembers how a number was written; false if it is known with other digits.
    fn remember(&self, number: f64, text: &str) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let digits = known.entry(number.to_bits()).or_insert_with(|| text.into());
        &**digits == text
    }

    /// The digits of a number.
    pub(super) fn of(&self, number: f64) -> Option<Arc<str>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&number.to_bits()).cloned()
    }
}

/// A number beyond what the engine computes with: its digits.
#[derive(Debug)]
pub(super) struct Exact(pub(super) Arc<str>);

impl Object for Exact {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An object or a list of a JSON document.
pub(super) struct Document {
    whole: Arc<str>,
    range: Range<usize>,
    digits: Arc<Digits>,
    is_list: bool,
    read: OnceLock<Vec<(Value, Value)>>,
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[document]")
    }
}

impl Document {
    /// Its JSON text.
    pub(super) fn text(&self) -> &str {
        &self.whole[self.range.clone()]
    }

    /// Its members, or its items with their numbers; what cannot be read has none.
    fn members(&self) -> &[(Value, Value)] {
        self.read.get_or_init(|| {
            let Ok(raw) = json::parse(self.text()) else { return Vec::new() };
            let value = |raw: &RawValue| value_of(&self.whole, self.place(raw), &self.digits);
            if self.is_list {
                let items = json::items(raw).unwrap_or_default();
                return items.into_iter().enumerate().map(|(index, item)| (Value::from(index), value(item))).collect();
            }
            let members = json::members(raw).unwrap_or_default();
            members.into_iter().map(|(name, item)| (Value::from(name), value(item))).collect()
        })
    }

    /// The place of a value within the whole document, of whose text it is a slice.
    fn place(&self, raw: &RawValue) -> Range<usize> {
        let from = raw.get().as_ptr() as usize - self.whole.as_ptr() as usize;
        from..from + raw.get().len()
    }
}

impl Object for Document {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        if self.is_list { ObjectRepr::Seq } else { ObjectRepr::Map }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        if self.is_list {
            return self.members().get(key.as_usize()?).map(|(_, value)| value.clone());
        }
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let found = self.members().iter().find(|(name, _)| name.as_str() == Some(key));
        found.filter(|_| !self.is_list).map(|(_, value)| value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        if self.is_list {
            return Enumerator::Seq(self.members().len());
        }
        Enumerator::Values(self.members().iter().map(|(name, _)| name.clone()).collect())
    }

    /// By their texts, up to a budget, beyond which the rendering fails.
    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let other = other.downcast_ref::<Self>()?;
        let (left, right) = (self.text(), other.text());
        let before = self.digits.compared.fetch_add(left.len().min(right.len()), Relaxed);
        Some(if before > COMPARED_MOST { Ordering::Equal } else { left.cmp(right) })
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// The value at a place of a document whose text was checked when it was accepted.
fn value_of(whole: &Arc<str>, range: Range<usize>, digits: &Arc<Digits>) -> Value {
    let text = &whole[range.clone()];
    let Ok(raw) = json::parse(text) else { return Value::UNDEFINED };
    match Kind::of(raw) {
        Kind::Null => Value::from(()),
        Kind::Boolean => Value::from(text == "true"),
        Kind::String => json::string(raw).map_or(Value::UNDEFINED, Value::from),
        Kind::Number => number(text, digits),
        kind => Value::from_object(Document {
            whole: Arc::clone(whole),
            range,
            digits: Arc::clone(digits),
            is_list: kind == Kind::List,
            read: OnceLock::new(),
        }),
    }
}

/// A number, so that it is computed with as such and printed with the digits it has.
fn number(text: &str, digits: &Digits) -> Value {
    let exact = || Value::from_object(Exact(text.into()));
    if let Ok(whole) = text.parse::<i64>()
        && text != "-0"
    {
        return Value::from(whole);
    }
    if let Ok(whole) = text.parse::<i128>()
        && whole != 0
    {
        return Value::from(whole);
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && text.contains(['.', 'e', 'E']) => {
            let value = Value::from(number);
            if digits.remember(number, text) { value } else { exact() }
        }
        _ => exact(),
    }
}

/// An event: its envelope.
#[derive(Debug)]
pub(super) struct Envelope {
    members: [(&'static str, Value); 7],
    /// The parameters of the webhook's URL.
    query: Value,
    /// The digits of its numbers, for the output.
    digits: Arc<Digits>,
    /// What belongs to one rendering, for the output.
    rendering: Value,
}

/// The members of the envelope, in order.
pub(super) const MEMBERS: [&str; 7] = ["id", "type", "timestamp", "company", "domain", "source", "data"];
/// The name of the parameters of the webhook's URL.
pub(super) const QUERY: &str = "query";
/// Under these names, which no template can write, the output finds what belongs to a rendering.
pub(super) const RENDERING: &str = "\0rendering";
pub(super) const DIGITS: &str = "\0digits";

impl Envelope {
    /// The envelope of an event.
    pub(super) fn of(event: &Event, query: Value, rendering: Value) -> Self {
        let digits = Arc::new(Digits::default());
        let whole: Arc<str> = event.data.as_str().into();
        let range = 0..whole.len();
        let data = value_of(&whole, range, &digits);
        let members = [
            ("id", Value::from(event.id.to_string())),
            ("type", Value::from(event.event_type.as_str())),
            ("timestamp", Value::from(event.occurred_at.to_string())),
            ("company", Value::from(event.company.as_str())),
            ("domain", Value::from(event.domain.as_ref().map(Domain::as_str))),
            ("source", Value::from(event.source.as_str())),
            ("data", data),
        ];
        Self { members, query, digits, rendering }
    }
}

impl Envelope {
    /// Whether more was compared than a rendering may.
    pub(super) fn overworked(&self) -> bool {
        self.digits.compared.load(Relaxed) > COMPARED_MOST
    }
}

impl Object for Envelope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match key {
            QUERY => Some(self.query.clone()),
            RENDERING => Some(self.rendering.clone()),
            DIGITS => Some(Value::from_dyn_object(Arc::clone(&self.digits))),
            _ => self.members.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone()),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&MEMBERS)
    }
}
