//! What was found in a store that nobody runs: counts, faults, and what was lost.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::core::id::SubscriptionId;
use crate::core::time::Timestamp;
use crate::model::registry::SubscriptionState;

/// Faults are counted without end, and listed up to this many.
const FAULTS_LISTED: usize = 1000;

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The file, within the directory; empty for the file that was named.
    pub file: String,
    /// From which byte on, where that is known.
    pub byte: Option<u64>,
    /// What is wrong, as a sentence without its subject: 'is damaged'.
    pub what: String,
    /// Whether a daemon goes on without it, and makes it again where it can.
    pub derived: bool,
}

/// What a store holds, and what is wrong with it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Findings {
    /// When the backup was taken, RFC 3339; absent for a directory.
    pub taken_at: Option<String>,
    /// The version of the program that took it.
    pub taken_by: Option<String>,
    /// Wal files.
    pub files: u64,
    /// Bytes of the journal's frames, or of the whole backup.
    pub bytes: u64,
    /// Accepted events.
    pub events: u64,
    /// Entries of the log.
    pub log_entries: u64,
    /// Other records of the journal: changes of subscriptions, deliveries put back by hand.
    pub other_records: u64,
    /// Deliveries that are owed and were not tried yet.
    pub pending: u64,
    /// Deliveries that are owed and were tried.
    pub retrying: u64,
    /// Dead letters.
    pub failed: u64,
    /// The subscriptions, in order of creation.
    pub subscriptions: Vec<Receiver>,
    /// Subscriptions whose secrets are sealed. They were not opened.
    pub sealed: u64,
    /// The fingerprints of the keys that they are sealed with.
    pub sealed_with: BTreeSet<String>,
    /// Bytes at the end of the journal that a cut left half written; none of it was acknowledged, and
    /// the next start cuts them away.
    pub torn_bytes: u64,
    /// How many faults there are.
    pub faults_total: u64,
    /// How many of them are of derived values: a daemon goes on without.
    #[serde(skip)]
    pub derived_total: u64,
    /// The first of them.
    pub faults: Vec<Fault>,
}

/// A subscription and what it is owed.
#[derive(Debug, Clone, Serialize)]
pub struct Receiver {
    /// Its id.
    #[serde(serialize_with = "as_text")]
    pub id: SubscriptionId,
    /// Owner it is.
    pub company: String,
    /// Scheme, host and port of its URL; the rest may hold secrets.
    pub url: String,
    /// Whether what it is owed is sent, or waits until it is enabled.
    pub enabled: bool,
    /// Deliveries that are owed.
    pub owed: u64,
    /// Dead letters.
    pub failed: u64,
}

fn as_text<S: serde::Serializer>(id: &SubscriptionId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

/// What a salvage kept and what it did not find.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Salvaged {
    /// What the new directory holds. Its faults are those of the old one.
    pub kept: Findings,
    /// Bytes of the journal that could not be read, and are not in the new directory.
    pub lost_bytes: u64,
    /// Places at which something could not be read.
    pub gaps: u64,
    /// Where the state came from: true if its database could not be read or was wrong, and the state was made again
    /// from the journal.
    pub state_rebuilt: bool,
    /// Deliveries that were owed or dead letters, and are not kept: their event or their subscription is lost.
    pub lost_deliveries: Vec<String>,
    /// Sequence numbers that are missing where something could not be read: events that were accepted and are lost,
    /// counted once for each subscription.
    pub missing_sequences: u64,
    /// How many records of the journal were taken over, by what they are.
    pub taken: BTreeMap<&'static str, u64>,
    /// How many were left out that stand behind damage in a file of the older format, where whoever sent an event, an SMS
    /// or an answer could have made them: those that would have given powers.
    pub left_out: BTreeMap<&'static str, u64>,
    /// How many others stand there and were taken.
    pub unproved: u64,
    /// Whether a token may be missing, or one be good again that was revoked.
    pub renew_tokens: bool,
}

impl Findings {
    /// Notes a fault.
    pub(crate) fn fault(&mut self, file: &str, byte: impl Into<Option<u64>>, what: impl Into<String>) {
        self.faults_total += 1;
        if self.faults.len() < FAULTS_LISTED {
            let (file, byte, what) = (file.to_owned(), byte.into(), what.into());
            self.faults.push(Fault { file, byte, what, derived: false });
        }
    }

    /// Notes a value of the state that a daemon goes on without.
    pub(crate) fn derived_fault(&mut self, file: &str, what: &str) {
        self.faults_total += 1;
        self.derived_total += 1;
        if self.faults.len() < FAULTS_LISTED {
            let what = format!("{what}; a daemon sets it aside and makes it again where it can");
            self.faults.push(Fault { file: file.to_owned(), byte: None, what, derived: true });
        }
    }

    /// The first fault that a daemon does not get over by itself, in words; `None` if there is none.
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

    /// Whether nothing is wrong.
    pub const fn is_clean(&self) -> bool {
        self.faults_total == 0
    }

    /// Deliveries that a daemon which starts on this would send.
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
            // What cannot be opened here counts as disabled.
            enabled: account.locked.as_ref().map_or(subscription.enabled(), |record| record.enabled),
            owed: account.counts.waiting(),
            failed: account.counts.failed,
        }
    }
}
