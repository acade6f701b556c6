use std::ops::ControlFlow;

use crate::core::attempt::{LogEntry, Status};
use crate::core::delivery::{Delivery, State};
use crate::core::event::{CallId, EventType};
use crate::core::id::{DeliveryId, SubscriptionId};
use crate::core::time::Timestamp;
use crate::engine::embedded::frame;
use crate::engine::embedded::position::CheckpointPosition;
use crate::engine::embedded::wal::header::HEADER;
use crate::model::error::{Damage, u32_of};
use crate::model::record::Disposition;
use crate::model::record::{self, Accepted, Head, Kind as _, Logged, SCHEMA};
use crate::model::term::Term;
use crate::model::view::Wanted;

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::engine::embedded::wal;
use crate::model::view::Log as _;

/// A log entry for the delivery with these bits.
fn logged(delivery: u128) -> Logged {
    let subscription = crate::model::in_memory::subscription(1);
    let delivery = Delivery {
        id: DeliveryId::from_bits(delivery),
        subscription: SubscriptionId::from_bits(1),
        event: crate::core::id::EventId::from_bits(1),
        event_type: EventType::parse("call.new").unwrap(),
        call: CallId::parse("c").unwrap(),
        state: State::Cancelled,
        attempts: 0,
        due: Timestamp::ZERO,
        give_up_at: Timestamp::ZERO,
        expire_at: None,
        first_failed_at: None,
        last_response: None,
        replay: false,
    };
    Logged::new(
        &LogEntry::without_attempt(&delivery, Status::Cancelled, "why", &subscription, None, Timestamp::ZERO),
        None,
    )
}

pub(crate) fn head(batch: u64, id: u128, continues: bool) -> Head {
    Head { version: 1, kind: Logged::KINDS[0], continues, batch, id }
}

/// Writes one group commit of single-frame transactions with these ids.
pub(crate) fn commit(writer: &mut Writer, batch: u64, ids: &[u128]) {
    let mut bytes = Vec::new();
    let mut entries = Vec::new();
    for id in ids {
        let logged = logged(*id % 10);
        let offset = bytes.len();
        frame::encode(&mut bytes, head(batch, *id, false), |out| record::codec::encode_into(out, &logged));
        let length = bytes.len() - offset;
        entries.push(entry_of(
            &SCHEMA,
            u32_of(offset),
            length,
            head(batch, *id, false),
            &bytes[offset + frame::HEADER..],
        ));
    }
    writer.append(&mut bytes, &mut entries).unwrap();
}

pub(crate) fn open(dir: &Path, applied: CheckpointPosition) -> Result<(Arc<Wal>, Writer, Vec<u128>), Damage> {
    let mut seen = Vec::new();
    let opened = wal::open(dir, applied, &SCHEMA, &mut |head, _, _| {
        seen.push(head.id);
        Ok(())
    });
    opened.map(|(wal, writer)| (wal, writer, seen))
}

