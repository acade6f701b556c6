//! The embedded engine's implementation of [`Engine`].

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use crate::core::time::Timestamp;
use crate::engine::embedded::backup::Backup;
use crate::engine::embedded::durable;
use crate::engine::embedded::erasing::Erasures;
use crate::engine::embedded::kv::Kv;
use crate::engine::embedded::space::Space;
use crate::engine::embedded::wal::Wal;
use crate::engine::queue::{Control, WriteQueue};
use crate::engine::{DiskSpace, Engine, Pieces};
use crate::model::command::{AttemptResult, Busy, Command};
use crate::model::error::StoreError;
use crate::model::lock::lock;
use crate::model::redaction::Rule;
use crate::model::retention::Rules;
use crate::model::settings::Settings;
use crate::model::view::{Log, View};

/// The shared state of the engine, for readers and for submitting commands.
pub(crate) struct Embedded {
    pub(crate) dir: PathBuf,
    pub(crate) kv: Arc<Kv>,
    pub(crate) wal: Arc<Wal>,
    pub(crate) queue: Arc<WriteQueue>,
    pub(crate) space: Arc<Space>,
    /// Retention periods, for the retention worker.
    pub(crate) rules: Mutex<Rules>,
    pub(crate) erasures: Erasures,
    /// Whether a backup is running.
    pub(crate) backing_up: Arc<AtomicBool>,
}

impl Engine for Embedded {
    fn view(&self) -> &dyn View {
        &*self.kv
    }

    fn log(&self) -> &dyn Log {
        &*self.wal
    }

    fn submit(&self, command: Command) -> Result<(), Busy> {
        self.queue.push(command)
    }

    fn finish(&self, result: AttemptResult) {
        self.queue.finish(result);
    }

    fn admit(&self, bytes: u64) -> Result<(), String> {
        self.space.admit(bytes)
    }

    fn space(&self) -> Option<DiskSpace> {
        Some(self.space.current())
    }

    fn out_of_space(&self) -> Option<String> {
        self.space.refusal()
    }

    fn bytes(&self) -> u64 {
        durable::file_bytes(&self.dir.join("journal")) + durable::file_bytes(&self.dir.join("state"))
    }

    fn ping(&self, limit: Duration) -> bool {
        let (ping, answered) = mpsc::sync_channel(1);
        self.queue.send(Control::Ping(ping));
        answered.recv_timeout(limit).is_ok()
    }

    fn reconfigure(&self, settings: Settings) {
        self.space.set_least(settings.min_free_bytes);
        *lock(&self.rules) = settings.retention;
        self.queue.send(Control::Configure(settings));
    }

    fn durable_id(&self) -> u128 {
        self.kv.durable().last_id
    }

    fn erase(&self, rule: Rule) -> Result<(), StoreError> {
        let doing = "the erasure could not be recorded";
        self.erasures.begin(rule).map_err(|error| StoreError::io(Path::new("erasing"), doing, &error))
    }

    fn backup(&self, now: Timestamp) -> Result<Option<Pieces>, StoreError> {
        let (kv, wal) = (self.kv.clone(), self.wal.clone());
        let begun = Backup::begin(kv, wal, self.dir.clone(), &self.backing_up, now)?;
        Ok(begun.map(|backup| Box::new(backup) as Pieces))
    }
}
