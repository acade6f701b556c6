//! Problem replies (RFC 9457): all refusals, in one place and one format.
//!
//! The reader is the client's programmer: `detail` says what is wrong and what would be right, `errors` which members
//! are at fault. Internal causes are logged, not returned.

use hyper::StatusCode;
use hyper::header::{ALLOW, CONNECTION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;

use super::body::{Body, Reply, with_body};
use super::budget::Spent;
use crate::core::invalid::{FieldError, Invalid};
use crate::store::{Busy, StoreError};

/// A refusal.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    errors: Vec<FieldError>,
    with: With,
    close: bool,
}

/// The header that belongs to a status.
#[derive(Debug, Clone, Copy)]
enum With {
    Nothing,
    Challenge(HeaderText),
    Allow(HeaderText),
    RetryAfter(u16),
}

type HeaderText = &'static str;

#[derive(Serialize)]
struct ProblemJson<'p> {
    r#type: &'static str,
    status: u16,
    title: &'static str,
    detail: &'p str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'p [FieldErrorJson<'p>],
}

#[derive(Serialize)]
struct FieldErrorJson<'p> {
    pointer: &'p str,
    detail: &'p str,
}

impl Problem {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), errors: Vec::new(), with: With::Nothing, close: false }
    }

    fn with(mut self, with: With) -> Self {
        self.with = with;
        self
    }

    /// The same, and the connection is closed after it: when the end of the request is uncertain.
    pub(super) fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// What is wrong, as a sentence.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// The status code.
    pub(super) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// 400: it cannot be read at all.
    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 401: no token (RFC 6750 section 3).
    pub(super) fn no_token(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail).with(With::Challenge("Bearer realm=\"hookswitch\""))
    }

    /// 401: a token, but not a valid one (RFC 6750 section 3.1).
    pub(super) fn unknown_token(detail: impl Into<String>) -> Self {
        const CHALLENGE: &str = "Bearer realm=\"hookswitch\", error=\"invalid_token\"";
        Self::new(StatusCode::UNAUTHORIZED, detail).with(With::Challenge(CHALLENGE))
    }

    /// 403: the token is known and may not do this.
    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// 404.
    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 405, with the allowed methods.
    pub(super) fn method_not_allowed(method: &str, allow: &'static str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, format!("`{method}` is not allowed here; there are: {allow}"))
            .with(With::Allow(allow))
    }

    /// 408: the request's body was not complete in time.
    pub(super) fn too_slow(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, detail).closing()
    }

    /// 409.
    pub(super) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// 413.
    pub(super) fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail).closing()
    }

    /// 415.
    pub(super) fn media_type(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
    }

    /// 422 of one member.
    pub(super) fn invalid(pointer: &str, detail: impl Into<String>) -> Self {
        Invalid::one(pointer, detail).into()
    }

    /// 429: too many requests; try again after `seconds` (RFC 6585 section 4).
    pub(super) fn too_many_requests(detail: impl Into<String>, seconds: u16) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, detail).with(With::RetryAfter(seconds))
    }

    /// 500: an internal error.
    pub(super) fn internal() -> Self {
        const DETAIL: &str =
            "Hookswitch failed at this request, which is a fault of its own; its log on standard error tells more";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, DETAIL).closing()
    }

    /// 501: an unknown method (RFC 9110 section 9.1).
    pub(super) fn not_implemented(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, detail)
    }

    /// 503: try again after `seconds`.
    pub(super) fn unavailable(detail: impl Into<String>, seconds: u16) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).with(With::RetryAfter(seconds))
    }

    /// The response.
    pub(super) fn into_reply(self) -> Reply {
        let shown: Vec<_> =
            self.errors.iter().map(|error| FieldErrorJson { pointer: &error.pointer, detail: &error.detail }).collect();
        let title = self.status.canonical_reason().unwrap_or("Error");
        let problem = ProblemJson {
            r#type: "about:blank",
            status: self.status.as_u16(),
            title,
            detail: &self.detail,
            errors: &shown,
        };
        // Numbers and strings only: this cannot fail, and an empty body would still have its status.
        let text = serde_json::to_vec(&problem).unwrap_or_default();
        let mut reply = with_body(self.status, "application/problem+json", Body::Whole(text.into()));
        let headers = reply.headers_mut();
        match self.with {
            With::Nothing => None,
            With::Challenge(text) => headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(text)),
            With::Allow(text) => headers.insert(ALLOW, HeaderValue::from_static(text)),
            With::RetryAfter(seconds) => headers.insert(RETRY_AFTER, HeaderValue::from(seconds)),
        };
        if self.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        reply
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        let errors = invalid.errors;
        let detail = match errors.as_slice() {
            [] => "the request is not valid".to_owned(),
            [one] if one.pointer.is_empty() => format!("the document {}", one.detail),
            [one] => format!("`{}` {}", one.pointer, one.detail),
            many if many.len() == Invalid::MOST => "many faults, the first of them listed in `errors`".to_owned(),
            many => format!("{} faults, listed in `errors`", many.len()),
        };
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail) }
    }
}

impl From<Busy> for Problem {
    fn from(_: Busy) -> Self {
        Self::unavailable("more is being posted than can be written to the disk; nothing was stored", 1)
    }
}