pub(crate) fn ids(wal: &Wal, wanted: Wanted<'_>, most: usize) -> Vec<u128> {
    let mut ids = Vec::new();
    let visit = &mut |head: Head, _: &[u8]| {
        ids.push(head.id);
        Ok(if ids.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    };
    wal.newest_first(&wanted, &wal.unbounded(), visit).unwrap();
    ids
}

pub(crate) const ALL: Wanted<'static> = Wanted { kinds: Logged::KINDS, ..Wanted::ANY };

/// A WAL of 300 log entries in several segments, ids 1 to 300, ten a group commit.
pub(crate) fn filled(dir: &Path) -> (Arc<Wal>, Writer) {
    create(dir, 0, &SCHEMA).unwrap();
    let (wal, mut writer, _) = open(dir, CheckpointPosition::default()).unwrap();
    writer.set_segment_bytes(8_000);
    for batch in 0..30u64 {
        let from = u128::from(batch) * 10 + 1;
        commit(&mut writer, batch + 1, &(from..from + 10).collect::<Vec<_>>());
        // The last segment is not empty.
        if writer.is_full() && batch < 29 {
            writer.rotate(0).unwrap();
        }
    }
    (wal, writer)
}

#[test]
fn records_are_found_by_id_by_key_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, writer) = filled(dir.path());
    assert!(writer.position().0 > 2, "several segments");
    let backwards: Vec<u128> = (1..=300).rev().collect();
    assert_eq!(ids(&wal, ALL, usize::MAX), backwards);
    assert_eq!(ids(&wal, Wanted { below: 155, from: 141, ..ALL }, usize::MAX), backwards[146..160]);
    assert_eq!(ids(&wal, Wanted { below: 155, ..ALL }, 3), [154, 153, 152]);
    let sevens: Vec<u128> = backwards.iter().copied().filter(|id| id % 10 == 7).collect();
    assert_eq!(ids(&wal, Wanted { keys: &[Term::Delivery(7)], ..ALL }, usize::MAX), sevens);
    assert_eq!(ids(&wal, Wanted { kinds: Accepted::KINDS, ..ALL }, usize::MAX), []);
    for id in [1, 2, 99, 100, 101, 300] {
        let mut found = 0;
        assert_eq!(wal.get(id, &mut |head, _| found = head.id), Ok(true));
        assert_eq!(found, id);
    }
    assert_eq!(wal.get(301, &mut |_, _| ()), Ok(false));
    assert_eq!(wal.get(0, &mut |_, _| ()), Ok(false));
}

#[test]
fn after_reopening_everything_is_there_and_what_was_not_checkpointed_is_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let (_, writer) = filled(dir.path());
    let (segment, offset) = writer.position();
    drop(writer);
    let applied =
        CheckpointPosition { segment: segment - 1, offset: HEADER, batch: 1, ..CheckpointPosition::default() };
    let (wal, _, replayed) = open(dir.path(), applied).unwrap();
    assert_eq!(replayed.last(), Some(&300));
    assert!(replayed.windows(2).all(|pair| pair[1] == pair[0] + 1));
    assert_eq!(ids(&wal, ALL, usize::MAX).len(), 300);
    let (_, _, replayed) =
        open(dir.path(), CheckpointPosition { segment, offset, batch: 30, ..CheckpointPosition::default() }).unwrap();
    assert_eq!(replayed, []);
}

#[test]
fn a_torn_last_commit_is_truncated_at_every_length() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path(), 0, &SCHEMA).unwrap();
    let (_, mut writer, _) = open(dir.path(), CheckpointPosition::default()).unwrap();
    commit(&mut writer, 1, &[1, 2]);
    let (_, whole) = writer.position();
    commit(&mut writer, 2, &[3]);
    let (_, end) = writer.position();
    let bytes = std::fs::read(segment::path_of(dir.path(), 1)).unwrap();
    for cut in (whole + 1)..end {
        for allocated in [0, 5, 5_000] {
            let mut torn = bytes[..cut as usize].to_vec();
            torn.resize(torn.len() + allocated, 0);
            if torn.starts_with(&bytes[..end as usize]) {
                continue; // only zeros were cut off
            }
            std::fs::write(segment::path_of(dir.path(), 1), &torn).unwrap();
            let (_, mut writer, seen) = open(dir.path(), CheckpointPosition::default()).unwrap();
            assert_eq!((seen, writer.position()), (vec![1, 2], (1, whole)), "cut at {cut}, {allocated} zeros behind");
            commit(&mut writer, 2, &[4]);
        }
    }
}

