//! Whom of the owners of webhooks to tell what, and when. Pure: the state of a webhook, what was told last, and the time.
//!
//! A change is told once, and a webhook that goes on failing is told again a day later, but not more often; one that
//! goes up and down is told of at most once in [`CALM`]. What was told last is in the audit, so that a restart, or another
//! daemon that takes over, repeats nothing.

use std::time::Duration;

use crate::core::text::words;
use crate::core::time::Timestamp;

/// After this time, what stays as it is is told again.
const AGAIN: Duration = Duration::from_secs(24 * 3_600);
/// The shortest time between two mails of one webhook that say that it fails.
const CALM: Duration = Duration::from_secs(3_600);

words! {
    /// What owners are told of a webhook.
    News {
        /// Its deliveries fail.
        Failing = "failing",
        /// They arrive again.
        Recovered = "recovered",
        /// The daemon has disabled it.
        Disabled = "disabled",
    }
}

/// How a webhook is at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Nothing failed since the last success, which was at this time, if there was one.
    Fine(Option<Timestamp>),
    /// Something failed, too little to say more.
    Unclear,
    /// Deliveries fail.
    Failing,
    /// The daemon has disabled it.
    Disabled,
    /// It was disabled by hand: somebody knows.
    Paused,
}

/// What the owners were told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// What.
    pub news: News,
    /// When.
    pub at: Timestamp,
}

/// What to tell now, if anything.
pub fn due(condition: Condition, told: Option<Told>, now: Timestamp) -> Option<News> {
    let since = |told: Told| now.since(told.at);
    match (condition, told) {
        (Condition::Failing, Some(told)) if told.news == News::Failing => {
            (since(told) >= AGAIN).then_some(News::Failing)
        }
        (Condition::Failing, Some(told)) => (since(told) >= CALM).then_some(News::Failing),
        (Condition::Failing, None) => Some(News::Failing),
        // Once: it stays so until somebody enables it.
        (Condition::Disabled, Some(Told { news: News::Disabled, .. })) => None,
        (Condition::Disabled, _) => Some(News::Disabled),
        // Enabled again by hand its failures are forgotten, which is no success.
        (Condition::Fine(success), Some(Told { news: News::Failing, at })) if success.is_some_and(|when| when > at) => {
            Some(News::Recovered)
        }
        (Condition::Fine(_) | Condition::Unclear | Condition::Paused, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_at_once_and_what_stays_once_a_day() {
        use Condition as C;
        let at = |hours: u64| Timestamp::from_millis(1_790_000_000_000 + hours * 3_600_000);
        let told = |news, hours| Some(Told { news, at: at(hours) });
        let now = at(100);
        let cases = [
            (C::Failing, None, Some(News::Failing)),
            (C::Failing, told(News::Failing, 99), None),
            (C::Failing, told(News::Failing, 76), Some(News::Failing)),
            (C::Failing, told(News::Recovered, 100), None),
            (C::Failing, told(News::Recovered, 99), Some(News::Failing)),
            (C::Failing, told(News::Disabled, 99), Some(News::Failing)),
            (C::Disabled, None, Some(News::Disabled)),
            (C::Disabled, told(News::Failing, 100), Some(News::Disabled)),
            (C::Disabled, told(News::Disabled, 1), None),
            (C::Fine(Some(at(100))), told(News::Failing, 99), Some(News::Recovered)),
            (C::Fine(Some(at(98))), told(News::Failing, 99), None),
            (C::Fine(None), told(News::Failing, 99), None),
            (C::Fine(Some(at(100))), told(News::Recovered, 99), None),
            (C::Fine(Some(at(100))), told(News::Disabled, 99), None),
            (C::Fine(Some(at(100))), None, None),
            (C::Unclear, told(News::Failing, 1), None),
            (C::Paused, told(News::Failing, 1), None),
        ];
        for (condition, told, wanted) in cases {
            assert_eq!(due(condition, told, now), wanted, "{condition:?} {told:?}");
        }
    }
}
