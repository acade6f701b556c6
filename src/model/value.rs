//! The values of the view: whether they can be read. `verify` decodes every value of every kind by it.

use crate::core::event::EventType;
use crate::core::id::ErasureId;
use crate::model::key::{Key, ValueKind};
use crate::model::keys::{self, GroupPart};
use crate::model::progress::{DiscardRecord, ReplayRecord};
use crate::model::receipts::{EventReceipt, MessageReceipt};
use crate::model::record::{
    AuditRecord, CallRecord, CountsRecord, ErasureRecord, GroupCounts, GroupOutcomes, GroupTimes, HealthRecord,
    PortalLinkRecord, SessionRecord, ThreadRecord, TokenRecord, delivery_of, unversioned,
};

/// Whether key and value decode completely. A subscription's value is one piece of several; the whole is checked when
/// the registry is loaded.
pub(crate) fn is_readable(key: &Key, value: &[u8]) -> bool {
    let length = key.rest().len();
    match key.kind() {
        ValueKind::Group => keys::group_in(key).is_some_and(|(_, _, part)| is_group(part, value)),
        ValueKind::Counts => length == 4 && unversioned::<CountsRecord>(value).is_some(),
        ValueKind::Discard => unversioned::<DiscardRecord>(value).is_some(),
        ValueKind::Erasure => erasure_in(key)
            .is_some_and(|id| unversioned::<ErasureRecord>(value).is_some_and(|record| record.erasure(id).is_some())),
        ValueKind::FanOut => length == 16 && value.len() == 4,
        ValueKind::Dead | ValueKind::Owed => {
            delivery_of(value).is_some_and(|delivery| keys::delivery(key.kind(), delivery.id) == *key)
        }
        ValueKind::Health => length == 4 && unversioned::<HealthRecord>(value).is_some(),
        ValueKind::Producer => length == 16 && EventReceipt::decode(value).is_some(),
        ValueKind::Counted => length == 0 && matches!(value, [0 | 1]),
        ValueKind::Thread => length == 16 && is_thread(key, value),
        ValueKind::Latest => length == 16 && value.len() == 16,
        ValueKind::LatestOf => length == 24 && value.len() == 16,
        ValueKind::InOrder => length == 0 && value.is_empty(),
        ValueKind::Message => length == 16 && MessageReceipt::decode(value).is_some(),
        ValueKind::Sequence => length == 4 && value.len() == 8,
        ValueKind::Token => unversioned::<TokenRecord>(value).is_some_and(|record| record.token().is_some()),
        ValueKind::Audit => length == 16 && is_audited(key, value),
        ValueKind::AuditTerm => length == 24 && value.is_empty(),
        ValueKind::Session => SessionRecord::of_value(value).is_some_and(|record| record.session().is_some()),
        ValueKind::SignIn => length == 40 && value.is_empty(),
        ValueKind::PortalLink => unversioned::<PortalLinkRecord>(value).is_some_and(|record| record.link().is_some()),
        ValueKind::Replay => unversioned::<ReplayRecord>(value).is_some(),
        ValueKind::Subscription => !value.is_empty(),
        ValueKind::Call => {
            length == 16 && unversioned::<CallRecord>(value).is_some_and(|record| record.milestones().is_some())
        }
        ValueKind::WithoutWebhook => value.len() == 8 && std::str::from_utf8(key.rest()).is_ok(),
    }
}

/// The erasure that a key belongs to.
pub(crate) fn erasure_in(key: &Key) -> Option<ErasureId> {
    key.rest().get(..16)?.try_into().ok().map(u128::from_be_bytes).map(ErasureId::from_bits)
}

fn is_audited(key: &Key, value: &[u8]) -> bool {
    let entry = unversioned::<AuditRecord>(value).and_then(AuditRecord::entry);
    entry.is_some_and(|entry| keys::audit(entry.id) == *key)
}

fn is_thread(key: &Key, value: &[u8]) -> bool {
    let Some(record) = unversioned::<ThreadRecord>(value) else { return false };
    keys::thread(record.company(), record.call()) == *key && record.conversation().is_some()
}

fn is_group(part: GroupPart, value: &[u8]) -> bool {
    match part {
        GroupPart::Counts => unversioned::<GroupCounts>(value)
            .is_some_and(|group| group.events.iter().all(|(name, _)| EventType::parse(name).is_ok())),
        GroupPart::Outcomes => unversioned::<GroupOutcomes>(value).is_some(),
        GroupPart::Claim | GroupPart::Connect | GroupPart::Talk | GroupPart::Reply => {
            unversioned::<GroupTimes>(value).is_some()
        }
    }
}
