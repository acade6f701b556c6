//! gzip (RFC 1952) for browsers that accept it (RFC 9110 section 12.5.3).
//!
//! Secrets are never compressed together with text chosen by a visitor: they come from the API, which does not
//! compress.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue, VARY};

use crate::http::body::Body;
use crate::http::reply::Reply;

/// Shorter responses fit into one packet anyway.
const LEAST: usize = 1_000;

/// Whether the browser accepts gzip.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let refused = parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0)));
        named && !refused
    })
}

/// `bytes` compressed; `None` if that is no shorter.
pub(super) fn gzip(bytes: &[u8], level: Compression) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 3), level);
    // Writing into memory cannot fail; if it did, the plain bytes would be sent.
    let packed = encoder.write_all(bytes).and_then(|()| encoder.finish()).ok()?;
    (packed.len() < bytes.len()).then(|| packed.into())
}

/// `reply`, compressed if `wanted`, worthwhile and not done yet.
pub(super) fn packed(mut reply: Reply, wanted: bool) -> Reply {
    if reply.headers().contains_key(CONTENT_ENCODING) || reply.headers().contains_key(VARY) {
        return reply;
    }
    let Body::Whole(bytes) = reply.body() else { return reply };
    if bytes.len() < LEAST {
        return reply;
    }
    let packed = if wanted { gzip(bytes, Compression::fast()) } else { None };
    reply.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(packed) = packed {
        *reply.body_mut() = Body::Whole(packed);
        reply.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_used_where_it_is_taken() {
        let wanted = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.append(ACCEPT_ENCODING, value.parse().unwrap());
            is_wanted(&headers)
        };
        for value in ["gzip", "br, GZIP", "deflate,gzip;q=0.5", "gzip;q=1.0, *;q=0"] {
            assert!(wanted(value), "{value}");
        }
        for value in ["", "br", "gzip;q=0", "gzip; q=0.000", "xgzip"] {
            assert!(!wanted(value), "{value}");
        }
        assert!(!is_wanted(&HeaderMap::new()));
    }
}
