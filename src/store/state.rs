//! The state database: what changes, in one tree of one sled database, behind layers of changes that
//! have not reached it yet.
//!
//! A change is made in the upper layer, in memory. At a checkpoint that layer is frozen, a new one
//! takes its place, and the frozen one is written to sled; what was put and removed before it froze
//! never gets there. That is safe because the journal has every change on the disk already, and each
//! checkpoint says how far in the journal it is ([`Applied`]). One thread makes changes (the
//! committer), one writes to sled (the checkpointer), any reads.
//!
//! Always: values are at most [`MAX_VALUE`] bytes (sled writes larger ones to files that it never
//! syncs), a batch is at most about [`BATCH_BYTES`] and is synced before the next (sled writes
//! larger ones as several buffers).

mod layer;

use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use self::layer::{Layer, Overlay, Range};
use super::deadline;
use super::place::Damage;
use super::record::{self, Applied};
use super::settling::{Ahead, Settling};

/// The longest value that sled may be given: its tree nodes stay below a quarter of a segment.
const MAX_VALUE: usize = 8 * 1024;
/// How many bytes of changes go into one batch.
pub(super) const BATCH_BYTES: usize = 128 * 1024;
/// The key that says how far the journal has been taken in.
pub(super) const APPLIED: &[u8] = b"A";

/// Keys with their values.
pub(super) type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// How far a checkpoint is, and what becomes true together with that.
#[derive(Debug, Default)]
pub(super) struct Mark {
    /// How far the journal has been taken in.
    pub(super) applied: Applied,
    /// Keys with their values, of no more than [`BATCH_BYTES`] in all.
    pub(super) with: Pairs,
}

impl Mark {
    fn bytes(&self) -> usize {
        self.with.iter().map(|(key, value)| key.len() + value.len()).sum()
    }
}

/// What has not reached sled.
#[derive(Default)]
struct Layers {
    upper: Layer,
    /// On its way to sled.
    frozen: Option<Arc<Layer>>,
}

/// The state database.
pub(super) struct State {
    db: sled::Db,
    layers: RwLock<Layers>,
    /// How far this is ahead of the journal.
    settling: Arc<Settling>,
    /// Held while sled is written, and by whoever needs it to stay as the last checkpoint left it.
    writing: Mutex<()>,
    /// Whether recovery is over. Until then a key of which the journal says that it is new may be
    /// in sled already.
    live: AtomicBool,
    /// What the last checkpoint that was written said.
    durable: Mutex<Applied>,
    /// Why a step could not be applied in full.
    failure: Mutex<Option<StateError>>,
}

/// Why the state database did not do what it was asked.
#[derive(Debug, Clone)]
pub(super) enum StateError {
    /// sled said no, or the disk did.
    Failed(String),
    /// What was read is not what was written; goes on after 'the state database'.
    Corrupt(String),
}

impl StateError {
    /// What was read is not what was written; `what` is.
    pub(super) fn unreadable(what: &str) -> Self {
        Self::Corrupt(format!("has {what} that cannot be read"))
    }
}

impl std::fmt::Display for StateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Failed(why) => write!(f, "the state database failed: {why}"),
            Self::Corrupt(detail) => write!(f, "the state database {detail}"),
        }
    }
}

