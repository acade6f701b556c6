//! The report compared with one counted from scratch, from any view that a restart may find.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::*;
use crate::core::event::{Domain, Source};
use crate::core::report::{SHOWN, Times};
use crate::core::time::Timestamp;
use crate::model::in_memory::InMemoryView;
use crate::model::key::Key;

const COMPANIES: [&str; 2] = ["acme", "acme & sons"];
const TYPES: [&str; 8] = [
    "call.new",
    "call.scheduled",
    "call.missed",
    "call.claimed",
    "call.connected",
    "call.finished",
    "call.smsfollowup",
    "own.type",
];

/// An event or message of a call.
#[derive(Debug, Clone)]
struct Item {
    company: usize,
    call: u8,
    /// An event type; beyond those, a message to the lead or from the lead.
    what: usize,
    minute: u64,
    domain: bool,
    source: usize,
    agent: Option<u8>,
    length: u32,
}

impl Item {
    fn at(&self) -> Timestamp {
        Timestamp::from_millis(1_790_000_000_000 + self.minute * 60_000)
    }

    fn domain(&self) -> Option<Domain> {
        self.domain.then(|| Domain::parse(["a.example", "b.example"][usize::from(self.call) % 2]).unwrap())
    }

    fn source(&self) -> Source {
        Source::ALL[self.source]
    }

    fn data(&self) -> String {
        let agent = self.agent.map_or_else(|| "null".to_owned(), |agent| format!("\"agent-{agent}\""));
        let status = ["done", "busy", "gone"][self.length as usize % 3];
        format!(
            r#"{{"agent_id":{agent},"duration":{}.5,"callstatus":"{status}","conversation":[{{"direction":"outbound","sent_at":"{}"}},{{"direction":"inbound","sent_at":"{}"}}]}}"#,
            self.length,
            self.at(),
            self.at().moved(i64::from(self.length)),
        )
    }

    fn apply(&self, state: &InMemoryView, id: u128) {
        let (data, domain) = (self.data(), self.domain());
        let call = format!("call-{}", self.call);
        let event_type = TYPES.get(self.what).map(|name| EventType::parse(name).unwrap());
        let occurred = match &event_type {
            Some(event_type) => Occurrence::Event {
                event_type,
                at: self.at(),
                domain: domain.as_ref(),
                source: self.source(),
                data: &data,
            },
            None => Occurrence::Message {
                outbound: self.what == TYPES.len(),
                sent_at: self.at(),
                domain: domain.as_ref(),
                source: self.source(),
            },
        };
        add_one(state, (COMPANIES[self.company], &call), id, occurred);
        assert_eq!(state.failure(), None);
    }
}

fn items(most: usize) -> impl Strategy<Value = Vec<Item>> {
    let item =
        (0usize..2, 0u8..4, 0usize..10, 0u64..400, any::<bool>(), 0usize..3, proptest::option::of(0u8..2), 0u32..5000);
    let item = item.prop_map(|(company, call, what, minute, domain, source, agent, length)| Item {
        company,
        call,
        what,
        minute,
        domain,
        source,
        agent,
        length,
    });
    proptest::collection::vec(item, 1..most)
}

fn id_of(index: usize) -> u128 {
    ((index as u128 + 1) << 70) | (index as u128 + 1)
}

fn add_one(state: &InMemoryView, call: (&str, &str), id: u128, occurred: Occurrence<'_>) {
    let mut groups = Groups::of(state);
    add_observation(&mut groups, call, id, occurred);
    groups.write();
}

/// The expected counts of one call, from all its items, oldest first.
#[derive(Default)]
struct Naive<'i> {
    /// The first of each type.
    firsts: HashMap<&'static str, &'i Item>,
    domain: Option<Domain>,
    source: Option<Source>,
    texted: Option<Timestamp>,
    replied: Option<(Timestamp, u32)>,
}

