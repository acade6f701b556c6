//! What has to be said of a kind of record, in the kind's own file: its versions, how it stands in bytes, under which terms
//! it is found, what it changes, and what retention and erasure leave of it.
//!
//! Nothing has a default: a new kind does not compile until each of these is answered. The list of all kinds is in
//! [`record`](super).

use std::sync::Arc;

use crate::core::delivery::State;
use crate::core::event::Company;
use crate::core::id::{DeliveryId, TokenId};
use crate::core::seal::{Fingerprint, Keyring};
use crate::core::subscription::Subscription;
use crate::core::time::Timestamp;
use crate::core::token::Token;
use crate::model::error::StoreError;
use crate::model::progress::{DiscardRecord, ReplayRecord};
use crate::model::redaction::{Rule, Subject};
use crate::model::segment::{Class, Disposition, Due};
use crate::model::standing::Health;
use crate::model::term::Terms;
use crate::model::view::ViewMut;

/// A record as the log has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'f> {
    /// The byte of its kind.
    pub(crate) kind: u8,
    /// The bits of its id; 0 if it has none.
    pub(crate) id: u128,
    /// The record itself.
    pub(crate) payload: &'f [u8],
}

/// What records change in memory: the registry of subscriptions and tokens.
pub(crate) trait Memory: Sync {
    /// What secrets are sealed and opened with.
    fn keys(&self) -> Arc<Keyring>;
    /// A subscription is so from now on.
    fn put_subscription(&self, subscription: Registered);
    /// Nothing is left of a deleted subscription. Gives the ids of its replays.
    fn remove_subscription(&self, number: u32) -> Vec<u128>;
    /// The sequence number that a subscription's next delivery gets.
    fn set_next_sequence(&self, number: u32, next: u64);
    /// How a subscription's attempts have gone.
    fn set_health(&self, number: u32, health: Health);
    /// A delivery of a subscription stands elsewhere from now on; `None` for nowhere.
    fn moved(&self, number: u32, from: Option<State>, to: Option<State>);
    /// A delivery that may be older than all that wait for a subscription waits again.
    fn requeued(&self, number: u32);
    /// A replay stands so from now on.
    fn put_replay(&self, replay: ReplayRecord);
    /// A discard stands so from now on.
    fn put_discard(&self, discard: DiscardRecord);
    /// A token is so from now on.
    fn put_token(&self, token: Token);
    /// A token is no longer good.
    fn remove_token(&self, id: TokenId);
    /// An event of a company was accepted that no subscription takes.
    fn note_unserved(&self, company: &Company, at: Timestamp, view: &dyn ViewMut);
}

/// A subscription as the registry has it.
#[derive(Debug)]
pub(crate) struct Registered {
    /// Without secrets and disabled, if they could not be opened.
    pub(crate) subscription: Subscription,
    /// Deleted, and kept until its deliveries are cancelled.
    pub(crate) deleted: bool,
    /// Its record, if its secrets could not be opened.
    pub(crate) locked: Option<Locked>,
    /// Whether its record could be opened and is not sealed with the key that seals.
    pub(crate) stale: bool,
}

/// The record of a subscription whose secrets could not be opened: it is kept as it is.
#[derive(Debug, Clone)]
pub(crate) struct Locked {
    /// As it stands in the view.
    pub(crate) value: Vec<u8>,
    /// The key that its secrets are sealed with.
    pub(crate) key: Option<Fingerprint>,
    /// Whether deliveries would flow, by what it says.
    pub(crate) enabled: bool,
}

/// What a record is applied to.
#[derive(Clone, Copy)]
pub(crate) struct Target<'t> {
    /// What is true now.
    pub(crate) view: &'t dyn ViewMut,
    /// What of it is in memory.
    pub(crate) memory: &'t dyn Memory,
}

/// Whether a delivery waits or is a dead letter.
pub(crate) type Waits<'w> = &'w mut dyn FnMut(DeliveryId) -> Result<bool, StoreError>;

/// A kind of record.
pub(crate) trait Kind: Sized {
    /// The bytes of the kind, one for each version of its form; the first is the oldest.
    const KINDS: &'static [u8];
    /// What several of them are called in messages.
    const NAME: &'static str;
    /// What it is to the statistics and lists of its file.
    const CLASS: Class;
    /// Whether it grants rights, or changes where and with which secrets something is sent: behind damage in a file of
    /// version 1, whose checksums a stranger can make, it is not believed.
    const GRANTS_RIGHTS: bool;

    /// The byte of the kind as which it is written.
    fn kind(&self) -> u8;
    /// Appends the payload.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads a payload.
    fn decode(kind: u8, payload: &[u8]) -> Option<Self>;
    /// The terms under which it is found.
    fn terms(&self) -> Terms;
    /// Whether every part of it can be read.
    fn is_sound(self, id: u128) -> bool;
    /// Makes its changes in the view and in memory; gives itself back if the call report takes it in. Applying it twice
    /// changes nothing more: every change is an absolute one, and during recovery none depends on what it finds, for the
    /// view may be of a later time.
    fn apply(self, id: u128, target: Target<'_>) -> Option<Self>;
    /// What retention leaves of it.
    fn retain(frame: Frame<'_>, due: &Due, waits: Waits<'_>) -> Result<Disposition, StoreError>;
    /// What is left of its payload without what `rule` takes out; `None` if that is nothing.
    fn redact(frame: Frame<'_>, rule: &Rule) -> Option<Vec<u8>>;
    /// Hands all of whom it speaks to `visit`.
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

    fn is_sound(self, id: u128) -> bool {
        T::is_sound(*self, id)
    }

    fn apply(self, id: u128, target: Target<'_>) -> Option<Self> {
        T::apply(*self, id, target).map(Self::new)
    }

    fn retain(frame: Frame<'_>, due: &Due, waits: Waits<'_>) -> Result<Disposition, StoreError> {
        T::retain(frame, due, waits)
    }

    fn redact(frame: Frame<'_>, rule: &Rule) -> Option<Vec<u8>> {
        T::redact(frame, rule)
    }

    fn subjects(frame: Frame<'_>, visit: &mut dyn FnMut(&Subject<'_>)) {
        T::subjects(frame, visit);
    }
}

/// States that a kind of record has nothing personal in it, so that an erasure takes nothing out.
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

/// States that retention drops records of a kind at once: they are written again in a later file, or the view has them.
macro_rules! kept_by_the_view {
    () => {
        fn retain(
            _: $crate::model::record::kind::Frame<'_>,
            _: &$crate::model::segment::Due,
            _: $crate::model::record::kind::Waits<'_>,
        ) -> Result<$crate::model::segment::Disposition, $crate::model::error::StoreError> {
            Ok($crate::model::segment::Disposition::Drop)
        }
    };
}

/// States that records of a kind stay until their file is the oldest: an older one may have what they end.
macro_rules! kept_until_oldest {
    () => {
        fn retain(
            _: $crate::model::record::kind::Frame<'_>,
            due: &$crate::model::segment::Due,
            _: $crate::model::record::kind::Waits<'_>,
        ) -> Result<$crate::model::segment::Disposition, $crate::model::error::StoreError> {
            Ok($crate::model::segment::Disposition::keep_if(!due.oldest))
        }
    };
}

pub(crate) use {kept_by_the_view, kept_until_oldest, nothing_personal};
