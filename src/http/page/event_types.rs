//! What the event types are called in the viewer's language: the built-in ones have texts of their own, those of the
//! configuration are called as it says.

use minijinja::Value;

use super::visit::Visit;
use crate::core::catalogue::Entry;
use crate::texts::Texts;

/// Its title.
pub(super) fn title(texts: &Texts, entry: &Entry) -> String {
    texts.word_or("event-title", entry.name.as_str(), &entry.title)
}

/// When it occurs.
pub(super) fn description(texts: &Texts, entry: &Entry) -> String {
    texts.word_or("event-about", entry.name.as_str(), &entry.description)
}

/// The titles by name.
pub(super) fn titles(visit: &Visit) -> Value {
    let entries = visit.services().catalogue.entries().iter();
    Value::from_pairs(entries.map(|entry| (entry.name.as_str(), title(visit.texts(), entry))))
}
