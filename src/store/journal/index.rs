//! The index of one journal file: where ids begin, and which frames speak of a call, a phone
//! number, a delivery, an event or a subscription.
//!
//! Everything in it can be made again from the journal file. While the file is written the index is
//! in memory; when the file is full it is written beside it (`NNNNNN.idx`), 12 bytes a key.
//!
//! ```text
//! "HSwI" | version u32 | marks u32 | keys u32 | outline: end u32, logged u32, last logged u128, last event u128,
//!        last message u128
//!        | marks: id u128, offset u32 | keys: hash u64, offset u32 | CRC-32
//! ```
//! Version 2, which is read too, has no last message: there were none. The outline says to which file it belongs: `end` is that file's length. Retention may have written
//! the file again since; an index with another end is not read.

use super::kind;

/// How far apart marks are: a look-up by id reads about this many bytes.
const MARK_EVERY: u32 = 8 * 1024;
const MAGIC: [u8; 4] = *b"HSwI";
const VERSION: u32 = 3;
const HEADER: usize = 16 + 56;
/// The same in version 2.
const HEADER_2: usize = 16 + 40;
const MARK: usize = 20;
const KEY: usize = 12;

/// What a key of the index says a frame speaks of.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) enum Key<'a> {
    /// A call, by its id.
    Call(&'a str),
    /// A lead's phone number.
    Phone(&'a str),
    /// A delivery, by the bits of its id.
    Delivery(u128),
    /// A subscription, by the bits of its id.
    Subscription(u128),
    /// That a subscription, by its number, is owed an event.
    Owed(u32),
    /// An SMS thread, by the bits of its id.
    Thread(u128),
}

impl Key<'_> {
    /// FNV-1a over a letter for the kind and the value: stable, for it stands on the disk. Two keys
    /// may share a hash, so whoever looks one up compares what was found.
    pub(in crate::store) fn hash(self) -> u64 {
        let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        let over = |kind: u8, bytes: &[u8]| bytes.iter().fold(mix(0xcbf2_9ce4_8422_2325, &kind), mix);
        match self {
            Self::Call(text) => over(b'c', text.as_bytes()),
            Self::Phone(text) => over(b'p', text.as_bytes()),
            Self::Delivery(bits) => over(b'd', &bits.to_le_bytes()),
            Self::Subscription(bits) => over(b's', &bits.to_le_bytes()),
            Self::Owed(number) => over(b'o', &number.to_le_bytes()),
            Self::Thread(bits) => over(b't', &bits.to_le_bytes()),
        }
    }
}

/// A frame, as the index takes note of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Note {
    /// Where it begins.
    pub(in crate::store) offset: u32,
    /// Its whole length.
    pub(in crate::store) length: u32,
    /// The kind of its record.
    pub(in crate::store) kind: u8,
    /// The id in it; 0 if it has none.
    pub(in crate::store) id: u128,
    /// The hashes of its [keys](Key).
    pub(in crate::store) keys: Vec<u64>,
}

/// What there is in a journal file, in short.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Outline {
    /// The first byte behind its last frame; 0 if it has none.
    pub(in crate::store) end: u32,
    /// How many bytes of it are entries of the log.
    pub(in crate::store) logged: u32,
    /// The id of the last of them; 0 if there is none.
    pub(in crate::store) last_logged: u128,
    /// The id of the last frame that is an event, or goes when its event goes; 0 if there is none.
    pub(in crate::store) last_event: u128,
    /// The id of the last message; 0 if there is none.
    pub(in crate::store) last_message: u128,
}

/// The index of one journal file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(in crate::store) struct Index {
    outline: Outline,
    /// Ids and where their frames begin, ascending, one about every [`MARK_EVERY`] bytes.
    marks: Vec<(u128, u32)>,
    /// Hashes of keys and where the frames begin that speak of them.
    keys: Vec<(u64, u32)>,
    sorted: bool,
}

impl Index {
    /// Takes note of a frame behind all before.
    pub(in crate::store) fn note(&mut self, note: &Note) {
        let due = self.marks.last().is_none_or(|(_, last)| note.offset - last >= MARK_EVERY);
        if note.id != 0 && due {
            self.marks.push((note.id, note.offset));
        }
        self.keys.extend(note.keys.iter().map(|hash| (*hash, note.offset)));
        self.sorted = false;
        self.outline.end = note.offset + note.length;
        match note.kind {
            kind::LOGGED => {
                self.outline.logged += note.length;
                self.outline.last_logged = note.id;
            }
            kind::ACCEPTED | kind::ENDED | kind::FAN_OUT => self.outline.last_event = note.id,
            kind::MESSAGE | kind::MEDIA_MESSAGE => self.outline.last_message = note.id,
            _ => {}
        }
    }

    /// What there is in the file.
    pub(in crate::store) const fn outline(&self) -> Outline {
        self.outline
    }

    /// Where frames begin that may speak of the key with this hash, ascending.
    pub(super) fn candidates(&self, hash: u64) -> Vec<u32> {
        let matching =
            |keys: &[(u64, u32)]| keys.iter().filter(|(h, _)| *h == hash).map(|(_, offset)| *offset).collect();
        if !self.sorted {
            return matching(&self.keys);
        }
        let from = self.keys.partition_point(|(h, _)| *h < hash);
        let count = self.keys[from..].partition_point(|(h, _)| *h == hash);
        matching(&self.keys[from..from + count])
    }

