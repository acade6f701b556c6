//! Batches with many deliveries: accepted completely or not at all, in steps between the commits of others, and
//! limited.

use std::fs;
use std::sync::Mutex;

use super::*;
use crate::core::seal::Keyring;

const EVENTS: usize = 60;
const WEBHOOKS: usize = 100;

fn of(company: &str, number: usize) -> NewEvent {
    let text = format!(
        r#"{{"type":"call.new","company":"{company}","source":"api","id":"{number}","data":{{"call_id":"c{number}"}}}}"#
    );
    NewEvent::from_json(json::parse(&text).unwrap(), &Catalogue::new(Vec::new()).unwrap()).unwrap()
}

fn batch() -> Vec<NewEvent> {
    (0..EVENTS).map(|number| of("acme", number)).collect()
}

fn webhooks(store: &Store) {
    for _ in 0..WEBHOOKS {
        ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    }
}

/// Asserts that the batch was accepted completely, with contiguous sequence numbers.
fn assert_complete(store: &Store) {
    // Posted again, it waits for the unfinished fan-out, and nothing is stored.
    let again = accept(store, batch());
    assert!(again.iter().all(|accepted| accepted.duplicate && accepted.deliveries == WEBHOOKS as u32), "{again:?}");
    for number in [SubscriptionNumber::FIRST, SubscriptionNumber::new(WEBHOOKS as u32)] {
        let owed = store.owed_after(number, 0, 10_000).unwrap();
        let sequences: Vec<u64> = owed.iter().map(|delivery| delivery.id.sequence()).collect();
        assert_eq!(sequences, (1..=EVENTS as u64).collect::<Vec<_>>());
        let calls: Vec<String> = owed.iter().map(|delivery| delivery.call.as_str().to_owned()).collect();
        assert_eq!(
            calls,
            (0..EVENTS).map(|number| format!("c{number}")).collect::<Vec<_>>(),
            "in the order of the batch"
        );
    }
    let events = store.events(&EventFilter::default(), None, 1_000).unwrap().items;
    assert_eq!(events.len(), EVENTS);
    assert_eq!(
        again.iter().map(|accepted| accepted.id).rev().collect::<Vec<_>>(),
        events.iter().map(|event| event.id).collect::<Vec<_>>()
    );
    assert_eq!(store.counts().pending, (EVENTS * WEBHOOKS) as u64);
}

#[test]
fn a_large_fan_out_is_accepted_in_bounded_steps_between_other_requests() {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, changes } = open(dir.path());
    webhooks(&store);
    ask(|reply| store.by(anyone()).create_subscription(draft("other"), reply)).unwrap();
    while changes.try_recv().is_ok() {}
    let (sender, answers) = mpsc::channel();
    let large = sender.clone();
    store.accept(batch(), Box::new(move |made| large.send(("large", made.unwrap())).unwrap())).unwrap();
    for number in 0..20 {
        let sender = sender.clone();
        let other = vec![of(if number % 2 == 0 { "other" } else { "none" }, number)];
        store.accept(other, Box::new(move |made| sender.send(("other", made.unwrap())).unwrap())).unwrap();
    }
    let answers: Vec<_> = answers.iter().take(21).collect();
    assert_eq!(answers.iter().position(|(whose, _)| *whose == "large"), Some(20), "others had to wait for it");
    let (_, accepted) = &answers[20];
    assert!(accepted.iter().all(|one| !one.duplicate && one.deliveries == WEBHOOKS as u32), "{accepted:?}");
    let steps: Vec<usize> = changes
        .try_iter()
        .flatten()
        .filter_map(|change| if let StoreEvent::Owed(owed) = change { Some(owed.len()) } else { None })
        .collect();
    assert_eq!(steps.iter().sum::<usize>(), EVENTS * WEBHOOKS + 10);
    assert!(steps.iter().all(|step| *step <= crate::model::fan_out::STEP_DELIVERIES), "{steps:?}");
    ask(|reply| {
        store
            .by(anyone())
            .cancel(known(&store, store.owed_after(SubscriptionNumber::FIRST, 0, 1).unwrap()[0].id), reply)
    })
    .unwrap();
    running.stop();
}

#[test]
fn many_small_requests_of_one_company_are_spread_over_commits() {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, changes } = open(dir.path());
    webhooks(&store);
    let (sender, answers) = mpsc::channel();
    // Each of them alone is small enough to be accepted at once.
    for number in 0..40 {
        let sender = sender.clone();
        let events = (0..15).map(|one| of("acme", number * 100 + one)).collect();
        store.accept(events, Box::new(move |made| sender.send((number, made.unwrap())).unwrap())).unwrap();
    }
    let other = sender.clone();
    store.accept(vec![of("other", 1)], Box::new(move |made| other.send((99, made.unwrap())).unwrap())).unwrap();
    let order: Vec<usize> = answers.iter().take(41).map(|(number, _)| number).collect();
    assert!(
        order.iter().position(|number| *number == 99).unwrap() < 35,
        "it had to wait for the other company: {order:?}"
    );
    let own: Vec<usize> = order.into_iter().filter(|number| *number != 99).collect();
    assert_eq!(own, (0..40).collect::<Vec<_>>(), "requests of a company are in order of arrival");
    drop(changes);
    running.stop();
}

