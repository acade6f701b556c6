//! Content that is the same for everybody: compressed once, with an ETag for each of its forms.

use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;
use hyper::StatusCode;
use hyper::header::{CONTENT_ENCODING, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, VARY};
use sha2::{Digest as _, Sha256};

use super::coding;
use crate::http::body::{Body, with_body};
use crate::http::reply::Reply;

/// Content ready to be sent.
pub(super) struct Prepared {
    plain: Bytes,
    /// Compressed on first use, because start must not wait for it and few daemons ever serve the page. `None` if
    /// that is no shorter.
    packed: OnceLock<Option<Bytes>>,
    /// ETag of the plain bytes; the compressed ones have their own (RFC 9110 section 8.8.1).
    tag: String,
}

impl Prepared {
    pub(super) fn new(plain: Bytes) -> Self {
        let tag = short(&Sha256::digest(&plain));
        Self { plain, packed: OnceLock::new(), tag }
    }

    pub(super) const fn plain(&self) -> &Bytes {
        &self.plain
    }

    /// The content, of the media type `kind`; `304` if the browser has it.
    pub(super) fn reply(&self, kind: &'static str, headers: &HeaderMap) -> Reply {
        let pack = || coding::gzip(&self.plain, Compression::best());
        let packed = if coding::is_wanted(headers) { self.packed.get_or_init(pack).as_ref() } else { None };
        let tag = if packed.is_some() { format!("\"{}-gz\"", self.tag) } else { format!("\"{}\"", self.tag) };
        let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
        let known = known.flat_map(|line| line.split(',')).map(str::trim);
        let fresh = known.into_iter().any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag);
        let bytes = if fresh { Bytes::new() } else { packed.unwrap_or(&self.plain).clone() };
        let mut reply = with_body(StatusCode::OK, kind, Body::Whole(bytes));
        let shown = reply.headers_mut();
        shown.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            shown.insert(ETAG, tag);
        }
        if packed.is_some() && !fresh {
            shown.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if fresh {
            *reply.status_mut() = StatusCode::NOT_MODIFIED;
        }
        reply
    }
}

/// The first 12 hexadecimal digits of a hash.
pub(super) fn short(hash: &[u8]) -> String {
    hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}
