//! Salvaging a damaged store into a new directory.
//!
//! The WAL is copied frame by frame, in order, without what is damaged. The state is the stored one with the WAL beyond
//! its checkpoint applied, if its database can be read and does not contradict a WAL without gaps; otherwise it is
//! rebuilt from the WAL. Deliveries that can no longer be sent, because their event or their subscription is lost, are
//! left out and listed. Where the state knows more than the rest of the WAL, records are added to the WAL so that both
//! agree again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::core::delivery::{Delivery, State as Standing};
use crate::core::id::DeliveryId;
use crate::engine::embedded::backup::TOKEN;
use crate::engine::embedded::kv::stored_key::{key_of, prefix};
use crate::engine::embedded::offline::audit::Audit;
use crate::engine::embedded::offline::directory::{self, FrameSink};
use crate::engine::embedded::offline::layout::{self, Layout};
use crate::engine::embedded::offline::refused::Refused;
use crate::engine::embedded::offline::replica::Replica;
use crate::engine::embedded::offline::report::{Findings, Salvaged};
use crate::engine::embedded::offline::step::{Counter, Tell, Work};
use crate::engine::embedded::position::CheckpointPosition;
use crate::engine::embedded::{frame, marker};
use crate::model::error::Damage;
use crate::model::key::ValueKind;
use crate::model::lock::lock;
use crate::model::record::{self, DeliveryRecord, Head, Kind as _, PriorState, Requeued};

impl FrameSink for Layout {
    fn file(&mut self, number: u32) -> Result<(), Damage> {
        self.new_file(number).map_err(|refused| damage(&refused))
    }

    fn frame(&mut self, head: Head, payload: &[u8]) -> Result<(), Damage> {
        let mut bytes = Vec::new();
        // Each frame becomes a transaction of its own: others of its transaction may be lost.
        frame::encode(&mut bytes, Head { continues: false, ..head }, |out| out.extend_from_slice(payload));
        self.records(&mut bytes).map_err(|refused| damage(&refused))
    }
}

fn damage(refused: &Refused) -> Damage {
    Damage::failed(Path::new("the new directory"), format!("cannot be written: {refused}"))
}

/// Writes what can be read of `dir` to `into`.
pub(crate) fn salvage(dir: &Path, into: &Path, tell: Tell<'_>) -> Result<Salvaged, Refused> {
    layout::check_empty(into)?;
    if !dir.join("journal").is_dir() {
        let what = format!("{} has no journal/: there is nothing to salvage", dir.display());
        return Err(Refused::Failed(what));
    }
    let mut layout = Layout::begin(into)?;
    let mut audit = directory::read(dir, tell, &mut layout)?;
    let contradicted =
        audit.gaps == 0 && audit.findings.faults.iter().any(|fault| fault.file == "state" && !fault.derived);
    let state_rebuilt = audit.stored.is_none() || contradicted;
    let old = std::mem::take(&mut audit.findings);
    let replica = if state_rebuilt { &audit.rebuilt } else { audit.best() };
    reconcile(&audit, replica, &mut layout)?;
    let lost_deliveries = write_state(&audit, replica, &mut layout, tell)?;
    if let Ok(token) = fs::read(dir.join(TOKEN)) {
        layout.token(&token)?;
    }
    // An unreadable marker has been reported already; each sealed record names its key.
    if let Ok(Some(key)) = marker::marker(dir) {
        layout.sealed(key)?;
    }
    layout.finish()?;
    let kept = directory::verify_directory(into, tell)?;
    let Findings { faults, faults_total, .. } = old;
    Ok(Salvaged {
        kept: Findings { faults, faults_total, ..kept },
        lost_bytes: audit.lost_bytes,
        gaps: audit.gaps,
        state_rebuilt,
        lost_deliveries,
        missing_sequences: audit.missing_sequences,
        // The lost data may include a revocation.
        renew_tokens: !audit.left_out.is_empty() || audit.unknown_gap || (state_rebuilt && audit.gaps > 0),
        taken: audit.taken.clone(),
        left_out: audit.left_out.clone(),
        unproved: audit.unproved,
    })
}

/// Adds records to the WAL for deliveries whose status the state knows and the rest of the WAL does not.
fn reconcile(audit: &Audit, replica: &Replica, layout: &mut Layout) -> Result<(), Refused> {
    let is_sendable = |delivery: &Delivery| can_be_sent(audit, replica, delivery);
    add_standing((replica, &audit.rebuilt), &is_sendable, audit.end.batch + 1, layout)
}

