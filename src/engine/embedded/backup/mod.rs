//! A backup of a running store: one stream of sections, taken without stopping anything.
//!
//! # Why it is consistent
//!
//! The journal is the truth, and the state database a view of it. A backup has a copy of the state
//! that may be smeared over the time in which it was read, and the whole journal up to a moment after
//! that. The restored store does what every start does: it takes the journal in from where the state
//! says it is. In order:
//!
//! 1. `A0`, how far the journal is taken in, is read from sled. A checkpoint writes it in its last
//!    batch, so sled has the effect of every step up to `A0`.
//! 2. sled's pairs are read in pages. Checkpoints go on meanwhile: a pair is as it was at `A0`, or as
//!    some later step left it.
//! 3. The journal's files are taken, each up to the end of what is synced, at a moment `E` after the
//!    last pair was read. A checkpoint has only effects of steps that are synced, so `E` is not before
//!    any step whose effect may have been read in 2.
//!
//! The backup says `A0`, not what sled says by then. So the restored store applies every step of
//! (`A0`, `E`] to the smeared state. For each key: if no step of (`A0`, `E`] touches it, it is as at
//! `A0`, and that is right. If some do, the last of them decides, provided that its change does not
//! depend on what it finds. It does not, while the store is [being recovered](crate::engine::embedded::kv::Kv::is_live):
//! a step then writes and removes every key it is about, whatever was there (in a live store a dead
//! letter is removed only where there is one). What looks like an exception:
//!
//! - A record in several pieces (a long subscription) may be read half old and half new. Such a
//!   record is passed over until the journal, which has the step that changed it, is taken in; only
//!   then must it be readable.
//! - Producers' ids are swept without a step. One that was swept may come back by a step that is
//!   applied again: its window is over by its time, which is looked at whenever it is found.
//! - `SubscriptionRemoved` removes all keys of its subscription, and nothing is owed to it before that
//!   step; what was read of it in 2 goes again when the step is applied.
//! - Counts are not kept in sled: every start counts anew.
//! - Deliveries that were accepted after 2 began are left out of it: their steps are behind `A0`. Else the
//!   reading would run after what is added meanwhile, and a busy store would never be read to its end.
//! - Files that retention drops or writes again meanwhile are held open from before 2, so none from
//!   `A0` on can be missing, and none of them is written to any more.
//!
//! What is in no backup: whatever was accepted after `E`. What was delivered after `E` will be
//! delivered again by the restored store, as after a crash.
//!
//! # What it costs
//!
//! Reads only. Whoever takes the pieces sets the pace; one is at most about 256 KiB, unless one
//! event is larger. One backup at a time.

pub(crate) mod container;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::core::time::Timestamp;
use crate::engine::embedded::format::FORMAT_VERSION;
use crate::engine::embedded::kv::Kv;
use crate::engine::embedded::marker;
use crate::engine::embedded::wal::{Copying, Part, Wal};
use crate::model::error::StoreError;
use crate::model::keys;
use crate::model::keys::APPLIED;
use crate::model::record;
use crate::model::record::CheckpointPosition;

use self::container::{Kind, Writer};

/// The file with the admin's token, which goes with the store.
pub(crate) const TOKEN: &str = "admin.token";
/// How many bytes of pairs are read at once.
const PAGE_BYTES: usize = 256 * 1024;

/// What the first section says.
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

/// What the last section says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Totals {
    /// Pairs of the state.
    pub(crate) pairs: u64,
    /// Wal files.
    pub(crate) files: u64,
    /// Bytes of frames, and of compressed blocks.
    pub(crate) journal_bytes: u64,
    /// Accepted events.
    pub(crate) events: u64,
    /// Entries of the log.
    pub(crate) entries: u64,
}

/// What is done next.
enum Stage {
    Begin,
    /// The pairs behind this key.
    Pairs(Option<Vec<u8>>),
    Wal(Copying),
    Over,
}

