//! `/v1/messages` and `/v1/conversations`: posting the SMS of a call, and reading threads.

use hyper::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;

use super::body::json_text;
use super::bridge;
use super::cursor::{self, List};
use super::fair_limit::Lane;
use super::idempotency_key;
use super::problem::Problem;
use super::query;
use super::reply::{Reply, json};
use super::request::Permitted;
use super::shape::{Items, Text};
use crate::core::conversation::{Lead, Media, Message, NewMessage};
use crate::core::event::{CallId, Company, Domain};
use crate::core::id::{ConversationId, EventId};
use crate::core::time::Timestamp;
use crate::store::{ConversationFilter, ShownConversation, StoreError};

/// Stores one SMS. Responds once it is durable together with the event it raised.
pub(super) async fn post(mut request: Permitted) -> Result<Reply, Problem> {
    request.no_query()?;
    let key = idempotency_key::of(request.headers())?;
    let document = request.json().await?;
    let now = (request.services().clock)();
    let mut message = NewMessage::from_json(document.parse()?, now)?;
    message.producer_id = idempotency_key::with(message.producer_id, key)?;
    request.access.own(&message.company)?;
    let store = &request.services().store;
    let prepared = bridge::read_in(Lane::Ingest, &request, move |store| store.prepare_message(message, now)).await?;
    let posted = bridge::written(|reply| store.post_message(prepared, reply)).await?;
    let event = posted.event.map_or_else(|| "null".to_owned(), |id| format!("\"{id}\""));
    let (conversation, messages, duplicate) = (posted.conversation, posted.messages, posted.duplicate);
    let text =
        format!(r#"{{"conversation":"{conversation}","messages":{messages},"event":{event},"duplicate":{duplicate}}}"#);
    Ok(json_text(StatusCode::ACCEPTED, text))
}

/// A message as returned by the API.
#[derive(Serialize)]
pub(super) struct MessageJson<'m> {
    id: String,
    direction: &'static str,
    from: &'m str,
    to: &'m str,
    body: &'m str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    media: Vec<MediaJson<'m>>,
    sent_at: Text<Timestamp>,
    event: Option<Text<EventId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    erased_at: Option<Text<Timestamp>>,
}

#[derive(Serialize)]
struct MediaJson<'m> {
    url: &'m str,
    content_type: Option<&'m str>,
}

impl<'m> MediaJson<'m> {
    fn of(media: &'m Media) -> Self {
        Self { url: &media.url, content_type: media.content_type.as_deref() }
    }
}

pub(super) fn shown(message: &Message) -> MessageJson<'_> {
    MessageJson {
        id: message.shown_id(),
        direction: message.direction.as_str(),
        from: &message.from,
        to: &message.to,
        body: &message.body,
        media: message.media.iter().map(MediaJson::of).collect(),
        sent_at: Text(message.sent_at),
        event: message.event.map(Text),
        erased_at: message.erased_at.map(Text),
    }
}

#[derive(Serialize)]
struct Contact<'t> {
    name: Option<&'t str>,
    email: Option<&'t str>,
    phone: Option<&'t str>,
}

#[derive(Serialize)]
struct Thread<'t> {
    id: Text<ConversationId>,
    company: &'t str,
    domain: Option<&'t str>,
    source: &'static str,
    call_id: &'t str,
    widget_id: Option<&'t RawValue>,
    lead: Contact<'t>,
    message_count: u64,
    inbound_count: u64,
    first_at: Text<Timestamp>,
    last_at: Text<Timestamp>,
    last_message: Option<MessageJson<'t>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<MessageJson<'t>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Option<String>>,
}

fn thread(shown_thread: &ShownConversation) -> Thread<'_> {
    let ShownConversation { thread, last } = shown_thread;
    let nothing = (None, None, None, None);
    let (name, email, phone, widget_id) = last.as_ref().map_or(nothing, |last| {
        let Lead { name, email, phone, widget_id } = &last.lead;
        let number = Some(last.lead_number()).filter(|number| !number.is_empty());
        (name.as_deref(), email.as_deref(), phone.as_deref().or(number), widget_id.as_deref())
    });
    Thread {
        id: Text(thread.id),
        company: thread.company.as_str(),
        domain: thread.domain.as_ref().map(Domain::as_str),
        source: thread.source.as_str(),
        call_id: thread.call.as_str(),
        widget_id: widget_id.and_then(|text| serde_json::from_str(text).ok()),
        lead: Contact { name, email, phone },
        message_count: thread.messages,
        inbound_count: thread.inbound,
        first_at: Text(thread.first_at),
        last_at: Text(thread.last_at),
        last_message: last.as_ref().map(shown),
        messages: None,
        next: None,
    }
}

/// Conversations, latest message first.
pub(super) async fn list(request: Permitted) -> Result<Reply, Problem> {
    let mut query = request.query();
    let filter = ConversationFilter {
        company: query.take("company", Company::parse),
        domain: query.take("domain", Domain::parse),
        phone: query.take_with_plus("phone", query::text),
        since: query.take_with_plus("since", Timestamp::parse),
        until: query.take_with_plus("until", Timestamp::parse),
    };
    let page = query.page(List::Conversations);
    query.finish()?;
    let filter = ConversationFilter {
        company: request.access.narrow(filter.company.clone())?,
        domain: request.access.narrow_domain(filter.domain.clone())?,
        ..filter
    };
    let read = move |store: &crate::store::Store| store.conversations(&filter, page.after, page.limit);
    let found = bridge::read(&request, read).await?;
    let items = found.items.iter().map(thread).collect();
    json(StatusCode::OK, &Items::of(items, List::Conversations, found.next, found.scanned_until))
}

/// The conversation of a call with its messages, oldest first. Of a very long one the latest page; `next` leads to
/// earlier ones.
pub(super) async fn show(request: Permitted, call: CallId) -> Result<Reply, Problem> {
    let mut query = request.query();
    let company = query.take("company", Company::parse);
    let after = query.take("cursor", |text| cursor::read(List::Messages, text));
    query.finish()?;
    let company = request.access.narrow(company)?;
    let company = company.ok_or_else(|| Problem::invalid("?company", "is missing: whose call it is"))?;
    let found = bridge::read(&request, move |store| -> Result<_, StoreError> {
        let Some(found) = store.conversation(&company, &call)? else { return Ok(None) };
        let page = store.messages(&found.thread, after)?;
        Ok(Some((found, page)))
    });
    let nothing =
        || Problem::not_found("there is no conversation of this call: no SMS of it was posted, or none is kept");
    let found =
        found.await?.filter(|(found, _)| request.access.sees(&found.thread.company, found.thread.domain.as_ref()));
    let (found, page) = found.ok_or_else(nothing)?;
    let mut whole = thread(&found);
    whole.messages = Some(page.items.iter().map(shown).collect());
    whole.next = Some(page.next.map(|bits| cursor::write(List::Messages, bits)));
    json(StatusCode::OK, &whole)
}
