//! Responses: one body type for whole and streamed ones, and the common headers.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Response, StatusCode};
use tokio::sync::mpsc;

/// A response.
pub(super) type Reply = Response<Body>;

/// A stream failed: the connection is aborted, so that the client notices.
#[derive(Debug)]
pub(super) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stream was broken off")
    }
}

impl std::error::Error for Broken {}

impl From<Infallible> for Broken {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// The body of a response.
pub(super) enum Body {
    /// All of it; empty once taken.
    Whole(Bytes),
    /// In pieces, from a task that waits for room.
    Stream(mpsc::Receiver<Result<Bytes, Broken>>),
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut *self {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Stream(pieces) => pieces.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

/// A response with a body of `content_type`. API responses must not be cached, nor interpreted as a page.
pub(super) fn with_body(status: StatusCode, content_type: &'static str, body: Body) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}

/// A response of ready JSON text.
pub(super) fn json_text(status: StatusCode, text: impl Into<Bytes>) -> Reply {
    with_body(status, "application/json", Body::Whole(text.into()))
}

/// `204 No Content`.
pub(super) fn no_content() -> Reply {
    let mut reply = Response::new(Body::Whole(Bytes::new()));
    *reply.status_mut() = StatusCode::NO_CONTENT;
    reply
}

/// A response as sent on the wire, after which the connection is closed; of a stream the head only.
pub(super) fn rendered(reply: Reply) -> Vec<u8> {
    let (parts, body) = reply.into_parts();
    let body = match body {
        Body::Whole(bytes) => bytes,
        Body::Stream(_) => Bytes::new(),
    };
    let mut wire = format!("HTTP/1.1 {}\r\nconnection: close\r\ncontent-length: {}\r\n", parts.status, body.len());
    for (name, value) in &parts.headers {
        // None of our headers is binary.
        wire += &format!("{name}: {}\r\n", value.to_str().unwrap_or_default());
    }
    [wire.as_bytes(), b"\r\n", &body].concat()
}
