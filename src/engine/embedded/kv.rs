//! The state database: the current state, in one tree of one sled database behind memtables.
//!
//! Changes are made in the active memtable. A checkpoint makes it immutable, replaces it by a new one, and writes it to
//! sled; keys that were inserted and removed before that never reach sled. This is safe because every change is durable
//! in the WAL already, and each checkpoint records its position in it ([`CheckpointPosition`]). One thread makes
//! changes (the writer), one writes to sled (the checkpointer), any may read.
//!
//! Invariants: values have at most [`MAX_VALUE`] bytes (sled writes larger ones to files that it never syncs). A batch
//! has at most about [`BATCH_BYTES`] and is synced before the next (sled writes larger ones as several buffers).

mod filter;
mod memtable;
mod repair;
pub(crate) mod stored_key;
mod unreadable;

use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;

use crate::engine::embedded::commit_barrier::{CommitBarrier, CommitGuard};
use crate::engine::embedded::deadline;
use crate::engine::embedded::position::CheckpointPosition;
use crate::model::error::{StateError, StoreError};
use crate::model::key::{Key, ValueKind};
use crate::model::record;
use crate::model::view::{Pairs, View, ViewMut};

use self::filter::Filter;
use self::memtable::{Memtable, Overlay, Range};
use self::stored_key::{POSITION, prefix, stored};
use self::unreadable::Unreadable;

pub(crate) use self::unreadable::hex;

/// The longest value given to sled, so that its tree nodes stay below a quarter of a segment.
const MAX_VALUE: usize = 8 * 1024;
/// How many bytes of changes go into one batch.
pub(crate) const BATCH_BYTES: usize = 128 * 1024;
/// How often the garbage collector is invoked after a batch. Each call frees up to 512 unused pages; a batch leaves
/// some thousands.
const COLLECTIONS: usize = 16;

/// The kinds of keys that end in a hash and are mostly looked up before they exist.
const FILTERED: [ValueKind; 3] = [ValueKind::Call, ValueKind::Producer, ValueKind::Message];

/// Stored keys with their values.
pub(crate) type StoredPairs = Vec<(Vec<u8>, Vec<u8>)>;

/// The position of a checkpoint, and values that are written together with it.
#[derive(Debug, Default)]
pub(crate) struct CheckpointMeta {
    /// How far the WAL is applied.
    pub(crate) position: CheckpointPosition,
    /// Pairs of at most [`BATCH_BYTES`] in all.
    pub(crate) with: Pairs,
}

impl CheckpointMeta {
    fn bytes(&self) -> usize {
        self.with.iter().map(|(key, value)| key.rest().len() + value.len() + 2).sum()
    }
}

/// The memtables.
#[derive(Default)]
struct Memtables {
    active: Memtable,
    /// Being written to sled.
    immutable: Option<Arc<Memtable>>,
}

/// The state database.
pub(crate) struct Kv {
    db: sled::Db,
    memtables: RwLock<Memtables>,
    /// Tracks how far the state is ahead of the WAL.
    barrier: Arc<CommitBarrier>,
    /// Held while sled is written, and by those who need sled unchanged since the last checkpoint.
    writing: Mutex<()>,
    /// Whether replay is over. Until then a key that the WAL declares new may be in sled already.
    live: AtomicBool,
    /// The position of the last checkpoint that was written.
    durable: Mutex<CheckpointPosition>,
    /// Why a record could not be fully applied.
    failure: Mutex<Option<StoreError>>,
    /// Filters for keys that sled may have. Without them, finding out that a call is new took a third of the writer's
    /// time.
    filters: [Arc<Filter>; FILTERED.len()],
    /// The threads that fill them.
    filter_threads: Mutex<Vec<JoinHandle<()>>>,
    /// Unreadable derived values.
    unreadable: Mutex<Unreadable>,
}

