//! A thread's history as contained in the raised event: the newest messages that fit, oldest first.

use std::collections::VecDeque;

use super::super::event::{CallId, ProducerId};
use super::super::fingerprint::Fingerprint;
use super::super::id::{ConversationId, EventId, MessageId};
use super::super::json::quote;
use super::super::long_members::LongMembers;
use super::super::time::Timestamp;
use super::media::as_member;
use super::{Lead, Message};

/// A message in the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    sent_at: Timestamp,
    id: MessageId,
    producer_id: Option<ProducerId>,
    event: Option<EventId>,
    /// What must be equal when it is posted again.
    content: Option<Fingerprint>,
    /// The item of `conversation`, as JSON text.
    json: Box<str>,
}

impl Line {
    /// The line of a message.
    pub fn of(message: &Message) -> Self {
        let json = format!(
            r#"{{"id":{},"direction":"{}","from":{},"to":{},"body":{}{},"sent_at":"{}"}}"#,
            quote(&message.shown_id()),
            message.direction.as_str(),
            quote(&message.from),
            quote(&message.to),
            quote(&message.body),
            as_member(&message.media),
            message.sent_at
        );
        Self {
            sent_at: message.sent_at,
            id: message.id,
            producer_id: message.producer_id.clone(),
            event: message.event,
            content: message.content(),
            json: json.into_boxed_str(),
        }
    }

    /// The event raised by the message.
    pub const fn event(&self) -> Option<EventId> {
        self.event
    }

    /// What must be equal when the message is posted again; `None` if it was erased.
    pub const fn content(&self) -> Option<Fingerprint> {
        self.content
    }

    /// Bytes of the item and its comma.
    fn bytes(&self) -> usize {
        self.json.len() + 1
    }
}

/// The newest messages of a thread, as many as an event can hold, ordered by time and then by arrival.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    lines: VecDeque<Line>,
    bytes: usize,
}

impl History {
    /// Inserts a line, and drops the oldest beyond `most` bytes.
    pub fn add(&mut self, line: Line, most: usize) {
        let behind = self.lines.partition_point(|other| (other.sent_at, other.id) < (line.sent_at, line.id));
        self.bytes += line.bytes();
        self.lines.insert(behind, line);
        while self.bytes > most {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.bytes();
        }
    }

    /// The message with this producer id.
    pub fn find(&self, id: &ProducerId) -> Option<&Line> {
        self.lines.iter().rev().find(|line| line.producer_id.as_ref() == Some(id))
    }

    /// Bytes of its lines as JSON.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The parts of a raised event.
#[derive(Debug, Clone, Copy)]
pub struct FollowUp<'f> {
    /// The call.
    pub call: &'f CallId,
    /// The thread.
    pub conversation: ConversationId,
    /// The lead's message.
    pub message: &'f Message,
    /// The thread, including this message.
    pub history: &'f History,
    /// Number of messages of the thread.
    pub count: u64,
    /// When the event is raised.
    pub created: Timestamp,
}

impl FollowUp<'_> {
    /// The event's `data`, of at most `most` bytes (unless the lead's message alone is longer): the oldest messages
    /// of the history are omitted if necessary. With the place of its history.
    pub fn data(&self, most: usize) -> (String, LongMembers) {
        let mut data = self.beginning();
        let begins = data.len() - 1;
        let end = format!(r#"],"message_count":{},"created":"{}"}}"#, self.count, self.created);
        const TRUNCATED: &str = r#","conversation_truncated":true"#;
        let mut room = most.saturating_sub(data.len() + end.len() + TRUNCATED.len());
        let lines = &self.history.lines;
        let mut first = lines.len();
        while first > 0 && lines[first - 1].bytes() <= room {
            first -= 1;
            room -= lines[first].bytes();
        }
        data.reserve(most.saturating_sub(room).saturating_sub(data.len()));
        for (index, line) in lines.range(first..).enumerate() {
            if index > 0 {
                data.push(',');
            }
            data.push_str(&line.json);
        }
        // With its brackets.
        let long = LongMembers::one(begins..data.len() + 1);
        let shown = (lines.len() - first) as u64;
        if shown < self.count {
            let (list, rest) = end.split_at(1);
            data.push_str(list);
            data.push_str(TRUNCATED);
            data.push_str(rest);
        } else {
            data.push_str(&end);
        }
        (data, long)
    }

    /// Everything before the first line of the history.
    fn beginning(&self) -> String {
        let Lead { name, email, phone, widget_id } = &self.message.lead;
        let or_null = |text: &Option<String>| text.as_deref().map_or_else(|| "null".to_owned(), quote);
        let phone = phone.as_deref().unwrap_or_else(|| self.message.lead_number());
        format!(
            r#"{{"call_id":{},"widget_id":{},"lead_phone":{},"lead_name":{},"lead_email":{},"conversation_id":"{}","message_id":{},"message":{}{},"received_at":"{}","conversation":["#,
            quote(self.call.as_str()),
            widget_id.as_deref().unwrap_or("null"),
            quote(phone),
            or_null(name),
            or_null(email),
            self.conversation,
            quote(&self.message.shown_id()),
            quote(&self.message.body),
            as_member(&self.message.media),
            self.message.sent_at
        )
    }
}
