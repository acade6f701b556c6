//! Frames: the encoding of a record in a segment, to the byte.
//!
//! ```text
//! offset  bytes  what
//!      0      4  "HSw2"
//!      4      4  length of the payload
//!      8      8  tag: SipHash-2-4, keyed with the segment's salt, of the frame's offset in the file (u64) and of all
//!                other bytes ahead of the payload
//!     16      4  CRC-32 (ISO-HDLC) of the payload
//!     20      4  offset in the file of the group commit that wrote the frame
//!     24      1  version of the payload's record (1)
//!     25      1  kind of the record
//!     26      1  1 if the next frame belongs to the same transaction, else 0
//!     27      1  0
//!     28      8  number of the group commit that wrote the frame
//!     36     16  id of the event or log entry in the record; 0 if it has none
//!     52         payload: the record in bincode 2, standard configuration
//! ```
//! All numbers are little-endian. Knows bytes only, neither files nor records. Every frame it returns has passed its
//! tag and its checksum.
//!
//! **Client data is never taken for a frame.** Payloads contain data of clients and receivers: an event's data, an SMS,
//! a response. Behind damage the next frame is searched for in the bytes that follow, which may be such data. The salt
//! is random, stored only in the header of its own segment, and in no response of the API. An attacker can therefore
//! only guess a tag, with a chance of 1 in 2^64 for each try, and a valid frame is invalid in another file or at
//! another offset. A salted checksum would not suffice: a CRC is linear, and 32 bits are few against the million tries
//! that fit into one payload. The tag covers the payload through its checksum. Offset and checksum were written
//! together, so the payload behind a valid tag can only be damaged by chance, against which a CRC is good enough.
//! (Measured with 1 KiB of payload on a busy machine: checksum 285 ns, tag 129; SipHash-2-4 of everything would take
//! 1,473, HMAC-SHA256 3,589.) Because the tag does not need the payload, the search for a frame is linear in the bytes
//! searched, whatever they are.
//!
//! **Version 1**, in segments of version 1, can be read:
//! ```text
//!      0      4  "HSwF"
//!      4      4  length of the payload
//!      8      4  CRC-32 of bytes 12 to the end of the payload
//!     12     28  as from 24 to 52 above
//!     40         payload
//! ```
//! Anyone can make such a frame. Of those found behind damage in such a segment, none that grants rights is accepted
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
/// The end of the tag.
const TAGGED: usize = 16;
/// Offset of the fields that both versions have: in version 2, and in version 1.
const HEAD: usize = 24;
const HEAD_1: usize = 12;
/// The largest payload: a posted body of 64 MiB and what surrounds it.
const MAX_PAYLOAD: usize = 80 << 20;
/// How many bytes of candidate frames are read for each byte searched, in version 1.
const MAX_SCANNED: usize = 8;

/// Why there is no frame at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoFrame {
    /// The bytes end before the frame does; this many are needed.
    Short(usize),
    /// It is not a frame, or a checksum does not match.
    Bad,
}

/// A random value in the header of a segment that binds frames to it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Salt([u8; Self::BYTES]);

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[salt]")
    }
}

/// How the frames of a segment are verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binding {
    /// Version 1: by a checksum that anyone can compute.
    Plain,
    /// Version 2: by the segment's salt and the frame's offset.
    Salted(Salt),
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) head: Head,
    /// The whole length of the frame.
    pub(crate) length: usize,
    /// The offset of its group commit; `None` in version 1, which does not record it.
    pub(crate) commit: Option<u32>,
}

/// Appends a frame to `out`. It is valid only after [`Salt::bind`].
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

    /// The bytes, as in the file's header.
    pub(crate) const fn bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// Binds the frame at the start of `bytes`, newly encoded or copied from elsewhere, to `offset` of this segment and
    /// to the group commit that begins at `commit`. Returns its length, or `None` if there is no frame.
    pub(crate) fn bind(&self, bytes: &mut [u8], offset: u32, commit: u32) -> Option<usize> {
        let frame = bytes.get_mut(..HEADER).filter(|frame| frame[..4] == MAGIC)?;
        frame[20..24].copy_from_slice(&commit.to_le_bytes());
        let tag = self.tag(frame, offset);
        frame[8..TAGGED].copy_from_slice(&tag.to_le_bytes());
        let length = HEADER + u32::from_le_bytes(part(frame, 4)) as usize;
        (length <= bytes.len()).then_some(length)
    }

    fn tag(&self, header: &[u8], offset: u32) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(&u64::from(offset).to_le_bytes());
        hasher.write(&header[..8]);
        hasher.write(&header[TAGGED..HEADER]);
        hasher.finish()
    }
}

impl Binding {
    /// The number of bytes ahead of a payload.
    pub(crate) const fn header(self) -> usize {
        match self {
            Self::Plain => HEADER_1,
            Self::Salted(_) => HEADER,
        }
    }

