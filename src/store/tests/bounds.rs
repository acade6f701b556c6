//! The reads of a query do not grow with the amount of data, and are bounded.

use std::sync::atomic::Ordering;

use super::*;
use crate::store::tests::lists::{COMPANIES, DOMAINS, PHONES, Rng, TYPES, World, pages};

/// Uniform events over three companies, with values by number, each with a log entry.
fn fill(world: &World, from: u64, to: u64) {
    for batch in (from..to).step_by(500) {
        let events = (batch..(batch + 500).min(to)).map(|n| {
            let text = format!(
                r#"{{"type":"{}","company":"{}","domain":"{}","source":"{}","data":{{"call_id":"call-{}","lead_phone":"+1202555{:04}"}}}}"#,
                TYPES[n as usize % 3],
                COMPANIES[n as usize % 3],
                DOMAINS[n as usize % 2],
                ["api", "widget"][n as usize % 2],
                n / 4,
                n / 8,
            );
            NewEvent::from_json(json::parse(&text).unwrap(), &Catalogue::new(Vec::new()).unwrap()).unwrap()
        });
        world.now.fetch_add(10, Ordering::Relaxed);
        let accepted = accept(&world.store, events.collect());
        let mut expected = 0;
        for accepted in accepted.iter().filter(|accepted| accepted.deliveries > 0) {
            for delivery in world.store.event_deliveries(accepted.id).unwrap() {
                // Most are delivered; every 97th of each other status is not.
                let status = match delivery.id.sequence() % 97 {
                    1 => Status::Expired,
                    2 => Status::Cancelled,
                    3 => Status::Failed,
                    4 => Status::Retrying,
                    5 => continue,
                    _ => Status::Delivered,
                };
                let subscription = world.subscriptions.iter().find(|one| one.id == delivery.subscription).unwrap();
                let event = world.store.event(delivery.event).unwrap().unwrap();
                let after = Delivery { state: status.into(), attempts: 1, ..delivery };
                let now = Timestamp::from_millis(world.now.load(Ordering::Relaxed));
                let mut entry = LogEntry::without_attempt(&after, status, "", subscription, Some(&event), now);
                (entry.attempt, entry.response) = (1, Some(if status == Status::Delivered { 200 } else { 503 }));
                world.store.finish(AttemptResult { entry, after, disable: None });
                expected += 1;
            }
        }
        while expected > 0 {
            let changes = world.changes.recv().unwrap();
            expected -= changes.iter().filter(|change| matches!(change, StoreEvent::Finished(_))).count();
        }
    }
}

