//! The size limit of list pages, in bytes.
//!
//! A page ends early, with a `next` cursor, once its items are large. The item count alone is no bound: an event may
//! have a million bytes, and a page five hundred events.

use crate::core::attempt::{Answer, LogEntry, Sent};
use crate::core::audit::{AuditEntry, Members};
use crate::core::conversation::{Media, Message};
use crate::core::delivery::Delivery;
use crate::core::event::{Event, EventType};
use crate::core::subscription::{Selection, Subscription};
use crate::model::conversations::Shown as ShownConversation;

/// The maximum total size of a page's items. A single item may be larger.
pub(crate) const PAGE_BYTES: usize = 1 << 20;
/// The approximate size of an item without its texts.
const OVERHEAD: usize = 256;

/// An item of a page.
pub(crate) trait ByteSize {
    /// Its approximate size in bytes.
    fn bytes(&self) -> usize;
}

impl ByteSize for Event {
    fn bytes(&self) -> usize {
        self.data.len() + OVERHEAD
    }
}

impl ByteSize for Delivery {
    fn bytes(&self) -> usize {
        OVERHEAD
    }
}

impl ByteSize for Message {
    fn bytes(&self) -> usize {
        let media = |media: &Media| media.url.len() + media.content_type.as_ref().map_or(0, String::len);
        self.body.len() + self.media.iter().map(media).sum::<usize>()
    }
}

impl ByteSize for ShownConversation {
    fn bytes(&self) -> usize {
        self.last.as_ref().map_or(0, ByteSize::bytes) + OVERHEAD
    }
}

impl ByteSize for Subscription {
    fn bytes(&self) -> usize {
        let events = match &self.events {
            Selection::All => 0,
            Selection::Some(types) => types.iter().map(|name| EventType::as_str(name).len()).sum(),
        };
        // Only the names of headers are shown, and nothing of a private key.
        let headers: usize = self.headers.iter().map(|header| header.name.len()).sum();
        let certificate = self.client_certificate.as_ref().map_or(0, |certificate| certificate.cert.len());
        let expiries: usize = self.expire_after.keys().map(|name| name.as_str().len()).sum();
        self.url.len() + self.description.len() + events + headers + certificate + expiries + 2 * OVERHEAD
    }
}

impl ByteSize for LogEntry {
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
        self.url.len() + self.error_detail.len() + self.sent.as_ref().map_or(0, sent) + bodies + OVERHEAD
    }
}

impl ByteSize for AuditEntry {
    fn bytes(&self) -> usize {
        // A record in the view is at most 8 KiB.
        let texts = |members: &Members| members.values().map(|value| value.to_string().len()).sum::<usize>();
        texts(&self.deed.before) + texts(&self.deed.after) + 2 * OVERHEAD
    }
}

impl<A: ByteSize, B: ByteSize> ByteSize for (A, B) {
    fn bytes(&self) -> usize {
        self.0.bytes() + self.1.bytes()
    }
}

/// How much of a page is used.
#[derive(Debug, Default)]
pub(crate) struct PageSize {
    items: usize,
    bytes: usize,
}

impl PageSize {
    /// Counts `item` and returns true if it still fits on a page of at most `limit` items.
    pub(crate) fn admits(&mut self, item: &impl ByteSize, limit: usize) -> bool {
        let bytes = item.bytes();
        if self.items == limit || (self.items > 0 && self.bytes + bytes > PAGE_BYTES) {
            return false;
        }
        (self.items, self.bytes) = (self.items + 1, self.bytes + bytes);
        true
    }
}
