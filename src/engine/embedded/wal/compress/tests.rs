use std::fs;

use super::*;
use crate::engine::embedded::frame::HEADER as AHEAD;
use crate::engine::embedded::position::CheckpointPosition;
use crate::engine::embedded::wal::segment::path_of;
use crate::engine::embedded::wal::tests::{ALL, commit, filled, half, ids, open, position};
use crate::engine::embedded::wal::{Part, Writer};
use crate::model::term::Term;
use crate::model::view::Log as _;
use crate::model::view::Wanted;

/// Compresses all segments that can be; returns their numbers.
fn compress_all(wal: &Wal) -> Vec<u32> {
    let files = wal.compressible(u32::MAX);
    for (number, bytes) in &files {
        assert_eq!(fs::metadata(wal.segment(*number).unwrap().path()).unwrap().len(), *bytes);
        let saved = wal.compress(*number, &mut || true).unwrap();
        assert!(saved > bytes / 2, "file {number}: {saved} of {bytes} bytes");
    }
    assert_eq!(wal.compressible(u32::MAX), []);
    files.into_iter().map(|(number, _)| number).collect()
}

fn version(dir: &Path, number: u32) -> u8 {
    fs::read(path_of(dir, number)).unwrap()[8]
}

/// Results of queries: all ids, those of a key, those of a range, and a look-up by id.
fn answers(wal: &Wal) -> (Vec<u128>, Vec<u128>, Vec<u128>, bool) {
    let sevens = ids(wal, Wanted { keys: &[Term::Delivery(7)], ..ALL }, usize::MAX);
    let some = ids(wal, Wanted { below: 155, from: 41, ..ALL }, usize::MAX);
    (ids(wal, ALL, usize::MAX), sevens, some, wal.get(123, &mut |head, _| assert_eq!(head.id, 123)).unwrap())
}

#[test]
fn compressed_segments_answer_as_before_also_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, writer) = filled(dir.path());
    let (before, bytes, stats) = (answers(&wal), wal.bytes(), wal.stats());
    assert_eq!(wal.compressible(3).iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2, 1], "newest first");
    let done = compress_all(&wal);
    let newest = writer.position().0;
    assert_eq!(done, (1..newest).rev().collect::<Vec<_>>(), "all but the active one");
    assert!((1..newest).all(|number| version(dir.path(), number) == 3) && version(dir.path(), newest) == 2);
    assert_eq!(answers(&wal), before);
    assert_eq!(wal.stats(), stats, "the indexes still fit");
    let on_disk = (1..newest).map(|number| fs::metadata(path_of(dir.path(), number)).unwrap().len()).sum::<u64>();
    assert_eq!(wal.bytes(), on_disk + u64::from(writer.position().1));
    assert!(wal.bytes() < bytes * 6 / 10, "{} of {bytes}", wal.bytes());
    assert_eq!(wal.compress(1, &mut || true).unwrap(), 0, "it is compressed already");
    let applied = position(&writer);
    drop((wal, writer));
    // A start replays them from any checkpoint.
    for segment in [newest, newest - 1, 2, 1] {
        let from = if segment == newest {
            applied
        } else {
            CheckpointPosition { segment, offset: 1024, ..CheckpointPosition::default() }
        };
        let (wal, _, replayed) = open(dir.path(), from).unwrap();
        assert_eq!(replayed.is_empty(), segment == newest);
        assert!(replayed.is_empty() || replayed.last() == Some(&300));
        assert_eq!(answers(&wal), before);
    }
}

