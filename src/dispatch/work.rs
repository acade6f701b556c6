//! One attempt, from a started delivery to the record of its result: prepare, post, judge, record. Runs on a sender
//! thread.

use std::sync::Arc;
use std::time::Duration;

use crate::core::attempt::{Answer, Fault, LogEntry, Outcome, Report};
use crate::core::backoff::RetryPolicy;
use crate::core::delivery::{Delivery, State};
use crate::core::event::{Domain, Event};
use crate::core::id::{AttemptId, SubscriptionNumber};
use crate::core::request::{Marks, Outgoing};
use crate::core::retry::{Verdict, judge, retry_after};
use crate::core::subscription::{DisabledReason, Subscription};
use crate::core::success::SuccessRule;
use crate::core::template::TemplateFault;
use crate::core::time::Timestamp;
use crate::store::{AttemptResult, Health};

use super::lanes::{Kind, Seen, Start};

/// A started delivery and its subscription.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// Times are those of the lanes' clock.
    pub(super) start: Start,
    pub(super) subscription: Arc<Subscription>,
}

impl Job {
    /// The number of its subscription.
    pub(super) const fn number(&self) -> SubscriptionNumber {
        self.start.delivery.id.subscription_number()
    }
}

/// Builds the request of the next attempt.
///
/// # Errors
/// The template does not render the event.
pub(super) fn prepare(job: &Job, event: &Event, now: Timestamp) -> Result<Outgoing, TemplateFault> {
    let Start { delivery, gap } = &job.start;
    let marks = Marks { delivery: delivery.id, attempt: delivery.attempts.saturating_add(1), gap: gap.clone() };
    Outgoing::delivery(&job.subscription, event, &marks, now)
}

/// The report of an attempt whose template does not render.
pub(super) fn unrendered(fault: &TemplateFault) -> Report {
    not_made(Fault::Template, format!("the template of this webhook fails: {fault}"))
}

/// The report of an attempt that could not be made.
pub(super) fn not_made(fault: Fault, detail: String) -> Report {
    let (outcome, duration) = (Outcome::Failed { fault, detail }, Duration::ZERO);
    Report { outcome, note: None, duration, phases: Vec::new(), address: None }
}

/// What an attempt that ended at `now` says about its receiver.
///
/// A response that may be the event's own fault (400, 500) is distinguished from one that concerns the receiver as a
/// whole: no response, too many requests, or a gateway's status for an unreachable backend.
pub(super) fn seen(report: &Report, rule: &SuccessRule, now: Timestamp) -> Seen {
    let (kind, wait) = match &report.outcome {
        Outcome::Answered(answer) if rule.accepts(answer) => (Kind::Success, None),
        Outcome::Answered(answer) => {
            let whole = matches!(answer.status, 408 | 429 | 502..=504 | 520..);
            (if whole { Kind::Trouble } else { Kind::Refusal }, retry_after(answer, now))
        }
        Outcome::Failed { fault: Fault::Internal | Fault::EventUnavailable | Fault::Template, .. } => {
            (Kind::Nothing, None)
        }
        Outcome::Failed { .. } => (Kind::Trouble, None),
    };
    Seen { kind, duration: report.duration, wait }
}

/// The log's share of an event, so that the event, which may be large, is not held during the attempt.
#[derive(Default)]
pub(super) struct EventSummary {
    domain: Option<Domain>,
    phone: Option<String>,
}

impl From<Event> for EventSummary {
    fn from(event: Event) -> Self {
        Self { domain: event.domain, phone: event.phone }
    }
}

/// Input to the record of an ended attempt and to its log entry.
pub(super) struct EndedAttempt<'a> {
    pub(super) job: &'a Job,
    /// The job's delivery, with wall times.
    pub(super) delivery: Delivery,
    /// Empty if the event could not be read.
    pub(super) summary: EventSummary,
    /// `None` if there was nothing to send.
    pub(super) request: Option<&'a Outgoing>,
    pub(super) report: Report,
    /// The subscription's health before this attempt.
    pub(super) health: Health,
}

