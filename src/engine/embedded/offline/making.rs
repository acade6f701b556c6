//! Making a data directory of everything that another engine has.
//!
//! The log begins with a snapshot of the subscriptions and tokens, as each segment of a running store does; then come the
//! records; then, as in a salvage, what the state knows and they do not tell (a delivery that was requeued by hand), so
//! that the state could be rebuilt. Until all is there the directory is refused as a store. One that was interrupted is
//! begun anew.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::core::id::SubscriptionNumber;
use crate::engine::embedded::erasing;
use crate::engine::embedded::format::FORMAT;
use crate::engine::embedded::frame;
use crate::engine::embedded::kv::stored_key::stored;
use crate::engine::embedded::offline::directory;
use crate::engine::embedded::offline::layout::Layout;
use crate::engine::embedded::offline::refused::Refused;
use crate::engine::embedded::offline::replica::Replica;
use crate::engine::embedded::offline::report::Findings;
use crate::engine::embedded::offline::salvage::add_standing;
use crate::engine::embedded::offline::step::{Counter, Tell, Work};
use crate::engine::embedded::open::UNFINISHED;
use crate::engine::embedded::position::CheckpointPosition;
use crate::model::error::Damage;
use crate::model::key::{Key, ValueKind};
use crate::model::keys::SUBSCRIPTION_PIECES;
use crate::model::lock::lock;
use crate::model::maintenance;
use crate::model::record::{self, Head};
use crate::model::redaction::Rule;
use crate::model::term::Terms;
use crate::model::view::Sink;

/// Exists while a directory is being made, beside [`UNFINISHED`].
const MAKING: &str = "moving";
/// What an interrupted one may have.
const PARTS: [&str; 5] = ["state", "journal", "erasing", UNFINISHED, MAKING];
/// The size of a segment.
const SEGMENT: u32 = 64 << 20;
/// Bytes of frames that are written at once.
const AT_ONCE: usize = 1 << 20;

/// A data directory that is being made.
pub(crate) struct Making {
    dir: PathBuf,
    layout: Layout,
    /// The state as it will be.
    state: Replica,
    /// The state by the log alone.
    rebuilt: Replica,
    frames: Vec<u8>,
    segment: u32,
    batch: u64,
    last_id: u128,
}

fn failed(dir: &Path) -> impl Fn(io::Error) -> Refused {
    move |error| Refused::Failed(format!("{}: {error}", dir.display()))
}

