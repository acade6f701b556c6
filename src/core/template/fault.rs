//! Why a template fails, in words for whoever wrote it.

use std::fmt;

use minijinja::{Error, ErrorKind};

use super::output::OUTPUT_MOST;

/// Why a template cannot be used, or did not render.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateFault {
    /// The line of the template, if it is known.
    pub line: Option<usize>,
    /// What is wrong, as a part of a sentence.
    pub detail: String,
}

impl fmt::Display for TemplateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.detail),
            None => f.write_str(&self.detail),
        }
    }
}

impl TemplateFault {
    /// The fault of an error of the engine.
    pub(in crate::core) fn of(error: &Error) -> Self {
        let detail = match error.kind() {
            ErrorKind::OutOfFuel => "it does too much work: let it loop over less".to_owned(),
            ErrorKind::WriteFailure => format!("its result is longer than {} KiB", OUTPUT_MOST / 1024),
            kind => {
                let more = error.detail().filter(|detail| !detail.is_empty());
                more.map_or_else(|| kind.to_string(), |detail| format!("{kind}: {}", clipped(without_values(detail))))
            }
        };
        Self { line: error.line(), detail }
    }
}

/// A fault's detail without the numbers of the event, which the engine names in this one case.
fn without_values(detail: &str) -> &str {
    match detail.starts_with("unable to calculate") {
        true => "it divides by zero, or a number becomes too large",
        false => detail,
    }
}

/// A fault's detail, which may name what the template's author wrote, but not endlessly.
fn clipped(detail: &str) -> String {
    const MOST: usize = 200;
    if detail.chars().count() <= MOST { detail.to_owned() } else { detail.chars().take(MOST).chain(['…']).collect() }
}
