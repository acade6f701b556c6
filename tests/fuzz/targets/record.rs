//! Any bytes as a journal file, complete or embedded in one: only frames that were written are read. Also records in
//! frames without their checksum, and a single record. Each is read or refused, without panic, and without more
//! memory than the bytes could fill.
//!
//! Journal files are the seeds, first of all `tests/frozen/v1/data/journal`.
#![no_main]

use hookswitch::store::offline;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // As a file of unknown origin.
    offline::records_in(bytes);
    let frames = if bytes.starts_with(b"HOOKJRNL") { bytes.get(FILE_HEADER..).unwrap_or_default() } else { bytes };
    // In the middle of a file that is damaged around it.
    let written: [(u8, &[u8]); 3] = [(1, b"before"), (2, frames), (3, b"behind")];
    let mut file = offline::journal_file(*b"nobody knows it!", &written);
    let place = file.len() - frames.len() - HEADER - b"behind".len() - HEADER + frames.first().map_or(0, |at| usize::from(*at) % HEADER);
    file[place] ^= 0x10;
    for (kind, payload) in offline::records_in(&file) {
        assert!(written.contains(&(kind, payload.as_slice())), "kind {kind} was read and never written");
    }
    // A changed byte almost never leaves the checksum valid.
    for header in [HEADER, HEADER_1] {
        let mut rest = frames;
        while let Some((kind, payload)) = unchecked(rest, header) {
            offline::is_record(kind, payload);
            rest = &rest[header + payload.len()..];
        }
    }
    if let Some((kind, payload)) = bytes.split_first() {
        offline::is_record(*kind, payload);
    }
});

/// Bytes before the first frame of a journal file of version 1; see `src/store/journal/header.rs`.
const FILE_HEADER: usize = 32;
/// Bytes before a frame's payload, and in version 1; see `src/store/frame.rs`.
const HEADER: usize = 52;
const HEADER_1: usize = 40;

/// Kind and payload of the frame at the beginning of `bytes`, for the version with this many bytes before a payload.
fn unchecked(bytes: &[u8], ahead: usize) -> Option<(u8, &[u8])> {
    let (header, rest) = bytes.strip_prefix(b"HSw")?.split_at_checked(ahead - 3)?;
    let length = u32::from_le_bytes(*header.get(1..)?.first_chunk()?);
    let kind = if ahead == HEADER { header[22] } else { header[10] };
    Some((kind, rest.get(..usize::try_from(length).ok()?)?))
}