    /// The place from which a frame with this id is at most about [`MARK_EVERY`] bytes away.
    pub(super) fn near(&self, id: u128) -> Option<u32> {
        let behind = self.marks.partition_point(|(mark, _)| *mark <= id);
        behind.checked_sub(1).map(|at| self.marks[at].1)
    }

    /// The places of marks from 0 up to and without `end`, ascending.
    pub(super) fn places(&self, end: u32) -> Vec<u32> {
        self.marks.iter().map(|(_, offset)| *offset).take_while(|offset| *offset < end).collect()
    }

    /// Sorts the keys, for files that are full.
    pub(in crate::store) fn sort(&mut self) {
        self.keys.sort_unstable();
        self.sorted = true;
    }

    /// As it stands in a file.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        let mut out = Vec::with_capacity(HEADER + self.marks.len() * MARK + self.keys.len() * KEY + 4);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&count(self.marks.len()));
        out.extend_from_slice(&count(self.keys.len()));
        let Outline { end, logged, last_logged, last_event, last_message } = self.outline;
        out.extend_from_slice(&end.to_le_bytes());
        out.extend_from_slice(&logged.to_le_bytes());
        out.extend_from_slice(&last_logged.to_le_bytes());
        out.extend_from_slice(&last_event.to_le_bytes());
        out.extend_from_slice(&last_message.to_le_bytes());
        for (id, offset) in &self.marks {
            out.extend_from_slice(&id.to_le_bytes());
            out.extend_from_slice(&offset.to_le_bytes());
        }
        for (hash, offset) in &self.keys {
            out.extend_from_slice(&hash.to_le_bytes());
            out.extend_from_slice(&offset.to_le_bytes());
        }
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        out
    }

    /// Reads a sorted index; `None` if the bytes are damaged or of another version.
    pub(in crate::store) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if body.len() < HEADER_2 || body[..4] != MAGIC || crc32fast::hash(body) != u32::from_le_bytes(*crc) {
            return None;
        }
        let number = |at: usize| body.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
        let header = match number(4)? {
            VERSION => HEADER,
            2 => HEADER_2,
            _ => return None,
        };
        let (marks, keys) = (number(8)? as usize, number(12)? as usize);
        let id = |at: usize| body.get(at..at + 16)?.try_into().ok().map(u128::from_le_bytes);
        let last_message = if header == HEADER { id(56)? } else { 0 };
        let (last_logged, last_event) = (id(24)?, id(40)?);
        let outline = Outline { end: number(16)?, logged: number(20)?, last_logged, last_event, last_message };
        let (mark_bytes, key_bytes) = body.get(header..)?.split_at_checked(marks * MARK)?;
        if key_bytes.len() != keys * KEY {
            return None;
        }
        let mark = |part: &[u8]| {
            Some((u128::from_le_bytes(part[..16].try_into().ok()?), u32::from_le_bytes(part[16..].try_into().ok()?)))
        };
        let key = |part: &[u8]| {
            Some((u64::from_le_bytes(part[..8].try_into().ok()?), u32::from_le_bytes(part[8..].try_into().ok()?)))
        };
        Some(Self {
            outline,
            marks: mark_bytes.chunks_exact(MARK).map(mark).collect::<Option<_>>()?,
            keys: key_bytes.chunks_exact(KEY).map(key).collect::<Option<_>>()?,
            sorted: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_before_and_after_sorting_and_from_bytes() {
        let mut index = Index::default();
        for n in 0..1000u32 {
            let call = Key::Call(if n % 10 == 0 { "a" } else { "b" }).hash();
            let kind = if n % 2 == 0 { kind::LOGGED } else { kind::ACCEPTED };
            index.note(&Note { offset: 32 + n * 1000, length: 1000, kind, id: u128::from(n) + 1, keys: vec![call] });
        }
        let wanted: Vec<u32> = (0..100).map(|n| 32 + n * 10_000).collect();
        assert_eq!(index.candidates(Key::Call("a").hash()), wanted);
        index.sort();
        assert_eq!(index.candidates(Key::Call("a").hash()), wanted);
        assert!(index.candidates(Key::Phone("a").hash()).is_empty());
        let read = Index::from_bytes(&index.to_bytes()).unwrap();
        assert_eq!(read, index);
        let outline = Outline { end: 1_000_032, logged: 500_000, last_logged: 999, last_event: 1000, last_message: 0 };
        assert_eq!(read.outline(), outline);
        assert!(read.near(500).is_some_and(|at| at <= 32 + 499 * 1000 && at + 2 * MARK_EVERY > 32 + 499 * 1000));
        assert_eq!(read.near(0), None);
    }

    #[test]
    fn a_damaged_index_is_not_read() {
        let mut index = Index::default();
        index.note(&Note { offset: 32, length: 50, kind: kind::LOGGED, id: 7, keys: vec![1, 2] });
        index.sort();
        let bytes = index.to_bytes();
        for at in 0..bytes.len() {
            let mut bent = bytes.clone();
            bent[at] ^= 0x10;
            assert_eq!(Index::from_bytes(&bent), None, "byte {at}");
            assert_eq!(Index::from_bytes(&bytes[..at]), None, "cut at {at}");
        }
    }
}
