//! Finding what a subscription was owed, in the order in which it came to be owed.
//!
//! The sequence numbers of a subscription ascend through the journal, as ids do, and every file's
//! index has the places of its frames: so a place in the order is found by halving.

use std::ops::ControlFlow;

use super::super::place::Damage;
use super::super::record::{self, Accepted};
use super::index::Lookup;
use super::segment::Segment;
use super::{Journal, Key, Mask, kind};

/// An accepted event that owes something to the subscription in question.
pub(in crate::store) struct Owing {
    /// The bits of the event's id.
    pub(in crate::store) event: u128,
    /// The delivery's sequence number.
    pub(in crate::store) sequence: u64,
    /// The event's record.
    pub(in crate::store) accepted: Accepted,
}

impl Journal {
    /// Hands the events that were owed to subscription `number` to `visit`, the oldest first,
    /// until it breaks. Those for which `passed` holds are left out; it must hold for none behind
    /// one for which it does not.
    pub(in crate::store) fn owed_to(
        &self,
        number: u32,
        passed: &dyn Fn(&Owing) -> bool,
        visit: &mut dyn FnMut(Owing) -> Result<ControlFlow<()>, Damage>,
    ) -> Result<(), Damage> {
        let mask = self.masking();
        let work = self.unbounded();
        let mut segments = self.newest_segments();
        segments.reverse();
        for segment in segments {
            let Lookup::One(key) = Key::Owed(number).lookup(None) else { continue };
            let mut below = segment.end();
            let mut last = None;
            // Two keys may be equal that are not the same, so the last that is really meant is looked for.
            while last.is_none() {
                let some = segment.asked(&work, |index| index.below(key, below))?;
                let Some(lowest) = some.first() else { break };
                below = lowest.offset;
                for posting in some.iter().rev() {
                    last = owing(&segment, posting.offset, number, None)?;
                    if last.is_some() {
                        break;
                    }
                }
            }
            if last.as_ref().is_none_or(passed) {
                continue;
            }
            let places = segment.asked(&work, |index| index.postings_between(key, key))?;
            let places: Vec<u32> = places.iter().map(|posting| posting.offset).collect();
            let first = first_not_passed(&segment, &places, number, passed)?;
            for place in &places[first..] {
                let Some(owing) = owing(&segment, *place, number, mask.as_ref())? else { continue };
                if visit(owing)?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// The index of the first of `places` that is not passed, by halving.
fn first_not_passed(
    segment: &Segment,
    places: &[u32],
    number: u32,
    passed: &dyn Fn(&Owing) -> bool,
) -> Result<usize, Damage> {
    let (mut low, mut high) = (0, places.len());
    while low < high {
        let middle = low.midpoint(high);
        let mut at = middle;
        let mut found = None;
        while at < high && found.is_none() {
            found = owing(segment, places[at], number, None)?;
            at += 1;
        }
        match found {
            Some(found) if passed(&found) => low = at,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// The frame at `place`, if it is an event that owes something to subscription `number`.
fn owing(segment: &Segment, place: u32, number: u32, mask: Option<&Mask>) -> Result<Option<Owing>, Damage> {
    let mut found = None;
    segment.frame(place, &mut |head, payload| {
        if head.kind == kind::ACCEPTED {
            let accepted = Journal::unmasked_or_not(mask, head, payload, record::decode::<Accepted>);
            found = accepted.and_then(|accepted| {
                let owed = accepted.owed.iter().find(|owed| owed.id().subscription_number() == number)?;
                Some(Owing { event: head.id, sequence: owed.id().sequence(), accepted })
            });
        }
    })?;
    Ok(found)
}
