//! Ids: a prefix for the kind, and a ULID with the time of creation.
//!
//! Uses neither clock nor randomness: both are arguments. Ids from one [`IdSource`] are unique and strictly
//! ascending, whatever the wall clock does; lookup by id in the write-ahead log relies on that.

use std::fmt;
use std::str::FromStr;

use ulid::Ulid;

use super::time::Timestamp;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// The prefix of such an id, including the underscore.
            pub const PREFIX: &'static str = concat!($prefix, "_");

            /// The id with these 128 bits.
            pub const fn from_bits(bits: u128) -> Self {
                Self(bits)
            }

            /// The 128 bits of the ULID: 48 of milliseconds, 80 that distinguish ids of one millisecond.
            pub const fn bits(self) -> u128 {
                self.0
            }

            /// When the id was created.
            pub const fn timestamp(self) -> Timestamp {
                Timestamp::from_millis((self.0 >> 80) as u64)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", Self::PREFIX, Ulid(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let ulid = text.strip_prefix(Self::PREFIX).and_then(parse_ulid);
                ulid.map(Self).ok_or(BadId { prefix: Self::PREFIX })
            }
        }
    };
}

id!(
    /// An accepted event (`evt_…`); also the `webhook-id` of its deliveries.
    EventId, "evt"
);
id!(
    /// A subscription (`sub_…`).
    SubscriptionId, "sub"
);
id!(
    /// A delivery (`dlv_…`). Its ULID contains the time of acceptance, the subscription's
    /// [number](SubscriptionNumber) and the sequence number, so the store finds a delivery by id without an index.
    DeliveryId, "dlv"
);
id!(
    /// A log entry (`att_…`).
    AttemptId, "att"
);
id!(
    /// An SMS (`msg_…`) that the platform posted without its own id.
    MessageId, "msg"
);
id!(
    /// The SMS thread of a call (`conv_…`).
    ConversationId, "conv"
);
id!(
    /// An erasure of a person's data (`ers_…`).
    ErasureId, "ers"
);
id!(
    /// An API key (`tok_…`).
    TokenId, "tok"
);
id!(
    /// A session of the page (`ses_…`).
    SessionId, "ses"
);
id!(
    /// A portal link (`lnk_…`).
    PortalLinkId, "lnk"
);

id!(
    /// An entry of the audit (`aud_…`).
    AuditId, "aud"
);
id!(
    /// An alert (`alr_…`).
    AlertId, "alr"
);

/// A subscription's number: the short name by which keys, records and delivery ids refer to it.
///
/// A store numbers its subscriptions 1, 2, 3 and so on, up to [`u32::MAX`], in order of their creation. A number is
/// never given again, not even after its subscription was deleted: events still have deliveries with it in their ids.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SubscriptionNumber(u32);

impl SubscriptionNumber {
    /// Below every subscription's number: where a walk over all of them begins.
    pub const ZERO: Self = Self(0);
    /// The number of a store's first subscription.
    pub const FIRST: Self = Self(1);

    /// The subscription number `number`.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number as an integer.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The number one above; `None` above the largest.
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(next) => Some(Self(next)),
            None => None,
        }
    }
}

impl fmt::Display for SubscriptionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for SubscriptionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an id of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadId {
    prefix: &'static str,
}

impl fmt::Display for BadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "must be `{}` and 26 characters of a ULID", self.prefix)
    }
}

/// A ULID in its canonical form: 26 upper-case characters of Crockford's base 32.
fn parse_ulid(text: &str) -> Option<u128> {
    let ulid = Ulid::from_string(text).ok()?;
    (ulid.to_string() == text).then_some(ulid.0)
}

/// The largest sequence number of a [`DeliveryId`] (48 bits).
pub const MAX_SEQUENCE: u64 = (1 << 48) - 1;

impl DeliveryId {
    /// The id of delivery `sequence` (1 to [`MAX_SEQUENCE`]) of the subscription numbered `subscription`, for an
    /// event accepted at `accepted`.
    pub const fn new(accepted: Timestamp, subscription: SubscriptionNumber, sequence: u64) -> Self {
        let time = (accepted.millis() as u128) << 80;
        Self(time | ((subscription.0 as u128) << 48) | (sequence & MAX_SEQUENCE) as u128)
    }

    /// The number of its subscription.
    pub const fn subscription_number(self) -> SubscriptionNumber {
        SubscriptionNumber((self.0 >> 48) as u32)
    }

    /// The subscription's sequence number, given at acceptance.
    pub const fn sequence(self) -> u64 {
        (self.0 as u64) & MAX_SEQUENCE
    }
}

/// Creates strictly ascending ids, even if the clock stands still or runs backwards.
#[derive(Debug, Clone)]
pub struct IdSource {
    last: u128,
}

impl IdSource {
    /// A source whose first id is greater than `last`.
    pub const fn after(last: u128) -> Self {
        Self { last }
    }

    /// The next id: of the time `now` with `random` (80 bits are used), or one above the previous id if that is of
    /// the same millisecond or later (ULID specification, "monotonicity").
    pub fn next(&mut self, now: Timestamp, random: impl FnOnce() -> u128) -> u128 {
        let now = u128::from(now.millis());
        self.last = if now > self.last >> 80 { (now << 80) | (random() >> 48) } else { self.last + 1 };
        self.last
    }

    /// Makes later ids greater than `last`, which somebody else has created.
    pub const fn advance(&mut self, last: u128) {
        if self.last < last {
            self.last = last;
        }
    }

    /// The last id created.
    pub const fn last(&self) -> u128 {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_from_its_text_and_only_from_that() {
        let id = EventId::from_bits(0x0199_0000_0000_1234_5678_9abc_def0_1122);
        let text = id.to_string();
        assert_eq!(text.len(), 30);
        assert_eq!(text.parse::<EventId>(), Ok(id));
        assert!(text.parse::<SubscriptionId>().is_err());
        assert!(text.to_lowercase().parse::<EventId>().is_err());
        for wrong in ["", "evt_", "evt_1", &text[4..], "evt_81234567890123456789012345"] {
            assert!(wrong.parse::<EventId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_delivery_id_contains_its_keys() {
        let at = Timestamp::from_millis(1_790_000_000_123);
        let number = SubscriptionNumber::new(u32::MAX);
        let id = DeliveryId::new(at, number, MAX_SEQUENCE);
        assert_eq!(id.timestamp(), at);
        assert_eq!(id.subscription_number(), number);
        assert_eq!(id.sequence(), MAX_SEQUENCE);
        assert_eq!(id.to_string().parse::<DeliveryId>(), Ok(id));
    }

    #[test]
    fn numbers_of_subscriptions_ascend_to_the_largest_and_read_as_integers() {
        let (first, last) = (SubscriptionNumber::FIRST, SubscriptionNumber::new(u32::MAX));
        assert_eq!(SubscriptionNumber::ZERO.next(), Some(first));
        assert!(SubscriptionNumber::ZERO < first && first < last);
        assert_eq!(last.next(), None);
        assert_eq!(format!("{first} {last:?}"), "1 4294967295");
    }

    #[test]
    fn ids_ascend_when_the_clock_runs_backwards() {
        let mut source = IdSource::after(0);
        let mut before = 0;
        for (step, millis) in [5_000u64, 5_000, 4_000, 0, 5_001].into_iter().enumerate() {
            let id = source.next(Timestamp::from_millis(millis), || (step as u128) << 60);
            assert!(id > before, "step {step}");
            before = id;
        }
    }
}
