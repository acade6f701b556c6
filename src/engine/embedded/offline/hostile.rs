//! Segments with hostile payloads: forged frames, copies of true ones, and damage anywhere. Whatever is read from them
//! was really written.

use proptest::prelude::*;

use crate::engine::embedded::frame::encode_1;
use crate::engine::embedded::wal::pack_file;

use super::*;

const SALT: [u8; 16] = *b"nobody knows it!";
/// The payload of a forged record, of the kind of a token.
const FORGED: &[u8] = b"the forged record";

/// What an attacker may send.
#[derive(Debug, Clone)]
enum Sent {
    /// A frame of version 1, with a valid checksum and any number.
    Plain(u64),
    /// A frame of version 2 with a guessed salt and offset.
    Guessed([u8; 16], u32),
    /// The beginnings of many frames.
    Beginnings(u8),
    /// Arbitrary bytes.
    Rubbish(Vec<u8>),
}

impl Sent {
    fn bytes(&self) -> Vec<u8> {
        let head = |batch| Head { version: record::VERSION, kind: 17, continues: false, batch, id: 0 };
        let mut out = Vec::new();
        match self {
            Self::Plain(batch) => encode_1(&mut out, head(*batch), FORGED),
            Self::Guessed(salt, place) => {
                frame::encode(&mut out, head(u64::MAX), |out| out.extend_from_slice(FORGED));
                Salt::new(*salt).bind(&mut out, *place, *place);
            }
            Self::Beginnings(length) => out.extend([b"HSw2", &[*length, 0, 0, 0][..]].concat().repeat(40)),
            Self::Rubbish(bytes) => out.extend_from_slice(bytes),
        }
        out
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        any::<u64>().prop_map(Sent::Plain),
        (any::<[u8; 16]>(), 1024u32..4000).prop_map(|(salt, place)| Sent::Guessed(salt, place)),
        Just(Sent::Guessed([0; 16], 1024)),
        any::<u8>().prop_map(Sent::Beginnings),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(Sent::Rubbish),
    ]
}

/// Damage to a file: range, as fractions of its length, and way.
type Harm = (u16, u16, u8);

