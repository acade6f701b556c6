//! Operations: disk space, liveness and settings.

use std::time::Duration;

use crate::engine::DiskSpace;
use crate::model::cluster::Cluster;
use crate::model::error::StoreError;
use crate::model::settings::Settings;
use crate::store::api::Store;

impl Store {
    /// The disk space; `None` if the disk is a database server's.
    pub fn disk_space(&self) -> Option<DiskSpace> {
        self.shared.engine.space()
    }

    /// Whether the writer completes a turn within `limit`. Blocks until it has; writes nothing.
    pub fn ping(&self, limit: Duration) -> bool {
        self.shared.engine.ping(limit)
    }

    /// The daemons that work on the store; `None` if it is this one's alone. Blocks while it is read.
    ///
    /// # Errors
    /// The data cannot be read.
    pub fn cluster(&self) -> Result<Option<Cluster>, StoreError> {
        self.shared.engine.cluster()
    }

    /// Applies new settings to the running store, except `cache_bytes`, which takes effect when the store is opened
    /// again.
    pub fn reconfigure(&self, settings: Settings) {
        self.shared.engine.reconfigure(settings);
    }

    /// The size of the store's files in bytes, as far as it can be determined.
    pub fn file_bytes(&self) -> u64 {
        self.shared.engine.bytes()
    }

    /// Why new data is refused for lack of disk space; `None` if it is not.
    pub fn out_of_space(&self) -> Option<String> {
        self.shared.engine.out_of_space()
    }
}
