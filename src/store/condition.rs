//! The store's verbs for whoever runs it: how it is, and by which settings it goes.

use std::sync::mpsc;
use std::time::Duration;

use super::step::lock;
use super::{Room, Settings, Store, place};

impl Store {
    /// How much room the disk has.
    pub fn room(&self) -> Room {
        self.shared.space.look()
    }

    /// Whether the committer makes a turn within `limit`. Blocks until it has; writes nothing.
    pub fn turns(&self, limit: Duration) -> bool {
        let (pulse, felt) = mpsc::sync_channel(1);
        self.shared.inbox.feel(pulse);
        felt.recv_timeout(limit).is_ok()
    }

    /// Lets the running store go by these settings from now on, but for `cache_bytes`, which holds until
    /// the store is opened again.
    pub fn reconfigure(&self, settings: Settings) {
        self.shared.space.set_least(settings.min_free_bytes);
        *lock(&self.shared.rules) = settings.retention;
        self.shared.inbox.set(settings);
    }

    /// How many bytes the store's files have, as far as they can be seen.
    pub fn file_bytes(&self) -> u64 {
        place::file_bytes(&self.shared.dir.join("journal")) + place::file_bytes(&self.shared.dir.join("state"))
    }

    /// Why nothing new is accepted for want of room; `None` if it is.
    pub fn out_of_room(&self) -> Option<String> {
        self.shared.space.refusal()
    }
}
