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
//!   the hole had been synced. The proof is what stands ahead of a payload (which may itself be torn) and says, by its
//!   true [tag](crate::engine::embedded::frame), that its commit began behind the last whole step.
//! - And it is damage if a checkpoint had taken in what is missing.
//!
//! In a file of version 1, whose frames do not say where their commit began, the proof is a whole frame with a number
//! above the one of the commit that may be torn: that of the step whose beginning stands before the hole, or the one after
//! the last whole step's. Numbers ascend by one through the journal, so the last whole step may stand in the file before.
//! Retention takes frames, and their numbers, only out of files that the state database has taken in: from there on none
//! is missing. A stranger's bytes can be such a frame there; so nothing is written to such a file any more, and the first
//! start of a hookswitch that has version 2 begins a new one.
//!
//! The last commit that was synced cannot be told from one that was not: damage in it is cut away, too.

use std::path::Path;

use crate::engine::embedded::frame::{self, Ahead, Binding};
use crate::engine::embedded::wal::segment::{self, End, Segment};
use crate::model::error::{Damage, u32_of};
use crate::model::record::{CheckpointPosition, Head};

/// Takes a frame in: its header, its payload, and how far that is in the journal.
pub(crate) type Replay<'r> = &'r mut dyn FnMut(Head, &[u8], CheckpointPosition) -> Result<(), Damage>;

/// What stands behind the last whole step of the newest file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    /// So many bytes of a group commit that was never acknowledged; 0 where there is only room.
    Torn(usize),
    /// Something acknowledged stood there.
    Damaged,
}

/// Judges `bytes`, which stand at `place` in the newest file, behind the last whole step, up to its end. `batch` is the
/// number of that step's group commit, in whichever file it stands; what is ahead of `acknowledged` was taken in by a
/// checkpoint.
pub(crate) fn tail(binding: Binding, bytes: &[u8], place: u32, batch: u64, acknowledged: u32) -> Tail {
    if place < acknowledged {
        return Tail::Damaged;
    }
    let behind = |at: usize| place.saturating_add(u32_of(at));
    let (mut at, mut torn) = (0, batch + 1);
    while let Ok((head, _, length)) = binding.decode(&bytes[at..], behind(at)) {
        at += length;
        torn = head.batch;
    }
    let is_proof = |ahead: Ahead| ahead.commit.map_or(ahead.head.batch > torn, |commit| commit > place);
    if binding.find(&bytes[at..], behind(at), is_proof).is_some() {
        return Tail::Damaged;
    }
    Tail::Torn(frame::written(bytes))
}

/// Where, behind `at`, the next frame begins in a file of which `bytes` are all: there is none at `at`. For whoever saves
/// what can be read. `batch` is the number of the group commit read last.
///
/// In version 2 it is one that the daemon wrote there, though its payload may be damaged, too. In version 1 it may be
/// bytes that a stranger sent, and so may all that follows.
pub(crate) fn resume(binding: Binding, bytes: &[u8], at: usize, batch: u64) -> Option<usize> {
    let found = |at: usize| binding.find(&bytes[at..], u32_of(at), |ahead| ahead.head.batch >= batch);
    // If only the payload is damaged, what stands ahead of it says where the next frame is.
    let behind = binding.peek(&bytes[at..], u32_of(at)).ok().map(|ahead| at + ahead.length);
    if let Some(behind) = behind.filter(|behind| *behind <= bytes.len()) {
        let sound = || binding.decode(&bytes[behind..], u32_of(behind)).is_ok();
        if binding != Binding::Plain || sound() {
            return (behind < bytes.len()).then_some(behind);
        }
    }
    let from = at + 1;
    found(from).map(|found| from + found)
}

/// Whether a cut came while the newest file, `number` in `dir`, was made: so nothing was ever in it.
pub(crate) fn was_never_used(dir: &Path, number: u32, applied: CheckpointPosition) -> bool {
    number > applied.segment && segment::is_unfinished(dir, number)
}

/// Hands whole steps of one file behind `reached` to `replay`, and cuts away what is torn at the end of the newest.
/// `reached` goes along.
pub(crate) fn take_in(
    segment: &Segment,
    reached: &mut CheckpointPosition,
    newest: bool,
    replay: Replay<'_>,
) -> Result<(), Damage> {
    let acknowledged = if segment.number == reached.segment { reached.offset } else { 0 };
    let from = acknowledged.max(segment.begin());
    if segment.end() < from {
        let detail = format!("has {} bytes, but {from} were written and acknowledged", segment.end());
        return Err(Damage::new(segment.path(), detail));
    }
    let mut step: Vec<(Head, Vec<u8>, u32)> = Vec::new();
    let mut whole = from;
    let mut result = Ok(());
    let end = segment.walk(from, segment.end(), &mut |offset, head, payload| {
        let behind = offset + u32_of(segment.binding.header() + payload.len());
        step.push((head, payload.to_vec(), behind));
        if head.continues {
            return true;
        }
        for (head, payload, behind) in step.drain(..) {
            let position = CheckpointPosition {
                segment: segment.number,
                offset: behind,
                batch: head.batch,
                last_id: head.id,
                ..*reached
            };
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
    // A compressed file was whole when it was compressed.
    if segment.is_packed() {
        return Err(segment.damaged(whole));
    }
    let mut left = Vec::new();
    segment.read(&mut left, whole, (segment.end() - whole) as usize)?;
    match tail(segment.binding, &left, whole, reached.batch, acknowledged) {
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
