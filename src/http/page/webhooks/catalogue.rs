//! The event types for those who write receivers: when each occurs, how it is sent in each format and layout, and its schema.

use minijinja::{Value, context};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::form::{SECTION, fields};
use crate::core::catalogue::Entry;
use crate::core::event::Source;
use crate::core::id::EventId;
use crate::core::json::pretty;
use crate::core::request::{Outgoing, Probe};
use crate::core::subscription::{Format, Layout, Nested, Secret};
use crate::core::target::Target;
use crate::core::time::Timestamp;
use crate::http::page::event_types::{description, title};
use crate::http::page::visit::Visit;
use crate::http::problem::Problem;
use crate::http::reply::Reply;

/// How an event may be sent, as the form calls it.
const WAYS: [(&str, Format, Layout); 5] = [
    ("json-envelope", Format::Json, Layout::Envelope),
    ("json-flat", Format::Json, Layout::Flat),
    ("form-envelope", Format::Form, Layout::Envelope),
    ("form-flat", Format::Form, Layout::Flat),
    ("cloudevent", Format::Json, Layout::CloudEvents),
];

#[derive(Deserialize)]
struct Described {
    schema: Box<RawValue>,
}

/// All event types.
///
/// # Errors
/// Those of the API.
pub(in crate::http::page) async fn catalogue(visit: &Visit) -> Result<Reply, Problem> {
    let now = (visit.services().clock)();
    let mut types = Vec::new();
    for entry in visit.services().catalogue.entries() {
        let name = entry.name.as_str();
        let described: Described = visit.ask_for(&format!("/v1/event-types/{name}"), []).await?;
        let samples = WAYS.iter().map(|way| sample(entry, *way, now)).collect::<Result<Vec<Value>, _>>()?;
        types.push(context! {
            name, title => title(visit.texts(), entry), description => description(visit.texts(), entry), samples,
            schema => pretty(described.schema.get()),
        });
    }
    visit.page("webhook_catalogue.html", SECTION, context! { types })
}

/// The body of a sample, sent in one way.
fn sample(entry: &Entry, (way, format, layout): (&str, Format, Layout), now: Timestamp) -> Result<Value, Problem> {
    let (target, secret) = (Target::default(), Secret::from_bytes([0; 32]));
    let probe = Probe {
        url: "",
        format,
        layout,
        nested: Nested::Brackets,
        target: &target,
        own_headers: &[],
        client_certificate: None,
        secrets: vec![&secret],
        entry,
        event: EventId::from_bits(u128::from(now.millis()) << 80),
        company: None,
        domain: None,
        source: Source::Widget,
    };
    let outgoing = Outgoing::probe(&probe, now).map_err(|_| Problem::internal())?;
    let body = String::from_utf8_lossy(&outgoing.body);
    let body = if format == Format::Json { pretty(&body) } else { fields(&body) };
    Ok(context! { way, body })
}
