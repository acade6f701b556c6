//! Any bytes as a frame of the journal, and as the record in one behind its checksum: read or refused, never a panic,
//! never more memory than the bytes could fill.
#![no_main]

use hookswitch::store::offline;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(length) = offline::frame_length(bytes) {
        assert!(length <= bytes.len());
    }
    if let Some((kind, payload)) = bytes.split_first() {
        offline::is_record(*kind, payload);
    }
});
