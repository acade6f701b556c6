//! Files around bytes that a stranger sent: frames of his own making, copies of true ones, and damage anywhere. Whatever
//! is read of them was written.

use proptest::prelude::*;

use crate::engine::embedded::frame::encode_1;
use crate::engine::embedded::wal::pack_file;

use super::*;

const SALT: [u8; 16] = *b"nobody knows it!";
/// A token's record, as far as its kind says.
const FORGED: &[u8] = b"the forged record";

/// What a stranger may send.
#[derive(Debug, Clone)]
enum Sent {
    /// A frame of version 1, with a checksum and any number.
    Plain(u64),
    /// One of version 2 under a salt that is guessed, for a place that is.
    Guessed([u8; 16], u32),
    /// The beginnings of many frames.
    Beginnings(u8),
    /// Anything.
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

/// Damage to a file: where, in parts of its length, and how.
type Harm = (u16, u16, u8);

fn spoil(bytes: &mut Vec<u8>, (at, length, how): Harm) {
    if bytes.len() <= 1024 {
        return;
    }
    let place = |part: u16, most: usize| usize::from(part) * most / usize::from(u16::MAX);
    // The salt is lost or it is not; what is behind it is what may be a stranger's.
    let at = 1024 + place(at, bytes.len().saturating_sub(1025));
    let until = (at + 1 + place(length, 600)).min(bytes.len());
    match how % 4 {
        0 => bytes[at] ^= 1 << (how / 4 % 8),
        1 => bytes[at..until].fill(0),
        2 => bytes.truncate(at),
        // Pages, or parts of them, that stand elsewhere than they did: true frames among them.
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
        // The worst that he could know: true frames of this very file, sent once more.
        let copied: Vec<u8> = bytes[1024..].to_vec();
        let written: Vec<(u8, &[u8])> = written.into_iter().chain([(2, copied.as_slice())]).collect();
        bytes = journal_file(SALT, &written);
        prop_assert_eq!(records_in(&bytes).len(), written.len());
        harms.iter().for_each(|harm| spoil(&mut bytes, *harm));
        for (kind, payload) in records_in(&bytes) {
            prop_assert!(written.contains(&(kind, payload.as_slice())), "kind {}: {:?}", kind, payload);
        }
    }

    /// The same of a file that is compressed: the blocks around the damage are read, and no more than was written.
    #[test]
    fn nothing_is_read_of_a_compressed_file_that_was_not_written(
        records in proptest::collection::vec(proptest::collection::vec(sent(), 1..4), 1..6),
        sizes in proptest::collection::vec(0usize..30_000, 6),
        harms in proptest::collection::vec(any::<Harm>(), 0..4),
    ) {
        let filled = |(all, size): (&Vec<Sent>, &usize)| {
            let mut payload: Vec<u8> = all.iter().flat_map(Sent::bytes).collect();
            // So that there are several blocks, and frames that go from one to the next.
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

    /// As if the power had gone while the last record was written: a start is not kept from starting by what stands in it.
    #[test]
    fn what_a_stranger_sent_proves_nothing_of_a_torn_end(
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
        let tail = recovery::tail(binding, &bytes[begin..], u32_of(begin), written.len() as u64 - 1, 0);
        prop_assert!(matches!(tail, recovery::Tail::Torn(_)));
    }
}

#[test]
fn a_compressed_file_that_says_it_is_huge_takes_no_more_than_its_bytes() {
    let sound = journal_file(SALT, &[(2, b"one")]);
    let header = Header::read(&sound).unwrap();
    for length in [1025, 70_000, 1 << 30, u32::MAX] {
        let mut bytes = Header { packed: Some(length), ..header }.to_bytes();
        assert_eq!(records_in(&bytes), []);
        // Each block says that it is as long as a block can be, and more.
        bytes.extend_from_slice(&[0xff; 4096]);
        assert_eq!(records_in(&bytes), []);
    }
    // A true file whose frames are cut off in the middle.
    let mut bytes = pack_file(&sound[..sound.len() - 1]);
    assert_eq!(records_in(&bytes), []);
    bytes.truncate(bytes.len() - 1);
    assert_eq!(records_in(&bytes), []);
    // Blocks of zeros without end: 4 GiB in a file of two megabytes. Nothing of them is kept.
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
    // Other tests run beside this one.
    assert!(peak_kib() - before < 1 << 20, "{} KiB more", peak_kib() - before);
}

/// A block of a compressed file that holds `bytes`.
fn zstd_block(bytes: &[u8]) -> Vec<u8> {
    let file = [&journal_file(SALT, &[])[..], bytes].concat();
    let packed = pack_file(&file);
    packed[1024 + 8..packed.len() - 8].to_vec()
}

/// The most memory that this process has had.
fn peak_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
