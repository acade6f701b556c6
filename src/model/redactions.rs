//! The active redaction rules, indexed by company, phone number and call, so that finding those for a record does not
//! depend on their number.
//!
//! A record costs one decoding and two lookups. Rules for the same number are merged into one entry, so that repeated
//! requests add nothing to search. Knows nothing of files. What always holds: an entry removes from a record what its
//! rules would remove one after the other, with the calls that any of them found.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::core::attempt::LogEntry;
use crate::core::id::ErasureId;
use crate::core::time::Timestamp;
use crate::model::lock::lock;
use crate::model::record::{self, Accepted, Head, Kind as _, Logged, MessageRecord};
use crate::model::redaction::{Rule, Subject};

/// How long a finished erasure stays active: far longer than an attempt takes.
const ACTIVE_AFTER_DONE: Duration = Duration::from_secs(3600);

/// A lookup key of a rule.
#[derive(Hash)]
enum Key<'n> {
    Phone(&'n str),
    Call(&'n str),
}

/// Rules by person and by lookup key.
#[derive(Debug, Default)]
pub(crate) struct Index {
    hashes: RandomState,
    /// All rules for a person's number at a company, oldest first.
    people: HashMap<(String, String), Vec<Arc<Rule>>>,
    /// The merged rules, by the hash of a company and a number or call; hashes may collide.
    merged: HashMap<u64, Vec<Arc<Rule>>>,
    /// How many rules were tried on records.
    #[cfg(test)]
    pub(crate) tried: std::sync::atomic::AtomicUsize,
}

impl Index {
    /// An index of these rules.
    pub(crate) fn of<'r>(rules: impl IntoIterator<Item = &'r Arc<Rule>>) -> Self {
        let mut index = Self::default();
        rules.into_iter().for_each(|rule| index.insert(rule.clone()));
        index
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    /// All rules, in no particular order.
    #[cfg(feature = "postgres")]
    pub(crate) fn rules(&self) -> Vec<Arc<Rule>> {
        self.people.values().flatten().cloned().collect()
    }

    /// Adds a rule.
    pub(crate) fn insert(&mut self, rule: Arc<Rule>) {
        let person = (rule.company.clone(), rule.phone.clone());
        let before = self.people.get(&person).and_then(|rules| merge(rules));
        before.iter().for_each(|before| self.unlink(before));
        let after = before.map_or_else(|| rule.clone(), |before| Arc::new(before.merged_with(&rule)));
        self.link(&after);
        self.people.entry(person).or_default().push(rule);
    }

    /// Removes a rule.
    pub(crate) fn remove(&mut self, rule: &Rule) {
        let person = (rule.company.clone(), rule.phone.clone());
        let Some(rules) = self.people.get_mut(&person) else { return };
        let before = merge(rules);
        rules.retain(|own| own.id != rule.id);
        let after = merge(rules);
        if rules.is_empty() {
            self.people.remove(&person);
        }
        before.iter().for_each(|before| self.unlink(before));
        after.iter().for_each(|after| self.link(after));
    }

    fn link(&mut self, rule: &Arc<Rule>) {
        for key in self.keys_of(rule) {
            self.merged.entry(key).or_default().push(rule.clone());
        }
    }

    fn unlink(&mut self, rule: &Rule) {
        for key in self.keys_of(rule) {
            if let Some(rules) = self.merged.get_mut(&key) {
                rules.retain(|own| (&own.company, &own.phone) != (&rule.company, &rule.phone));
                if rules.is_empty() {
                    self.merged.remove(&key);
                }
            }
        }
    }

    fn keys_of(&self, rule: &Rule) -> Vec<u64> {
        let calls = rule.calls.iter().map(|call| Key::Call(call));
        let names = std::iter::once(Key::Phone(&rule.phone)).chain(calls);
        names.map(|name| self.hashes.hash_one((&rule.company, name))).collect()
    }

    /// Adds the rules that may affect this subject.
    fn find<'i>(&'i self, subject: &Subject<'_>, rules: &mut Vec<&'i Rule>) {
        let found = |name: Key<'_>| self.merged.get(&self.hashes.hash_one((subject.company, name)));
        let by_phone = subject.phone.and_then(|phone| found(Key::Phone(phone)));
        let by_call = subject.call.and_then(|call| found(Key::Call(call)));
        rules.extend(by_phone.into_iter().chain(by_call).flatten().map(|rule| &**rule));
    }

    /// The rules without duplicates, oldest first.
    fn in_order<'i>(&self, mut rules: Vec<&'i Rule>) -> Vec<&'i Rule> {
        rules.sort_unstable_by_key(|rule| (rule.at, rule.id.bits()));
        rules.dedup_by_key(|rule| rule.id);
        #[cfg(test)]
        self.tried.fetch_add(rules.len(), std::sync::atomic::Ordering::Relaxed);
        rules
    }

    /// The redacted payload of a record, and the first erasure that changed it; `None` if none does.
    pub(crate) fn apply(&self, head: Head, payload: &[u8]) -> Option<(Vec<u8>, ErasureId)> {
        let mut redacted: Option<(Vec<u8>, ErasureId)> = None;
        let mut rules = Vec::new();
        record::subjects(head, payload, &mut |subject| self.find(subject, &mut rules));
        for rule in self.in_order(rules) {
            let before = redacted.as_ref().map_or(payload, |(redacted, _)| redacted);
            if let Some(after) = record::redacted(head, before, rule) {
                redacted = Some((after, redacted.as_ref().map_or(rule.id, |(_, first)| *first)));
            }
        }
        redacted
    }

    /// Redacts a log entry about to be written as [`Index::apply`] redacts a stored one.
    pub(crate) fn scrub(&self, entry: &mut LogEntry) {
        if self.is_empty() {
            return;
        }
        let (company, phone, call) = (entry.company.clone(), entry.phone.clone(), entry.call.clone());
        let call = call.as_ref().map(crate::core::event::CallId::as_str);
        let subject = Subject { company: company.as_str(), phone: phone.as_deref(), call };
        let mut rules = Vec::new();
        self.find(&subject, &mut rules);
        self.in_order(rules).into_iter().for_each(|rule| rule.scrub(entry));
    }
}

