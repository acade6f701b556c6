//! Whether the settings of a subscription's target work: tried with the samples of the events that it selects.

use super::catalogue::Catalogue;
use super::filter::Facts;
use super::id::EventId;
use super::invalid::Invalid;
use super::request::Probe;
use super::subscription::Subscription;
use super::target::Target;
use super::time::Timestamp;

/// Checks a subscription's template and filter against the sample of every event type that it selects, and the URL
/// against its preset.
///
/// # Errors
/// The first fault of each.
pub fn check(subscription: &Subscription, catalogue: &Catalogue) -> Result<(), Invalid> {
    let mut invalid = Invalid::default();
    let Target { template, preset, filter, .. } = &subscription.target;
    if let Some(why) = preset.and_then(|preset| preset.fault_of_url(&subscription.url)) {
        invalid.add("/url", why);
    }
    let now = Timestamp::from_millis(1_790_000_000_000);
    let selected = catalogue.entries().iter().filter(|entry| subscription.events.contains(&entry.name));
    let samples: Vec<_> =
        selected.map(|entry| Probe::of(subscription, entry, EventId::from_bits(0), now).sample(now)).collect();
    if let Some(template) = template {
        let rendered = template.check().map_err(|fault| fault.to_string()).and_then(|()| {
            samples.iter().try_for_each(|event| {
                let of = |fault| format!("{fault} (with the sample of {})", event.event_type);
                template.render(event, &subscription.url).map(drop).map_err(of)
            })
        });
        invalid.check("/template", rendered.map_err(|why| format!("cannot be rendered: {why}")));
    }
    if let Some(filter) = filter {
        let decided = samples.iter().try_for_each(|event| {
            let of = |why| format!("fails with the sample of {}: {why}", event.event_type);
            filter.decide(&Facts::of(event)).map(drop).map_err(of)
        });
        invalid.check("/filter", decided);
    }
    if invalid.errors.is_empty() { Ok(()) } else { Err(invalid) }
}
