//! WALs torn in every way in which power loss can, and damaged in ways in which it cannot: recovery distinguishes them.

use std::collections::BTreeMap;
use std::fs;

use super::*;
use crate::engine::embedded::frame;
use crate::engine::embedded::wal;
use crate::engine::embedded::wal::header::Header;
use crate::engine::embedded::wal::{Writer, entry_of};
use crate::model::record::{Kind as _, Logged, SCHEMA};

const PAGE: usize = 4096;
const SECTOR: usize = 512;

/// A reproducible source of randomness.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % most.max(1) as u64).unwrap()
    }

    fn of(&mut self, part: usize, whole: usize) -> bool {
        self.below(whole) < part
    }
}

/// A group commit: its segment, its range there, and the last id of each of its transactions.
#[derive(Debug, Clone)]
struct Commit {
    file: u32,
    begin: usize,
    end: usize,
    transactions: Vec<u128>,
}

/// A WAL of several segments after its last group commit.
struct Story {
    commits: Vec<Commit>,
    files: BTreeMap<u32, Vec<u8>>,
}

/// Segments as power loss leaves them.
type Image = BTreeMap<u32, Vec<u8>>;

fn append(writer: &mut Writer, chance: &mut Chance, batch: u64, id: &mut u128) -> Commit {
    let (mut bytes, mut entries, mut transactions) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..=chance.below(5) {
        let frames = 1 + chance.below(3);
        for nth in 0..frames {
            *id += 1;
            let head = Head { version: 1, kind: Logged::KINDS[0], continues: nth + 1 < frames, batch, id: *id };
            let length = [60, 700, 3_000, 9_000][chance.below(4)];
            let payload: Vec<u8> =
                (0..1 + chance.below(length)).map(|_| u8::try_from(chance.below(256)).unwrap()).collect();
            let offset = u32_of(bytes.len());
            frame::encode(&mut bytes, head, |out| out.extend_from_slice(&payload));
            entries.push(entry_of(&SCHEMA, offset, bytes.len() - offset as usize, head, &payload));
        }
        transactions.push(*id);
    }
    let (file, begin) = writer.position();
    writer.append(&mut bytes, &mut entries).unwrap();
    Commit { file, begin: begin as usize, end: writer.position().1 as usize, transactions }
}

fn story(seed: u64) -> Story {
    let dir = tempfile::tempdir().unwrap();
    wal::create(dir.path(), 0, &SCHEMA).unwrap();
    let (_, mut writer) = wal::open(dir.path(), CheckpointPosition::default(), &SCHEMA, &mut |_, _, _| Ok(())).unwrap();
    writer.limit_segment_bytes(60_000);
    let (mut chance, mut id, mut commits) = (Chance(seed), 0, Vec::new());
    for batch in 1..=24 {
        commits.push(append(&mut writer, &mut chance, batch, &mut id));
        if writer.is_full() || chance.of(1, 5) {
            writer.rotate(0).unwrap();
        }
    }
    writer.close().unwrap();
    let files =
        (1..=writer.position().0).map(|number| (number, fs::read(segment::path_of(dir.path(), number)).unwrap()));
    Story { files: files.collect(), commits }
}

/// The same WAL in version 1.
fn plain(story: &Story) -> Story {
    let mut files = BTreeMap::new();
    let mut commits = Vec::new();
    for (number, bytes) in &story.files {
        let header = Header::read(bytes).unwrap();
        let mut out = Header { binding: Binding::Plain, ..header }.to_bytes();
        for commit in story.commits.iter().filter(|commit| commit.file == *number) {
            let (begin, mut at) = (out.len(), commit.begin);
            while at < commit.end {
                let (head, payload, length) = header.binding.decode(&bytes[at..], u32_of(at)).unwrap();
                frame::encode_1(&mut out, head, payload);
                at += length;
            }
            commits.push(Commit { begin, end: out.len(), ..commit.clone() });
        }
        files.insert(*number, out);
    }
    Story { commits, files }
}

/// The story of a seed, in both versions.
fn stories(seed: u64) -> [Story; 2] {
    let story = story(seed);
    [plain(&story), story]
}

impl Story {
    fn header(&self) -> Header {
        Header::read(&self.files[&1]).unwrap()
    }