/// Merges the rules of one person.
fn merge(rules: &[Arc<Rule>]) -> Option<Arc<Rule>> {
    let (first, rest) = rules.split_first()?;
    Some(rest.iter().fold(first.clone(), |merged, rule| Arc::new(merged.merged_with(rule))))
}

/// The rules applied to log entries about to be written: those of erasures in progress, for attempts that started
/// before them, and for a while those of finished erasures that found something.
#[derive(Default)]
pub(crate) struct Redactions(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    index: Index,
    /// The finished ones, oldest first.
    done: VecDeque<Arc<Rule>>,
}

impl Redactions {
    /// The rules of erasures in progress.
    pub(crate) fn of<'r>(rules: impl IntoIterator<Item = &'r Arc<Rule>>) -> Self {
        Self(Mutex::new(Inner { index: Index::of(rules), done: VecDeque::new() }))
    }

    /// Adds the rule of a new erasure.
    pub(crate) fn insert(&self, rule: Arc<Rule>) {
        lock(&self.0).index.insert(rule);
    }

    /// Redacts a log entry about to be written.
    pub(crate) fn scrub(&self, entry: &mut LogEntry) {
        lock(&self.0).index.scrub(entry);
    }

    /// Marks rules as finished. One that `found` nothing is dropped; the others stay active until no attempt that
    /// started before can still be in flight.
    pub(crate) fn done(&self, rules: &[Arc<Rule>], found: &HashMap<ErasureId, Found>, now: Timestamp) {
        let mut inner = lock(&self.0);
        // Findings are attributed to the first rule of a number, and concern the later ones as well.
        let person = |rule: &Arc<Rule>| (rule.company.clone(), rule.phone.clone());
        let touched: BTreeSet<_> = rules.iter().filter(|rule| found.contains_key(&rule.id)).map(person).collect();
        for rule in rules {
            if touched.contains(&person(rule)) {
                inner.done.push_back(rule.clone());
            } else {
                inner.index.remove(rule);
            }
        }
        while inner.done.front().is_some_and(|rule| now.since(rule.at) > ACTIVE_AFTER_DONE) {
            if let Some(rule) = inner.done.pop_front() {
                inner.index.remove(&rule);
            }
        }
    }
}

