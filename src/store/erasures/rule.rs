//! What an erasure takes out of a frame.

use serde::{Deserialize, Serialize};

use crate::core::attempt::LogEntry;
use crate::core::id::ErasureId;
use crate::core::time::Timestamp;
use crate::core::{erasure, json};

use super::super::frame::Head;
use super::super::journal::{Key, Whose, kind};
use super::super::record::{self, Accepted, FanOutRecord, Logged, MessageRecord};

/// Whose data is erased, and out of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Rule {
    pub(in crate::store) id: ErasureId,
    pub(in crate::store) company: String,
    pub(super) phone: String,
    /// The calls in which the number was the lead's, sorted.
    pub(super) calls: Vec<String>,
    /// Events and messages with ids from here on came later.
    pub(super) below: u128,
    /// When it was asked for.
    pub(in crate::store) at: Timestamp,
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

/// Whom a record speaks of.
pub(super) struct Subject<'s> {
    pub(super) company: &'s str,
    pub(super) phone: Option<&'s str>,
    pub(super) call: Option<&'s str>,
}

impl Rule {
    /// Hands all of whom a frame speaks to `use_it`, if it is of a kind that something is taken out of.
    pub(super) fn each_subject(head: Head, payload: &[u8], use_it: &mut dyn FnMut(&Subject<'_>)) {
        if head.version != record::VERSION {
            return;
        }
        match head.kind {
            kind::ACCEPTED => {
                let Some(it) = record::decode::<Accepted>(payload) else { return };
                use_it(&Subject { company: it.company(), phone: it.phone(), call: Some(it.call()) });
            }
            kind::FAN_OUT => {
                let Some(it) = record::decode::<FanOutRecord>(payload) else { return };
                for it in &it.posted {
                    use_it(&Subject { company: it.company(), phone: it.phone(), call: Some(it.call()) });
                }
            }
            kind::MESSAGE | kind::MEDIA_MESSAGE => {
                let Some(it) = MessageRecord::decode(payload) else { return };
                use_it(&Subject { company: it.thread().company(), phone: None, call: Some(it.thread().call()) });
            }
            kind::LOGGED => {
                let Some(it) = record::decode::<Logged>(payload) else { return };
                use_it(&Subject { company: it.company(), phone: it.phone(), call: it.call() });
            }
            _ => {}
        }
    }

    /// One rule for both, which are of the same number: what either found, up to the later of the two requests.
    pub(super) fn merged_with(&self, later: &Self) -> Self {
        let mut calls = [&self.calls[..], &later.calls[..]].concat();
        calls.sort_unstable();
        calls.dedup();
        Self { calls, below: self.below.max(later.below), ..self.clone() }
    }

    pub(super) fn to_json(&self) -> String {
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

    pub(super) fn from_json(text: &str) -> Option<Self> {
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

    /// The keys under which an index has what may be concerned.
    pub(super) fn hashes(&self) -> Vec<u64> {
        let calls = self.calls.iter().map(|call| Key::Call(call));
        Whose::company(&self.company).keys(std::iter::once(Key::Phone(&self.phone)).chain(calls))
    }

    fn has_call(&self, call: &str) -> bool {
        self.calls.binary_search_by(|own| own.as_str().cmp(call)).is_ok()
    }

    /// The frame's payload without what is to go; `None` if nothing is.
    pub(in crate::store) fn apply(&self, head: Head, payload: &[u8]) -> Option<Vec<u8>> {
        if head.version != record::VERSION {
            return None;
        }
        match head.kind {
            kind::ACCEPTED if head.id < self.below => {
                let event = record::decode::<Accepted>(payload)?;
                let data = self.left_of(&event)?;
                Some(record::encode(&event.erased(data)))
            }
            // What is posted in a batch stands in its intent, too.
            kind::FAN_OUT if head.id < self.below => {
                let mut changed = false;
                let posted = record::decode::<FanOutRecord>(payload)?.posted;
                let erase = |event: Accepted| match self.left_of(&event) {
                    Some(data) => {
                        changed = true;
                        event.erased(data)
                    }
                    None => event,
                };
                let posted = posted.into_iter().map(erase).collect();
                changed.then(|| record::encode(&FanOutRecord { posted }))
            }
            kind::MESSAGE | kind::MEDIA_MESSAGE if head.id < self.below => {
                let message = MessageRecord::decode(payload)?;
                let own = message.thread().company() == self.company && self.has_call(message.thread().call());
                (own && !message.is_erased()).then(|| {
                    let mut erased = Vec::new();
                    message.erased(self.at.millis()).encode_into(&mut erased);
                    erased
                })
            }
            kind::LOGGED => {
                let logged = record::decode::<Logged>(payload)?;
                let own = logged.company() == self.company && logged.event().is_some_and(|event| event < self.below);
                let named = logged.phone() == Some(self.phone.as_str())
                    || (logged.phone().is_none() && logged.call().is_some_and(|call| self.has_call(call)));
                (own && named && !logged.is_erased()).then(|| record::encode(&logged.erased()))
            }
            _ => None,
        }
    }

    /// The data of an event without what is to go; `None` if nothing is: done twice, it changes nothing more.
    fn left_of(&self, event: &Accepted) -> Option<String> {
        if event.company() != self.company || !self.concerns(event) {
            return None;
        }
        let data = erasure::erased(event.event_type(), event.data(), &self.phone, self.at);
        (event.phone().is_some() || event.data() != data).then_some(data)
    }

    fn concerns(&self, event: &Accepted) -> bool {
        let mentions = |data| json::parse(data).is_ok_and(|data| erasure::mentions(data, &self.phone));
        match event.phone() {
            Some(phone) if phone == self.phone => true,
            Some(_) => self.has_call(event.call()) && mentions(event.data()),
            None => self.has_call(event.call()),
        }
    }

    /// Takes out of an entry that is about to be written what [`Rule::apply`] takes out of one that is.
    pub(super) fn scrub(&self, entry: &mut LogEntry) {
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
