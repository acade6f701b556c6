//! Keys of the view: the kind of a value, and what tells values of a kind apart.
//!
//! An engine keeps values of a kind in the order of the rest of their keys, and decides how the kind is stored. What
//! each kind's keys consist of is in [`keys`](super::keys), what its values are in [`value`](super::value).
//!
//! A **derived** value repeats what the log has, or can be started anew: the store works without it. An unreadable one
//! is logged, set aside and replaced:
//!
//! | value | replacement |
//! |---|---|
//! | an SMS thread | the thread in its last message in the log |
//! | a position in the thread order | the thread with that position |
//! | an erasure | its last record in the log |
//! | a subscription's health | computed from its log entries, at start |
//! | counts | recounted, at start |
//! | a company without a webhook | none: recorded when it posts again |
//! | an entry of the audit, or its place under a term | none |
//! | a part of the call report | none: the counts of its hour are lost, and start again |
//! | a call's milestones | none: later events count as another call |
//! | a session of the page, a portal link | none: somebody signs in again |
//! | a used sign-in at a provider | none |
//!
//! Other values must be readable: a store that has lost one is not opened, since it would send wrong data or none. A
//! salvage rebuilds them from the log.

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ValueKind {
    /// A part of the call report.
    Group,
    /// The number of a subscription's deliveries by state.
    Counts,
    /// A discard in progress.
    Discard,
    /// The progress of an erasure.
    Erasure,
    /// How many events of a fan-out are accepted.
    FanOut,
    /// A dead letter.
    Dead,
    /// A subscription's health.
    Health,
    /// A producer's id of an accepted event.
    Producer,
    /// Whether the counts are as of the last checkpoint (1) or must be recounted (0): a single value.
    Counted,
    /// The SMS thread of a company's call.
    Thread,
    /// A position in the order of threads by their latest message: its thread.
    Latest,
    /// The same, for each company.
    LatestOf,
    /// Whether every company's order of threads is complete: a single value.
    InOrder,
    /// A producer's id of a message.
    Message,
    /// The sequence number of a subscription's next delivery.
    Sequence,
    /// A token of the API.
    Token,
    /// An entry of the audit.
    Audit,
    /// An entry of the audit under one of its terms.
    AuditTerm,
    /// A session of the page.
    Session,
    /// A sign-in at a provider that has been used.
    SignIn,
    /// A portal link.
    PortalLink,
    /// A pending delivery.
    Owed,
    /// A replay in progress.
    Replay,
    /// A piece of a subscription.
    Subscription,
    /// The milestones of a call, for the report.
    Call,
    /// The latest event of a company without a webhook.
    WithoutWebhook,
}

impl ValueKind {
    /// All kinds.
    pub(crate) const ALL: [Self; 26] = [
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
        Self::Audit,
        Self::AuditTerm,
        Self::Session,
        Self::SignIn,
        Self::PortalLink,
        Self::Owed,
        Self::Replay,
        Self::Subscription,
        Self::Call,
        Self::WithoutWebhook,
    ];

    /// The name in messages: 'has … that cannot be read'.
    pub(crate) const fn name(self) -> &'static str {
        match self {
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
            Self::Audit => "an entry of the audit",
            Self::AuditTerm => "the place of an entry of the audit",
            Self::Session => "a session of the page",
            Self::SignIn => "a used sign-in",
            Self::PortalLink => "a portal link",
            Self::Owed => "a pending delivery",
            Self::Replay => "a replay",
            Self::Subscription => "a subscription",
            Self::Call => "the milestones of a call",
            Self::WithoutWebhook => "a company without a webhook",
        }
    }

    /// Whether the store works without it.
    pub(crate) const fn is_derived(self) -> bool {
        match self {
            Self::Group | Self::Counts | Self::Erasure | Self::Health | Self::Counted => true,
            Self::Audit | Self::AuditTerm => true,
            Self::Thread | Self::Latest | Self::LatestOf | Self::InOrder | Self::Call => true,
            Self::WithoutWebhook => true,
            // Somebody has to sign in again.
            Self::Session | Self::PortalLink => true,
            // The provider takes none twice either.
            Self::SignIn => true,
            // A repeated post is then accepted as new, once.
            Self::Producer | Self::Message => true,
            Self::Discard | Self::FanOut | Self::Dead | Self::Sequence | Self::Token => false,
            Self::Owed | Self::Replay | Self::Subscription => false,
        }
    }
}

/// The key of a value. Keys of a kind are ordered by the bytes behind it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    kind: ValueKind,
    rest: Vec<u8>,
}

impl Key {
    /// The key of this kind with these bytes; without any, the key of a single value, or the beginning of all of a
    /// kind.
    pub(crate) const fn new(kind: ValueKind, rest: Vec<u8>) -> Self {
        Self { kind, rest }
    }

    /// The beginning of all keys of a kind, or the key of a single value.
    pub(crate) const fn all(kind: ValueKind) -> Self {
        Self::new(kind, Vec::new())
    }

    /// The kind.
    pub(crate) const fn kind(&self) -> ValueKind {
        self.kind
    }

    /// What tells it apart from others of its kind.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.rest
    }

    /// This key and `more`.
    pub(crate) fn with(mut self, more: &[u8]) -> Self {
        self.rest.extend_from_slice(more);
        self
    }
}
