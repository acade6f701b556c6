//! Recovery: what a start makes of the segments that a stop, a crash or power loss left. `verify` uses the same
//! functions.
//!
//! **What can have been in flight.** A group commit is one write, possibly followed by preallocated zeros, and one
//! `fdatasync`. It is acknowledged, and the next one is written, only after that has returned. Power loss can therefore
//! tear at most one group commit, in the newest segment: any of its pages may be missing, those that are there may be
//! torn between sectors, and the file may have any length. The header and name of a segment are synced before its first
//! commit, and a new segment is created only after the previous one was trimmed and synced.
//!
//! **Consequences**, for the newest segment only:
//! - A segment that is no longer than its header, and whose header is incomplete, [was never used](was_never_used). It
//!   is created again.
//! - What follows the last whole transaction is a [torn write](TailState::Torn) and is truncated, including intact
//!   frames behind a hole, if all of it can belong to a single commit: the one in which the hole begins.
//! - It is [damage](TailState::Damaged), refused and named, if there is proof that a later commit was begun, because
//!   then the commit with the hole had been synced. The proof is a frame header (its payload may be torn) that states,
//!   under a valid [tag](crate::engine::embedded::frame), that its commit began behind the last whole transaction.
//! - It is also damage if a checkpoint had covered what is missing.
//!
//! In a segment of version 1, whose frames do not record where their commit began, the proof is an intact frame with a
//! number above that of the commit that may be torn: the number of the transaction that begins ahead of the hole, or
//! else the one after the last whole transaction's. Numbers ascend by one through the WAL, so the last whole
//! transaction may be in the previous segment. Retention removes frames, and thus numbers, only from segments that are
//! fully checkpointed; beyond those none is missing. Client data can forge such a frame in version 1, so these segments
//! are no longer written to: the first start of a hookswitch that knows version 2 begins a new segment.
//!
//! The last synced commit cannot be distinguished from one that was not synced: damage in it is truncated, too.

use std::path::Path;

use crate::engine::embedded::frame::{self, Binding, FrameHeader};
use crate::engine::embedded::position::CheckpointPosition;
use crate::engine::embedded::wal::segment::{self, End, Segment};
use crate::model::error::{Damage, u32_of};
use crate::model::record::Head;

/// Replays a frame: its header, its payload, and the position behind it.
pub(crate) type Replay<'r> = &'r mut dyn FnMut(Head, &[u8], CheckpointPosition) -> Result<(), Damage>;

/// What follows the last whole transaction of the newest segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TailState {
    /// This many bytes of a group commit that was never acknowledged; 0 if there are only preallocated zeros.
    Torn(usize),
    /// Acknowledged data was there.
    Damaged,
}

/// Classifies `bytes`, which are at `offset` in the newest segment, between the last whole transaction and the end.
/// `batch` is the number of that transaction's group commit, in whichever segment it is; a checkpoint has covered
/// everything ahead of `acknowledged`.
pub(crate) fn classify_tail(binding: Binding, bytes: &[u8], offset: u32, batch: u64, acknowledged: u32) -> TailState {
    if offset < acknowledged {
        return TailState::Damaged;
    }
    let behind = |at: usize| offset.saturating_add(u32_of(at));
    let (mut at, mut torn) = (0, batch + 1);
    while let Ok((head, _, length)) = binding.decode(&bytes[at..], behind(at)) {
        at += length;
        torn = head.batch;
    }
    let is_proof = |header: FrameHeader| header.commit.map_or(header.head.batch > torn, |commit| commit > offset);
    if binding.find(&bytes[at..], behind(at), is_proof).is_some() {
        return TailState::Damaged;
    }
    TailState::Torn(frame::written(bytes))
}

/// The offset of the next frame behind `at`, where there is none, in a segment with the content `bytes`: for salvage.
/// `batch` is the number of the group commit that was read last.
///
/// In version 2 the daemon wrote that frame there, though its payload may be damaged, too. In version 1 it may be
/// forged by client data, and so may everything behind it.
pub(crate) fn resume(binding: Binding, bytes: &[u8], at: usize, batch: u64) -> Option<usize> {
    let found = |at: usize| binding.find(&bytes[at..], u32_of(at), |header| header.head.batch >= batch);
    // If only the payload is damaged, the header gives the position of the next frame.
    let behind = binding.peek(&bytes[at..], u32_of(at)).ok().map(|header| at + header.length);
    if let Some(behind) = behind.filter(|behind| *behind <= bytes.len()) {
        let sound = || binding.decode(&bytes[behind..], u32_of(behind)).is_ok();
        if binding != Binding::Plain || sound() {
            return (behind < bytes.len()).then_some(behind);
        }
    }
    let from = at + 1;
    found(from).map(|found| from + found)
}

/// Whether a crash interrupted the creation of the newest segment, `number` in `dir`, so that it was never used.
pub(crate) fn was_never_used(dir: &Path, number: u32, applied: CheckpointPosition) -> bool {
    number > applied.segment && segment::is_unfinished(dir, number)
}

/// Replays the whole transactions of one segment behind `reached`, which it advances, and truncates a torn write at the
/// end of the newest segment.
pub(crate) fn replay_segment(
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
    let mut transaction: Vec<(Head, Vec<u8>, u32)> = Vec::new();
    let mut whole = from;
    let mut result = Ok(());
    let end = segment.walk(from, segment.end(), &mut |offset, head, payload| {
        let behind = offset + u32_of(segment.binding.header() + payload.len());
        transaction.push((head, payload.to_vec(), behind));
        if head.continues {
            return true;
        }
        for (head, payload, behind) in transaction.drain(..) {
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
    // A compressed segment was complete when it was compressed.
    if segment.is_packed() {
        return Err(segment.damaged(whole));
    }
    let mut left = Vec::new();
    segment.read(&mut left, whole, (segment.end() - whole) as usize)?;
    match classify_tail(segment.binding, &left, whole, reached.batch, acknowledged) {
        TailState::Torn(torn) if newest => {
            if torn > 0 {
                tracing::warn!(
                    "{}: truncating {torn} bytes at the end that were not completely written when the machine or \
                     process stopped; none of them was acknowledged",
                    segment.path().display()
                );
            }
            segment.truncate(whole).map_err(|error| Damage::io(segment.path(), "cannot be truncated", &error))
        }
        _ => Err(segment.damaged(whole)),
    }
}

#[cfg(test)]
mod tests;
