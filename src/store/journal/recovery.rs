//! What a start makes of the files that a stop, a kill or a power cut left, and what `verify` says of them: the same
//! functions for both.
//!
//! **What can have been in flight.** A group commit is one write, then zeros as room for later ones, then one
//! `fdatasync`; it is acknowledged, and the next one written, only when that has returned. So what was on its way to the
//! disk when the power went is at most one group commit, in the file that was written last: any of its pages may be
//! there, whichever are not, torn between sectors, under any length of the file. A file's header and name are synced
//! before its first commit. A new file is made only when the one before has lost its room and is synced.
//!
//! **So**, of the journal's newest file, and of no other:
//! - One that is no longer than its header, which is not whole, [was never used](was_never_used). It is made anew.
//! - What stands behind the last whole step is [torn](Tail::Torn) and cut away, with whole frames behind a hole in it, if it
//!   can be of that one commit: the one in which the hole begins.
//! - It is [damage](Tail::Damaged), refused and named, if there is proof that a later commit was begun: then the one with
//!   the hole had been synced. The proof is a whole frame with a number above the one of the commit that may be torn: that
//!   of the step whose beginning stands before the hole, or the one after the last whole step's.
//! - And it is damage if a checkpoint had taken in what is missing.
//!
//! Numbers ascend by one through the journal, so the last whole step may stand in the file before. Retention takes frames,
//! and their numbers, only out of files that the state database has taken in: from there on none is missing.
//!
//! The last commit that was synced cannot be told from one that was not: damage in it is cut away, too.

use std::path::Path;

use super::super::frame::{self, Head};
use super::super::place::{self, Damage};
use super::super::record::Applied;
use super::Replay;
use super::segment::{self, End, HEADER, Segment};

/// What stands behind the last whole step of the newest file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Tail {
    /// So many bytes of a group commit that was never acknowledged; 0 where there is only room.
    Torn(usize),
    /// Something acknowledged stood there.
    Damaged,
}

/// Judges `bytes`, which stand at `place` in the newest file, behind the last whole step, up to its end. `batch` is the
/// number of that step's group commit, in whichever file it stands; what is ahead of `acknowledged` was taken in by a
/// checkpoint.
pub(in crate::store) fn tail(bytes: &[u8], place: u32, batch: u64, acknowledged: u32) -> Tail {
    if place < acknowledged {
        return Tail::Damaged;
    }
    let (mut at, mut torn) = (0, batch + 1);
    while let Ok((head, _, length)) = frame::decode(&bytes[at..]) {
        at += length;
        torn = head.batch;
    }
    if frame::find(&bytes[at..], |head| head.batch > torn).is_some() {
        return Tail::Damaged;
    }
    Tail::Torn(frame::written(bytes))
}

/// Whether a cut came while the newest file, `number` in `dir`, was made: so nothing was ever in it.
pub(in crate::store) fn was_never_used(dir: &Path, number: u32, applied: Applied) -> bool {
    number > applied.segment && segment::is_unfinished(dir, number)
}

/// Hands whole steps of one file behind `reached` to `replay`, and cuts away what is torn at the end of the newest.
/// `reached` goes along.
pub(super) fn take_in(
    segment: &Segment,
    reached: &mut Applied,
    newest: bool,
    replay: Replay<'_>,
) -> Result<(), Damage> {
    let acknowledged = if segment.number == reached.segment { reached.offset } else { 0 };
    let from = acknowledged.max(HEADER);
    if segment.end() < from {
        let detail = format!("has {} bytes, but {from} were written and acknowledged", segment.end());
        return Err(Damage::new(segment.path(), detail));
    }
    let mut step: Vec<(Head, Vec<u8>, u32)> = Vec::new();
    let mut whole = from;
    let mut result = Ok(());
    let end = segment.walk(from, segment.end(), &mut |offset, head, payload| {
        let behind = offset + place::u32_of(frame::HEADER + payload.len());
        step.push((head, payload.to_vec(), behind));
        if head.continues {
            return true;
        }
        for (head, payload, behind) in step.drain(..) {
            let position =
                Applied { segment: segment.number, offset: behind, batch: head.batch, last_id: head.id, ..*reached };
            result = replay(head, &payload, position);
            if result.is_err() {
                return false;
            }
        }
        whole = behind;
        reached.batch = head.batch;
        true
    })?;
    result?;
    if end == End::Clean && whole == segment.end() {
        return Ok(());
    }
    let mut left = Vec::new();
    segment.read(&mut left, whole, (segment.end() - whole) as usize)?;
    match tail(&left, whole, reached.batch, acknowledged) {
        Tail::Torn(torn) if newest => {
            if torn > 0 {
                tracing::warn!(
                    "{}: {torn} bytes at the end were not completely written when the machine or process stopped; \
                     none of it was acknowledged, and it is cut away",
                    segment.path().display()
                );
            }
            segment.cut(whole).map_err(|error| Damage::io(segment.path(), "cannot be cut", &error))
        }
        _ => Err(segment.damaged(whole)),
    }
}

#[cfg(test)]
mod tests;
