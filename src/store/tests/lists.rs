//! Lists compared with a plain filter over everything: with any filter, page by page, each item appears once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;
use crate::core::conversation::NewMessage;
use crate::core::event::{Event, ProducerId};
use crate::core::id::AttemptId;
use crate::core::seal::Keyring;

pub(crate) const COMPANIES: [&str; 3] = ["acme", "globex", "initech"];
pub(crate) const DOMAINS: [&str; 2] = ["www.a.example", "www.b.example"];
pub(crate) const TYPES: [&str; 3] = ["call.new", "call.missed", "call.finished"];
pub(crate) const PHONES: [&str; 3] = ["+12025550101", "+12025550102", "+12025550103"];
const STATUSES: [Status; 5] = [Status::Delivered, Status::Retrying, Status::Failed, Status::Expired, Status::Cancelled];
const STATES: [State; 6] =
    [State::Pending, State::Retrying, State::Delivered, State::Failed, State::Expired, State::Cancelled];

/// A store with small segments and several companies, with the clock under the test's control.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) running: Running,
    pub(crate) changes: mpsc::Receiver<Vec<StoreEvent>>,
    pub(crate) now: Arc<AtomicU64>,
    pub(crate) subscriptions: Vec<Arc<Subscription>>,
    _dir: tempfile::TempDir,
}

/// A seeded generator, so that failures are reproducible.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % most
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn maybe<T>(&mut self, one_in: usize, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(one_in) == 0).then(|| make(self))
    }
}

impl World {
    pub(crate) fn new(file_bytes: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut opened =
            Store::open(dir.path(), settings(), Keyring::default(), NOW).unwrap_or_else(|error| panic!("{error}"));
        opened.limit_segment_bytes(file_bytes);
        let store = opened.store().clone();
        let (sender, changes) = mpsc::channel();
        let now = Arc::new(AtomicU64::new(NOW.millis()));
        let clock = now.clone();
        let clock = move || Timestamp::from_millis(clock.load(Ordering::Relaxed));
        let running = opened.start(clock, move |_, change| drop(sender.send(change)), |why| panic!("{why}")).unwrap();
        let mut subscriptions = Vec::new();
        for company in [COMPANIES[0], COMPANIES[0], COMPANIES[1]] {
            subscriptions.push(ask(|reply| store.by(anyone()).create_subscription(draft(company), reply)).unwrap());
        }
        Self { store, running, changes, now, subscriptions, _dir: dir }
    }

    fn company_of(&self, delivery: &Delivery) -> Company {
        let owner = self.subscriptions.iter().find(|subscription| subscription.id == delivery.subscription);
        owner.unwrap().company.clone()
    }

