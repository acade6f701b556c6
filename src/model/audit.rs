//! The audit: recording who did what, in the same transaction as what was done, and finding it again.
//!
//! What always holds: a decision on a [`Operation`](crate::model::command::Operation) cannot be answered without an entry. Its
//! answer is an [`Audited`], which only [`write()`] makes.

use crate::core::actor::Actor;
use crate::core::audit::{AuditEntry, Deed};
use crate::core::id::AuditId;
use crate::model::error::StoreError;
use crate::model::filter::AuditFilter;
use crate::model::key::{Key, ValueKind};
use crate::model::keys;
use crate::model::page::Page;
use crate::model::page_size::PageSize;
use crate::model::query::{lowest_id, time_of};
use crate::model::record::{AuditRecord, Record, unversioned};
use crate::model::term::{Lookup, Owner, Term};
use crate::model::turn::Turn;
use crate::model::view::View;

/// How many entries are read at a time.
const AT_ONCE: usize = 64;
/// How many entries a query reads before its page ends.
const MOST_READ: usize = 4_000;

/// An answer to something of which the audit has an entry.
#[derive(Debug)]
pub(crate) struct Audited<T>(T);

impl<T> Audited<T> {
    /// The answer.
    pub(crate) fn answer(self) -> T {
        self.0
    }

    /// The answer to something that was refused, though not as an error: nothing was done that could be recorded.
    pub(crate) const fn nothing_done(answer: T) -> Self {
        Self(answer)
    }

    /// Another answer to the same.
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Audited<U> {
        Audited(change(self.0))
    }
}

/// Writes records and the entry about them as one atomic unit, and applies them; returns the answer, which may now be
/// given.
pub(crate) fn write<T>(
    turn: &mut Turn<'_>,
    mut records: Vec<Record>,
    actor: &Actor,
    deed: Deed,
    answer: T,
) -> Audited<T> {
    records.push(record_of(turn, actor, deed));
    turn.write(records);
    Audited(answer)
}

/// The record of something that the daemon itself does in the course of something else.
pub(crate) fn record_of(turn: &mut Turn<'_>, actor: &Actor, deed: Deed) -> Record {
    let entry = AuditEntry { id: AuditId::from_bits(turn.next_id()), at: turn.now, actor: actor.clone(), deed };
    Record::from(Box::new(AuditRecord::from(&entry)))
}

/// Records something that changes nothing: a look at a secret, or what was done elsewhere.
pub(crate) fn note(turn: &mut Turn<'_>, actor: &Actor, deed: Deed) -> Audited<()> {
    write(turn, Vec::new(), actor, deed, ())
}

/// The list to read for a filter: that of its rarest term.
fn list_of(filter: &AuditFilter) -> Key {
    let subscription = filter.subscription.map(|id| Term::Concerned(id.bits()));
    let actor = filter.actor.as_deref().map(Term::Actor);
    let action = filter.action.map(|action| Term::Action(action.as_str()));
    let company = filter.company.as_ref().map(|_| Term::Audited);
    let owner = filter.company.as_ref().map(|company| Owner::company(company.as_str()));
    match subscription.or(actor).or(action).or(company).map(|term| term.lookup(owner.as_ref())) {
        Some(Lookup::One(key) | Lookup::Two(key, _) | Lookup::Range(key, _)) => keys::audit_term(key),
        None => Key::all(ValueKind::Audit),
    }
}

/// Whether an entry is wanted.
fn is_wanted(filter: &AuditFilter, entry: &AuditEntry) -> bool {
    let AuditFilter { company, actor, action, subscription, since, until } = filter;
    let AuditEntry { actor: who, deed, at, .. } = entry;
    company.as_ref().is_none_or(|company| deed.company.as_ref() == Some(company))
        && actor.as_ref().is_none_or(|actor| who.is(actor))
        && action.is_none_or(|action| deed.action == action)
        && subscription.is_none_or(|subscription| deed.subscription == Some(subscription))
        && since.is_none_or(|since| *at >= since)
        && until.is_none_or(|until| *at < until)
}