impl From<sled::Error> for StateError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Corruption { .. } => Self::Corrupt(format!("is damaged: {error}")),
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl State {
    pub(super) fn new(db: sled::Db) -> Self {
        let (layers, settling, writing) = (RwLock::default(), Arc::default(), Mutex::default());
        let (durable, failure) = (Mutex::default(), Mutex::default());
        Self { db, layers, settling, writing, live: false.into(), durable, failure }
    }

    /// The value of `key`.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        let layers = self.layers();
        let pending = layers.upper.get(key).or_else(|| layers.frozen.as_ref().and_then(|frozen| frozen.get(key)));
        match pending {
            Some(value) => Ok(value.clone()),
            None => Ok(self.db.get(key)?.map(|value| value.to_vec())),
        }
    }

    /// Up to `most` keys that begin with `prefix` and lie behind `after`, ascending, with values.
    pub(super) fn scan(&self, prefix: &[u8], after: Option<&[u8]>, most: usize) -> Result<Pairs, StateError> {
        let range = (after.map_or(Bound::Included(prefix), Bound::Excluded), Bound::Unbounded);
        self.read(range, Ordering::Less, |key| key.starts_with(prefix), most)
    }

    /// Up to `most` keys that begin with `prefix` and lie below `below`, descending, with values.
    pub(super) fn scan_down(&self, prefix: &[u8], below: &[u8], most: usize) -> Result<Pairs, StateError> {
        let range = (Bound::Included(prefix), Bound::Excluded(below));
        self.read(range, Ordering::Greater, |_| true, most)
    }

    /// Up to `most` keys of a range with their values, as long as `inside` holds for them, in the
    /// order that `first` names (see [`Overlay`]).
    fn read(
        &self,
        range: Range<'_>,
        first: Ordering,
        inside: impl Fn(&[u8]) -> bool,
        most: usize,
    ) -> Result<Pairs, StateError> {
        let layers = self.layers();
        let empty = Layer::default();
        let frozen = layers.frozen.as_deref().unwrap_or(&empty).range(range);
        let upper = layers.upper.range(range);
        let stored = self.db.range::<&[u8], _>(range);
        let stored = stored.map(|entry| entry.map(|(key, value)| (key.to_vec(), Some(value.to_vec()))));
        let all: Box<dyn Iterator<Item = _>> = match first {
            Ordering::Greater => {
                Box::new(Overlay::new(Overlay::new(upper.rev(), frozen.rev(), first), stored.rev(), first))
            }
            _ => Box::new(Overlay::new(Overlay::new(upper, frozen, first), stored, first)),
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
    pub(super) fn put(&self, key: Vec<u8>, value: Vec<u8>) {
        debug_assert!(value.len() <= MAX_VALUE, "longer values are cut into pieces by whoever has them");
        self.layers_mut().upper.change(key, Some(value), false);
    }

    /// Sets `key`, which never was before.
    pub(super) fn put_new(&self, key: Vec<u8>, value: Vec<u8>) {
        debug_assert!(value.len() <= MAX_VALUE, "longer values are cut into pieces by whoever has them");
        self.layers_mut().upper.change(key, Some(value), self.live.load(Relaxed));
    }

    /// Removes `key`.
    pub(super) fn remove(&self, key: Vec<u8>) {
        self.layers_mut().upper.change(key, None, false);
    }

    /// Whether [recovery is over](Self::go_live): what the state says then is what the journal says.
    pub(super) fn is_live(&self) -> bool {
        self.live.load(Relaxed)
    }

    /// What is in sled behind the key `after`, without the layers: up to about `most` bytes of pairs,
    /// ascending; none at the end.
    pub(super) fn stored(&self, after: Option<&[u8]>, most: usize) -> Result<Pairs, StateError> {
        let (mut found, mut bytes) = (Pairs::new(), 0);
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

    /// A step could not be applied in full: whoever makes steps is to [ask](Self::check), and to end.
    pub(super) fn note_failure(&self, error: StateError) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// Whether all steps could be applied in full.
    pub(super) fn check(&self) -> Result<(), StateError> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.as_ref().map_or(Ok(()), |failure| Err(failure.clone()))
    }

    /// Recovery is over.
    pub(super) fn go_live(&self) {
        self.live.store(true, Relaxed);
    }

    /// Sets `key` to a value of any length: pieces under the key and a number, at most `most`.
    pub(super) fn put_pieces(&self, key: &[u8], value: &[u8], most: u8) {
        let mut pieces = value.chunks(MAX_VALUE);
        for number in 0..most {
            let piece_key = [key, &[number]].concat();
            match pieces.next() {
                Some(piece) => self.put(piece_key, piece.to_vec()),
                None => self.remove(piece_key),
            }
        }
        debug_assert!(pieces.next().is_none(), "whoever has the value knows how long it can be");
    }

    /// Begins a group commit: to be kept while its changes are ahead of what the journal shows.
    pub(super) fn ahead(&self) -> Ahead {
        self.settling.begin()
    }

    /// Waits until the journal shows what the state had at the time of the call: for a reader who has found something
    /// in neither, or who is about to tell what it has found here.
    pub(super) fn wait_until_settled(&self) {
        self.settling.wait();
    }

    /// How many bytes of changes have gathered in the upper layer.
    pub(super) fn gathered(&self) -> usize {
        self.layers().upper.bytes()
    }

    /// Makes all changes so far durable, and that the journal is taken in as far as `mark` says.
    pub(super) fn checkpoint(&self, mark: &Mark) -> Result<(), StateError> {
        self.freeze();
        self.write_frozen(mark)
    }

    /// Begins a checkpoint: changes go to a new layer from now on. Only one layer can be frozen;
    /// while one is, this does nothing.
    pub(super) fn freeze(&self) {
        let mut layers = self.layers_mut();
        if layers.frozen.is_none() {
            layers.frozen = Some(Arc::new(std::mem::take(&mut layers.upper)));
        }
    }

    /// Ends a checkpoint: writes the frozen layer to sled, and that with it the journal is taken in
    /// as far as `mark` says.
    ///
    /// The batches before the last may be on the disk without it: replaying the journal from the
    /// mark before makes the same changes again. What must not be there before the mark is, goes
    /// with it, in one batch.
    pub(super) fn write_frozen(&self, mark: &Mark) -> Result<(), StateError> {
        let _writing = self.hold();
        let Some(layer) = self.layers().frozen.clone() else { return Ok(()) };
        let mut batch = sled::Batch::default();
        let mut bytes = 0;
        for (key, value) in layer.iter() {
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
        if bytes > 0 && bytes + mark.bytes() > BATCH_BYTES {
            self.write(std::mem::take(&mut batch))?;
        }
        for (key, value) in &mark.with {
            batch.insert(key.as_slice(), value.as_slice());
        }
        batch.insert(APPLIED, record::encode(&mark.applied));
        self.write(batch)?;
        *self.durable.lock().unwrap_or_else(PoisonError::into_inner) = mark.applied;
        self.layers_mut().frozen = None;
        Ok(())
    }

    /// Writes one batch and syncs it.
    fn write(&self, batch: sled::Batch) -> Result<(), StateError> {
        let db = self.db.clone();
        let write = move || db.apply_batch(batch).and_then(|()| db.flush());
        deadline::within(deadline::OF_A_WRITE, write).map_err(StateError::Failed)?.map(drop).map_err(StateError::from)
    }

    /// Keeps sled as the last checkpoint left it for as long as the guard lives. Changes go on in
    /// memory meanwhile.
    pub(super) fn hold(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far the journal was taken in at the last checkpoint.
    pub(super) fn applied(&self) -> Result<Option<Applied>, StateError> {
        let Some(value) = self.db.get(APPLIED)? else { return Ok(None) };
        let applied = record::decode(&value);
        applied.map(Some).ok_or_else(|| StateError::unreadable("a record of how far it is"))
    }

    /// How far the journal is taken in on the disk, for sure. sled answers with what it was given, also
    /// where it could not write it.
    pub(super) fn durable(&self) -> Applied {
        *self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn layers(&self) -> RwLockReadGuard<'_, Layers> {
        self.layers.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn layers_mut(&self) -> RwLockWriteGuard<'_, Layers> {
        self.layers.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<StateError> for Damage {
    fn from(error: StateError) -> Self {
        let path = std::path::Path::new("state");
        match error {
            StateError::Failed(why) => Self::failed(path, format!("failed: {why}")),
            StateError::Corrupt(detail) => Self::new(path, detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    fn open(dir: &std::path::Path) -> State {
        State::new(sled::Config::new().path(dir).flush_every_ms(None).open().unwrap())
    }

    /// What to do (0 remove, 1 put as new where it is, else put), with which key, and what of a checkpoint comes after it.
    type Todo = (u8, Vec<u8>, u8);

    fn reads_as_one_map(steps: Vec<Todo>) -> Result<(), TestCaseError> {
        let dir = tempfile::tempdir().unwrap();
        let state = open(dir.path());
        let mut model = BTreeMap::new();
        let mut seen = std::collections::BTreeSet::new();
        state.go_live();
        for (index, (what, key, checkpoint)) in steps.into_iter().enumerate() {
            let key = [b"q", key.as_slice()].concat();
            if what == 0 {
                state.remove(key.clone());
                model.remove(&key);
            } else {
                let value = vec![index as u8];
                if what == 1 && !seen.contains(&key) {
                    state.put_new(key.clone(), value);
                } else {
                    state.put(key.clone(), value);
                }
                model.insert(key.clone(), vec![index as u8]);
                seen.insert(key.clone());
            }
            match checkpoint {
                0 => state.checkpoint(&Mark::default()).unwrap(),
                1 => state.freeze(),
                2 => state.write_frozen(&Mark::default()).unwrap(),
                _ => {}
            }
            prop_assert_eq!(state.get(&key).unwrap(), model.get(&key).cloned());
            let all: Vec<_> = model.clone().into_iter().collect();
            prop_assert_eq!(state.scan(b"q", None, 1000).unwrap(), all.clone());
            let down: Vec<_> =
                model.range(b"q".to_vec()..key.clone()).rev().map(|(k, v)| (k.clone(), v.clone())).take(3).collect();
            prop_assert_eq!(state.scan_down(b"q", &key, 3).unwrap(), down);
            let after: Vec<_> = all.into_iter().filter(|(k, _)| *k > key).take(2).collect();
            prop_assert_eq!(state.scan(b"q", Some(&key), 2).unwrap(), after);
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn layer_and_database_read_as_one_map(
            steps in proptest::collection::vec((0u8..3, proptest::collection::vec(0u8..4, 1..4), 0u8..4), 1..60),
        ) {
            reads_as_one_map(steps)?;
        }
    }

    #[test]
    fn a_key_that_goes_while_it_is_written_and_comes_again_is_read_right() {
        let steps = [(1, 0, 0), (0, 1, 1), (0, 0, 0), (1, 0, 2), (0, 0, 0)];
        reads_as_one_map(steps.map(|(what, key, checkpoint)| (what, vec![key], checkpoint)).to_vec()).unwrap();
    }

    #[test]
    fn only_a_checkpoint_that_was_written_counts() {
        let dir = tempfile::tempdir().unwrap();
        let state = open(dir.path());
        let at = |segment| Applied { segment, ..Applied::default() };
        state.checkpoint(&Mark { applied: at(3), ..Mark::default() }).unwrap();
        assert_eq!(state.durable(), at(3));
        // sled has been given it, and was not asked to write it yet.
        state.db.insert(APPLIED, record::encode(&at(4))).unwrap();
        assert_eq!((state.applied().unwrap(), state.durable()), (Some(at(4)), at(3)));
    }

    #[test]
    fn no_value_in_sled_is_longer_than_it_may_be() {
        let dir = tempfile::tempdir().unwrap();
        let state = open(dir.path());
        let long: Vec<u8> = (0..40_000u32).map(|n| n as u8).collect();
        state.put_pieces(b"s1", &long, 8);
        state.checkpoint(&Mark::default()).unwrap();
        for entry in state.db.iter() {
            assert!(entry.unwrap().1.len() <= MAX_VALUE);
        }
        let pieces = |state: &State| {
            state.scan(b"s1", None, 99).unwrap().into_iter().flat_map(|(_, piece)| piece).collect::<Vec<_>>()
        };
        assert_eq!(pieces(&state), long);
        state.put_pieces(b"s1", b"short", 8);
        assert_eq!(pieces(&state), b"short");
        assert!(std::fs::read_dir(dir.path().join("blobs")).unwrap().next().is_none(), "sled has written a blob");
    }
}
