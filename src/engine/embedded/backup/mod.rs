//! A backup of a running store: one stream of sections, taken without interrupting anything.
//!
//! # Why it is consistent
//!
//! The WAL is authoritative, and the state database a view of it. A backup has a copy of the state that may be smeared
//! over the time in which it was read, and the whole WAL up to a later moment. The restored store does what every start
//! does: it replays the WAL from the position of the state. In order:
//!
//! 1. `A0`, the checkpoint position, is read from sled. A checkpoint writes it in its last batch, so sled has the
//!    effect of every transaction up to `A0`.
//! 2. sled's pairs are read in pages while checkpoints continue: a pair is as of `A0`, or as left by a later
//!    transaction.
//! 3. The segments are copied, each up to its synced end, at a moment `E` after the last pair was read. A checkpoint
//!    only has effects of synced transactions, so `E` is not before any transaction whose effect may have been read in
//!    2.
//!
//! The backup records `A0`, not the position that sled has by then. So the restored store applies every transaction in
//! (`A0`, `E`] to the smeared state. A key that no transaction in (`A0`, `E`] touches is as of `A0`, which is right.
//! For other keys the last transaction decides, provided that its change does not depend on the previous value. That
//! holds [during replay](crate::engine::embedded::kv::Kv::is_live): a transaction then writes and removes all of its
//! keys, whatever was there (a live store removes a dead letter only where there is one). Apparent exceptions:
//!
//! - A record in several pieces (a long subscription) may be read half old and half new. Such a record is skipped until
//!   the WAL, which has the transaction that changed it, is replayed; only then must it be readable.
//! - The TTL expiry of producers' ids writes no record. An expired id may be restored by replay; its time tells that
//!   its window is over, and is checked at every look-up.
//! - `SubscriptionRemoved` removes all keys of its subscription, which has no outstanding deliveries by then; those
//!   read in 2 are removed again by the replay.
//! - Counts are not stored in sled: every start counts again.
//! - Deliveries accepted after 2 began are left out of the pairs: their transactions are behind `A0`. Otherwise reading
//!   would chase new deliveries, and would never end on a busy store.
//! - Segments that retention drops or rewrites meanwhile are held open from before 2, so none from `A0` on can be
//!   missing, and none of them is written to any more.
//!
//! A backup does not contain what was accepted after `E`. What was delivered after `E` is delivered again by the
//! restored store, as after a crash.
//!
//! # Cost
//!
//! Reads only. The consumer of the pieces sets the pace; a piece has at most about 256 KiB, unless one event is larger.
//! One backup runs at a time.

pub(crate) mod container;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::core::id::SubscriptionNumber;
use crate::core::time::Timestamp;
use crate::engine::embedded::format::FORMAT_VERSION;
use crate::engine::embedded::kv::Kv;
use crate::engine::embedded::kv::stored_key::{POSITION, key_of, stored};
use crate::engine::embedded::marker;
use crate::engine::embedded::position::CheckpointPosition;
use crate::engine::embedded::wal::{Copying, Part, Wal};
use crate::model::error::StoreError;
use crate::model::key::{Key, ValueKind};
use crate::model::keys;
use crate::model::record;

use self::container::{Kind, Writer};

/// The file with the admin token, which is part of a backup.
pub(crate) const TOKEN: &str = "admin.token";
/// How many bytes of pairs are read at once.
const PAGE_BYTES: usize = 256 * 1024;

/// The content of the first section.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct About {
    /// When the backup began, in milliseconds since 1970.
    pub(crate) taken_at: u64,
    /// The version of the program that took it.
    pub(crate) hookswitch: String,
    /// The format of the data directory.
    pub(crate) format: u32,
    /// The fingerprint of the key that secrets are sealed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sealed: Option<String>,
}

/// The content of the last section.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Totals {
    /// Pairs of the state.
    pub(crate) pairs: u64,
    /// Segments.
    pub(crate) files: u64,
    /// Bytes of frames, and of compressed blocks.
    pub(crate) journal_bytes: u64,
    /// Accepted events.
    pub(crate) events: u64,
    /// Log entries.
    pub(crate) entries: u64,
}

