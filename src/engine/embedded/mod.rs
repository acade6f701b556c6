//! The embedded engine: a write-ahead log in files, and one sled database as the view, in one data directory.
//!
//! How both stand on the disk, to the byte, is in `FORMAT.md` beside this file.
//!
//! # The data directory
//!
//! ```text
//! FORMAT             'hookswitch data, format 3': written last, synced; where it is there must be data
//! lock, admin.token  of the `service` module
//! journal/NNNNNN.log what happened, in order, append-only, about 64 MiB a file: events with their data,
//!                    entries of the log, changes of subscriptions and tokens ([`wal`], [`frame`]);
//!                    compressed once it is full
//! journal/NNNNNN.idx where things are in a full file; made again if it is missing
//! state/             one sled database: what is true now ([`kv`])
//! state/length       the least length of the database file: sled opens a shortened one as an empty one
//! sealed             which key secrets are sealed with, if they are ([`marker`])
//! erasing/           what is to be erased of a person until it is off the disk ([`erasing`])
//! unfinished         stands while the directory is made for the first time
//! state-before-open  a copy of `state`, while it is opened: a directory that is refused is put back
//! ```
//!
//! The journal is the truth. `state` is a view of it that may lag behind, and says by how much
//! ([`CheckpointPosition`](crate::model::record::CheckpointPosition)); opening takes in the rest. Ids ascend through the whole journal, so one is
//! found by its id without a key of its own.
//!
//! # The way of a write
//!
//! A command goes into the [write queue](queue). The one [`writer`] thread takes what has gathered and lets the command handler
//! decide each in turn, which yields records; it appends their frames to the log in one write, calls `fdatasync` once, and
//! only then answers everybody and tells the dispatcher. What the records change waits in memory, in the memtable over
//! sled, until the [`checkpoint`]er writes it there; readers see both as one.
//!
//! What always holds: nothing is acknowledged that is not on the disk; a frame is read only if its checksum fits; a step is
//! whole or not there; applying a record twice changes nothing more; after a write or a sync that failed nothing more is
//! written and the process ends (exit 74).
//!
//! # Why not two sled databases
//!
//! That was the first design: journals that are sled databases too. Both were built and measured on
//! a 2-core machine with 1 KiB events and a log entry for each, one run, the same disk (a bare
//! append with fdatasync did 5,450 a second):
//!
//! | | two sleds | journal files and one sled |
//! |---|---|---|
//! | one event for each commit | 1,503 events/s | 5,494 events/s |
//! | commits of 64 events and 64 log entries | 23,771/s | 133,725/s |
//! | 200,000 events in and out, bytes written | 1,667 MB | 337 MB |
//! | opening again after that | 175 ms | 11 ms |
//!
//! sled's `apply_batch` syncs twice by itself, so that two databases cost four syncs or more for a
//! commit where a file that is only appended to costs one. What sled is good at stays its own: keys
//! in order that come and go, in a database that stays small.

pub(crate) mod backup;
mod checkpoint;
mod commit_barrier;
mod deadline;
mod durable;
pub(crate) mod engine;
pub(crate) mod erasing;
pub(crate) mod format;
pub(crate) mod frame;
pub(crate) mod kv;
mod location;
pub(crate) mod marker;
pub mod offline;
pub(crate) mod open;
mod queue;
mod reader;
mod retention_worker;
mod space;
mod sync;
pub(crate) mod wal;
mod writer;

use std::io;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::core::seal::Keyring;
use crate::core::time::Timestamp;
use crate::engine::{Engine, Listeners};
use crate::model::conversations::Threads;
use crate::model::expiry::Expiry;
use crate::model::handler::Handler;
use crate::model::read_ahead::ReadAhead;
use crate::model::record::CheckpointPosition;
use crate::model::registry::Registry;
use crate::model::settings::Settings;
use crate::model::turn::{Carried, Progress};

use self::engine::Embedded;
use self::erasing::Erasures;
use self::location::Location;
use self::queue::Control;
use self::retention_worker::RetentionWorker;
use self::space::Space;
use self::writer::{Frames, Writer};

pub use self::format::OpenError;

/// An open engine whose threads do not run yet.
pub(crate) struct Opened {
    engine: Arc<Embedded>,
    registry: Arc<Mutex<Registry>>,
    wal: wal::Writer,
    applied: CheckpointPosition,
    settings: Settings,
}

