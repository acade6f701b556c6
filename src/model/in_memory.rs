//! An engine in memory, for tests of decisions: nothing is written anywhere.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use crate::core::actor::Actor;
use crate::core::catalogue::Catalogue;
use crate::core::event::NewEvent;
use crate::core::id::{IdSource, SubscriptionId, SubscriptionNumber};
use crate::core::json;
use crate::core::seal::Keyring;
use crate::core::subscription::{Ordering, Secret, Subscription};
use crate::core::subscription_input::{Change as Patch, Draft};
use crate::core::time::Timestamp;
use crate::model::error::StoreError;
use crate::model::expiry::Expiry;
use crate::model::key::{Key, ValueKind};
use crate::model::lock::lock;
use crate::model::read_ahead::{self, ReadAhead};
use crate::model::record::{self, Head, VERSION};
use crate::model::redactions::Redactions;
use crate::model::registry::Registry;
use crate::model::report;
use crate::model::retention::{Reclaim, Rules};
use crate::model::settings::Settings;
use crate::model::term::{Lookup, Owner, Term, Terms};
use crate::model::turn::{Carried, Context, Outcome, Progress, Turn};
use crate::model::view::{Log, Pairs, Reached, Sample, Sink, Tally, View, ViewMut, Visit, Wanted, Work};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

pub(crate) fn settings() -> Settings {
    use std::time::Duration;
    let day = Duration::from_secs(86_400);
    Settings {
        cache_bytes: 4 << 20,
        give_up_after: 3 * day,
        idempotency_window: day,
        retention: Rules {
            log_age: 30 * day,
            log_bytes: 1 << 30,
            event_age: 30 * day,
            conversation_age: 90 * day,
            audit_age: 400 * day,
            reclaim: Reclaim::for_test(),
        },
        min_free_bytes: 1,
        max_data_bytes: 1 << 20,
        subscriptions_per_company: 1_000,
        deliveries_per_request: 100_000,
    }
}

/// Somebody who does something.
pub(crate) fn anyone() -> Actor {
    Actor::signal()
}

pub(crate) fn draft(company: &str) -> Draft {
    draft_of(&format!(
        r#"{{"company":"{company}","url":"http://127.0.0.1:9/","events":["*"],"headers":{{"X-Key":"k"}}}}"#
    ))
}

/// A subscription of 'acme' with a filter.
pub(crate) fn filtered(filter: &str) -> Draft {
    draft_of(&format!(
        r#"{{"company":"acme","url":"http://127.0.0.1:9/","events":["*"],"filter":{}}}"#,
        json::quote(filter)
    ))
}

fn draft_of(text: &str) -> Draft {
    let catalogue = Catalogue::new(Vec::new()).unwrap();
    let patch = Patch::from_json(json::parse(text).unwrap(), &catalogue).unwrap();
    patch.into_draft(Ordering::Call).unwrap()
}

/// A subscription of the company 'acme' with this number.
pub(crate) fn subscription(number: u32) -> Subscription {
    let id = SubscriptionId::from_bits(u128::from(number));
    draft("acme").into_subscription(id, SubscriptionNumber::new(number), Secret::from_bytes(vec![7; 32]), NOW)
}

/// A ring of made-up keys; the same number is the same key.
pub(crate) fn keyring(numbers: &[u8]) -> Keyring {
    use base64::Engine as _;
    let line = |number: &u8| base64::engine::general_purpose::STANDARD.encode([*number; 32]);
    let lines: Vec<String> = numbers.iter().map(line).collect();
    Keyring::parse("test keys", &lines.join("\n")).unwrap()
}

