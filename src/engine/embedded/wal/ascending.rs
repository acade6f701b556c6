//! Reading the records under one term in the order of writing, from a given point on.
//!
//! The point is found by binary search over the offsets in each segment's index, because its key ascends through the
//! WAL, as the sequence numbers of a subscription do.

use crate::engine::embedded::wal::log::Wal;
use crate::engine::embedded::wal::segment::Segment;
use crate::model::error::{Damage, StoreError};
use crate::model::record::Head;
use crate::model::term::{Lookup, Term};
use crate::model::view::{Log as _, Visit};

/// Whether a frame lies before the point; `None` if it does not belong to the sequence.
type Passed<'p> = &'p dyn Fn(Head, &[u8]) -> Option<bool>;

impl Wal {
    /// Passes the frames under `term` to `visit`, the oldest first, until it breaks. Frames that have `passed` are
    /// skipped; no frame may have passed behind one that has not.
    pub(crate) fn ascending(&self, term: Term<'_>, passed: Passed<'_>, visit: Visit<'_>) -> Result<(), StoreError> {
        let redaction = self.redaction();
        let work = self.unbounded();
        let Lookup::One(key) = term.lookup(None) else { return Ok(()) };
        let mut segments = self.newest_segments();
        segments.reverse();
        for segment in segments {
            let mut below = segment.end();
            let mut last = None;
            // Different terms may share a key, so the last frame that really belongs to the sequence is searched for.
            while last.is_none() {
                let postings = segment.query_index(&work, |index| index.below(key, below))?;
                let Some(lowest) = postings.first() else { break };
                below = lowest.offset;
                for posting in postings.iter().rev() {
                    last = is_passed(&segment, posting.offset, passed)?;
                    if last.is_some() {
                        break;
                    }
                }
            }
            if last != Some(false) {
                continue;
            }
            let offsets = segment.query_index(&work, |index| index.postings_between(key, key))?;
            let offsets: Vec<u32> = offsets.iter().map(|posting| posting.offset).collect();
            let first = first_not_passed(&segment, &offsets, passed)?;
            for offset in &offsets[first..] {
                let mut flow = Ok(std::ops::ControlFlow::Continue(()));
                segment.frame(*offset, &mut |head, payload| {
                    if passed(head, payload) == Some(false) {
                        flow = Self::redacted(redaction.as_ref(), head, payload, |payload| visit(head, payload));
                    }
                })?;
                if flow?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// The index of the first of `offsets` that has not passed, by binary search.
fn first_not_passed(segment: &Segment, offsets: &[u32], passed: Passed<'_>) -> Result<usize, Damage> {
    let (mut low, mut high) = (0, offsets.len());
    while low < high {
        let middle = low.midpoint(high);
        let mut at = middle;
        let mut found = None;
        while at < high && found.is_none() {
            found = is_passed(segment, offsets[at], passed)?;
            at += 1;
        }
        match found {
            Some(true) => low = at,
            Some(false) | None => high = middle,
        }
    }
    Ok(low)
}

fn is_passed(segment: &Segment, offset: u32, passed: Passed<'_>) -> Result<Option<bool>, Damage> {
    let mut found = None;
    segment.frame(offset, &mut |head, payload| found = passed(head, payload))?;
    Ok(found)
}
