//! A receiver's response, as far as it is kept.

/// A response as kept in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers in order, with names as received; invalid UTF-8 is replaced by U+FFFD.
    pub headers: Vec<(String, String)>,
    /// The beginning of the body, with gzip or deflate decoded; at most [`Answer::BODY_KEPT`] bytes.
    pub body: Vec<u8>,
    /// Whether the body was longer.
    pub truncated: bool,
}

impl Answer {
    /// Maximum kept bytes of a response's body.
    pub const BODY_KEPT: usize = 8 * 1024;
    /// Maximum kept bytes of a response's headers (names and values).
    pub const HEADERS_KEPT: usize = 8 * 1024;

    /// The first value of the header `name`, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}
