//! Any bytes as a journal: frames behind their checksums, the records in frames of which the checksum is not looked at,
//! and one record alone. Each is read or refused, never a panic, never more memory than the bytes could fill.
//!
//! Files of a journal are seeds, `tests/frozen/v1/data/journal` first of all.
#![no_main]

use hookswitch::store::offline;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Frames begin behind the header of a whole file.
    let bytes = if bytes.starts_with(b"HOOKJRNL") { bytes.get(FILE_HEADER..).unwrap_or_default() } else { bytes };
    let mut rest = bytes;
    while let Some(length) = offline::frame_length(rest) {
        rest = rest.get(length..).expect("a frame is no longer than what it stands in");
    }
    // A byte that is changed hardly ever leaves the checksum right.
    let mut rest = bytes;
    while let Some((kind, payload)) = unchecked(rest) {
        offline::is_record(kind, payload);
        rest = &rest[HEADER + payload.len()..];
    }
    if let Some((kind, payload)) = bytes.split_first() {
        offline::is_record(*kind, payload);
    }
});

/// Bytes ahead of a journal file's first frame; see `src/store/journal/segment.rs`.
const FILE_HEADER: usize = 32;
/// Bytes ahead of a frame's payload; see `src/store/frame.rs`.
const HEADER: usize = 40;

/// Kind and payload of the frame that `bytes` begin with.
fn unchecked(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (header, rest) = bytes.strip_prefix(b"HSwF")?.split_at_checked(HEADER - 4)?;
    let length = u32::from_le_bytes(*header.first_chunk()?);
    Some((header[9], rest.get(..usize::try_from(length).ok()?)?))
}
