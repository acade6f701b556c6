//! Records: everything that happened, as stored in the log. Each kind of record is defined in its own file ([`Kind`]);
//! this module lists all kinds.
//!
//! A record has an id if it can be looked up by one; ids ascend through the log.

mod audit;
mod call;
pub(crate) mod codec;
mod delivery;
mod delivery_state;
mod ended;
mod entry;
mod erasure;
mod event;
mod fan_out;
mod head;
mod kind;
mod message;
mod portal_link;
mod replay;
mod session;
mod subscription;
mod subscription_removed;
mod subscription_state;
mod target;
mod token;

use crate::core::id::DeliveryId;
use crate::model::error::StoreError;
use crate::model::progress::{DiscardRecord, ReplayRecord};
use crate::model::redaction::{Rule, Subject};
use crate::model::term::Terms;
use crate::model::view::Sink;

pub(crate) use audit::AuditRecord;
pub(crate) use call::{CallRecord, GroupCounts, GroupOutcomes, GroupTimes};
pub(crate) use codec::{VERSION, decode, encode, unversioned, versioned};
pub(crate) use delivery::{CountsRecord, DeliveryRecord, HealthRecord, PriorState, delivery_of, find};
pub(crate) use delivery_state::{Forgotten, Requeued};
pub(crate) use ended::EndedRecord;
pub(crate) use entry::Logged;
pub(crate) use erasure::{ErasureNoted, ErasureRecord};
pub(crate) use event::Accepted;
pub(crate) use fan_out::{FanOutProgress, FanOutRecord};
pub(crate) use head::Head;
pub(crate) use kind::{Class, Disposition, Expired, Frame, Kind, Locked, Memory, Registered, Target, Waits};
pub(crate) use message::{MessageRecord, ThreadGone, ThreadRecord};
pub(crate) use portal_link::{PortalLinkGone, PortalLinkRecord};
pub(crate) use session::{SessionEnded, SessionRecord, SignInUsed};
pub(crate) use subscription::SubscriptionRecord;
pub(crate) use subscription_removed::SubscriptionRemoved;
pub(crate) use subscription_state::SubscriptionStateRecord;
pub(crate) use token::{TokenRecord, TokenRevoked};

/// Generates from the list of kinds: the enum of all records, and dispatch by record or by kind byte.
macro_rules! records {
    ($($name:ident($kind:ty)),+ $(,)?) => {
        /// What happened.
        pub(crate) enum Body {
            $(
                #[doc = concat!("See [`", stringify!($kind), "`].")]
                $name($kind),
            )+
        }

        $(
            impl From<$kind> for Body {
                fn from(record: $kind) -> Self {
                    Self::$name(record)
                }
            }
        )+

        /// Evaluates an expression for the kind of a byte, or `otherwise` for an unknown one.
        macro_rules! of_kind {
            ($byte:expr, |$Kind:ident| $said:expr, $otherwise:expr) => {{
                $(
                    if <$kind as Kind>::KINDS.contains(&$byte) {
                        type $Kind = $kind;
                        return $said;
                    }
                )+
                $otherwise
            }};
        }

        impl Body {
            fn kind(&self) -> u8 {
                match self { $(Self::$name(record) => Kind::kind(record),)+ }
            }

            fn encode(&self, out: &mut Vec<u8>) {
                match self { $(Self::$name(record) => Kind::encode(record, out),)+ }
            }

            fn terms(&self) -> Terms {
                match self { $(Self::$name(record) => Kind::terms(record),)+ }
            }

            fn begins(&self) -> Vec<DeliveryId> {
                match self { $(Self::$name(record) => Kind::begins(record),)+ }
            }

            fn decodes_fully(self, id: u128) -> bool {
                match self { $(Self::$name(record) => Kind::decodes_fully(record, id),)+ }
            }

            fn apply(self, id: u128, target: Target<'_>) -> Option<Self> {
                match self { $(Self::$name(record) => Kind::apply(record, id, target).map(Self::$name),)+ }
            }
        }

        #[cfg(test)]
        /// The bytes of all kinds.
        pub(crate) const KINDS: &[&[u8]] = &[$(<$kind as Kind>::KINDS,)+];
    };
}

records! {
    Accepted(Accepted),
    FanOut(FanOutRecord),
    FanOutProgress(FanOutProgress),
    Logged(Box<Logged>),
    Ended(Box<EndedRecord>),
    Subscription(Box<SubscriptionRecord>),
    SubscriptionRemoved(SubscriptionRemoved),
    SubscriptionState(SubscriptionStateRecord),
    Requeued(Box<Requeued>),
    Forgotten(Forgotten),
    Replay(ReplayRecord),
    Discard(DiscardRecord),
    Message(Box<MessageRecord>),
    ThreadGone(Box<ThreadGone>),
    Token(Box<TokenRecord>),
    TokenRevoked(TokenRevoked),
    Erasure(ErasureNoted),
    Session(Box<SessionRecord>),
    SessionEnded(SessionEnded),
    SignInUsed(SignInUsed),
    PortalLink(Box<PortalLinkRecord>),
    PortalLinkGone(PortalLinkGone),
    Audit(Box<AuditRecord>),
}

