//! The journal: everything that happened, in order, in append-only files with a checksum on every
//! frame. What it says is what is true; the state database can be made again from where the two
//! last agreed.
//!
//! Ids ascend through the whole journal, which is how one is found without an index key of its own.

mod ascending;
mod compress;
mod copy;
mod header;
mod index;
mod indexed;
mod names;
mod packed;
mod prune;
pub(crate) mod recovery;
mod search;
mod segment;
mod unpacked;
mod writer;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::engine::embedded::place;
use crate::model::error::StoreError;
use crate::model::error::{Damage, u32_of};
use crate::model::record::Applied;
use crate::model::record::Head;
use crate::model::segment::Schema;
use crate::model::term::Key;
use crate::model::view::{Log, Reached, Sample, Tally, Visit, Wanted, Work};

use self::segment::{End, Segment};
use self::unpacked::Unpacked;

pub(crate) use self::copy::{Copying, Part};
pub(crate) use self::header::{HEADER, Header};
pub(crate) use self::index::{Growing, Note, end_in, is_of_before, to_bytes as index_bytes};
#[cfg(test)]
pub(crate) use self::packed::pack_file;
pub(crate) use self::packed::{Packing, Shape, Source};
pub(crate) use self::prune::{Breath, Unpruned, first, note_first};
pub(crate) use self::segment::path_of as file_path;
pub(crate) use self::writer::Writer;

/// A frame as the index takes note of it.
pub(crate) fn note_of(schema: &Schema, offset: u32, length: usize, head: Head, payload: &[u8]) -> Note {
    let (class, marks) = ((schema.class)(head.kind), (schema.terms)(head, payload));
    Note { offset, length: u32_of(length), class, id: head.id, marks }
}

/// The journal, for reading; cheap to share.
#[derive(Debug)]
pub(crate) struct Journal {
    dir: PathBuf,
    segments: RwLock<BTreeMap<u32, Arc<Segment>>>,
    /// What was read.
    tally: Tally,
    /// Held while a file goes or is replaced.
    files: Mutex<()>,
    /// What of compressed files was read last.
    blocks: Arc<Unpacked>,
    /// How what is read is changed on its way out.
    mask: Mutex<Option<Mask>>,
    schema: &'static Schema,
}

/// Takes a frame in: its header, its payload, and how far that is in the journal.
pub(crate) type Replay<'r> = &'r mut dyn FnMut(Head, &[u8], Applied) -> Result<(), Damage>;

/// What is handed out in place of a frame's payload; `None` if it is handed out as it stands.
#[derive(Clone)]
pub(crate) struct Mask(Arc<Masking>);
type Masking = dyn Fn(Head, &[u8]) -> Option<Vec<u8>> + Send + Sync;

impl Mask {
    pub(crate) fn new(masking: impl Fn(Head, &[u8]) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(masking))
    }
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[mask]")
    }
}

impl Journal {
    /// Makes an empty journal in `dir`, which exists.
    pub(crate) fn create(dir: &Path, now: u64, schema: &'static Schema) -> io::Result<()> {
        Segment::create(dir, 1, now, schema)?;
        note_first(dir, 1)
    }

    /// Opens the journal in `dir` and hands every frame behind `applied` to `replay` (header,
    /// payload, position behind it), whole steps only. What a cut left torn at the very end is cut
    /// away; anything else that is not a frame is damage. Files that retention has dropped are not missed.
    pub(crate) fn open(
        dir: &Path,
        applied: Applied,
        schema: &'static Schema,
        replay: Replay<'_>,
    ) -> Result<(Arc<Self>, Writer), Damage> {
        let numbers = numbers_in(dir)?;
        let newest = numbers.last().copied().unwrap_or(0).max(applied.segment).max(1);
        let first = first(dir)?.or_else(|| numbers.first().copied()).unwrap_or(newest);
        if applied.segment > 0 && applied.segment < first {
            let detail = "is missing: the state database has not taken it in to its end";
            return Err(Damage::new(&segment::path_of(dir, applied.segment), detail));
        }
        let (mut segments, blocks) = (BTreeMap::new(), Arc::<Unpacked>::default());
        for number in first..=newest {
            if !numbers.contains(&number) {
                return Err(Damage::new(&segment::path_of(dir, number), "is missing"));
            }
            let opened = if number == newest && recovery::was_never_used(dir, number, applied) {
                let created =
                    segment::remove_unfinished(dir, number).and_then(|()| Segment::create(dir, number, 0, schema));
                created.map_err(|error| Damage::io(&segment::path_of(dir, number), "cannot be made", &error))
            } else {
                Segment::open(dir, number, &blocks, schema)
            };
            segments.insert(number, Arc::new(opened?));
        }
        // A process that was killed may have written what it had not synced yet. It is there to be read and is taken in
        // below, and the state must not come to the disk ahead of it: a power cut would leave a state that speaks of
        // frames that are gone.
        for segment in segments.range(applied.segment..).map(|(_, segment)| segment) {
            segment.sync().map_err(|error| Damage::io(segment.path(), "cannot be synced", &error))?;
        }
        place::sync_dir(dir).map_err(|error| Damage::io(dir, "cannot be synced", &error))?;
        let mut reached = applied;
        for (number, segment) in segments.range(applied.segment..) {
            recovery::take_in(segment, &mut reached, *number == newest, replay)?;
        }
        let active = segments[&newest].clone();
        active.index_for_writing()?;
        let leftovers = prune::remove_leftovers(dir, first);
        leftovers.map_err(|error| Damage::io(dir, "has leftovers that cannot be removed", &error))?;
        let (dir, segments) = (dir.to_owned(), RwLock::new(segments));
        let (tally, files, mask) = (Tally::default(), Mutex::default(), Mutex::default());
        let journal = Arc::new(Self { dir, segments, tally, files, blocks, mask, schema });
        let writer = Writer::new(journal.clone(), active);
        Ok((journal, writer))
    }

