//! Taking everything out of a data directory, for another engine.
//!
//! Records and values are the same bytes in all engines; what differs is how they are arranged. Values that are longer
//! than sled takes are in pieces here, and whole elsewhere.

use std::fs;
use std::path::Path;

use crate::engine::embedded::backup::TOKEN;
use crate::engine::embedded::erasing;
use crate::engine::embedded::kv::stored_key::key_of;
use crate::engine::embedded::offline::directory::{self, FrameSink};
use crate::engine::embedded::offline::refused::Refused;
use crate::engine::embedded::offline::report::Findings;
use crate::engine::embedded::offline::step::{Counter, Step, Tell, Work};
use crate::model::counts;
use crate::model::error::Damage;
use crate::model::key::{Key, ValueKind};
use crate::model::lock::lock;
use crate::model::record::Head;
use crate::model::redaction::Rule;

/// Where everything goes. Each method is called in the same order whenever the same directory is read.
pub(crate) trait Destination {
    /// Receives a record with an id; ids ascend.
    ///
    /// # Errors
    /// It cannot be written.
    fn record(&mut self, head: Head, payload: &[u8]) -> Result<(), Refused>;

    /// Receives a value of the view, whole. All records precede.
    ///
    /// # Errors
    /// It cannot be written.
    fn value(&mut self, key: Key, value: Vec<u8>) -> Result<(), Refused>;
}

/// What is neither a record nor a value.
pub(crate) struct Rest {
    /// The bits of the last id.
    pub(crate) last_id: u128,
    /// The number of the next subscription.
    pub(crate) next_number: u32,
    /// The admin token.
    pub(crate) token: Option<String>,
    /// The erasures that are not complete.
    pub(crate) rules: Vec<Rule>,
    /// What there was.
    pub(crate) findings: Findings,
}

/// Passes records to a destination.
struct Records<'d> {
    to: &'d mut dyn Destination,
    refused: Option<Refused>,
}

impl FrameSink for Records<'_> {
    fn file(&mut self, _: u32) -> Result<(), Damage> {
        Ok(())
    }

    fn frame(&mut self, head: Head, payload: &[u8]) -> Result<(), Damage> {
        if head.id == 0 {
            // It has changed the view, and is not looked up.
            return Ok(());
        }
        self.to.record(head, payload).map_err(|refused| {
            let damage = Damage::failed(Path::new("a record"), refused.to_string());
            self.refused = Some(refused);
            damage
        })
    }
}

/// Reads the whole store in `dir`, on which no daemon runs, and changes nothing there. It is verified first.
///
/// # Errors
/// It is damaged, and nothing was passed on; or the destination refuses.
pub(crate) fn take_out(dir: &Path, to: &mut dyn Destination, tell: Tell<'_>) -> Result<Rest, Refused> {
    let found = directory::verify_directory(dir, tell)?;
    if let Some(fault) = found.first_serious() {
        let what = format!("{}: {fault}: nothing was moved; see `hookswitch verify --data-dir`", dir.display());
        return Err(Refused::Damaged(what));
    }
    let mut records = Records { to, refused: None };
    let moves = |work| if work == Work::ReadJournal { Work::MoveJournal } else { work };
    let read = directory::read(dir, &|step| tell(Step { work: moves(step.work), ..step }), &mut records);
    let Records { to, refused } = records;
    let mut audit = read.map_err(|error| refused.unwrap_or(error))?;
    audit.sum_up();
    let replica = audit.best();
    let mut values = Values { to, pieces: None, refused: None };
    let written = Counter::begin(tell, Work::WriteState, None);
    let read = replica.each(&[], &mut |key, value| {
        written.add(1);
        values.stored(key, value)
    });
    let ended = values.end();
    read.map_err(|error| values.refused.take().unwrap_or_else(|| Refused::Failed(error.to_string())))?;
    ended?;
    for (key, value) in counts::all(&replica.registry) {
        values.to.value(key, value)?;
    }
    let next_number = lock(&replica.registry).next_number.max(audit.next_number()).get();
    let failed = |error: Damage| Refused::Failed(error.to_string());
    Ok(Rest {
        last_id: audit.end.last_id,
        next_number,
        token: fs::read_to_string(dir.join(TOKEN)).ok().map(|text| text.trim().to_owned()),
        rules: erasing::rules_in(dir).map_err(failed)?.into_values().collect(),
        findings: audit.findings,
    })
}

/// Passes values to a destination, those in pieces whole.
struct Values<'d> {
    to: &'d mut dyn Destination,
    pieces: Option<(Key, Vec<u8>)>,
    refused: Option<Refused>,
}

impl Values<'_> {
    fn stored(&mut self, key: &[u8], value: &[u8]) -> Result<(), Damage> {
        // What the engine keeps for itself is of no use elsewhere.
        let Some(key) = key_of(key) else { return Ok(()) };
        self.value(key, value).map_err(|refused| {
            let damage = Damage::failed(Path::new("a value"), refused.to_string());
            self.refused = Some(refused);
            damage
        })
    }

    fn value(&mut self, key: Key, value: &[u8]) -> Result<(), Refused> {
        match key.kind() {
            // They are counted anew.
            ValueKind::Counts | ValueKind::Counted => return Ok(()),
            ValueKind::Subscription => {}
            _ => return self.end().and_then(|()| self.to.value(key, value.to_vec())),
        }
        if let Some((first, gathered)) = &mut self.pieces
            && first.rest().split_last().map(|(_, number)| number) == key.rest().split_last().map(|(_, number)| number)
        {
            gathered.extend_from_slice(value);
            return Ok(());
        }
        self.end()?;
        self.pieces = Some((key, value.to_vec()));
        Ok(())
    }

    fn end(&mut self) -> Result<(), Refused> {
        self.pieces.take().map_or(Ok(()), |(key, value)| self.to.value(key, value))
    }
}
