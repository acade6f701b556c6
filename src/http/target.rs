//! The settings of a subscription's target as they are shown and checked, and `/v1/preview` and `/v1/presets`.

use std::sync::Arc;

use hyper::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::bridge::{Asker as _, Share};
use super::fair_limit::Lane;
use super::problem::Problem;
use super::reply::{Reply, json};
use super::request::{Document, Permitted};
use crate::core::auth::Auth;
use crate::core::catalogue::{Catalogue, Entry};
use crate::core::event::{Company, EventType};
use crate::core::filter::Facts;
use crate::core::id::{EventId, SubscriptionId, SubscriptionNumber};
use crate::core::invalid::{Invalid, pointer};
use crate::core::json as raw;
use crate::core::preset::Preset;
use crate::core::request::{Outgoing, Probe};
use crate::core::subscription::{Ordering, Secret, Selection, Subscription};
use crate::core::subscription_input::{Change, Draft};
use crate::core::target::Target;
use crate::core::target_check;
use crate::core::template::{Template, TemplateFault};
use crate::core::time::Timestamp;

/// Where tokens are fetched, if they are.
pub(super) fn token_url(target: &Target) -> Option<String> {
    match target.auth.as_deref()? {
        Auth::ClientCredentials(credentials) => Some(credentials.token_url.clone()),
        Auth::Basic { .. } | Auth::Bearer { .. } => None,
    }
}

/// The subscription that a draft would become, to be checked.
pub(super) fn sample_of(draft: &Draft) -> Subscription {
    let (id, secret) = (SubscriptionId::from_bits(0), Secret::from_bytes([0; 32]));
    draft.clone().into_subscription(id, SubscriptionNumber::FIRST, secret, Timestamp::ZERO)
}

/// Whether a change concerns what [`check`] looks at.
pub(super) fn concerns(before: &Subscription, after: &Subscription) -> bool {
    let parts = |it: &Subscription| {
        (it.target.template.clone(), it.target.preset, it.target.filter.clone(), it.events.clone(), it.url.clone())
    };
    parts(before) != parts(after)
}

/// Refuses a template or a filter that fails for a sample of an event that the subscription selects.
pub(super) async fn check(request: &Permitted, subscription: Subscription) -> Result<(), Problem> {
    let Target { template, preset, filter, .. } = &subscription.target;
    if template.is_none() && preset.is_none() && filter.is_none() {
        return Ok(());
    }
    let context = Arc::clone(&request.context);
    let share = Share::of(&request.context, Lane::UrlCheck, request.principal().concerning(&subscription.company));
    let checked = share.run(move || target_check::check(&subscription, &context.services.catalogue)).await?;
    checked.map_err(Problem::from)
}

/// What one event would become.
#[derive(Serialize)]
struct PreviewJson {
    event: String,
    content_type: Option<String>,
    body: Option<String>,
    /// Why there is no body.
    error: Option<TemplateFaultJson>,
    /// Whether the filter lets it through; `None` without one, or if it fails.
    passes: Option<bool>,
    filter_error: Option<String>,
}

#[derive(Serialize)]
struct TemplateFaultJson {
    line: Option<usize>,
    detail: String,
}

impl From<TemplateFault> for TemplateFaultJson {
    fn from(fault: TemplateFault) -> Self {
        Self { line: fault.line, detail: fault.detail }
    }
}

fn preview_of(subscription: &Subscription, entry: &Entry, now: Timestamp) -> PreviewJson {
    let id = EventId::from_bits(u128::from(now.millis()) << 80);
    let probe = Probe::of(subscription, entry, id, now);
    let event = probe.sample(now);
    let template = subscription.target.body();
    // A name that no event has is a fault, though it would render as nothing.
    let checked = template.map_or(Ok(()), Template::check);
    let (rendered, error) = match checked.and_then(|()| Outgoing::probe(&probe, now)) {
        Ok(outgoing) => (Some(outgoing), None),
        Err(fault) => (None, Some(fault.into())),
    };
    let decided = subscription.target.filter.as_ref().map(|filter| filter.decide(&Facts::of(&event)));
    PreviewJson {
        event: event.event_type.as_str().to_owned(),
        content_type: rendered.as_ref().and_then(|it| it.headers.first()).map(|(_, value)| value.clone()),
        body: rendered.map(|it| String::from_utf8_lossy(&it.body).into_owned()),
        error,
        passes: decided.as_ref().and_then(|decided| decided.as_ref().ok().copied()),
        filter_error: decided.and_then(Result::err),
    }
}

/// What settings make of the samples: `{"settings", "event"?}`. Nothing is sent or stored.
pub(super) async fn preview(mut request: Permitted) -> Result<Reply, Problem> {
    request.no_query()?;
    let document = request.json().await?;
    let catalogue = request.services().catalogue.clone();
    let (subscription, event) = previewed(&document, &catalogue)?;
    let now = (request.services().clock)();
    let share = Share::of(&request.context, Lane::UrlCheck, request.principal().concerning(&subscription.company));
    let items = share.run(move || {
        let wanted = |entry: &&Entry| {
            event.as_ref().map_or_else(|| subscription.events.contains(&entry.name), |event| entry.name == *event)
        };
        let entries = catalogue.entries().iter().filter(wanted);
        entries.map(|entry| preview_of(&subscription, entry, now)).collect::<Vec<_>>()
    });
    json(StatusCode::OK, &json!({"items": items.await?}))
}

/// The settings as a subscription, and the one event type that is asked for.
fn previewed(document: &Document, catalogue: &Catalogue) -> Result<(Subscription, Option<EventType>), Problem> {
    let members = raw::members(document.parse()?).map_err(|fault| Problem::invalid("", fault))?;
    let mut invalid = Invalid::default();
    if let Some(name) = raw::first_duplicate(&members) {
        invalid.add(pointer(name), "is given twice");
    }
    let (mut change, mut event) = (Some(Change::default()), None);
    for (name, value) in &members {
        match name.as_ref() {
            "event" if raw::is_nothing(value) => {}
            "event" => {
                let read = raw::string(value).and_then(|text| catalogue.event_type(&text));
                event = invalid.check("/event", read);
            }
            "settings" => {
                change = Change::from_json(value, catalogue).map_err(|inner| invalid.nest("/settings", inner)).ok();
            }
            _ => invalid.add(pointer(name), "is not a member here; there are: settings, event"),
        }
    }
    let draft = change.and_then(|mut change| {
        change.company = change.company.or_else(|| Company::parse("sample").ok());
        change.url = change.url.or_else(|| Some("https://www.example.com/webhook".to_owned()));
        change.events = change.events.or(Some(Selection::All));
        change.into_draft(Ordering::Call).map_err(|inner| invalid.nest("/settings", inner)).ok()
    });
    invalid.or(draft.map(|draft| (sample_of(&draft), event))).map_err(Problem::from)
}

/// The presets.
pub(super) fn presets(request: &Permitted) -> Result<Reply, Problem> {
    request.no_query()?;
    let shown = |preset: &Preset| {
        let (template, success) = (preset.template(), preset.success());
        json!({
            "name": preset.as_str(), "title": preset.title(), "paste": preset.paste(), "example": preset.example(),
            "rate_per_second": preset.rate(), "success": success.status.as_str(),
            "content_type": template.content_type(), "template": template.source(),
        })
    };
    let items: Vec<Value> = Preset::ALL.iter().map(shown).collect();
    json(StatusCode::OK, &json!({"items": items}))
}
