//! Erasing a person's data: what an erasure is, how far it is, and what it takes out of entries of the log that are about
//! to be written.
//!
//! What it takes out of each kind of record stands with the kind ([`Kind::redact`]); whom it speaks of in [`redaction`].
//!
//! [`redaction`]: crate::model::redaction

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::core::attempt::LogEntry;
use crate::core::event::Company;
use crate::core::id::ErasureId;
use crate::core::time::Timestamp;
use crate::model::error::StoreError;
use crate::model::keys;
use crate::model::lock::lock;
use crate::model::record::{self, Accepted, ErasureNoted, ErasureRecord, Kind, Logged, MessageRecord, Record};
use crate::model::redaction::Rule;
use crate::model::redactions::Index;
use crate::model::turn::Turn;
use crate::model::value::ValueKind;
use crate::model::view::{Log, Wanted};

/// How long an erasure that is done is remembered: far longer than an attempt takes.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// An erasure that was asked for, as far as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// Its id.
    pub id: ErasureId,
    /// Whose data it was.
    pub company: Company,
    /// When it was asked for. From then on nothing of it was shown or sent.
    pub requested_at: Timestamp,
    /// When it was off the disk; `None` while it is not.
    pub done_at: Option<Timestamp>,
    /// How many events it was found in.
    pub events: u64,
    /// How many messages; entries of the log. Known once it is done.
    pub messages: u64,
    /// How many entries of the log.
    pub log_entries: u64,
    /// How many deliveries were cancelled.
    pub cancelled: u64,
}

/// What is taken out of entries that are about to be written: by the erasures under way, for attempts that had begun before
/// them, and for a while by those that are done and found something.
#[derive(Default)]
pub(crate) struct Redactions(Mutex<Known>);

#[derive(Default)]
struct Known {
    index: Index,
    /// Those that are done, the oldest first.
    done: VecDeque<Arc<Rule>>,
}

impl Redactions {
    /// Those under way.
    pub(crate) fn of<'r>(rules: impl IntoIterator<Item = &'r Arc<Rule>>) -> Self {
        Self(Mutex::new(Known { index: Index::of(rules), done: VecDeque::new() }))
    }

    /// An erasure has begun.
    pub(crate) fn insert(&self, rule: Arc<Rule>) {
        lock(&self.0).index.insert(rule);
    }

    /// Takes out of an entry of the log that is about to be written what a rule takes out of those that are.
    pub(crate) fn scrub(&self, entry: &mut LogEntry) {
        lock(&self.0).index.scrub(entry);
    }

    /// These are done. Of one that `found` nothing, nothing is left; the others are remembered until no attempt can be under
    /// way any more that had begun before.
    pub(crate) fn done(&self, rules: &[Arc<Rule>], found: &HashMap<ErasureId, Found>, now: Timestamp) {
        let mut known = lock(&self.0);
        // What was found stands under the first rule of a number, and the later ones are about it as well.
        let person = |rule: &Arc<Rule>| (rule.company.clone(), rule.phone.clone());
        let touched: BTreeSet<_> = rules.iter().filter(|rule| found.contains_key(&rule.id)).map(person).collect();
        for rule in rules {
            if touched.contains(&person(rule)) {
                known.done.push_back(rule.clone());
            } else {
                known.index.remove(rule);
            }
        }
        while known.done.front().is_some_and(|rule| now.since(rule.at) > REMEMBERED) {
            if let Some(rule) = known.done.pop_front() {
                known.index.remove(&rule);
            }
        }
    }
}

/// In how many records something was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) events: u64,
    pub(crate) messages: u64,
    pub(crate) log_entries: u64,
}

impl Found {
    pub(crate) fn count(&mut self, kind: u8) {
        self.events += u64::from(Accepted::KINDS.contains(&kind));
        self.messages += u64::from(MessageRecord::KINDS.contains(&kind));
        self.log_entries += u64::from(Logged::KINDS.contains(&kind));
    }
}

/// An erasure as the log said it last. Reads the whole log, if need be.
pub(crate) fn noted_last(log: &dyn Log, id: ErasureId) -> Result<Option<ErasureRecord>, StoreError> {
    let mut last = None;
    let wanted = Wanted { kinds: ErasureNoted::KINDS, ..Wanted::ANY };
    log.to_the_end(&wanted, &log.unbounded(), &mut |head, payload| {
        let noted = ErasureNoted::decode(head.kind, payload).filter(|noted| noted.id == id);
        last = noted.map(|noted| noted.record);
        Ok(if last.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(last)
}

/// Notes how far an erasure is. The one who asked for it and the one who carries it out note what each knows, in either
/// order.
pub(crate) fn note(turn: &mut Turn<'_>, id: ErasureId, record: ErasureRecord) -> Result<(), StoreError> {
    let key = keys::erasure(id);
    let before = match turn.get(&key)? {
        Some(value) if ValueKind::Erasure.is_readable(&key, &value) => record::unversioned(&value),
        Some(value) => {
            turn.view.set_aside(&key, value);
            noted_last(turn.log, id).ok().flatten()
        }
        None => None,
    };
    turn.write(vec![Record::from(ErasureNoted { id, record: record.with(before) })]);
    Ok(())
}
