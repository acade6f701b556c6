//! The event types for those who write receivers: when each occurs, how it is sent in each format and layout, and its schema.

use minijinja::{Value, context};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::form::SECTION;
use super::sample::{Origin, Sample, Way};
use crate::core::event::Source;
use crate::core::json::pretty;
use crate::core::subscription::{Format, Layout, Nested};
use crate::core::target::Target;
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
    let origin = Origin { company: None, domain: None, source: Source::Widget };
    let mut types = Vec::new();
    for entry in visit.services().catalogue.entries() {
        let name = entry.name.as_str();
        let described: Described = visit.ask_for(&format!("/v1/event-types/{name}"), []).await?;
        let sample = |(name, format, layout): &(&str, Format, Layout)| {
            let (format, layout, target) = (*format, *layout, Target::default());
            let way = Way { format, layout, nested: Nested::Brackets, target };
            let body = Sample::of(entry, &way, &origin, now)?.body;
            Ok(context! { way => *name, body })
        };
        let samples = WAYS.iter().map(sample).collect::<Result<Vec<Value>, Problem>>()?;
        types.push(context! {
            name, title => title(visit.texts(), entry), description => description(visit.texts(), entry), samples,
            schema => pretty(described.schema.get()),
        });
    }
    visit.page("webhook_catalogue.html", SECTION, context! { types })
}