    /// What is on the disk when all commits before `commits[at]` are synced, and it has not begun.
    fn ahead_of(&self, at: usize) -> Image {
        let Commit { file, begin, .. } = self.commits[at];
        let mut image: Image = self.files.range(..=file).map(|(number, bytes)| (*number, bytes.clone())).collect();
        image.entry(file).and_modify(|bytes| bytes.truncate(begin));
        image
    }

    /// The same with parts of that commit: each page old or new, a few torn between sectors, under any length.
    fn torn(&self, at: usize, chance: &mut Chance) -> Image {
        let mut image = self.ahead_of(at);
        let Commit { file, begin, end, .. } = self.commits[at];
        let allocated = end + [0, 300, 9_000][chance.below(3)];
        let bytes = image.get_mut(&file).unwrap();
        bytes.resize(allocated, 0);
        let favour = [1, 5, 9][chance.below(3)];
        let (mut from, mut reached) = (begin, begin);
        while from < end {
            let unit = if chance.of(1, 5) { SECTOR } else { PAGE };
            let until = ((from / unit + 1) * unit).min(end);
            if chance.of(favour, 10) {
                bytes[from..until].copy_from_slice(&self.files[&file][from..until]);
                reached = until;
            }
            from = until;
        }
        let length = [begin, reached, allocated, begin + chance.below(allocated - begin)][chance.below(4)];
        bytes.truncate(length);
        image
    }

    /// The last id that must be there when all commits before `commits[at]` are synced.
    fn acknowledged(&self, at: usize) -> u128 {
        at.checked_sub(1).map_or(0, |before| *self.commits[before].transactions.last().unwrap())
    }
}

fn lay_out(image: &Image) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (number, bytes) in image {
        fs::write(segment::path_of(dir.path(), *number), bytes).unwrap();
    }
    wal::note_first(dir.path(), 1).unwrap();
    dir
}

/// The ids that a start replays.
fn opened(dir: &Path, applied: CheckpointPosition) -> Result<Vec<u128>, Damage> {
    let mut seen = Vec::new();
    wal::open(dir, applied, &SCHEMA, &mut |head, _, _| {
        seen.push(head.id);
        Ok(())
    })?;
    Ok(seen)
}

/// Whatever remains of the one commit that was not synced, a start replays everything before it and whole transactions
/// of it.
#[test]
fn a_commit_that_was_not_synced_is_truncated_whatever_remains_of_it() {
    let (mut first_missing, mut whole_behind_hole) = (0, 0);
    for seed in 1..=4 {
        let (stories, mut chance) = (stories(seed), Chance(seed * 77));
        for round in 0..60 {
            let story = &stories[round % 2];
            let at = chance.below(story.commits.len());
            let image = story.torn(at, &mut chance);
            let commit = &story.commits[at];
            let bytes = &image[&commit.file];
            let binding = Header::read(bytes).unwrap().binding;
            let is_frame = |at: usize| bytes.get(at..).is_some_and(|rest| binding.decode(rest, u32_of(at)).is_ok());
            let hole = !is_frame(commit.begin);
            let later =
                (commit.begin + 1..bytes.len()).any(|place| bytes[place..].starts_with(b"HSw") && is_frame(place));
            first_missing += usize::from(hole && later && commit.begin as u32 == story.header().end());
            whole_behind_hole += usize::from(hole && later);
            let dir = lay_out(&image);
            let what = format!("seed {seed}, round {round}, {commit:?}");
            let seen =
                opened(dir.path(), CheckpointPosition::default()).unwrap_or_else(|damage| panic!("{what}: {damage}"));
            let last = seen.last().copied().unwrap_or(0);
            assert!(seen.iter().copied().eq(1..=last), "{what}: {seen:?}");
            let allowed = last == story.acknowledged(at) || commit.transactions.contains(&last);
            assert!(allowed, "{what}: {last}");
            assert_eq!(
                opened(dir.path(), CheckpointPosition::default()).unwrap().last().copied().unwrap_or(0),
                last,
                "{what}: again"
            );
        }
    }
    assert!(first_missing > 3 && whole_behind_hole > 15, "{first_missing}, {whole_behind_hole}");
}

/// The moments during the creation of a segment: no name, no content, half a header, zeros.
#[test]
fn a_segment_that_was_never_used_is_created_again() {
    for story in stories(9) {
        a_segment_that_was_never_used_is_created_again_in(&story);
    }
}

