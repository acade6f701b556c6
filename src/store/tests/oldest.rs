//! The longest waiting delivery and the counts, compared with the queues, after any operation.

use super::*;
use crate::store::tests::lists::{Rng, World};

/// The oldest first delivery of all queues, read one by one.
fn one_by_one(store: &Store, wanted: impl Fn(&Subscription) -> bool) -> Option<Timestamp> {
    let wanted = store.subscriptions().into_iter().filter(|subscription| wanted(subscription));
    let firsts = wanted.flat_map(|subscription| store.owed_after(subscription.number, 0, 1).unwrap());
    firsts.map(|delivery| delivery.id.timestamp()).min()
}

fn is_right(world: &World) {
    let store = &world.store;
    let oldest = |wanted: &dyn Fn(&Subscription) -> bool| store.oldest_waiting(wanted).unwrap();
    assert_eq!(oldest(&|_| true).map(|(_, at)| at), one_by_one(store, |_| true));
    let own = world.subscriptions[1].id;
    let found = oldest(&|subscription| subscription.id == own);
    assert!(found.as_ref().is_none_or(|(subscription, _)| subscription.id == own));
    assert_eq!(found.map(|(_, at)| at), one_by_one(store, |subscription| subscription.id == own));
    assert_eq!(store.counts(), counted(store));
}

#[test]
fn the_longest_waiting_delivery_is_correct_after_any_operation() {
    for seed in 1..=8 {
        let world = World::new(1 << 20);
        let mut rng = Rng(seed);
        let mut events = Vec::new();
        for _ in 0..30 {
            let count = 1 + rng.below(3);
            events.extend(world.post(&mut rng, count));
            if rng.below(2) == 0 {
                is_right(&world);
            }
            let event = &events[rng.below(events.len())];
            world.attempt(&mut rng, event);
            is_right(&world);
        }
        world.running.stop();
    }
}

#[test]
fn a_requeued_delivery_may_be_older_than_the_queue() {
    let world = World::new(1 << 20);
    let (store, company) = (&world.store, world.subscriptions[2].company.as_str());
    let post = |call: &str| {
        let text =
            format!(r#"{{"type":"call.new","company":"{company}","source":"api","data":{{"call_id":"{call}"}}}}"#);
        let event = NewEvent::from_json(json::parse(&text).unwrap(), &Catalogue::new(Vec::new()).unwrap()).unwrap();
        store.event_deliveries(accept(store, vec![event])[0].id).unwrap().remove(0)
    };
    let oldest = || store.oldest_waiting(|_| true).unwrap().map(|(_, at)| at);
    assert_eq!(oldest(), None);
    let first = post("a");
    assert_eq!(oldest(), Some(first.id.timestamp()));
    world.now.fetch_add(1_000, std::sync::atomic::Ordering::Relaxed);
    let second = post("b");
    store.finish(finish(&first, Status::Failed));
    while !world.changes.recv().unwrap().iter().any(|change| matches!(change, StoreEvent::Finished(_))) {}
    assert_eq!(oldest(), Some(second.id.timestamp()), "a dead letter does not wait");
    ask(|reply| store.by(anyone()).retry(known(store, first.id), reply)).unwrap();
    assert_eq!(oldest(), Some(first.id.timestamp()));
    world.running.stop();
}