impl<'i> Naive<'i> {
    fn of(occurred: &[&'i Item]) -> Self {
        let mut call = Self::default();
        for item in occurred {
            let mut counts = false;
            if let Some(name) = TYPES.get(item.what) {
                counts = !call.firsts.contains_key(name);
                if counts {
                    call.firsts.insert(name, item);
                }
                if counts && *name == "call.smsfollowup" {
                    let answer = (item.at().moved(i64::from(item.length)), item.length);
                    call.texted = call.texted.or(Some(item.at()));
                    call.replied = call.replied.or(Some(answer));
                }
            } else if item.what == TYPES.len() {
                counts = call.texted.is_none();
                call.texted = call.texted.or(Some(item.at()));
            } else if let Some(texted) = call.texted.filter(|texted| *texted <= item.at()) {
                counts = call.replied.is_none();
                let waited = u32::try_from(item.at().millis() - texted.millis()).unwrap();
                call.replied = call.replied.or(Some((item.at(), waited)));
            }
            if counts {
                call.domain = call.domain.take().or_else(|| item.domain());
                call.source = call.source.or(Some(item.source()));
            }
        }
        call
    }

    fn hour(&self) -> Option<u32> {
        let earliest = self.firsts.values().map(|item| item.at()).min();
        let sms = self.texted.into_iter().chain(self.replied.map(|replied| replied.0)).min();
        let began = self.firsts.get("call.new").map(|item| item.at()).or(earliest).or(sms)?;
        Some(u32::try_from(began.millis() / 3_600_000).unwrap())
    }

    fn agent(&self) -> Option<String> {
        let taken = ["call.claimed", "call.connected", "call.finished"];
        let agent = taken.iter().find_map(|name| self.firsts.get(name).and_then(|item| item.agent));
        agent.map(|agent| format!("agent-{agent}"))
    }

    fn add_to(&self, figures: &mut Figures) {
        figures.calls += u64::from(!self.firsts.is_empty());
        for name in self.firsts.keys() {
            *figures.events.entry(EventType::parse(name).unwrap()).or_default() += 1;
        }
        let ended = self.firsts.get("call.finished").or_else(|| self.firsts.get("call.missed"));
        if let Some(item) = ended {
            *figures.outcomes.entry(["done", "busy", "gone"][item.length as usize % 3].to_owned()).or_default() += 1;
        }
        let since_new = |name: &str, times: &mut Times| {
            if let (Some(new), Some(then)) = (self.firsts.get("call.new"), self.firsts.get(name)) {
                times.add(u32::try_from(then.at().since(new.at()).as_millis()).unwrap(), 1);
            }
        };
        since_new("call.claimed", &mut figures.claim);
        since_new("call.connected", &mut figures.connect);
        if let Some(item) = self.firsts.get("call.finished") {
            figures.talk.add(item.length * 1000 + 500, 1);
        }
        figures.texted += u64::from(self.texted.is_some());
        if let Some((_, waited)) = self.replied {
            figures.replied += 1;
            figures.reply.add(waited, 1);
        }
    }
}

/// The report counted from scratch.
fn naive(items: &[Item], filter: &ReportFilter, by: By) -> Report {
    let mut calls: BTreeMap<(usize, u8), Vec<&Item>> = BTreeMap::new();
    for item in items {
        calls.entry((item.company, item.call)).or_default().push(item);
    }
    let mut report = Report::default();
    for ((company, _), occurred) in calls {
        let call = Naive::of(&occurred);
        let (Some(hour), Some(source)) = (call.hour(), call.source) else { continue };
        let begins = Timestamp::from_millis(u64::from(hour) * 3_600_000);
        let ends = begins.moved(3_600_000);
        let wanted = filter.company.as_ref().is_none_or(|wanted| wanted.as_str() == COMPANIES[company])
            && filter.domain.as_ref().is_none_or(|wanted| call.domain.as_ref() == Some(wanted))
            && filter.source.is_none_or(|wanted| wanted == source)
            && filter.agent.as_ref().is_none_or(|wanted| call.agent().as_ref() == Some(wanted))
            && filter.since.is_none_or(|since| since < ends)
            && filter.until.is_none_or(|until| until > begins);
        if !wanted {
            continue;
        }
        let part = match by {
            By::Hour => Part::Hour(hour),
            By::Day => Part::Day(hour / 24),
            By::Company => Part::Name(Some(COMPANIES[company].to_owned())),
            By::Domain => Part::Name(call.domain.as_ref().map(ToString::to_string)),
            By::Source => Part::Name(Some(source.to_string())),
            By::Agent => Part::Name(call.agent()),
        };
        call.add_to(&mut report.totals);
        call.add_to(report.parts.entry(part).or_default());
    }
    report
}

fn filters() -> Vec<ReportFilter> {
    let all = ReportFilter::default;
    let at = |minute: u64| Some(Timestamp::from_millis(1_790_000_000_000 + minute * 60_000));
    vec![
        all(),
        ReportFilter { company: Some(Company::parse(COMPANIES[0]).unwrap()), ..all() },
        ReportFilter { company: Some(Company::parse(COMPANIES[1]).unwrap()), since: at(100), until: at(200), ..all() },
        ReportFilter { since: at(150), ..all() },
        ReportFilter { until: at(150), ..all() },
        ReportFilter { domain: Some(Domain::parse("a.example").unwrap()), ..all() },
        ReportFilter { source: Some(Source::Widget), agent: Some("agent-1".to_owned()), ..all() },
    ]
}

fn pairs(state: &InMemoryView) -> BTreeMap<Key, Vec<u8>> {
    state.all()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_report_equals_a_recount(all in items(120)) {
        let state = InMemoryView::default();
        for (index, item) in all.iter().enumerate() {
            item.apply(&state, id_of(index));
        }
        for filter in filters() {
            for by in By::ALL {
                let seen = report(&state, &filter, by, 1000).unwrap().unwrap();
                prop_assert_eq!(seen, naive(&all, &filter, by), "{:?} by {:?}", filter, by);
            }
        }
    }

    /// A restart finds each key as of the last checkpoint or of some later record, and applies all records since.
    #[test]
    fn replaying_over_a_partly_newer_view_gives_the_same_report(
        all in items(60),
        from in 0usize..60,
        picks in proptest::collection::vec(any::<u16>(), 1..40),
    ) {
        let state = InMemoryView::default();
        let mut later = Vec::new();
        let from = from.min(all.len());
        for (index, item) in all.iter().enumerate() {
            if index >= from {
                later.push(pairs(&state));
            }
            item.apply(&state, id_of(index));
        }
        let whole = pairs(&state);
        later.push(whole.clone());
        let again = InMemoryView::default();
        let keys: std::collections::BTreeSet<&Key> = later.iter().flat_map(BTreeMap::keys).collect();
        for (index, key) in keys.into_iter().enumerate() {
            let pick = usize::from(picks[index % picks.len()]) + index;
            if let Some(value) = later[pick % later.len()].get(key) {
                again.put(key.clone(), value.clone());
            }
        }
        for (index, item) in all.iter().enumerate().skip(from) {
            item.apply(&again, id_of(index));
        }
        prop_assert_eq!(pairs(&again), whole);
    }
}

#[test]
fn a_report_with_too_many_parts_is_refused() {
    let state = InMemoryView::default();
    let item = |call| Item {
        company: 0,
        call,
        what: 0,
        minute: u64::from(call) * 60,
        domain: false,
        source: 0,
        agent: None,
        length: 0,
    };
    (0..4).for_each(|call| item(call).apply(&state, id_of(usize::from(call))));
    let parts =
        |most| report(&state, &ReportFilter::default(), By::Hour, most).unwrap().map(|report| report.parts.len());
    assert_eq!((parts(3), parts(4)), (None, Some(4)));
}

#[test]
fn durations_of_a_busy_hour_are_rounded_within_the_bound_and_counts_are_exact() {
    let state = InMemoryView::default();
    let mut wanted = Times::new(SHOWN);
    for index in 0..2_000_usize {
        let call = format!("call-{index}");
        let at = Timestamp::from_millis(1_790_000_000_000);
        let lasted = 1_000 + index as u64 * 137;
        for (half, name, at) in [(0, "call.new", at), (1, "call.claimed", at.moved(i64::try_from(lasted).unwrap()))] {
            let event_type = EventType::parse(name).unwrap();
            let occurred =
                Occurrence::Event { event_type: &event_type, at, domain: None, source: Source::Api, data: "{}" };
            add_one(&state, ("acme", &call), id_of(2 * index + half), occurred);
        }
        wanted.add(u32::try_from(lasted).unwrap(), 1);
    }
    let report = report(&state, &ReportFilter::default(), By::Day, 10).unwrap().unwrap();
    assert!(wanted.is_exact() && !report.totals.is_exact());
    assert_eq!(report.totals.claim.count(), 2_000);
    let (median, exact) = (report.totals.claim.median().unwrap(), wanted.median().unwrap());
    assert!((median - exact).abs() <= exact / 64.0, "{median} {exact}");
}
