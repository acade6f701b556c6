//! The header of a segment: its number, and the salt that [binds](crate::engine::embedded::frame) frames to it.
//!
//! ```text
//! offset  bytes  what
//!      0      8  "HOOKJRNL"
//!      8      4  version: 2, or 3 for a [compressed](crate::engine::embedded::wal::packed) segment
//!     12      4  number of the segment
//!     16      8  time of creation, milliseconds since 1970
//!     24      4  CRC-32 of bytes 0 to 24
//!     28      4  0
//!     32     16  salt: random, drawn for this file alone
//!     48      4  CRC-32 of bytes 0 to 48
//!     52    460  zeros; in version 3 first the length of the uncompressed file (u32), and the CRC-32 of bytes
//!                0 to 56
//!    512    512  a copy in the next sector: without the salt no frame of the file can be verified
//! ```
//! Version 1 ends behind byte 32 and has no salt. All numbers are little-endian. A segment rewritten by retention or an
//! erasure, and one written by a salvage, gets a new salt; a backup contains the segments unchanged, salts included.
//! Salts are stored nowhere else.

use std::io;

use crate::engine::embedded::frame::{Binding, Salt};

/// Bytes ahead of the first frame.
pub(crate) const HEADER: u32 = 1024;
/// The same in version 1.
pub(crate) const HEADER_1: u32 = 32;
const MAGIC: [u8; 8] = *b"HOOKJRNL";
const VERSION: u32 = 2;
const VERSION_PACKED: u32 = 3;
/// The offsets of the two copies, and the length of the fields in each.
const COPIES: [usize; 2] = [0, 512];
const FIELDS: usize = 52;
/// The same for a compressed segment.
const FIELDS_PACKED: usize = 60;

/// The header of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) number: u32,
    /// When the file was created, in milliseconds since 1970.
    pub(crate) created: u64,
    pub(crate) binding: Binding,
    /// Of a compressed segment: the length of the uncompressed file, including this header.
    pub(crate) packed: Option<u32>,
}

impl Header {
    /// The header of a new segment, with a new secret salt.
    ///
    /// # Errors
    /// The kernel has no random bytes.
    pub(crate) fn new(number: u32, created: u64) -> io::Result<(Self, Salt)> {
        let mut salt = [0; Salt::BYTES];
        getrandom::fill(&mut salt).map_err(io::Error::other)?;
        let salt = Salt::new(salt);
        Ok((Self { number, created, binding: Binding::Salted(salt), packed: None }, salt))
    }

    /// The header as in the file.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut copy = MAGIC.to_vec();
        let version = match (self.binding, self.packed) {
            (Binding::Plain, _) => 1,
            (Binding::Salted(_), None) => VERSION,
            (Binding::Salted(_), Some(_)) => VERSION_PACKED,
        };
        copy.extend_from_slice(&version.to_le_bytes());
        copy.extend_from_slice(&self.number.to_le_bytes());
        copy.extend_from_slice(&self.created.to_le_bytes());
        copy.extend_from_slice(&crc32fast::hash(&copy).to_le_bytes());
        copy.extend_from_slice(&[0; 4]);
        let Binding::Salted(salt) = self.binding else { return copy };
        copy.extend_from_slice(salt.bytes());
        copy.extend_from_slice(&crc32fast::hash(&copy).to_le_bytes());
        if let Some(length) = self.packed {
            copy.extend_from_slice(&length.to_le_bytes());
            copy.extend_from_slice(&crc32fast::hash(&copy).to_le_bytes());
        }
        copy.resize(COPIES[1], 0);
        copy.repeat(COPIES.len())
    }

    /// Reads the header at the start of `bytes`; the error says what is wrong with it.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let header = Self::read_at(bytes, 0)?;
        let whole = bytes.get(..header.end() as usize).is_some_and(|there| there == header.to_bytes());
        if whole { Ok(header) } else { Err("has a damaged header") }
    }

    /// Reads a damaged header if possible: one intact copy suffices.
    pub(crate) fn read_lenient(bytes: &[u8]) -> Option<Self> {
        let frames_1 = || bytes.get(HEADER_1 as usize..).is_some_and(|frames| frames.starts_with(b"HSwF"));
        let plain = || Self { number: 0, created: 0, binding: Binding::Plain, packed: None };
        COPIES.iter().find_map(|at| Self::read_at(bytes, *at).ok()).or_else(|| frames_1().then(plain))
    }

    fn read_at(bytes: &[u8], at: usize) -> Result<Self, &'static str> {
        let copy = bytes.get(at..).unwrap_or_default();
        let start = copy.first_chunk::<{ HEADER_1 as usize }>().ok_or("has no header")?;
        if start[..8] != MAGIC || start[24..28] != crc32fast::hash(&start[..24]).to_le_bytes() {
            return Err("has a damaged header");
        }
        let [number, version] =
            [12, 8].map(|at| u32::from_le_bytes([start[at], start[at + 1], start[at + 2], start[at + 3]]));
        let created = u64::from_le_bytes(*start[16..].first_chunk().ok_or("has no header")?);
        let (binding, packed) = match version {
            1 if at == 0 => (Binding::Plain, None),
            VERSION | VERSION_PACKED => salted(copy, version).ok_or("has a damaged header")?,
            newer if newer > VERSION_PACKED => return Err("was written by a newer hookswitch"),
            _ => return Err("has a damaged header"),
        };
        Ok(Self { number, created, binding, packed })
    }

    /// The offset of the first frame.
    pub(crate) fn end(self) -> u32 {
        match self.binding {
            Binding::Plain => HEADER_1,
            Binding::Salted(_) => HEADER,
        }
    }

    /// Whether `bytes` are the complete content of a segment whose creation was interrupted: the header is written
    /// first, and nothing else before it is durable.
    pub(crate) fn is_unfinished(bytes: &[u8]) -> bool {
        if bytes.len() > HEADER as usize || Self::read(bytes).is_ok() {
            return false;
        }
        // Longer than a header of version 1, it must be of version 2: in version 1 a frame would follow.
        bytes.len() <= HEADER_1 as usize
            || COPIES.iter().all(|at| {
                let copy = bytes.get(*at..).unwrap_or_default();
                let copy = &copy[..copy.len().min(COPIES[1])];
                let begins = MAGIC.iter().copied().chain(VERSION.to_le_bytes());
                let is_ours = copy.iter().zip(begins).all(|(there, ours)| *there == ours || *there == 0);
                is_ours && copy.iter().skip(FIELDS).all(|byte| *byte == 0)
            })
    }
}

