//! Pages of subscriptions: each subscription once, also while some are created and deleted.

use super::*;

/// All items, page by page.
fn all(store: &Store, filter: &SubscriptionFilter, limit: usize) -> Vec<SubscriptionId> {
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page = store.subscriptions_page(filter, after, limit);
        let same = store.statuses_of(filter, after, limit);
        let of = |page: &Page<SubscriptionStatus>| page.items.iter().map(|one| one.subscription.id).collect::<Vec<_>>();
        assert_eq!((of(&page), page.next), (of(&same), same.next));
        assert!(page.items.len() <= limit);
        ids.extend(of(&page));
        match page.next {
            Some(bits) => after = Some(SubscriptionId::from_bits(bits)),
            None => return ids,
        }
    }
}

#[test]
fn pages_are_complete_also_after_deletions() {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open(dir.path());
    let make = |company| ask(|reply| store.by(anyone()).create_subscription(draft(company), reply)).unwrap().id;
    let made: Vec<_> = (0..30).map(|n| make(["acme", "globex", "initech"][n % 3])).collect();
    let of = |name: &str| SubscriptionFilter { company: Some(Company::parse(name).unwrap()), domain: None };
    for limit in [1, 7, 10, 30, 31] {
        assert_eq!(all(&store, &SubscriptionFilter::default(), limit), made, "{limit}");
        let globex: Vec<_> = made.iter().copied().skip(1).step_by(3).collect();
        assert_eq!(all(&store, &of("globex"), limit), globex, "{limit}");
    }
    assert!(all(&store, &of("nobody"), 5).is_empty());
    let elsewhere = SubscriptionFilter { domain: Some(Domain::parse("www.a.example").unwrap()), company: None };
    assert!(all(&store, &elsewhere, 5).is_empty());
    // The last item of a page is deleted: the next page starts after it all the same. So does one after an unknown id.
    let page = store.subscriptions_page(&SubscriptionFilter::default(), None, 10);
    assert_eq!(page.next, Some(made[9].bits()));
    ask(|reply| store.by(anyone()).delete_subscription(made[9], reply)).unwrap();
    let (below, above) = (made[0].bits() - 1, made[29].bits() + 1);
    for (after, wanted) in [(made[9].bits(), Some(made[10])), (below, Some(made[0])), (above, None)] {
        let page = store.subscriptions_page(&SubscriptionFilter::default(), Some(SubscriptionId::from_bits(after)), 1);
        assert_eq!(page.items.first().map(|one| one.subscription.id), wanted);
    }
    let names: Vec<_> = store.companies_with_webhook().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["acme", "globex", "initech"]);
    for id in made.iter().skip(2).step_by(3) {
        ask(|reply| store.by(anyone()).delete_subscription(*id, reply)).unwrap();
    }
    assert_eq!(store.companies_with_webhook().len(), 2);
    running.stop();
}

#[test]
fn a_page_of_large_subscriptions_ends_early() {
    const COUNT: usize = 300;
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open(dir.path());
    let (path, description) = ("x".repeat(2_000), "\u{20ac}".repeat(500));
    for _ in 0..COUNT {
        let text = format!(
            r#"{{"company":"acme","url":"http://127.0.0.1:9/{path}","events":["*"],"description":"{description}"}}"#
        );
        let patch = Patch::from_json(json::parse(&text).unwrap(), &Catalogue::new(Vec::new()).unwrap()).unwrap();
        let draft = patch.into_draft(crate::core::subscription::Ordering::Call).unwrap();
        ask(|reply| store.by(anyone()).create_subscription(draft, reply)).unwrap();
    }
    let whole = SubscriptionFilter::default();
    let first = store.subscriptions_page(&whole, None, 500);
    let bytes = first.items.len() * (path.len() + description.len());
    assert!(first.items.len() < COUNT && bytes <= 1 << 20 && bytes > 1 << 19, "{}", first.items.len());
    let rest = store.subscriptions_page(&whole, first.next.map(SubscriptionId::from_bits), 500);
    assert_eq!((first.items.len() + rest.items.len(), rest.next), (COUNT, None));
    assert_eq!(store.statuses_of(&whole, None, 500).items.len(), COUNT, "without what is long");
    running.stop();
}