/// A page of entries, newest first.
pub(crate) fn page(
    view: &dyn View,
    filter: &AuditFilter,
    after: Option<u128>,
    limit: usize,
) -> Result<Page<AuditEntry>, StoreError> {
    let list = list_of(filter);
    let from = lowest_id(filter.since);
    // An entry's id may be of a later time than the entry, if the clock was set back: the entry decides.
    let mut below = after.unwrap_or(u128::MAX);
    let (mut items, mut size, mut read) = (Vec::new(), PageSize::default(), 0);
    loop {
        let found = view.scan_down(&list, &list.clone().with(&below.to_be_bytes()), AT_ONCE)?;
        let (count, mut last) = (found.len(), below);
        for (key, value) in found {
            let Some(id) = keys::audit_in(&key) else { continue };
            if id < from {
                view.wait_until_logged();
                return Ok(Page { items, next: None, scanned_until: None });
            }
            let value = if list.kind() == ValueKind::Audit { Some(value) } else { view.get(&at(id))? };
            let entry = value.and_then(|value| decoded(view, id, &value)).filter(|entry| is_wanted(filter, entry));
            if let Some(entry) = entry {
                if !size.admits(&entry, limit) {
                    view.wait_until_logged();
                    return Ok(Page { items, next: Some(last), scanned_until: None });
                }
                items.push(entry);
            }
            last = id;
            read += 1;
        }
        if count < AT_ONCE {
            view.wait_until_logged();
            return Ok(Page { items, next: None, scanned_until: None });
        }
        if read >= MOST_READ {
            view.wait_until_logged();
            return Ok(Page { items, next: Some(last), scanned_until: Some(time_of(last)) });
        }
        below = last;
    }
}

fn at(id: u128) -> Key {
    keys::audit(AuditId::from_bits(id))
}