/// Reads the fields beyond version 1.
fn salted(copy: &[u8], version: u32) -> Option<(Binding, Option<u32>)> {
    let is_sound = |fields: usize| {
        let (fields, sum) = copy.get(..fields)?.split_last_chunk::<4>()?;
        (*sum == crc32fast::hash(fields).to_le_bytes()).then_some(())
    };
    is_sound(FIELDS)?;
    let binding = Binding::Salted(Salt::new(*copy[32..].first_chunk()?));
    if version == VERSION {
        return Some((binding, None));
    }
    is_sound(FIELDS_PACKED)?;
    let length = u32::from_le_bytes(*copy[FIELDS..].first_chunk()?);
    (length > HEADER).then_some((binding, Some(length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_round_trips_and_survives_every_flipped_bit_through_its_copy() {
        let (header, _) = Header::new(7, 99).unwrap();
        for header in [header, Header { packed: Some(70_000), ..header }] {
            let bytes = header.to_bytes();
            assert_eq!((Header::read(&bytes), bytes.len()), (Ok(header), HEADER as usize));
            for bit in 0..bytes.len() * 8 {
                let mut bent = bytes.clone();
                bent[bit / 8] ^= 1 << (bit % 8);
                assert!(Header::read(&bent).is_err(), "bit {bit}");
                assert_eq!(Header::read_lenient(&bent), Some(header), "bit {bit}");
            }
            for sector in [0..512, 512..1024] {
                let mut bent = bytes.clone();
                bent[sector].fill(0);
                assert_eq!((Header::read(&bent).is_err(), Header::read_lenient(&bent)), (true, Some(header)));
            }
        }
        assert_eq!(Header::read_lenient(&vec![0; 2_000]), None);
        assert_ne!(Header::new(7, 99).unwrap().0, header, "each header has a salt of its own");
        let too_short = Header { packed: Some(HEADER), ..header }.to_bytes();
        assert_eq!(Header::read(&too_short), Err("has a damaged header"), "a compressed segment is not empty");
    }

    #[test]
    fn a_header_of_version_1_is_read() {
        let header = Header { number: 3, created: 5, binding: Binding::Plain, packed: None };
        let bytes = header.to_bytes();
        assert_eq!((Header::read(&bytes), bytes.len(), header.end()), (Ok(header), 32, 32));
        let mut newer = Header::new(1, 1).unwrap().0.to_bytes();
        newer[8] = 4;
        let crc = crc32fast::hash(&newer[..24]).to_le_bytes();
        newer[24..28].copy_from_slice(&crc);
        assert_eq!(Header::read(&newer), Err("was written by a newer hookswitch"));
    }

    #[test]
    fn only_an_interrupted_creation_is_unfinished() {
        let bytes = Header::new(4, 1).unwrap().0.to_bytes();
        for length in 0..bytes.len() {
            assert!(Header::is_unfinished(&bytes[..length]), "{length} bytes");
            for zeros in [length, 512.max(length), 1024] {
                let mut cut = bytes[..length].to_vec();
                cut.resize(zeros, 0);
                // The zero bytes of the header may be written or not.
                let whole = cut == bytes;
                assert_eq!(Header::is_unfinished(&cut), !whole, "{length} bytes, then zeros to {zeros}");
            }
        }
        let second = [&[0; 512][..], &bytes[512..]].concat();
        assert!(Header::is_unfinished(&second), "the sectors were written in the other order");
        assert!(!Header::is_unfinished(&bytes), "complete and empty");
        assert!(!Header::is_unfinished(&[&bytes[..], b"HSw2"].concat()[8..]), "longer than a header");
        // A small segment of version 1 with a damaged header was used.
        let mut plain = Header { number: 3, created: 5, binding: Binding::Plain, packed: None }.to_bytes();
        plain[13] ^= 1;
        assert!(Header::is_unfinished(&plain));
        plain.extend_from_slice(b"HSwF and what follows");
        assert!(!Header::is_unfinished(&plain));
    }
}
