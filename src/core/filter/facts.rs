//! What filters look at.

use std::cell::OnceCell;

use serde_json::value::RawValue;

use crate::core::event::Event;
use crate::core::json;

/// An event as filters see it; the members of its data are read once for all of them, and only if one asks.
pub struct Facts<'e> {
    pub(super) event: &'e Event,
    pub(super) timestamp: OnceCell<String>,
    pub(super) id: OnceCell<String>,
    data: OnceCell<Vec<(String, &'e RawValue)>>,
}

impl<'e> Facts<'e> {
    /// Those of an event.
    pub const fn of(event: &'e Event) -> Self {
        Self { event, timestamp: OnceCell::new(), id: OnceCell::new(), data: OnceCell::new() }
    }

    pub(super) fn data(&self) -> &[(String, &'e RawValue)] {
        self.data.get_or_init(|| json::parse(&self.event.data).and_then(json::members).unwrap_or_default())
    }
}
