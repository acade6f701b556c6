//! Colours, and whether text can be read on them (WCAG 2.2, 'relative luminance' and 'contrast ratio').

use std::fmt;

/// The contrast that text must have (WCAG 2.2, 1.4.3, level AA).
pub const READABLE: f64 = 4.5;

/// An opaque sRGB colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour([u8; 3]);

impl Colour {
    /// White.
    pub const WHITE: Self = Self([255; 3]);
    /// Black.
    pub const BLACK: Self = Self([0; 3]);

    /// The colour of these parts: red, green, blue.
    pub const fn new(parts: [u8; 3]) -> Self {
        Self(parts)
    }

    /// Parses `#rrggbb`.
    ///
    /// # Errors
    /// A sentence on the form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wanted = || "must be a colour such as \"#1659c7\"".to_owned();
        let digits =
            text.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.is_ascii()).ok_or_else(wanted)?;
        let part = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| wanted());
        if digits.contains(['+', '-']) {
            return Err(wanted());
        }
        Ok(Self([part(0)?, part(2)?, part(4)?]))
    }

    /// The relative luminance, 0 to 1.
    fn luminance(self) -> f64 {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = self.0.map(linear);
        0.2126f64.mul_add(red, 0.7152f64.mul_add(green, 0.0722 * blue))
    }

    /// The contrast ratio with `other`, 1 to 21.
    pub fn contrast(self, other: Self) -> f64 {
        let (one, other) = (self.luminance(), other.luminance());
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    /// This colour with so many hundredths of `other`.
    #[must_use]
    pub fn mixed(self, other: Self, hundredths: u16) -> Self {
        let hundredths = hundredths.min(100);
        let mix = |own: u8, other: u8| {
            let sum = u16::from(own) * (100 - hundredths) + u16::from(other) * hundredths;
            u8::try_from((sum + 50) / 100).unwrap_or(u8::MAX)
        };
        let ([r, g, b], [or, og, ob]) = (self.0, other.0);
        Self([mix(r, or), mix(g, og), mix(b, ob)])
    }

    /// The colour nearest to this one, on the way to `towards`, that fits.
    #[must_use]
    pub fn moved(self, towards: Self, fits: impl Fn(Self) -> bool) -> Self {
        let found = (0..=100).map(|hundredths| self.mixed(towards, hundredths)).find(|colour| fits(*colour));
        found.unwrap_or(towards)
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_read_and_written() {
        assert_eq!(Colour::parse("#1659C7").unwrap().to_string(), "#1659c7");
        for wrong in ["", "#", "1659c7", "#159", "#1659c", "#1659c77", "#gggggg", "#+1+2+3", "red", "#ä59c7"] {
            assert!(Colour::parse(wrong).unwrap_err().contains("such as"), "{wrong}");
        }
    }

    #[test]
    fn contrasts_are_those_of_the_standard() {
        let grey = |level: u8| Colour::new([level; 3]);
        assert!((Colour::WHITE.contrast(Colour::BLACK) - 21.0).abs() < 1e-9);
        assert!((grey(119).contrast(Colour::WHITE) - 4.478).abs() < 0.001, "#777777 is the well-known near miss");
        assert!(grey(118).contrast(Colour::WHITE) > READABLE);
    }

    #[test]
    fn a_colour_is_moved_no_further_than_needed() {
        let yellow = Colour::new([255, 204, 0]);
        let readable = |colour: Colour| colour.contrast(Colour::WHITE) >= READABLE;
        let moved = yellow.moved(Colour::BLACK, readable);
        assert!(readable(moved) && moved.contrast(Colour::WHITE) < 4.7, "{moved}");
        let blue = Colour::parse("#1659c7").unwrap();
        assert_eq!(blue.moved(Colour::BLACK, readable), blue, "it fits already");
        assert_eq!(yellow.moved(Colour::BLACK, |_| false), Colour::BLACK);
    }
}