/// The entry in a value. An unreadable one is reported and left out.
fn decoded(view: &dyn View, id: u128, value: &[u8]) -> Option<AuditEntry> {
    let entry = unversioned::<AuditRecord>(value).and_then(AuditRecord::entry);
    if entry.is_none() {
        view.note_unreadable(&at(id), None);
    }
    entry
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::actor::{ActorKind, Via};
    use crate::core::audit::Action;
    use crate::core::event::Company;
    use crate::core::json;
    use crate::core::subscription_input::Change;
    use crate::core::token::TokenDraft;
    use crate::model::in_memory::{InMemory, NOW, draft};
    use crate::model::{subscriptions, tokens};

    fn somebody(name: &str) -> Actor {
        let id = crate::core::id::TokenId::from_bits(7);
        Actor::token(id, name).from(Via::Api, Some([192, 0, 2, 7].into()))
    }

    fn all(engine: &InMemory, filter: &AuditFilter) -> Vec<AuditEntry> {
        page(&engine.view, filter, None, 500).unwrap().items
    }

    fn actions(entries: &[AuditEntry]) -> Vec<&'static str> {
        entries.iter().map(|entry| entry.deed.action.as_str()).collect()
    }

    /// Two companies, with changes by two people.
    fn engine() -> InMemory {
        let mut engine = InMemory::new();
        for (name, company) in [("Ann", "acme"), ("Ben", "globex"), ("Ann", "acme")] {
            engine.now = engine.now.plus(Duration::from_secs(60));
            let actor = somebody(name);
            let made = engine.decide(|turn| subscriptions::create(turn, &actor, draft(company))).0.unwrap().answer();
            engine.decide(|turn| note(turn, &actor, Deed::to(Action::SecretShow, &made)));
        }
        let draft = TokenDraft::from_json(json::parse(r#"{"role":"read"}"#).unwrap(), NOW).unwrap();
        engine.decide(|turn| tokens::create(turn, &somebody("Ann"), draft)).0.unwrap();
        engine
    }

    #[test]
    fn entries_are_found_by_who_what_whose_and_when() {
        let engine = engine();
        let of = |filter: AuditFilter| actions(&all(&engine, &filter));
        let acme = || Some(Company::parse("acme").unwrap());
        let (made, shown) = ("subscription.create", "subscription.show_secret");
        assert_eq!(of(AuditFilter::default()), ["token.create", shown, made, shown, made, shown, made]);
        assert_eq!(of(AuditFilter { company: acme(), ..AuditFilter::default() }), [shown, made, shown, made]);
        let ben = AuditFilter { actor: Some("Ben".to_owned()), ..AuditFilter::default() };
        assert_eq!(of(ben.clone()), [shown, made]);
        assert_eq!(of(AuditFilter { company: acme(), ..ben }), [""; 0]);
        let by_kind = AuditFilter { actor: Some("token".to_owned()), ..AuditFilter::default() };
        assert_eq!(of(by_kind).len(), 7);
        let by_action = AuditFilter { action: Some(Action::SecretShow), company: acme(), ..AuditFilter::default() };
        assert_eq!(of(by_action), [shown, shown]);
        let newest = all(&engine, &AuditFilter::default());
        let one = AuditFilter { subscription: newest[1].deed.subscription, ..AuditFilter::default() };
        assert_eq!(of(one), [shown, made]);
        let since = AuditFilter { since: Some(newest[1].at), ..AuditFilter::default() };
        assert_eq!(of(since), ["token.create", shown, made]);
        let until = AuditFilter { until: Some(newest[1].at), ..AuditFilter::default() };
        assert_eq!(of(until), [shown, made, shown, made]);
    }

    #[test]
    fn pages_follow_each_other_without_gaps() {
        let engine = engine();
        let whole = all(&engine, &AuditFilter::default());
        for filter in
            [AuditFilter::default(), AuditFilter { actor: Some("token".to_owned()), ..AuditFilter::default() }]
        {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = page(&engine.view, &filter, after, 2).unwrap();
                assert!(page.items.len() <= 2);
                found.extend(page.items);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(found, whole);
        }
    }

    #[test]
    fn a_change_says_what_was_there_before_and_shows_no_secret() {
        let mut engine = InMemory::new();
        let actor = somebody("Ann");
        let made = engine.decide(|turn| subscriptions::create(turn, &actor, draft("acme"))).0.unwrap().answer();
        let catalogue = crate::core::catalogue::Catalogue::new(Vec::new()).unwrap();
        let text = r#"{"url":"http://127.0.0.1:9/in?key=hunter2","headers":{"X-Key":"hunter3"},"description":"new"}"#;
        let patch = Change::from_json(json::parse(text).unwrap(), &catalogue).unwrap();
        let changed = engine.decide(|turn| subscriptions::change(turn, &actor, made.id, &patch)).0;
        let changed = changed.unwrap().answer();
        let entry = all(&engine, &AuditFilter::default()).remove(0);
        let text = format!("{entry:?}");
        assert!(!text.contains("hunter") && !text.contains(&changed.secret.reveal()), "{text}");
        let json = |members: &crate::core::audit::Members| serde_json::Value::Object(members.clone());
        assert_eq!(json(&entry.deed.before), serde_json::json!({"url": "http://127.0.0.1:9/"}));
        let wanted = serde_json::json!({
            "url": "http://127.0.0.1:9/in?…", "description": "new", "hidden": ["headers/X-Key", "url/query"],
        });
        assert_eq!(json(&entry.deed.after), wanted);
        assert_eq!((entry.actor.kind, entry.at), (ActorKind::Token, NOW));
        engine.decide(|turn| subscriptions::rotate(turn, &actor, made.id, None, Duration::ZERO)).0.unwrap();
        let rotated = all(&engine, &AuditFilter::default()).remove(0);
        assert_eq!(json(&rotated.deed.after), serde_json::json!({"hidden": ["secret"], "overlap": "0s"}));
    }

    #[test]
    fn an_entry_is_written_with_its_change_and_refusals_leave_none() {
        let mut engine = InMemory::new();
        let actor = somebody("Ann");
        let made = engine.decide(|turn| subscriptions::create(turn, &actor, draft("acme"))).0.unwrap().answer();
        assert_eq!(engine.written(), ["subscriptions", "entries of the audit"]);
        assert_eq!(engine.units(), [2], "one atomic unit");
        engine.decide(|turn| subscriptions::delete(turn, &actor, made.id)).0.unwrap();
        assert_eq!(engine.units(), [2, 2]);
        assert!(engine.decide(|turn| subscriptions::delete(turn, &actor, made.id)).0.is_err());
        assert_eq!(engine.written().len(), 4);
    }

    #[test]
    fn a_long_entry_fits_into_a_value() {
        let mut engine = InMemory::new();
        let long = "ü".repeat(20_000);
        let deed = Deed::new(Action::UrlTest, None, None).with("a", long.as_str()).with("b", "short");
        engine.decide(|turn| note(turn, &somebody("Ann"), deed));
        assert!(engine.view.all().values().all(|value| value.len() <= 8 << 10));
        let entry = all(&engine, &AuditFilter::default()).remove(0);
        let shown = entry.deed.after["a"].as_str().unwrap();
        assert!(shown.starts_with("ü") && shown.ends_with('…') && entry.deed.after["b"] == "short", "{shown}");
    }
}
