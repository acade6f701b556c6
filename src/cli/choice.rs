//! Options that take one of a few words: a wrong one is refused, with those there are, before anything is sent.
//!
//! The words are the core's own, so the command line knows no others than the daemon.

use clap::builder::{PossibleValue, PossibleValuesParser};

use crate::core::event::Source;

/// One of the words of a list.
macro_rules! one_of {
    ($words:ty) => {
        $crate::cli::choice::among(<$words>::ALL.iter().map(|word| word.as_str()))
    };
}
pub(super) use one_of;

/// One of these words.
pub(super) fn among(words: impl Iterator<Item = &'static str>) -> PossibleValuesParser {
    PossibleValuesParser::new(words)
}

/// The sources of events; `ilr` is an older name of one.
pub(super) fn sources() -> impl Iterator<Item = &'static str> {
    Source::ALL.into_iter().map(Source::as_str).chain(["ilr"])
}

/// One of these words, or nothing at all, which takes the setting away.
pub(super) fn among_or_none(words: impl Iterator<Item = &'static str>) -> PossibleValuesParser {
    let words = words.map(PossibleValue::new);
    PossibleValuesParser::new(words.chain([PossibleValue::new("").hide(true)]))
}
