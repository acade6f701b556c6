//! Connects the mails to owners with the dispatcher's notices and the state of the store.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::clock::now;
use crate::alerts::owners::rules::{Condition, News, Told};
use crate::alerts::owners::{Answer, Case, LastAttempt, Owned, Owners, OwnersCalls, OwnersSink, OwnersSource};
use crate::config::Page;
use crate::core::actor::Actor;
use crate::core::attempt::LogEntry;
use crate::core::audit::{Action, Deed};
use crate::core::id::SubscriptionId;
use crate::core::mail_address::MailAddress;
use crate::core::subscription::DisabledReason;
use crate::core::time::Timestamp;
use crate::dispatch::{Listener, Notice};
use crate::mail::MailerHandle;
use crate::sender::probe;
use crate::store::{AuditFilter, Health, LogFilter, Store, SubscriptionStatus};
use crate::texts::Language;

/// A receiver that has failed for this long is failing, however few attempts there were.
const FAILING_AFTER: Duration = Duration::from_secs(15 * 60);

/// The receivers that are down, as the dispatcher says.
type Down = Arc<Mutex<BTreeSet<SubscriptionId>>>;

/// What a start needs of the dispatcher's notices, which begin before it.
pub(super) struct Beginning {
    sink: OwnersSink,
    calls: OwnersCalls,
    down: Down,
}

impl Beginning {
    pub(super) fn new() -> Self {
        let (sink, calls) = OwnersSink::new();
        Self { sink, calls, down: Down::default() }
    }

    /// Forwards notices to `first`, and notes what concerns owners.
    pub(super) fn listener(&self, first: Listener) -> Listener {
        let (sink, down) = (self.sink.clone(), self.down.clone());
        Arc::new(move |notice| {
            first(notice);
            let concerned = {
                let mut down = down.lock().unwrap_or_else(PoisonError::into_inner);
                match notice {
                    Notice::Down { subscription, .. } => down.insert(subscription.id),
                    Notice::Back { subscription, .. } => down.remove(&subscription.id),
                    Notice::Disabled { subscription, .. } => {
                        down.remove(&subscription.id);
                        true
                    }
                    Notice::Settled(id) => {
                        down.remove(&id);
                        false
                    }
                    Notice::Ended(_) | Notice::Unreadable(_) => false,
                }
            };
            if concerned {
                sink.look();
            }
        })
    }

    /// Starts the thread. `page` says where the page is, and in which language the mails are.
    ///
    /// # Errors
    /// No thread can be created.
    pub(super) fn start(self, store: &Store, mailer: &MailerHandle, page: Page) -> std::io::Result<Owners> {
        let Self { sink, calls, down } = self;
        let (looked, told, asked, recorded) = (store.clone(), store.clone(), store.clone(), store.clone());
        let (can_mail, mailer) = (mailer.clone(), mailer.clone());
        let source = OwnersSource {
            can_mail: Box::new(move || can_mail.is_set()),
            look: Box::new(move || look(&looked, &down)),
            told: Box::new(move |id| last_told(&told, id)),
            case: Box::new(move |id| case(&asked, id, &page)),
            mail: Box::new(move |letter| mailer.send(letter)),
            record: Box::new(move |id, news| record(&recorded, id, news)),
            clock: Box::new(now),
        };
        Owners::start(sink, calls, source)
    }
}

fn look(store: &Store, down: &Down) -> Vec<Owned> {
    // Of several daemons each tells of the subscriptions that it sends for.
    let own = store.ownership().shards;
    let with_owners = store.statuses(|subscription, _| !subscription.notify.is_empty() && own.has(subscription.number));
    let down = down.lock().unwrap_or_else(PoisonError::into_inner);
    let owned = |SubscriptionStatus { subscription, health, .. }: &SubscriptionStatus| Owned {
        id: subscription.id,
        condition: condition(subscription.disabled, *health, down.contains(&subscription.id), now()),
    };
    with_owners.iter().map(owned).collect()
}

