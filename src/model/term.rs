//! Index keys: what a record is about, and its owner.
//!
//! A key has 49 bits: 26 of the hash of the term, then 23 of the hash of the company. So one company's list is found
//! without reading another's, and what all companies have for one value, such as a call id that is not unique, is
//! contiguous. Different terms may have equal keys, so readers compare the records found.

use crate::core::id::SubscriptionNumber;

/// The number of company bits of a key; a globally unique id uses them for itself.
const OF_COMPANY: u32 = 23;
/// The number of bits of a key.
pub(crate) const BITS: u32 = 49;
/// Instead of a company: the list of all companies together.
const EVERY: u64 = 0;
/// Instead of a company: the record does not name its owner.
const UNKNOWN: u64 = 1;

/// The key of the same term for all companies together: for engines that find a value of all companies by one key.
#[cfg(feature = "postgres")]
pub(crate) const fn of_all_companies(key: u64) -> u64 {
    key & !((1 << OF_COMPANY) - 1)
}

/// What a record may be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Term<'a> {
    /// Every event, log entry and message has it.
    All,
    /// A domain.
    Domain(&'a str),
    /// An event type.
    Type(&'a str),
    /// The source of an event.
    Source(&'a str),
    /// The status of a log entry, or the state in which a delivery ended.
    Status(&'a str),
    /// The status code of a response, or that there was none.
    Response(Option<u16>),
    /// A log entry of a test.
    Test,
    /// A call, by its id.
    Call(&'a str),
    /// A lead's phone number.
    Phone(&'a str),
    /// A subscription, by the bits of its id.
    Subscription(u128),
    /// A delivery, by the bits of its id.
    Delivery(u128),
    /// A delivery to a subscription, by its number.
    Owed(SubscriptionNumber),
    /// An SMS thread, by the bits of its id.
    Thread(u128),
    /// Every entry of the audit has it.
    Audited,
    /// Who did something: a kind of actor, an id or a name.
    Actor(&'a str),
    /// What was done.
    Action(&'a str),
    /// The subscription that something was done to, by the bits of its id.
    Concerned(u128),
}

/// The index lists to read for a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// One list.
    One(u64),
    /// Two lists: the company's, and that of records without an owner.
    Two(u64, u64),
    /// All lists from the first key to the second, inclusive.
    Range(u64, u64),
}

impl<'a> Term<'a> {
    /// FNV-1a over a letter for the kind and the value, followed by a finalizer. Stable, since it is stored on disk.
    fn hash(self) -> u64 {
        let (letter, bytes): (u8, &[u8]) = match &self {
            Self::All => (b'a', &[]),
            Self::Domain(text) => (b'w', text.as_bytes()),
            Self::Type(text) => (b'y', text.as_bytes()),
            Self::Source(text) => (b'q', text.as_bytes()),
            Self::Status(text) => (b'x', text.as_bytes()),
            Self::Response(code) => (b'r', &code.unwrap_or(0).to_le_bytes()),
            Self::Test => (b'e', &[]),
            Self::Call(text) => (b'c', text.as_bytes()),
            Self::Phone(text) => (b'p', text.as_bytes()),
            Self::Subscription(bits) => (b's', &bits.to_le_bytes()),
            Self::Delivery(bits) => (b'd', &bits.to_le_bytes()),
            Self::Owed(number) => (b'o', &number.get().to_le_bytes()),
            Self::Thread(bits) => (b't', &bits.to_le_bytes()),
            Self::Audited => (b'u', &[]),
            Self::Actor(text) => (b'k', text.as_bytes()),
            Self::Action(text) => (b'n', text.as_bytes()),
            Self::Concerned(bits) => (b'z', &bits.to_le_bytes()),
        };
        fnv(letter, bytes)
    }

    /// Whether it is a globally unique id.
    const fn is_unique(self) -> bool {
        matches!(self, Self::Delivery(_) | Self::Owed(_) | Self::Thread(_))
    }

    /// Whether there is a list of all companies together: for terms with few values.
    const fn is_listed_together(self) -> bool {
        match self {
            Self::All | Self::Type(_) | Self::Source(_) | Self::Status(_) | Self::Response(_) | Self::Test => true,
            // Few things are audited.
            Self::Audited | Self::Actor(_) | Self::Action(_) | Self::Concerned(_) => true,
            Self::Domain(_) | Self::Call(_) | Self::Phone(_) | Self::Subscription(_) => false,
            Self::Delivery(_) | Self::Owed(_) | Self::Thread(_) => false,
        }
    }

    fn with(self, company: u64) -> u64 {
        let hash = self.hash();
        let low = if self.is_unique() { hash & ((1 << OF_COMPANY) - 1) } else { company };
        ((hash >> (64 - BITS + OF_COMPANY)) << OF_COMPANY) | low
    }

    /// The lists of a company, or of all companies.
    pub(crate) fn lookup(self, company: Option<&Owner>) -> Lookup {
        match company {
            _ if self.is_unique() => Lookup::One(self.with(EVERY)),
            Some(Owner(company)) => Lookup::One(self.with(*company)),
            None if self.is_listed_together() => Lookup::One(self.with(EVERY)),
            None => Lookup::Range(self.with(0), self.with((1 << OF_COMPANY) - 1)),
        }
    }

    /// The same, including records without an owner.
    pub(crate) fn lookup_with_unknown(self, company: Option<&Owner>) -> Lookup {
        match self.lookup(company) {
            Lookup::One(key) if !self.is_unique() && company.is_some() => Lookup::Two(key, self.with(UNKNOWN)),
            other => other,
        }
    }
}

/// The owner of a record, as part of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner(u64);

impl Owner {
    /// No owner is known.
    pub(crate) const UNKNOWN: Self = Self(UNKNOWN);

    /// A company.
    pub(crate) fn company(company: &str) -> Self {
        Self((fnv(b'C', company.as_bytes()) & ((1 << OF_COMPANY) - 1)).max(UNKNOWN + 1))
    }

    /// The keys of this owner's records about `about`.
    pub(crate) fn keys<'a>(self, about: impl IntoIterator<Item = Term<'a>>) -> Vec<u64> {
        let mut keys = Vec::with_capacity(32);
        for key in about {
            if key.is_listed_together() {
                keys.push(key.with(EVERY));
            }
            keys.push(key.with(self.0));
        }
        keys
    }
}

fn fnv(letter: u8, bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = bytes.iter().fold(step(0xcbf2_9ce4_8422_2325, &letter), step);
    // The last byte hardly affects FNV's upper bits (this is the finalizer of MurmurHash3).
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

/// The index data of a record.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Its [keys](Term).
    pub(crate) keys: Vec<u64>,
    /// The time that lists filter by, in milliseconds; `None` if it has none.
    pub(crate) at: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_stable_on_disk() {
        let keys = Owner::company("acme").keys([Term::All, Term::Call("c-1"), Term::Delivery(7)]);
        assert_eq!(keys, [522_280_396_390_400, 522_280_397_137_097, 418_120_980_980_937, 78_953_770_507_838]);
    }

    #[test]
    fn a_value_is_contiguous_over_all_companies() {
        let key = |company: &str, call| Owner::company(company).keys([Term::Call(call)])[0];
        let Lookup::Range(first, last) = Term::Call("c-1").lookup(None) else { panic!("a range") };
        for number in 0..10_000 {
            let company = format!("company-{number}");
            let inside = |key| (first..=last).contains(&key);
            assert!(inside(key(&company, "c-1")) && !inside(key(&company, "c-2")), "{company}");
            let whose = Owner::company(&company);
            assert_eq!(Term::Call("c-1").lookup(Some(&whose)), Lookup::One(key(&company, "c-1")));
        }
        assert!(last < 1 << BITS);
        assert_eq!(Term::Delivery(7).lookup(None), Term::Delivery(7).lookup(Some(&Owner::company("a"))));
    }
}