impl From<Spent> for Problem {
    fn from(_: Spent) -> Self {
        /// `Retry-After` of this refusal, in seconds.
        const RETRY_AFTER: u16 = 2;
        const DETAIL: &str = "memory runs short ([limits] memory), and this client holds the most of it: answers that it has \
                              not read, bodies that it has not sent whole; read or end those first";
        Self::unavailable(DETAIL, RETRY_AFTER)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy => Self::unavailable(error.to_string(), 1),
            StoreError::NotFound => Self::not_found(error.to_string()),
            StoreError::Conflict(detail) | StoreError::Limit(detail) => Self::conflict(detail),
            StoreError::Invalid(invalid) => invalid.into(),
            // Space is made by people, or by retention once a minute.
            StoreError::DiskFull(detail) => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, detail).with(With::RetryAfter(60))
            }
            // Retrying does not help, so this is not a 503. Paths are the operator's to know.
            StoreError::Corrupt { .. } => {
                tracing::error!("the store has damaged data: {error}");
                const DETAIL: &str = "what this asks for is damaged on the disk, and asking again does not help; \
                                      Hookswitch's log on standard error names the file and what to do";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, DETAIL)
            }
            StoreError::Io { .. } => {
                tracing::error!("the store's files could not be used: {error}");
                const DETAIL: &str = "the disk could not be used for this, or the system refused it; \
                                      Hookswitch's log on standard error names the file and the error";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, DETAIL)
            }
            StoreError::Unavailable(_) => Self::unavailable(error.to_string(), 5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Outage;

    fn shown(problem: Problem) -> (u16, String, serde_json::Value) {
        let reply = problem.into_reply();
        let text = match reply.body() {
            Body::Whole(bytes) => bytes.clone(),
            Body::Stream(_) => panic!("a problem is never streamed"),
        };
        let headers = reply.headers().iter().map(|(n, v)| format!("{n}: {}\n", v.to_str().unwrap())).collect();
        (reply.status().as_u16(), headers, serde_json::from_slice(&text).unwrap())
    }

    #[test]
    fn a_refusal_names_status_title_and_every_fault() {
        let mut invalid = Invalid::one("/url", "is missing");
        invalid.add("/a~1b", "must be \"x\"");
        let (status, headers, body) = shown(invalid.into());
        assert_eq!(status, 422);
        assert!(headers.contains("content-type: application/problem+json\n"), "{headers}");
        let wanted = serde_json::json!({
            "type": "about:blank", "status": 422, "title": "Unprocessable Entity",
            "detail": "2 faults, listed in `errors`",
            "errors": [{"pointer": "/url", "detail": "is missing"}, {"pointer": "/a~1b", "detail": "must be \"x\""}],
        });
        assert_eq!(body, wanted);
    }

    #[test]
    fn each_refusal_has_its_status_and_its_header() {
        let cases = [
            (Problem::no_token("no token"), 401, "www-authenticate: Bearer realm=\"hookswitch\"\n"),
            (Problem::method_not_allowed("PUT", "GET, HEAD"), 405, "allow: GET, HEAD\n"),
            (Problem::too_large("larger"), 413, "connection: close\n"),
            (Busy.into(), 503, "retry-after: 1\n"),
            (Problem::internal(), 500, "connection: close\n"),
        ];
        for (problem, wanted, header) in cases {
            let (status, headers, body) = shown(problem);
            assert_eq!((status, body["status"].as_u64()), (wanted, Some(u64::from(wanted))));
            assert!(headers.contains(header), "{wanted}: {headers}");
            assert!(body.get("errors").is_none());
        }
    }

    /// The status says who must act: 4xx the client, 503 the client later, 500 and 507 the operator.
    #[test]
    fn each_error_of_the_store_has_one_status_title_and_advice() {
        let path = || std::path::PathBuf::from("/var/lib/hookswitch/journal/000001.log");
        let (corrupt, io) =
            (|detail| StoreError::Corrupt { path: path(), detail }, |detail| StoreError::Io { path: path(), detail });
        let unavailable =
            |outage, advice| (StoreError::Unavailable(outage), 503, "Service Unavailable", "retry-after: 5\n", advice);
        let table: [(StoreError, u16, &str, &str, &str); 12] = [
            (StoreError::Busy, 503, "Service Unavailable", "retry-after: 1\n", "ask again"),
            (StoreError::NotFound, 404, "Not Found", "", "nothing with this id"),
            (
                StoreError::Conflict("it is delivered already".to_owned()),
                409,
                "Conflict",
                "",
                "it is delivered already",
            ),
            (
                StoreError::Invalid(Invalid::one("/url", "is missing")),
                422,
                "Unprocessable Entity",
                "",
                "`/url` is missing",
            ),
            (StoreError::Limit("more than 10000 calls".to_owned()), 409, "Conflict", "", "more than 10000 calls"),
            (StoreError::DiskFull("too full".to_owned()), 507, "Insufficient Storage", "retry-after: 60\n", "too full"),
            (
                corrupt("is damaged at byte 7".to_owned()),
                500,
                "Internal Server Error",
                "",
                "asking again does not help",
            ),
            (io("cannot be read: EIO".to_owned()), 500, "Internal Server Error", "", "the disk could not be used"),
            unavailable(Outage::Ended, "nothing is known to have been stored"),
            unavailable(Outage::Away, "nothing was stored; ask again a little later"),
            unavailable(Outage::Standbys, "nothing was stored; post it again with the same id"),
            unavailable(Outage::Unknown, "did not say whether this was stored; post it again with the same id"),
        ];
        for (error, status, title, header, advice) in table {
            let damaged = matches!(error, StoreError::Corrupt { .. });
            let (has, headers, body) = shown(error.clone().into());
            assert_eq!((has, body["title"].as_str()), (status, Some(title)), "{error:?}");
            assert!(headers.contains(header), "{error:?}: {headers}");
            assert_eq!(headers.contains("retry-after"), !header.is_empty(), "{error:?}: {headers}");
            let detail = body["detail"].as_str().unwrap();
            assert!(detail.contains(advice), "{error:?}: {detail}");
            assert_eq!(detail.contains("damaged"), damaged, "{error:?}: {detail}");
            assert!(!detail.contains("/var/lib"), "a path of the machine is told to a client: {detail}");
        }
    }
}
