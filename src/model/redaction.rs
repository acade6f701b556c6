//! Redaction rules: which person's data an erasure removes. What that means for a kind of record is defined by the
//! kind.
//!
//! Redaction is idempotent.

use serde::{Deserialize, Serialize};

use crate::core::attempt::LogEntry;
use crate::core::id::ErasureId;
use crate::core::time::Timestamp;
use crate::core::{erasure, json};
use crate::model::term::{Owner, Term};

/// Whose data is erased, and from which records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) id: ErasureId,
    pub(crate) company: String,
    pub(crate) phone: String,
    /// The calls in which the number was the lead's, sorted.
    pub(crate) calls: Vec<String>,
    /// Events and messages with ids from here on are newer than the request.
    pub(crate) below: u128,
    /// When it was requested.
    pub(crate) at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct File {
    id: String,
    company: String,
    phone: String,
    calls: Vec<String>,
    below: String,
    at: u64,
}

/// The person a record is about.
pub(crate) struct Subject<'s> {
    pub(crate) company: &'s str,
    pub(crate) phone: Option<&'s str>,
    pub(crate) call: Option<&'s str>,
}

impl Rule {
    /// Merges two rules for the same number: the calls of both, up to the later request.
    pub(crate) fn merged_with(&self, later: &Self) -> Self {
        let mut calls = [&self.calls[..], &later.calls[..]].concat();
        calls.sort_unstable();
        calls.dedup();
        Self { calls, below: self.below.max(later.below), ..self.clone() }
    }

    pub(crate) fn to_json(&self) -> String {
        let file = File {
            id: self.id.to_string(),
            company: self.company.clone(),
            phone: self.phone.clone(),
            calls: self.calls.clone(),
            below: self.below.to_string(),
            at: self.at.millis(),
        };
        serde_json::to_string(&file).unwrap_or_default()
    }

    pub(crate) fn from_json(text: &str) -> Option<Self> {
        let file: File = serde_json::from_str(text).ok()?;
        Some(Self {
            id: file.id.parse().ok()?,
            company: file.company,
            phone: file.phone,
            calls: file.calls,
            below: file.below.parse().ok()?,
            at: Timestamp::from_millis(file.at),
        })
    }

    /// The index keys of the records that may be affected.
    pub(crate) fn hashes(&self) -> Vec<u64> {
        let calls = self.calls.iter().map(|call| Term::Call(call));
        Owner::company(&self.company).keys(std::iter::once(Term::Phone(&self.phone)).chain(calls))
    }

    pub(crate) fn has_call(&self, call: &str) -> bool {
        self.calls.binary_search_by(|own| own.as_str().cmp(call)).is_ok()
    }

    /// Whether it affects an event of its company.
    pub(crate) fn concerns_event(&self, phone: Option<&str>, call: &str, data: &str) -> bool {
        let mentions = || json::parse(data).is_ok_and(|data| erasure::mentions(data, &self.phone));
        match phone {
            Some(phone) if phone == self.phone => true,
            Some(_) => self.has_call(call) && mentions(),
            None => self.has_call(call),
        }
    }

    /// An event's data after redaction.
    pub(crate) fn left_of(&self, event_type: &str, data: &str) -> String {
        erasure::erased(event_type, data, &self.phone, self.at)
    }

    /// Whether it affects a log entry, or a message (`phone` is `None`), of this call.
    pub(crate) fn names(&self, phone: Option<&str>, call: Option<&str>) -> bool {
        phone == Some(self.phone.as_str()) || (phone.is_none() && call.is_some_and(|call| self.has_call(call)))
    }

    /// Redacts an entry about to be written as [`Kind::redact`](crate::model::record::Kind::redact) redacts a stored
    /// one.
    pub(crate) fn scrub(&self, entry: &mut LogEntry) {
        let own = entry.company.as_str() == self.company && entry.event.is_some_and(|event| event.bits() < self.below);
        let named = entry.phone.as_deref() == Some(self.phone.as_str())
            || entry.call.as_ref().is_some_and(|call| self.has_call(call.as_str()));
        if own && named {
            entry.phone = None;
            entry.sent_body = None;
            if let Some(answer) = &mut entry.answer {
                answer.headers.clear();
                answer.body.clear();
                answer.truncated = true;
            }
        }
    }
}
