//! The state of a subscription that is not part of its record.

use bincode::{Decode, Encode};

use crate::core::id::SubscriptionNumber;
use crate::model::keys;
use crate::model::record::codec::versioned;
use crate::model::record::delivery::HealthRecord;
use crate::model::record::kind::{
    Class, Kind, Target, begins_no_delivery, complete_if_decoded, encoded_as_itself, kept_by_the_view, not_indexed,
    nothing_personal,
};

/// A subscription's next sequence number and health. Written after its record in the snapshot at the beginning of every
/// segment, so that older segments are not needed to know the subscriptions.
#[derive(Debug, Encode, Decode)]
pub(crate) struct SubscriptionStateRecord {
    pub(crate) number: SubscriptionNumber,
    pub(crate) next_sequence: u64,
    pub(crate) health: HealthRecord,
}

impl Kind for SubscriptionStateRecord {
    const NAME: &'static str = "states of subscriptions";
    const CLASS: Class = Class::Other;
    const GRANTS_RIGHTS: bool = true;

    encoded_as_itself!(9);
    not_indexed!();
    begins_no_delivery!();
    complete_if_decoded!();

    fn apply(self, _: u128, target: Target<'_>) -> Option<Self> {
        target.view.put(keys::next_sequence(self.number), self.next_sequence.to_be_bytes().to_vec());
        target.view.put(keys::health(self.number), versioned(&self.health));
        target.memory.set_next_sequence(self.number, self.next_sequence);
        target.memory.set_health(self.number, self.health.into());
        None
    }

    kept_by_the_view!();
    nothing_personal!();
}
