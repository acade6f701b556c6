//! The progress of an erasure, without personal data.

use bincode::{Decode, Encode};

use crate::core::event::Company;
use crate::core::id::ErasureId;
use crate::core::time::Timestamp;
use crate::model::erasure::Erasure;
use crate::model::keys;
use crate::model::record::codec::{self, at, versioned};
use crate::model::record::kind::{Class, Kind, Target, begins_no_delivery, kept_by_the_view, nothing_personal};
use crate::model::term::{Owner, Term, Terms};

/// An erasure, without its id.
#[derive(Debug, Clone, Encode, Decode)]
pub(crate) struct ErasureRecord {
    company: String,
    requested_at: u64,
    done_at: Option<u64>,
    events: u64,
    messages: u64,
    log_entries: u64,
    cancelled: u64,
}

impl ErasureRecord {
    pub(crate) fn begun(company: &str, now: Timestamp, events: u64, cancelled: u64) -> Self {
        let company = company.to_owned();
        Self { company, requested_at: now.millis(), done_at: None, events, messages: 0, log_entries: 0, cancelled }
    }

    /// The erasure, done, with the number of affected records.
    pub(crate) fn done(self, now: Timestamp, events: u64, messages: u64, log_entries: u64) -> Self {
        Self { done_at: Some(now.millis()), events, messages, log_entries, ..self }
    }

    /// Merges with the progress recorded before. A restart half-way finds fewer records than there were.
    pub(crate) fn with(self, before: Option<Self>) -> Self {
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

    /// The company whose data it concerns.
    pub(crate) fn company(&self) -> &str {
        &self.company
    }

    /// How much it concerns, by name.
    pub(crate) fn counts(&self) -> [(&'static str, u64); 4] {
        [
            ("events", self.events),
            ("messages", self.messages),
            ("log_entries", self.log_entries),
            ("cancelled", self.cancelled),
        ]
    }

    pub(crate) fn erasure(self, id: ErasureId) -> Option<Erasure> {
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

/// New progress of an erasure.
#[derive(Debug, Clone)]
pub(crate) struct ErasureNoted {
    /// The erasure.
    pub(crate) id: ErasureId,
    /// Its progress.
    pub(crate) record: ErasureRecord,
}

impl Kind for ErasureNoted {
    const KINDS: &'static [u8] = &[19];
    const NAME: &'static str = "erasures";
    const CLASS: Class = Class::Other;
    const GRANTS_RIGHTS: bool = false;

    fn kind(&self) -> u8 {
        19
    }

    fn encode(&self, out: &mut Vec<u8>) {
        codec::encode_into(out, &(self.id.bits(), &self.record));
    }

    fn decode(_: u8, payload: &[u8]) -> Option<Self> {
        codec::decode(payload).map(|(bits, record)| Self { id: ErasureId::from_bits(bits), record })
    }

    fn terms(&self) -> Terms {
        Terms { keys: Owner::UNKNOWN.keys([Term::All]), at: None }
    }

    begins_no_delivery!();

    fn decodes_fully(self, _: u128) -> bool {
        self.record.erasure(self.id).is_some()
    }

    fn apply(self, _: u128, target: Target<'_>) -> Option<Self> {
        target.view.put(keys::erasure(self.id), versioned(&self.record));
        None
    }

    kept_by_the_view!();
    nothing_personal!();
}
