//! Segments of a URL's path.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Dots are encoded, too: a segment of dots alone is path navigation.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

/// `text` as one segment: special characters are percent-encoded (RFC 3986 section 2.1).
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_cannot_leave_their_place_in_the_path() {
        for (text, wanted) in [
            ("sub_01A", "sub_01A"),
            ("call.new", "call%2Enew"),
            ("..", "%2E%2E"),
            ("a/../b?c#d", "a%2F%2E%2E%2Fb%3Fc%23d"),
            ("ü ~-%", "%C3%BC%20~-%25"),
        ] {
            assert_eq!(segment(text), wanted);
        }
    }
}
