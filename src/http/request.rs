//! The permission checks of a request, enforced by types.
//!
//! [`Authorised`] (a known token) can only be [permitted](Authorised::permit) for a role. Only a [`Permitted`]
//! request can be read, and its body only within limits of size and time. So no handler can skip the check, and no
//! byte of a body is read for unknown clients.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, Uri};
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::access::Access;
use super::bridge::Asker;
use super::budget::{Account, Held, TINY};
use super::connection::Peer;
use super::context::{RequestContext, Services};
use super::fair_limit::{Principal, Slot};
use super::problem::Problem;
use super::query::Query;
use super::settings::BodyLimits;
use crate::core::json;
use crate::core::time::format_duration;
use crate::core::token::Role;

/// JSON (RFC 8259).
pub(super) const JSON: &str = "application/json";
/// JSON, one document per line.
pub(super) const NDJSON: &str = "application/x-ndjson";
/// A form.
const FORM: &str = "application/x-www-form-urlencoded";
/// Maximum size of a form.
const FORM_BYTES: usize = 8 * 1024;
/// A list of CloudEvents as a JSON document.
pub(super) const CLOUD_EVENTS: &str = "application/cloudevents-batch+json";
/// One CloudEvent as a JSON document.
pub(super) const CLOUD_EVENT: &str = "application/cloudevents+json";
/// RFC 7396's media type for the body of a PATCH.
pub(super) const MERGE_PATCH: &str = "application/merge-patch+json";

/// A request with a known token.
pub(super) struct Authorised {
    context: Arc<RequestContext>,
    access: Access,
    account: Account,
    parts: Parts,
    body: Option<Incoming>,
}

impl Authorised {
    pub(super) fn new(
        context: Arc<RequestContext>,
        access: Access,
        account: Account,
        request: Request<Incoming>,
    ) -> Self {
        let (parts, body) = request.into_parts();
        Self { context, access, account, parts, body: Some(body) }
    }

    /// An internal `GET` with somebody's permissions: the page shows what the API returns.
    pub(super) fn within(context: Arc<RequestContext>, access: Access, account: Account, uri: Uri) -> Self {
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.uri = uri;
        Self { context, access, account, parts, body: None }
    }

    /// The same with an `Accept` header.
    pub(super) fn accepting(mut self, kind: HeaderValue) -> Self {
        self.parts.headers.insert(ACCEPT, kind);
        self
    }

    /// Whether it is by somebody who came by a portal link.
    pub(super) fn is_by_visitor(&self) -> bool {
        self.access.visitor().is_some()
    }

    /// The method, which determines the role.
    pub(super) const fn method(&self) -> &hyper::Method {
        &self.parts.method
    }

    /// Checks that the token's role includes `role`.
    ///
    /// # Errors
    /// 403.
    pub(super) fn permit(self, role: Role) -> Result<Permitted, Problem> {
        self.access.require(role)?;
        let Self { context, access, account, parts, body } = self;
        Ok(Permitted { context, access, account, parts, body, slot: Mutex::default() })
    }
}

/// A request whose role was checked; its [`Access`] determines the companies.
pub(super) struct Permitted {
    /// The request context.
    pub(super) context: Arc<RequestContext>,
    /// Its permissions.
    pub(super) access: Access,
    /// The account for the memory it holds.
    pub(super) account: Account,
    parts: Parts,
    body: Option<Incoming>,
    /// Its slot in the lane of reads: results stay in memory until the response.
    slot: Mutex<Option<Slot>>,
}

impl Asker for Permitted {
    fn context(&self) -> &RequestContext {
        &self.context
    }

    fn principal(&self) -> Principal {
        self.access.principal()
    }

    fn keep_slot(&self, slot: Option<Slot>) {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = slot;
    }
}

impl Permitted {
    /// The services.
    pub(super) fn services(&self) -> &Services {
        &self.context.services
    }

    /// The query string.
    pub(super) fn query(&self) -> Query {
        Query::new(self.parts.uri.query())
    }

    /// Checks that there is no query string.
    ///
    /// # Errors
    /// 422 that names the parameters.
    pub(super) fn no_query(&self) -> Result<(), Problem> {
        self.query().finish()
    }

    /// Where it came from; `None` for an internal one.
    pub(super) fn peer(&self) -> Option<&Peer> {
        self.parts.extensions.get()
    }

