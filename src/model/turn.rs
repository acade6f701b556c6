//! One group commit while it is decided: what a decision sees, and where its records go.
//!
//! Every decision is a function of a command, a [`Turn`] and nothing else: time and ids come from the turn, and so does all
//! that is read. Nothing that is decided is told to anybody before the engine says that it is durable.

use std::sync::{Arc, Mutex};

use crate::core::id::IdSource;
use crate::core::time::Timestamp;
use crate::model::conversations::Threads;
use crate::model::error::StoreError;
use crate::model::expiry::Expiry;
use crate::model::notice::{Committed, StoreEvent};
use crate::model::read_ahead::{ReadAhead, Request};
use crate::model::record::{Record, Target};
use crate::model::redactions::Redactions;
use crate::model::registry::Registry;
use crate::model::settings::Settings;
use crate::model::view::{Log, Pairs, Sink, ViewMut};

/// What is to be done besides the records of a group commit, once they are durable.
#[derive(Default)]
pub(crate) struct Outcome {
    /// What the dispatcher is told.
    pub(crate) events: Vec<StoreEvent>,
    /// What the call report takes in, in the order of the log.
    pub(crate) heard: Vec<Record>,
    /// What is to be read of the log for a later turn.
    pub(crate) requests: Vec<Request>,
    /// What is counted.
    pub(crate) tally: Committed,
    /// How many deliveries were made.
    pub(crate) deliveries: usize,
}

/// What decisions keep in memory from one group commit to the next.
pub(crate) struct Carried {
    /// The SMS threads that were written to lately.
    pub(crate) threads: Arc<Mutex<Threads>>,
    /// What is taken out of entries of the log that are about to be written.
    pub(crate) redactions: Arc<Redactions>,
    /// What was read of the log for maintenance.
    pub(crate) ahead: ReadAhead,
    /// What is forgotten once it is old enough.
    pub(crate) expiry: Expiry,
    /// Where the work is that is done little by little.
    pub(crate) progress: Progress,
    /// Whether there may be such work.
    pub(crate) has_work: bool,
}

/// Where each piece of work is that is done little by little between group commits.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Writing all subscriptions again: the number of the one that is next.
    pub(crate) subscriptions: Option<u32>,
    /// Writing all tokens again: the bits of the id that is next.
    pub(crate) tokens: Option<u128>,
    /// Ending deliveries that have expired: the number of the subscription that is next.
    pub(crate) ending: Option<u32>,
    /// Forgetting threads: the key behind which to go on.
    pub(crate) threads: Option<Vec<u8>>,
    /// How many subscriptions' secrets were sealed anew on the way.
    pub(crate) sealed_anew: usize,
}

impl Default for Progress {
    /// After a start it is not known whether the newest segment has all subscriptions and tokens.
    fn default() -> Self {
        Self { subscriptions: Some(0), tokens: Some(0), ending: None, threads: None, sealed_anew: 0 }
    }
}

/// A group commit that is being decided.
pub(crate) struct Turn<'t> {
    /// When it is decided.
    pub(crate) now: Timestamp,
    /// What is true now, with what was decided before in the same turn.
    pub(crate) view: &'t dyn ViewMut,
    /// What was written, without what was decided in the same turn.
    pub(crate) log: &'t dyn Log,
    /// The subscriptions and tokens.
    pub(crate) registry: &'t Mutex<Registry>,
    /// The limits and periods.
    pub(crate) settings: Settings,
    /// What is kept in memory from turn to turn.
    pub(crate) carried: &'t mut Carried,
    /// What is to be done once the records are durable.
    pub(crate) outcome: Outcome,
    ids: &'t mut IdSource,
    sink: &'t mut (dyn Sink + 'static),
}

/// What an engine provides for a turn.
pub(crate) struct Context<'t> {
    /// When it is decided.
    pub(crate) now: Timestamp,
    /// What is true now.
    pub(crate) view: &'t dyn ViewMut,
    /// What was written.
    pub(crate) log: &'t dyn Log,
    /// Where records go.
    pub(crate) sink: &'t mut (dyn Sink + 'static),
}

impl<'t> Turn<'t> {
    /// Begins a turn.
    pub(crate) fn begin(
        context: Context<'t>,
        registry: &'t Mutex<Registry>,
        settings: Settings,
        carried: &'t mut Carried,
        ids: &'t mut IdSource,
    ) -> Self {
        let Context { now, view, log, sink } = context;
        Self { now, view, log, registry, settings, carried, outcome: Outcome::default(), ids, sink }
    }

    /// Writes the records as one step, and applies them: after a crash there are all of them or none.
    pub(crate) fn write(&mut self, records: Vec<Record>) {
        self.append(&records);
        let target = self.target();
        self.outcome.heard.extend(records.into_iter().filter_map(|record| record.apply(target)));
    }

    /// Writes the records as one step. They say what is true already, so they are not applied.
    pub(crate) fn append(&mut self, records: &[Record]) {
        let last = records.len().saturating_sub(1);
        for (index, record) in records.iter().enumerate() {
            record.append_to(self.sink, index < last);
        }
    }

    /// What records are applied to.
    pub(crate) fn target(&self) -> Target<'t> {
        Target { view: self.view, memory: self.registry }
    }

    /// The bits of a fresh id, above all before.
    pub(crate) fn next_id(&mut self) -> u128 {
        self.ids.next(self.now, random_bits)
    }

    /// The value of `key`. Where it cannot be read the engine stops before anything of this turn is acknowledged.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.view.get(key).inspect_err(|error| self.view.note_failure(error.clone()))
    }

    /// As [`View::scan`](crate::model::view::View::scan), with the same consequence.
    pub(crate) fn scan(&self, prefix: &[u8], after: Option<&[u8]>, most: usize) -> Result<Pairs, StoreError> {
        self.view.scan(prefix, after, most).inspect_err(|error| self.view.note_failure(error.clone()))
    }
}

/// The bits of a new id that is given out of turn, of something that does not stand in the order of the log.
pub(crate) fn fresh_bits(now: Timestamp) -> u128 {
    IdSource::after(0).next(now, random_bits)
}

/// 128 bits from the kernel.
fn random_bits() -> u128 {
    let mut bytes = [0; 16];
    // Ids ascend and stay unique without it; only that they cannot be guessed would be lost.
    let _ = getrandom::fill(&mut bytes);
    u128::from_le_bytes(bytes)
}

/// 32 bytes from the kernel for a secret or a token. Without them there must be none.
pub(crate) fn random_secret() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the kernel gives random bytes once it has booted");
    bytes
}
