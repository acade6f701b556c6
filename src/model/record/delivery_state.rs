//! The state of a delivery in the view, and the records that change it without an attempt.

use crate::core::delivery::{Delivery, State};
use crate::core::id::DeliveryId;
use crate::model::error::StoreError;
use crate::model::key::ValueKind;
use crate::model::keys;
use crate::model::record::codec::{self, versioned};
use crate::model::record::delivery::{DeliveryRecord, PriorState};
use crate::model::record::kind::{
    Class, Disposition, Expired, Frame, Kind, Target, Waits, begins_no_delivery, complete_if_decoded, encoded_as_id,
    kept_by_the_view, not_indexed, nothing_personal,
};

/// Moves a delivery to the place of its state: pending, dead letters, or neither. `before` is the previous state
/// according to the log; the view may be of a later time.
pub(crate) fn set_state(delivery: &Delivery, before: Option<State>, target: Target<'_>) {
    let Target { view, memory } = target;
    let may_be_dead = before == Some(State::Failed) || !view.is_live();
    let (owed, dead) = (keys::delivery(ValueKind::Owed, delivery.id), keys::delivery(ValueKind::Dead, delivery.id));
    let record = || versioned(&DeliveryRecord::from(delivery));
    match delivery.state {
        State::Pending | State::Retrying => {
            view.put(owed, record());
            if may_be_dead {
                view.remove(dead);
            }
        }
        State::Failed => {
            view.put(dead, record());
            view.remove(owed);
        }
        State::Delivered | State::Expired | State::Cancelled => {
            view.remove(owed);
            if may_be_dead {
                view.remove(dead);
            }
        }
    }
    memory.moved(delivery.id.subscription_number(), before, Some(delivery.state));
}

/// A requeued delivery with its previous state.
#[derive(Debug)]
pub(crate) struct Requeued {
    /// The requeued delivery.
    pub(crate) delivery: DeliveryRecord,
    /// Its previous state.
    pub(crate) before: PriorState,
}

impl Kind for Requeued {
    const KINDS: &'static [u8] = &[5];
    const NAME: &'static str = "deliveries put back or forgotten";
    const CLASS: Class = Class::Other;
    const GRANTS_RIGHTS: bool = false;

    fn kind(&self) -> u8 {
        5
    }

    fn encode(&self, out: &mut Vec<u8>) {
        codec::encode_into(out, &(&self.delivery, self.before));
    }

    fn decode(_: u8, payload: &[u8]) -> Option<Self> {
        codec::decode(payload).map(|(delivery, before)| Self { delivery, before })
    }

    not_indexed!();
    begins_no_delivery!();

    fn decodes_fully(self, _: u128) -> bool {
        self.delivery.delivery().is_some()
    }

    fn apply(self, _: u128, target: Target<'_>) -> Option<Self> {
        let delivery = self.delivery.delivery()?;
        set_state(&delivery, self.before.into(), target);
        target.memory.requeued(delivery.id.subscription_number());
        None
    }

    /// It is kept while the delivery is pending or a dead letter.
    fn retain(frame: Frame<'_>, _: &Expired, waits: Waits<'_>) -> Result<Disposition, StoreError> {
        match Self::decode(frame.kind, frame.payload) {
            Some(requeued) => Ok(Disposition::keep_if(waits(requeued.delivery.id())?)),
            None => Ok(Disposition::Keep),
        }
    }

    nothing_personal!();
}

/// A dead letter was removed with its event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Forgotten(pub(crate) DeliveryId);

impl Kind for Forgotten {
    const NAME: &'static str = "deliveries put back or forgotten";
    const CLASS: Class = Class::Other;
    const GRANTS_RIGHTS: bool = false;

    encoded_as_id!(10, DeliveryId);
    not_indexed!();
    begins_no_delivery!();
    complete_if_decoded!();

    fn apply(self, _: u128, target: Target<'_>) -> Option<Self> {
        target.view.remove(keys::delivery(ValueKind::Dead, self.0));
        target.memory.moved(self.0.subscription_number(), Some(State::Failed), None);
        None
    }

    kept_by_the_view!();
    nothing_personal!();
}