    /// The headers.
    pub(super) const fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// Reads the body, which must be of one of the types `accepted`; returns the type as well.
    ///
    /// # Errors
    /// 415 of another type, 413 too large, 408 too slow, 400 aborted or not UTF-8.
    pub(super) async fn body(&mut self, accepted: &[&'static str]) -> Result<(&'static str, Document), Problem> {
        let media = media_type(&self.parts.headers, accepted)?;
        let Some(body) = self.body.take() else { return Err(Problem::internal()) };
        let limits = self.context.limits;
        let too_slow = || {
            let allowed = format_duration(limits.body_timeout);
            Problem::too_slow(format!("the request's body was not complete after {allowed}"))
        };
        let held = self.account.none();
        let collected = timeout(limits.body_timeout, collect(body, limits.max_body_bytes, Some(held))).await;
        let (bytes, held) = collected.map_err(|_| too_slow())??;
        Ok((media, Document { held, ..Document::new(bytes)? }))
    }

    /// Reads a JSON body.
    ///
    /// # Errors
    /// As [`Permitted::body`].
    pub(super) async fn json(&mut self) -> Result<Document, Problem> {
        self.body(&[JSON]).await.map(|(_, document)| document)
    }

    /// Reads a JSON body if there is one.
    ///
    /// # Errors
    /// As [`Permitted::body`].
    pub(super) async fn optional_json(&mut self) -> Result<Option<Document>, Problem> {
        if self.body.as_ref().is_none_or(|body| body.size_hint().exact() == Some(0)) {
            return Ok(None);
        }
        self.json().await.map(Some)
    }
}

/// A body: UTF-8 text.
pub(super) struct Document {
    bytes: Bytes,
    /// Its reservation in the budget.
    #[expect(dead_code, reason = "it is given back when this is dropped")]
    held: Option<Held>,
}

/// U+FEFF, which some editors, PowerShell and .NET write before UTF-8 text.
pub(super) const BYTE_ORDER_MARK: char = '\u{feff}';

/// The refusal of a body that is not JSON.
pub(super) fn not_json(fault: &str) -> Problem {
    Problem::bad_request(format!("the body is not JSON: {fault}"))
}

impl Document {
    /// The text without a leading byte order mark (RFC 8259 section 8.1 allows ignoring one).
    fn new(mut bytes: Bytes) -> Result<Self, Problem> {
        match std::str::from_utf8(&bytes) {
            Ok(text) => {
                let ahead = text.len() - text.trim_start_matches(BYTE_ORDER_MARK).len();
                bytes::Buf::advance(&mut bytes, ahead);
                Ok(Self { bytes, held: None })
            }
            Err(error) => {
                let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
                let at = error.valid_up_to();
                Err(Problem::bad_request(format!("the body is not UTF-8: byte {at} (counted from 0), in line {line}")))
            }
        }
    }

    /// The document with this text.
    #[cfg(test)]
    pub(super) fn of(text: &str) -> Self {
        Self { bytes: Bytes::copy_from_slice(text.as_bytes()), held: None }
    }

    /// As text.
    pub(super) fn text(&self) -> &str {
        // Checked on creation; an empty text would be refused as JSON anyway.
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }

    /// Parses it as one JSON document.
    ///
    /// # Errors
    /// 400 with the position of the error.
    pub(super) fn parse(&self) -> Result<&RawValue, Problem> {
        json::parse(self.text()).map_err(|fault| not_json(&fault))
    }
}

/// Reads a short form (`application/x-www-form-urlencoded`) from an unknown client.
///
/// # Errors
/// 415 of another type, 413 beyond [`FORM_BYTES`], 408 too slow, 400 aborted.
pub(super) async fn form(request: Request<Incoming>, limits: BodyLimits) -> Result<Vec<(String, String)>, Problem> {
    let bytes = small(request, FORM, limits).await?;
    Ok(url::form_urlencoded::parse(&bytes).into_owned().collect())
}

/// Reads a short JSON document from an unknown client.
///
/// # Errors
/// As [`form`], and 400 if it is not UTF-8.
pub(super) async fn small_json(request: Request<Incoming>, limits: BodyLimits) -> Result<String, Problem> {
    let bytes = small(request, JSON, limits).await?;
    Document::new(bytes).map(|document| document.text().to_owned())
}

async fn small(request: Request<Incoming>, media: &'static str, limits: BodyLimits) -> Result<Bytes, Problem> {
    let (parts, body) = request.into_parts();
    media_type(&parts.headers, &[media])?;
    // Too small to be counted.
    const { assert!(FORM_BYTES <= TINY) };
    let bytes = timeout(limits.body_timeout, collect(body, FORM_BYTES, None)).await;
    let (bytes, _) = bytes.map_err(|_| Problem::too_slow("the body was not complete in time"))??;
    Ok(bytes)
}

/// Reads `body` to its end, but not beyond `most` bytes, counted by `held`. A single piece is not copied.
async fn collect(mut body: Incoming, most: usize, mut held: Option<Held>) -> Result<(Bytes, Option<Held>), Problem> {
    let too_large = || Problem::too_large(format!("the request's body is larger than {most} bytes"));
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > most {
        return Err(too_large());
    }
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let broken =
            |_| Problem::bad_request("the request's body broke off or is not chunked as it should be").closing();
        let Ok(piece) = frame.map_err(broken)?.into_data() else { continue };
        let length = first.len().max(whole.len()) + piece.len();
        if length > most {
            return Err(too_large());
        }
        if first.is_empty() && whole.is_empty() {
            count(&mut held, length)?;
            first = piece;
            continue;
        }
        if whole.capacity() < length {
            // Grows by half of what was received, so that a large announced length alone reserves little.
            let room = length.max(whole.len() * 3 / 2).min(announced.max(length));
            count(&mut held, room)?;
            whole.reserve(room - whole.len());
        }
        if whole.is_empty() {
            whole.extend_from_slice(&std::mem::take(&mut first));
        }
        whole.extend_from_slice(&piece);
    }
    Ok((if whole.is_empty() { first } else { whole.freeze() }, held))
}

