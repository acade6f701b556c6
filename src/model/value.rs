//! The kinds of values in the view: one list, by which `verify` decodes every value, and which says what a running
//! store can do without.
//!
//! A **derived** value repeats what the log has, or can be started anew: the store works without it. An unreadable one
//! is logged, set aside under a key of its own ([`ValueKind::SetAside`]) and replaced:
//!
//! | value | replacement |
//! |---|---|
//! | an SMS thread | the thread in its last message in the log |
//! | a position in the thread order | the thread with that position |
//! | an erasure | its last record in the log |
//! | a subscription's health | computed from its log entries, at start |
//! | counts | recounted, at start |
//! | a company without a webhook | none: recorded when it posts again |
//! | a part of the call report | none: the counts of its hour are lost, and start again |
//! | a call's milestones | none: later events count as another call |
//!
//! Other values must be readable: a store that has lost one is not opened, since it would send wrong data or none. A
//! salvage rebuilds them from the log.

use crate::core::event::EventType;
use crate::core::id::ErasureId;
use crate::model::keys::{self, GroupPart};
use crate::model::progress::{DiscardRecord, ReplayRecord};
use crate::model::receipts::{EventReceipt, MessageReceipt};
use crate::model::record::{
    CallRecord, CheckpointPosition, CountsRecord, ErasureRecord, GroupCounts, GroupOutcomes, GroupTimes, HealthRecord,
    ThreadRecord, TokenRecord, decode, delivery_of, unversioned,
};

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueKind {
    Applied,
    Group,
    Counts,
    Discard,
    Erasure,
    FanOut,
    Dead,
    Health,
    Producer,
    Counted,
    Thread,
    Latest,
    LatestOf,
    InOrder,
    Message,
    Sequence,
    Token,
    Opened,
    Owed,
    Replay,
    Subscription,
    Call,
    WithoutWebhook,
    SetAside,
}

impl ValueKind {
    /// All kinds.
    pub(crate) const ALL: [Self; 24] = [
        Self::Applied,
        Self::Group,
        Self::Counts,
        Self::Discard,
        Self::Erasure,
        Self::FanOut,
        Self::Dead,
        Self::Health,
        Self::Producer,
        Self::Counted,
        Self::Thread,
        Self::Latest,
        Self::LatestOf,
        Self::InOrder,
        Self::Message,
        Self::Sequence,
        Self::Token,
        Self::Opened,
        Self::Owed,
        Self::Replay,
        Self::Subscription,
        Self::Call,
        Self::WithoutWebhook,
        Self::SetAside,
    ];