impl EndedAttempt<'_> {
    /// Judges the attempt at `now`; `chance` in [0, 1) spreads the delay of a retry.
    pub(super) fn judge(self, policy: &RetryPolicy, now: Timestamp, chance: f64) -> AttemptResult {
        let delivery = &self.delivery;
        let rule = &self.job.subscription.target.success;
        let verdict = judge(policy, rule, delivery, &self.report.outcome, now, chance);
        let after = after(delivery, verdict, &self.report.outcome, now);
        let disable = disable(policy, verdict, &self.report.outcome, self.health, now);
        AttemptResult { entry: self.entry(&after, verdict, now), after, disable }
    }

    fn entry(self, after: &Delivery, verdict: Verdict, now: Timestamp) -> LogEntry {
        let Job { subscription, .. } = self.job;
        let (answer, error, error_detail) = self.report.for_log(&subscription.target.success);
        LogEntry {
            id: AttemptId::from_bits(0),
            created: now,
            event_type: after.event_type.clone(),
            status: verdict.status(),
            response: answer.as_ref().map(|answer| answer.status),
            error,
            error_detail,
            duration: self.report.duration,
            phases: self.report.phases,
            address: self.report.address,
            attempt: after.attempts,
            next_attempt: match verdict {
                Verdict::Retry { at } => Some(at),
                _ => None,
            },
            test: false,
            replay: after.replay,
            event: Some(after.event),
            delivery: Some(after.id),
            subscription: after.subscription,
            company: subscription.company.clone(),
            domain: self.summary.domain,
            call: Some(after.call.clone()),
            phone: self.summary.phone,
            url: subscription.url.clone(),
            sent: self.request.map(Outgoing::sent),
            sent_body: self.request.filter(|request| request.is_templated).map(|request| request.body.clone()),
            answer,
        }
    }
}

/// The delivery's state after an attempt.
fn after(delivery: &Delivery, verdict: Verdict, outcome: &Outcome, now: Timestamp) -> Delivery {
    let (state, due) = match verdict {
        Verdict::Delivered => (State::Delivered, now),
        Verdict::Retry { at } => (State::Retrying, at),
        Verdict::GivenUp | Verdict::Gone => (State::Failed, now),
        Verdict::Expired => (State::Expired, now),
    };
    let last_response = match outcome {
        Outcome::Answered(Answer { status, .. }) => Some(*status),
        Outcome::Failed { .. } => None,
    };
    Delivery {
        state,
        due,
        attempts: delivery.attempts.saturating_add(1),
        first_failed_at: delivery.first_failed_at.or(Some(now)),
        last_response,
        ..delivery.clone()
    }
}

/// Whether this attempt disables the subscription, and the reason.
fn disable(
    policy: &RetryPolicy,
    verdict: Verdict,
    outcome: &Outcome,
    health: Health,
    now: Timestamp,
) -> Option<DisabledReason> {
    if verdict == Verdict::Gone {
        return Some(DisabledReason::Gone);
    }
    // An internal fault says nothing about the receiver.
    let internal = matches!(outcome, Outcome::Failed { fault: Fault::Internal | Fault::EventUnavailable, .. });
    let failing = health.failing_since.is_some_and(|since| now.since(since) >= policy.disable_after());
    (verdict != Verdict::Delivered && !internal && failing).then_some(DisabledReason::Failing)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn answered(status: u16) -> Outcome {
        Outcome::Answered(Answer { status, headers: Vec::new(), body: Vec::new(), truncated: false })
    }

    #[test]
    fn a_receiver_is_given_up_only_when_every_attempt_failed_for_long_enough() {
        let policy = RetryPolicy::default();
        let day = Duration::from_secs(86_400);
        let since = |days: u32| Health {
            failing_since: Some(Timestamp::from_millis(NOW.millis() - (day * days).as_millis() as u64)),
            ..Health::default()
        };
        let retry = Verdict::Retry { at: NOW };
        let internal = Outcome::Failed { fault: Fault::Internal, detail: String::new() };
        let cases = [
            (retry, answered(500), since(6), Some(DisabledReason::Failing)),
            (retry, answered(500), since(5), Some(DisabledReason::Failing)),
            (retry, answered(500), since(4), None),
            (retry, answered(500), Health::default(), None),
            (Verdict::GivenUp, answered(500), since(6), Some(DisabledReason::Failing)),
            (Verdict::Delivered, answered(200), since(6), None),
            (Verdict::Gone, answered(410), Health::default(), Some(DisabledReason::Gone)),
            (retry, internal, since(6), None),
        ];
        for (verdict, outcome, health, wanted) in cases {
            assert_eq!(disable(&policy, verdict, &outcome, health, NOW), wanted, "{verdict:?} {outcome:?} {health:?}");
        }
    }
}