impl Making {
    /// Begins in `dir`, which is empty, or not there, or was begun by a move that was interrupted.
    ///
    /// # Errors
    /// It holds something else, or cannot be written.
    pub(crate) fn begin(dir: &Path) -> Result<Self, Refused> {
        if dir.join(MAKING).exists() && !dir.join(FORMAT).exists() {
            for part in PARTS.map(|part| dir.join(part)) {
                let removed = if part.is_dir() { fs::remove_dir_all(&part) } else { fs::remove_file(&part) };
                match removed {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&part)(error)),
                    _ => {}
                }
            }
        }
        let layout = Layout::begin(dir)?;
        fs::write(dir.join(MAKING), []).map_err(failed(dir))?;
        let (state, rebuilt) =
            (Replica::for_backup().map_err(Refused::Failed)?, Replica::empty().map_err(Refused::Failed)?);
        let dir = dir.to_owned();
        Ok(Self { dir, layout, state, rebuilt, frames: Vec::new(), segment: 0, batch: 0, last_id: 0 })
    }

    /// Receives a value of the view, whole. All values precede the records.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn value(&self, key: &Key, value: &[u8]) -> Result<(), Refused> {
        match key.kind() {
            // They are counted at the first start.
            ValueKind::Counts | ValueKind::Counted => Ok(()),
            ValueKind::Subscription => {
                let (_, number) = key.rest().split_last().unwrap_or((&0, &[]));
                let whole = Key::new(ValueKind::Subscription, number.to_vec());
                self.state.kv.put_pieces(&stored(&whole), value, SUBSCRIPTION_PIECES);
                Ok(())
            }
            _ => self.state.put(&stored(key), value).map(drop).map_err(Refused::from),
        }
    }

    /// All values are there: the log can begin. `next_number` is that of the next subscription.
    ///
    /// # Errors
    /// They cannot be read, or it cannot be written.
    pub(crate) fn begin_records(&mut self, next_number: SubscriptionNumber) -> Result<(), Refused> {
        self.state.kv.check().map_err(|error| Refused::Failed(error.to_string()))?;
        self.state.load_registry(CheckpointPosition { next_number, ..Default::default() }).map_err(Refused::from)?;
        let snapshot = maintenance::snapshot(&lock(&self.state.registry));
        let mut frames = Gathered::default();
        snapshot.iter().for_each(|record| record.append_to(&mut frames, false));
        frames.0.into_iter().try_for_each(|(kind, id, payload)| {
            self.append(Head { version: record::VERSION, kind, continues: false, batch: 0, id }, &payload)
        })
    }

    /// Receives a record; ids ascend. One with the id of the one before is left out.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn record(&mut self, head: Head, payload: &[u8]) -> Result<(), Refused> {
        if head.id <= self.last_id {
            return Ok(());
        }
        self.last_id = head.id;
        self.append(head, payload)
    }

    fn append(&mut self, head: Head, payload: &[u8]) -> Result<(), Refused> {
        self.batch += 1;
        let head = Head { continues: false, batch: self.batch, ..head };
        if !self.rebuilt.apply(head, payload).map_err(Refused::from)? {
            return Err(Refused::Damaged(format!(
                "a record of kind {} cannot be read (id {:032x})",
                head.kind, head.id
            )));
        }
        frame::encode(&mut self.frames, head, |out| out.extend_from_slice(payload));
        if self.frames.len() >= AT_ONCE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Refused> {
        if self.segment == 0 || self.layout.position().1 >= SEGMENT {
            self.segment += 1;
            self.layout.new_file(self.segment)?;
        }
        self.layout.records(&mut std::mem::take(&mut self.frames))
    }

    /// Completes the directory, and reads it again.
    ///
    /// # Errors
    /// It cannot be written, or what was written differs.
    pub(crate) fn finish(mut self, last_id: u128, rules: &[Rule], tell: Tell<'_>) -> Result<Findings, Refused> {
        self.flush()?;
        self.rebuilt.reload_registry().map_err(Refused::from)?;
        add_standing((&self.state, &self.rebuilt), &|_| true, self.batch + 1, &mut self.layout)?;
        let (layout, done) = (&mut self.layout, Counter::begin(tell, Work::WriteState, None));
        let mut wrong = None;
        let written = self.state.each(&[], &mut |key, value| {
            done.add(1);
            layout.pair(key, value).map_err(|refused| {
                let damage = Damage::failed(Path::new("state"), refused.to_string());
                wrong = Some(refused);
                damage
            })
        });
        written.map_err(|error| wrong.unwrap_or_else(|| error.into()))?;
        let (segment, offset) = self.layout.position();
        let next_number = lock(&self.state.registry).next_number;
        let last_id = last_id.max(self.last_id);
        self.layout.set_applied(CheckpointPosition { segment, offset, batch: self.batch + 1, last_id, next_number });
        erasing::write_rules(&self.dir, rules).map_err(failed(&self.dir))?;
        fs::remove_file(self.dir.join(MAKING)).map_err(failed(&self.dir))?;
        self.layout.finish()?;
        let findings = directory::verify_directory(&self.dir, tell)?;
        match findings.first_serious() {
            Some(fault) => Err(Refused::Damaged(format!("{} was made, and is not right: {fault}", self.dir.display()))),
            None => Ok(findings),
        }
    }
}

/// Records with their kinds and ids.
#[derive(Default)]
struct Gathered(Vec<(u8, u128, Vec<u8>)>);

impl Sink for Gathered {
    fn append(&mut self, kind: u8, id: u128, _: bool, _: Terms, payload: &mut dyn FnMut(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        payload(&mut bytes);
        self.0.push((kind, id, bytes));
    }
}