fn a_segment_that_was_never_used_is_created_again_in(story: &Story) {
    let end = story.header().end() as usize;
    let firsts = story.commits.iter().enumerate().filter(|(_, commit)| commit.begin == end && commit.file > 1);
    for (at, commit) in firsts.take(2) {
        let header = &story.files[&commit.file][..end];
        let mut contents = vec![None, Some(Vec::new()), Some(vec![0; end]), Some(header.to_vec())];
        contents.extend((1..end).step_by(7).map(|length| Some(header[..length].to_vec())));
        contents.extend((1..end).step_by(7).map(|length| {
            let mut bytes = header[..length].to_vec();
            bytes.resize(end, 0);
            Some(bytes)
        }));
        for content in contents {
            let mut image = story.ahead_of(at);
            match &content {
                None => drop(image.remove(&commit.file)),
                Some(bytes) => drop(image.insert(commit.file, bytes.clone())),
            }
            let dir = lay_out(&image);
            let seen = opened(dir.path(), CheckpointPosition::default())
                .unwrap_or_else(|damage| panic!("{content:?}: {damage}"));
            assert_eq!(seen.last().copied().unwrap_or(0), story.acknowledged(at));
        }
    }
}

/// Damage ahead of a proof that it had been synced is refused and named, and nothing is changed.
#[test]
fn damage_in_synced_data_is_refused() {
    for seed in 20..=22 {
        let (stories, mut chance) = (stories(seed), Chance(seed * 31));
        for round in 0..100 {
            let story = &stories[round % 2];
            // The proof: something of a later commit is there.
            let at = 2 + chance.below(story.commits.len() - 2);
            let mut image = story.ahead_of(at);
            let proof = &story.commits[at - 1];
            let damaged = &story.commits[chance.below(at - 1)];
            let bytes = image.get_mut(&damaged.file).unwrap();
            let place = damaged.begin + chance.below(damaged.end - damaged.begin);
            let plain = story.header().binding == Binding::Plain;
            if plain && damaged.file == proof.file && place >= story.commits[at - 2].begin {
                continue; // In version 1 that commit may be the torn one.
            }
            match chance.below(3) {
                0 => bytes[place] ^= 1 << chance.below(8),
                1 if damaged.file != proof.file => bytes.truncate(place),
                _ => {
                    let until = (place + PAGE).min(damaged.end);
                    bytes[place..until].fill(0);
                }
            }
            if *bytes == story.files[&damaged.file][..bytes.len()] && bytes.len() >= damaged.end {
                continue; // Zeros replaced by zeros.
            }
            let dir = lay_out(&image);
            let what = format!("seed {seed}, round {round}: byte {place} of {damaged:?}, with {proof:?} behind");
            let refused = opened(dir.path(), CheckpointPosition::default());
            let refused = refused.map(drop).expect_err(&what).to_string();
            assert!(refused.contains(&format!("{:06}.log is damaged at byte", damaged.file)), "{what}: {refused}");
            for (number, bytes) in &image {
                assert_eq!(&fs::read(segment::path_of(dir.path(), *number)).unwrap(), bytes, "{what}: it was changed");
            }
        }
    }
}

/// What a checkpoint covers was synced, though nothing follows it.
#[test]
fn what_a_checkpoint_covers_must_be_there() {
    let story = story(40);
    let commit = story.commits.last().unwrap();
    let applied = CheckpointPosition {
        segment: commit.file,
        offset: u32_of(commit.end),
        batch: story.commits.len() as u64,
        ..CheckpointPosition::default()
    };
    for length in [commit.begin, commit.end - 1] {
        let mut image = story.ahead_of(story.commits.len() - 1);
        image.insert(commit.file, story.files[&commit.file][..length].to_vec());
        let refused = opened(lay_out(&image).path(), applied).unwrap_err().to_string();
        assert!(refused.contains("were written and acknowledged"), "{refused}");
    }
    let mut image: Image = story.files.clone();
    image.get_mut(&commit.file).unwrap()[commit.begin + 50] ^= 1;
    let refused = opened(lay_out(&image).path(), applied).unwrap_err().to_string();
    assert!(refused.contains("is damaged at byte"), "{refused}");
}
