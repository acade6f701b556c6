//! Frames: how a record stands in a journal file, to the byte.
//!
//! ```text
//! offset  bytes  what
//!      0      4  "HSw2"
//!      4      4  length of the payload
//!      8      8  tag: SipHash-2-4 with the file's salt as its key, of the frame's offset in the file (u64) and of all other
//!                bytes ahead of the payload
//!     16      4  CRC-32 (ISO-HDLC) of the payload
//!     20      4  offset in the file at which the group commit begins that wrote it
//!     24      1  version of the payload's record (1)
//!     25      1  kind of the record
//!     26      1  1 if the next frame belongs to the same step, else 0
//!     27      1  0
//!     28      8  number of the group commit that wrote it
//!     36     16  id of the event or log entry in it; 0 if it has none
//!     52         payload: the record in bincode 2, standard configuration
//! ```
//! All numbers little-endian. Knows bytes only, no files and no records. What it hands out has
//! passed its tag and its checksum.
//!
//! **No byte that a stranger sent is a frame.** Payloads hold what strangers send: an event's data, an SMS, a receiver's
//! answer. Where a file is damaged, the next frame is looked for in the bytes behind, and those may be a stranger's. The
//! salt is random, in no file but the header of the one that it is for, and in no answer of the API; so a stranger can
//! only guess the tag of bytes of his, one of 2^64 for each try, and a true frame is none in another file or at another
//! place. A checksum with a salt ahead of it would not do: a CRC is linear, and 32 bits are few for the million tries
//! that fit into one payload. The tag covers the payload by its checksum: the place and the checksum were written
//! together, so what can be wrong with the payload behind a true tag is damage by chance, which a CRC is good for. (Measured
//! for 1 KiB of payload, on a machine that was busy: checksum 285 ns, tag 129; SipHash-2-4 of all of it would take 1,473,
//! HMAC-SHA256 3,589.) That the tag needs no payload also makes looking for a frame linear in the bytes looked at, whatever
//! they are.
//!
//! **Version 1**, in files of version 1, is read:
//! ```text
//!      0      4  "HSwF"
//!      4      4  length of the payload
//!      8      4  CRC-32 of bytes 12 to the end of the payload
//!     12     28  as from 24 to 52 above
//!     40         payload
//! ```
//! Whoever knows that can make one. Of what is found behind damage in such a file, nothing is believed that gives powers
//! ([`offline`](crate::engine::embedded::offline)).

use std::fmt;
use std::hash::Hasher as _;

use siphasher::sip::SipHasher24;

use crate::model::record::Head;

/// Bytes ahead of the payload.
pub(crate) const HEADER: usize = 52;
/// The same in version 1.
pub(crate) const HEADER_1: usize = 40;
const MAGIC: [u8; 4] = *b"HSw2";
const MAGIC_1: [u8; 4] = *b"HSwF";
/// Where the tag ends.
const TAGGED: usize = 16;
/// Where what both versions have begins: here, and in version 1.
const HEAD: usize = 24;
const HEAD_1: usize = 12;
/// The largest payload: a posted body of 64 MiB and what surrounds it.
const MAX_PAYLOAD: usize = 80 << 20;
/// How many bytes of frames that turn out to be none are read for each byte that is looked through, in version 1.
const LOOKED_AT_MOST: usize = 8;

/// Why there is no frame at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoFrame {
    /// The bytes end before the frame does; this many are needed.
    Short(usize),
    /// It is not a frame, or its checksum does not fit.
    Bad,
}

/// What is kept in the header of a journal file alone, and makes its frames its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Salt([u8; Self::BYTES]);

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[salt]")
    }
}

/// How the frames of one journal file are proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binding {
    /// Version 1: by a checksum that anybody can make.
    Plain,
    /// Version 2: by the file's salt and the frame's place.
    Salted(Salt),
}

/// What stands ahead of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ahead {
    pub(crate) head: Head,
    /// The whole length of the frame.
    pub(crate) length: usize,
    /// Where the group commit begins that wrote it; `None` in version 1, which does not say.
    pub(crate) commit: Option<u32>,
}

/// Appends a frame to `out`, which [`Salt::bind`] has to make one of a certain place yet.
pub(crate) fn encode(out: &mut Vec<u8>, head: Head, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; HEAD - 4]);
    out.extend_from_slice(&[head.version, head.kind, u8::from(head.continues), 0]);
    out.extend_from_slice(&head.batch.to_le_bytes());
    out.extend_from_slice(&head.id.to_le_bytes());
    payload(out);
    let length = u32::try_from(out.len() - start - HEADER).unwrap_or(u32::MAX);
    out[start + 4..start + 8].copy_from_slice(&length.to_le_bytes());
    let crc = crc32fast::hash(&out[start + HEADER..]);
    out[start + 16..start + 20].copy_from_slice(&crc.to_le_bytes());
}