/// The next stage of a backup.
enum Stage {
    Begin,
    /// Pairs behind this key.
    Pairs(Option<Vec<u8>>),
    Wal(Copying),
    Done,
}

/// Ensures that one backup runs at a time.
struct Permit(Arc<AtomicBool>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// A backup in progress.
pub(crate) struct Backup {
    kv: Arc<Kv>,
    wal: Arc<Wal>,
    dir: PathBuf,
    about: About,
    position: CheckpointPosition,
    /// The segments at the beginning, held so that none is missing later.
    before: Copying,
    /// The next sequence number of each subscription at the beginning.
    next_sequences: BTreeMap<SubscriptionNumber, u64>,
    stage: Stage,
    writer: Writer,
    totals: Totals,
    _permit: Permit,
}

impl Backup {
    /// Begins a backup; `None` if one is in progress according to `in_progress`.
    pub(crate) fn begin(
        kv: Arc<Kv>,
        wal: Arc<Wal>,
        dir: PathBuf,
        in_progress: &Arc<AtomicBool>,
        now: Timestamp,
    ) -> Result<Option<Self>, StoreError> {
        if in_progress.swap(true, Ordering::AcqRel) {
            return Ok(None);
        }
        let permit = Permit(in_progress.clone());
        let before = wal.copying();
        let position =
            kv.applied()?.ok_or_else(|| StoreError::corrupt_state("does not record its checkpoint position"))?;
        let next_sequences = next_sequences(&kv)?;
        let about = About {
            taken_at: now.millis(),
            hookswitch: env!("CARGO_PKG_VERSION").to_owned(),
            format: FORMAT_VERSION,
            sealed: marker::marker(&dir)?.map(|key| key.to_string()),
        };
        Ok(Some(Self {
            kv,
            wal,
            dir,
            about,
            position,
            before,
            next_sequences,
            stage: Stage::Begin,
            writer: Writer::default(),
            totals: Totals::default(),
            _permit: permit,
        }))
    }

    fn advance(&mut self, stage: Stage) -> Result<Vec<u8>, StoreError> {
        let mut out = Vec::new();
        self.stage = match stage {
            Stage::Begin => self.write_beginning(&mut out)?,
            Stage::Pairs(after) => self.write_pairs(&mut out, after.as_deref())?,
            Stage::Wal(copying) => self.write_frames(&mut out, copying)?,
            Stage::Done => Stage::Done,
        };
        Ok(out)
    }

    fn write_beginning(&mut self, out: &mut Vec<u8>) -> Result<Stage, StoreError> {
        out.extend(self.writer.begin());
        self.writer.section(out, Kind::About, &json(&self.about)?);
        let token = self.dir.join(TOKEN);
        match std::fs::read(&token) {
            Ok(text) => self.writer.section(out, Kind::Token, &text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io(&token, "cannot be read", &error)),
        }
        let mut payload = Vec::new();
        put_pair(&mut payload, POSITION, &record::encode(&self.position));
        self.writer.section(out, Kind::Pairs, &payload);
        Ok(Stage::Pairs(None))
    }

    fn write_pairs(&mut self, out: &mut Vec<u8>, after: Option<&[u8]>) -> Result<Stage, StoreError> {
        let page = self.kv.stored(after, PAGE_BYTES)?;
        let Some((last, _)) = page.last() else {
            let copying = self.wal.copying().with_files_of(&self.before, self.position.segment);
            return Ok(Stage::Wal(copying));
        };
        let mut payload = Vec::new();
        let mut last = last.clone();
        for (key, value) in page.iter().filter(|(key, _)| key != POSITION) {
            if let Some(behind) = self.end_of_new_deliveries(key) {
                last = behind;
                break;
            }
            put_pair(&mut payload, key, value);
            self.totals.pairs += 1;
        }
        self.writer.section(out, Kind::Pairs, &payload);
        Ok(Stage::Pairs(Some(last)))
    }

    /// If `key` belongs to a delivery that was accepted after the beginning: the last key of such deliveries.
    fn end_of_new_deliveries(&self, key: &[u8]) -> Option<Vec<u8>> {
        let key = key_of(key).filter(|key| [ValueKind::Owed, ValueKind::Dead].contains(&key.kind()))?;
        let number = keys::number_in(&key)?;
        let sequence = u64::from_be_bytes(key.rest().get(4..)?.try_into().ok()?);
        let next = self.next_sequences.get(&number).copied().unwrap_or(1);
        (sequence >= next).then(|| stored(&keys::sequence(key.kind(), number, u64::MAX)))
    }

    fn write_frames(&mut self, out: &mut Vec<u8>, mut copying: Copying) -> Result<Stage, StoreError> {
        match copying.next()? {
            Some(Part::File(number, header)) => {
                let payload = [&number.to_le_bytes(), header.as_slice()].concat();
                self.writer.section(out, Kind::File, &payload);
                self.totals.files += 1;
            }
            Some(Part::Frames { bytes, events, entries }) => {
                self.write_part(out, Kind::Frames, &bytes, events, entries);
            }
            Some(Part::Block { bytes, events, entries }) => {
                self.write_part(out, Kind::Block, &bytes, events, entries);
            }
            None => {
                self.writer.section(out, Kind::End, &json(&self.totals)?);
                return Ok(Stage::Done);
            }
        }
        Ok(Stage::Wal(copying))
    }

    fn write_part(&mut self, out: &mut Vec<u8>, kind: Kind, bytes: &[u8], events: u64, entries: u64) {
        self.writer.section(out, kind, bytes);
        self.totals.journal_bytes += bytes.len() as u64;
        self.totals.events += events;
        self.totals.entries += entries;
    }
}

impl Iterator for Backup {
    type Item = Vec<u8>;

    /// The next piece, which may be empty; `None` behind the last. If the store cannot be read, the piece marks the
    /// backup as incomplete.
    fn next(&mut self) -> Option<Vec<u8>> {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Done => None,
            stage => Some(self.advance(stage).unwrap_or_else(|error| {
                tracing::error!("the backup was not completed: {error}");
                let mut out = Vec::new();
                self.writer.section(&mut out, Kind::Broken, error.to_string().as_bytes());
                out
            })),
        }
    }
}

