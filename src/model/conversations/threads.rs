//! Cache of recently used SMS threads, in the form an event would show them.
//!
//! A cached thread is always complete: every stored message is added here first, so that the second message of a group
//! commit sees the first, which is not readable from the log yet. When the cache is full the least recently used
//! threads are evicted, but never while a stored message is not durable.

use std::collections::HashMap;

use crate::core::conversation::{History, Lead, Line, Message};
use crate::core::id::MessageId;
use crate::model::key::Key;

/// The size limit of cached lines, and the approximate overhead of a thread.
const LIMIT_BYTES: usize = 8 << 20;
const OVERHEAD: usize = 512;

/// A thread in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct CachedThread {
    /// The last stored message; `None` if there is none.
    pub(crate) last: Option<MessageId>,
    /// Its newest messages.
    pub(crate) history: History,
    /// What its messages say about the lead.
    pub(crate) lead: Lead,
    /// Events with ids below this were searched for the lead's data.
    pub(crate) searched: u128,
    used: u64,
}

impl CachedThread {
    /// Adds the newest message.
    pub(crate) fn add(&mut self, message: &Message, most: usize) {
        self.last = Some(message.id);
        self.history.add(Line::of(message), most);
        // A message carries what was known before it, too.
        self.lead = message.lead.clone().or(std::mem::take(&mut self.lead));
    }

    fn bytes(&self) -> usize {
        self.history.bytes() + OVERHEAD
    }
}

/// The cached threads, by their keys in the view.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    threads: HashMap<Key, CachedThread>,
    bytes: usize,
    clock: u64,
}

impl Threads {
    /// The thread, if it is cached.
    pub(crate) fn get(&self, key: &Key) -> Option<&CachedThread> {
        self.threads.get(key)
    }

    /// Inserts a thread as read.
    pub(crate) fn put(&mut self, key: &Key, mut thread: CachedThread) {
        self.clock += 1;
        thread.used = self.clock;
        self.bytes += thread.bytes();
        let before = self.threads.insert(key.clone(), thread);
        self.bytes -= before.map_or(0, |before| before.bytes());
    }

    /// Changes a cached thread.
    pub(crate) fn change(&mut self, key: &Key, change: impl FnOnce(&mut CachedThread)) {
        self.clock += 1;
        if let Some(thread) = self.threads.get_mut(key) {
            self.bytes -= thread.bytes();
            thread.used = self.clock;
            change(thread);
            self.bytes += thread.bytes();
        }
    }

    /// Evicts all threads.
    #[cfg(feature = "postgres")]
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Evicts a thread.
    pub(crate) fn remove(&mut self, key: &Key) {
        self.bytes -= self.threads.remove(key).map_or(0, |removed| removed.bytes());
    }

    /// Evicts the least recently used threads if the cache is over its limit. Only while everything is durable.
    pub(crate) fn evict(&mut self) {
        if self.bytes <= LIMIT_BYTES {
            return;
        }
        let mut by_use: Vec<(u64, Key)> = self.threads.iter().map(|(key, thread)| (thread.used, key.clone())).collect();
        by_use.sort_unstable();
        for (_, key) in by_use {
            // Frees a quarter at once, so that this does not run for every message.
            if self.bytes <= LIMIT_BYTES / 4 * 3 {
                return;
            }
            self.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::conversation::Direction;
    use crate::core::time::Timestamp;
    use crate::model::keys;

    #[test]
    fn the_least_recently_used_threads_are_evicted_first() {
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
            threads.put(&keys::thread_of(&[thread]), CachedThread::default());
            threads.change(&keys::thread_of(&[thread]), |cached| cached.add(&message(u128::from(thread)), usize::MAX));
        }
        threads.change(&keys::thread_of(&[0]), |_| ());
        threads.evict();
        let left: Vec<bool> = (0..=8u8).map(|thread| threads.get(&keys::thread_of(&[thread])).is_some()).collect();
        assert_eq!(left, [true, false, false, false, false, true, true, true, true]);
        assert_eq!(threads.bytes, threads.threads.values().map(CachedThread::bytes).sum::<usize>());
        (0..=8u8).for_each(|thread| threads.remove(&keys::thread_of(&[thread])));
        assert_eq!(threads.bytes, 0);
    }
}