/// The number of affected records.
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::core::event::{CallId, Company, Event, EventType, Source};
    use crate::core::id::EventId;
    use crate::core::time::Timestamp;
    use crate::model::record;
    use crate::model::record::Accepted;

    fn rule(number: u128, company: &str, phone: &str, calls: &[&str], below: u128) -> Arc<Rule> {
        let calls = calls.iter().map(|call| (*call).to_owned()).collect();
        let (company, phone) = (company.to_owned(), phone.to_owned());
        Arc::new(Rule { id: ErasureId::from_bits(number), company, phone, calls, below, at: Timestamp::ZERO })
    }

    fn event(id: u128, company: &str, phone: Option<&str>, call: &str) -> (Head, Vec<u8>) {
        let at = Timestamp::from_millis(1_790_000_000_000);
        let event = Event {
            id: EventId::from_bits(id),
            accepted_at: at,
            occurred_at: at,
            event_type: EventType::parse("call.new").unwrap(),
            company: Company::parse(company).unwrap(),
            domain: None,
            source: Source::Api,
            producer_id: None,
            call: CallId::parse(call).unwrap(),
            phone: phone.map(str::to_owned),
            data: format!(r#"{{"call_id":"{call}","lead_name":"Ada"}}"#),
        };
        let head = Head { version: record::VERSION, kind: Accepted::KINDS[0], continues: false, batch: 1, id };
        (head, record::encode(&Accepted::new(event, &[])))
    }

    #[test]
    fn a_record_costs_at_most_one_rule_among_thousands_of_erasures() {
        let mut rules: Vec<Arc<Rule>> =
            (0..2_400).map(|n| rule(n, "acme", &format!("+1555{n:07}"), &[&format!("call-{n}")], 1_000)).collect();
        // Repeated requests, and another company.
        rules.extend((0..2_400).map(|n| rule(10_000 + n, "acme", "+15550000007", &[], 2_000)));
        rules.extend((0..2_400).map(|n| rule(20_000 + n, "other", &format!("+1555{n:07}"), &["call-9"], 1_000)));
        let index = Index::of(&rules);
        let tried = |event: (Head, Vec<u8>)| {
            index.tried.store(0, Ordering::Relaxed);
            let redacted = index.apply(event.0, &event.1);
            (index.tried.load(Ordering::Relaxed), redacted.map(|(_, id)| id.bits()))
        };
        assert_eq!(tried(event(5, "acme", Some("+15559999999"), "unknown")), (0, None));
        assert_eq!(tried(event(5, "acme", Some("+15550000003"), "call-3")), (1, Some(3)));
        assert_eq!(tried(event(5, "acme", Some("+15550000007"), "call-7")), (1, Some(7)));
        assert_eq!(tried(event(1_500, "acme", Some("+15550000007"), "x")), (1, Some(7)), "requested again later");
        assert_eq!(tried(event(5, "third", Some("+15550000003"), "call-3")), (0, None));
        assert_eq!(tried(event(1_500, "acme", Some("+15550000003"), "call-3")), (1, None), "it is newer");
    }

    #[test]
    fn removed_rules_are_not_tried_and_the_others_still_apply() {
        let (one, again, other) =
            (rule(1, "a", "+1", &["c1"], 10), rule(2, "a", "+1", &["c2"], 20), rule(3, "a", "+2", &["c1"], 10));
        let mut index = Index::of([&one, &again, &other]);
        let by = |index: &Index, id, phone, call| {
            let (head, payload) = event(id, "a", phone, call);
            index.apply(head, &payload).map(|(_, rule)| rule.bits())
        };
        assert_eq!(by(&index, 5, None, "c2"), Some(1));
        index.remove(&one);
        assert_eq!((by(&index, 5, None, "c2"), by(&index, 5, None, "c1")), (Some(2), Some(3)));
        assert_eq!(by(&index, 15, Some("+1"), "c9"), Some(2));
        index.remove(&again);
        assert_eq!((by(&index, 15, Some("+1"), "c9"), by(&index, 5, Some("+2"), "c1")), (None, Some(3)));
        index.remove(&other);
        assert!(index.is_empty() && index.merged.is_empty());
    }
}
