//! The state database: the current state, in runs stored in one sled database, behind memtables.
//!
//! Changes are made in the active memtable. A checkpoint makes it immutable, replaces it by a new one, and writes it to
//! sled as a [run]; keys that were inserted and removed before that never reach sled. This is safe because every
//! change is durable in the WAL already, and each checkpoint records its position in it ([`CheckpointPosition`]). Runs
//! are [merged](merge) in the background. So sled does not hold a value for each key, which cost it more than all else
//! that an event takes: it holds blocks of many keys, written in their order. One thread makes changes (the writer),
//! one writes to sled (the checkpointer), any may read.
//!
//! Invariants: values have at most [`MAX_VALUE`] bytes, so that a block is short. What a run consists of is synced before
//! the [manifest] names it.

mod block;
mod database;
mod filter;
mod heads;
mod manifest;
mod memtable;
mod merge;
mod plain;
mod repair;
mod run;
pub(crate) mod stored_key;
mod unreadable;
mod writing;

use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::engine::embedded::commit_barrier::{CommitBarrier, CommitGuard};
use crate::engine::embedded::position::CheckpointPosition;
use crate::model::error::{StateError, StoreError};
use crate::model::key::{Key, ValueKind};
use crate::model::record;
use crate::model::view::{Pairs, View, ViewMut};

use self::database::StoredPairs;
use self::heads::Heads;
use self::manifest::Manifest;
use self::memtable::{Memtable, Pair, Range};
use self::merge::{Merged, Source, Writing};
use self::run::Run;
use self::stored_key::{POSITION, prefix, stored};
use self::unreadable::Unreadable;

pub(crate) use self::unreadable::hex;

/// The longest value.
const MAX_VALUE: usize = 8 * 1024;
/// The position of a checkpoint, and values that are written together with it.
#[derive(Debug, Default)]
pub(crate) struct CheckpointMeta {
    /// How far the WAL is applied.
    pub(crate) position: CheckpointPosition,
    /// Pairs that are not among the changes.
    pub(crate) with: Pairs,
}

/// What there is to read, the newest first.
#[derive(Default)]
struct Layers {
    active: Memtable,
    /// Being written to sled.
    immutable: Option<Arc<Memtable>>,
    /// What one says of a key hides what those behind it say.
    runs: Arc<Vec<Arc<Run>>>,
}

impl Layers {
    /// The changes of a range, in the order named by `first` (see [`Merged`]).
    fn read<'l>(&'l self, db: &'l sled::Db, range: Range<'l>, first: Ordering) -> Merged<'l> {
        let pending = [Some(&self.active), self.immutable.as_deref()].into_iter().flatten();
        let memtables = pending.map(move |memtable| in_order(memtable.range(range), first));
        let runs = self.runs.iter().map(move |run| in_order(run.range(db, range), first));
        Merged::new(memtables.chain(runs), first)
    }
}

/// The state database.
pub(crate) struct Kv {
    db: sled::Db,
    layers: RwLock<Layers>,
    heads: Heads,
    /// Tracks how far the state is ahead of the WAL.
    barrier: Arc<CommitBarrier>,
    /// Held while sled is written.
    writing: Mutex<Writing>,
    /// Whether replay is over. Until then a key that the WAL declares new may be in sled already.
    live: AtomicBool,
    /// The position of the last checkpoint that was written.
    durable: Mutex<CheckpointPosition>,
    /// Why a record could not be fully applied.
    failure: Mutex<Option<StoreError>>,
    /// Unreadable derived values.
    unreadable: Mutex<Unreadable>,
}

impl Kv {
    /// The state in `db`. Pairs that a version without runs has left there, or a restore, are put into a run first.
    ///
    /// # Errors
    /// It cannot be read or written, or is damaged.
    pub(crate) fn open(db: sled::Db) -> Result<Self, StateError> {
        let manifest = Manifest::read(&db)?;
        let (is_new, manifest) = (manifest.is_none(), manifest.unwrap_or_default());
        manifest.remove_leftovers(&db)?;
        let runs = manifest.runs.iter().map(|meta| Run::open(&db, meta.clone()).map(Arc::new));
        let layers = Layers { runs: Arc::new(runs.collect::<Result<_, _>>()?), ..Layers::default() };
        let kv = Self {
            db,
            layers: RwLock::new(layers),
            heads: Heads::default(),
            barrier: Arc::default(),
            writing: Mutex::new(Writing { next: manifest.next, ..Writing::default() }),
            live: false.into(),
            durable: Mutex::default(),
            failure: Mutex::default(),
            unreadable: Mutex::default(),
        };
        kv.take_over_plain(is_new)?;
        Ok(kv)
    }

