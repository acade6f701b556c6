//! The segments of a path, decoded.

/// Behind these stands the id of a call, which is the platform's: it may have any character but control characters.
const OF_CALLS: [&str; 2] = ["calls", "conversations"];

/// The segments of `path`, decoded one by one: a dot segment, an empty one, or one with a slash in
/// disguise is no name of anything here, unless it is the id of a call.
pub(super) fn segments(path: &str) -> Option<Vec<String>> {
    let mut segments: Vec<String> = Vec::new();
    for segment in path.strip_prefix('/')?.split('/') {
        let text = decode(segment)?;
        let call = segments.last().is_some_and(|before| OF_CALLS.contains(&before.as_str()));
        // Dots that are not encoded are a step in the path, and no id.
        let disguised = matches!(text.as_str(), "." | "..") || text.contains(['/', '\\']);
        if text.is_empty() || text.contains(char::is_control) || (disguised && (!call || segment == text)) {
            return None;
        }
        segments.push(text);
    }
    Some(segments)
}

/// One segment of a path, percent-decoded.
fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}
