//! What can be read of a damaged store, in a new directory.
//!
//! The journal is taken over frame by frame, in order, without what is damaged. The state is the
//! stored one with what the journal has beyond it, if its database can be read and does not contradict
//! a journal that is whole; otherwise it is made again from the journal. What is owed and cannot be
//! sent any more, because its event or its subscription is lost, is left out and named.

use std::fs;
use std::path::Path;

use super::super::backup::TOKEN;
use super::super::frame::{self, Head};
use super::super::place::Damage;
use super::super::record::Applied;
use super::super::{journal, keys, step};
use super::Refused;
use super::audit::Audit;
use super::directory::{self, Keeper};
use super::layout::{self, Layout};
use super::replica::Replica;
use super::report::{Findings, Salvaged};

impl Keeper for Layout {
    fn file(&mut self, number: u32) -> Result<(), Damage> {
        Self::file(self, number, &journal::header_of(number, 0)).map_err(damage)
    }

    fn frame(&mut self, head: Head, payload: &[u8]) -> Result<(), Damage> {
        let mut bytes = Vec::new();
        // Each frame stands for itself: others of its step may be lost.
        frame::encode(&mut bytes, Head { continues: false, ..head }, |out| out.extend_from_slice(payload));
        self.frames(&bytes).map_err(damage)
    }
}

fn damage(refused: Refused) -> Damage {
    Damage::new(Path::new("the new directory"), format!("cannot be written: {refused}"))
}

/// Writes what can be read of `dir` to `into`.
pub(super) fn salvage(dir: &Path, into: &Path) -> Result<Salvaged, Refused> {
    layout::check_empty(into)?;
    if !dir.join("journal").is_dir() {
        let what = format!("{} has no journal/: there is nothing to be saved", dir.display());
        return Err(Refused::Failed(what));
    }
    let mut layout = Layout::begin(into)?;
    let mut audit = directory::read(dir, &mut layout)?;
    let contradicted = audit.gaps == 0 && audit.findings.faults.iter().any(|fault| fault.file == "state");
    let state_rebuilt = audit.stored.is_none() || contradicted;
    let old = std::mem::take(&mut audit.findings);
    let lost_deliveries = write_state(&audit, state_rebuilt, &mut layout)?;
    if let Ok(token) = fs::read(dir.join(TOKEN)) {
        layout.token(&token)?;
    }
    layout.finish()?;
    let kept = super::verify_directory(into)?;
    let Findings { faults, faults_total, .. } = old;
    Ok(Salvaged {
        kept: Findings { faults, faults_total, ..kept },
        lost_bytes: audit.lost_bytes,
        gaps: audit.gaps,
        state_rebuilt,
        lost_deliveries,
        missing_sequences: audit.missing_sequences,
    })
}

/// Writes the state that is to be believed; gives the deliveries that are left out.
fn write_state(audit: &Audit, rebuilt: bool, layout: &mut Layout) -> Result<Vec<String>, Refused> {
    let replica: &Replica = if rebuilt { &audit.rebuilt } else { audit.best() };
    let mut lost = Vec::new();
    let mut refused = None;
    let written = replica.each(&[], &mut |key, value| {
        if is_lost(audit, replica, key, value, &mut lost) {
            return Ok(());
        }
        layout.pair(key, value).map_err(|error| {
            refused = Some(error.clone());
            damage(error)
        })
    });
    written.map_err(|error| refused.unwrap_or_else(|| Refused::Failed(error.to_string())))?;
    let (segment, offset) = layout.position();
    let next_number = step::lock(&replica.ledger).next_number;
    layout.set_applied(Applied { segment, offset, next_number, ..audit.end });
    Ok(lost)
}

/// Whether a pair speaks of an event or a subscription that is lost. A producer's id of a lost event
/// is forgotten, so that the event can be posted again.
fn is_lost(audit: &Audit, replica: &Replica, key: &[u8], value: &[u8], lost: &mut Vec<String>) -> bool {
    match key.first() {
        Some(&keys::OWED | &keys::DEAD) => {
            let Some(delivery) = step::delivery_of(value) else { return true };
            let known = step::lock(&replica.ledger).account(delivery.id.subscription_number()).is_some();
            let gone = !known || !audit.has_event(&delivery);
            lost.extend(gone.then(|| delivery.id.to_string()));
            gone
        }
        Some(&keys::PRODUCER) => {
            let event = value.first_chunk::<16>().map(|bits| u128::from_be_bytes(*bits));
            !event.is_some_and(|event| audit.has_event_id(event))
        }
        _ => false,
    }
}
