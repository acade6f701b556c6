//! How a delivery ended: what retention leaves of the log entry that ended it, while its event is retained.
//!
//! The first version has no company.

use crate::core::delivery::State;
use crate::model::error::StoreError;
use crate::model::record::codec;
use crate::model::record::delivery::DeliveryRecord;
use crate::model::record::delivery_state::set_state;
use crate::model::record::kind::{
    Class, Disposition, Expired, Frame, Kind, Target, Waits, begins_no_delivery, nothing_personal,
};
use crate::model::term::{Owner, Term, Terms};

/// The kind without a company.
const UNOWNED: u8 = 8;
/// The kind with a company.
const OWNED: u8 = 26;

/// How a delivery ended, and its company.
#[derive(Debug)]
pub(crate) struct EndedRecord {
    /// The delivery as it ended.
    pub(crate) delivery: DeliveryRecord,
    /// Its company; `None` in the first version.
    pub(crate) company: Option<String>,
}

impl Kind for EndedRecord {
    const KINDS: &'static [u8] = &[UNOWNED, OWNED];
    const NAME: &'static str = "log entries";
    const CLASS: Class = Class::WithEvent;
    const GRANTS_RIGHTS: bool = false;

    fn kind(&self) -> u8 {
        if self.company.is_some() { OWNED } else { UNOWNED }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match &self.company {
            Some(company) => codec::encode_into(out, &(&self.delivery, company)),
            None => codec::encode_into(out, &self.delivery),
        }
    }

    fn decode(kind: u8, payload: &[u8]) -> Option<Self> {
        if kind == UNOWNED {
            return codec::decode(payload).map(|delivery| Self { delivery, company: None });
        }
        codec::decode(payload).map(|(delivery, company)| Self { delivery, company: Some(company) })
    }

    fn terms(&self) -> Terms {
        let of = self.company.as_deref().map_or(Owner::UNKNOWN, Owner::company);
        let (event_type, call, state) = self.delivery.names();
        let about = [
            Term::Delivery(self.delivery.id().bits()),
            Term::Status(state),
            Term::Subscription(self.delivery.subscription()),
            Term::Type(event_type),
            Term::Call(call),
        ];
        Terms { keys: of.keys(about), at: None }
    }

    begins_no_delivery!();

    fn decodes_fully(self, _: u128) -> bool {
        self.delivery.delivery().is_some()
    }

    /// Has an effect only if the whole log is replayed from the oldest segment: the delivery is pending there until
    /// this record.
    fn apply(self, _: u128, target: Target<'_>) -> Option<Self> {
        set_state(&self.delivery.delivery()?, Some(State::Pending), target);
        None
    }

    fn retain(frame: Frame<'_>, expired: &Expired, _: Waits<'_>) -> Result<Disposition, StoreError> {
        let ended = Self::decode(frame.kind, frame.payload);
        Ok(Disposition::keep_if(ended.is_none_or(|ended| ended.delivery.event().bits() >= expired.events_below)))
    }

    nothing_personal!();
}