#[test]
fn a_compressed_segment_is_compacted_compressed_again_and_dropped_under_its_readers() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, writer) = filled(dir.path());
    let mut old = wal.copying();
    let [first, second] = [0, 1].map(|file| wal.stats()[file].1.last_logged);
    let mut seen = Vec::new();
    let visit = &mut |head: crate::model::record::Head, _: &[u8]| {
        if seen.is_empty() {
            compress_all(&wal);
            let survey = wal.survey(2, &mut half, &mut || true).unwrap();
            assert!(survey.gone > 0 && survey.kept.abs_diff(survey.gone) < 500, "{survey:?}");
            wal.rewrite(2, &mut half, &mut || true).unwrap();
            assert_eq!(version(dir.path(), 2), 2);
            // Half of it is too small to be compressed.
            assert_eq!(wal.compress(2, &mut || true).unwrap(), 0);
            wal.drop_first(1).unwrap();
        }
        seen.push(head.id);
        Ok(std::ops::ControlFlow::Continue(()))
    };
    wal.newest_first(&ALL, &wal.unbounded(), visit).unwrap();
    assert_eq!(seen, (1..=300).rev().collect::<Vec<u128>>(), "a reader sees what was there when it began");
    let wanted = (1..=300).rev().filter(|id| *id > first && (*id > second || id % 2 == 0));
    assert_eq!(answers(&wal).0, wanted.collect::<Vec<u128>>());
    // A copy that had begun has the segments as they were.
    let mut versions = Vec::new();
    while let Some(part) = old.next().unwrap() {
        if let Part::File(_, header) = part {
            versions.push(header[8]);
        }
    }
    assert_eq!(versions, vec![2; writer.position().0 as usize]);
}

#[test]
fn a_copy_has_compressed_segments_block_by_block_with_the_records_that_end_in_each() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _writer) = filled(dir.path());
    compress_all(&wal);
    let (mut copying, mut total, mut blocks, mut files) = (wal.copying(), 0, 0, Vec::new());
    while let Some(part) = copying.next().unwrap() {
        match part {
            Part::File(number, header) => files.push((number, Header::read(&header).unwrap().packed.is_some())),
            Part::Frames { entries, .. } => total += entries,
            Part::Block { entries, .. } => {
                blocks += 1;
                total += entries;
            }
        }
    }
    assert_eq!(total, 300);
    assert_eq!(blocks, files.len() - 1, "they are small");
    assert!(files.pop().is_some_and(|(_, packed)| !packed) && files.iter().all(|(_, packed)| *packed));
}

#[test]
fn a_segment_stays_unchanged_if_it_is_incompressible_damaged_or_compression_stops() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, writer) = filled(dir.path());
    let path = |number| path_of(dir.path(), number);
    let before = fs::read(path(1)).unwrap();
    assert!(matches!(wal.compress(1, &mut || false), Err(NotCompacted::Stopped)));
    assert!(wal.compressible(2).iter().any(|(number, _)| *number == 1), "it is tried again");
    let mut bent = before;
    bent[3000] ^= 1;
    fs::write(path(1), &bent).unwrap();
    let refused = wal.compress(1, &mut || true);
    assert!(
        matches!(&refused, Err(NotCompacted::Failed(damage)) if damage.to_string().contains("000001.log is damaged"))
    );
    assert_eq!(fs::read(path(1)).unwrap(), bent);
    assert!(!path(1).with_extension(REWRITE).exists());
    assert_eq!(wal.compressible(2), [], "a damaged segment is not tried again");
    fs::write(path(3), &bent[..2000]).unwrap();
    assert!(matches!(wal.compress(3, &mut || true), Err(NotCompacted::Failed(damage)) if !damage.is_io()));
    assert!(!wal.compressible(4).iter().any(|(number, _)| *number == 3), "nor a truncated one");
    // A single frame remains, and space is saved in blocks of the disk.
    let mut first = true;
    let decide = &mut |_, _: &[u8]| {
        let kept = std::mem::take(&mut first);
        Ok(if kept { crate::model::record::Disposition::Keep } else { crate::model::record::Disposition::Drop })
    };
    wal.rewrite(2, decide, &mut || true).unwrap();
    let before = fs::read(path(2)).unwrap();
    assert_eq!(wal.compress(2, &mut || true).unwrap(), 0);
    assert_eq!((fs::read(path(2)).unwrap(), wal.compressible(3)), (before, Vec::new()));
    assert!(wal.compressible(u32::MAX).iter().all(|(number, _)| (4..writer.position().0).contains(number)));
}

