//! Records of replays and discards in progress.

use crate::model::key::ValueKind;
use crate::model::keys;
use crate::model::progress::{DiscardRecord, ReplayRecord};
use crate::model::record::codec::versioned;
use crate::model::record::kind::{
    Class, Kind, Target, begins_no_delivery, complete_if_decoded, encoded_as_itself, kept_by_the_view, not_indexed,
    nothing_personal,
};

impl Kind for ReplayRecord {
    const NAME: &'static str = "replays and discards";
    const CLASS: Class = Class::Other;
    const GRANTS_RIGHTS: bool = true;

    encoded_as_itself!(6);
    not_indexed!();
    begins_no_delivery!();
    complete_if_decoded!();

    fn apply(self, _: u128, target: Target<'_>) -> Option<Self> {
        let key = keys::replay(self.number, self.id);
        match self.is_over() {
            true => target.view.remove(key),
            false => target.view.put(key, versioned(&self)),
        }
        target.memory.put_replay(self);
        None
    }

    kept_by_the_view!();
    nothing_personal!();
}

impl Kind for DiscardRecord {
    const NAME: &'static str = "replays and discards";
    const CLASS: Class = Class::Other;
    const GRANTS_RIGHTS: bool = true;

    encoded_as_itself!(7);
    not_indexed!();
    begins_no_delivery!();
    complete_if_decoded!();

    fn apply(self, _: u128, target: Target<'_>) -> Option<Self> {
        let key = keys::numbered(ValueKind::Discard, self.number);
        match self.last {
            0 => target.view.remove(key),
            _ => target.view.put(key, versioned(&self)),
        }
        target.memory.put_discard(self);
        None
    }

    kept_by_the_view!();
    nothing_personal!();
}
