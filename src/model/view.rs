//! What a decision may see and change of what is kept: the interface between the rules and an engine.
//!
//! An engine keeps a **log** of records, ordered by their ids, and a **view**: keys with values that say what is true
//! now, derived from the records. The rules here name what they look for by [terms](crate::model::term) and
//! [keys](crate::model::keys); how either is stored is the engine's own. Must not know any engine.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::core::time::Timestamp;
use crate::model::error::StoreError;
use crate::model::page::Reads;
use crate::model::record::Head;
use crate::model::term::{Term, Terms};

/// Keys with their values.
pub(crate) type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// What is true now, for reading.
pub(crate) trait View: Send + Sync {
    /// The value of `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Up to `most` keys that begin with `prefix` and lie above `after`, ascending, with values.
    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, most: usize) -> Result<Pairs, StoreError>;

    /// Up to `most` keys that begin with `prefix` and lie below `below`, descending, with values.
    fn scan_down(&self, prefix: &[u8], below: &[u8], most: usize) -> Result<Pairs, StoreError>;

    /// Waits until the log shows what the view had at the time of the call: for a reader who has found something in
    /// neither, or who is about to answer with what it has found here.
    fn settle(&self);

    /// A derived value was found to be unreadable: it is reported, set aside, and replaced by `instead`.
    fn note_unreadable(&self, key: &[u8], instead: Option<Vec<u8>>);
}

/// What is true now, for whoever applies records to it: one thread.
pub(crate) trait ViewMut: View {
    /// Sets `key`.
    fn put(&self, key: Vec<u8>, value: Vec<u8>);

    /// Sets `key`, which never was set before.
    fn put_new(&self, key: Vec<u8>, value: Vec<u8>);

    /// Removes `key`.
    fn remove(&self, key: Vec<u8>);

    /// Sets `key` to a value of any length: pieces under the key and a number, at most `most`.
    fn put_pieces(&self, key: &[u8], value: &[u8], most: u8);

    /// Whether recovery is over: until then the view may be of a later time than the record that is applied.
    fn is_live(&self) -> bool;

    /// Sets a derived value that cannot be read aside, at once, and reports it.
    fn set_aside(&self, key: &[u8], value: Vec<u8>);

    /// The keys of derived values that begin with `prefix` and were [noted](View::note_unreadable).
    fn noted(&self, prefix: &[u8]) -> Vec<Vec<u8>>;

    /// A record could not be applied in full: the engine stops before anything of it is acknowledged.
    fn note_failure(&self, error: StoreError);

    /// How many bytes of changes have not reached the engine's own storage.
    fn gathered(&self) -> usize;
}

/// Looks at a record; says whether to go on.
pub(crate) type Visit<'v> = &'v mut dyn FnMut(Head, &[u8]) -> Result<ControlFlow<()>, StoreError>;
/// Looks at a record; says whether it is one that is meant, and whether to go on.
pub(crate) type Sample<'v> = &'v mut dyn FnMut(Head, &[u8]) -> (bool, bool);

/// All records, in the order in which they were written.
pub(crate) trait Log: Send + Sync {
    /// Hands the record with this id to `visit`; says whether there is one.
    fn record(&self, id: u128, visit: &mut dyn FnMut(Head, &[u8])) -> Result<bool, StoreError>;

    /// Hands the wanted records to `visit`, the newest first, until it breaks or `work` is spent. At least one that it
    /// has not seen is looked at, so that a reader who goes on from there comes to the end.
    fn newest_first(&self, wanted: &Wanted<'_>, work: &Work<'_>, visit: Visit<'_>) -> Result<Reached, StoreError>;

    /// Hands the records under `term`, which must be unique to one subscription, to `visit`, the oldest first, until it
    /// breaks. Those that are `passed` are left out; `None` says that a record is not meant, though its term collides.
    /// `passed` must hold for none behind one for which it does not.
    fn ascending(
        &self,
        term: Term<'_>,
        passed: &dyn Fn(Head, &[u8]) -> Option<bool>,
        visit: Visit<'_>,
    ) -> Result<(), StoreError>;

    /// Hands records of the kind `kind` under `term` to `visit`, the newest of each company at least.
    fn one_of_each_company(
        &self,
        term: Term<'_>,
        kind: u8,
        work: &Work<'_>,
        visit: Sample<'_>,
    ) -> Result<(), StoreError>;

    /// Whether there may be a record under one of these [hashes](Terms).
    fn has_any(&self, terms: &[u64]) -> Result<bool, StoreError>;

    /// What was read so far.
    fn tally(&self) -> &Tally;

    /// For a question that reads no more than a bounded number of records.
    fn bounded(&self) -> Work<'_> {
        Work::of(self.tally(), MOST_READ, MOST_BYTES)
    }