/// Adds records to the WAL, as group commit `batch`, for deliveries whose status the state (the first) knows and the WAL
/// (the second) does not, if they are sendable.
pub(super) fn add_standing(
    (state, wal): (&Replica, &Replica),
    is_sendable: &dyn Fn(&Delivery) -> bool,
    batch: u64,
    layout: &mut Layout,
) -> Result<(), Refused> {
    let failed = |error: Damage| Refused::Failed(error.to_string());
    let (in_state, in_wal) = (standing(state).map_err(failed)?, standing(wal).map_err(failed)?);
    let mut bytes = Vec::new();
    let mut append = |delivery: &Delivery, before: Option<Standing>| {
        let requeued = Requeued { delivery: DeliveryRecord::from(delivery), before: PriorState::from(before) };
        let head = Head { version: record::VERSION, kind: requeued.kind(), continues: false, batch, id: 0 };
        frame::encode(&mut bytes, head, |out| requeued.encode(out));
    };
    for (id, delivery) in &in_state {
        let same = in_wal.get(id).is_some_and(|in_wal| in_wal.state.is_owed() == delivery.state.is_owed());
        if !same && is_sendable(delivery) {
            append(delivery, in_wal.get(id).map(|in_wal| in_wal.state));
        }
    }
    for (id, delivery) in &in_wal {
        if !in_state.get(id).is_some_and(is_sendable) {
            append(&Delivery { state: Standing::Cancelled, ..delivery.clone() }, Some(delivery.state));
        }
    }
    layout.records(&mut bytes)
}

/// Outstanding deliveries and dead letters.
fn standing(replica: &Replica) -> Result<BTreeMap<DeliveryId, Delivery>, Damage> {
    let mut found = BTreeMap::new();
    for kind in [ValueKind::Dead, ValueKind::Owed] {
        replica.each(prefix(kind), &mut |_, value| {
            found.extend(record::delivery_of(value).map(|delivery| (delivery.id, delivery)));
            Ok(())
        })?;
    }
    Ok(found)
}

/// Whether the event and the subscription of a delivery were found.
fn can_be_sent(audit: &Audit, replica: &Replica, delivery: &Delivery) -> bool {
    lock(&replica.registry).state_mut(delivery.id.subscription_number()).is_some() && audit.has_event(delivery)
}

/// Writes the given state; returns the deliveries that are left out.
fn write_state(audit: &Audit, replica: &Replica, layout: &mut Layout, tell: Tell<'_>) -> Result<Vec<String>, Refused> {
    let done = Counter::begin(tell, Work::WriteState, None);
    let mut lost = Vec::new();
    let mut refused = None;
    let written = replica.each(&[], &mut |key, value| {
        done.add(1);
        if is_lost(audit, replica, key, value, &mut lost) {
            return Ok(());
        }
        layout.pair(key, value).map_err(|refusal| {
            let error = damage(&refusal);
            refused = Some(refusal);
            error
        })
    });
    written.map_err(|error| refused.unwrap_or_else(|| Refused::Failed(error.to_string())))?;
    let (segment, offset) = layout.position();
    let next_number = lock(&replica.registry).next_number.max(audit.next_number());
    let batch = audit.end.batch + 1;
    layout.set_applied(CheckpointPosition { segment, offset, batch, next_number, ..audit.end });
    Ok(lost)
}

/// Whether a pair refers to an event or a subscription that is lost. The producer's id of a lost event or message is
/// dropped, so that it can be posted again.
fn is_lost(audit: &Audit, replica: &Replica, key: &[u8], value: &[u8], lost: &mut Vec<String>) -> bool {
    let id_in = |value: &[u8]| value.first_chunk::<16>().map(|bits| u128::from_be_bytes(*bits));
    let Some(kind) = key_of(key).map(|key| key.kind()) else { return false };
    match kind {
        ValueKind::Owed | ValueKind::Dead => {
            let Some(delivery) = record::delivery_of(value) else { return true };
            let gone = !can_be_sent(audit, replica, &delivery);
            lost.extend(gone.then(|| delivery.id.to_string()));
            gone
        }
        ValueKind::Message => !id_in(value).is_some_and(|message| audit.has_message_id(message)),
        ValueKind::Producer => !id_in(value).is_some_and(|event| audit.has_event_id(event)),
        ValueKind::Group
        | ValueKind::Counts
        | ValueKind::Discard
        | ValueKind::Erasure
        | ValueKind::FanOut
        | ValueKind::Health
        | ValueKind::Counted
        | ValueKind::Thread
        | ValueKind::Latest
        | ValueKind::LatestOf
        | ValueKind::InOrder
        | ValueKind::Sequence
        | ValueKind::Token
        | ValueKind::Session
        | ValueKind::SignIn
        | ValueKind::PortalLink
        | ValueKind::Replay
        | ValueKind::Subscription
        | ValueKind::Call
        | ValueKind::Audit
        | ValueKind::AuditTerm
        | ValueKind::WithoutWebhook => false,
    }
}