/// Counts a body of `size`.
///
/// # Errors
/// 503: the client holds too much. The rest of the body is not read.
fn count(held: &mut Option<Held>, size: usize) -> Result<(), Problem> {
    held.as_mut().map_or(Ok(()), |held| held.resize(size)).map_err(|spent| Problem::from(spent).closing())
}

/// The body's declared type, if among `accepted`.
fn media_type(headers: &HeaderMap, accepted: &[&'static str]) -> Result<&'static str, Problem> {
    let wanted = || format!("the header Content-Type must be {}", accepted.join(" or "));
    if !headers.get_all(CONTENT_ENCODING).iter().all(is_identity) {
        return Err(Problem::media_type("the body must not be compressed: leave out the header Content-Encoding"));
    }
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(Problem::media_type(wanted())) };
    essence(value, accepted).ok_or_else(|| Problem::media_type(wanted() + ", in UTF-8"))
}

/// Whether a value of `Content-Encoding` names no coding, or only `identity` (RFC 9110 section 8.4.1).
fn is_identity(value: &HeaderValue) -> bool {
    let mut codings = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    codings.all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity"))
}

fn essence(value: &HeaderValue, accepted: &[&'static str]) -> Option<&'static str> {
    let mut parts = value.to_str().ok()?.split(';').map(str::trim);
    let name = parts.next()?;
    // `utf8` is a label of it (WHATWG Encoding), and ASCII is a subset.
    const UTF_8: [&str; 3] = ["utf-8", "utf8", "us-ascii"];
    let utf8 = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            let value = value.trim().trim_matches('"');
            UTF_8.iter().any(|label| value.eq_ignore_ascii_case(label))
        }
        _ => true,
    };
    if !parts.all(utf8) {
        return None;
    }
    accepted.iter().find(|media| media.eq_ignore_ascii_case(name)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_are_read_as_they_are_meant() {
        let read = |text: &str| essence(&text.parse().unwrap(), &[JSON, NDJSON]);
        for text in ["application/json", "Application/JSON", "application/json; charset=UTF-8"] {
            assert_eq!(read(text), Some(JSON), "{text}");
        }
        assert_eq!(read("application/json; charset=utf8"), Some(JSON));
        assert_eq!(read("application/json;charset=US-ASCII;"), Some(JSON));
        assert_eq!(read("application/x-ndjson;charset=\"utf-8\"; x=y"), Some(NDJSON));
        for text in ["", "text/plain", "application/json; charset=latin1", "application/jsonx", "application/json,x"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn identity_is_no_compression() {
        for text in ["identity", "Identity", "", " identity , identity "] {
            assert!(is_identity(&text.parse().unwrap()), "{text}");
        }
        for text in ["gzip", "identity, gzip", "br", "identity;q=1"] {
            assert!(!is_identity(&text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        let text = |bytes: &'static [u8]| Document::new(Bytes::from_static(bytes)).unwrap().text().to_owned();
        assert_eq!(text(b"\xef\xbb\xbf{}"), "{}");
        assert_eq!(text(b"\xef\xbb\xbf"), "");
        assert_eq!(text(b"{\"a\":\"\xef\xbb\xbf\"}"), "{\"a\":\"\u{feff}\"}", "inside it is text");
    }

    #[test]
    fn text_that_is_not_utf_8_is_refused_with_its_place() {
        let refused = Document::new(Bytes::from_static(b"{\n\"a\": \"\xff\"}")).err().unwrap();
        let text = format!("{refused:?}");
        assert!(text.contains("byte 8") && text.contains("line 2"), "{text}");
    }
}
