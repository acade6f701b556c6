//! The backup file: sections with checksums, and an end section that proves completeness.
//!
//! ```text
//! "HOOKBKUP" | version u32 | CRC-32 of these 12 bytes u32
//! then sections:
//!   kind u8 | 0 u8 u8 u8 | length u32 | CRC-32 u32 | payload
//! ```
//! A section's checksum covers its position in the file (u64), its kind, its length and its payload, so that a missing,
//! duplicated or moved section is detected as well as a flipped bit. The last section is [`Kind::End`] with totals. All
//! numbers are little-endian.
//!
//! Knows bytes only: neither the contents of a store nor the destination of the file.

use std::fmt;
use std::io::{self, Read};

const MAGIC: [u8; 8] = *b"HOOKBKUP";
const VERSION: u32 = 1;
/// Bytes ahead of the first section.
const FILE_HEADER: usize = 16;
/// Bytes ahead of a section's payload.
const HEADER: usize = 12;
/// The longest payload: one frame of the WAL, and some margin.
const MAX_PAYLOAD: u32 = 96 << 20;

/// The kind of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// JSON: the metadata of the backup.
    About = 1,
    /// The file `admin.token`.
    Token = 2,
    /// Pairs of the state database.
    Pairs = 3,
    /// A WAL segment begins: its number and its header.
    File = 4,
    /// Whole frames of the current segment.
    Frames = 5,
    /// The next block of the current, compressed segment.
    Block = 7,
    /// The backup ends here, incomplete; the text says why.
    Broken = 6,
    /// JSON: totals. Nothing follows.
    End = 9,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        let of_files = [Self::File, Self::Frames, Self::Block];
        let mut all = [Self::About, Self::Token, Self::Pairs, Self::Broken, Self::End].into_iter().chain(of_files);
        all.find(|kind| *kind as u8 == byte)
    }
}

/// An error in a backup file, and its byte.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) byte: u64,
    pub(crate) what: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (byte {})", self.what, self.byte)
    }
}

/// Encodes sections in sequence.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    position: u64,
}

impl Writer {
    /// The beginning of the file.
    pub(crate) fn begin(&mut self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        self.position = out.len() as u64;
        out
    }

    /// Appends a section to `out`.
    pub(crate) fn section(&mut self, out: &mut Vec<u8>, kind: Kind, payload: &[u8]) {
        let mut header = [0; HEADER];
        header[0] = kind as u8;
        header[4..8].copy_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
        let sum = checksum(self.position, &header, payload);
        header[8..12].copy_from_slice(&sum.to_le_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(payload);
        self.position += (HEADER + payload.len()) as u64;
    }
}

fn checksum(position: u64, header: &[u8; HEADER], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&position.to_le_bytes());
    hasher.update(&header[..8]);
    hasher.update(payload);
    hasher.finalize()
}

/// Reads and verifies sections.
pub(crate) struct Reader<R> {
    from: R,
    position: u64,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the beginning of a file.
    pub(crate) fn new(mut from: R) -> Result<Self, Unreadable> {
        let mut header = [0; FILE_HEADER];
        let read = fill(&mut from, &mut header, 0)?;
        let wrong = |what: &str| Unreadable { byte: 0, what: what.to_owned() };
        if read < FILE_HEADER || header[..8] != MAGIC {
            return Err(wrong("it is not a backup of hookswitch"));
        }
        if header[12..] != crc32fast::hash(&header[..12]).to_le_bytes() {
            return Err(wrong("its beginning is damaged"));
        }
        if header[8..12] != VERSION.to_le_bytes() {
            return Err(wrong("it was taken by a newer hookswitch: use that newer version"));
        }
        Ok(Self { from, position: FILE_HEADER as u64, ended: false })
    }

    /// The next section; `None` behind the last. A file without an end section is an error.
    pub(crate) fn next(&mut self) -> Result<Option<(Kind, Vec<u8>)>, Unreadable> {
        let byte = self.position;
        let wrong = |what: &str| Unreadable { byte, what: what.to_owned() };
        let mut header = [0; HEADER];
        let read = fill(&mut self.from, &mut header, byte)?;
        if self.ended {
            return if read == 0 { Ok(None) } else { Err(wrong("something follows its end")) };
        }
        if read < HEADER {
            return Err(wrong("it is cut short: its end is missing"));
        }
        let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        let kind = Kind::of(header[0]).filter(|_| length <= MAX_PAYLOAD && header[1..4] == [0; 3]);
        let kind = kind.ok_or_else(|| wrong("it is damaged"))?;
        let mut payload = Vec::new();
        let taken = (&mut self.from).take(u64::from(length)).read_to_end(&mut payload);
        if taken.map_err(|error| unread(byte, &error))? < length as usize {
            return Err(wrong("it is cut short: its end is missing"));
        }
        if checksum(byte, &header, &payload).to_le_bytes() != header[8..12] {
            return Err(wrong("it is damaged"));
        }
        self.position += HEADER as u64 + u64::from(length);
        self.ended = kind == Kind::End;
        Ok(Some((kind, payload)))
    }

    /// How many bytes were read.
    pub(crate) const fn position(&self) -> u64 {
        self.position
    }
}

/// Reads until `into` is full or the file ends; returns how much was read.
fn fill(from: &mut impl Read, into: &mut [u8], byte: u64) -> Result<usize, Unreadable> {
    let mut read = 0;
    while read < into.len() {
        match from.read(&mut into[read..]) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unread(byte, &error)),
        }
    }
    Ok(read)
}

fn unread(byte: u64, error: &io::Error) -> Unreadable {
    Unreadable { byte, what: format!("it cannot be read: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut writer = Writer::default();
        let mut out = writer.begin();
        writer.section(&mut out, Kind::About, b"{}");
        writer.section(&mut out, Kind::Pairs, b"same");
        writer.section(&mut out, Kind::Pairs, b"same");
        writer.section(&mut out, Kind::End, b"[]");
        assert_eq!(writer.position, out.len() as u64);
        out
    }

    fn read(bytes: &[u8]) -> Result<Vec<(Kind, Vec<u8>)>, Unreadable> {
        let mut reader = Reader::new(bytes)?;
        let mut found = Vec::new();
        while let Some(section) = reader.next()? {
            found.push(section);
        }
        Ok(found)
    }

    #[test]
    fn sections_round_trip_and_every_flipped_bit_and_truncation_is_detected() {
        let bytes = sample();
        let found = read(&bytes).unwrap();
        assert_eq!(
            found.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(),
            [Kind::About, Kind::Pairs, Kind::Pairs, Kind::End]
        );
        for bit in 0..bytes.len() * 8 {
            let mut bent = bytes.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&bent).is_err(), "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert!(read(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(read(&[bytes.as_slice(), b"x"].concat()).is_err(), "something behind the end");
    }

    #[test]
    fn a_missing_or_duplicated_section_is_detected() {
        let bytes = sample();
        let first = FILE_HEADER + HEADER + 2;
        let second = first + HEADER + 4;
        let without = [&bytes[..first], &bytes[second..]].concat();
        let doubled = [&bytes[..second], &bytes[first..]].concat();
        assert!(read(&without).is_err() && read(&doubled).is_err());
    }
}
