//! What every kind of record defines, in its own file: versions, encoding, index terms, effect, and what retention and
//! erasure leave of it.
//!
//! There are no defaults: a new kind does not compile until each of these is answered. The list of all kinds is in
//! [`record`](super).

use std::sync::Arc;

use crate::core::delivery::State;
use crate::core::event::Company;
use crate::core::id::{DeliveryId, PortalLinkId, SessionId, SubscriptionNumber, TokenId};
use crate::core::portal_link::PortalLink;
use crate::core::seal::{Fingerprint, Keyring};
use crate::core::session::Session;
use crate::core::subscription::Subscription;
use crate::core::time::Timestamp;
use crate::core::token::Token;
use crate::model::error::StoreError;
use crate::model::health::Health;
use crate::model::progress::{DiscardRecord, ReplayRecord};
use crate::model::redaction::{Rule, Subject};
use crate::model::term::Terms;
use crate::model::view::ViewMut;

/// A record as stored in the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'f> {
    /// The byte of its kind.
    pub(crate) kind: u8,
    /// The bits of its id; 0 if it has none.
    pub(crate) id: u128,
    /// The encoded record.
    pub(crate) payload: &'f [u8],
}

/// The class of a record: what it counts as, and with what it expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// An event.
    Event,
    /// Expires with its event.
    WithEvent,
    /// A log entry.
    LogEntry,
    /// A message.
    Message,
    /// Anything else.
    Other,
}

/// What has expired of the records that retention looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expired {
    /// Whether no older records are left.
    pub(crate) oldest: bool,
    /// Log entries with ids below have expired.
    pub(crate) log_below: u128,
    /// Events with ids below have expired.
    pub(crate) events_below: u128,
    /// Messages with ids below have expired.
    pub(crate) messages_below: u128,
}

/// What to do with a record.
pub(crate) enum Disposition {
    /// Keep it.
    Keep,
    /// Drop it.
    Drop,
    /// Replace it, under the same id, by this kind with this payload.
    Replace(u8, Vec<u8>),
}

impl Disposition {
    /// Keeps the record if `kept`.
    pub(crate) const fn keep_if(kept: bool) -> Self {
        if kept { Self::Keep } else { Self::Drop }
    }
}

/// The in-memory state that records change: the registry of subscriptions, tokens and sessions.
pub(crate) trait Memory: Sync {
    /// The keys that seal and open secrets.
    fn keys(&self) -> Arc<Keyring>;
    /// Registers a new or changed subscription.
    fn put_subscription(&self, subscription: Registered);
    /// Removes a deleted subscription; returns the ids of its replays.
    fn remove_subscription(&self, number: SubscriptionNumber) -> Vec<u128>;
    /// Sets a subscription's next sequence number.
    fn set_next_sequence(&self, number: SubscriptionNumber, next: u64);
    /// Sets a subscription's health.
    fn set_health(&self, number: SubscriptionNumber, health: Health);
    /// Updates the counts for a delivery that changes state; `None` is none of the counted states.
    fn moved(&self, number: SubscriptionNumber, from: Option<State>, to: Option<State>);
    /// A delivery was requeued that may be older than the pending ones of its subscription.
    fn requeued(&self, number: SubscriptionNumber);
    /// Updates a replay.
    fn put_replay(&self, replay: ReplayRecord);
    /// Updates a discard.
    fn put_discard(&self, discard: DiscardRecord);
    /// Adds or updates a token.
    fn put_token(&self, token: Token);
    /// Removes a token.
    fn remove_token(&self, id: TokenId);
    /// Adds or updates a session of the page.
    fn put_session(&self, session: Session);
    /// Removes a session of the page.
    fn remove_session(&self, id: SessionId);
    /// Adds or updates a portal link.
    fn put_portal_link(&self, link: PortalLink);
    /// Removes a portal link.
    fn remove_portal_link(&self, id: PortalLinkId);
    /// An event of a company was accepted that matches no subscription.
    fn note_without_webhook(&self, company: &Company, at: Timestamp, view: &dyn ViewMut);
}