/// What a kill leaves behind after this many steps of the batch.
fn killed_after(steps: usize) -> tempfile::TempDir {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let unstarted = Store::open(dir.path(), settings(), Keyring::default(), NOW).unwrap();
    let store = unstarted.store().clone();
    let (from, to) = (dir.path().to_owned(), copy.path().to_owned());
    let seen = Mutex::new(0);
    let changes = move |_, changes: Vec<StoreEvent>| {
        if changes.iter().any(|change| matches!(change, StoreEvent::Owed(_))) {
            let mut seen = seen.lock().unwrap();
            *seen += 1;
            if *seen == steps {
                // On the writer's thread, so that nothing is written at the same time but a checkpoint.
                copy_dir(&from, &to);
            }
        }
    };
    let running = unstarted.start(|| NOW, changes, |why| panic!("{why}")).unwrap();
    webhooks(&store);
    accept(&store, batch());
    drop(store);
    running.stop();
    copy
}

#[test]
fn an_interrupted_fan_out_is_completed_after_a_restart() {
    let copy = killed_after(1);
    // A start that is interrupted after it has replayed the intent.
    drop(Store::open(copy.path(), settings(), Keyring::default(), NOW).unwrap());
    let findings = crate::engine::embedded::offline::verify_directory(copy.path(), &|_| ()).unwrap();
    assert!(findings.faults.is_empty(), "{findings:?}");
    let Open { store, running, .. } = open(copy.path());
    assert_complete(&store);
    drop(store);
    running.stop();
    let Open { store, running, .. } = open(copy.path());
    assert_complete(&store);
    running.stop();
    let findings = crate::engine::embedded::offline::verify_directory(copy.path(), &|_| ()).unwrap();
    assert!(findings.faults.is_empty(), "{findings:?}");
}

#[test]
fn a_batch_is_accepted_completely_or_not_at_all_wherever_the_log_is_cut() {
    let copy = killed_after(1);
    let path = copy.path().join("journal/000001.log");
    let bytes = fs::read(&path).unwrap();
    let written = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let intent = bytes.windows(5).rposition(|window| window == b"\"c59\"").unwrap();
    let (mut none, mut all) = (0, 0);
    // The last group commit has the intent and the first step; nothing of it was answered.
    for part in 0..12 {
        let cut = if part < 4 { intent - 40 * part } else { intent + (written - intent) * (part - 3) / 9 };
        let image = tempfile::tempdir().unwrap();
        copy_dir(copy.path(), image.path());
        let torn = [&bytes[..cut], &vec![0; bytes.len() - cut]].concat();
        fs::write(image.path().join("journal/000001.log"), torn).unwrap();
        let Open { store, running, .. } = open(image.path());
        if store.events(&EventFilter::default(), None, 1).unwrap().items.is_empty() && store.counts().pending == 0 {
            // An unfinished fan-out continues before anything else of its company.
            let next = accept(&store, vec![of("acme", 0)]);
            if next[0].duplicate {
                assert_complete(&store);
                all += 1;
            } else {
                none += 1;
            }
        } else {
            assert_complete(&store);
            all += 1;
        }
        running.stop();
    }
    assert!(none >= 3 && all >= 3, "none {none}, all {all}");
}

#[test]
fn exceeding_a_limit_is_refused_with_the_name_of_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Settings { subscriptions_per_company: 3, deliveries_per_request: 10, ..settings() };
    let unstarted = Store::open(dir.path(), limits, Keyring::default(), NOW).unwrap();
    let store = unstarted.store().clone();
    let running = unstarted.start(|| NOW, |_, _| (), |why| panic!("{why}")).unwrap();
    for _ in 0..3 {
        ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    }
    let refusal = |refused: StoreError| {
        let StoreError::Invalid(invalid) = refused else { panic!("{refused:?}") };
        (invalid.errors[0].pointer.clone(), invalid.errors[0].detail.clone())
    };
    let (pointer, detail) =
        refusal(ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap_err());
    assert!(pointer == "/company" && detail.contains("subscriptions_per_company") && detail.contains('3'), "{detail}");
    assert!(ask(|reply| store.by(anyone()).create_subscription(draft("other"), reply)).is_ok());
    let events = |count| (0..count).map(|number| of("acme", number)).collect::<Vec<_>>();
    let (pointer, detail) = refusal(ask(|reply| store.accept(events(4), reply)).unwrap_err());
    assert!(pointer == "/3" && detail.contains("deliveries_per_request") && detail.contains("10"), "{detail}");
    assert_eq!(store.counts().pending, 0, "all or none");
    assert_eq!(accept(&store, events(3)).len(), 3);
    running.stop();
}

#[test]
fn a_batch_that_reuses_an_id_with_different_content_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open(dir.path());
    webhooks(&store);
    let first = NewEvent { call: of("acme", 8).call, data: of("acme", 8).data, ..of("acme", 7) };
    accept(&store, vec![first.clone()]);
    let refused = |events: Vec<NewEvent>| match ask(|reply| store.accept(events, reply)).unwrap_err() {
        StoreError::Invalid(invalid) => invalid.errors.into_iter().map(|error| error.pointer).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(batch()), ["/7/id"]);
    let mut twice: Vec<NewEvent> = batch().into_iter().map(|event| NewEvent { producer_id: None, ..event }).collect();
    (twice[3].producer_id, twice[50].producer_id) = (of("acme", 3).producer_id, of("acme", 3).producer_id);
    assert_eq!(refused(twice), ["/50/id"]);
    assert_eq!(store.events(&EventFilter::default(), None, 1_000).unwrap().items.len(), 1, "nothing was accepted");
    running.stop();
}
