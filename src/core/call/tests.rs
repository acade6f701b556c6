use super::*;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000 + seconds * 1000)
}

/// The milestones after all of `occurred`: event types with the second in which each happened and its data.
fn milestones(occurred: &[(&str, u64, &str)]) -> Vec<Milestone> {
    let mut known = Vec::new();
    for (name, second, data) in occurred {
        let event_type = EventType::parse(name).unwrap();
        let occurred =
            Occurrence::Event { event_type: &event_type, at: at(*second), domain: None, source: Source::Api, data };
        let new = new_milestones(&known, occurred);
        known.extend(new);
    }
    known
}

fn message(known: &mut Vec<Milestone>, outbound: bool, second: u64) {
    let occurred = Occurrence::Message { outbound, sent_at: at(second), domain: None, source: Source::Widget };
    let new = new_milestones(known, occurred);
    known.extend(new);
}

#[test]
fn the_order_in_which_events_come_does_not_matter() {
    let story: [(&str, u64, &str); 5] = [
        ("call.new", 0, r#"{"callstatus":"nothing"}"#),
        ("call.missed", 45, r#"{"callstatus":"missed","agent_id":"nobody"}"#),
        ("call.claimed", 190, r#"{"agent_id":77,"callstatus":"claimed"}"#),
        ("call.connected", 202, r#"{"agent_id":78}"#),
        ("call.finished", 604, r#"{"agent_id":"79","duration":402,"callstatus":"finished"}"#),
    ];
    let wanted = contribution(&milestones(&story)).unwrap();
    assert_eq!((wanted.claim, wanted.connect, wanted.talk), (Some(190_000), Some(202_000), Some(402_000)));
    assert_eq!((wanted.outcome.as_deref(), wanted.place.agent.as_deref()), (Some("finished"), Some("77")));
    assert_eq!(wanted.events.len(), 5);
    let mut other = story;
    other.reverse();
    let twice: Vec<_> = other.iter().chain(&story).copied().collect();
    let mut late = contribution(&milestones(&twice)).unwrap();
    late.events.reverse();
    assert_eq!(late, wanted);
}

#[test]
fn repetitions_change_nothing() {
    let first = milestones(&[("call.new", 0, "{}"), ("call.claimed", 9, r#"{"agent_id":"a"}"#)]);
    let again = milestones(&[
        ("call.new", 0, "{}"),
        ("call.claimed", 9, r#"{"agent_id":"a"}"#),
        ("call.claimed", 2, "{}"),
        ("call.new", 7, "{}"),
    ]);
    assert_eq!(again, first);
}

#[test]
fn a_call_counts_where_it_began() {
    let hour = |milestones: &[Milestone]| contribution(milestones).unwrap().place.hour;
    let late = 4 * 3600;
    let mut known = milestones(&[("call.connected", late, "{}")]);
    let then = hour(&known);
    message(&mut known, true, 0);
    assert_eq!(hour(&known), then, "an SMS is not the beginning of a call that was made");
    known = milestones(&[("call.connected", late, "{}"), ("call.claimed", 3600, "{}")]);
    assert_eq!(hour(&known), then - 3);
    known = milestones(&[("call.connected", late, "{}"), ("call.claimed", 3600, "{}"), ("call.new", 2 * 3600, "{}")]);
    assert_eq!(hour(&known), then - 2);
    assert_eq!(contribution(&known).unwrap().claim, Some(0), "never less than nothing");
    assert_eq!(contribution(&[]), None);
}

#[test]
fn domain_and_source_are_those_that_were_known_first() {
    let (a, b) = (Domain::parse("a.example").unwrap(), Domain::parse("b.example").unwrap());
    let event_type = EventType::parse("call.new").unwrap();
    let mut known = Vec::new();
    for (name, domain, source) in [
        ("call.missed", None, Source::Widget),
        ("call.new", Some(&a), Source::Api),
        ("call.claimed", Some(&b), Source::Api),
    ] {
        let event_type = EventType::parse(name).unwrap();
        known.extend(new_milestones(
            &known,
            Occurrence::Event { event_type: &event_type, at: at(0), domain, source, data: "{}" },
        ));
    }
    assert_eq!(known.iter().filter(|milestone| milestone.domain.is_some()).count(), 1, "it is kept once");
    let place = contribution(&known).unwrap().place;
    assert_eq!((place.domain, place.source), (Some(a), Source::Widget));
    drop(event_type);
}

#[test]
fn only_a_reply_after_an_outbound_sms_is_an_answer() {
    let mut known = Vec::new();
    message(&mut known, false, 5);
    assert!(known.is_empty(), "of the lead's own accord");
    message(&mut known, true, 10);
    message(&mut known, false, 9);
    assert_eq!(known.len(), 1, "sent before it");
    message(&mut known, true, 11);
    message(&mut known, false, 40);
    message(&mut known, false, 50);
    let contribution = contribution(&known).unwrap();
    assert_eq!((contribution.texted, contribution.replied, contribution.reply), (true, true, Some(30_000)));
    assert!(contribution.events.is_empty());
}

#[test]
fn a_finished_thread_tells_both() {
    let thread =
        |items: &str| format!(r#"{{"message":"x","conversation":[{items}],"received_at":"2026-09-21T15:00:00Z"}}"#);
    let sms =
        |direction: &str, time: &str| format!(r#"{{"direction":"{direction}","sent_at":"2026-09-21T14:{time}Z"}}"#);
    let contribution_of = |items: &str| contribution(&milestones(&[("call.smsfollowup", 0, &thread(items))])).unwrap();
    let all = [sms("inbound", "00:00"), sms("outbound", "01:00"), sms("outbound", "02:00"), sms("inbound", "03:30")];
    assert_eq!(contribution_of(&all.join(",")).reply, Some(150_000));
    assert_eq!(contribution_of(&sms("outbound", "30:00")).reply, Some(1_800_000), "by received_at");
    let nothing = contribution_of("1, null");
    assert_eq!((nothing.texted, nothing.replied, nothing.reply), (true, true, None));
    // The messages reported it before, more precisely.
    let mut known = Vec::new();
    message(&mut known, true, 0);
    message(&mut known, false, 7);
    let event_type = EventType::parse("call.smsfollowup").unwrap();
    let data = thread(&all.join(","));
    let occurred =
        Occurrence::Event { event_type: &event_type, at: at(8), domain: None, source: Source::Api, data: &data };
    let new = new_milestones(&known, occurred);
    known.extend(new);
    assert_eq!(contribution(&known).unwrap().reply, Some(7_000));
}

#[test]
fn members_of_other_kinds_are_read_as_far_as_they_can_be() {
    let finished = |data: &str| contribution(&milestones(&[("call.finished", 0, data)])).unwrap();
    let talk = |duration: &str| finished(&format!(r#"{{"duration":{duration}}}"#)).talk;
    for (duration, wanted) in [
        ("402", Some(402_000)),
        ("1.5", Some(1_500)),
        ("\"65\"", Some(65_000)),
        ("0", Some(0)),
        ("-1", None),
        ("\"1:05\"", None),
        ("null", None),
        ("1e300", Some(u32::MAX)),
        ("[]", None),
    ] {
        assert_eq!(talk(duration), wanted, "{duration}");
    }
    let long = "ä".repeat(200);
    let contribution = finished(&format!(r#"{{"agent_id":"{long}","callstatus":"{long}"}}"#));
    assert_eq!((contribution.place.agent, contribution.outcome), (None, Some("ä".repeat(32))));
    let contribution = finished(r#"{"agent_id":"a\nb","callstatus":true}"#);
    assert_eq!((contribution.place.agent, contribution.outcome.as_deref()), (None, Some("true")));
}

#[test]
fn a_call_has_no_more_marks_than_it_may() {
    let names: Vec<String> = (0..60).map(|n| format!("own.type_{n}")).collect();
    let occurred: Vec<_> = names.iter().map(|name| (name.as_str(), 0, "{}")).collect();
    assert_eq!(milestones(&occurred).len(), MAX_MILESTONES);
}