#[test]
fn only_the_newest_segment_has_preallocated_space_and_an_orderly_stop_removes_it() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path(), 0, &SCHEMA).unwrap();
    let (_, mut writer, _) = open(dir.path(), CheckpointPosition::default()).unwrap();
    let length = |number| std::fs::metadata(segment::path_of(dir.path(), number)).unwrap().len();
    let made_at = |writer: &Writer| (u64::from(writer.position().1), length(writer.position().0));
    commit(&mut writer, 1, &[1]);
    let (end, allocated) = made_at(&writer);
    assert!(allocated > end + 1_000, "{end} bytes of frames in a file of {allocated}");
    // A commit that fits into the preallocated space does not extend the file; another one preallocates more.
    commit(&mut writer, 2, &[2]);
    assert_eq!(length(1), allocated);
    let mut batch = 2;
    while made_at(&writer).1 == allocated {
        batch += 1;
        commit(&mut writer, batch, &(0..50).map(|nth| u128::from(batch) * 50 + nth).collect::<Vec<_>>());
    }
    let (end, allocated) = made_at(&writer);
    assert!(allocated > end);
    writer.rotate(0).unwrap();
    assert_eq!(length(1), end, "a full segment ends with its frames");
    commit(&mut writer, batch + 1, &[100_000]);
    assert!(length(2) > made_at(&writer).0);
    // A kill leaves the preallocated space, and the next start removes it.
    let (_, reopened, seen) = open(dir.path(), CheckpointPosition::default()).unwrap();
    assert_eq!((seen.last(), reopened.position()), (Some(&100_000), writer.position()));
    assert_eq!(length(2), u64::from(reopened.position().1));
    let mut writer = reopened;
    commit(&mut writer, batch + 2, &[100_001]);
    writer.close().unwrap();
    assert_eq!(length(2), u64::from(writer.position().1));
    // A commit after closing preallocates again.
    commit(&mut writer, batch + 3, &[100_002]);
    assert_eq!(open(dir.path(), CheckpointPosition::default()).unwrap().2.last(), Some(&100_002));
}

#[test]
fn an_incomplete_transaction_is_truncated_whole() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path(), 0, &SCHEMA).unwrap();
    let (_, mut writer, _) = open(dir.path(), CheckpointPosition::default()).unwrap();
    commit(&mut writer, 1, &[1]);
    let whole = writer.position();
    let mut bytes = Vec::new();
    let mut entries = Vec::new();
    for id in [2, 3] {
        let offset = bytes.len();
        frame::encode(&mut bytes, head(2, id, true), |out| out.push(0));
        entries.push(entry_of(&SCHEMA, u32_of(offset), bytes.len() - offset, head(2, id, true), &[0]));
    }
    writer.append(&mut bytes, &mut entries).unwrap();
    let (_, writer, seen) = open(dir.path(), CheckpointPosition::default()).unwrap();
    assert_eq!((seen, writer.position()), (vec![1], whole));
}

#[test]
fn damage_ahead_of_acknowledged_data_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path(), 0, &SCHEMA).unwrap();
    let (_, mut writer, _) = open(dir.path(), CheckpointPosition::default()).unwrap();
    for batch in 1..=4u64 {
        commit(&mut writer, batch, &[u128::from(batch)]);
    }
    let path = segment::path_of(dir.path(), 1);
    let bytes = std::fs::read(&path).unwrap();
    let frame_length = (writer.position().1 - HEADER) as usize / 4;
    for frame in 0..4 {
        let mut bent = bytes.clone();
        bent[HEADER as usize + frame * frame_length + 50] ^= 1;
        std::fs::write(&path, &bent).unwrap();
        let opened = open(dir.path(), CheckpointPosition::default());
        let untouched = std::fs::read(&path).unwrap() == bent;
        if frame < 3 {
            let damage = opened.unwrap_err().to_string();
            assert!(damage.contains("000001.log is damaged at byte") && untouched, "frame {frame}: {damage}");
        } else {
            // Damage to the last one cannot be distinguished from a torn write.
            assert!(opened.is_ok() && !untouched);
        }
    }
}