    /// The kind of a key; `None` if it is unknown.
    pub(crate) fn of(key: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| key.starts_with(kind.prefix()))
    }

    const fn prefix(self) -> &'static [u8] {
        match self {
            Self::Applied => keys::APPLIED,
            Self::Group => &[keys::GROUP],
            Self::Counts => &[keys::COUNTS],
            Self::Discard => &[keys::DISCARD],
            Self::Erasure => &[keys::ERASURE],
            Self::FanOut => &[keys::FAN_OUT],
            Self::Dead => &[keys::DEAD],
            Self::Health => &[keys::HEALTH],
            Self::Producer => &[keys::PRODUCER],
            Self::Counted => keys::COUNTED,
            Self::Thread => &keys::THREAD,
            Self::Latest => &keys::LATEST,
            Self::LatestOf => &keys::LATEST_OF,
            Self::InOrder => keys::IN_ORDER,
            Self::Message => &[keys::MESSAGE],
            Self::Sequence => &[keys::SEQUENCE],
            Self::Token => &[keys::TOKEN],
            Self::Opened => keys::OPENED,
            Self::Owed => &[keys::OWED],
            Self::Replay => &[keys::REPLAY],
            Self::Subscription => &[keys::SUBSCRIPTION],
            Self::Call => &[keys::CALL],
            Self::WithoutWebhook => &[keys::WITHOUT_WEBHOOK],
            Self::SetAside => &[keys::SET_ASIDE],
        }
    }

    /// The name in messages: 'has … that cannot be read'.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Applied => "the checkpoint position",
            Self::Group => "a part of the call report",
            Self::Counts => "the counts of a subscription",
            Self::Discard => "a discard",
            Self::Erasure => "a record of an erasure",
            Self::FanOut => "a fan-out",
            Self::Dead => "a dead letter",
            Self::Health => "the health of a subscription",
            Self::Producer => "a producer's id of an event",
            Self::Counted => "the flag that says whether the counts are valid",
            Self::Thread => "an SMS thread",
            Self::Latest => "a position in the order of SMS threads",
            Self::LatestOf => "a position in the order of a company's SMS threads",
            Self::InOrder => "the flag that says that the order of every company's SMS threads is complete",
            Self::Message => "a producer's id of a message",
            Self::Sequence => "the next sequence number of a subscription",
            Self::Token => "a token of the API",
            Self::Opened => "a count of openings",
            Self::Owed => "a pending delivery",
            Self::Replay => "a replay",
            Self::Subscription => "a subscription",
            Self::Call => "the milestones of a call",
            Self::WithoutWebhook => "a company without a webhook",
            Self::SetAside => "a value that was set aside",
        }
    }

    /// Whether the store works without it.
    pub(crate) const fn is_derived(self) -> bool {
        match self {
            Self::Group | Self::Counts | Self::Erasure | Self::Health | Self::Counted => true,
            Self::Thread | Self::Latest | Self::LatestOf | Self::InOrder | Self::Call => true,
            Self::Opened | Self::WithoutWebhook | Self::SetAside => true,
            // A repeated post is then accepted as new, once.
            Self::Producer | Self::Message => true,
            Self::Applied | Self::Discard | Self::FanOut | Self::Dead | Self::Sequence | Self::Token => false,
            Self::Owed | Self::Replay | Self::Subscription => false,
        }
    }

    /// Whether key and value decode completely. A subscription's value is one piece of several; the whole is checked
    /// when the registry is loaded.
    pub(crate) fn is_readable(self, key: &[u8], value: &[u8]) -> bool {
        match self {
            Self::Applied => decode::<CheckpointPosition>(value).is_some(),
            Self::Group => keys::group_in(key).is_some_and(|(_, _, part)| is_group(part, value)),
            Self::Counts => key.len() == 5 && unversioned::<CountsRecord>(value).is_some(),
            Self::Discard => unversioned::<DiscardRecord>(value).is_some(),
            Self::Erasure => erasure_in(key).is_some_and(|id| {
                unversioned::<ErasureRecord>(value).is_some_and(|record| record.erasure(id).is_some())
            }),
            Self::FanOut => key.len() == 17 && value.len() == 4,
            Self::Dead | Self::Owed => {
                delivery_of(value).is_some_and(|delivery| keys::delivery(key[0], delivery.id) == key)
            }
            Self::Health => key.len() == 5 && unversioned::<HealthRecord>(value).is_some(),
            Self::Producer => key.len() == 17 && EventReceipt::decode(value).is_some(),
            Self::Counted => key == keys::COUNTED && matches!(value, [0 | 1]),
            Self::Thread => key.len() == 18 && is_thread(key, value),
            Self::Latest => key.len() == 18 && value.len() == 16,
            Self::LatestOf => key.len() == 26 && value.len() == 16,
            Self::InOrder => key == keys::IN_ORDER && value.is_empty(),
            Self::Message => key.len() == 17 && MessageReceipt::decode(value).is_some(),
            Self::Sequence => key.len() == 5 && value.len() == 8,
            Self::Token => unversioned::<TokenRecord>(value).is_some_and(|record| record.token().is_some()),
            Self::Opened => key == keys::OPENED && value.len() == 8,
            Self::Replay => unversioned::<ReplayRecord>(value).is_some(),
            Self::Subscription => !value.is_empty(),
            Self::Call => {
                key.len() == 17 && unversioned::<CallRecord>(value).is_some_and(|record| record.milestones().is_some())
            }
            Self::WithoutWebhook => value.len() == 8 && std::str::from_utf8(&key[1..]).is_ok(),
            Self::SetAside => true,
        }
    }
}

/// The erasure that a key belongs to.
pub(crate) fn erasure_in(key: &[u8]) -> Option<ErasureId> {
    key.get(1..17)?.try_into().ok().map(u128::from_be_bytes).map(ErasureId::from_bits)
}

fn is_thread(key: &[u8], value: &[u8]) -> bool {
    let Some(record) = unversioned::<ThreadRecord>(value) else { return false };
    keys::thread(record.company(), record.call()) == key && record.conversation().is_some()
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
