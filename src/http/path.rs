//! The segments of a path, decoded.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// These are followed by the id of a call, which belongs to the platform: it may contain any character but control
/// characters.
const OF_CALLS: [&str; 2] = ["calls", "conversations"];

/// The segments of `path`, each decoded: dot segments, empty ones, and those with an encoded slash match nothing,
/// unless they are the id of a call.
pub(super) fn segments(path: &str) -> Option<Vec<String>> {
    let mut segments: Vec<String> = Vec::new();
    for segment in path.strip_prefix('/')?.split('/') {
        let text = decode(segment)?;
        let call = segments.last().is_some_and(|before| OF_CALLS.contains(&before.as_str()));
        // Unencoded dots are path navigation, not an id.
        let disguised = matches!(text.as_str(), "." | "..") || text.contains(['/', '\\']);
        if text.is_empty() || text.contains(char::is_control) || (disguised && (!call || segment == text)) {
            return None;
        }
        segments.push(text);
    }
    Some(segments)
}

/// One percent-decoded segment; `None` if a percent sign is not followed by two hexadecimal digits.
fn decode(segment: &str) -> Option<String> {
    let encoded = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if !segment.split('%').skip(1).all(encoded) {
        return None;
    }
    percent_decode_str(segment).decode_utf8().ok().map(Cow::into_owned)
}
