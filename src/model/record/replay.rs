//! Records of replays and discards in progress.

use crate::core::id::DeliveryId;
use crate::model::keys;
use crate::model::progress::{DiscardRecord, ReplayRecord};
use crate::model::record::codec::{self, versioned};
use crate::model::record::kind::{Kind, Target, kept_by_the_view, nothing_personal};
use crate::model::segment::Class;
use crate::model::term::Terms;

impl Kind for ReplayRecord {
    const KINDS: &'static [u8] = &[6];
    const NAME: &'static str = "replays and discards";
    const CLASS: Class = Class::Other;
    const GRANTS_RIGHTS: bool = true;

    fn kind(&self) -> u8 {
        6
    }

    fn encode(&self, out: &mut Vec<u8>) {
        codec::encode_into(out, self);
    }

    fn decode(_: u8, payload: &[u8]) -> Option<Self> {
        codec::decode(payload)
    }

    fn terms(&self) -> Terms {
        Terms::default()
    }

    fn begins(&self) -> Vec<DeliveryId> {
        Vec::new()
    }

    fn decodes_fully(self, _: u128) -> bool {
        true
    }

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
    const KINDS: &'static [u8] = &[7];
    const NAME: &'static str = "replays and discards";
    const CLASS: Class = Class::Other;
    const GRANTS_RIGHTS: bool = true;

    fn kind(&self) -> u8 {
        7
    }

    fn encode(&self, out: &mut Vec<u8>) {
        codec::encode_into(out, self);
    }

    fn decode(_: u8, payload: &[u8]) -> Option<Self> {
        codec::decode(payload)
    }

    fn terms(&self) -> Terms {
        Terms::default()
    }

    fn begins(&self) -> Vec<DeliveryId> {
        Vec::new()
    }

    fn decodes_fully(self, _: u128) -> bool {
        true
    }

    fn apply(self, _: u128, target: Target<'_>) -> Option<Self> {
        let key = keys::numbered(keys::DISCARD, self.number);
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