pub(crate) fn event(call: &str, id: Option<&str>) -> NewEvent {
    let id = id.map(|id| format!(r#","id":"{id}""#)).unwrap_or_default();
    let text =
        format!(r#"{{"type":"call.new","company":"acme","source":"api"{id},"data":{{"call_id":"{call}","n":1.50}}}}"#);
    NewEvent::from_json(json::parse(&text).unwrap(), &Catalogue::new(Vec::new()).unwrap()).unwrap()
}

/// The view: a map.
#[derive(Default)]
pub(crate) struct InMemoryView {
    pairs: Mutex<BTreeMap<Key, Vec<u8>>>,
    /// Why reading fails, if it is to.
    pub(crate) fault: Mutex<Option<StoreError>>,
    failure: Mutex<Option<StoreError>>,
}

impl InMemoryView {
    /// Why the engine would stop.
    pub(crate) fn failure(&self) -> Option<StoreError> {
        lock(&self.failure).clone()
    }

    /// All pairs.
    pub(crate) fn all(&self) -> BTreeMap<Key, Vec<u8>> {
        lock(&self.pairs).clone()
    }

    fn readable(&self) -> Result<(), StoreError> {
        lock(&self.fault).clone().map_or(Ok(()), Err)
    }
}

fn begins_with(key: &Key, prefix: &Key) -> bool {
    key.kind() == prefix.kind() && key.rest().starts_with(prefix.rest())
}

impl View for InMemoryView {
    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.readable()?;
        Ok(lock(&self.pairs).get(key).cloned())
    }

    fn scan(&self, prefix: &Key, after: Option<&Key>, most: usize) -> Result<Pairs, StoreError> {
        self.readable()?;
        let pairs = lock(&self.pairs);
        let from = pairs.range(prefix.clone()..).take_while(|(key, _)| begins_with(key, prefix));
        let behind = from.filter(|(key, _)| after.is_none_or(|after| *key > after));
        Ok(behind.take(most).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn scan_down(&self, prefix: &Key, below: &Key, most: usize) -> Result<Pairs, StoreError> {
        self.readable()?;
        let pairs = lock(&self.pairs);
        let down = pairs.range(prefix.clone()..below.clone()).rev();
        Ok(down.take(most).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn wait_until_logged(&self) {}

    fn note_unreadable(&self, key: &Key, instead: Option<Vec<u8>>) {
        match instead {
            Some(instead) => drop(lock(&self.pairs).insert(key.clone(), instead)),
            None => drop(lock(&self.pairs).remove(key)),
        }
    }
}

impl ViewMut for InMemoryView {
    fn put(&self, key: Key, value: Vec<u8>) {
        lock(&self.pairs).insert(key, value);
    }

    fn put_new(&self, key: Key, value: Vec<u8>) {
        assert!(lock(&self.pairs).insert(key, value).is_none(), "it was there before");
    }

    fn remove(&self, key: Key) {
        lock(&self.pairs).remove(&key);
    }

    fn put_pieces(&self, key: &Key, value: &[u8], most: u8) {
        for number in 0..most {
            self.remove(key.clone().with(&[number]));
        }
        self.put(key.clone().with(&[0]), value.to_vec());
    }

    fn is_live(&self) -> bool {
        true
    }

    fn set_aside(&self, key: &Key, _: Vec<u8>) {
        self.remove(key.clone());
    }

    fn noted(&self, _: ValueKind) -> Vec<Key> {
        Vec::new()
    }

    fn note_failure(&self, error: StoreError) {
        lock(&self.failure).get_or_insert(error);
    }

    fn gathered(&self) -> usize {
        0
    }
}

/// The log: a list.
#[derive(Default)]
pub(crate) struct InMemoryLog {
    records: Vec<(Head, Terms, Vec<u8>)>,
    tally: Tally,
}

impl InMemoryLog {
    fn has(marks: &Terms, term: Term<'_>, company: Option<&str>) -> bool {
        match term.lookup(company.map(Owner::company).as_ref()) {
            Lookup::One(key) => marks.keys.contains(&key),
            Lookup::Two(one, other) => marks.keys.contains(&one) || marks.keys.contains(&other),
            Lookup::Range(first, last) => marks.keys.iter().any(|key| (first..=last).contains(key)),
        }
    }
}

impl Log for InMemoryLog {
    fn record(&self, id: u128, visit: &mut dyn FnMut(Head, &[u8])) -> Result<bool, StoreError> {
        let found = self.records.iter().find(|(head, ..)| head.id == id);
        found.into_iter().for_each(|(head, _, payload)| visit(*head, payload));
        Ok(found.is_some())
    }

    fn newest_first(&self, wanted: &Wanted<'_>, _: &Work<'_>, visit: Visit<'_>) -> Result<Reached, StoreError> {
        for (head, marks, payload) in self.records.iter().rev() {
            let inside = head.id >= wanted.from && head.id < wanted.below && wanted.kinds.contains(&head.kind);
            let has_all = wanted.keys.iter().all(|term| Self::has(marks, *term, wanted.company));
            if inside && has_all && visit(*head, payload)?.is_break() {
                return Ok(Reached::Enough);
            }
        }
        Ok(Reached::End)
    }

    fn ascending(
        &self,
        term: Term<'_>,
        passed: &dyn Fn(Head, &[u8]) -> Option<bool>,
        visit: Visit<'_>,
    ) -> Result<(), StoreError> {
        for (head, marks, payload) in &self.records {
            if Self::has(marks, term, None) && passed(*head, payload) == Some(false) {
                match visit(*head, payload)? {
                    ControlFlow::Continue(()) => {}
                    ControlFlow::Break(()) => break,
                }
            }
        }
        Ok(())
    }

    fn one_of_each_company(&self, _: Term<'_>, _: u8, _: &Work<'_>, _: Sample<'_>) -> Result<(), StoreError> {
        Ok(())
    }

    fn has_any(&self, terms: &[u64]) -> Result<bool, StoreError> {
        Ok(self.records.iter().any(|(_, marks, _)| marks.keys.iter().any(|key| terms.contains(key))))
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// The records of a turn.
#[derive(Default)]
struct Written(Vec<(Head, Terms, Vec<u8>)>);

impl Sink for Written {
    fn append(&mut self, kind: u8, id: u128, continues: bool, terms: Terms, payload: &mut dyn FnMut(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        payload(&mut bytes);
        self.0.push((Head { version: VERSION, kind, continues, batch: 1, id }, terms, bytes));
    }
}

/// An engine with what is decided on it.
pub(crate) struct InMemory {
    pub(crate) view: InMemoryView,
    pub(crate) log: InMemoryLog,
    pub(crate) registry: Arc<Mutex<Registry>>,
    pub(crate) carried: Carried,
    pub(crate) settings: Settings,
    pub(crate) now: Timestamp,
    ids: IdSource,
}

impl InMemory {
    pub(crate) fn new() -> Self {
        let carried = Carried {
            threads: Arc::default(),
            redactions: Arc::new(Redactions::default()),
            ahead: ReadAhead::default(),
            expiry: Expiry::default(),
            progress: Progress { subscriptions: None, tokens: None, ..Progress::default() },
            has_work: false,
        };
        Self {
            view: InMemoryView::default(),
            log: InMemoryLog::default(),
            registry: Arc::new(Mutex::new(Registry::numbering_from(SubscriptionNumber::FIRST, Arc::default()))),
            carried,
            settings: settings(),
            now: NOW,
            ids: IdSource::after(0),
        }
    }

    /// Decides something in a turn of its own, and commits it: gives the answer and what is to be done besides.
    pub(crate) fn decide<T>(&mut self, decide: impl FnOnce(&mut Turn<'_>) -> T) -> (T, Outcome) {
        let mut written = Written::default();
        let context = Context { now: self.now, view: &self.view, log: &self.log, sink: &mut written };
        let mut turn = Turn::begin(context, &self.registry, self.settings, &mut self.carried, &mut self.ids);
        let answer = decide(&mut turn);
        let mut outcome = turn.outcome;
        report::add_records(std::mem::take(&mut outcome.for_report), &self.view);
        self.log.records.extend(written.0);
        for request in std::mem::take(&mut outcome.requests) {
            self.carried.ahead.insert(read_ahead::read(&self.log, request));
            self.carried.has_work = true;
        }
        (answer, outcome)
    }

    /// How many records each atomic unit has that was written, in order.
    pub(crate) fn units(&self) -> Vec<usize> {
        let mut units = vec![0];
        for (head, ..) in &self.log.records {
            *units.last_mut().expect("one") += 1;
            if !head.continues {
                units.push(0);
            }
        }
        units.pop();
        units
    }

    /// The kinds of the records that were written, in order.
    pub(crate) fn written(&self) -> Vec<&'static str> {
        self.log.records.iter().map(|(head, ..)| record::name(head.kind)).collect()
    }
}
