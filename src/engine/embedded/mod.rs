//! The embedded engine: a write-ahead log (WAL) in segment files and a view of it in one sled database, in one data
//! directory.
//!
//! `FORMAT.md` beside this file specifies the data directory to the byte. In short:
//!
//! ```text
//! FORMAT             'hookswitch data, format 4'; written last and synced: if it exists, there must be data
//! lock, admin.token  owned by the `service` module
//! journal/NNNNNN.log WAL segments of about 64 MiB: events, log entries, changes of subscriptions and tokens
//!                    ([`wal`], [`frame`]); append-only, compressed once full
//! journal/NNNNNN.idx the index of a full segment; rebuilt if it is missing
//! state/             one sled database with the runs of the current state ([`kv`])
//! state/length       minimum length of the database file: sled opens a truncated file as an empty database
//! sealed             fingerprint of the key that secrets are sealed with ([`marker`])
//! erasing/           erasures that are not complete on the disk ([`erasing`])
//! unfinished         present while the directory is being created
//! state-before-open  a copy of `state` while it is being opened, restored if the directory is refused
//! ```
//!
//! The WAL is authoritative. `state` is a view that may lag behind and records its position
//! ([`CheckpointPosition`]); opening replays the rest. Ids ascend through the
//! whole WAL, so a record is found by its id without a separate key.
//!
//! # Write path
//!
//! A command enters the [write queue](crate::engine::queue). The single [`writer`] thread takes a batch and lets the command handler
//! decide each command, which yields records. It appends their frames to the WAL with one write, calls `fdatasync`
//! once, and only then replies and notifies the dispatcher. The changes made by the records stay in a memtable above
//! sled until the [checkpoint] thread writes them there; readers see both as one map.
//!
//! Invariants: only durable data is acknowledged. A frame is read only if its checksum matches. A transaction (one or
//! more frames) is replayed completely or not at all. Applying a record twice has no further effect. After a failed
//! write or sync nothing more is written and the process exits with code 74.
//!
//! # Why not two sled databases
//!
//! The first design kept the log in sled databases as well. Both were built and measured on a 2-core machine with 1 KiB
//! events and one log entry each, one run, same disk (a bare append with fdatasync did 5,450 a second):
//!
//! | | two sleds | log files and one sled |
//! |---|---|---|
//! | one event for each commit | 1,503 events/s | 5,494 events/s |
//! | commits of 64 events and 64 log entries | 23,771/s | 133,725/s |
//! | 200,000 events in and out, bytes written | 1,667 MB | 337 MB |
//! | opening again after that | 175 ms | 11 ms |
//!
//! sled's `apply_batch` syncs twice by itself, so two databases need at least four syncs for a commit where an
//! append-only file needs one. sled remains where it is good: ordered values that come and go, a few hundred in a
//! checkpoint.

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
pub(crate) mod position;
pub(crate) mod reclaim;
mod retention_worker;
mod space;
mod sync;
mod varint;
pub(crate) mod wal;
mod writer;

use std::io;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::core::seal::Keyring;
use crate::core::time::Timestamp;
use crate::engine::embedded::position::CheckpointPosition;
use crate::engine::queue::Control;
use crate::engine::{Engine, Listeners, reader};
use crate::model::conversations::Threads;
use crate::model::handler::Handler;
use crate::model::registry::Registry;
use crate::model::settings::Settings;
use crate::model::turn::Carried;

use self::engine::Embedded;
use self::erasing::Erasures;
use self::location::Location;
use self::retention_worker::RetentionWorker;
use self::space::Space;
use self::writer::{Frames, Writer};

pub use self::format::OpenError;

/// An open engine whose threads are not running yet.
pub(crate) struct Opened {
    engine: Arc<Embedded>,
    registry: Arc<Mutex<Registry>>,
    wal_writer: wal::Writer,
    position: CheckpointPosition,
    settings: Settings,
}

/// The engine's threads.
pub(crate) struct Running {
    engine: Arc<Embedded>,
    writer: JoinHandle<()>,
    reader: JoinHandle<()>,
    worker: retention_worker::Running,
}

/// Opens the engine in the directory `dir`, which must exist and be locked by this process; an empty directory becomes
/// a new data directory. Secrets are opened and, if there is a key, sealed with `keys`.
///
/// # Errors
/// The directory is foreign, damaged, of a newer version, or cannot be written; or its secrets are sealed with a key
/// that is not there. It was not changed then.
pub(crate) fn open(dir: &Path, settings: Settings, keys: Keyring, now: Timestamp) -> Result<Opened, OpenError> {
    let open::Opened { kv, registry, wal, writer, position } = open::open(dir, settings.cache_bytes, keys, now)?;
    let engine = Embedded {
        dir: dir.to_owned(),
        kv,
        queue: Arc::default(),
        space: Arc::new(Space::of(dir, settings.min_free_bytes)),
        rules: Mutex::new(settings.retention),
        erasures: Erasures::load(dir, wal.clone())?,
        wal,
        backing_up: Arc::default(),
    };
    Ok(Opened { engine: Arc::new(engine), registry, wal_writer: writer, position, settings })
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

    /// For tests: limits the size of segments.
    #[cfg(test)]
    pub(crate) fn limit_segment_bytes(&mut self, most: u32) {
        self.wal_writer.limit_segment_bytes(most);
    }

    /// Starts the engine's threads. `threads` are the recently active SMS threads.
    ///
    /// # Errors
    /// A thread cannot be started, or the data directory has vanished.
    pub(crate) fn start(
        self,
        threads: Arc<Mutex<Threads>>,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
        listeners: Listeners,
    ) -> io::Result<Running> {
        let Self { engine, registry, mut wal_writer, position, settings } = self;
        wal_writer.set_segment_bytes(reclaim::segment_bytes(&settings.retention, engine.wal.bytes()));
        let carried = Carried::after_start(threads, engine.erasures.redactions().clone());
        // Before retention starts, which may drop the records that the handler reads here.
        let kept = (engine.view(), engine.log());
        let handler = Handler::new(settings, position.last_id, registry.clone(), carried, kept, |_| true);
        let snapshot_in = Arc::new(AtomicU32::new(0));
        let worker = RetentionWorker { engine: engine.clone(), snapshot_in: snapshot_in.clone(), clock };
        let (requests, reader) = reader::start(engine.wal.clone(), engine.queue.clone())?;
        let writer = Writer {
            queue: engine.queue.clone(),
            handler: handler.map_err(io::Error::other)?,
            registry,
            kv: engine.kv.clone(),
            wal: engine.wal.clone(),
            wal_writer,
            position,
            listeners,
            location: Location::of(&engine.dir)?,
            snapshot_in,
            frames: Frames::after(position.batch),
            reader: requests,
        };
        let writer = std::thread::Builder::new().name("writer".to_owned()).spawn(move || writer.run())?;
        let worker = worker.start()?;
        Ok(Running { engine, writer, reader, worker })
    }
}

impl Running {
    /// Ends the writer after it has written everything that is queued. Later commands are refused as
    /// [`Busy`](crate::model::command::Busy). Blocks until the threads have ended.
    pub(crate) fn stop(self) {
        let Self { engine, writer, reader, worker } = self;
        drop(worker);
        engine.queue.send(Control::Close);
        if writer.join().is_err() {
            tracing::error!("the writer ended in a panic");
        }
        // The thread catches its own panics.
        drop(reader.join());
        if let Err(error) = open::record_reached(&engine.dir, engine.kv.durable()) {
            tracing::warn!("the position of the state database could not be recorded: {error}");
        }
    }
}