impl Salt {
    pub(crate) const BYTES: usize = 16;

    pub(crate) const fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// As it stands in a file's header.
    pub(crate) const fn bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// Makes the frame that `bytes` begin with, as [`encode`] made it or as it stood elsewhere, one at `place` of this file,
    /// of the group commit that begins at `commit`; gives its length, or `None` if there is none.
    pub(crate) fn bind(&self, bytes: &mut [u8], place: u32, commit: u32) -> Option<usize> {
        let frame = bytes.get_mut(..HEADER).filter(|frame| frame[..4] == MAGIC)?;
        frame[20..24].copy_from_slice(&commit.to_le_bytes());
        let tag = self.tag(frame, place);
        frame[8..TAGGED].copy_from_slice(&tag.to_le_bytes());
        let length = HEADER + u32::from_le_bytes(part(frame, 4)) as usize;
        (length <= bytes.len()).then_some(length)
    }

    fn tag(&self, header: &[u8], place: u32) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(&u64::from(place).to_le_bytes());
        hasher.write(&header[..8]);
        hasher.write(&header[TAGGED..HEADER]);
        hasher.finish()
    }
}

impl Binding {
    /// How many bytes stand ahead of a payload.
    pub(crate) const fn header(self) -> usize {
        match self {
            Self::Plain => HEADER_1,
            Self::Salted(_) => HEADER,
        }
    }

    /// What stands ahead of the payload of the frame that `bytes` begin with, which stand at `place` of the file. In version
    /// 2 it is proved by that, in version 1 not.
    pub(crate) fn peek(self, bytes: &[u8], place: u32) -> Result<Ahead, NoFrame> {
        let header = bytes.get(..self.header()).ok_or(NoFrame::Short(self.header()))?;
        let (magic, head) = match self {
            Self::Plain => (MAGIC_1, HEAD_1),
            Self::Salted(_) => (MAGIC, HEAD),
        };
        let length = u32::from_le_bytes(part(header, 4)) as usize;
        if header[..4] != magic || length > MAX_PAYLOAD {
            return Err(NoFrame::Bad);
        }
        let commit = match self {
            Self::Plain => None,
            Self::Salted(salt) if salt.tag(header, place) != u64::from_le_bytes(part(header, 8)) => {
                return Err(NoFrame::Bad);
            }
            Self::Salted(_) => Some(u32::from_le_bytes(part(header, 20))),
        };
        let head = Head {
            version: header[head],
            kind: header[head + 1],
            continues: header[head + 2] == 1,
            batch: u64::from_le_bytes(part(header, head + 4)),
            id: u128::from_le_bytes(part(header, head + 12)),
        };
        Ok(Ahead { head, length: self.header() + length, commit })
    }

    /// The frame that `bytes` begin with, which stand at `place` of the file: header, payload, and its whole length.
    pub(crate) fn decode(self, bytes: &[u8], place: u32) -> Result<(Head, &[u8], usize), NoFrame> {
        let Ahead { head, length, .. } = self.peek(bytes, place)?;
        let frame = bytes.get(..length).ok_or(NoFrame::Short(length))?;
        let (covered, crc) = match self {
            Self::Plain => (HEAD_1, part(frame, 8)),
            Self::Salted(_) => (HEADER, part(frame, 16)),
        };
        if crc32fast::hash(&frame[covered..]) != u32::from_le_bytes(crc) {
            return Err(NoFrame::Bad);
        }
        Ok((head, &frame[self.header()..], length))
    }

    /// The first place in `bytes`, which stand at `place` of the file, where a frame for which `wanted` holds begins. In
    /// version 2 its payload may be damaged; in version 1 it is whole, and may be a stranger's.
    pub(crate) fn find(self, bytes: &[u8], place: u32, wanted: impl Fn(Ahead) -> bool) -> Option<usize> {
        let (mut from, mut left) = (0, bytes.len().saturating_mul(LOOKED_AT_MOST));
        while let Some(at) = bytes[from..].iter().position(|byte| *byte == MAGIC[0]) {
            let here = from + at;
            let here_in_file = place.saturating_add(u32::try_from(here).unwrap_or(u32::MAX));
            from = here + 1;
            let Ok(ahead) = self.peek(&bytes[here..], here_in_file) else { continue };
            if !wanted(ahead) {
                continue;
            }
            if self == Self::Plain {
                // As many frames within each other as a stranger likes must not keep a start from ending.
                left = left.checked_sub(ahead.length.min(bytes.len() - here))?;
                if self.decode(&bytes[here..], here_in_file).is_err() {
                    continue;
                }
            }
            return Some(here);
        }
        None
    }
}

