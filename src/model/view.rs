//! The interface between decisions and an engine: what they may read and change.
//!
//! An engine keeps a **log** of records, ordered by their ids, and a **view**: keys with values, derived from the
//! records, that describe the current state. The rules name what they look for by [terms](crate::model::term) and
//! [keys](crate::model::keys); how either is stored is up to the engine. Must not know any engine.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::core::time::Timestamp;
use crate::model::error::StoreError;
use crate::model::key::{Key, ValueKind};
use crate::model::page::Reads;
use crate::model::record::Head;
use crate::model::term::{Term, Terms};

/// Keys with their values.
pub(crate) type Pairs = Vec<(Key, Vec<u8>)>;

/// The view, for reading.
pub(crate) trait View: Send + Sync {
    /// The value of `key`.
    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError>;

    /// Up to `most` keys with values that begin with `prefix` and lie above `after`, ascending.
    fn scan(&self, prefix: &Key, after: Option<&Key>, most: usize) -> Result<Pairs, StoreError>;

    /// Up to `most` keys with values that begin with `prefix` and lie below `below`, descending.
    fn scan_down(&self, prefix: &Key, below: &Key, most: usize) -> Result<Pairs, StoreError>;

    /// Waits until the log contains what the view had at the time of the call: for a reader that found something in
    /// neither, or is about to answer with what it found in the view.
    fn wait_until_logged(&self);

    /// Reports an unreadable derived value, sets it aside and replaces it by `instead`.
    fn note_unreadable(&self, key: &Key, instead: Option<Vec<u8>>);
}

/// The view, for the one thread that applies records.
pub(crate) trait ViewMut: View {
    /// Sets `key`.
    fn put(&self, key: Key, value: Vec<u8>);

    /// Sets `key`, which was never set before.
    fn put_new(&self, key: Key, value: Vec<u8>);

    /// Removes `key`.
    fn remove(&self, key: Key);

    /// Sets `key` to a value of any length: pieces under the key and a number, at most `most`.
    fn put_pieces(&self, key: &Key, value: &[u8], most: u8);

    /// Whether recovery is over: until then the view may be of a later time than the record being applied.
    fn is_live(&self) -> bool;

    /// Sets an unreadable derived value aside, at once, and reports it.
    fn set_aside(&self, key: &Key, value: Vec<u8>);

    /// The keys of derived values of this kind that were [reported](View::note_unreadable).
    fn noted(&self, kind: ValueKind) -> Vec<Key>;

    /// Reports that a record could not be applied completely: the engine stops before any of it is acknowledged.
    fn note_failure(&self, error: StoreError);

    /// The size of the changes that have not reached the engine's own storage, in bytes.
    fn gathered(&self) -> usize;
}

/// Visits a record; returns whether to continue.
pub(crate) type Visit<'v> = &'v mut dyn FnMut(Head, &[u8]) -> Result<ControlFlow<()>, StoreError>;
/// Visits a record; returns whether it matches, and whether to continue.
pub(crate) type Sample<'v> = &'v mut dyn FnMut(Head, &[u8]) -> (bool, bool);

/// All records, in the order in which they were written.
pub(crate) trait Log: Send + Sync {
    /// Calls `visit` with the record with this id; returns whether there is one.
    fn record(&self, id: u128, visit: &mut dyn FnMut(Head, &[u8])) -> Result<bool, StoreError>;

    /// Calls `visit` with the wanted records, newest first, until it breaks or `work` is exhausted. Visits at least one
    /// new record, so that continuing from there always reaches the end.
    fn newest_first(&self, wanted: &Wanted<'_>, work: &Work<'_>, visit: Visit<'_>) -> Result<Reached, StoreError>;

    /// Calls `visit` with the records under `term`, which must be unique to a subscription, oldest first, until it
    /// breaks. Those for which `passed` holds are skipped; `None` says that a record does not match, though its key
    /// collides. `passed` must hold for no record after one for which it does not.
    fn ascending(
        &self,
        term: Term<'_>,
        passed: &dyn Fn(Head, &[u8]) -> Option<bool>,
        visit: Visit<'_>,
    ) -> Result<(), StoreError>;

    /// Calls `visit` with records of the kind `kind` under `term`, at least with the newest of each company.
    fn one_of_each_company(
        &self,
        term: Term<'_>,
        kind: u8,
        work: &Work<'_>,
        visit: Sample<'_>,
    ) -> Result<(), StoreError>;

    /// Whether there may be a record under one of these [keys](Terms).
    fn has_any(&self, terms: &[u64]) -> Result<bool, StoreError>;

    /// What was read so far.
    fn tally(&self) -> &Tally;

    /// A budget for a query that reads a bounded number of records.
    fn bounded(&self) -> Work<'_> {
        Work::of(self.tally(), MOST_READ, MOST_BYTES)
    }

    /// A budget without limits.
    fn unbounded(&self) -> Work<'_> {
        Work::of(self.tally(), u64::MAX, u64::MAX)
    }

    /// As [`Log::newest_first`], but it does not end when `work`, to which it adds its reads, is exhausted.
    fn to_the_end(&self, wanted: &Wanted<'_>, work: &Work<'_>, visit: Visit<'_>) -> Result<(), StoreError> {
        let own = self.unbounded();
        let walked = self.newest_first(wanted, &own, visit);
        work.take(&own);
        walked.map(drop)
    }

    /// The id of the newest wanted record that matches, if any.
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

/// The sink for the records of a group commit.
pub(crate) trait Sink {
    /// Appends a record. If it `continues`, the next one belongs to the same atomic unit.
    fn append(&mut self, kind: u8, id: u128, continues: bool, terms: Terms, payload: &mut dyn FnMut(&mut Vec<u8>));
}

/// The maximum number of records and index blocks that a query may read.
const MOST_READ: u64 = 4_000;
/// The maximum number of bytes of records.
const MOST_BYTES: u64 = 32 << 20;

/// A search of the log.
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
    /// Records with an earlier time. The reader compares it, too.
    pub(crate) until: Option<Timestamp>,
}

impl Wanted<'_> {
    /// Everything with an id and a list of its own, to be narrowed.
    pub(crate) const ANY: Self = Self { kinds: &[], company: None, keys: &[], below: u128::MAX, from: 0, until: None };
}

/// How far a search of the log got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    /// To the end.
    End,
    /// As far as was wanted.
    Enough,
    /// As far as the budget allowed: everything with an id from here on was searched.
    Spent(u128),
}

/// The total of what was read, for metrics.
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

/// The read budget of a query.
#[derive(Debug)]
pub(crate) struct Work<'j> {
    tally: &'j Tally,
    /// Records, blocks and values left.
    left: Cell<u64>,
    bytes_left: Cell<u64>,
}

impl<'j> Work<'j> {
    fn of(tally: &'j Tally, left: u64, bytes_left: u64) -> Self {
        Self { tally, left: Cell::new(left), bytes_left: Cell::new(bytes_left) }
    }

    /// Adds the reads of an unbounded budget.
    fn take(&self, own: &Self) {
        self.left.set(self.left.get().saturating_sub(u64::MAX - own.left.get()));
        self.bytes_left.set(self.bytes_left.get().saturating_sub(u64::MAX - own.bytes_left.get()));
    }

    /// Whether it is exhausted.
    pub(crate) fn is_spent(&self) -> bool {
        self.left.get() == 0 || self.bytes_left.get() == 0
    }

    /// Counts a value read from the view.
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
