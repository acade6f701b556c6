//! The messages of each language: Fluent files, parsed once when a language is first asked for.

use std::borrow::Cow;
use std::sync::OnceLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use fluent_syntax::ast::Pattern;
use unic_langid::LanguageIdentifier;

use super::Language;

macro_rules! files {
    ($folder:literal: $($name:literal),+) => {
        [$(concat!($name, ".ftl")),+].into_iter().zip([$(include_str!(concat!($folder, "/", $name, ".ftl"))),+])
    };
    (all $folder:literal) => {
        files!($folder: "layout", "events", "errors", "webhooks", "form", "logs", "calls", "report", "activity", "keys", "status", "entrance", "mails").collect()
    };
}

/// The files of a language, with their names.
pub(super) fn sources(language: Language) -> Vec<(&'static str, &'static str)> {
    match language {
        Language::English => files!(all "en"),
        Language::German => files!(all "de"),
        Language::Spanish => files!(all "es"),
    }
}

/// A text with this key and these arguments cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown(pub String);

/// A value within a text.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument<'a> {
    /// As it is.
    Text(Cow<'a, str>),
    /// Written as the language writes numbers; plurals go by it.
    Number(f64),
}

impl<'a> From<&'a str> for Argument<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Argument<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<u64> for Argument<'_> {
    fn from(number: u64) -> Self {
        Self::Number(number as f64)
    }
}

impl From<u32> for Argument<'_> {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

/// The texts of one language.
pub struct Texts {
    language: Language,
    bundle: FluentBundle<FluentResource>,
}

impl Texts {
    /// The texts of `language`.
    pub fn of(language: Language) -> &'static Self {
        static ALL: [OnceLock<Texts>; 3] = [const { OnceLock::new() }; 3];
        ALL[language as usize].get_or_init(|| Self::read(language))
    }

    fn read(language: Language) -> Self {
        let name: LanguageIdentifier = language.tag().parse().unwrap_or_default();
        let mut bundle = FluentBundle::new_concurrent(vec![name]);
        // Marks of isolation would be copied from the page with what is between them.
        bundle.set_use_isolating(false);
        bundle.set_formatter(Some(match language {
            Language::English => |value, _| shown(Language::English, value),
            Language::German => |value, _| shown(Language::German, value),
            Language::Spanish => |value, _| shown(Language::Spanish, value),
        }));
        for (file, text) in sources(language) {
            // A test parses all of them without a fault.
            let resource = FluentResource::try_new(text.to_owned()).unwrap_or_else(|(resource, faults)| {
                tracing::error!("the texts {}/{file} have faults: {faults:?}", language.tag());
                resource
            });
            if let Err(faults) = bundle.add_resource(resource) {
                tracing::error!("the texts {}/{file} repeat others: {faults:?}", language.tag());
            }
        }
        Self { language, bundle }
    }

    /// The language.
    pub const fn language(&self) -> Language {
        self.language
    }

    /// The text of `key`, which has no arguments; the key itself if there is none, which a test excludes.
    pub fn text(&self, key: &str) -> String {
        self.text_with(key, &[])
    }

    /// The text of `key` with these arguments, as [`Self::text`].
    pub fn text_with(&self, key: &str, arguments: &[(&str, Argument<'_>)]) -> String {
        self.find(key, arguments).unwrap_or_else(|Unknown(fault)| {
            tracing::error!("a text is missing: {fault}");
            key.to_owned()
        })
    }

    /// What a word of the API is called: the text of `PREFIX-WORD`, in lower case and with a hyphen for whatever is no
    /// letter or digit. A word that has none is shown as it is.
    pub fn word(&self, prefix: &str, word: &str) -> String {
        self.word_or(prefix, word, &word.replace('_', " "))
    }

    /// The same; `other` for a word that has none.
    pub fn word_or(&self, prefix: &str, word: &str, other: &str) -> String {
        let slug = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let key = format!("{prefix}-{}", word.chars().map(slug).collect::<String>());
        if self.pattern(&key).is_some() { self.text(&key) } else { other.to_owned() }
    }

    /// The text of `key` with these arguments.
    ///
    /// # Errors
    /// There is no such text, or it has other arguments.
    pub fn find(&self, key: &str, arguments: &[(&str, Argument<'_>)]) -> Result<String, Unknown> {
        let pattern = self.pattern(key).ok_or_else(|| Unknown(format!("`{key}` in {}", self.language.tag())))?;
        let values = arguments.iter().map(|(name, value)| {
            let value = match value {
                Argument::Text(text) => FluentValue::String(text.clone()),
                Argument::Number(number) => FluentValue::from(*number),
            };
            (*name, value)
        });
        let values: FluentArgs<'_> = values.collect();
        let mut faults = Vec::new();
        let text = self.bundle.format_pattern(pattern, Some(&values), &mut faults);
        match faults.first() {
            None => Ok(text.into_owned()),
            Some(fault) => Err(Unknown(format!("`{key}` in {}: {fault}", self.language.tag()))),
        }
    }

    /// The message of `key`.
    pub(super) fn pattern(&self, key: &str) -> Option<&Pattern<&str>> {
        self.bundle.get_message(key)?.value()
    }
}

/// A number as `language` writes it; `None` for text, which stays as it is.
fn shown(language: Language, value: &FluentValue<'_>) -> Option<String> {
    let FluentValue::Number(number) = value else { return None };
    let whole = number.value.fract() == 0.0;
    Some(language.decimal(number.value, if whole { 0 } else { 1 }))
}
