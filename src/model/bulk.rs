//! The size limit of list pages, in bytes.
//!
//! A page ends early, with a `next` cursor, once its items are large. The item count alone is no bound: an event may
//! have a million bytes, and a page five hundred events.

use crate::core::attempt::{Answer, LogEntry, Sent};
use crate::core::conversation::{Media, Message};
use crate::core::delivery::Delivery;
use crate::core::event::{Event, EventType};
use crate::core::subscription::{Selection, Subscription};
use crate::model::conversations::Shown as ShownConversation;

/// The maximum total size of a page's items. A single item may be larger.
pub(crate) const PAGE_BYTES: usize = 1 << 20;
/// The approximate size of an item without its texts.
const REST: usize = 256;

/// An item of a page.
pub(crate) trait Bulk {
    /// Its approximate size in bytes.
    fn bytes(&self) -> usize;
}

impl Bulk for Event {
    fn bytes(&self) -> usize {
        self.data.len() + REST
    }
}

impl Bulk for Delivery {
    fn bytes(&self) -> usize {
        REST
    }
}

impl Bulk for Message {
    fn bytes(&self) -> usize {
        let media = |media: &Media| media.url.len() + media.content_type.as_ref().map_or(0, String::len);
        self.body.len() + self.media.iter().map(media).sum::<usize>()
    }
}

impl Bulk for ShownConversation {
    fn bytes(&self) -> usize {
        self.last.as_ref().map_or(0, Bulk::bytes) + REST
    }
}

impl Bulk for Subscription {
    fn bytes(&self) -> usize {
        let events = match &self.events {
            Selection::All => 0,
            Selection::Some(types) => types.iter().map(|name| EventType::as_str(name).len()).sum(),
        };
        // Only the names of headers are shown, and nothing of a private key.
        let headers: usize = self.headers.iter().map(|header| header.name.len()).sum();
        let certificate = self.client_certificate.as_ref().map_or(0, |certificate| certificate.cert.len());
        let expiries: usize = self.expire_after.keys().map(|name| name.as_str().len()).sum();
        self.url.len() + self.description.len() + events + headers + certificate + expiries + 2 * REST
    }
}

impl Bulk for LogEntry {
    fn bytes(&self) -> usize {
        let sent = |sent: &Sent| {
            let headers = sent.headers.iter();
            headers.map(|(name, value)| name.len() + value.as_ref().map_or(0, String::len)).sum::<usize>()
        };
        let answer = |answer: &Answer| {
            let headers = answer.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
            headers + answer.body.len()
        };
        let bodies = self.sent_body.as_ref().map_or(0, Vec::len) + self.answer.as_ref().map_or(0, answer);
        self.url.len() + self.error_detail.len() + self.sent.as_ref().map_or(0, sent) + bodies + REST
    }
}

impl<A: Bulk, B: Bulk> Bulk for (A, B) {
    fn bytes(&self) -> usize {
        self.0.bytes() + self.1.bytes()
    }
}

/// How much of a page is used.
#[derive(Debug, Default)]
pub(crate) struct Filled {
    items: usize,
    bytes: usize,
}

impl Filled {
    /// Counts `item` and returns true if it still fits on a page of at most `limit` items.
    pub(crate) fn takes(&mut self, item: &impl Bulk, limit: usize) -> bool {
        let bytes = item.bytes();
        if self.items == limit || (self.items > 0 && self.bytes + bytes > PAGE_BYTES) {
            return false;
        }
        (self.items, self.bytes) = (self.items + 1, self.bytes + bytes);
        true
    }
}