/// The right to take a backup: one at a time.
struct Turn(Arc<AtomicBool>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// A backup that is being taken.
pub(crate) struct Backup {
    state: Arc<Kv>,
    journal: Arc<Wal>,
    dir: PathBuf,
    about: About,
    applied: CheckpointPosition,
    /// The files that there were at the beginning, so that none is missed.
    before: Copying,
    /// The sequence numbers that the subscriptions' next deliveries got after the beginning.
    next_sequences: BTreeMap<u32, u64>,
    stage: Stage,
    writer: Writer,
    totals: Totals,
    _turn: Turn,
}

impl Backup {
    /// Begins a backup; `None` if one is being taken, which `taken` says.
    pub(crate) fn begin(
        state: Arc<Kv>,
        journal: Arc<Wal>,
        dir: PathBuf,
        taken: &Arc<AtomicBool>,
        now: Timestamp,
    ) -> Result<Option<Self>, StoreError> {
        if taken.swap(true, Ordering::AcqRel) {
            return Ok(None);
        }
        let turn = Turn(taken.clone());
        let before = journal.copying();
        let applied = state.applied()?.ok_or_else(|| StoreError::corrupt_state("does not say how far it is"))?;
        let next_sequences = next_sequences(&state)?;
        let about = About {
            taken_at: now.millis(),
            hookswitch: env!("CARGO_PKG_VERSION").to_owned(),
            format: FORMAT_VERSION,
            sealed: marker::marker(&dir)?.map(|key| key.to_string()),
        };
        Ok(Some(Self {
            state,
            journal,
            dir,
            about,
            applied,
            before,
            next_sequences,
            stage: Stage::Begin,
            writer: Writer::default(),
            totals: Totals::default(),
            _turn: turn,
        }))
    }

    fn advance(&mut self, stage: Stage) -> Result<Vec<u8>, StoreError> {
        let mut out = Vec::new();
        self.stage = match stage {
            Stage::Begin => self.write_beginning(&mut out)?,
            Stage::Pairs(after) => self.write_pairs(&mut out, after.as_deref())?,
            Stage::Wal(copying) => self.write_frames(&mut out, copying)?,
            Stage::Over => Stage::Over,
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
        put_pair(&mut payload, APPLIED, &record::encode(&self.applied));
        self.writer.section(out, Kind::Pairs, &payload);
        Ok(Stage::Pairs(None))
    }

    fn write_pairs(&mut self, out: &mut Vec<u8>, after: Option<&[u8]>) -> Result<Stage, StoreError> {
        let page = self.state.stored(after, PAGE_BYTES)?;
        let Some((last, _)) = page.last() else {
            let copying = self.journal.copying().with_files_of(&self.before, self.applied.segment);
            return Ok(Stage::Wal(copying));
        };
        let mut payload = Vec::new();
        let mut last = last.clone();
        for (key, value) in page.iter().filter(|(key, _)| key != APPLIED) {
            if let Some(behind) = self.behind_what_is_new(key) {
                last = behind;
                break;
            }
            put_pair(&mut payload, key, value);
            self.totals.pairs += 1;
        }
        self.writer.section(out, Kind::Pairs, &payload);
        Ok(Stage::Pairs(Some(last)))
    }

    /// If `key` is of a delivery that was accepted after the beginning: the last key of such deliveries.
    fn behind_what_is_new(&self, key: &[u8]) -> Option<Vec<u8>> {
        let prefix = *key.first().filter(|prefix| [keys::OWED, keys::DEAD].contains(prefix))?;
        let number = keys::number_in(key)?;
        let sequence = u64::from_be_bytes(key.get(5..)?.try_into().ok()?);
        let next = self.next_sequences.get(&number).copied().unwrap_or(1);
        (sequence >= next).then(|| [&keys::numbered(prefix, number)[..], &u64::MAX.to_be_bytes()].concat())
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
                return Ok(Stage::Over);
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

    /// The next piece, which may be empty; `None` behind the last. Where something cannot be read, the piece says so, and
    /// whoever reads it knows that the backup is not whole.
    fn next(&mut self) -> Option<Vec<u8>> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Over => None,
            stage => Some(self.advance(stage).unwrap_or_else(|error| {
                tracing::error!("the backup was not completed: {error}");
                let mut out = Vec::new();
                self.writer.section(&mut out, Kind::Broken, error.to_string().as_bytes());
                out
            })),
        }
    }
}

/// The next sequence number of each subscription, as sled has it.
fn next_sequences(state: &Kv) -> Result<BTreeMap<u32, u64>, StoreError> {
    let mut found = BTreeMap::new();
    let mut after = vec![keys::SEQUENCE];
    loop {
        let page = state.stored(Some(&after), PAGE_BYTES)?;
        let Some((last, _)) = page.last() else { return Ok(found) };
        after.clone_from(last);
        for (key, value) in page {
            if key.first() != Some(&keys::SEQUENCE) {
                return Ok(found);
            }
            let next = value.try_into().map(u64::from_be_bytes).ok();
            found.extend(keys::number_in(&key).zip(next));
        }
    }
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let failed =
        |error: serde_json::Error| StoreError::io(Path::new("the backup"), "cannot be described", &error.into());
    serde_json::to_vec(value).map_err(failed)
}

fn put_pair(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    for part in [key, value] {
        out.extend_from_slice(&crate::model::error::u32_of(part.len()).to_le_bytes());
        out.extend_from_slice(part);
    }
}

/// The pairs of a section; `None` if it has something else.
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