fn spoil(bytes: &mut Vec<u8>, (at, length, how): Harm) {
    if bytes.len() <= 1024 {
        return;
    }
    let place = |part: u16, most: usize| usize::from(part) * most / usize::from(u16::MAX);
    // The header is spared: without its salt nothing would be read.
    let at = 1024 + place(at, bytes.len().saturating_sub(1025));
    let until = (at + 1 + place(length, 600)).min(bytes.len());
    match how % 4 {
        0 => bytes[at] ^= 1 << (how / 4 % 8),
        1 => bytes[at..until].fill(0),
        2 => bytes.truncate(at),
        // Pages, or parts of them, moved elsewhere: true frames among them.
        _ => {
            let moved = bytes[at..until].to_vec();
            let to = 1024 + (at * 7) % (bytes.len() - 1024);
            let until = (to + moved.len()).min(bytes.len());
            bytes[to..until].copy_from_slice(&moved[..until - to]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn nothing_is_read_that_was_not_written(
        records in proptest::collection::vec(proptest::collection::vec(sent(), 1..4), 1..6),
        harms in proptest::collection::vec(any::<Harm>(), 0..4),
    ) {
        let payloads: Vec<Vec<u8>> =
            records.iter().map(|all| all.iter().flat_map(Sent::bytes).collect()).collect();
        let written: Vec<(u8, &[u8])> = payloads.iter().map(|payload| (2, payload.as_slice())).collect();
        let mut bytes = journal_file(SALT, &written);
        // The worst case: true frames of this very file, sent once more.
        let copied: Vec<u8> = bytes[1024..].to_vec();
        let written: Vec<(u8, &[u8])> = written.into_iter().chain([(2, copied.as_slice())]).collect();
        bytes = journal_file(SALT, &written);
        prop_assert_eq!(records_in(&bytes).len(), written.len());
        harms.iter().for_each(|harm| spoil(&mut bytes, *harm));
        for (kind, payload) in records_in(&bytes) {
            prop_assert!(written.contains(&(kind, payload.as_slice())), "kind {}: {:?}", kind, payload);
        }
    }

    /// The same for a compressed segment: the blocks around the damage are read, and nothing that was not written.
    #[test]
    fn nothing_is_read_of_a_compressed_file_that_was_not_written(
        records in proptest::collection::vec(proptest::collection::vec(sent(), 1..4), 1..6),
        sizes in proptest::collection::vec(0usize..30_000, 6),
        harms in proptest::collection::vec(any::<Harm>(), 0..4),
    ) {
        let filled = |(all, size): (&Vec<Sent>, &usize)| {
            let mut payload: Vec<u8> = all.iter().flat_map(Sent::bytes).collect();
            // For several blocks, and frames that continue from one to the next.
            payload.resize(payload.len() + size, b'z');
            payload
        };
        let payloads: Vec<Vec<u8>> = records.iter().zip(&sizes).map(filled).collect();
        let written: Vec<(u8, &[u8])> = payloads.iter().map(|payload| (2, payload.as_slice())).collect();
        let mut bytes = pack_file(&journal_file(SALT, &written));
        prop_assert_eq!(records_in(&bytes).len(), written.len());
        harms.iter().for_each(|harm| spoil(&mut bytes, *harm));
        for (kind, payload) in records_in(&bytes) {
            prop_assert!(written.contains(&(kind, payload.as_slice())), "kind {}", kind);
        }
    }

    /// As if power had failed while the last record was written: its content must not prevent a start.
    #[test]
    fn client_data_proves_nothing_of_a_torn_end(
        records in proptest::collection::vec(proptest::collection::vec(sent(), 1..6), 2..4),
        hole in 0usize..400,
    ) {
        let payloads: Vec<Vec<u8>> =
            records.iter().map(|all| all.iter().flat_map(Sent::bytes).collect()).collect();
        let written: Vec<(u8, &[u8])> = payloads.iter().map(|payload| (2, payload.as_slice())).collect();
        let mut bytes = journal_file(SALT, &written);
        let begin = bytes.len() - frame::HEADER - payloads[payloads.len() - 1].len();
        let until = (begin + 1 + hole).min(bytes.len());
        bytes[begin..until].fill(0);
        let binding = Header::read(&bytes).map_err(TestCaseError::fail)?.binding;
        let tail = recovery::classify_tail(binding, &bytes[begin..], u32_of(begin), written.len() as u64 - 1, 0);
        prop_assert!(matches!(tail, recovery::TailState::Torn(_)));
    }
}

#[test]
fn a_compressed_segment_that_claims_to_be_huge_takes_no_more_than_its_bytes() {
    let sound = journal_file(SALT, &[(2, b"one")]);
    let header = Header::read(&sound).unwrap();
    for length in [1025, 70_000, 1 << 30, u32::MAX] {
        let mut bytes = Header { packed: Some(length), ..header }.to_bytes();
        assert_eq!(records_in(&bytes), []);
        // Each block claims to be at least as long as a block can be.
        bytes.extend_from_slice(&[0xff; 4096]);
        assert_eq!(records_in(&bytes), []);
    }
    // A sound file whose frames end in the middle.
    let mut bytes = pack_file(&sound[..sound.len() - 1]);
    assert_eq!(records_in(&bytes), []);
    bytes.truncate(bytes.len() - 1);
    assert_eq!(records_in(&bytes), []);
    // Endless blocks of zeros: 4 GiB in a file of two megabytes. None of them is held in memory.
    let most = u32::MAX - 65_536;
    let (zeros, header) = (vec![0; 64 << 10], Header { packed: Some(most), ..header });
    let one = zstd_block(&zeros);
    let blocks = (most - 1024) / (64 << 10);
    let (mut table, mut behind) = (Vec::new(), 0);
    for _ in 0..blocks {
        behind += u32_of(one.len());
        table.extend_from_slice(&behind.to_le_bytes());
        table.extend_from_slice(&crc32fast::hash(&one).to_le_bytes());
    }
    let bomb = [&header.to_bytes(), &table, &one.repeat(blocks as usize), &table[..]].concat();
    assert!(bomb.len() < 4 << 20, "{}", bomb.len());
    let before = peak_kib();
    assert_eq!(records_in(&bomb), []);
    // Other tests run in parallel.
    assert!(peak_kib() - before < 1 << 20, "{} KiB more", peak_kib() - before);
}

/// A block of a compressed file that holds `bytes`.
fn zstd_block(bytes: &[u8]) -> Vec<u8> {
    let file = [&journal_file(SALT, &[])[..], bytes].concat();
    let packed = pack_file(&file);
    packed[1024 + 8..packed.len() - 8].to_vec()
}

/// The peak memory of this process.
fn peak_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
