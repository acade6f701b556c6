//! The removal of a deleted subscription, with everything that the view has of it.

use crate::core::id::SubscriptionNumber;
use crate::model::key::ValueKind;
use crate::model::keys;
use crate::model::record::codec;
use crate::model::record::kind::{
    Class, Kind, Target, begins_no_delivery, complete_if_decoded, kept_until_oldest, not_indexed, nothing_personal,
};

/// A deleted subscription was removed; its number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SubscriptionRemoved(pub(crate) SubscriptionNumber);

impl Kind for SubscriptionRemoved {
    const KINDS: &'static [u8] = &[4];
    const NAME: &'static str = "deletions of subscriptions";
    const CLASS: Class = Class::Other;
    const GRANTS_RIGHTS: bool = true;

    fn kind(&self) -> u8 {
        4
    }

    fn encode(&self, out: &mut Vec<u8>) {
        codec::encode_into(out, &self.0);
    }

    fn decode(_: u8, payload: &[u8]) -> Option<Self> {
        codec::decode(payload).map(Self)
    }

    not_indexed!();
    begins_no_delivery!();
    complete_if_decoded!();

    fn apply(self, _: u128, target: Target<'_>) -> Option<Self> {
        let Self(number) = self;
        let Target { view, memory } = target;
        view.put_pieces(&keys::numbered(ValueKind::Subscription, number), &[], keys::SUBSCRIPTION_PIECES);
        view.remove(keys::health(number));
        view.remove(keys::next_sequence(number));
        view.remove(keys::counts(number));
        view.remove(keys::numbered(ValueKind::Discard, number));
        for replay in memory.remove_subscription(number) {
            view.remove(keys::replay(number, replay));
        }
        None
    }

    kept_until_oldest!();
    nothing_personal!();
}
