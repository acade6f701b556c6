//! How the page looks like the platform's own: its name, its logo, its colour.
//!
//! Invariant: text in the colour of the configuration, and on it, has a contrast of [`READABLE`] or more: a colour that
//! is too light for light pages is darkened, one that is too dark for dark pages lightened, no further than needed.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use bytes::Bytes;

use crate::core::colour::{Colour, READABLE};

/// The largest logo.
const LOGO_MOST: u64 = 256 * 1024;

/// The backgrounds of a theme, as in `layout/base.css`.
struct Theme {
    backgrounds: [Colour; 3],
    /// Where colours are moved to be read.
    towards: Colour,
    /// The text on a filled button.
    on_accent: Colour,
    /// What the soft background of something selected is mixed from, and how much of the accent.
    soft: (Colour, u16),
}

const LIGHT: Theme = Theme {
    backgrounds: [Colour::WHITE, Colour::new([0xf5, 0xf6, 0xf8]), Colour::new([0xf0, 0xf2, 0xf5])],
    towards: Colour::BLACK,
    on_accent: Colour::WHITE,
    soft: (Colour::WHITE, 10),
};

const DARK: Theme = Theme {
    backgrounds: [Colour::new([0x18, 0x1e, 0x27]), Colour::new([0x10, 0x14, 0x1a]), Colour::new([0x12, 0x17, 0x1f])],
    towards: Colour::WHITE,
    on_accent: Colour::new([0x0b, 0x10, 0x18]),
    soft: (Colour::new([0x18, 0x1e, 0x27]), 18),
};

/// The accent as a theme shows it.
struct Shown {
    accent: Colour,
    hover: Colour,
    on: Colour,
    soft: Colour,
}

impl Theme {
    fn show(&self, accent: Colour) -> Shown {
        let soft = |accent: Colour| self.soft.0.mixed(accent, self.soft.1);
        let readable = |accent: Colour| {
            let on = self.backgrounds.into_iter().chain([self.on_accent, soft(accent)]);
            on.into_iter().all(|background| accent.contrast(background) >= READABLE)
        };
        let accent = accent.moved(self.towards, readable);
        Shown { accent, hover: accent.mixed(self.towards, 22), on: self.on_accent, soft: soft(accent) }
    }
}

impl Shown {
    fn css(&self) -> String {
        let Self { accent, hover, on, soft } = self;
        format!(
            ":root{{--accent:{accent};--accent-hover:{hover};--on-accent:{on};--accent-soft:{soft}}}\n\
             .icon-fill{{fill:{accent}}}.icon-on-fill{{fill:{on}}}\n"
        )
    }
}

/// The style that lays `accent` over the page's own.
pub(super) fn style(accent: Colour) -> String {
    let (light, dark) = (LIGHT.show(accent).css(), DARK.show(accent).css());
    format!("{light}@media (prefers-color-scheme:dark){{\n{dark}}}\n")
}

/// The colours in which light and dark pages show `accent`, where they differ from it.
pub fn adjusted(accent: Colour) -> Option<String> {
    let (light, dark) = (LIGHT.show(accent).accent, DARK.show(accent).accent);
    (light != accent).then(|| {
        format!(
            "`accent` of [page], {accent}, is shown as {light} on light pages and {dark} on dark ones: text would have too \
             little contrast otherwise (less than {READABLE} to 1)"
        )
    })
}

/// A logo.
#[derive(Debug, Clone)]
pub struct Logo {
    pub(super) media: &'static str,
    pub(super) bytes: Bytes,
}

impl Logo {
    /// Reads one.
    ///
    /// # Errors
    /// A sentence that names the file and the remedy.
    pub fn load(file: &Path) -> Result<Self, String> {
        let named = |what: String| format!("`logo` of [page], {}, {what}", file.display());
        let mut bytes = Vec::new();
        let opened = File::open(file).and_then(|opened| opened.take(LOGO_MOST + 1).read_to_end(&mut bytes));
        opened.map_err(|error| named(format!("cannot be read: {error}")))?;
        if bytes.len() as u64 > LOGO_MOST {
            return Err(named(format!("is larger than {} KiB: take a smaller picture", LOGO_MOST / 1024)));
        }
        let media =
            media(&bytes).ok_or_else(|| named("is no SVG, PNG, JPEG or WebP: take a picture of these".to_owned()));
        Ok(Self { media: media?, bytes: bytes.into() })
    }
}

/// The type of a picture, by its first bytes.
fn media(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Some("image/png");
    }
    if bytes.starts_with(b"\xff\xd8\xff") {
        return Some("image/jpeg");
    }
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        return Some("image/webp");
    }
    let text = std::str::from_utf8(bytes).ok()?.trim_start_matches('\u{feff}').trim_start();
    let svg = text.starts_with("<svg") || (text.starts_with('<') && text.contains("<svg"));
    svg.then_some("image/svg+xml")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_can_be_read_in_every_colour(parts: [u8; 3]) {
            for theme in [&LIGHT, &DARK] {
                let Shown { accent, hover, on, soft } = theme.show(Colour::new(parts));
                for background in theme.backgrounds.into_iter().chain([on, soft]) {
                    prop_assert!(accent.contrast(background) >= READABLE, "{accent} on {background}");
                }
                prop_assert!(hover.contrast(on) >= READABLE, "{hover} on {on}");
            }
        }
    }

    #[test]
    fn the_backgrounds_are_those_of_the_page() {
        let css = include_str!("page/layout/base.css");
        for background in LIGHT.backgrounds.iter().chain(&DARK.backgrounds) {
            assert!(css.contains(&background.to_string()), "{background} is in no theme");
        }
    }

    #[test]
    fn only_a_colour_that_was_changed_is_told() {
        assert_eq!(adjusted(Colour::parse("#1659c7").unwrap()), None);
        let told = adjusted(Colour::parse("#ffcc00").unwrap()).unwrap();
        assert!(told.contains("#ffcc00, is shown as #"), "{told}");
    }

    #[test]
    fn a_logo_is_a_picture() {
        let dir = tempfile::tempdir().unwrap();
        let load = |bytes: &[u8]| {
            let file = dir.path().join("logo");
            std::fs::write(&file, bytes).unwrap();
            Logo::load(&file).map(|logo| logo.media)
        };
        assert_eq!(load(b"<?xml version=\"1.0\"?><svg/>"), Ok("image/svg+xml"));
        assert_eq!(load(b"\x89PNG\r\n\x1a\n..."), Ok("image/png"));
        assert_eq!(load(b"RIFF0000WEBPVP8 "), Ok("image/webp"));
        for (bytes, why) in [(b"".as_slice(), "is no SVG"), (b"<html>", "is no SVG"), (b"GIF89a", "is no SVG")] {
            assert!(load(bytes).unwrap_err().contains(why));
        }
        assert!(load(&vec![b'<'; 300 * 1024]).unwrap_err().contains("256 KiB"));
        let missing = Logo::load(&dir.path().join("none")).unwrap_err();
        assert!(missing.contains("none, cannot be read"), "{missing}");
    }
}
