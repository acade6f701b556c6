//! A state on a scratch database, to which records are applied without touching the original.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use crate::engine::embedded::kv::stored_key::{self, Content, OPENED, POSITION, content};
use crate::engine::embedded::kv::{CheckpointMeta, Kv, hex};
use crate::engine::embedded::open;
use crate::engine::embedded::position::CheckpointPosition;
use crate::model::error::Damage;
use crate::model::key::ValueKind;
use crate::model::load::{self, Unreadable};
use crate::model::record::{self, Head, Record, Target};
use crate::model::registry::Registry;
use crate::model::report;
use crate::model::value;

/// The cache size of a scratch database.
const CACHE_BYTES: u64 = 64 << 20;
/// How many bytes of changes are kept in memory before they are written to the scratch database.
const MAX_GATHERED: usize = 8 << 20;

/// A directory that is removed when this is dropped. Private, because it contains secrets.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Creates one in the directory for temporary files (`TMPDIR`).
    pub(crate) fn new() -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("hookswitch-{}-{number}", std::process::id()));
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!("{} could not be removed: {error}", self.0.display());
        }
    }
}

/// Receives a pair: its key and its value.
pub(crate) type Visit<'v> = &'v mut dyn FnMut(&[u8], &[u8]) -> Result<(), Damage>;

/// A state and its registry, on a scratch database.
pub(crate) struct Replica {
    // Dropped, and so closed, before the scratch directory.
    pub(crate) kv: Kv,
    pub(crate) registry: Mutex<Registry>,
    /// Unreadable derived values, described.
    pub(crate) derived_faults: Vec<String>,
    _scratch: Scratch,
}

impl Replica {
    /// An empty state, to which the whole history is applied.
    pub(crate) fn empty() -> Result<Self, String> {
        let replica = Self::on(Scratch::new().map_err(|error| no_room(&error))?)?;
        replica.kv.go_live();
        Ok(replica)
    }

    /// An empty state, for the pairs of a backup.
    pub(crate) fn for_backup() -> Result<Self, String> {
        Self::on(Scratch::new().map_err(|error| no_room(&error))?)
    }

    /// A copy of the state in the data directory `dir`.
    pub(crate) fn of_directory(dir: &Path) -> Result<Self, String> {
        let state = dir.join("state");
        open::check_length(&state)?;
        let scratch = Scratch::new().map_err(|error| no_room(&error))?;
        let copied = open::copy_dir(&state, &scratch.path().join("state"));
        copied.map_err(|error| format!("its state/ cannot be copied to {}: {error}", scratch.path().display()))?;
        let leftovers = open::set_leftovers_aside(&scratch.path().join("state"));
        leftovers.map_err(|error| format!("its state/ cannot be read: {error}"))?;
        Self::on(scratch)
    }

    fn on(scratch: Scratch) -> Result<Self, String> {
        let db = open::database(&scratch.path().join("state"), CACHE_BYTES)?;
        let kv = Kv::open(db).map_err(|error| error.to_string())?;
        Ok(Self { kv, registry: Mutex::default(), derived_faults: Vec::new(), _scratch: scratch })
    }

    /// Validates a pair.
    ///
    /// # Errors
    /// It cannot be read, and a daemon could not continue without it; a description.
    pub(crate) fn validate(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let (name, readable, derived) = match content(key, value) {
            Some(Content::Value(key)) => (key.kind().name(), value::is_readable(&key, value), key.kind().is_derived()),
            Some(Content::Own(name, readable)) => (name, readable, key != POSITION),
            None => return Err(format!("has a value of a kind that is not known (key {})", hex(key))),
        };
        if readable {
            return Ok(());
        }
        let what = format!("has {name} that cannot be read (key {})", hex(key));
        if !derived {
            return Err(what);
        }
        self.derived_faults.push(what);
        Ok(())
    }

    /// Stores a pair of a backup; returns the checkpoint position if the pair contains it.
    pub(crate) fn put(&self, key: &[u8], value: &[u8]) -> Result<Option<CheckpointPosition>, Damage> {
        if key == POSITION {
            return Ok(record::decode(value));
        }
        self.kv.put(key.to_vec(), value.to_vec());
        self.flush_if_large()?;
        Ok(None)
    }

    /// Loads the registry, to apply records behind `applied`.
    pub(crate) fn load_registry(&mut self, applied: CheckpointPosition) -> Result<(), Damage> {
        let (registry, _) = load::registry(&self.kv, applied.next_number, Arc::default(), Unreadable::Skip)?;
        self.registry = Mutex::new(registry);
        Ok(())
    }

    /// Applies the record in a frame; false if it cannot be decoded.
    pub(crate) fn apply(&self, head: Head, payload: &[u8]) -> Result<bool, Damage> {
        let Some(record) = Record::decode(head, payload) else { return Ok(false) };
        report::add_records(record.apply(Target { view: &self.kv, memory: &self.registry }), &self.kv);
        self.kv.check()?;
        self.flush_if_large()?;
        Ok(true)
    }

    fn flush_if_large(&self) -> Result<(), Damage> {
        if self.kv.gathered() > MAX_GATHERED {
            self.kv.checkpoint(&CheckpointMeta::default())?;
        }
        Ok(())
    }

    /// Loads the registry anew, after the last record.
    pub(crate) fn reload_registry(&self) -> Result<(), Damage> {
        Ok(load::reload_registry(&self.kv, &self.registry, false)?)
    }

    /// Passes every pair whose key begins with `prefix` to `visit`, in order.
    pub(crate) fn each(&self, prefix: &[u8], visit: Visit<'_>) -> Result<(), Damage> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.kv.scan(prefix, after.as_deref(), 1000)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            let of_itself = |key: &[u8]| [POSITION, OPENED, stored_key::prefix(ValueKind::Counted)].contains(&key);
            for (key, value) in page.iter().filter(|(key, _)| !of_itself(key)) {
                visit(key, value)?;
            }
        }
    }
}

fn no_room(error: &io::Error) -> String {
    format!("no scratch directory can be made in {} (TMPDIR): {error}", std::env::temp_dir().display())
}
