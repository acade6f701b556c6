//! How many bytes a page of a list may have.
//!
//! A page ends early, and its `next` goes on, once what is on it is large: the number of its items says nothing of that, for an
//! event may have a million bytes and a page five hundred events.

use crate::core::attempt::{Answer, LogEntry, Sent};
use crate::core::conversation::Conversation;
use crate::core::delivery::Delivery;
use crate::core::event::Event;

/// How many bytes the items of a page may have in all. One alone may have more.
pub(super) const PAGE_BYTES: usize = 1 << 20;
/// What any item has besides its texts, about.
const REST: usize = 256;

/// What may be on a page.
pub(super) trait Bulk {
    /// How many bytes it has, about.
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

impl Bulk for Conversation {
    fn bytes(&self) -> usize {
        REST
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

/// How much of a page is taken.
#[derive(Debug, Default)]
pub(super) struct Filled {
    items: usize,
    bytes: usize,
}

impl Filled {
    /// Whether `item` goes on a page of at most `limit` items, too; if so, it is counted.
    pub(super) fn takes(&mut self, item: &impl Bulk, limit: usize) -> bool {
        let bytes = item.bytes();
        if self.items == limit || (self.items > 0 && self.bytes + bytes > PAGE_BYTES) {
            return false;
        }
        (self.items, self.bytes) = (self.items + 1, self.bytes + bytes);
        true
    }
}