/// How many of these bytes, the last of a journal file, somebody may have written: what follows is room, made of zeros.
pub(crate) fn written(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

fn part<const N: usize>(bytes: &[u8], from: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[from..from + N]);
    part
}

/// For tests: a frame as version 1 has it.
#[cfg(test)]
pub(crate) fn encode_1(out: &mut Vec<u8>, head: Head, payload: &[u8]) {
    let mut frame = MAGIC_1.to_vec();
    frame.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(&[head.version, head.kind, u8::from(head.continues), 0]);
    frame.extend_from_slice(&head.batch.to_le_bytes());
    frame.extend_from_slice(&head.id.to_le_bytes());
    frame.extend_from_slice(payload);
    let crc = crc32fast::hash(&frame[HEAD_1..]);
    frame[8..12].copy_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&frame);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: Salt = Salt::new([9; 16]);

    fn sample(batch: u64, place: u32) -> Vec<u8> {
        let mut out = Vec::new();
        let head = Head { version: 1, kind: 2, continues: false, batch, id: 77 };
        encode(&mut out, head, |out| out.extend_from_slice(b"hello"));
        assert_eq!(SALT.bind(&mut out, place, place), Some(out.len()));
        out
    }

    fn sample_1(batch: u64) -> Vec<u8> {
        let mut out = Vec::new();
        encode_1(&mut out, Head { version: 1, kind: 2, continues: false, batch, id: 77 }, b"hello");
        out
    }

    #[test]
    fn a_frame_reads_back_and_no_single_flipped_bit_does() {
        for (binding, frame) in [(Binding::Salted(SALT), sample(9, 1024)), (Binding::Plain, sample_1(9))] {
            let (head, payload, length) = binding.decode(&frame, 1024).unwrap();
            assert_eq!((head.batch, head.id, payload, length), (9, 77, &b"hello"[..], frame.len()));
            for bit in 0..frame.len() * 8 {
                let mut bent = frame.clone();
                bent[bit / 8] ^= 1 << (bit % 8);
                assert!(binding.decode(&bent, 1024).is_err(), "bit {bit}");
            }
            for cut in 0..frame.len() {
                assert!(matches!(binding.decode(&frame[..cut], 1024), Err(NoFrame::Short(_))), "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_frame_is_one_in_its_file_and_at_its_place_alone() {
        let frame = sample(9, 1024);
        let (own, other) = (Binding::Salted(SALT), Binding::Salted(Salt::new([8; 16])));
        assert!(own.decode(&frame, 1024).is_ok());
        for (binding, place) in [(own, 1023), (own, 1025), (own, 0), (other, 1024), (Binding::Plain, 1024)] {
            assert_eq!(binding.decode(&frame, place), Err(NoFrame::Bad), "{binding:?} at {place}");
        }
        assert!(own.decode(&sample_1(9), 1024).is_err(), "one of version 1");
        assert!(!format!("{own:?}").contains('9'), "a salt is shown");
    }

    #[test]
    fn a_later_frame_is_found_behind_rubbish() {
        let rubbish = b"HSwF rubbish HSw2 HSw".to_vec();
        let place = rubbish.len();
        for (binding, frame) in
            [(Binding::Salted(SALT), sample(3, 100 + u32::try_from(place).unwrap())), (Binding::Plain, sample_1(3))]
        {
            let bytes = [rubbish.clone(), frame].concat();
            assert_eq!(binding.find(&bytes, 100, |ahead| ahead.head.batch == 3), Some(place));
            assert_eq!(binding.find(&bytes, 100, |ahead| ahead.head.batch > 3), None);
        }
    }

    #[test]
    fn looking_for_a_frame_ends_soon_whatever_a_stranger_sent() {
        // Each begins a frame that reaches to the end: a checksum for each would take hours.
        let bytes: Vec<u8> = b"HSwF\xff\xff\x1f\x00".iter().copied().cycle().take(4 << 20).collect();
        assert_eq!(Binding::Plain.find(&bytes, 32, |_| true), None);
        let bytes: Vec<u8> = b"HSw2\xff\xff\x1f\x00".iter().copied().cycle().take(4 << 20).collect();
        assert_eq!(Binding::Salted(SALT).find(&bytes, 1024, |_| true), None);
    }
}
