//! The alert rules (tables), and the thread with receivers that accept alerts or do not.

use std::sync::Mutex;

use serde_json::{Value, json};

use super::rules::{Kind, Subject};
use super::*;
use crate::core::attempt::{Answer, Fault};
use crate::core::id::SubscriptionId;

const HOUR: Duration = Duration::from_secs(3600);
const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

const fn id(n: u128) -> SubscriptionId {
    SubscriptionId::from_bits(n)
}

fn subject(n: u128) -> Subject {
    let url = format!("https://user:pw@r{n}.example:8443/hook?key=hunter2#x");
    Subject { id: id(n), company: "acme".to_owned(), url, waiting: 7, failures: 5, since: Some(NOW) }
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The kinds due now, with the count of each.
fn due(rules: &mut AlertRules, now: Duration) -> Vec<(Kind, usize)> {
    let count = |due: &AlertContent| match due {
        AlertContent::Subscriptions(_, named, count) => {
            assert_eq!(named.len(), (*count).min(rules::NAMED_MOST));
            *count
        }
        AlertContent::DeadLetters(_, added, _) => usize::try_from(*added).unwrap(),
        AlertContent::Trouble(_, count, _) => usize::try_from(*count).unwrap(),
        _ => 1,
    };
    std::iter::from_fn(|| rules.next(now)).map(|due| (due.kind(), count(&due))).collect()
}

#[test]
fn a_receiver_raises_alerts_when_it_goes_down_and_recovers() {
    let mut rules = AlertRules::default();
    rules.record(Sighting::Down(subject(1)));
    assert_eq!(due(&mut rules, at(0)), [(Kind::SubscriptionFailing, 1)]);
    rules.record(Sighting::Down(subject(1)));
    assert_eq!(due(&mut rules, at(100)), [], "once is enough");
    rules.record(Sighting::Back(subject(1)));
    assert_eq!(due(&mut rules, at(101)), [(Kind::SubscriptionRecovered, 1)]);
    assert_eq!(rules.wake(at(102)), None);
}

#[test]
fn simultaneous_failures_are_one_alert_and_later_ones_wait() {
    let mut rules = AlertRules::default();
    (0..50).for_each(|n| rules.record(Sighting::Down(subject(n))));
    assert_eq!(due(&mut rules, at(0)), [(Kind::SubscriptionFailing, 50)]);
    rules.record(Sighting::Down(subject(50)));
    rules.record(Sighting::Down(subject(51)));
    assert_eq!(due(&mut rules, at(59)), []);
    assert_eq!(rules.wake(at(59)), Some(at(60)));
    assert_eq!(due(&mut rules, at(60)), [(Kind::SubscriptionFailing, 2)]);
}

#[test]
fn conditions_that_end_before_their_alert_raise_none() {
    let mut rules = AlertRules::default();
    rules.record(Sighting::Down(subject(1)));
    assert_eq!(due(&mut rules, at(0)).len(), 1);
    rules.record(Sighting::Down(subject(2)));
    rules.record(Sighting::Back(subject(2)));
    // Reported as down, recovered, and down again before that could be reported.
    rules.record(Sighting::Back(subject(1)));
    rules.record(Sighting::Down(subject(1)));
    assert_eq!(due(&mut rules, at(1000)), []);
    rules.record(Sighting::Settled(id(1)));
    rules.record(Sighting::Down(subject(1)));
    assert_eq!(due(&mut rules, at(2000)), [(Kind::SubscriptionFailing, 1)], "somebody has seen to it meanwhile");
}

#[test]
fn a_receiver_down_before_the_start_raises_its_recovery() {
    let mut rules = AlertRules::default();
    rules.record(Sighting::Back(subject(1)));
    assert_eq!(due(&mut rules, at(0)), [(Kind::SubscriptionRecovered, 1)]);
}

#[test]
fn a_disabled_webhook_does_not_recover_by_itself() {
    let mut rules = AlertRules::default();
    rules.record(Sighting::Down(subject(1)));
    rules.record(Sighting::Disabled(subject(1), "the receiver answered 410 Gone"));
    assert_eq!(due(&mut rules, at(0)), [(Kind::SubscriptionDisabled, 1)], "the last word counts");
    rules.look(Look::default(), HOUR);
    assert_eq!(due(&mut rules, at(1000)), [], "it does not recover by itself");
}

#[test]
fn a_receiver_of_few_events_fails_by_the_clock() {
    let failing = |seconds| Look { failing: vec![(subject(1), at(seconds))], ..Look::default() };
    let mut rules = AlertRules::default();
    rules.look(failing(899), HOUR);
    assert_eq!(due(&mut rules, at(0)), []);
    rules.look(failing(900), HOUR);
    assert_eq!(due(&mut rules, at(1)), [(Kind::SubscriptionFailing, 1)]);
    rules.look(Look::default(), HOUR);
    assert_eq!(due(&mut rules, at(2)), [(Kind::SubscriptionRecovered, 1)]);
}

#[test]
fn dead_letters_are_counted_together() {
    let mut rules = AlertRules::default();
    rules.record(Sighting::DeadLetter(id(1)));
    assert_eq!(due(&mut rules, at(0)), [(Kind::DeadLetters, 1)]);
    (0..5_000).for_each(|n| rules.record(Sighting::DeadLetter(id(n % 2_000))));
    assert_eq!(due(&mut rules, at(599)), []);
    let Some(AlertContent::DeadLetters(named, added, total)) = rules.next(at(600)) else { panic!("nothing was said") };
    assert_eq!((named.len(), added, total), (rules::NAMED_MOST, 5_000, 5_000));
    assert!(named.iter().all(|(_, count)| *count == 3), "those with the most come first: {named:?}");
}

#[test]
fn disk_and_backlog_alerts_are_raised_on_change() {
    let look = |low, waited| Look {
        disk_low: low,
        disk: (5, 10),
        oldest: Some((subject(1), NOW, at(waited))),
        ..Look::default()
    };
    let steps = [
        (0, look(false, 3_600), vec![]),
        (15, look(true, 3_601), vec![(Kind::DiskLow, 1), (Kind::BacklogOld, 1)]),
        (30, look(true, 9_000), vec![]),
        (45, look(false, 1_801), vec![(Kind::DiskRecovered, 1)]),
        (60, look(true, 1_800), vec![(Kind::BacklogRecovered, 1)]),
        (75, look(true, 0), vec![(Kind::DiskLow, 1)]),
        (90, Look::default(), vec![]),
        (105, Look::default(), vec![(Kind::DiskRecovered, 1)]),
    ];
    let mut rules = AlertRules::default();
    for (now, look, wanted) in steps {
        rules.look(look, HOUR);
        assert_eq!(due(&mut rules, at(now)), wanted, "{now}");
    }
}

#[test]
fn store_failures_go_first_and_are_combined() {
    let mut rules = AlertRules::default();
    rules.record(Sighting::Down(subject(1)));
    rules.record(Sighting::Trouble("journal/000001.log is damaged at byte 7".to_owned(), false));
    rules.record(Sighting::Trouble("again".to_owned(), true));
    assert_eq!(due(&mut rules, at(0)), [(Kind::StoreTrouble, 2), (Kind::SubscriptionFailing, 1)]);
}

#[test]
fn an_alert_names_its_kind_and_shows_no_secret() {
    let written = |due: &AlertContent| -> Value {
        serde_json::from_slice(&payload::body(AlertId::from_bits(u128::from(NOW.millis()) << 80), due)).unwrap()
    };
    let one = vec![(subject(1), Some("the receiver answered 410 Gone"))];
    let alert = written(&AlertContent::Subscriptions(Kind::SubscriptionDisabled, one, 3));
    let shown = json!({
        "id": id(1).to_string(), "company": "acme", "url": "https://r1.example:8443/hook", "waiting": 7, "failures": 5,
        "failing_since": NOW.to_string(), "reason": "the receiver answered 410 Gone",
    });
    let wanted = json!({
        "id": AlertId::from_bits(u128::from(NOW.millis()) << 80).to_string(),
        "type": "subscription.disabled",
        "timestamp": NOW.to_string(),
        "message": "disabled: https://r1.example:8443/hook and 2 more; deliveries wait until it is enabled again",
        "data": {"count": 3, "subscriptions": [shown]},
    });
    assert_eq!(alert, wanted);
    let all = [
        AlertContent::DeadLetters(vec![(id(1), 2)], 2, 9),
        AlertContent::BacklogOld(subject(1), NOW, at(4_000), HOUR),
        AlertContent::BacklogRecovered(HOUR),
        AlertContent::DiskLow(5, 10),
        AlertContent::DiskRecovered(50, 10),
        AlertContent::Trouble("the journal could not be written".to_owned(), 1, true),
    ];
    for due in &all {
        let alert = written(due);
        assert_eq!(alert["type"], due.kind().as_str());
        assert!(alert["message"].as_str().is_some_and(|text| !text.is_empty()) && alert["data"].is_object());
        assert!(!alert.to_string().contains("hunter2") && !alert.to_string().contains("user:pw"), "{alert}");
    }
}

/// Alerts to a receiver that answers with `answer`, and the requests it got.
fn posting(answer: impl Fn(usize) -> Outcome + Send + 'static) -> (AlertSink, Alerts, Receiver<Outgoing>) {
    let (sink, (sent, got)) = (AlertSink::default(), mpsc::channel());
    let count = Mutex::new(0);
    let post = move |request: &Outgoing| {
        let nth = std::mem::replace(&mut *count.lock().unwrap(), 0);
        *count.lock().unwrap() = nth + 1;
        sent.send(request.clone()).unwrap();
        Report { outcome: answer(nth), note: None, duration: Duration::ZERO, phases: Vec::new(), address: None }
    };
    let source = AlertSource {
        look: Box::new(Look::default),
        post: Box::new(post),
        mail: Box::new(|_| Err("no mails here".to_owned())),
        posted: Box::new(|_| ()),
        clock: Box::new(|| NOW),
        again_first: Duration::from_millis(50),
    };
    let alerts = Alerts::start("alerts", &sink, Some(target()), source, 7).unwrap();
    (sink, alerts, got)
}

fn target() -> Target {
    let secret = Secret::from_bytes([7; 32]);
    let url = "https://ops.example/hook".to_owned();
    Target { destination: Destination::Url { url, secret: Some(secret), preset: None }, backlog_age: HOUR }
}

fn answered(status: u16) -> Outcome {
    Outcome::Answered(Answer { status, headers: Vec::new(), body: Vec::new(), truncated: false })
}

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn alerts_are_posted_at_once_and_signed() {
    let (sink, alerts, got) = posting(|_| answered(204));
    sink.record(Sighting::Down(subject(1)));
    let request = got.recv_timeout(PATIENCE).unwrap();
    let header = |name: &str| request.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    let of = |name| header(name).unwrap_or_default();
    let secret = Secret::from_bytes([7; 32]);
    let (id, time, signature) = (of("webhook-id"), of("webhook-timestamp"), of("webhook-signature"));
    let believed = crate::core::signature::verify(&secret, id, time, signature, &request.body, NOW.seconds(), 0);
    assert_eq!(believed, Ok(()));
    assert!(id.starts_with("alr_"));
    alerts.stop(PATIENCE);
    assert_eq!(got.try_iter().count(), 0);
}

#[test]
fn one_that_is_not_taken_raises_no_other_and_is_posted_again_as_it_was() {
    let refused = || Outcome::Failed { fault: Fault::Refused, detail: String::new() };
    let (sink, alerts, got) = posting(move |nth| if nth == 0 { refused() } else { answered(200) });
    sink.record(Sighting::Down(subject(1)));
    let first = got.recv_timeout(PATIENCE).unwrap();
    let again = got.recv_timeout(PATIENCE).unwrap();
    assert_eq!((first.body, &first.headers[2]), (again.body, &again.headers[2]));
    alerts.stop(PATIENCE);
    assert_eq!(got.try_iter().count(), 0);
}

#[test]
fn the_last_alert_is_posted_during_shutdown() {
    let (sink, alerts, got) = posting(|_| answered(200));
    sink.record(Sighting::Trouble("the disk is gone".to_owned(), true));
    alerts.stop(PATIENCE);
    assert!(String::from_utf8(got.try_recv().unwrap().body).unwrap().contains("hookswitch ends: the disk is gone"));
}

#[test]
fn without_a_target_nothing_is_kept() {
    let (sink, alerts, got) = posting(|_| answered(200));
    alerts.aim(None);
    sink.record(Sighting::Down(subject(1)));
    alerts.aim(Some(target()));
    sink.record(Sighting::Down(subject(2)));
    let body = String::from_utf8(got.recv_timeout(PATIENCE).unwrap().body).unwrap();
    assert!(body.contains("r2.example") && !body.contains("r1.example"), "{body}");
    alerts.stop(PATIENCE);
}

#[test]
fn a_service_gets_its_own_format() {
    let content = AlertContent::Trouble("a <b> & c".to_owned(), 1, false);
    let body = |preset| -> Value {
        serde_json::from_slice(&payload::for_service(preset, AlertId::from_bits(7), &content)).unwrap()
    };
    assert_eq!(body(AlertPreset::Slack), json!({"text": "*Hookswitch*: a &lt;b&gt; &amp; c"}));
    let card = &body(AlertPreset::Teams)["attachments"][0];
    assert_eq!(card["contentType"], "application/vnd.microsoft.card.adaptive");
    assert_eq!(card["content"]["body"][1]["text"], "a <b> & c");
}
