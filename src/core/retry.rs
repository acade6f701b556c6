//! The state of a delivery after an attempt.
//!
//! [`judge`] decides on retry, success, giving up and expiry; time and randomness are arguments, and it has no
//! effects.

use std::time::Duration;

use super::attempt::{Answer, Outcome, Status};
use super::backoff::RetryPolicy;
use super::delivery::Delivery;
use super::success::SuccessRule;
use super::time::Timestamp;

/// The decision after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Delivered.
    Delivered,
    /// Retry.
    Retry {
        /// The time of the retry.
        at: Timestamp,
    },
    /// Given up: a dead letter.
    GivenUp,
    /// The receiver answered 410: given up, and the subscription is disabled.
    Gone,
    /// It failed, and its `expire_after` has passed.
    Expired,
}

impl Verdict {
    /// The status in the log.
    pub const fn status(self) -> Status {
        match self {
            Self::Delivered => Status::Delivered,
            Self::Retry { .. } => Status::Retrying,
            Self::GivenUp | Self::Gone => Status::Failed,
            Self::Expired => Status::Expired,
        }
    }
}

/// Decides on `delivery` (its state before the attempt) after `outcome` at `now`, by the `rule` of success. `chance` in
/// [0, 1) spreads the delay.
///
/// A retry that would come after the delivery is given up is moved to that time, so that the last attempt is as late
/// as allowed, unless the receiver's `Retry-After` is later: that is never undercut.
pub fn judge(
    policy: &RetryPolicy,
    rule: &SuccessRule,
    delivery: &Delivery,
    outcome: &Outcome,
    now: Timestamp,
    chance: f64,
) -> Verdict {
    let answer = match outcome {
        Outcome::Answered(answer) => Some(answer),
        Outcome::Failed { .. } => None,
    };
    match answer {
        Some(answer) if rule.accepts(answer) => return Verdict::Delivered,
        Some(answer) if answer.status == 410 => return Verdict::Gone,
        _ => {}
    }
    if delivery.expire_at.is_some_and(|at| at <= now) {
        return Verdict::Expired;
    }
    if delivery.give_up_at <= now {
        return Verdict::GivenUp;
    }
    let requested =
        answer.and_then(|answer| retry_after(answer, now)).map(|requested| requested.min(policy.max_delay()));
    let delay = policy.delay(delivery.attempts.saturating_add(1), chance);
    let at = now.plus(delay).min(delivery.give_up_at);
    Verdict::Retry { at: requested.map_or(at, |requested| at.max(now.plus(requested))) }
}

/// `Retry-After` of a 429 or 503, in seconds or as a date (RFC 9110 section 10.2.3). An unreadable value is ignored.
pub fn retry_after(answer: &Answer, now: Timestamp) -> Option<Duration> {
    if !matches!(answer.status, 429 | 503) {
        return None;
    }
    let value = answer.header("retry-after")?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number too large to parse exceeds any delay.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(Timestamp::from(date).since(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::attempt::Fault;
    use crate::core::id::{DeliveryId, SubscriptionNumber};
    use crate::core::success::{Success, SuccessBody};

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    fn delivery(attempts: u32) -> Delivery {
        Delivery {
            attempts,
            give_up_at: NOW.plus(72 * HOUR),
            ..Delivery::for_test(DeliveryId::new(NOW, SubscriptionNumber::FIRST, 1))
        }
    }

    fn answer(status: u16, retry_after: Option<&str>) -> Outcome {
        let headers = retry_after.map(|value| ("Retry-After".to_owned(), value.to_owned()));
        Outcome::Answered(Answer { status, headers: headers.into_iter().collect(), body: Vec::new(), truncated: false })
    }

    fn after(attempts: u32, outcome: &Outcome) -> Verdict {
        judge(&RetryPolicy::default(), &SuccessRule::default(), &delivery(attempts), outcome, NOW, 0.5)
    }

    fn retry(delay: Duration) -> Verdict {
        Verdict::Retry { at: NOW.plus(delay) }
    }

    #[test]
    fn answers_are_judged_by_their_status() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(after(0, &answer(status, None)), Verdict::Delivered, "{status}");
        }
        for status in [301, 302, 307, 308, 400, 401, 404, 422, 429, 500, 503, 600] {
            assert_eq!(after(0, &answer(status, None)), retry(Duration::from_secs(5)), "{status}");
        }
        assert_eq!(after(0, &answer(410, None)), Verdict::Gone);
        let fault = Outcome::Failed { fault: Fault::Refused, detail: String::new() };
        assert_eq!(after(0, &fault), retry(Duration::from_secs(5)));
        assert_eq!(after(3, &fault), retry(Duration::from_secs(320)));
    }

    #[test]
    fn a_rule_of_success_decides() {
        let rule = SuccessRule { status: Success::OkOrRedirect, body: Some(SuccessBody::Contains("ok".to_owned())) };
        let judged = |status, body: &str| {
            let answer = Answer { status, headers: Vec::new(), body: body.as_bytes().to_vec(), truncated: false };
            judge(&RetryPolicy::default(), &rule, &delivery(0), &Outcome::Answered(answer), NOW, 0.5)
        };
        assert_eq!(judged(302, "ok"), Verdict::Delivered);
        assert_eq!(judged(200, "no"), retry(Duration::from_secs(5)));
        assert_eq!(judged(404, "ok"), retry(Duration::from_secs(5)));
        assert_eq!(judged(410, "ok"), Verdict::Gone);
    }

    #[test]
    fn retry_after_is_never_undercut_and_never_beyond_the_largest_delay() {
        let date = httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_millis(NOW.millis()) + 2 * HOUR);
        let cases: [(u16, &str, Duration); 8] = [
            (429, "60", Duration::from_secs(60)),
            (503, "60", Duration::from_secs(60)),
            (503, "1", Duration::from_secs(5)),
            (503, &date, 2 * HOUR),
            (503, "Sun, 06 Nov 1994 08:49:37 GMT", Duration::from_secs(5)),
            (503, "99999999999999999999999999", 8 * HOUR),
            (503, "-1", Duration::from_secs(5)),
            (500, "60", Duration::from_secs(5)),
        ];
        for (status, value, delay) in cases {
            assert_eq!(after(0, &answer(status, Some(value))), retry(delay), "{status} {value}");
        }
    }

    #[test]
    fn the_last_attempt_is_as_late_as_allowed() {
        let policy = RetryPolicy::default();
        let mut late = delivery(8);
        late.give_up_at = NOW.plus(HOUR);
        assert_eq!(judge(&policy, &SuccessRule::default(), &late, &answer(500, None), NOW, 0.5), retry(HOUR));
        assert_eq!(
            judge(&policy, &SuccessRule::default(), &late, &answer(503, Some("7200")), NOW, 0.5),
            retry(2 * HOUR)
        );
        late.give_up_at = NOW;
        assert_eq!(judge(&policy, &SuccessRule::default(), &late, &answer(500, None), NOW, 0.5), Verdict::GivenUp);
        assert_eq!(judge(&policy, &SuccessRule::default(), &late, &answer(200, None), NOW, 0.5), Verdict::Delivered);
    }

    #[test]
    fn deliveries_expire_unless_they_arrived() {
        let mut stale = delivery(1);
        stale.expire_at = Some(NOW);
        let judged = |outcome| judge(&RetryPolicy::default(), &SuccessRule::default(), &stale, &outcome, NOW, 0.5);
        assert_eq!(judged(answer(500, None)), Verdict::Expired);
        assert_eq!(judged(answer(200, None)), Verdict::Delivered);
        assert_eq!(judged(answer(410, None)), Verdict::Gone);
    }
}