impl From<sled::Error> for StateError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Corruption { .. } => Self::Corrupt(format!("is damaged: {error}")),
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl Kv {
    pub(crate) fn new(db: sled::Db) -> Self {
        Self::with_capacity(db, filter::MIN_KEYS)
    }

    /// As [`Self::new`], with `capacity` keys in the first part of each filter.
    fn with_capacity(db: sled::Db, capacity: usize) -> Self {
        let (memtables, barrier, writing) = (RwLock::default(), Arc::default(), Mutex::default());
        let (durable, failure, unreadable) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (filters, filter_threads) =
            (FILTERED.map(|kind| Arc::new(Filter::of(prefix(kind)[0], capacity))), Mutex::default());
        Self {
            db,
            memtables,
            barrier,
            writing,
            live: false.into(),
            durable,
            failure,
            unreadable,
            filters,
            filter_threads,
        }
    }

    /// The value of `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        if self.filter(key).is_some_and(|filter| filter.rules_out(key)) {
            return Ok(None);
        }
        let memtables = self.memtables();
        let pending =
            memtables.active.get(key).or_else(|| memtables.immutable.as_ref().and_then(|immutable| immutable.get(key)));
        match pending {
            Some(value) => Ok(value.clone()),
            None => Ok(self.db.get(key)?.map(|value| value.to_vec())),
        }
    }

    /// Up to `most` pairs whose keys begin with `prefix` and follow `after`, ascending.
    pub(crate) fn scan(&self, prefix: &[u8], after: Option<&[u8]>, most: usize) -> Result<StoredPairs, StateError> {
        let range = (after.map_or(Bound::Included(prefix), Bound::Excluded), Bound::Unbounded);
        self.read(range, Ordering::Less, |key| key.starts_with(prefix), most)
    }

    /// Up to `most` pairs whose keys begin with `prefix` and precede `below`, descending.
    pub(crate) fn scan_down(&self, prefix: &[u8], below: &[u8], most: usize) -> Result<StoredPairs, StateError> {
        let range = (Bound::Included(prefix), Bound::Excluded(below));
        self.read(range, Ordering::Greater, |_| true, most)
    }

    /// Up to `most` pairs of a range, in the order named by `first` (see [`Overlay`]), until `inside` fails.
    fn read(
        &self,
        range: Range<'_>,
        first: Ordering,
        inside: impl Fn(&[u8]) -> bool,
        most: usize,
    ) -> Result<StoredPairs, StateError> {
        let memtables = self.memtables();
        let empty = Memtable::default();
        let immutable = memtables.immutable.as_deref().unwrap_or(&empty).range(range);
        let active = memtables.active.range(range);
        let stored = self.db.range::<&[u8], _>(range);
        let stored = stored.map(|entry| entry.map(|(key, value)| (key.to_vec(), Some(value.to_vec()))));
        let all: Box<dyn Iterator<Item = _>> = match first {
            Ordering::Greater => {
                Box::new(Overlay::new(Overlay::new(active.rev(), immutable.rev(), first), stored.rev(), first))
            }
            _ => Box::new(Overlay::new(Overlay::new(active, immutable, first), stored, first)),
        };
        let mut found = Vec::new();
        for entry in all {
            let (key, value) = entry?;
            if found.len() == most || !inside(&key) {
                break;
            }
            found.extend(value.map(|value| (key, value)));
        }
        Ok(found)
    }

    /// Sets `key`.
    pub(crate) fn put(&self, key: Vec<u8>, value: Vec<u8>) {
        debug_assert!(value.len() <= MAX_VALUE, "the caller splits longer values into pieces");
        // The key must be in the filter before it can be looked up.
        if let Some(filter) = self.filter(&key) {
            filter.add(&key);
        }
        self.memtables_mut().active.change(key, Some(value), false);
    }

    /// Sets `key`, which never existed before.
    pub(crate) fn put_new(&self, key: Vec<u8>, value: Vec<u8>) {
        debug_assert!(value.len() <= MAX_VALUE, "the caller splits longer values into pieces");
        self.memtables_mut().active.change(key, Some(value), self.live.load(Relaxed));
    }

    /// Removes `key`.
    pub(crate) fn remove(&self, key: Vec<u8>) {
        let sparse = self.filter(&key).filter(|filter| filter.remove()).cloned();
        self.memtables_mut().active.change(key, None, false);
        if let Some(filter) = sparse {
            self.fill(&filter);
        }
    }

    /// Whether [replay is over](Self::go_live), so that state and WAL agree.
    pub(crate) fn is_live(&self) -> bool {
        self.live.load(Relaxed)
    }

    /// Pairs in sled behind the key `after`, without the memtables: up to about `most` bytes, ascending; none at the
    /// end.
    pub(crate) fn stored(&self, after: Option<&[u8]>, most: usize) -> Result<StoredPairs, StateError> {
        let (mut found, mut bytes) = (StoredPairs::new(), 0);
        for entry in self.db.range::<&[u8], _>((after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)) {
            let (key, value) = entry?;
            bytes += key.len() + value.len();
            found.push((key.to_vec(), value.to_vec()));
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
        self.filters.iter().for_each(|filter| self.fill(filter));
    }

    /// The filter for keys with the prefix of `key`, if there is one.
    fn filter(&self, key: &[u8]) -> Option<&Arc<Filter>> {
        self.filters.iter().find(|filter| key.first() == Some(&filter.prefix()))
    }

    /// Builds or rebuilds a filter in a thread of its own.
    fn fill(&self, filter: &Arc<Filter>) {
        if !filter.begin() {
            return;
        }
        // Keys that were set before and are not in sled yet. A key that reaches sled meanwhile is in one or the other.
        let prefix = [filter.prefix()];
        let range: Range<'_> = (Bound::Included(&prefix), Bound::Unbounded);
        let pending: Vec<Vec<u8>> = {
            let memtables = self.memtables();
            let immutable = memtables.immutable.iter().flat_map(|immutable| immutable.range(range));
            let all = immutable.chain(memtables.active.range(range)).flatten().map(|(key, _)| key);
            all.filter(|key| key.starts_with(&prefix)).collect()
        };
        let (filled, db) = (filter.clone(), self.db.clone());
        let fill =
            move || filled.fill(pending.into_iter().map(|key| Ok(key.into())).chain(db.scan_prefix(prefix).keys()));
        let spawned = std::thread::Builder::new().name("filter".to_owned()).spawn(fill);
        match spawned {
            Ok(thread) => {
                let mut filter_threads = self.filter_threads.lock().unwrap_or_else(PoisonError::into_inner);
                filter_threads.retain(|thread| !thread.is_finished());
                filter_threads.push(thread);
            }
            // The filter then rules nothing out, and every key is looked up.
            Err(_) => filter.fill(std::iter::once(Err::<Vec<u8>, ()>(()))),
        }
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
        self.memtables().active.bytes()
    }

    /// Makes all changes so far durable, together with `meta`.
    pub(crate) fn checkpoint(&self, meta: &CheckpointMeta) -> Result<(), StateError> {
        self.freeze();
        self.write_frozen(meta)
    }

    /// Begins a checkpoint: makes the active memtable immutable. Does nothing while another one is.
    pub(crate) fn freeze(&self) {
        let mut memtables = self.memtables_mut();
        if memtables.immutable.is_none() {
            memtables.immutable = Some(Arc::new(std::mem::take(&mut memtables.active)));
        }
    }

    /// Completes a checkpoint: writes the immutable memtable to sled, and `meta` with the last batch.
    ///
    /// Batches ahead of the last may be durable without it: replaying the WAL from the previous position makes the same
    /// changes again. Values that must not exist before the position does are written in the same batch.
    pub(crate) fn write_frozen(&self, meta: &CheckpointMeta) -> Result<(), StateError> {
        let _writing = self.hold();
        let Some(immutable) = self.memtables().immutable.clone() else { return Ok(()) };
        let mut batch = sled::Batch::default();
        let mut bytes = 0;
        for (key, value) in immutable.iter() {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
            bytes += key.len() + value.map_or(0, <[u8]>::len);
            if bytes >= BATCH_BYTES {
                self.write(std::mem::take(&mut batch))?;
                bytes = 0;
            }
        }
        if bytes > 0 && bytes + meta.bytes() > BATCH_BYTES {
            self.write(std::mem::take(&mut batch))?;
        }
        for (key, value) in &meta.with {
            batch.insert(stored(key), value.as_slice());
        }
        batch.insert(POSITION, record::encode(&meta.position));
        self.write(batch)?;
        *self.durable.lock().unwrap_or_else(PoisonError::into_inner) = meta.position;
        self.memtables_mut().immutable = None;
        Ok(())
    }

    /// Writes one batch and syncs it.
    fn write(&self, batch: sled::Batch) -> Result<(), StateError> {
        let db = self.db.clone();
        let write = move || {
            let written = db.apply_batch(batch).and_then(|()| db.flush());
            free_old_pages();
            written
        };
        deadline::within(deadline::WRITE_LIMIT, write).map_err(StateError::Failed)?.map(drop).map_err(StateError::from)
    }

    /// Prevents writes to sled while the guard is held. Changes continue in memory.
    pub(crate) fn hold(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The position of the last checkpoint in sled.
    pub(crate) fn applied(&self) -> Result<Option<CheckpointPosition>, StateError> {
        let Some(value) = self.db.get(POSITION)? else { return Ok(None) };
        let applied = record::decode(&value);
        applied.map(Some).ok_or_else(|| StateError::unreadable("a checkpoint position"))
    }

    /// The position up to which the state is durable. sled also returns values that it could not write.
    pub(crate) fn durable(&self) -> CheckpointPosition {
        *self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn memtables(&self) -> RwLockReadGuard<'_, Memtables> {
        self.memtables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn memtables_mut(&self) -> RwLockWriteGuard<'_, Memtables> {
        self.memtables.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Frees pages that sled no longer needs.
///
/// Each change in sled leaves an old page to the collector of crossbeam-epoch, which frees some of them in every 128th
/// use of sled by a thread. A batch is one use, however many changes it has, and each is written by a new thread: at
/// 7,500 events a second old pages accumulated faster than they were freed, and took 300 MiB after a minute.
fn free_old_pages() {
    for _ in 0..COLLECTIONS {
        crossbeam_epoch::pin().flush();
    }
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

impl Drop for Kv {
    /// Closes sled's files, which the threads that fill the filters have open as well.
    fn drop(&mut self) {
        self.filters.iter().for_each(|filter| filter.stop());
        let filter_threads = std::mem::take(self.filter_threads.get_mut().unwrap_or_else(PoisonError::into_inner));
        filter_threads.into_iter().for_each(|thread| drop(thread.join()));
    }
}

#[cfg(test)]
mod tests;
