//! Finding the records under one term in the order in which they were written, from a place in that order on.
//!
//! A value that ascends through the log, as the sequence numbers of a subscription do, and the index of each file, which
//! has the places of its frames: so a place in the order is found by halving.

use crate::engine::embedded::wal::log::Wal;
use crate::engine::embedded::wal::segment::Segment;
use crate::model::error::{Damage, StoreError};
use crate::model::record::Head;
use crate::model::term::{Lookup, Term};
use crate::model::view::{Log as _, Visit};

/// Says of a frame whether it is passed; `None` if it is not meant.
type Passed<'p> = &'p dyn Fn(Head, &[u8]) -> Option<bool>;

impl Wal {
    /// Hands the frames under `term` to `visit`, the oldest first, until it breaks. Those that are `passed` are left
    /// out; that must hold for none behind one for which it does not.
    pub(crate) fn ascending(&self, term: Term<'_>, passed: Passed<'_>, visit: Visit<'_>) -> Result<(), StoreError> {
        let mask = self.masking();
        let work = self.unbounded();
        let Lookup::One(key) = term.lookup(None) else { return Ok(()) };
        let mut segments = self.newest_segments();
        segments.reverse();
        for segment in segments {
            let mut below = segment.end();
            let mut last = None;
            // Two keys may be equal that are not the same, so the last that is really meant is looked for.
            while last.is_none() {
                let some = segment.asked(&work, |index| index.below(key, below))?;
                let Some(lowest) = some.first() else { break };
                below = lowest.offset;
                for posting in some.iter().rev() {
                    last = is_passed(&segment, posting.offset, passed)?;
                    if last.is_some() {
                        break;
                    }
                }
            }
            if last != Some(false) {
                continue;
            }
            let places = segment.asked(&work, |index| index.postings_between(key, key))?;
            let places: Vec<u32> = places.iter().map(|posting| posting.offset).collect();
            let first = first_not_passed(&segment, &places, passed)?;
            for place in &places[first..] {
                let mut flow = Ok(std::ops::ControlFlow::Continue(()));
                segment.frame(*place, &mut |head, payload| {
                    if passed(head, payload) == Some(false) {
                        flow = Self::unmasked_or_not(mask.as_ref(), head, payload, |payload| visit(head, payload));
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

/// The index of the first of `places` that is not passed, by halving.
fn first_not_passed(segment: &Segment, places: &[u32], passed: Passed<'_>) -> Result<usize, Damage> {
    let (mut low, mut high) = (0, places.len());
    while low < high {
        let middle = low.midpoint(high);
        let mut at = middle;
        let mut found = None;
        while at < high && found.is_none() {
            found = is_passed(segment, places[at], passed)?;
            at += 1;
        }
        match found {
            Some(true) => low = at,
            Some(false) | None => high = middle,
        }
    }
    Ok(low)
}

fn is_passed(segment: &Segment, place: u32, passed: Passed<'_>) -> Result<Option<bool>, Damage> {
    let mut found = None;
    segment.frame(place, &mut |head, payload| found = passed(head, payload))?;
    Ok(found)
}
