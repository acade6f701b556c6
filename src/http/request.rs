//! A request's way to its permissions, by type.
//!
//! [`Authorised`] (a known token) can do one thing: be [permitted](Authorised::permit) for a role.
//! Only a [`Permitted`] request can be read, and its body only within the limits on size and time.
//! So no handler can forget to ask, and no byte of a body is read for somebody unknown.

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
/// JSON, one document a line.
pub(super) const NDJSON: &str = "application/x-ndjson";
/// The fields of a form.
const FORM: &str = "application/x-www-form-urlencoded";
/// The largest form.
const FORM_BYTES: usize = 8 * 1024;
/// A list of CloudEvents as a JSON document.
pub(super) const CLOUD_EVENTS: &str = "application/cloudevents-batch+json";
/// One CloudEvent as a JSON document.
pub(super) const CLOUD_EVENT: &str = "application/cloudevents+json";
/// What RFC 7396 calls the body of a PATCH.
pub(super) const MERGE_PATCH: &str = "application/merge-patch+json";

/// A request whose token is known.
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

    /// A `GET` of Hookswitch's own, with somebody's permissions: what the page shows is what the API answers.
    pub(super) fn within(context: Arc<RequestContext>, access: Access, account: Account, uri: Uri) -> Self {
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.uri = uri;
        Self { context, access, account, parts, body: None }
    }

    /// The same, asking for one kind of answer.
    pub(super) fn accepting(mut self, kind: HeaderValue) -> Self {
        self.parts.headers.insert(ACCEPT, kind);
        self
    }

    /// The method, which decides on the role.
    pub(super) const fn method(&self) -> &hyper::Method {
        &self.parts.method
    }

    /// Checks that the token may do what `role` may.
    ///
    /// # Errors
    /// 403.
    pub(super) fn permit(self, role: Role) -> Result<Permitted, Problem> {
        self.access.require(role)?;
        let Self { context, access, account, parts, body } = self;
        Ok(Permitted { context, access, account, parts, body, turn: Mutex::default() })
    }
}

/// A request that may do what it asks for, as far as its role goes; which company's things it
/// may touch is told by its [`Access`].
pub(super) struct Permitted {
    /// What is behind it.
    pub(super) context: Arc<RequestContext>,
    /// Whose things it may touch.
    pub(super) access: Access,
    /// By what the memory is counted that it holds.
    pub(super) account: Account,
    parts: Parts,
    body: Option<Incoming>,
    /// Its slot of the lane of reads: what was read is held until it is answered.
    turn: Mutex<Option<Slot>>,
}

impl Asker for Permitted {
    fn context(&self) -> &RequestContext {
        &self.context
    }

    fn principal(&self) -> Principal {
        self.access.principal()
    }

    fn keep_turn(&self, slot: Option<Slot>) {
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner) = slot;
    }
}

impl Permitted {
    /// What is behind it.
    pub(super) fn services(&self) -> &Services {
        &self.context.services
    }

    /// The query string, to be read.
    pub(super) fn query(&self) -> Query {
        Query::new(self.parts.uri.query())
    }

    /// Checks that there is no query string.
    ///
    /// # Errors
    /// 422 that names what there is.
    pub(super) fn no_query(&self) -> Result<(), Problem> {
        self.query().finish()
    }

    /// The headers.
    pub(super) const fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// Reads the body, which must be of one of the types `accepted`; answers which, too.
    ///
    /// # Errors
    /// 415 of another type, 413 too large, 408 too slow, 400 broken off or not UTF-8.
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

    /// Reads a JSON body if there is any.
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

/// A body that was read: UTF-8 text.
pub(super) struct Document {
    bytes: Bytes,
    /// Its place in the budget.
    #[expect(dead_code, reason = "it is given back when this is dropped")]
    held: Option<Held>,
}

/// U+FEFF, which some editors, PowerShell and .NET write ahead of text in UTF-8.
pub(super) const BYTE_ORDER_MARK: char = '\u{feff}';

impl Document {
    /// The text without a byte order mark ahead of it (RFC 8259 section 8.1 lets a parser pass over one).
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
        // Checked when it was made; an empty text would be refused as JSON all the same.
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }

    /// As one JSON document.
    ///
    /// # Errors
    /// 400 that says where it stops being JSON.
    pub(super) fn parse(&self) -> Result<&RawValue, Problem> {
        json::parse(self.text()).map_err(|fault| Problem::bad_request(format!("the body is not JSON: {fault}")))
    }
}

/// Reads the fields of a short form (`application/x-www-form-urlencoded`) from somebody who is not known yet.
///
/// # Errors
/// 415 of another type, 413 beyond [`FORM_BYTES`], 408 too slow, 400 broken off.
pub(super) async fn form(request: Request<Incoming>, limits: BodyLimits) -> Result<Vec<(String, String)>, Problem> {
    let (parts, body) = request.into_parts();
    media_type(&parts.headers, &[FORM])?;
    // So little is not counted.
    const { assert!(FORM_BYTES <= TINY) };
    let bytes = timeout(limits.body_timeout, collect(body, FORM_BYTES, None)).await;
    let (bytes, _) = bytes.map_err(|_| Problem::too_slow("the form was not complete in time"))??;
    Ok(url::form_urlencoded::parse(&bytes).into_owned().collect())
}

/// Reads `body` to its end, but not beyond `most` bytes, counted by `held`. One piece is not copied.
async fn collect(mut body: Incoming, most: usize, mut held: Option<Held>) -> Result<(Bytes, Option<Held>), Problem> {
    let too_large = || Problem::too_large(format!("the request's body is larger than {most} bytes"));
    let said = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if said > most {
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
            // By half of what has come, so that who says much and sends little takes little.
            let room = length.max(whole.len() * 3 / 2).min(said.max(length));
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
/// 503: its client holds too much. What is still to come of the body is not read.
fn count(held: &mut Option<Held>, size: usize) -> Result<(), Problem> {
    held.as_mut().map_or(Ok(()), |held| held.resize(size)).map_err(|spent| Problem::from(spent).closing())
}

/// Which of the types `accepted` the body is said to be of.
fn media_type(headers: &HeaderMap, accepted: &[&'static str]) -> Result<&'static str, Problem> {
    let wanted = || format!("the header Content-Type must be {}", accepted.join(" or "));
    if !headers.get_all(CONTENT_ENCODING).iter().all(is_identity) {
        return Err(Problem::media_type("the body must not be compressed: leave out the header Content-Encoding"));
    }
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(Problem::media_type(wanted())) };
    essence(value, accepted).ok_or_else(|| Problem::media_type(wanted() + ", in UTF-8"))
}

/// Whether a value of `Content-Encoding` names no coding, or `identity` alone, which is none (RFC 9110 section 8.4.1).
fn is_identity(value: &HeaderValue) -> bool {
    let mut codings = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    codings.all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity"))
}

fn essence(value: &HeaderValue, accepted: &[&'static str]) -> Option<&'static str> {
    let mut parts = value.to_str().ok()?.split(';').map(str::trim);
    let name = parts.next()?;
    // `utf8` is a label of it (WHATWG Encoding), and ASCII is a part of it.
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
