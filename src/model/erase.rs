//! Erasing a person's data: recording an erasure's progress.
//!
//! What an erasure removes from a kind of record is defined by the kind
//! ([`Kind::redact`](crate::model::record::Kind::redact)); which records it concerns, in
//! [`redaction`](crate::model::redaction).

use std::ops::ControlFlow;

use crate::core::actor::Actor;
use crate::core::audit::{Action, Deed};
use crate::core::event::Company;
use crate::core::id::ErasureId;
use crate::model::audit::{self, Audited};
use crate::model::error::StoreError;
use crate::model::keys;
use crate::model::record::{self, ErasureNoted, ErasureRecord, Kind as _, Record};
use crate::model::turn::Turn;
use crate::model::value;
use crate::model::view::{Log, Wanted};

/// The last recorded state of an erasure. May read the whole log.
pub(crate) fn noted_last(log: &dyn Log, id: ErasureId) -> Result<Option<ErasureRecord>, StoreError> {
    let mut last = None;
    let wanted = Wanted { kinds: ErasureNoted::KINDS, ..Wanted::ANY };
    log.to_the_end(&wanted, &log.unbounded(), &mut |head, payload| {
        let noted = ErasureNoted::decode(head.kind, payload).filter(|noted| noted.id == id);
        last = noted.map(|noted| noted.record);
        Ok(if last.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(last)
}

/// Records the beginning of an erasure, as far as it is carried out by then. The person's number is not recorded.
pub(crate) fn begin(
    turn: &mut Turn<'_>,
    actor: &Actor,
    id: ErasureId,
    record: ErasureRecord,
) -> Result<Audited<()>, StoreError> {
    let deed = deed(Action::ErasureBegin, id, &record);
    let noted = noted(turn, id, record)?;
    Ok(audit::write(turn, vec![noted], actor, deed, ()))
}

/// Records the progress of an erasure that the daemon carries out.
pub(crate) fn progress(turn: &mut Turn<'_>, id: ErasureId, record: ErasureRecord) -> Result<(), StoreError> {
    let deed = deed(Action::ErasureDone, id, &record);
    let noted = noted(turn, id, record)?;
    audit::write(turn, vec![noted], &Actor::daemon(), deed, ());
    Ok(())
}

fn deed(action: Action, id: ErasureId, record: &ErasureRecord) -> Deed {
    let company = Company::parse(record.company()).ok();
    let deed = Deed::new(action, company, Some(id.to_string()));
    record.counts().into_iter().fold(deed, |deed, (name, count)| deed.with(name, count))
}

/// The record of an erasure's progress. The request and the worker that carries it out each record their part, in either
/// order.
fn noted(turn: &mut Turn<'_>, id: ErasureId, record: ErasureRecord) -> Result<Record, StoreError> {
    let key = keys::erasure(id);
    let before = match turn.get(&key)? {
        Some(value) if value::is_readable(&key, &value) => record::unversioned(&value),
        Some(value) => {
            turn.view.set_aside(&key, value);
            noted_last(turn.log, id).ok().flatten()
        }
        None => None,
    };
    Ok(Record::from(ErasureNoted { id, record: record.with(before) }))
}
