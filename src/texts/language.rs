//! The languages of the page, and how one is chosen.

/// A language of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// `en`
    English,
    /// `de`
    German,
    /// `es`
    Spanish,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::English, Self::German, Self::Spanish];

    /// Its tag (RFC 5646).
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::Spanish => "es",
        }
    }

    /// Its own name for itself.
    pub const fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::German => "Deutsch",
            Self::Spanish => "Español",
        }
    }

    /// The language of a tag, whatever its region: `de` for `de-AT` (the lookup of RFC 4647 section 3.4).
    pub fn of_tag(tag: &str) -> Option<Self> {
        let primary = tag.trim().split('-').next().unwrap_or_default();
        Self::ALL.into_iter().find(|language| primary.eq_ignore_ascii_case(language.tag()))
    }

    /// The language that a browser prefers among ours, by its `Accept-Language` (RFC 9110 section 12.5.4): the highest
    /// quality wins, of equal ones the first. `None` if it names none of ours, or any by `*` alone.
    pub fn preferred(accepted: &str) -> Option<Self> {
        let mut best: Option<(Self, f32)> = None;
        for range in accepted.split(',') {
            let (tag, quality) = range.split_once(';').unwrap_or((range, ""));
            let quality = match quality.trim().strip_prefix("q=") {
                Some(text) => text.trim().parse().unwrap_or(0.0),
                None => 1.0,
            };
            let Some(language) = Self::of_tag(tag) else { continue };
            if quality > 0.0 && best.is_none_or(|(_, found)| quality > found) {
                best = Some((language, quality));
            }
        }
        best.map(|(language, _)| language)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_wanted_language_of_ours_is_taken() {
        for (accepted, wanted) in [
            ("de", Some(Language::German)),
            ("de-AT,de;q=0.9,en;q=0.8", Some(Language::German)),
            ("fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5", Some(Language::English)),
            ("en;q=0.1, es-MX;q=0.8", Some(Language::Spanish)),
            ("ES-mx", Some(Language::Spanish)),
            ("es ; q=0.5 , de; q=0.6", Some(Language::German)),
            ("de;q=0, en;q=0.1", Some(Language::English)),
            ("de;q=0", None),
            ("de;q=many", None),
            ("fr, *", None),
            ("deutsch", None),
            ("", None),
            (",,;;q=,", None),
        ] {
            assert_eq!(Language::preferred(accepted), wanted, "{accepted}");
        }
        assert_eq!(Language::of_tag("es-419"), Some(Language::Spanish));
        assert_eq!(Language::of_tag("x-de"), None);
    }
}