/// How a subscription is.
fn condition(disabled: Option<DisabledReason>, health: Health, is_down: bool, now: Timestamp) -> Condition {
    match (disabled, health.failing_since) {
        (Some(DisabledReason::Gone | DisabledReason::Failing), _) => Condition::Disabled,
        (Some(DisabledReason::ByHand | DisabledReason::Unreadable), _) => Condition::Paused,
        (None, None) => Condition::Fine(health.last_success),
        (None, Some(since)) if is_down || now.since(since) >= FAILING_AFTER => Condition::Failing,
        (None, Some(_)) => Condition::Unclear,
    }
}

fn case(store: &Store, id: SubscriptionId, page: &Page) -> Option<Case> {
    let SubscriptionStatus { subscription, waiting, health } = store.status(id)?;
    if !store.ownership().shards.has(subscription.number) {
        return None;
    }
    let filter = LogFilter {
        company: Some(subscription.company.clone()),
        subscription: Some(id),
        test: Some(false),
        ..LogFilter::default()
    };
    // A mail without it is better than none.
    let last = store.log(&filter, None, 1).ok().and_then(|page| page.items.into_iter().next());
    Some(Case {
        id,
        language: language(page, subscription.company.as_str()),
        to: subscription.notify.clone(),
        company: subscription.company.as_str().to_owned(),
        url: subscription.url.clone(),
        description: subscription.description.clone(),
        reason: subscription.disabled.map(DisabledReason::as_str),
        since: health.failing_since,
        failures: health.failures,
        waiting,
        last: last.as_ref().map(attempt),
        page: page.url.clone(),
    })
}

fn language(page: &Page, company: &str) -> Language {
    let tag = page.company_languages.get(company).or(page.language.as_ref());
    tag.and_then(|tag| Language::of_tag(tag)).unwrap_or(Language::English)
}

fn attempt(entry: &LogEntry) -> LastAttempt {
    let answer = match (entry.response, entry.error) {
        (Some(status), _) => Answer::Status(status),
        (None, Some(fault)) => Answer::Fault(fault.as_str(), entry.error_detail.clone()),
        (None, None) => Answer::None,
    };
    LastAttempt { at: entry.created, answer, advice: probe::of_entry(entry) }
}

fn last_told(store: &Store, id: SubscriptionId) -> Result<Option<Told>, String> {
    let filter =
        AuditFilter { action: Some(Action::SubscriptionNotify), subscription: Some(id), ..AuditFilter::default() };
    let newest = store.audit(&filter, None, 1).map_err(|error| error.to_string())?.items.into_iter().next();
    Ok(newest.and_then(|entry| {
        let news = entry.deed.after.get("news")?.as_str()?;
        Some(Told { news: News::parse(news).ok()?, at: entry.at })
    }))
}

/// Records what was told. Nobody waits for it: if it is lost, it may be told again after a restart.
fn record(store: &Store, id: SubscriptionId, news: News) {
    let Some(subscription) = store.subscription(id) else { return };
    let to: Vec<&str> = subscription.notify.iter().map(MailAddress::as_str).collect();
    let deed = Deed::to(Action::SubscriptionNotify, &subscription).with("news", news.as_str()).with("to", to);
    let warn_if = |failed: bool| {
        if failed {
            tracing::warn!("it could not be recorded that owners were told; they may be told again");
        }
    };
    let recorded = store.by(Actor::daemon()).note(deed, Box::new(move |result| warn_if(result.is_err())));
    warn_if(recorded.is_err());
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    #[test]
    fn a_condition_is_that_of_the_receiver_or_of_who_disabled_it() {
        let of = |disabled, failing: Option<u64>, down| {
            let failing_since = failing.map(|minutes| Timestamp::from_millis(NOW.millis() - minutes * 60_000));
            let health = Health { failing_since, last_success: Some(NOW), ..Health::default() };
            condition(disabled, health, down, NOW)
        };
        assert_eq!(of(None, None, true), Condition::Fine(Some(NOW)));
        assert_eq!(of(None, Some(14), false), Condition::Unclear);
        assert_eq!((of(None, Some(15), false), of(None, Some(0), true)), (Condition::Failing, Condition::Failing));
        assert_eq!(of(Some(DisabledReason::Gone), Some(15), true), Condition::Disabled);
        assert_eq!(of(Some(DisabledReason::ByHand), Some(15), true), Condition::Paused);
    }
}