#[test]
fn missing_and_truncated_segments_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (_, writer) = filled(dir.path());
    let (segment, offset) = writer.position();
    drop(writer);
    let applied = CheckpointPosition { segment, offset, batch: 30, ..CheckpointPosition::default() };
    let last = segment::path_of(dir.path(), segment);
    std::fs::File::options().write(true).open(&last).unwrap().set_len(u64::from(offset) - 1).unwrap();
    assert!(open(dir.path(), applied).unwrap_err().to_string().contains("were written and acknowledged"));
    std::fs::remove_file(&last).unwrap();
    assert!(open(dir.path(), applied).unwrap_err().to_string().ends_with("is missing"));
    std::fs::remove_file(segment::path_of(dir.path(), 2)).unwrap();
    let before = CheckpointPosition { segment: segment - 1, ..CheckpointPosition::default() };
    assert!(open(dir.path(), before).unwrap_err().to_string().contains("000002.log is missing"));
}

#[test]
fn an_old_index_does_not_replace_that_of_a_rewritten_segment() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _writer) = filled(dir.path());
    // A reader uses the segment while it is rewritten, and writes its index afterwards.
    let before = wal.segments.read().unwrap()[&2].clone();
    wal.rewrite(2, &mut half, &mut || true).unwrap();
    let index = dir.path().join("000002.idx");
    let fresh = std::fs::read(&index).unwrap();
    before.seal().unwrap();
    assert_eq!(std::fs::read(&index).unwrap(), fresh);
}

#[test]
fn two_threads_that_write_an_index_at_once_leave_an_intact_one() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _writer) = filled(dir.path());
    let segment = wal.segments.read().unwrap()[&2].clone();
    let index = dir.path().join("000002.idx");
    // The thread that seals a full segment may not have run yet.
    segment.seal().unwrap();
    let whole = std::fs::read(&index).unwrap();
    for round in 0..300 {
        segment.index_for_writing().unwrap();
        std::fs::remove_file(&index).unwrap();
        // As the sealing thread and a query for statistics would do.
        let together = std::sync::Barrier::new(2);
        let seal = || {
            together.wait();
            segment.seal().unwrap();
        };
        std::thread::scope(|scope| {
            scope.spawn(seal);
            scope.spawn(seal);
        });
        assert_eq!(std::fs::read(&index).unwrap(), whole, "round {round}");
    }
}

#[test]
fn a_missing_or_damaged_index_is_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let (_, writer) = filled(dir.path());
    let applied = {
        let (segment, offset) = writer.position();
        CheckpointPosition { segment, offset, batch: 30, ..CheckpointPosition::default() }
    };
    drop(writer);
    for rubbish in [None, Some(&b"rubbish"[..])] {
        let index = dir.path().join("000001.idx");
        match rubbish {
            None => drop(std::fs::remove_file(&index)),
            Some(bytes) => std::fs::write(&index, bytes).unwrap(),
        }
        let (wal, ..) = open(dir.path(), applied).unwrap();
        assert_eq!(ids(&wal, Wanted { keys: &[Term::Delivery(3)], ..ALL }, usize::MAX).len(), 30);
    }
}

/// Retains every other record.
pub(crate) fn half(head: Head, _: &[u8]) -> Result<Disposition, Damage> {
    Ok(if head.id.is_multiple_of(2) { Disposition::Keep } else { Disposition::Drop })
}

