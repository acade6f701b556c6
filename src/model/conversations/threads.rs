//! The SMS threads that were written to lately, as an event raised in them would show them.
//!
//! A thread that is here is complete: every message that is stored goes through here first, so that the
//! second of one group commit sees the first, which cannot be read from the journal yet. Whoever is the oldest
//! goes when there are too many, but never between the storing and the disk.

use std::collections::HashMap;

use crate::core::conversation::{History, Lead, Line, Message};
use crate::core::id::MessageId;

/// How many bytes of lines are kept, and about what a thread costs beside its lines.
const MOST: usize = 8 << 20;
const EACH: usize = 512;

/// A thread as it was read, or is kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept {
    /// The message that was stored last; `None` if there is none.
    pub(crate) last: Option<MessageId>,
    /// Its newest messages.
    pub(crate) history: History,
    /// What its messages said of the lead.
    pub(crate) lead: Lead,
    /// The ids below this one were looked through for what the call's events say of the lead.
    pub(crate) searched: u128,
    used: u64,
}

impl Kept {
    /// Takes in a message behind all that were stored before.
    pub(crate) fn add(&mut self, message: &Message, most: usize) {
        self.last = Some(message.id);
        self.history.add(Line::of(message), most);
        // A message has what was known before it, too.
        self.lead = message.lead.clone().or(std::mem::take(&mut self.lead));
    }

    fn bytes(&self) -> usize {
        self.history.bytes() + EACH
    }
}

/// All of them, by their keys in the state.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    kept: HashMap<Vec<u8>, Kept>,
    bytes: usize,
    clock: u64,
}

impl Threads {
    /// The thread, if it is here.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Kept> {
        self.kept.get(key)
    }

    /// Puts a thread as it was read.
    pub(crate) fn put(&mut self, key: &[u8], mut thread: Kept) {
        self.clock += 1;
        thread.used = self.clock;
        self.bytes += thread.bytes();
        let before = self.kept.insert(key.to_vec(), thread);
        self.bytes -= before.map_or(0, |before| before.bytes());
    }

    /// Changes a thread that is here.
    pub(crate) fn change(&mut self, key: &[u8], change: impl FnOnce(&mut Kept)) {
        self.clock += 1;
        if let Some(thread) = self.kept.get_mut(key) {
            self.bytes -= thread.bytes();
            thread.used = self.clock;
            change(thread);
            self.bytes += thread.bytes();
        }
    }

    /// Forgets a thread.
    pub(crate) fn forget(&mut self, key: &[u8]) {
        self.bytes -= self.kept.remove(key).map_or(0, |gone| gone.bytes());
    }

    /// Forgets those that were used longest ago, until there are not too many. Only while all is on the disk.
    pub(crate) fn relieve(&mut self) {
        if self.bytes <= MOST {
            return;
        }
        let mut by_use: Vec<(u64, Vec<u8>)> =
            self.kept.iter().map(|(key, thread)| (thread.used, key.clone())).collect();
        by_use.sort_unstable();
        for (_, key) in by_use {
            // Some room at once, so that this is not done for every message.
            if self.bytes <= MOST / 4 * 3 {
                return;
            }
            self.forget(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::conversation::Direction;
    use crate::core::time::Timestamp;

    #[test]
    fn those_that_were_used_longest_ago_go_first() {
        let message = |id| Message {
            id: MessageId::from_bits(id),
            producer_id: None,
            direction: Direction::Inbound,
            from: String::new(),
            to: String::new(),
            body: "x".repeat(1 << 20),
            media: Vec::new(),
            sent_at: Timestamp::ZERO,
            lead: Lead::default(),
            event: None,
            erased_at: None,
        };
        let mut threads = Threads::default();
        for thread in 0..=8u8 {
            threads.put(&[thread], Kept::default());
            threads.change(&[thread], |kept| kept.add(&message(u128::from(thread)), usize::MAX));
        }
        threads.change(&[0], |_| ());
        threads.relieve();
        let left: Vec<bool> = (0..=8u8).map(|thread| threads.get(&[thread]).is_some()).collect();
        assert_eq!(left, [true, false, false, false, false, true, true, true, true]);
        assert_eq!(threads.bytes, threads.kept.values().map(Kept::bytes).sum::<usize>());
        (0..=8u8).for_each(|thread| threads.forget(&[thread]));
        assert_eq!(threads.bytes, 0);
    }
}