    /// The value of `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        let layers = self.layers();
        let pending =
            layers.active.get(key).or_else(|| layers.immutable.as_ref().and_then(|immutable| immutable.get(key)));
        if let Some(value) = pending {
            return Ok(value.clone());
        }
        // Changes need not wait for the disk.
        let runs = layers.runs.clone();
        drop(layers);
        for run in runs.iter() {
            if let Some(value) = run.get(&self.db, key)? {
                return Ok(value);
            }
        }
        Ok(None)
    }

    /// Up to `most` pairs whose keys begin with `prefix` and follow `after`, ascending.
    pub(crate) fn scan(&self, prefix: &[u8], after: Option<&[u8]>, most: usize) -> Result<StoredPairs, StateError> {
        let layers = self.layers();
        let head = self.heads.before(prefix);
        let start = head.as_deref().max(after);
        let range = (start.map_or(Bound::Included(prefix), Bound::Excluded), Bound::Unbounded);
        let (mut found, mut passed, mut last) = (StoredPairs::new(), 0, None);
        for pair in layers.read(&self.db, range, Ordering::Less) {
            let (key, value) = pair?;
            if found.len() == most || !key.starts_with(prefix) {
                break;
            }
            match value {
                Some(value) => found.push((key, value)),
                None if found.is_empty() => (passed, last) = (passed + 1, Some(key)),
                None => {}
            }
        }
        // A scan that began elsewhere has not seen the beginning.
        if let Some(last) = last.filter(|_| after.is_none() || start != after) {
            self.heads.note(prefix, passed, last);
        }
        Ok(found)
    }

    /// Up to `most` pairs whose keys begin with `prefix` and precede `below`, descending.
    pub(crate) fn scan_down(&self, prefix: &[u8], below: &[u8], most: usize) -> Result<StoredPairs, StateError> {
        let layers = self.layers();
        let pairs = layers.read(&self.db, (Bound::Included(prefix), Bound::Excluded(below)), Ordering::Greater);
        let set = pairs.filter_map(|pair| pair.map(|(key, value)| Some((key, value?))).transpose());
        set.take(most).collect()
    }

    /// Sets `key`.
    pub(crate) fn put(&self, key: Vec<u8>, value: Vec<u8>) {
        self.set(key, value, false);
    }

    /// Sets `key`, which never existed before.
    pub(crate) fn put_new(&self, key: Vec<u8>, value: Vec<u8>) {
        self.set(key, value, self.live.load(Relaxed));
    }

    fn set(&self, key: Vec<u8>, value: Vec<u8>, fresh: bool) {
        debug_assert!(value.len() <= MAX_VALUE, "the caller splits longer values into pieces");
        let mut layers = self.layers_mut();
        self.heads.give_up(&key);
        layers.active.change(key, Some(value), fresh);
    }

    /// Removes `key`.
    pub(crate) fn remove(&self, key: Vec<u8>) {
        self.layers_mut().active.change(key, None, false);
    }

    /// Whether [replay is over](Self::go_live), so that state and WAL agree.
    pub(crate) fn is_live(&self) -> bool {
        self.live.load(Relaxed)
    }

    /// Pairs in sled behind the key `after`, without the memtables: up to about `most` bytes, ascending; none at the
    /// end.
    pub(crate) fn stored(&self, after: Option<&[u8]>, most: usize) -> Result<StoredPairs, StateError> {
        let (mut found, mut bytes) = (StoredPairs::new(), 0);
        let runs = self.layers().runs.clone();
        let range = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let sources = runs.iter().map(|run| in_order(run.range(&self.db, range), Ordering::Less));
        for pair in Merged::new(sources, Ordering::Less) {
            let (key, value) = pair?;
            let Some(value) = value else { continue };
            bytes += key.len() + value.len();
            found.push((key, value));
            if bytes >= most {
                break;
            }
        }
        Ok(found)
    }

    /// Records that a record could not be fully applied. The writer [checks](Self::check) for it and ends.
    pub(crate) fn note_failure(&self, error: StoreError) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// Whether all records were fully applied.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.as_ref().map_or(Ok(()), |failure| Err(failure.clone()))
    }

    /// Ends replay.
    pub(crate) fn go_live(&self) {
        self.live.store(true, Relaxed);
    }

    /// Sets `key` to a value of any length, split into at most `most` pieces under the key and a number.
    pub(crate) fn put_pieces(&self, key: &[u8], value: &[u8], most: u8) {
        let mut pieces = value.chunks(MAX_VALUE);
        for number in 0..most {
            let piece_key = [key, &[number]].concat();
            match pieces.next() {
                Some(piece) => self.put(piece_key, piece.to_vec()),
                None => self.remove(piece_key),
            }
        }
        debug_assert!(pieces.next().is_none(), "the value exceeds the caller's limit");
    }

    /// Begins a group commit. The guard is held while its changes are ahead of the WAL.
    pub(crate) fn begin_commit(&self) -> CommitGuard {
        self.barrier.begin()
    }

    /// The size in bytes of the changes in the active memtable.
    pub(crate) fn gathered(&self) -> usize {
        self.layers().active.bytes()
    }

    /// Begins a checkpoint: makes the active memtable immutable. Does nothing while another one is.
    pub(crate) fn freeze(&self) {
        let mut layers = self.layers_mut();
        if layers.immutable.is_none() {
            layers.immutable = Some(Arc::new(std::mem::take(&mut layers.active)));
        }
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The position of the last checkpoint in sled.
    pub(crate) fn applied(&self) -> Result<Option<CheckpointPosition>, StateError> {
        let Some(value) = self.own(POSITION)? else { return Ok(None) };
        let applied = record::decode(&value);
        applied.map(Some).ok_or_else(|| StateError::unreadable("a checkpoint position"))
    }

    /// A value of the engine itself, which is none of the view's.
    pub(crate) fn own(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.db.get(key)?.map(|value| value.to_vec()))
    }

    /// The position up to which the state is durable. sled also returns values that it could not write.
    pub(crate) fn durable(&self) -> CheckpointPosition {
        *self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn layers(&self) -> RwLockReadGuard<'_, Layers> {
        self.layers.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn layers_mut(&self) -> RwLockWriteGuard<'_, Layers> {
        self.layers.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ascending changes in the order named by `first`.
fn in_order<'s>(
    changes: impl DoubleEndedIterator<Item = Result<Pair, StateError>> + 's,
    first: Ordering,
) -> Source<'s> {
    if first == Ordering::Greater { Box::new(changes.rev()) } else { Box::new(changes) }
}