/// A subscription for the registry.
#[derive(Debug)]
pub(crate) struct Registered {
    /// Without secrets, and disabled, if they could not be opened.
    pub(crate) subscription: Subscription,
    /// Deleted, and kept until its deliveries are cancelled.
    pub(crate) deleted: bool,
    /// Its record, if its secrets could not be opened.
    pub(crate) locked: Option<Locked>,
    /// Whether its record could be opened but is not sealed with the current key.
    pub(crate) stale: bool,
}

/// The record of a subscription whose secrets could not be opened: it is kept unchanged.
#[derive(Debug, Clone)]
pub(crate) struct Locked {
    /// The value in the view.
    pub(crate) value: Vec<u8>,
    /// The key that sealed its secrets.
    pub(crate) key: Option<Fingerprint>,
    /// Whether it would be enabled otherwise.
    pub(crate) enabled: bool,
}

/// What a record is applied to.
#[derive(Clone, Copy)]
pub(crate) struct Target<'t> {
    /// The view.
    pub(crate) view: &'t dyn ViewMut,
    /// The in-memory state.
    pub(crate) memory: &'t dyn Memory,
}

/// Whether a delivery is pending or a dead letter.
pub(crate) type Waits<'w> = &'w mut dyn FnMut(DeliveryId) -> Result<bool, StoreError>;

/// A kind of record.
pub(crate) trait Kind: Sized {
    /// The bytes of the kind, one per version of its encoding, oldest first.
    const KINDS: &'static [u8];
    /// The plural used in messages.
    const NAME: &'static str;
    /// Its class.
    const CLASS: Class;
    /// Whether it grants rights, or changes where and with which secrets something is sent. After damage in a segment
    /// of version 1, whose checksums can be forged, such a record is not trusted.
    const GRANTS_RIGHTS: bool;

    /// The byte of the kind under which it is written.
    fn kind(&self) -> u8;
    /// Appends the payload.
    fn encode(&self, out: &mut Vec<u8>);
    /// Decodes a payload.
    fn decode(kind: u8, payload: &[u8]) -> Option<Self>;
    /// The terms under which it is indexed.
    fn terms(&self) -> Terms;
    /// The deliveries that it begins.
    fn begins(&self) -> Vec<DeliveryId>;
    /// Whether it decodes completely.
    fn decodes_fully(self, id: u128) -> bool;
    /// Applies it to the view and the memory; returns itself if the call report needs it. Applying is idempotent: every
    /// change is absolute, and during recovery none depends on the current value, since the view may be of a later
    /// time.
    fn apply(self, id: u128, target: Target<'_>) -> Option<Self>;
    /// What retention does with it.
    fn retain(frame: Frame<'_>, expired: &Expired, waits: Waits<'_>) -> Result<Disposition, StoreError>;
    /// Its payload redacted by `rule`; `None` if the rule removes nothing.
    fn redact(frame: Frame<'_>, rule: &Rule) -> Option<Vec<u8>>;
    /// Calls `visit` with every person it is about.
    fn subjects(frame: Frame<'_>, visit: &mut dyn FnMut(&Subject<'_>));
}

impl<T: Kind> Kind for Box<T> {
    const KINDS: &'static [u8] = T::KINDS;
    const NAME: &'static str = T::NAME;
    const CLASS: Class = T::CLASS;
    const GRANTS_RIGHTS: bool = T::GRANTS_RIGHTS;

    fn kind(&self) -> u8 {
        T::kind(self)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        T::encode(self, out);
    }

    fn decode(kind: u8, payload: &[u8]) -> Option<Self> {
        T::decode(kind, payload).map(Self::new)
    }

    fn terms(&self) -> Terms {
        T::terms(self)
    }

    fn begins(&self) -> Vec<DeliveryId> {
        (**self).begins()
    }

    fn decodes_fully(self, id: u128) -> bool {
        T::decodes_fully(*self, id)
    }

    fn apply(self, id: u128, target: Target<'_>) -> Option<Self> {
        T::apply(*self, id, target).map(Self::new)
    }

