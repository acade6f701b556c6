//! The store's verbs for whoever runs it: how it is, and by which settings it goes.

use std::time::Duration;

use crate::engine::DiskSpace;
use crate::model::settings::Settings;
use crate::store::api::Store;

impl Store {
    /// How much room the disk has.
    pub fn disk_space(&self) -> DiskSpace {
        self.shared.engine.space()
    }

    /// Whether the writer makes a turn within `limit`. Blocks until it has; writes nothing.
    pub fn ping(&self, limit: Duration) -> bool {
        self.shared.engine.ping(limit)
    }

    /// Lets the running store go by these settings from now on, but for `cache_bytes`, which holds until the store is
    /// opened again.
    pub fn reconfigure(&self, settings: Settings) {
        self.shared.engine.reconfigure(settings);
    }

    /// How many bytes the store's files have, as far as they can be seen.
    pub fn file_bytes(&self) -> u64 {
        self.shared.engine.bytes()
    }

    /// Why nothing new is accepted for want of disk space; `None` if it is.
    pub fn out_of_space(&self) -> Option<String> {
        self.shared.engine.out_of_space()
    }
}
