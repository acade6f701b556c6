//! Reading the WAL.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::engine::embedded::wal::segment::{End, Segment};
use crate::engine::embedded::wal::unpacked::Unpacked;
use crate::model::error::{Damage, StoreError};
use crate::model::record::Head;
use crate::model::record::Schema;
use crate::model::term::Term;
use crate::model::view::{Log, Reached, Sample, Tally, Visit, Wanted, Work};

/// The WAL, for reading; cheap to share.
#[derive(Debug)]
pub(crate) struct Wal {
    pub(crate) dir: PathBuf,
    pub(crate) segments: RwLock<BTreeMap<u32, Arc<Segment>>>,
    /// Counts of what was read.
    pub(crate) tally: Tally,
    /// Held while a segment is removed or replaced.
    pub(crate) files: Mutex<()>,
    /// Cached blocks of compressed segments.
    pub(crate) blocks: Arc<Unpacked>,
    /// Applied to every record that is read.
    pub(crate) redaction: Mutex<Option<Redaction>>,
    pub(crate) schema: &'static Schema,
}

/// Returns the redacted payload of a frame; `None` if it is to be read unchanged.
#[derive(Clone)]
pub(crate) struct Redaction(Arc<RedactFn>);
type RedactFn = dyn Fn(Head, &[u8]) -> Option<Vec<u8>> + Send + Sync;

impl Redaction {
    pub(crate) fn new(redaction: impl Fn(Head, &[u8]) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(redaction))
    }
}

impl std::fmt::Debug for Redaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redaction]")
    }
}

impl Wal {
    /// Redacts what is read by id, by key or in order from now on. Copying, replay and rewriting are not redacted.
    pub(crate) fn set_redaction(&self, redaction: Option<Redaction>) {
        *self.redaction.lock().unwrap_or_else(PoisonError::into_inner) = redaction;
    }

    /// Passes a payload to `visit`, redacted if necessary.
    pub(crate) fn redacted<T>(
        redaction: Option<&Redaction>,
        head: Head,
        payload: &[u8],
        visit: impl FnOnce(&[u8]) -> T,
    ) -> T {
        match redaction.and_then(|redaction| (redaction.0)(head, payload)) {
            Some(redacted) => visit(&redacted),
            None => visit(payload),
        }
    }

    pub(crate) fn redaction(&self) -> Option<Redaction> {
        self.redaction.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Passes the frame with this id to `visit`; returns whether there is one.
    pub(crate) fn get(&self, id: u128, visit: &mut dyn FnMut(Head, &[u8])) -> Result<bool, Damage> {
        let redaction = self.redaction();
        let Some(segment) = self.segment_from(id)? else { return Ok(false) };
        let work = self.unbounded();
        let Some(start) = segment.query_index(&work, |index| index.sparse_floor(id))? else { return Ok(false) };
        let mut found = false;
        let end = segment.walk_short(start, segment.end(), &mut |_, head, payload| {
            work.frame(payload.len() as u64);
            if head.id == id {
                found = true;
                Self::redacted(redaction.as_ref(), head, payload, |payload| visit(head, payload));
            }
            head.id < id
        })?;
        match end {
            End::NoFrame(at) => Err(segment.damaged(at)),
            End::Clean => Ok(found),
        }
    }

    /// The newest segment whose first id is not above `id`.
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

impl Log for Wal {
    fn record(&self, id: u128, visit: &mut dyn FnMut(Head, &[u8])) -> Result<bool, StoreError> {
        Ok(self.get(id, visit)?)
    }

    fn newest_first(&self, wanted: &Wanted<'_>, work: &Work<'_>, visit: Visit<'_>) -> Result<Reached, StoreError> {
        Self::newest_first(self, wanted, work, visit)
    }

    fn ascending(
        &self,
        term: Term<'_>,
        passed: &dyn Fn(Head, &[u8]) -> Option<bool>,
        visit: Visit<'_>,
    ) -> Result<(), StoreError> {
        Self::ascending(self, term, passed, visit)
    }

    fn one_of_each_company(
        &self,
        term: Term<'_>,
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