#[test]
fn a_segment_is_rewritten_under_its_readers_and_the_oldest_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, mut writer) = filled(dir.path());
    let of_second = wal.stats()[1].1;
    let stale = std::fs::read(dir.path().join("000002.idx")).unwrap();
    let survey = wal.survey(2, &mut half, &mut || true).unwrap();
    assert!(survey.gone > 0 && survey.kept.abs_diff(survey.gone) < 500, "{survey:?}");
    // During a read, newest first, all segments but the newest are compacted.
    let newest = writer.position().0;
    let mut seen = Vec::new();
    let visit = &mut |head: Head, _: &[u8]| {
        if seen.is_empty() {
            wal.drop_first(1).unwrap();
            (2..newest).for_each(|number| wal.rewrite(number, &mut half, &mut || true).unwrap());
        }
        seen.push(head.id);
        Ok(ControlFlow::Continue(()))
    };
    wal.newest_first(&ALL, &wal.unbounded(), visit).unwrap();
    assert_eq!(seen, (1..=300).rev().collect::<Vec<u128>>());
    let last_of_first = wal.stats()[0].1.last_logged;
    assert!(last_of_first % 2 == 0 && last_of_first <= of_second.last_logged);
    let expected = |from: u128| -> Vec<u128> {
        let first_of_newest = seen.iter().copied().rev().find(|id| *id > last_of_rewritten(&wal)).unwrap();
        (from..=300).rev().filter(|id| id % 2 == 0 || *id >= first_of_newest).collect()
    };
    let first_kept = ids(&wal, ALL, usize::MAX).last().copied().unwrap();
    assert!(first_kept > 2);
    let (whole, applied) = (expected(first_kept), position(&writer));
    assert_eq!(ids(&wal, ALL, usize::MAX), whole);
    let sevens: Vec<u128> = whole.iter().copied().filter(|id| id % 10 == 7).collect();
    assert_eq!(ids(&wal, Wanted { keys: &[Term::Delivery(7)], ..ALL }, usize::MAX), sevens);
    for id in [1, first_kept - 1, first_kept + 1] {
        assert_eq!(wal.get(id, &mut |_, _| ()), Ok(false), "{id}");
    }
    assert_eq!(wal.get(first_kept + 2, &mut |_, _| ()), Ok(true));
    commit(&mut writer, 31, &[301]);
    drop((wal, writer));

    // What power loss may leave: the dropped segment, a half-written one, the index of the old one.
    std::fs::write(segment::path_of(dir.path(), 1), b"old").unwrap();
    std::fs::write(dir.path().join("000003.rewrite"), b"half").unwrap();
    std::fs::write(dir.path().join("000002.idx"), stale).unwrap();
    let (wal, _, replayed) = open(dir.path(), applied).unwrap();
    assert_eq!(replayed, [301]);
    assert!(!segment::path_of(dir.path(), 1).exists() && !dir.path().join("000003.rewrite").exists());
    assert_eq!(ids(&wal, Wanted { below: 301, ..ALL }, usize::MAX), whole);
    assert_eq!(ids(&wal, Wanted { keys: &[Term::Delivery(7)], ..ALL }, usize::MAX), sevens);
    drop(wal);
    std::fs::remove_file(segment::path_of(dir.path(), 2)).unwrap();
    assert!(open(dir.path(), applied).unwrap_err().to_string().contains("000002.log is missing"));
}

pub(crate) fn position(writer: &Writer) -> CheckpointPosition {
    let (segment, offset) = writer.position();
    CheckpointPosition { segment, offset, batch: 30, ..CheckpointPosition::default() }
}

/// The last log entry in the full segments.
fn last_of_rewritten(wal: &Wal) -> u128 {
    let stats = wal.stats();
    stats.iter().rev().skip(1).map(|(_, stats)| stats.last_logged).max().unwrap()
}

#[test]
fn a_segment_stays_unchanged_if_it_is_damaged_or_its_rewriting_stops() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _writer) = filled(dir.path());
    let path = segment::path_of(dir.path(), 1);
    let before = std::fs::read(&path).unwrap();
    let decide = &mut |_, _: &[u8]| Err(Damage::new(Path::new("state"), "is gone"));
    assert!(matches!(wal.rewrite(1, decide, &mut || true), Err(NotCompacted::Failed(_))));
    let mut bent = before.clone();
    bent[3000] ^= 1;
    std::fs::write(&path, &bent).unwrap();
    for compacted in [wal.rewrite(1, &mut half, &mut || true), wal.survey(1, &mut half, &mut || true).map(drop)] {
        assert!(
            matches!(compacted, Err(NotCompacted::Failed(damage)) if damage.to_string().contains("000001.log is damaged"))
        );
    }
    assert_eq!(std::fs::read(&path).unwrap(), bent);
    assert!(!dir.path().join("000001.rewrite").exists());
}
