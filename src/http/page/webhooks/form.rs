//! The form of a new or a stored webhook, and what it would send.

use std::collections::BTreeSet;
use std::time::Instant;

use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

use super::sample::{Origin, Sample, Way};
use super::snippets;
use crate::core::catalogue::{Catalogue, Entry};
use crate::core::event::{Company, Domain, Source};
use crate::core::json::{self as raw, pretty};
use crate::core::preset::Preset;
use crate::core::subscription::{Format, Layout, Nested, Secret};
use crate::core::subscription_input::NOTIFY_MOST;
use crate::core::target::{Signatures, Target};
use crate::http::bridge::Asker as _;
use crate::http::page::event_types::{description, title};
use crate::http::page::visit::Visit;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::reply::{Reply, json};
use crate::texts::Texts;

/// The section of all views of webhooks.
pub(super) const SECTION: &str = "webhooks";
/// The most domains, and companies, that can be chosen.
const NAMES: usize = 200;

/// The form of a new webhook.
///
/// # Errors
/// 403 if the visitor may not create one.
pub(in crate::http::page) async fn new(visit: &Visit) -> Result<Reply, Problem> {
    if !visit.is_admin() {
        return Err(Problem::forbidden(visit.texts().text("problem-new-needs-admin")));
    }
    let ordering = visit.services().default_ordering.as_str();
    let webhook = context! {
        id => "", url => "", company => visit.company().unwrap_or_default(), domain => Value::from(()),
        format => "json", layout => "envelope", nested => "brackets", events => Vec::<String>::new(), sources => Vec::<String>::new(),
        description => "", headers => context! {}, enabled => true, waiting => 0,
        timeout_ms => Value::from(()), max_in_flight => Value::from(()), rate_per_second => Value::from(()),
        ordering => ordering, expire_after => context! {}, client_cert => Value::from(()),
        template => Value::from(()), content_type => Value::from(()), preset => Value::from(()), auth => Value::from(()),
        filter => Value::from(()), filter_failures => Value::from(()), success => "2xx", success_body => Value::from(()),
        signature => "v1", public_keys => Vec::<String>::new(), notify => Vec::<String>::new(),
    };
    let fresh = Secret::from_bytes(crate::http::probes::random::<32>()?);
    let secret = visit.session().map_or_else(
        || fresh.clone(),
        |browser| visit.context().reserved.secret(browser, fresh.clone(), Instant::now()),
    );
    let snippets = snippets::of("", "json", "envelope", Signatures::Symmetric)?;
    form(visit, webhook, context! { secret => secret.reveal(), snippets => Value::from(Serde(&snippets)) }).await
}

/// The domains that a company has posted events for; none if there are too many to choose from.
async fn domains(visit: &Visit, company: &str) -> Vec<String> {
    if company.is_empty() { Vec::new() } else { posted(visit, &[("by", "domain"), ("company", company)]).await }
}

/// The companies that have posted events, for somebody who sees all of them.
async fn companies(visit: &Visit) -> Vec<String> {
    if visit.is_bound() { Vec::new() } else { posted(visit, &[("by", "company")]).await }
}

/// The names by which the report with these parameters is divided.
async fn posted(visit: &Visit, parameters: &[(&str, &str)]) -> Vec<String> {
    let found = visit.ask("/v1/report/calls", parameters.iter().copied()).await.unwrap_or_default();
    let parts = found.get_attr("buckets").unwrap_or_default();
    let parts = parts.try_iter().into_iter().flatten();
    parts.filter_map(|part| part.get_attr("bucket").ok()?.as_str().map(str::to_owned)).take(NAMES).collect()
}

/// What a service is called; services have names, not words.
fn preset_title(texts: &Texts, preset: Preset) -> String {
    texts.word_or("preset", preset.as_str(), preset.title())
}