    /// For what must be read to its end.
    fn unbounded(&self) -> Work<'_> {
        Work::of(self.tally(), u64::MAX, u64::MAX)
    }

    /// As [`Log::newest_first`], but it does not end where `work`, which it counts in, is spent.
    fn to_the_end(&self, wanted: &Wanted<'_>, work: &Work<'_>, visit: Visit<'_>) -> Result<(), StoreError> {
        let own = self.unbounded();
        let walked = self.newest_first(wanted, &own, visit);
        work.take(&own);
        walked.map(drop)
    }

    /// The id of the newest wanted record that fits, if there is one.
    fn newest_of(
        &self,
        wanted: &Wanted<'_>,
        work: &Work<'_>,
        fits: &mut dyn FnMut(Head, &[u8]) -> bool,
    ) -> Result<Option<u128>, StoreError> {
        let mut found = None;
        self.to_the_end(wanted, work, &mut |head, payload| {
            found = fits(head, payload).then_some(head.id);
            Ok(if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(found)
    }
}

/// Where the records of a group commit go.
pub(crate) trait Sink {
    /// Appends a record. `continues`: the next one belongs to the same step, and after a crash there are both or none.
    fn append(&mut self, kind: u8, id: u128, continues: bool, terms: Terms, payload: &mut dyn FnMut(&mut Vec<u8>));
}

/// How many records, and blocks of indexes, one question may read.
const MOST_READ: u64 = 4_000;
/// How many bytes of records.
const MOST_BYTES: u64 = 32 << 20;

/// What is looked for in the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// Records of these kinds.
    pub(crate) kinds: &'a [u8],
    /// Of this company; of all if `None`.
    pub(crate) company: Option<&'a str>,
    /// Records that may have all of these terms.
    pub(crate) keys: &'a [Term<'a>],
    /// Records with ids below this.
    pub(crate) below: u128,
    /// Records with ids from here on.
    pub(crate) from: u128,
    /// Records of which the time in them is earlier. The reader compares it, too.
    pub(crate) until: Option<Timestamp>,
}

impl Wanted<'_> {
    /// Everything that has an id and a list of its own: to be narrowed.
    pub(crate) const ANY: Self = Self { kinds: &[], company: None, keys: &[], below: u128::MAX, from: 0, until: None };
}

/// How far a look through the log went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    /// Through all.
    End,
    /// As far as was wanted.
    Enough,
    /// As far as it may: everything with an id from here on was looked at.
    Spent(u128),
}

/// What was read altogether, for whoever measures.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    frames: AtomicU64,
    blocks: AtomicU64,
    records: AtomicU64,
    bytes: AtomicU64,
}

impl Tally {
    /// What was read so far.
    pub(crate) fn reads(&self) -> Reads {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Reads {
            frames: read(&self.frames),
            blocks: read(&self.blocks),
            records: read(&self.records),
            bytes: read(&self.bytes),
        }
    }
}

/// What one question has read, and may read.
#[derive(Debug)]
pub(crate) struct Work<'j> {
    tally: &'j Tally,
    /// Frames, blocks and records that are left.
    left: Cell<u64>,
    bytes_left: Cell<u64>,
}

impl<'j> Work<'j> {
    fn of(tally: &'j Tally, left: u64, bytes_left: u64) -> Self {
        Self { tally, left: Cell::new(left), bytes_left: Cell::new(bytes_left) }
    }

    /// Counts in what an unbounded question has read.
    fn take(&self, own: &Self) {
        self.left.set(self.left.get().saturating_sub(u64::MAX - own.left.get()));
        self.bytes_left.set(self.bytes_left.get().saturating_sub(u64::MAX - own.bytes_left.get()));
    }

    /// Whether nothing more is to be read.
    pub(crate) fn is_spent(&self) -> bool {
        self.left.get() == 0 || self.bytes_left.get() == 0
    }

    /// A record of the state was read.
    pub(crate) fn record(&self) {
        self.spend(&self.tally.records, 0);
    }

    pub(crate) fn frame(&self, bytes: u64) {
        self.spend(&self.tally.frames, bytes);
    }

    pub(crate) fn block(&self) {
        self.spend(&self.tally.blocks, 0);
    }

    fn spend(&self, counter: &AtomicU64, bytes: u64) {
        counter.fetch_add(1, Ordering::Relaxed);
        self.left.set(self.left.get().saturating_sub(1));
        self.bytes(bytes);
    }

    pub(crate) fn bytes(&self, bytes: u64) {
        self.tally.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes_left.set(self.bytes_left.get().saturating_sub(bytes));
    }
}
