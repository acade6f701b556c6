//! What filters look at.

use std::cell::OnceCell;
use std::ops::Range;

use serde_json::value::RawValue;

use crate::core::event::Event;
use crate::core::json;
use crate::core::long_members::LongMembers;

/// An event as filters see it; the members of its data are read once for all of them, and only if one asks.
pub struct Facts<'e> {
    pub(super) event: &'e Event,
    pub(super) timestamp: OnceCell<String>,
    pub(super) id: OnceCell<String>,
    long: Option<&'e LongMembers>,
    members: OnceCell<Vec<(String, Range<usize>)>>,
}

impl<'e> Facts<'e> {
    /// Those of an event.
    pub const fn of(event: &'e Event) -> Self {
        Self { event, timestamp: OnceCell::new(), id: OnceCell::new(), long: None, members: OnceCell::new() }
    }

    /// Those of an event whose data has these long members.
    pub fn with_long(event: &'e Event, long: &'e LongMembers) -> Self {
        Self { long: Some(long), ..Self::of(event) }
    }

    pub(super) fn data(&self) -> Members<'_> {
        let text = self.event.data.as_str();
        Members { text, places: self.members.get_or_init(|| self.long.unwrap_or(&LongMembers::default()).locate(text)) }
    }
}

/// The members of `data`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Members<'v> {
    text: &'v str,
    places: &'v [(String, Range<usize>)],
}

impl<'v> Members<'v> {
    pub(super) const fn len(self) -> usize {
        self.places.len()
    }

    pub(super) fn find(self, name: &str) -> Option<&'v RawValue> {
        let (_, place) = self.places.iter().find(|(member, _)| member == name)?;
        json::parse(&self.text[place.clone()]).ok()
    }
}