/// The pairs of one kind, by their keys.
fn pairs_of(kind: ValueKind, found: StoredPairs) -> Pairs {
    let key = |mut stored: Vec<u8>| Key::new(kind, stored.split_off(prefix(kind).len()));
    found.into_iter().map(|(stored, value)| (key(stored), value)).collect()
}

impl View for Kv {
    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(Self::get(self, &stored(key))?)
    }

    fn scan(&self, prefix: &Key, after: Option<&Key>, most: usize) -> Result<Pairs, StoreError> {
        let found = Self::scan(self, &stored(prefix), after.map(stored).as_deref(), most)?;
        Ok(pairs_of(prefix.kind(), found))
    }

    fn scan_down(&self, prefix: &Key, below: &Key, most: usize) -> Result<Pairs, StoreError> {
        Ok(pairs_of(prefix.kind(), Self::scan_down(self, &stored(prefix), &stored(below), most)?))
    }

    fn wait_until_logged(&self) {
        self.barrier.wait();
    }

    fn note_unreadable(&self, key: &Key, instead: Option<Vec<u8>>) {
        Self::note_unreadable(self, &stored(key), instead);
    }
}

impl ViewMut for Kv {
    fn put(&self, key: Key, value: Vec<u8>) {
        Self::put(self, stored(&key), value);
    }

    fn put_new(&self, key: Key, value: Vec<u8>) {
        Self::put_new(self, stored(&key), value);
    }

    fn remove(&self, key: Key) {
        Self::remove(self, stored(&key));
    }

    fn put_pieces(&self, key: &Key, value: &[u8], most: u8) {
        Self::put_pieces(self, &stored(key), value, most);
    }

    fn is_live(&self) -> bool {
        Self::is_live(self)
    }

    fn set_aside(&self, key: &Key, value: Vec<u8>) {
        Self::set_aside(self, &stored(key), value);
    }

    fn noted(&self, kind: ValueKind) -> Vec<Key> {
        Self::noted(self, kind)
    }

    fn note_failure(&self, error: StoreError) {
        Self::note_failure(self, error);
    }

    fn gathered(&self) -> usize {
        Self::gathered(self)
    }
}

#[cfg(test)]
mod tests;