/// The form with the settings of `webhook`.
///
/// # Errors
/// Those of the API.
pub(super) async fn form(visit: &Visit, webhook: Value, more: Value) -> Result<Reply, Problem> {
    let company = webhook.get_attr("company").unwrap_or_default();
    let domains = domains(visit, company.as_str().unwrap_or_default()).await;
    let companies = companies(visit).await;
    let groups = groups(&visit.services().catalogue, visit.texts());
    let sources = Source::ALL.map(|source| context! { name => source.as_str() });
    let members = members(&visit.services().catalogue);
    let presets = Preset::ALL.iter().map(|preset| {
        context! {
            name => preset.as_str(), title => preset_title(visit.texts(), *preset), example => preset.example(),
            rate => preset.rate(), script => preset.script(), success => preset.success().status.as_str(),
        }
    });
    let presets: Vec<Value> = presets.collect();
    visit.page(
        "webhook.html",
        SECTION,
        context! {
            webhook, companies, domains, groups, members, presets, sources => sources.to_vec(),
            notify_most => NOTIFY_MOST, ..more
        },
    )
}

/// The members of all samples, for the conditions of a filter.
fn members(catalogue: &Catalogue) -> BTreeSet<String> {
    let samples = catalogue.entries().iter().filter_map(|entry| raw::parse(&entry.sample).ok());
    samples.flat_map(|sample| raw::members(sample).unwrap_or_default()).map(|(name, _)| name.into_owned()).collect()
}

/// The event types in the form's groups: calls, SMS, and those from the configuration.
fn groups(catalogue: &Catalogue, texts: &Texts) -> Vec<Value> {
    let kind = |entry: &Entry| match entry.name.as_str() {
        "call.smsfollowup" => "event-group-sms",
        "call.new" | "call.scheduled" | "call.missed" | "call.claimed" | "call.connected" | "call.finished" => {
            "event-group-calls"
        }
        _ => "event-group-further",
    };
    let shown = |entry: &Entry| {
        context! {
            name => entry.name.as_str(), title => title(texts, entry), description => description(texts, entry),
            sample => pretty(&entry.sample),
        }
    };
    let of = |key: &'static str| {
        let entries = catalogue.entries().iter().filter(|entry| kind(entry) == key);
        context! { title => texts.text(key), entries => entries.map(shown).collect::<Vec<_>>() }
    };
    let groups = ["event-group-calls", "event-group-sms", "event-group-further"].map(of);
    groups.into_iter().filter(|group| group.get_attr("entries").ok().and_then(|all| all.len()) != Some(0)).collect()
}

#[derive(Serialize)]
struct Preview {
    headers: Vec<(String, String)>,
    /// The formatted body.
    body: String,
    /// Sample receivers for these settings.
    receivers: Vec<snippets::Snippet>,
}

/// A sample delivery with the settings in the address.
///
/// # Errors
/// 422 for an invalid parameter.
pub(in crate::http::page) fn preview(visit: &Visit) -> Result<Reply, Problem> {
    let catalogue = &visit.services().catalogue;
    let mut query = Query::new(visit.query_text());
    let format = query.take("format", Format::parse).unwrap_or(Format::Json);
    let layout = query.take("layout", Layout::parse).unwrap_or(Layout::Envelope);
    let nested = query.take("nested", Nested::parse).unwrap_or(Nested::Brackets);
    let company = query.take("company", Company::parse);
    let domain = query.take("domain", Domain::parse);
    let url = query.take("url", |text| Ok(text.to_owned())).unwrap_or_default();
    let source = query.take("source", Source::parse).unwrap_or(Source::Widget);
    let named = |text: &str| catalogue.get(text).ok_or_else(|| "is not an event type".to_owned());
    let entry = query.take("event", named).or_else(|| catalogue.entries().first());
    let signatures = query.take("signature", Signatures::parse).unwrap_or(Signatures::Symmetric);
    query.finish()?;
    let way = Way { format, layout, nested, target: Target { signatures, ..Target::default() } };
    let origin = Origin { company, domain, source };
    let entry = entry.ok_or_else(Problem::internal)?;
    let Sample { headers, body } = Sample::of(entry, &way, &origin, (visit.services().clock)())?;
    let headers = headers.into_iter().filter(|(name, _)| name != "hookswitch-test").collect();
    let receivers = snippets::of(&url, format.as_str(), layout.as_str(), signatures)?;
    json(hyper::StatusCode::OK, &Preview { headers, body, receivers })
}
