//! The summary of a call from its events: who, when, how far it got.

use serde_json::value::RawValue;

use super::super::conversation::{Conversation, Message};
use super::super::event::{CallId, Company, Domain, Event, EventType, Source};
use super::super::json;
use super::super::time::Timestamp;
use super::members::{agent, outcome, word};

/// Maximum characters of a person's name; a longer one is ignored.
const NAME_MOST: usize = 256;

/// The summary of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The call.
    pub call: CallId,
    /// Whose it is.
    pub company: Company,
    /// The site it belongs to.
    pub domain: Option<Domain>,
    /// Where it came from.
    pub source: Source,
    /// The lead's phone number.
    pub phone: Option<String>,
    /// The lead's name.
    pub name: Option<String>,
    /// The agent's id.
    pub agent: Option<String>,
    /// The agent's name.
    pub agent_name: Option<String>,
    /// How far it got: the type of the call's latest event other than SMS, without `call.`; `sms` if there is none.
    pub state: String,
    /// `callstatus` of the newest event that has one.
    pub outcome: Option<String>,
    /// Time of the first event or message.
    pub began: Timestamp,
    /// Time of the last one.
    pub last: Timestamp,
    /// The types of its events, each once, in the order in which they happened.
    pub events: Vec<EventType>,
}

/// The content of one event's data.
#[derive(Default)]
struct Fields {
    name: Option<String>,
    agent: Option<String>,
    agent_name: Option<String>,
    outcome: Option<String>,
}

fn fields(event: &Event) -> Fields {
    let mut fields = Fields::default();
    let members = json::parse(&event.data).and_then(json::members).unwrap_or_default();
    let name = |raw: &RawValue| word(raw).filter(|text| text.chars().count() <= NAME_MOST);
    for (member, value) in members {
        match member.as_ref() {
            "lead_name" => fields.name = name(value),
            "agent_id" => fields.agent = agent(value),
            "agent_name" => fields.agent_name = name(value),
            "callstatus" => fields.outcome = outcome(value),
            _ => {}
        }
    }
    fields
}

impl Summary {
    /// Summarises events of one call; `None` if there are none. Later events win.
    pub fn of(events: &[Event]) -> Option<Self> {
        let mut order: Vec<&Event> = events.iter().collect();
        order.sort_by_key(|event| (event.occurred_at, event.id));
        let (first, last) = (order.first()?, order.last()?);
        let mut summary = Self {
            call: first.call.clone(),
            company: first.company.clone(),
            domain: None,
            source: first.source,
            phone: None,
            name: None,
            agent: None,
            agent_name: None,
            state: "sms".to_owned(),
            outcome: None,
            began: first.occurred_at,
            last: last.occurred_at,
            events: Vec::new(),
        };
        for event in order {
            let Fields { name, agent, agent_name, outcome } = fields(event);
            summary.domain = event.domain.clone().or(summary.domain);
            summary.phone = event.phone.clone().or(summary.phone);
            summary.name = name.or(summary.name);
            summary.agent = agent.or(summary.agent);
            summary.agent_name = agent_name.or(summary.agent_name);
            summary.outcome = outcome.or(summary.outcome);
            let event_type = event.event_type.as_str();
            if event_type != "call.smsfollowup" {
                summary.state = event_type.strip_prefix("call.").unwrap_or(event_type).to_owned();
            }
            if !summary.events.contains(&event.event_type) {
                summary.events.push(event.event_type.clone());
            }
        }
        Some(summary)
    }

    /// Summarises a call of which there are only SMS: its thread, and the message with the lead's contact data.
    pub fn of_thread(thread: &Conversation, last: Option<&Message>) -> Self {
        let number = last.map(|last| last.lead.phone.as_deref().unwrap_or_else(|| last.lead_number()));
        Self {
            call: thread.call.clone(),
            company: thread.company.clone(),
            domain: thread.domain.clone(),
            source: thread.source,
            phone: number.filter(|number| !number.is_empty()).map(str::to_owned),
            name: last.and_then(|last| last.lead.name.clone()),
            agent: None,
            agent_name: None,
            state: "sms".to_owned(),
            outcome: None,
            began: thread.first_at,
            last: thread.last_at,
            events: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::EventId;

    fn event(number: u64, name: &str, data: &str) -> Event {
        Event {
            id: EventId::from_bits(u128::from(number)),
            occurred_at: Timestamp::from_millis(number),
            event_type: EventType::parse(name).unwrap(),
            phone: (number == 2).then(|| "+12025550143".to_owned()),
            ..Event::for_test(data)
        }
    }

    #[test]
    fn a_summary_tells_how_it_stands_whatever_came_first() {
        let mut events = vec![
            event(9, "call.smsfollowup", r#"{"lead_name":"Dana Whitfield"}"#),
            event(2, "call.claimed", r#"{"agent_id":77,"agent_name":"Marcus Bell","callstatus":"claimed"}"#),
            event(1, "call.new", r#"{"lead_name":"Dana"}"#),
            event(4, "call.missed", r#"{"callstatus":"missed","agent_name":null}"#),
            event(3, "call.missed", r#"{"callstatus":"no"}"#),
        ];
        let summary = Summary::of(&events).unwrap();
        let names: Vec<_> = summary.events.iter().map(EventType::as_str).collect();
        assert_eq!(names, ["call.new", "call.claimed", "call.missed", "call.smsfollowup"]);
        assert_eq!((summary.state.as_str(), summary.outcome.as_deref()), ("missed", Some("missed")));
        assert_eq!((summary.agent.as_deref(), summary.agent_name.as_deref()), (Some("77"), Some("Marcus Bell")));
        assert_eq!((summary.name.as_deref(), summary.phone.as_deref()), (Some("Dana Whitfield"), Some("+12025550143")));
        assert_eq!((summary.began.millis(), summary.last.millis()), (1, 9));
        events.truncate(1);
        assert_eq!(Summary::of(&events).unwrap().state, "sms");
        assert_eq!(Summary::of(&[]), None);
    }
}