/// The next sequence number of each subscription, from sled.
fn next_sequences(kv: &Kv) -> Result<BTreeMap<SubscriptionNumber, u64>, StoreError> {
    let mut found = BTreeMap::new();
    let mut after = stored(&Key::all(ValueKind::Sequence));
    loop {
        let page = kv.stored(Some(&after), PAGE_BYTES)?;
        let Some((last, _)) = page.last() else { return Ok(found) };
        after.clone_from(last);
        for (key, value) in page {
            let Some(key) = key_of(&key).filter(|key| key.kind() == ValueKind::Sequence) else { return Ok(found) };
            let next = value.try_into().map(u64::from_be_bytes).ok();
            found.extend(keys::number_in(&key).zip(next));
        }
    }
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let failed = |error: serde_json::Error| StoreError::io(Path::new("the backup"), "cannot be encoded", &error.into());
    serde_json::to_vec(value).map_err(failed)
}

fn put_pair(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    for part in [key, value] {
        out.extend_from_slice(&crate::model::error::u32_of(part.len()).to_le_bytes());
        out.extend_from_slice(part);
    }
}

/// The pairs of a section; `None` if it is malformed.
pub(crate) fn pairs_in(mut payload: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    fn part<'p>(payload: &mut &'p [u8]) -> Option<&'p [u8]> {
        let (length, rest) = payload.split_first_chunk::<4>()?;
        let (part, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        *payload = rest;
        Some(part)
    }
    let mut pairs = Vec::new();
    while !payload.is_empty() {
        pairs.push((part(&mut payload)?, part(&mut payload)?));
    }
    Some(pairs)
}
