//! The SMS of the demo: one to the lead and a reply, which raises an event.

use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::cast::{COMPANY, DOMAIN, SOURCE};
use super::verdict::Posted;
use crate::cli::client::{Client, read};
use crate::cli::event_types::EventType;
use crate::cli::exit::Failure;

/// The event type raised by the reply.
pub(super) const RAISED: &str = "call.smsfollowup";
/// Number of the sample's messages posted: its last question, and the reply.
const POSTED: usize = 2;

/// A message of a thread.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Sms {
    pub(super) direction: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) body: String,
}

/// The thread within an event's data.
#[derive(Deserialize)]
struct ThreadData {
    call_id: String,
    conversation: Vec<Sms>,
}

/// The thread posted.
pub(super) struct Thread {
    pub(super) call: String,
    pub(super) messages: Vec<Sms>,
}

#[derive(Deserialize)]
struct Answered {
    event: Option<String>,
}

#[derive(Deserialize)]
struct Raised {
    data: Box<RawValue>,
    deliveries: Vec<serde::de::IgnoredAny>,
}

impl Thread {
    /// Posts the end of the thread in the sample of `event_type`, and returns it with the event raised by the reply,
    /// whose data replaces the sample.
    ///
    /// # Errors
    /// The daemon refuses a message, or raises nothing.
    pub(super) fn post(client: &Client, event_type: EventType) -> Result<(Self, Posted), Failure> {
        let ThreadData { call_id: call, mut conversation } = read(event_type.sample.get())?;
        let messages = conversation.split_off(conversation.len().saturating_sub(POSTED));
        let mut event = None;
        for sms in &messages {
            let body = json!({
                "company": COMPANY, "domain": DOMAIN, "source": SOURCE, "call_id": call,
                "direction": sms.direction, "from": sms.from, "to": sms.to, "body": sms.body,
            });
            let answered: Answered = read(&client.post("/v1/messages", &body.to_string())?)?;
            event = answered.event;
        }
        let id = event.ok_or_else(|| Failure::new("the lead's answer raised no event"))?;
        let raised: Raised = read(&client.get(&format!("/v1/events/{id}"))?)?;
        let deliveries = u32::try_from(raised.deliveries.len()).unwrap_or(u32::MAX);
        let event_type = EventType { sample: raised.data, ..event_type };
        Ok((Self { call, messages }, Posted { event_type, id, deliveries }))
    }

    /// What is wrong with the thread in the raised event.
    pub(super) fn fault(&self, posted: &[Posted]) -> Option<String> {
        let raised = posted.iter().find(|event| event.event_type.name == RAISED)?;
        let thread_data: Result<ThreadData, _> = serde_json::from_str(raised.event_type.sample.get());
        let same = thread_data
            .is_ok_and(|thread_data| thread_data.call_id == self.call && thread_data.conversation == self.messages);
        (!same).then(|| format!("{RAISED} does not hold the thread that was posted"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_raised_event_must_hold_the_thread_that_was_posted() {
        let posted = |sample: &str| {
            let event_type = format!(r#"{{"name":"{RAISED}","sample":{sample}}}"#);
            [Posted { event_type: read(&event_type).unwrap(), id: "evt_1".to_owned(), deliveries: 1 }]
        };
        let good =
            r#"{"call_id":"c-1","conversation":[{"id":"m","direction":"inbound","from":"1","to":"2","body":"Hi"}]}"#;
        let ThreadData { call_id: call, conversation: messages } = read(good).unwrap();
        let thread = Thread { call, messages };
        assert_eq!(thread.fault(&posted(good)), None);
        for wrong in
            [&good.replace("Hi", "Ho"), &good.replace("c-1", "c-2"), r#"{"call_id":"c-1","conversation":[]}"#, "{}"]
        {
            assert!(thread.fault(&posted(wrong)).is_some(), "{wrong}");
        }
    }
}