/// A record.
pub(crate) struct Record {
    /// The bits of its id; 0 if it has none.
    pub(crate) id: u128,
    /// What happened.
    pub(crate) body: Body,
}

impl<T: Into<Body>> From<T> for Record {
    fn from(body: T) -> Self {
        Self { id: 0, body: body.into() }
    }
}

impl Record {
    /// A record with an id.
    pub(crate) fn of(id: u128, body: impl Into<Body>) -> Self {
        Self { id, body: body.into() }
    }

    /// Decodes a record; `None` if the kind is unknown or the payload invalid.
    pub(crate) fn decode(head: Head, payload: &[u8]) -> Option<Self> {
        fn body(kind: u8, payload: &[u8]) -> Option<Body> {
            of_kind!(kind, |K| <K as Kind>::decode(kind, payload).map(Body::from), None)
        }
        let body = if head.version == VERSION { body(head.kind, payload)? } else { return None };
        Some(Self { id: head.id, body })
    }

    /// Appends it to `sink`; `continues` if the next one belongs to the same atomic unit.
    pub(crate) fn append_to(&self, sink: &mut dyn Sink, continues: bool) {
        let Self { id, body } = self;
        sink.append(body.kind(), *id, continues, body.terms(), &mut |out| body.encode(out));
    }

    /// Applies it; returns itself if the call report needs it.
    #[must_use]
    pub(crate) fn apply(self, target: Target<'_>) -> Option<Self> {
        let Self { id, body } = self;
        body.apply(id, target).map(|body| Self { id, body })
    }

    /// The deliveries that it begins.
    pub(crate) fn begins(&self) -> Vec<DeliveryId> {
        self.body.begins()
    }

    /// Whether it decodes completely.
    pub(crate) fn decodes_fully(self) -> bool {
        self.body.decodes_fully(self.id)
    }
}

/// What an engine needs to know about records, since it does not know their meaning.
#[derive(Clone, Copy)]
pub(crate) struct Schema {
    /// The class of a kind.
    pub(crate) class: fn(u8) -> Class,
    /// The index terms of a record.
    pub(crate) terms: fn(Head, &[u8]) -> Terms,
    /// Whether records of a kind may lack an owner.
    pub(crate) may_be_unowned: fn(u8) -> bool,
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Schema")
    }
}

/// The schema of all kinds of records.
pub(crate) static SCHEMA: Schema = Schema { class, terms, may_be_unowned };

fn class(kind: u8) -> Class {
    of_kind!(kind, |K| <K as Kind>::CLASS, Class::Other)
}

fn terms(head: Head, payload: &[u8]) -> Terms {
    Record::decode(head, payload).map(|record| record.body.terms()).unwrap_or_default()
}

fn may_be_unowned(kind: u8) -> bool {
    EndedRecord::KINDS.contains(&kind)
}

/// The plural of a kind used in messages.
pub(crate) fn name(kind: u8) -> &'static str {
    of_kind!(kind, |K| <K as Kind>::NAME, "others")
}

/// Whether records of a kind grant rights, or change where and with which secrets something is sent.
pub(crate) fn grants_rights(kind: u8) -> bool {
    of_kind!(kind, |K| <K as Kind>::GRANTS_RIGHTS, false)
}

/// What retention does with a record. One that is unreadable, or of a newer version, stays.
pub(crate) fn retained(
    head: Head,
    payload: &[u8],
    expired: &Expired,
    waits: Waits<'_>,
) -> Result<Disposition, StoreError> {
    let frame = Frame { kind: head.kind, id: head.id, payload };
    if head.version != VERSION {
        return Ok(Disposition::Keep);
    }
    of_kind!(frame.kind, |K| <K as Kind>::retain(frame, expired, waits), Ok(Disposition::Keep))
}

/// A record's payload redacted by `rule`; `None` if the rule removes nothing.
pub(crate) fn redacted(head: Head, payload: &[u8], rule: &Rule) -> Option<Vec<u8>> {
    let frame = Frame { kind: head.kind, id: head.id, payload };
    if head.version != VERSION {
        return None;
    }
    of_kind!(frame.kind, |K| <K as Kind>::redact(frame, rule), None)
}

/// Calls `visit` with every person a record is about.
pub(crate) fn subjects(head: Head, payload: &[u8], visit: &mut dyn FnMut(&Subject<'_>)) {
    let frame = Frame { kind: head.kind, id: head.id, payload };
    if head.version == VERSION {
        of_kind!(frame.kind, |K| <K as Kind>::subjects(frame, visit), ());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_stands_for_two_kinds_and_the_known_ones_stay_as_they_are() {
        let mut all: Vec<u8> = KINDS.iter().flat_map(|kinds| kinds.iter().copied()).collect();
        all.sort_unstable();
        let known = [
            1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 32, 33, 34, 35, 36, 37,
            40, 41,
        ];
        assert_eq!(all, known, "these stand on disks");
        assert_eq!(
            (name(24), name(200), class(26), class(200)),
            ("subscriptions", "others", Class::WithEvent, Class::Other)
        );
        let rights: Vec<u8> = (0..=u8::MAX).filter(|kind| grants_rights(*kind)).collect();
        assert_eq!(rights, [3, 4, 6, 7, 9, 17, 20, 21, 24, 27, 32, 34, 36, 41]);
    }
}
