//! How far the erasing of a person's data is: what is left of it, without the person.

use bincode::{Decode, Encode};

use crate::core::event::Company;
use crate::core::id::ErasureId;
use crate::core::time::Timestamp;

use super::super::Erasure;
use super::at;

/// An erasure. Its id stands beside it.
#[derive(Debug, Clone, Encode, Decode)]
pub(in crate::store) struct ErasureRecord {
    company: String,
    requested_at: u64,
    done_at: Option<u64>,
    events: u64,
    messages: u64,
    log_entries: u64,
    cancelled: u64,
}

impl ErasureRecord {
    pub(in crate::store) fn begun(company: &str, now: Timestamp, events: u64, cancelled: u64) -> Self {
        let company = company.to_owned();
        Self { company, requested_at: now.millis(), done_at: None, events, messages: 0, log_entries: 0, cancelled }
    }

    /// The same, done, with what was found in the files.
    pub(in crate::store) fn done(self, now: Timestamp, events: u64, messages: u64, log_entries: u64) -> Self {
        Self { done_at: Some(now.millis()), events, messages, log_entries, ..self }
    }

    /// The same, and what was noted before. After a restart half-way there is less to be found than there was.
    pub(in crate::store) fn with(self, before: Option<Self>) -> Self {
        let Some(before) = before else { return self };
        Self {
            done_at: before.done_at.or(self.done_at),
            events: before.events.max(self.events),
            messages: before.messages.max(self.messages),
            log_entries: before.log_entries.max(self.log_entries),
            cancelled: before.cancelled.max(self.cancelled),
            ..self
        }
    }

    pub(in crate::store) fn erasure(self, id: ErasureId) -> Option<Erasure> {
        Some(Erasure {
            id,
            company: Company::parse(&self.company).ok()?,
            requested_at: at(self.requested_at),
            done_at: self.done_at.map(at),
            events: self.events,
            messages: self.messages,
            log_entries: self.log_entries,
            cancelled: self.cancelled,
        })
    }
}