    fn retain(frame: Frame<'_>, expired: &Expired, waits: Waits<'_>) -> Result<Disposition, StoreError> {
        T::retain(frame, expired, waits)
    }

    fn redact(frame: Frame<'_>, rule: &Rule) -> Option<Vec<u8>> {
        T::redact(frame, rule)
    }

    fn subjects(frame: Frame<'_>, visit: &mut dyn FnMut(&Subject<'_>)) {
        T::subjects(frame, visit);
    }
}

/// Declares that a kind has one version, of this kind byte, whose payload is the encoded value.
macro_rules! encoded_as_itself {
    ($kind:literal) => {
        const KINDS: &'static [u8] = &[$kind];

        fn kind(&self) -> u8 {
            $kind
        }

        fn encode(&self, out: &mut Vec<u8>) {
            $crate::model::record::codec::encode_into(out, self);
        }

        fn decode(_: u8, payload: &[u8]) -> Option<Self> {
            $crate::model::record::codec::decode(payload)
        }
    };
}

/// Declares that a kind has one version, of this kind byte, whose payload is the id that the value consists of.
macro_rules! encoded_as_id {
    ($kind:literal, $id:ty) => {
        const KINDS: &'static [u8] = &[$kind];

        fn kind(&self) -> u8 {
            $kind
        }

        fn encode(&self, out: &mut Vec<u8>) {
            $crate::model::record::codec::encode_into(out, &self.0.bits());
        }

        fn decode(_: u8, payload: &[u8]) -> Option<Self> {
            $crate::model::record::codec::decode(payload).map(|bits| Self(<$id>::from_bits(bits)))
        }
    };
}

/// Declares that records of a kind are found by no term.
macro_rules! not_indexed {
    () => {
        fn terms(&self) -> $crate::model::term::Terms {
            $crate::model::term::Terms::default()
        }
    };
}

/// Declares that records of a kind begin no delivery.
macro_rules! begins_no_delivery {
    () => {
        fn begins(&self) -> Vec<$crate::core::id::DeliveryId> {
            Vec::new()
        }
    };
}

/// Declares that nothing in a kind is left to be decoded after [`Kind::decode`].
macro_rules! complete_if_decoded {
    () => {
        fn decodes_fully(self, _: u128) -> bool {
            true
        }
    };
}

/// Declares that a kind has no personal data, so that erasures do not change it.
macro_rules! nothing_personal {
    () => {
        fn redact(_: $crate::model::record::kind::Frame<'_>, _: &$crate::model::redaction::Rule) -> Option<Vec<u8>> {
            None
        }

        fn subjects(
            _: $crate::model::record::kind::Frame<'_>,
            _: &mut dyn FnMut(&$crate::model::redaction::Subject<'_>),
        ) {
        }
    };
}

/// Declares that retention drops records of a kind at once: a later segment repeats them, or the view has them.
macro_rules! kept_by_the_view {
    () => {
        fn retain(
            _: $crate::model::record::kind::Frame<'_>,
            _: &$crate::model::record::Expired,
            _: $crate::model::record::kind::Waits<'_>,
        ) -> Result<$crate::model::record::Disposition, $crate::model::error::StoreError> {
            Ok($crate::model::record::Disposition::Drop)
        }
    };
}

/// Declares that records of a kind stay until their segment is the oldest: an older one may have what they end.
macro_rules! kept_until_oldest {
    () => {
        fn retain(
            _: $crate::model::record::kind::Frame<'_>,
            expired: &$crate::model::record::Expired,
            _: $crate::model::record::kind::Waits<'_>,
        ) -> Result<$crate::model::record::Disposition, $crate::model::error::StoreError> {
            Ok($crate::model::record::Disposition::keep_if(!expired.oldest))
        }
    };
}

pub(crate) use {
    begins_no_delivery, complete_if_decoded, encoded_as_id, encoded_as_itself, kept_by_the_view, kept_until_oldest,
    not_indexed, nothing_personal,
};
