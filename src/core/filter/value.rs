//! The values of expressions: scalars, JSON text that is read where it is looked at, and short lists.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::value::RawValue;

use super::facts::Members;
use crate::core::json::{self, Kind};

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Value<'v> {
    /// A member that is not there.
    Missing,
    Null,
    Bool(bool),
    Whole(i128),
    Float(f64),
    Text(Cow<'v, str>),
    /// A list or an object of the event.
    Document(&'v RawValue),
    /// The members of `data`.
    Data(Members<'v>),
    /// A list in the expression.
    List(Vec<Value<'v>>),
}

impl<'v> Value<'v> {
    pub(super) fn of(raw: &'v RawValue) -> Self {
        match Kind::of(raw) {
            Kind::Null => Self::Null,
            Kind::Boolean => Self::Bool(raw.get() == "true"),
            Kind::Number => number(raw.get()).unwrap_or(Self::Float(f64::INFINITY)),
            Kind::String => Self::Text(text(raw)),
            Kind::List | Kind::Object => Self::Document(raw),
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Self::Missing | Self::Null)
    }

    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Missing | Self::Null => false,
            Self::Bool(value) => *value,
            Self::Whole(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Document(raw) => length(raw) != Some(0),
            Self::Data(members) => members.len() > 0,
            Self::List(items) => !items.is_empty(),
        }
    }

    /// Its kind, with an article.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Missing => "nothing",
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Whole(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::Document(_) | Self::Data(_) => "a list or an object",
            Self::List(_) => "a list",
        }
    }

    pub(super) fn float(&self) -> Option<f64> {
        match self {
            Self::Whole(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// Whether they are the same; values of different kinds are not.
    pub(super) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(left), Self::Bool(right)) => left == right,
            (Self::Whole(left), Self::Whole(right)) => left == right,
            (Self::Text(left), Self::Text(right)) => left == right,
            (Self::Document(left), Self::Document(right)) => left.get() == right.get(),
            (Self::List(left), Self::List(right)) => {
                left.len() == right.len() && left.iter().zip(right).all(|(left, right)| left.equals(right))
            }
            _ => self.float().zip(other.float()).is_some_and(|(left, right)| left == right),
        }
    }

    /// Their order, if both are numbers or both text.
    pub(super) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(left), Self::Whole(right)) => Some(left.cmp(right)),
            (Self::Text(left), Self::Text(right)) => Some(left.cmp(right)),
            _ => self.float()?.partial_cmp(&other.float()?),
        }
    }

    /// A member of it, or an item.
    pub(super) fn member(&self, name: &str) -> Value<'v> {
        match self {
            Self::Data(members) => members.find(name).map_or(Value::Missing, Value::of),
            Self::Document(raw) if Kind::of(raw) == Kind::Object => {
                let members = json::members(raw).unwrap_or_default();
                members.into_iter().find(|(member, _)| member == name).map_or(Value::Missing, |(_, raw)| Value::of(raw))
            }
            _ => Value::Missing,
        }
    }

    pub(super) fn item(&self, index: i128) -> Value<'v> {
        let at = |length: usize| {
            let index = if index < 0 { index.checked_add(length as i128)? } else { index };
            usize::try_from(index).ok().filter(|index| *index < length)
        };
        match self {
            Self::Document(raw) if Kind::of(raw) == Kind::List => {
                let items = json::items(raw).unwrap_or_default();
                at(items.len()).map_or(Value::Missing, |index| Value::of(items[index]))
            }
            Self::List(items) => at(items.len()).map_or(Value::Missing, |index| items[index].clone()),
            _ => Value::Missing,
        }
    }

    pub(super) fn length(&self) -> Option<usize> {
        match self {
            Self::Text(text) => Some(text.chars().count()),
            Self::Document(raw) => length(raw),
            Self::Data(members) => Some(members.len()),
            Self::List(items) => Some(items.len()),
            _ => None,
        }
    }

    /// As text; nothing for what is missing, JSON for lists and objects of the event.
    pub(super) fn text(&self) -> Cow<'v, str> {
        match self {
            Self::Missing | Self::Null => "".into(),
            Self::Bool(value) => if *value { "true" } else { "false" }.into(),
            Self::Whole(number) => number.to_string().into(),
            Self::Float(number) => number.to_string().into(),
            Self::Text(text) => text.clone(),
            Self::Document(raw) => raw.get().into(),
            Self::Data(_) | Self::List(_) => "".into(),
        }
    }
}

/// A string without a copy, where it has no escapes.
fn text(raw: &RawValue) -> Cow<'_, str> {
    let inner = &raw.get()[1..raw.get().len() - 1];
    if inner.contains('\\') { json::string(raw).unwrap_or_default().into() } else { inner.into() }
}

fn length(raw: &RawValue) -> Option<usize> {
    match Kind::of(raw) {
        Kind::List => json::items(raw).ok().map(|items| items.len()),
        _ => json::members(raw).ok().map(|members| members.len()),
    }
}

/// A number by its text.
pub(super) fn number<'v>(text: &str) -> Option<Value<'v>> {
    if let Ok(whole) = text.parse::<i128>() {
        return Some(Value::Whole(whole));
    }
    text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::Float)
}
