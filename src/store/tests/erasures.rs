//! Many erasures: their number does not affect the cost of a record.

use super::*;

fn of_lead(call: &str, phone: &str) -> NewEvent {
    let text = format!(
        r#"{{"type":"call.new","company":"acme","source":"api","data":{{"call_id":"{call}","lead_phone":"{phone}"}}}}"#
    );
    NewEvent::from_json(json::parse(&text).unwrap(), &Catalogue::new(Vec::new()).unwrap()).unwrap()
}

#[test]
fn erasures_of_unknown_numbers_leave_no_active_rule() {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open(dir.path());
    let accepted = accept(&store, vec![of_lead("a", "+12025550143")]);
    let acme = Company::parse("acme").unwrap();
    for number in 0..300 {
        let erasure = store.by(anyone()).erase(&acme, &format!("+1202666{number:04}"), true, NOW).unwrap();
        assert_eq!((erasure.done_at, erasure.events), (Some(NOW), 0), "it is done at once");
    }
    assert!(store.embedded().erasures.under_way().is_empty());
    assert!(!dir.path().join("erasing").exists(), "nothing is left for a restart");
    assert_eq!(store.erasures(Some(&acme)).unwrap().len(), 300, "each is recorded");
    assert!(store.event(accepted[0].id).unwrap().unwrap().phone.is_some());
    running.stop();
}

#[test]
fn concurrent_erasures_take_effect_at_once_and_are_carried_out_together() {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open(dir.path());
    let acme = Company::parse("acme").unwrap();
    let phone = |number: usize| format!("+1202555{number:04}");
    let events = (0..40).map(|number| of_lead(&format!("c{number}"), &phone(number))).collect();
    let accepted = accept(&store, events);
    for number in 0..39 {
        store.by(anyone()).erase(&acme, &phone(number), false, NOW).unwrap();
        // A repeated request has no further effect.
        store.by(anyone()).erase(&acme, &phone(number), false, NOW).unwrap();
    }
    let shown = |store: &Store, index: usize| store.event(accepted[index].id).unwrap().unwrap().phone;
    assert!((0..39).all(|number| shown(&store, number).is_none()));
    assert_eq!(shown(&store, 39), Some(phone(39)));
    while store.erasures(Some(&acme)).unwrap().iter().any(|erasure| erasure.done_at.is_none()) {
        std::thread::yield_now();
    }
    while !store.embedded().erasures.under_way().is_empty() {
        std::thread::yield_now();
    }
    let found: u64 = store.erasures(Some(&acme)).unwrap().iter().map(|erasure| erasure.events).sum();
    assert!(found >= 39, "{found}");
    drop(store);
    running.stop();
    let Open { store, running, .. } = open(dir.path());
    assert!((0..39).all(|number| shown(&store, number).is_none()));
    assert_eq!(shown(&store, 39), Some(phone(39)));
    running.stop();
}
