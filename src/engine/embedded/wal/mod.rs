//! The write-ahead log: all records in order, in append-only segments with a checksum on every frame. It is
//! authoritative: the state database can be rebuilt from it, starting at the last checkpoint.
//!
//! Ids ascend through the whole WAL, so a record is found by its id without an index key of its own.

mod ascending;
mod compaction;
mod compress;
mod copy;
mod first;
mod header;
mod index;
mod indexed;
mod log;
mod names;
mod open;
mod packed;
pub(crate) mod recovery;
mod search;
mod segment;
pub(crate) mod stats;
mod unpacked;
mod writer;

pub(crate) use self::compaction::{NotCompacted, Throttle};
pub(crate) use self::copy::{Copying, Part};
pub(crate) use self::first::{first, note_first, numbers_in};
pub(crate) use self::header::{HEADER, Header};
pub(crate) use self::index::{Growing, IndexEntry, end_in, entry_of, is_outdated, to_bytes as index_bytes};
pub(crate) use self::log::{Redaction, Wal};
pub(crate) use self::open::{create, open};
#[cfg(test)]
pub(crate) use self::packed::pack_file;
pub(crate) use self::packed::{Packing, Shape, Source};
pub(crate) use self::segment::path_of as file_path;
pub(crate) use self::writer::Writer;

#[cfg(test)]
mod tests;
