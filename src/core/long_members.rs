//! Where the long members of an object are in its text, so that the others are read without reading those.
//!
//! An event may hold a conversation of a hundred kilobytes, and the thread that accepts events reads it once for each
//! filter's decision. Whoever checked the text before knows where the long members are.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::value::RawValue;

use super::json::{self, Member};

/// A value with at least this many bytes is long: others are read in about a microsecond.
const LONG: usize = 1_024;

/// The places of long members in the text of an object, in bytes, ascending. Empty if they are not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LongMembers(Box<[Range<usize>]>);

impl LongMembers {
    /// Those of the object `text`, which has these members.
    pub fn among(text: &RawValue, members: &[Member<'_>]) -> Self {
        let long = members.iter().filter(|(_, value)| value.get().len() >= LONG);
        Self(long.map(|(_, value)| place(text.get(), value)).collect())
    }

    /// The member in this place.
    pub fn one(place: Range<usize>) -> Self {
        Self(if place.len() >= LONG { Box::new([place]) } else { Box::default() })
    }

    /// The names and places of all members of the object `text`. Empty if it is none.
    pub fn locate(&self, text: &str) -> Vec<(String, Range<usize>)> {
        let short = self.shortened(text);
        let members = json::parse(&short).and_then(json::members).unwrap_or_default();
        let (mut long, mut left_out) = (self.0.iter().peekable(), 0);
        let located = members.into_iter().map(|(name, value)| {
            let Range { start, end } = place(&short, value);
            let (start, end) = (start + left_out, end + left_out);
            match long.next_if(|long| long.start == start) {
                Some(long) => {
                    left_out += long.len() - STAND_IN.len();
                    (name.into_owned(), long.clone())
                }
                None => (name.into_owned(), start..end),
            }
        });
        located.collect()
    }

    /// The text with a stand-in in each of the places.
    fn shortened<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.0.is_empty() {
            return text.into();
        }
        let (mut short, mut from) = (String::new(), 0);
        for long in &self.0 {
            short += &text[from..long.start];
            short += STAND_IN;
            from = long.end;
        }
        (short + &text[from..]).into()
    }
}

/// Stands for a long value.
const STAND_IN: &str = "0";

/// The place of `value`, which is a part of `text`.
fn place(text: &str, value: &RawValue) -> Range<usize> {
    let start = value.get().as_ptr().addr() - text.as_ptr().addr();
    start..start + value.get().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn members_are_found_wherever_the_long_ones_are(lengths in proptest::collection::vec(0usize..3, 0..8)) {
            let value = |length: &usize| format!("\"{}\"", "ü".repeat(*length * 600));
            let members: Vec<_> = lengths.iter().enumerate().map(|(at, length)| format!(" \"m{at}\" : {} ", value(length))).collect();
            let text = format!("{{{}}}", members.join(","));
            let raw = json::parse(&text).unwrap();
            let read = json::members(raw).unwrap();
            let long = LongMembers::among(raw, &read);
            prop_assert_eq!(long.0.len(), lengths.iter().filter(|length| **length > 0).count());
            let places = [long.clone(), LongMembers::default()];
            for long in places.into_iter().chain(long.0.first().cloned().map(LongMembers::one)) {
                let located = long.locate(&text);
                let found: Vec<_> = located.iter().map(|(name, place)| (name.as_str(), &text[place.clone()])).collect();
                let wanted: Vec<_> = read.iter().map(|(name, value)| (name.as_ref(), value.get())).collect();
                prop_assert_eq!(found, wanted);
            }
        }
    }
}