    /// The header of the frame at the start of `bytes`, which are at `offset` of the file. It is verified in version 2,
    /// but not in version 1.
    pub(crate) fn peek(self, bytes: &[u8], offset: u32) -> Result<FrameHeader, NoFrame> {
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
            Self::Salted(salt) if salt.tag(header, offset) != u64::from_le_bytes(part(header, 8)) => {
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
        Ok(FrameHeader { head, length: self.header() + length, commit })
    }

    /// The frame at the start of `bytes`, which are at `offset` of the file: header, payload, and total length.
    pub(crate) fn decode(self, bytes: &[u8], offset: u32) -> Result<(Head, &[u8], usize), NoFrame> {
        let FrameHeader { head, length, .. } = self.peek(bytes, offset)?;
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

    /// The first offset in `bytes`, which are at `offset` of the file, of a frame for which `wanted` holds. In version 2
    /// its payload may be damaged; in version 1 it is intact, but may be forged.
    pub(crate) fn find(self, bytes: &[u8], offset: u32, wanted: impl Fn(FrameHeader) -> bool) -> Option<usize> {
        let (mut from, mut left) = (0, bytes.len().saturating_mul(MAX_SCANNED));
        while let Some(at) = bytes[from..].iter().position(|byte| *byte == MAGIC[0]) {
            let here = from + at;
            let here_in_file = offset.saturating_add(u32::try_from(here).unwrap_or(u32::MAX));
            from = here + 1;
            let Ok(header) = self.peek(&bytes[here..], here_in_file) else { continue };
            if !wanted(header) {
                continue;
            }
            if self == Self::Plain {
                // Nested forged frames must not keep a start from ending.
                left = left.checked_sub(header.length.min(bytes.len() - here))?;
                if self.decode(&bytes[here..], here_in_file).is_err() {
                    continue;
                }
            }
            return Some(here);
        }
        None
    }
}

/// The length of these last bytes of a segment without the preallocated zeros at their end.
pub(crate) fn written(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

fn part<const N: usize>(bytes: &[u8], from: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[from..from + N]);
    part
}

/// For tests: encodes a frame of version 1.
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

    fn sample(batch: u64, offset: u32) -> Vec<u8> {
        let mut out = Vec::new();
        let head = Head { version: 1, kind: 2, continues: false, batch, id: 77 };
        encode(&mut out, head, |out| out.extend_from_slice(b"hello"));
        assert_eq!(SALT.bind(&mut out, offset, offset), Some(out.len()));
        out
    }

    fn sample_1(batch: u64) -> Vec<u8> {
        let mut out = Vec::new();
        encode_1(&mut out, Head { version: 1, kind: 2, continues: false, batch, id: 77 }, b"hello");
        out
    }

    #[test]
    fn a_frame_round_trips_and_every_flipped_bit_is_detected() {
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
    fn a_frame_is_valid_only_in_its_file_and_at_its_offset() {
        let frame = sample(9, 1024);
        let (own, other) = (Binding::Salted(SALT), Binding::Salted(Salt::new([8; 16])));
        assert!(own.decode(&frame, 1024).is_ok());
        for (binding, offset) in [(own, 1023), (own, 1025), (own, 0), (other, 1024), (Binding::Plain, 1024)] {
            assert_eq!(binding.decode(&frame, offset), Err(NoFrame::Bad), "{binding:?} at {offset}");
        }
        assert!(own.decode(&sample_1(9), 1024).is_err(), "a frame of version 1");
        assert!(!format!("{own:?}").contains('9'), "Debug output shows the salt");
    }

    #[test]
    fn a_later_frame_is_found_behind_garbage() {
        let rubbish = b"HSwF rubbish HSw2 HSw".to_vec();
        let offset = rubbish.len();
        for (binding, frame) in
            [(Binding::Salted(SALT), sample(3, 100 + u32::try_from(offset).unwrap())), (Binding::Plain, sample_1(3))]
        {
            let bytes = [rubbish.clone(), frame].concat();
            assert_eq!(binding.find(&bytes, 100, |header| header.head.batch == 3), Some(offset));
            assert_eq!(binding.find(&bytes, 100, |header| header.head.batch > 3), None);
        }
    }

    #[test]
    fn the_search_for_a_frame_ends_soon_on_hostile_bytes() {
        // Each begins a frame that extends to the end: a checksum for each would take hours.
        let bytes: Vec<u8> = b"HSwF\xff\xff\x1f\x00".iter().copied().cycle().take(4 << 20).collect();
        assert_eq!(Binding::Plain.find(&bytes, 32, |_| true), None);
        let bytes: Vec<u8> = b"HSw2\xff\xff\x1f\x00".iter().copied().cycle().take(4 << 20).collect();
        assert_eq!(Binding::Salted(SALT).find(&bytes, 1024, |_| true), None);
    }
}
