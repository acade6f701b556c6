//! Findings of the offline operations: counts, faults, and losses.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::core::id::SubscriptionId;
use crate::core::time::Timestamp;
use crate::model::registry::SubscriptionState;

/// All faults are counted; up to this many are listed.
const FAULTS_LISTED: usize = 1000;

/// A deviation from what must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The file, relative to the directory; empty for the file given to the command.
    pub file: String,
    /// The byte at which it begins, if known.
    pub byte: Option<u64>,
    /// The problem, as a predicate without a subject: 'is damaged'.
    pub what: String,
    /// Whether a daemon continues without the value, and rebuilds it where possible.
    pub derived: bool,
}

/// The contents and the faults of a store.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Findings {
    /// When the backup was taken, RFC 3339; absent for a directory.
    pub taken_at: Option<String>,
    /// The version of the program that took it.
    pub taken_by: Option<String>,
    /// Segments.
    pub files: u64,
    /// Bytes of frames, or of the whole backup.
    pub bytes: u64,
    /// Accepted events.
    pub events: u64,
    /// Log entries.
    pub log_entries: u64,
    /// Other records: changes of subscriptions, deliveries queued again by hand.
    pub other_records: u64,
    /// Outstanding deliveries that were not attempted yet.
    pub pending: u64,
    /// Outstanding deliveries that were attempted.
    pub retrying: u64,
    /// Dead letters.
    pub failed: u64,
    /// The subscriptions, in order of creation.
    pub subscriptions: Vec<Receiver>,
    /// Subscriptions with sealed secrets, which were not opened.
    pub sealed: u64,
    /// The fingerprints of the keys that they are sealed with.
    pub sealed_with: BTreeSet<String>,
    /// Bytes of a torn write at the end of the WAL; none of it was acknowledged, and the next start truncates it.
    pub torn_bytes: u64,
    /// The number of faults.
    pub faults_total: u64,
    /// How many of them concern derived values, without which a daemon continues.
    #[serde(skip)]
    pub derived_total: u64,
    /// The listed faults.
    pub faults: Vec<Fault>,
}

/// A subscription and its outstanding deliveries.
#[derive(Debug, Clone, Serialize)]
pub struct Receiver {
    /// Its id.
    #[serde(serialize_with = "as_text")]
    pub id: SubscriptionId,
    /// Its owner.
    pub company: String,
    /// Scheme, host and port of its URL; the rest may contain secrets.
    pub url: String,
    /// Whether its deliveries are sent, or wait until it is enabled.
    pub enabled: bool,
    /// Outstanding deliveries.
    pub owed: u64,
    /// Dead letters.
    pub failed: u64,
}

fn as_text<S: serde::Serializer>(id: &SubscriptionId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

/// The result of a salvage.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Salvaged {
    /// The contents of the new directory. The faults are those of the old one.
    pub kept: Findings,
    /// Bytes of the WAL that could not be read, and are not in the new directory.
    pub lost_bytes: u64,
    /// The number of gaps that they form.
    pub gaps: u64,
    /// Whether the state was rebuilt from the WAL, because its database could not be read or contradicted the WAL.
    pub state_rebuilt: bool,
    /// Outstanding deliveries and dead letters that were dropped because their event or their subscription is lost.
    pub lost_deliveries: Vec<String>,
    /// Sequence numbers that are missing where data could not be read: accepted events that are lost, counted once for
    /// each subscription.
    pub missing_sequences: u64,
    /// The number of records copied, by kind.
    pub taken: BTreeMap<&'static str, u64>,
    /// The number of records left out, by kind, because they follow damage in a segment of the older format, where the
    /// client that sent an event, an SMS or a response could have forged them, and would have granted rights.
    pub left_out: BTreeMap<&'static str, u64>,
    /// The number of other records there, which were copied.
    pub unproved: u64,
    /// Whether a token may be missing, or a revoked one valid again.
    pub renew_tokens: bool,
}

impl Findings {
    /// Records a fault.
    pub(crate) fn fault(&mut self, file: &str, byte: impl Into<Option<u64>>, what: impl Into<String>) {
        self.faults_total += 1;
        if self.faults.len() < FAULTS_LISTED {
            let (file, byte, what) = (file.to_owned(), byte.into(), what.into());
            self.faults.push(Fault { file, byte, what, derived: false });
        }
    }

    /// Records a fault of a derived value, without which a daemon continues.
    pub(crate) fn derived_fault(&mut self, file: &str, what: &str) {
        self.faults_total += 1;
        self.derived_total += 1;
        if self.faults.len() < FAULTS_LISTED {
            let what = format!("{what}; a daemon sets it aside and rebuilds it where possible");
            self.faults.push(Fault { file: file.to_owned(), byte: None, what, derived: true });
        }
    }

    /// The first fault that would prevent a daemon from starting, described; `None` if there is none.
    pub(crate) fn first_serious(&self) -> Option<String> {
        if self.faults_total == self.derived_total {
            return None;
        }
        Some(self.faults.iter().find(|fault| !fault.derived).map_or_else(
            || "there are more faults than are listed".to_owned(),
            |fault| match fault.byte {
                Some(byte) => format!("{} (byte {byte})", fault.what),
                None => fault.what.clone(),
            },
        ))
    }

    /// Whether there are no faults.
    pub const fn is_clean(&self) -> bool {
        self.faults_total == 0
    }

    /// Outstanding deliveries, which a daemon that starts on this would send.
    pub const fn owed(&self) -> u64 {
        self.pending + self.retrying
    }

    pub(crate) fn taken(&mut self, at: u64, by: &str) {
        self.taken_at = Some(Timestamp::from_millis(at).to_string());
        self.taken_by = Some(by.to_owned());
    }
}

impl Receiver {
    pub(crate) fn of(account: &SubscriptionState) -> Self {
        let subscription = &account.subscription;
        let url = url::Url::parse(&subscription.url);
        Self {
            id: subscription.id,
            company: subscription.company.as_str().to_owned(),
            url: url.map(|url| url.origin().ascii_serialization()).unwrap_or_default(),
            // A subscription whose secrets are not opened here counts as disabled; its record has the truth.
            enabled: account.locked.as_ref().map_or(subscription.enabled(), |record| record.enabled),
            owed: account.counts.waiting(),
            failed: account.counts.failed,
        }
    }
}