    /// From now on what is read by id, by key or in order is changed so on its way out. Whoever copies, takes in or
    /// writes files again sees what is there.
    pub(crate) fn mask(&self, mask: Option<Mask>) {
        *self.mask.lock().unwrap_or_else(PoisonError::into_inner) = mask;
    }

    /// Hands a payload to `visit`, masked if it is to be.
    fn unmasked_or_not<T>(mask: Option<&Mask>, head: Head, payload: &[u8], visit: impl FnOnce(&[u8]) -> T) -> T {
        match mask.and_then(|mask| (mask.0)(head, payload)) {
            Some(masked) => visit(&masked),
            None => visit(payload),
        }
    }

    fn masking(&self) -> Option<Mask> {
        self.mask.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Hands the frame with this id to `visit` and tells whether there is one.
    pub(crate) fn get(&self, id: u128, visit: &mut dyn FnMut(Head, &[u8])) -> Result<bool, Damage> {
        let mask = self.masking();
        let Some(segment) = self.segment_from(id)? else { return Ok(false) };
        let work = self.unbounded();
        let Some(near) = segment.asked(&work, |index| index.mark_up_to(id))? else { return Ok(false) };
        let mut found = false;
        let end = segment.look(near, segment.end(), &mut |_, head, payload| {
            work.frame(payload.len() as u64);
            if head.id == id {
                found = true;
                Self::unmasked_or_not(mask.as_ref(), head, payload, |payload| visit(head, payload));
            }
            head.id < id
        })?;
        match end {
            End::NoFrame(at) => Err(segment.damaged(at)),
            End::Clean => Ok(found),
        }
    }

    /// The newest file whose first id is not above `id`.
    fn segment_from(&self, id: u128) -> Result<Option<Arc<Segment>>, Damage> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        for segment in segments.values().rev() {
            if segment.first_id()?.is_some_and(|first| first <= id) {
                return Ok(Some(segment.clone()));
            }
        }
        Ok(None)
    }
}

/// The numbers of the journal files in `dir`, ascending.
pub(crate) fn numbers_in(dir: &Path) -> Result<Vec<u32>, Damage> {
    let unreadable = |error: io::Error| Damage::io(dir, "cannot be read", &error);
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let number: Option<u32> =
            name.to_str().and_then(|name| name.strip_suffix(".log")).and_then(|stem| stem.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

impl Log for Journal {
    fn record(&self, id: u128, visit: &mut dyn FnMut(Head, &[u8])) -> Result<bool, StoreError> {
        Ok(self.get(id, visit)?)
    }

    fn newest_first(&self, wanted: &Wanted<'_>, work: &Work<'_>, visit: Visit<'_>) -> Result<Reached, StoreError> {
        Self::newest_first(self, wanted, work, visit)
    }

    fn ascending(
        &self,
        term: Key<'_>,
        passed: &dyn Fn(Head, &[u8]) -> Option<bool>,
        visit: Visit<'_>,
    ) -> Result<(), StoreError> {
        Self::ascending(self, term, passed, visit)
    }

    fn one_of_each_company(
        &self,
        term: Key<'_>,
        kind: u8,
        work: &Work<'_>,
        visit: Sample<'_>,
    ) -> Result<(), StoreError> {
        Ok(Self::one_of_each_company(self, term, kind, work, visit)?)
    }

    fn has_any(&self, terms: &[u64]) -> Result<bool, StoreError> {
        Ok(!self.numbers_with(terms)?.is_empty())
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

#[cfg(test)]
mod tests;