/// The engine's threads.
pub(crate) struct Running {
    engine: Arc<Embedded>,
    writer: JoinHandle<()>,
    reader: JoinHandle<()>,
    worker: retention_worker::Running,
}

/// Opens the engine in the directory `dir`, which must exist and be locked by this process; makes a new one in an empty
/// directory. Secrets are opened and, if there is a key, sealed with `keys`.
///
/// # Errors
/// The directory is foreign, damaged, of a newer version, or cannot be written; or its secrets are sealed with a key that
/// is not there. It was not changed then.
pub(crate) fn open(dir: &Path, settings: Settings, keys: Keyring, now: Timestamp) -> Result<Opened, OpenError> {
    let open::Opened { state, registry, journal, writer, applied } = open::open(dir, settings.cache_bytes, keys, now)?;
    let engine = Embedded {
        dir: dir.to_owned(),
        state,
        queue: Arc::default(),
        space: Arc::new(Space::of(dir, settings.min_free_bytes)),
        rules: Mutex::new(settings.retention),
        erasures: Erasures::take_up(dir, journal.clone())?,
        journal,
        backing_up: Arc::default(),
    };
    Ok(Opened { engine: Arc::new(engine), registry: registry, wal: writer, applied, settings })
}

impl Opened {
    /// The engine.
    pub(crate) const fn engine(&self) -> &Arc<Embedded> {
        &self.engine
    }

    /// The subscriptions and tokens.
    pub(crate) const fn registry(&self) -> &Arc<Mutex<Registry>> {
        &self.registry
    }

    /// For tests: a smaller size at which a segment is full.
    #[cfg(test)]
    pub(crate) fn limit_segment_bytes(&mut self, most: u32) {
        self.wal.limit_segment_bytes(most);
    }

    /// Starts the threads. `threads` are the SMS threads that were written to lately.
    ///
    /// # Errors
    /// No thread could be started, or the data directory is gone already.
    pub(crate) fn start(
        self,
        threads: Arc<Mutex<Threads>>,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
        listeners: Listeners,
    ) -> io::Result<Running> {
        let Self { engine, registry, mut wal, applied, settings } = self;
        wal.set_segment_bytes(settings.retention.file_bytes(engine.journal.bytes()));
        let carried = Carried {
            threads,
            redactions: engine.erasures.redactions().clone(),
            ahead: ReadAhead::default(),
            expiry: Expiry::default(),
            progress: Progress::default(),
            // What was under way when the store was closed goes on.
            has_work: true,
        };
        // Ahead of retention, which may drop what the events of a batch were read from.
        let kept = (engine.view(), engine.log());
        let handler = Handler::new(settings, applied.last_id, registry.clone(), carried, kept);
        let snapshot_in = Arc::new(AtomicU32::new(0));
        let worker = RetentionWorker { engine: engine.clone(), snapshot_in: snapshot_in.clone(), clock };
        let (requests, reader) = reader::start(engine.journal.clone(), engine.queue.clone())?;
        let writer = Writer {
            queue: engine.queue.clone(),
            handler: handler.map_err(io::Error::other)?,
            registry,
            state: engine.state.clone(),
            journal: engine.journal.clone(),
            wal,
            applied,
            listeners,
            location: Location::of(&engine.dir)?,
            snapshot_in,
            frames: Frames::after(applied.batch),
            reader: requests,
        };
        let writer = std::thread::Builder::new().name("committer".to_owned()).spawn(move || writer.run())?;
        let worker = worker.start()?;
        Ok(Running { engine, writer, reader, worker })
    }
}

impl Running {
    /// Lets the writer write what waits and ends it. What comes afterwards is refused as [`Busy`]. Blocks until the
    /// thread has ended.
    pub(crate) fn stop(self) {
        let Self { engine, writer, reader, worker } = self;
        drop(worker);
        engine.queue.tell(Control::Close);
        if writer.join().is_err() {
            tracing::error!("the committer ended in a panic");
        }
        // It catches its own panics.
        drop(reader.join());
        if let Err(error) = open::note_reached(&engine.dir, engine.state.durable()) {
            tracing::warn!("how far the state database is could not be noted: {error}");
        }
    }
}
