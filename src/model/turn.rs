//! The context of decisions in one group commit: what they read, and where their records go.
//!
//! Every decision is a function of a command and a [`Turn`], and of nothing else: time, ids and all data read come from
//! the turn. Nothing is announced before the engine confirms that it is durable.

use std::sync::{Arc, Mutex};

use crate::core::id::{IdSource, SubscriptionNumber};
use crate::core::time::Timestamp;
use crate::model::conversations::Threads;
use crate::model::error::StoreError;
use crate::model::expiry::Expiry;
use crate::model::key::Key;
use crate::model::notice::{Committed, StoreEvent};
use crate::model::read_ahead::{ReadAhead, Request};
use crate::model::record::{Format, Record, Target};
use crate::model::redactions::Redactions;
use crate::model::registry::Registry;
use crate::model::settings::Settings;
use crate::model::view::{Log, Pairs, Sink, ViewMut};

/// The effects of a group commit besides its records, once these are durable.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Notifications to the dispatcher.
    pub(crate) events: Vec<StoreEvent>,
    /// Records to add to the call report, in the order of the log.
    pub(crate) for_report: Vec<Record>,
    /// Read requests for a later turn.
    pub(crate) requests: Vec<Request>,
    /// Measurements.
    pub(crate) tally: Committed,
    /// The number of created deliveries.
    pub(crate) deliveries: usize,
}

/// State that decisions keep in memory between group commits.
pub(crate) struct Carried {
    /// Recently used SMS threads.
    pub(crate) threads: Arc<Mutex<Threads>>,
    /// Redactions of log entries about to be written.
    pub(crate) redactions: Arc<Redactions>,
    /// Log data read ahead for maintenance.
    pub(crate) ahead: ReadAhead,
    /// Expiring values.
    pub(crate) expiry: Expiry,
    /// The progress of maintenance.
    pub(crate) progress: Progress,
    /// Whether there may be maintenance to do.
    pub(crate) has_work: bool,
}

impl Carried {
    /// The state after a start, which resumes whatever was in progress.
    pub(crate) fn after_start(threads: Arc<Mutex<Threads>>, redactions: Arc<Redactions>) -> Self {
        Self {
            threads,
            redactions,
            ahead: ReadAhead::default(),
            expiry: Expiry::default(),
            progress: Progress::default(),
            has_work: true,
        }
    }
}

/// The progress of each maintenance task.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Writing subscriptions to a snapshot: the next number.
    pub(crate) subscriptions: Option<SubscriptionNumber>,
    /// Writing tokens to a snapshot: the bits of the next id.
    pub(crate) tokens: Option<u128>,
    /// Ending deliveries of expired events: the next subscription number.
    pub(crate) ending: Option<SubscriptionNumber>,
    /// Removing expired threads: the key to continue after.
    pub(crate) threads: Option<Key>,
    /// The number of subscriptions resealed on the way.
    pub(crate) sealed_anew: usize,
}

impl Default for Progress {
    /// After a restart it is unknown whether the newest segment has a complete snapshot.
    fn default() -> Self {
        Self {
            subscriptions: Some(SubscriptionNumber::ZERO),
            tokens: Some(0),
            ending: None,
            threads: None,
            sealed_anew: 0,
        }
    }
}

/// A group commit being decided.
pub(crate) struct Turn<'t> {
    /// The time of the decision.
    pub(crate) now: Timestamp,
    /// The view, including earlier decisions of this turn.
    pub(crate) view: &'t dyn ViewMut,
    /// The log, without the decisions of this turn.
    pub(crate) log: &'t dyn Log,
    /// The subscriptions and tokens.
    pub(crate) registry: &'t Mutex<Registry>,
    /// The limits and periods.
    pub(crate) settings: Settings,
    /// What all who share the data can read.
    pub(crate) format: Format,
    /// State kept between turns.
    pub(crate) carried: &'t mut Carried,
    /// The effects once the records are durable.
    pub(crate) outcome: Outcome,
    ids: &'t mut IdSource,
    sink: &'t mut (dyn Sink + 'static),
}

/// What an engine provides for a turn.
pub(crate) struct Context<'t> {
    /// The time of the decision.
    pub(crate) now: Timestamp,
    /// The view.
    pub(crate) view: &'t dyn ViewMut,
    /// The log.
    pub(crate) log: &'t dyn Log,
    /// The sink for records.
    pub(crate) sink: &'t mut (dyn Sink + 'static),
}

impl<'t> Turn<'t> {
    /// Starts a turn.
    pub(crate) fn begin(
        context: Context<'t>,
        registry: &'t Mutex<Registry>,
        settings: Settings,
        carried: &'t mut Carried,
        ids: &'t mut IdSource,
    ) -> Self {
        let Context { now, view, log, sink } = context;
        let (format, outcome) = (Format::NEWEST, Outcome::default());
        Self { now, view, log, registry, settings, format, carried, outcome, ids, sink }
    }

    /// Writes the records as one atomic unit, and applies them.
    pub(crate) fn write(&mut self, records: Vec<Record>) {
        self.append(&records);
        let target = self.target();
        self.outcome.for_report.extend(records.into_iter().filter_map(|record| record.apply(target)));
    }

    /// Writes the records as one atomic unit without applying them, since the view has their content already.
    pub(crate) fn append(&mut self, records: &[Record]) {
        let last = records.len().saturating_sub(1);
        for (index, record) in records.iter().enumerate() {
            record.append_to(self.sink, index < last);
        }
    }

    /// The target of records.
    pub(crate) fn target(&self) -> Target<'t> {
        Target { view: self.view, memory: self.registry }
    }

    /// The bits of a new id, above all earlier ones.
    pub(crate) fn next_id(&mut self) -> u128 {
        self.ids.next(self.now, random_bits)
    }

    /// The value of `key`. If it cannot be read, the engine stops before anything of this turn is acknowledged.
    pub(crate) fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.view.get(key).inspect_err(|error| self.view.note_failure(error.clone()))
    }

    /// As [`View::scan`](crate::model::view::View::scan), with the same consequence on errors.
    pub(crate) fn scan(&self, prefix: &Key, after: Option<&Key>, most: usize) -> Result<Pairs, StoreError> {
        self.view.scan(prefix, after, most).inspect_err(|error| self.view.note_failure(error.clone()))
    }
}

/// The bits of a new id generated outside a turn, for something that is not ordered with the log.
pub(crate) fn fresh_bits(now: Timestamp) -> u128 {
    IdSource::after(0).next(now, random_bits)
}

/// 128 bits from the kernel.
fn random_bits() -> u128 {
    let mut bytes = [0; 16];
    // Without it ids still ascend and are unique; they would only be guessable.
    let _ = getrandom::fill(&mut bytes);
    u128::from_le_bytes(bytes)
}

/// 32 bytes from the kernel for a secret or a token. Without randomness there must be none.
pub(crate) fn random_secret() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the kernel gives random bytes once it has booted");
    bytes
}