    /// Accepts some events at once, a little later than the previous ones, or earlier by the clock.
    pub(crate) fn post(&self, rng: &mut Rng, count: usize) -> Vec<Event> {
        match rng.below(12) {
            0 => drop(self.now.fetch_sub(40, Ordering::Relaxed)),
            _ => drop(self.now.fetch_add(rng.below(20) as u64, Ordering::Relaxed)),
        }
        let events = (0..count).map(|_| {
            let domain = rng.maybe(2, |rng| rng.of(&DOMAINS));
            let phone = rng.maybe(2, |rng| rng.of(&PHONES)).map(|phone| format!(r#","lead_phone":"{phone}""#));
            let domain = domain.map(|domain| format!(r#""domain":"{domain}","#)).unwrap_or_default();
            let text = format!(
                r#"{{"type":"{}","company":"{}",{domain}"source":"{}","data":{{"call_id":"c{}"{}}}}}"#,
                rng.of(&TYPES),
                rng.of(&COMPANIES),
                rng.of(&["api", "widget"]),
                rng.below(12),
                phone.unwrap_or_default(),
            );
            NewEvent::from_json(json::parse(&text).unwrap(), &Catalogue::new(Vec::new()).unwrap()).unwrap()
        });
        let accepted = accept(&self.store, events.collect());
        accepted.iter().map(|accepted| self.store.event(accepted.id).unwrap().unwrap()).collect()
    }

    /// Finishes attempts of the event's deliveries with random results, or leaves them pending.
    pub(crate) fn attempt(&self, rng: &mut Rng, event: &Event) {
        for delivery in self.store.event_deliveries(event.id).unwrap() {
            if rng.below(4) == 0 || !delivery.state.is_owed() {
                continue;
            }
            let status = rng.of(&STATUSES);
            let subscription = self.subscriptions.iter().find(|one| one.id == delivery.subscription).unwrap();
            let after = Delivery { state: status.into(), attempts: delivery.attempts + 1, ..delivery };
            let began = Timestamp::from_millis(self.now.load(Ordering::Relaxed) - rng.below(30) as u64);
            let mut entry = LogEntry::without_attempt(&after, status, "", subscription, Some(event), began);
            entry.attempt = after.attempts;
            entry.response = rng.maybe(2, |rng| rng.of(&[200, 404, 503]));
            self.store.finish(AttemptResult { entry, after, disable: None });
            self.until_finished();
            if rng.below(10) == 0 && !status_is_owed(status) {
                let id = self.store.event_deliveries(event.id).unwrap()[0].id;
                // Pending ones are retried, too.
                ask(|reply| self.store.by(anyone()).retry(known(&self.store, id), reply)).unwrap();
            }
            if rng.below(8) == 0 {
                let test = LogEntry { test: true, delivery: None, event: None, ..self.any_entry(event) };
                ask(|reply| self.store.by(anyone()).record_probe(test, reply)).unwrap();
            }
        }
    }

    fn any_entry(&self, event: &Event) -> LogEntry {
        let filter = LogFilter { company: Some(event.company.clone()), ..LogFilter::default() };
        let page = self.store.log(&filter, None, 1).unwrap();
        page.items.into_iter().next().unwrap_or_else(|| panic!("no entry of {}", event.company.as_str()))
    }

    fn until_finished(&self) {
        while !self.changes.recv().unwrap().iter().any(|change| matches!(change, StoreEvent::Finished(_))) {}
    }

    pub(crate) fn text(&self, rng: &mut Rng) {
        let (company, call) = (rng.of(&COMPANIES), format!("c{}", rng.below(12)));
        let phone = rng.of(&PHONES);
        let message = NewMessage {
            company: Company::parse(company).unwrap(),
            domain: rng.maybe(2, |rng| Domain::parse(rng.of(&DOMAINS)).unwrap()),
            call: CallId::parse(&call).unwrap(),
            producer_id: rng.maybe(3, |rng| ProducerId::parse(&format!("m{}", rng.below(1 << 20))).unwrap()),
            from: "+12025550199".to_owned(),
            to: phone.to_owned(),
            ..conversations::message(&call, None, "outbound", 1, "hello")
        };
        let now = Timestamp::from_millis(self.now.load(Ordering::Relaxed));
        let message = NewMessage { sent_at: Some(now), ..message };
        let prepared = self.store.prepare_message(message, now).unwrap();
        ask(|reply| self.store.post_message(prepared, reply)).unwrap();
    }

    pub(crate) fn close(self) {
        drop(self.store);
        self.running.stop();
    }
}

fn status_is_owed(status: Status) -> bool {
    State::from(status).is_owed()
}

/// All items of a list, page by page. `between` is called between two pages.
pub(crate) fn pages<T, P: Copy + PartialEq + std::fmt::Debug>(
    mut page: impl FnMut(Option<P>) -> Page<T, P>,
    limit: usize,
    mut between: impl FnMut(),
) -> Vec<T> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let Page { items, next, scanned_until } = page(after);
        assert!(items.len() <= limit && (scanned_until.is_none() || (next.is_some() && items.len() < limit)));
        assert!(next.is_none() || scanned_until.is_some() || items.len() == limit, "a page that ends early says so");
        all.extend(items);
        if next.is_none() {
            return all;
        }
        assert_ne!(next, after, "the cursor advances");
        after = next;
        between();
    }
}

fn company(rng: &mut Rng) -> Option<Company> {
    rng.maybe(2, |rng| Company::parse(rng.of(&COMPANIES)).unwrap())
}

fn domain(rng: &mut Rng) -> Option<Domain> {
    rng.maybe(3, |rng| Domain::parse(rng.of(&DOMAINS)).unwrap())
}

fn call(rng: &mut Rng) -> Option<CallId> {
    rng.maybe(4, |rng| CallId::parse(&format!("c{}", rng.below(13))).unwrap())
}

/// A time between the clock's first reading and its latest; the latest may be the earlier one.
fn time(rng: &mut Rng, world: &World) -> Option<Timestamp> {
    let (first, latest) = (NOW.millis(), world.now.load(Ordering::Relaxed));
    rng.maybe(3, |rng| {
        Timestamp::from_millis(first.min(latest) + rng.below(first.abs_diff(latest) as usize + 2) as u64)
    })
}

fn matches_if_set<T: PartialEq>(wanted: &Option<T>, actual: Option<&T>) -> bool {
    wanted.is_none() || wanted.as_ref() == actual
}

fn within(since: Option<Timestamp>, until: Option<Timestamp>, at: Timestamp) -> bool {
    since.is_none_or(|since| at >= since) && until.is_none_or(|until| at < until)
}

type Times = (Option<Timestamp>, Option<Timestamp>);

/// Compares the lists with random filters to a plain filter over everything.
fn compare(world: &World, rng: &mut Rng, events: &[Event], log: &[LogEntry]) {
    let limit = [1, 3, 10, 500][rng.below(4)];
    let times = (time(rng, world), time(rng, world));
    compare_events(world, rng, events, limit, times);
    compare_log(world, rng, log, limit, times);
    compare_deliveries(world, rng, events, limit, times);
    compare_calls(world, rng, events, limit, times);
}

fn event_type(rng: &mut Rng) -> Option<EventType> {
    rng.maybe(3, |rng| EventType::parse(rng.of(&TYPES)).unwrap())
}

fn phone(rng: &mut Rng) -> Option<String> {
    rng.maybe(3, |rng| rng.of(&PHONES).to_owned())
}

fn compare_events(world: &World, rng: &mut Rng, events: &[Event], limit: usize, (since, until): Times) {
    let store = &world.store;
    let filter = EventFilter {
        id: rng.maybe(9, |rng| events[rng.below(events.len())].id),
        producer_id: rng.maybe(9, |rng| events[rng.below(events.len())].producer_id.clone()).flatten(),
        company: company(rng),
        domain: domain(rng),
        source: rng.maybe(3, |rng| rng.of(&[Source::Api, Source::Widget])),
        event_type: event_type(rng),
        call: call(rng),
        phone: phone(rng),
        since,
        until,
    };
    let found = pages(|after| store.events(&filter, after, limit).unwrap(), limit, || ());
    let wanted: Vec<&Event> = events
        .iter()
        .rev()
        .filter(|event| {
            matches_if_set(&filter.company, Some(&event.company))
                && matches_if_set(&filter.id, Some(&event.id))
                && matches_if_set(&filter.producer_id, event.producer_id.as_ref())
                && matches_if_set(&filter.domain, event.domain.as_ref())
                && matches_if_set(&filter.source, Some(&event.source))
                && matches_if_set(&filter.event_type, Some(&event.event_type))
                && matches_if_set(&filter.call, Some(&event.call))
                && matches_if_set(&filter.phone, event.phone.as_ref())
                && within(since, until, event.accepted_at)
        })
        .collect();
    assert_eq!(found.iter().collect::<Vec<_>>(), wanted, "{filter:?}, {limit} a page");
}

/// Some of the webhooks, as a session of one domain sees them.
fn webhooks(world: &World, rng: &mut Rng) -> Option<Webhooks> {
    rng.maybe(4, |rng| Arc::new((0..rng.below(3)).map(|_| world.subscriptions[rng.below(3)].id).collect()))
}

fn compare_log(world: &World, rng: &mut Rng, log: &[LogEntry], limit: usize, (since, until): Times) {
    let store = &world.store;
    let filter = LogFilter {
        event: rng.maybe(9, |rng| log[rng.below(log.len())].event).flatten(),
        company: company(rng),
        domain: domain(rng),
        subscription: rng.maybe(4, |rng| world.subscriptions[rng.below(3)].id),
        webhooks: webhooks(world, rng),
        delivery: rng.maybe(9, |rng| log[rng.below(log.len())].delivery).flatten(),
        event_type: event_type(rng),
        status: rng.maybe(3, |rng| rng.of(&STATUSES)),
        response: rng.maybe(4, |rng| rng.of(&[None, Some(200), Some(404), Some(500)])),
        call: call(rng),
        phone: phone(rng),
        since,
        until,
        test: rng.maybe(4, |rng| rng.below(2) == 0),
    };
    let found = pages(|after| store.log(&filter, after, limit).unwrap(), limit, || ());
    let wanted = log.iter().rev().filter(|entry| {
        matches_if_set(&filter.company, Some(&entry.company))
            && matches_if_set(&filter.domain, entry.domain.as_ref())
            && matches_if_set(&filter.subscription, Some(&entry.subscription))
            && matches_if_set(&filter.event, entry.event.as_ref())
            && matches_if_set(&filter.delivery, entry.delivery.as_ref())
            && filter.webhooks.as_ref().is_none_or(|webhooks| webhooks.contains(&entry.subscription))
            && matches_if_set(&filter.event_type, Some(&entry.event_type))
            && matches_if_set(&filter.status, Some(&entry.status))
            && filter.response.is_none_or(|response| response == entry.response)
            && matches_if_set(&filter.call, entry.call.as_ref())
            && matches_if_set(&filter.phone, entry.phone.as_ref())
            && filter.test.is_none_or(|test| test == entry.test)
            && within(since, until, entry.created)
    });
    let ids: Vec<AttemptId> = wanted.map(|entry| entry.id).collect();
    assert_eq!(found.iter().map(|entry| entry.id).collect::<Vec<_>>(), ids, "{filter:?}, {limit} a page");
}

fn compare_deliveries(world: &World, rng: &mut Rng, events: &[Event], limit: usize, (since, until): Times) {
    let store = &world.store;
    let filter = DeliveryFilter {
        company: company(rng),
        subscription: rng.maybe(4, |rng| world.subscriptions[rng.below(3)].id),
        webhooks: webhooks(world, rng),
        event: rng.maybe(9, |rng| events[rng.below(events.len())].id),
        event_type: event_type(rng),
        call: call(rng),
        state: rng.maybe(2, |rng| rng.of(&STATES)),
        since,
        until,
    };
    let found = pages(|after| store.deliveries(&filter, after, limit).unwrap(), limit, || ());
    let all = events.iter().flat_map(|event| store.event_deliveries(event.id).unwrap());
    let wanted: BTreeSet<DeliveryId> = all
        .filter(|delivery| {
            matches_if_set(&filter.company, Some(&world.company_of(delivery)))
                && matches_if_set(&filter.subscription, Some(&delivery.subscription))
                && filter.webhooks.as_ref().is_none_or(|webhooks| webhooks.contains(&delivery.subscription))
                && matches_if_set(&filter.event, Some(&delivery.event))
                && matches_if_set(&filter.event_type, Some(&delivery.event_type))
                && matches_if_set(&filter.call, Some(&delivery.call))
                && matches_if_set(&filter.state, Some(&delivery.state))
                && within(since, until, delivery.id.timestamp())
        })
        .map(|delivery| delivery.id)
        .collect();
    let ids: BTreeSet<DeliveryId> = found.iter().map(|delivery| delivery.id).collect();
    assert_eq!(found.len(), ids.len(), "once each: {filter:?}, {limit} a page");
    assert_eq!(ids, wanted, "{filter:?}, {limit} a page");
    for delivery in found.iter().take(3) {
        assert_eq!(store.delivery(delivery.id).unwrap().as_ref(), Some(delivery));
    }
}

fn compare_calls(world: &World, rng: &mut Rng, events: &[Event], limit: usize, (since, until): Times) {
    let store = &world.store;
    let phone = rng.maybe(2, |rng| rng.of(&PHONES).to_owned());
    let filter = CallFilter { company: company(rng), domain: domain(rng), phone: phone.clone(), since, until };
    let found = pages(|after| store.calls(&filter, after, limit).unwrap(), limit, || ());
    let found: Vec<(Company, CallId)> = found.into_iter().map(|call| (call.company, call.call)).collect();
    // With a phone filter: calls by their first matching event. Without: by the call's first event, whose domain
    // counts.
    let mut seen = BTreeSet::new();
    let mut wanted: Vec<(Company, CallId)> = events
        .iter()
        .filter(|event| {
            phone.is_none()
                || (matches_if_set(&phone, event.phone.as_ref())
                    && matches_if_set(&filter.domain, event.domain.as_ref()))
        })
        .filter(|event| seen.insert((event.company.clone(), event.call.clone())))
        .filter(|event| {
            matches_if_set(&filter.company, Some(&event.company))
                && matches_if_set(&filter.domain, event.domain.as_ref())
        })
        .filter(|event| within(since, until, event.id.timestamp()))
        .map(|event| (event.company.clone(), event.call.clone()))
        .collect();
    wanted.reverse();
    assert_eq!(found, wanted, "{filter:?}, {limit} a page");

    let filter = ConversationFilter { company: company(rng), domain: domain(rng), phone, since, until };
    let found = pages(|after| store.conversations(&filter, after, limit).unwrap(), limit, || ());
    let mut wanted = BTreeSet::new();
    for (company, call) in COMPANIES.iter().flat_map(|company| (0..12).map(move |n| (*company, format!("c{n}")))) {
        let (company, call) = (Company::parse(company).unwrap(), CallId::parse(&call).unwrap());
        let Some(shown) = store.conversation(&company, &call).unwrap() else { continue };
        let thread = &shown.thread;
        let messages = store.messages(thread, None).unwrap().items;
        let numbers = filter.phone.as_ref().is_none_or(|phone| messages.iter().any(|message| message.to == *phone));
        let times =
            since.is_none_or(|since| thread.last_at >= since) && until.is_none_or(|until| thread.first_at < until);
        let own =
            matches_if_set(&filter.company, Some(&company)) && matches_if_set(&filter.domain, thread.domain.as_ref());
        wanted.extend((numbers && times && own).then_some(thread.id));
    }
    let ids: BTreeSet<_> = found.iter().map(|shown| shown.thread.id).collect();
    assert_eq!((found.len(), &ids), (ids.len(), &wanted), "{filter:?}, {limit} a page");
    if filter.phone.is_none() {
        assert!(found.is_sorted_by(|one, next| one.thread.last_at >= next.thread.last_at));
    }
}

fn whole_log(store: &Store) -> Vec<LogEntry> {
    let mut log = pages(|after| store.log(&LogFilter::default(), after, 500).unwrap(), 500, || ());
    log.reverse();
    log
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn every_list_equals_a_plain_filter_over_everything(seed: u64) {
        let mut rng = Rng(seed);
        let world = World::new(16 << 10);
        let mut events = Vec::new();
        for _ in 0..40 {
            let count = 1 + rng.below(6);
            let posted = world.post(&mut rng, count);
            posted.iter().for_each(|event| world.attempt(&mut rng, event));
            events.extend(posted);
            world.text(&mut rng);
        }
        prop_assert!(world.store.embedded().wal.newest() > 3, "several segments");
        let log = whole_log(&world.store);
        for _ in 0..60 {
            compare(&world, &mut rng, &events, &log);
        }
        world.close();
    }
}

#[test]
fn new_items_do_not_affect_paging() {
    let mut rng = Rng(7);
    let world = World::new(16 << 10);
    let mut events = world.post(&mut rng, 50);
    events.iter().for_each(|event| world.attempt(&mut rng, event));
    let log = whole_log(&world.store);
    let mut later = Rng(8);
    let mut more = || {
        let posted = world.post(&mut later, 3);
        posted.iter().for_each(|event| world.attempt(&mut later, event));
    };
    let filter = EventFilter { company: Company::parse("acme").ok(), ..EventFilter::default() };
    let found = pages(|after| world.store.events(&filter, after, 4).unwrap(), 4, &mut more);
    events.retain(|event| event.company.as_str() == "acme");
    assert_eq!(found, events.into_iter().rev().collect::<Vec<_>>());
    let filter = LogFilter { status: Some(Status::Delivered), ..LogFilter::default() };
    let before = whole_log(&world.store);
    let found = pages(|after| world.store.log(&filter, after, 2).unwrap(), 2, &mut more);
    let wanted = before.iter().rev().filter(|entry| entry.status == Status::Delivered).map(|entry| entry.id);
    assert_eq!(found.iter().map(|entry| entry.id).collect::<Vec<_>>(), wanted.collect::<Vec<_>>());
    assert!(before.len() > log.len());
    world.close();
}