#[test]
fn a_crash_leaves_the_old_segment_or_the_compressed_one() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, writer) = filled(dir.path());
    let (before, applied) = (answers(&wal), position(&writer));
    let was = fs::read(path_of(dir.path(), 2)).unwrap();
    compress_all(&wal);
    let is = fs::read(path_of(dir.path(), 2)).unwrap();
    drop((wal, writer));
    for (file, left) in [(&was, &is[..]), (&was, &is[..700]), (&was, b""), (&is, &was)] {
        fs::write(path_of(dir.path(), 2), file).unwrap();
        fs::write(path_of(dir.path(), 2).with_extension(REWRITE), left).unwrap();
        let (wal, ..) = open(dir.path(), applied).unwrap();
        assert_eq!(answers(&wal), before);
        assert!(!path_of(dir.path(), 2).with_extension(REWRITE).exists());
    }
}

/// A compressed segment, and the position of the WAL.
fn compressed() -> (tempfile::TempDir, CheckpointPosition) {
    let dir = tempfile::tempdir().unwrap();
    let (wal, writer) = filled(dir.path());
    compress_all(&wal);
    let applied = position(&writer);
    (dir, applied)
}

#[test]
fn every_flipped_byte_is_reported_as_damage_of_that_segment() {
    let (dir, applied) = compressed();
    let (path, index) = (path_of(dir.path(), 1), path_of(dir.path(), 1).with_extension("idx"));
    let whole = fs::read(&path).unwrap();
    let again = whole.len() - 8;
    for byte in (0..whole.len()).step_by(3).chain(whole.len() - 16..whole.len()) {
        let mut bent = whole.clone();
        bent[byte] ^= 0x40;
        fs::write(&path, &bent).unwrap();
        // Without its index it is read completely.
        fs::remove_file(&index).ok();
        let read = open(dir.path(), applied).and_then(|(wal, ..)| {
            let visit = &mut |_: crate::model::record::Head, _: &[u8]| Ok(std::ops::ControlFlow::Continue(()));
            wal.newest_first(&ALL, &wal.unbounded(), visit).map_err(Damage::from)
        });
        if byte >= again {
            assert!(read.is_ok(), "the second table is for salvage only");
            continue;
        }
        let damage = read.unwrap_err();
        assert!(!damage.is_io() && damage.path() == path, "byte {byte}: {damage}");
        if byte >= 1024 {
            let begins = if byte < 1032 { damage.detail().to_owned() } else { "is damaged at byte 1032".to_owned() };
            assert!(damage.detail() == begins && begins.contains("damaged at byte 1"), "byte {byte}: {damage}");
        }
    }
    for length in (0..whole.len()).step_by(11).chain([whole.len() - 1]) {
        fs::write(&path, &whole[..length]).unwrap();
        let damage = open(dir.path(), applied).unwrap_err();
        assert!(!damage.is_io() && damage.path() == path, "cut at {length}: {damage}");
    }
}

#[test]
fn nothing_is_written_to_a_compressed_segment_even_if_it_is_the_newest() {
    let (dir, applied) = compressed();
    fs::remove_file(path_of(dir.path(), applied.segment)).unwrap();
    let applied = CheckpointPosition { segment: applied.segment - 1, offset: 1024, ..CheckpointPosition::default() };
    let (wal, mut writer, _) = open(dir.path(), applied).unwrap();
    assert!(writer.is_for_reading());
    let mut frame = Vec::new();
    crate::engine::embedded::frame::encode(
        &mut frame,
        crate::engine::embedded::wal::tests::head(99, 999, false),
        |_| (),
    );
    assert!(frame.len() == AHEAD && writer.append(&mut frame, &mut []).is_err());
    writer.rotate(0).unwrap();
    let last = ids(&wal, ALL, 1)[0];
    commit(&mut writer, 99, &[last + 1]);
    assert_eq!(ids(&wal, ALL, 2), [last + 1, last]);
    drop::<Writer>(writer);
}
