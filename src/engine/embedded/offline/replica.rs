//! A state of its own, on a scratch database: to apply steps to without touching what is looked at.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use crate::engine::embedded::kv::{CheckpointMeta, Kv, hex};
use crate::engine::embedded::open;
use crate::model::error::Damage;
use crate::model::load::{self, Unreadable};
use crate::model::record::{self, CheckpointPosition, Head, Record, Target};
use crate::model::registry::Registry;
use crate::model::value::ValueKind;
use crate::model::{keys, report};

/// How much memory a scratch database may use for its cache.
const CACHE_BYTES: u64 = 64 << 20;
/// How many bytes of changes are kept in memory before they go to the scratch database.
const GATHERED_MOST: usize = 8 << 20;

/// A directory that goes when it is dropped. Private: it holds secrets.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes one in the directory for temporary files (`TMPDIR`).
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

/// Looks at a pair: its key and its value.
pub(crate) type Visit<'v> = &'v mut dyn FnMut(&[u8], &[u8]) -> Result<(), Damage>;

/// A state and its registry, on a scratch database.
pub(crate) struct Replica {
    // Closed before the scratch directory goes.
    pub(crate) state: Kv,
    pub(crate) registry: Mutex<Registry>,
    /// Derived values that cannot be read, in words.
    pub(crate) derived_faults: Vec<String>,
    _scratch: Scratch,
}

impl Replica {
    /// Nothing, as before the first step: what is applied is the whole history.
    pub(crate) fn empty() -> Result<Self, String> {
        let replica = Self::on(Scratch::new().map_err(|error| no_room(&error))?)?;
        replica.state.go_live();
        Ok(replica)
    }

    /// Pairs that come from a backup.
    pub(crate) fn of_pairs() -> Result<Self, String> {
        Self::on(Scratch::new().map_err(|error| no_room(&error))?)
    }

    /// The state in the data directory `dir`, by way of a copy.
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
        let state = Kv::new(open::database(&scratch.path().join("state"), CACHE_BYTES)?);
        Ok(Self { state, registry: Mutex::default(), derived_faults: Vec::new(), _scratch: scratch })
    }

    /// Reads a pair through and through.
    ///
    /// # Errors
    /// It cannot be read, and no daemon would go on without it; in words.
    pub(crate) fn look_at(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let Some(kind) = ValueKind::of(key) else {
            return Err(format!("has a value of a kind that is not known (key {})", hex(key)));
        };
        if kind.is_readable(key, value) {
            return Ok(());
        }
        let what = format!("has {} that cannot be read (key {})", kind.name(), hex(key));
        if !kind.is_derived() {
            return Err(what);
        }
        self.derived_faults.push(what);
        Ok(())
    }

    /// Puts a pair of a backup; says how far the journal is taken in, if that is what it says.
    pub(crate) fn put(&self, key: &[u8], value: &[u8]) -> Result<Option<CheckpointPosition>, Damage> {
        if key == keys::APPLIED {
            return Ok(record::decode(value));
        }
        self.state.put(key.to_vec(), value.to_vec());
        self.relieve()?;
        Ok(None)
    }

    /// Begins to apply what comes behind `applied`.
    pub(crate) fn take_up(&mut self, applied: CheckpointPosition) -> Result<(), Damage> {
        let (registry, _) = load::registry(&self.state, applied.next_number, Arc::default(), Unreadable::Skip)?;
        self.registry = Mutex::new(registry);
        Ok(())
    }

    /// Applies the step in a frame; false if it is not a step.
    pub(crate) fn apply(&self, head: Head, payload: &[u8]) -> Result<bool, Damage> {
        let Some(record) = Record::decode(head, payload) else { return Ok(false) };
        report::take_in_all(record.apply(Target { view: &self.state, memory: &self.registry }), &self.state);
        self.state.check()?;
        self.relieve()?;
        Ok(true)
    }

    fn relieve(&self) -> Result<(), Damage> {
        if self.state.gathered() > GATHERED_MOST {
            self.state.checkpoint(&CheckpointMeta::default())?;
        }
        Ok(())
    }

    /// Ends the applying: what the registry says is settled.
    pub(crate) fn settle(&self) -> Result<(), Damage> {
        Ok(load::reload_registry(&self.state, &self.registry, false)?)
    }

    /// Hands every pair that begins with `prefix` to `visit`, in order.
    pub(crate) fn each(&self, prefix: &[u8], visit: Visit<'_>) -> Result<(), Damage> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.state.scan(prefix, after.as_deref(), 1000)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            let of_itself = |key: &[u8]| [keys::APPLIED, keys::OPENED, keys::COUNTED].contains(&key);
            for (key, value) in page.iter().filter(|(key, _)| !of_itself(key)) {
                visit(key, value)?;
            }
        }
    }
}

fn no_room(error: &io::Error) -> String {
    format!("no scratch directory can be made in {} (TMPDIR): {error}", std::env::temp_dir().display())
}