/// A named query that returns the number of items on its page.
type Question = (&'static str, Box<dyn Fn(&Store) -> usize>);

/// A query for each documented filter.
fn questions(world: &World) -> Vec<Question> {
    let (globex, domain) = (Company::parse("globex").ok(), Domain::parse(DOMAINS[1]).ok());
    let (missed, phone) = (EventType::parse("call.missed").ok(), Some("+12025550003".to_owned()));
    let (call, subscription) = (CallId::parse("call-7").ok(), Some(world.subscriptions[2].id));
    let early = Timestamp::from_millis(NOW.millis() + 15);
    let first = world.store.events(&EventFilter { until: Some(early), ..EventFilter::default() }, None, 200).unwrap();
    let of_globex = first.items.iter().find(|event| event.company.as_str() == "globex").unwrap();
    let delivery = world.store.event_deliveries(of_globex.id).unwrap()[0].id;
    let event_id = Some(of_globex.id);
    let nobody = Company::parse("nobody").ok();
    let mut all: Vec<Question> = Vec::new();
    macro_rules! ask {
        ($verb:ident, $filter:ident: $($name:expr => { $($member:ident: $value:expr),* }),* $(,)?) => {$(
            let filter = $filter { $($member: $value,)* ..$filter::default() };
            all.push((concat!(stringify!($verb), " ", $name), Box::new(move |store| store.$verb(&filter, None, 20).unwrap().items.len())));
        )*};
    }
    ask!(log, LogFilter:
        "all" => {}, "company" => { company: globex.clone() }, "unknown company" => { company: nobody.clone() },
        "domain" => { domain: domain.clone() }, "subscription" => { subscription: subscription },
        "event" => { event_type: missed.clone() }, "status" => { status: Some(Status::Expired) },
        "response" => { response: Some(Some(503)) }, "no response" => { response: Some(None) },
        "unknown response" => { response: Some(Some(418)) },
        "call" => { call: call.clone() }, "phone" => { phone: phone.clone() }, "delivery" => { delivery: Some(delivery) },
        "since" => { since: Some(early) }, "until" => { until: Some(early) },
        "no test" => { test: Some(false) }, "test" => { test: Some(true) },
        "company, status" => { company: globex.clone(), status: Some(Status::Cancelled) },
        "company, call" => { company: globex.clone(), call: call.clone() },
    );
    ask!(events, EventFilter:
        "all" => {}, "company" => { company: globex.clone() }, "domain" => { domain: domain.clone() },
        "source" => { source: Some(Source::Widget) }, "type" => { event_type: missed.clone() },
        "call" => { call: call.clone() }, "phone" => { phone: phone.clone() }, "unknown phone" => { phone: Some("+1".to_owned()) },
        "since" => { since: Some(early) }, "until" => { until: Some(early) },
        "company, phone" => { company: globex.clone(), phone: phone.clone() },
    );
    ask!(deliveries, DeliveryFilter:
        "all" => {}, "company" => { company: globex.clone() }, "subscription" => { subscription: subscription },
        "event id" => { event: event_id }, "event" => { event_type: missed.clone() }, "call" => { call: call.clone() },
        "pending" => { state: Some(State::Pending) }, "retrying" => { state: Some(State::Retrying) },
        "delivered" => { state: Some(State::Delivered) }, "failed" => { state: Some(State::Failed) },
        "expired" => { state: Some(State::Expired) }, "cancelled" => { state: Some(State::Cancelled) },
        "expired of a subscription" => { state: Some(State::Expired), subscription: subscription },
        "since" => { since: Some(early) }, "until" => { until: Some(early) },
    );
    ask!(calls, CallFilter:
        "all" => {}, "company" => { company: globex.clone() }, "domain" => { domain: domain.clone() },
        "phone" => { phone: phone.clone() }, "since" => { since: Some(early) }, "until" => { until: Some(early) },
        "company, phone" => { company: globex.clone(), phone: phone },
    );
    ask!(conversations, ConversationFilter:
        "all" => {}, "company" => { company: globex.clone() }, "unknown company" => { company: nobody },
        "phone" => { phone: Some(PHONES[0].to_owned()) }, "since" => { since: Some(early) },
    );
    all
}

#[test]
fn the_reads_of_a_query_do_not_grow_with_the_amount_of_data() {
    let world = World::new(256 << 10);
    let mut rng = Rng(3);
    fill(&world, 0, 1_000);
    (0..40).for_each(|_| world.text(&mut rng));
    let questions = questions(&world);
    let read = |question: &dyn Fn(&Store) -> usize| {
        // Run once before, so that no index is built or opened during the measurement.
        question(&world.store);
        let before = world.store.reads();
        let items = question(&world.store) as u64;
        let after = world.store.reads();
        (after.count() - before.count(), after.bytes - before.bytes, items)
    };
    let few: Vec<(u64, u64, u64)> = questions.iter().map(|(_, question)| read(question)).collect();
    fill(&world, 1_000, 12_000);
    (0..200).for_each(|_| world.text(&mut rng));
    let files = u64::from(world.store.embedded().wal.newest());
    assert!(files > 8, "{files} files");
    let mut grown = Vec::new();
    for ((name, question), (before, bytes_before, items_before)) in questions.iter().zip(few) {
        let (count, bytes, items) = read(question);
        // Each segment's index may take a few blocks, of about 2 KiB; and there may be more items.
        let more = items.saturating_sub(items_before);
        let bytes_allowed = 2 * bytes_before + 2 * files * (2 << 10) + 10_000 * more;
        if count > 2 * before + 2 * files + 40 * more || bytes > bytes_allowed {
            grown.push(format!("{name}: {before} -> {count} read, {bytes_before} -> {bytes} bytes, {items} items"));
        }
    }
    assert!(grown.is_empty(), "{grown:#?}");
    world.close();
}

#[test]
fn the_reads_for_one_company_do_not_depend_on_others() {
    let world = World::new(128 << 10);
    let (own, call) = (Company::parse("acme").unwrap(), CallId::parse("same").unwrap());
    let post = |company: &str, count: usize| {
        let text = format!(
            r#"{{"type":"call.new","company":"{company}","source":"api","data":{{"call_id":"same","lead_phone":"+12025550142"}}}}"#
        );
        let event = |_| NewEvent::from_json(json::parse(&text).unwrap(), &Catalogue::new(Vec::new()).unwrap()).unwrap();
        accept(&world.store, (0..count).map(event).collect());
    };
    post("acme", 3);
    for _ in 0..15 {
        post("initech", 500);
    }
    post("acme", 2);
    let phone = Some("+12025550142".to_owned());
    let ask = |name: &str, most: u64, question: &dyn Fn()| {
        question();
        let before = world.store.reads().count();
        question();
        let read = world.store.reads().count() - before;
        assert!(read <= most, "{name}: {read} read");
    };
    let files = u64::from(world.store.embedded().wal.newest());
    assert!(files > 4, "{files}");
    ask("calls by phone", 20 + 8 * files, &|| {
        let filter = CallFilter { company: Some(own.clone()), phone: phone.clone(), ..CallFilter::default() };
        let page = world.store.calls(&filter, None, 50).unwrap();
        assert_eq!((page.items.len(), page.next, page.scanned_until), (1, None, None));
        assert_eq!(page.items[0].events.len(), 1);
    });
    // Each event is read once more by its id, for its deliveries.
    ask("a call", 200 + 8 * files, &|| {
        assert_eq!(world.store.call_story(&own, &call).unwrap().events.len(), 5);
    });
    ask("companies of a call", 20 + 4 * files, &|| {
        assert_eq!(world.store.companies_of_call(&call).unwrap().len(), 2);
    });
    ask("events", 20 + 4 * files, &|| {
        let filter = EventFilter { company: Some(own.clone()), phone: phone.clone(), ..EventFilter::default() };
        assert_eq!(world.store.events(&filter, None, 50).unwrap().items.len(), 5);
    });
    world.close();
}

#[test]
fn a_page_that_exhausts_its_budget_says_how_far_it_searched() {
    let world = World::new(256 << 10);
    // No event matches both filters: only reading each tells.
    let post = |domain: &str, event_type: &str| {
        let text = format!(
            r#"{{"type":"{event_type}","company":"initech","domain":"{domain}","source":"api","data":{{"call_id":"c"}}}}"#
        );
        NewEvent::from_json(json::parse(&text).unwrap(), &Catalogue::new(Vec::new()).unwrap()).unwrap()
    };
    accept(&world.store, vec![post(DOMAINS[0], TYPES[1])]);
    for _ in 0..12 {
        world.now.fetch_add(1, Ordering::Relaxed);
        let mixed =
            (0..1_000).map(|n| if n % 2 == 0 { post(DOMAINS[0], TYPES[0]) } else { post(DOMAINS[1], TYPES[1]) });
        accept(&world.store, mixed.collect());
    }
    let filter = EventFilter {
        company: Company::parse("initech").ok(),
        domain: Domain::parse(DOMAINS[0]).ok(),
        event_type: EventType::parse(TYPES[1]).ok(),
        ..EventFilter::default()
    };
    let (mut after, mut found, mut looked, mut last) = (None, 0, 0, Timestamp::MAX);
    loop {
        let before = world.store.reads();
        let page = world.store.events(&filter, after, 50).unwrap();
        let read = world.store.reads().count() - before.count();
        assert!(read <= 4_010, "{read} read for one page");
        (found, looked) = (found + page.items.len(), looked + 1);
        let Some(next) = page.next else { break };
        let until = page.scanned_until.expect("the page is not full");
        assert!(until <= last && page.items.is_empty(), "{until} behind {last}");
        (after, last) = (Some(next), until);
    }
    assert_eq!(found, 1, "in {looked} pages");
    // The calls of a company with one call of very many events.
    let filter = CallFilter { company: Company::parse("initech").ok(), ..CallFilter::default() };
    let page = world.store.calls(&filter, None, 50).unwrap();
    assert!(page.items.is_empty() && page.next.is_some() && page.scanned_until.is_some());
    let all = pages(|after| world.store.calls(&filter, after, 50).unwrap(), 50, || ());
    assert_eq!(all.len(), 1);
    world.close();
}
