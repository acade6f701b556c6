//! All texts of the page and of mails to the owners of webhooks, in every language that they speak.
//!
//! ```text
//! language    the languages, and how one is chosen by `Accept-Language`
//! catalogue   the messages: Fluent files, one folder for each language
//! forms       numbers, durations and times as each language writes them
//! scripts     messages as JSON, for the page's scripts
//! ```
//!
//! Knows neither HTML nor who reads: texts are plain text, escaped by whoever shows them. What the API and the command
//! line say is not here.
//!
//! Invariants (`tests`): every key that is used exists, and every key is used; each exists in all languages, with the same
//! arguments.

mod catalogue;
mod forms;
mod language;
mod scripts;
#[cfg(test)]
mod tests;

pub use catalogue::{Argument, Texts, Unknown};
pub use language::Language;
