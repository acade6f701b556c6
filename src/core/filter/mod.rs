//! Filters: expressions over an event's envelope that decide whether it is owed to a subscription.
//!
//! The syntax is that of templates (Jinja's expressions), read by the same parser. It is evaluated here and not by the
//! template engine: an expression is looked at by the one thread that accepts events, so its cost must be bounded by
//! its length, and what is missing must be false in every comparison, where the engine would compare kinds.
//!
//! An expression that fails lets the event through: nothing is lost to a filter. How often is counted.

mod evaluate;
mod facts;
mod parse;
mod value;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use parse::Node;

pub use facts::Facts;
pub use parse::FILTER_MOST;

/// A filter. Cheap to clone; clones share the count of failures.
#[derive(Clone)]
pub struct Filter {
    source: Arc<str>,
    node: Arc<Result<Node, String>>,
    failures: Arc<Failures>,
}

#[derive(Default)]
struct Failures {
    count: AtomicU64,
    last: Mutex<Option<String>>,
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Filter {}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({:?})", self.source)
    }
}

impl Filter {
    /// A filter; one that cannot be read lets every event through, and counts each as a failure.
    pub fn new(source: &str) -> Self {
        Self { source: source.into(), node: Arc::new(parse::read(source)), failures: Arc::default() }
    }

    /// Reads a filter.
    ///
    /// # Errors
    /// What is wrong with it, as a part of a sentence.
    pub fn parse(source: &str) -> Result<Self, String> {
        if source.len() > FILTER_MOST {
            return Err(format!("must have at most {FILTER_MOST} bytes, not {}", source.len()));
        }
        let filter = Self::new(source);
        match filter.node.as_ref() {
            Ok(_) => Ok(filter),
            Err(why) => Err(format!("is no expression that can be evaluated: {why}")),
        }
    }

    /// Its text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether an event is owed.
    ///
    /// # Errors
    /// Why the expression fails for this event.
    pub fn decide(&self, facts: &Facts<'_>) -> Result<bool, String> {
        let node = self.node.as_ref().as_ref().map_err(Clone::clone)?;
        evaluate::value(node, facts).map(|value| value.is_true())
    }

    /// Whether an event is owed: also if the expression fails, which is counted.
    pub fn lets_through(&self, facts: &Facts<'_>) -> bool {
        self.decide(facts).unwrap_or_else(|why| {
            self.failures.count.fetch_add(1, Ordering::Relaxed);
            *self.failures.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
            true
        })
    }

    /// For how many events it failed since this process began or the subscription was changed, and why last.
    pub fn failures(&self) -> (u64, Option<String>) {
        let last = self.failures.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (self.failures.count.load(Ordering::Relaxed), last)
    }
}

#[cfg(test)]
mod tests;
