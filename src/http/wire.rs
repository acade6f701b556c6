//! The bytes of a connection: checks that hyper lacks.
//!
//! - A client that stops reading its response: hyper waits for ever. [`Wire`] fails a write that makes no progress
//!   for a while; also a flush, because TLS buffers what the socket does not accept.
//! - A request with both `Content-Length` and `Transfer-Encoding`: hyper 1.12 drops the length and continues, so that
//!   no handler can tell (RFC 9112 section 6.1 calls it an attempt at request smuggling). [`Framing`] scans the heads
//!   and raises a flag.
//! - A line of a head that ends in LF alone: hyper accepts it, and a proxy in front may parse it differently. Another
//!   flag.
//!
//! Knows requests only by where their heads begin and end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A connection's stream with these checks.
pub(super) struct Wire<S> {
    stream: S,
    framing: Framing,
    write_timeout: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Wire<S> {
    /// Wraps `stream`; a write fails if it makes no progress for `write_timeout`.
    pub(super) fn new(stream: S, write_timeout: Duration) -> Self {
        Self { stream, framing: Framing::default(), write_timeout, stalled: None }
    }

    /// The faults found in the requests so far.
    pub(super) fn suspicion(&self) -> Arc<Suspicion> {
        Arc::clone(&self.framing.suspicion)
    }

    fn progress<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stalled = None;
            return result;
        }
        let length = self.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(length)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.framing.feed(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.progress(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.progress(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.progress(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.progress(cx, result)
    }
}

/// Kept length of a header line: enough for the two names and any valid length.
const LINE_KEPT: usize = 64;

/// Faults of a connection's requests; flags are never cleared.
#[derive(Default)]
pub(super) struct Suspicion {
    /// A request with `Transfer-Encoding` and ambiguous length.
    pub(super) ambiguous: AtomicBool,
    /// A line of a head that ended in LF alone.
    pub(super) bare: AtomicBool,
}

/// Scans the heads of a connection's requests up to the first with `Transfer-Encoding`, which is the last: the
/// connection is closed after it.
#[derive(Default)]
struct Framing {
    suspicion: Arc<Suspicion>,
    /// Set when there is nothing more to scan.
    done: bool,
    /// Remaining bytes of the current body.
    body: u64,
    /// The beginning of the current line.
    line: Vec<u8>,
    /// The previous byte of the current line; 0 at its beginning.
    before: u8,
    /// Whether the current head has had a line.
    begun: bool,
    transfer_encoding: bool,
    /// The value of `Content-Length`; the inner `None` if unreadable.
    content_length: Option<Option<u64>>,
}

impl Framing {
    fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.done {
            if self.body > 0 {
                let skipped = usize::try_from(self.body).map_or(bytes.len(), |body| body.min(bytes.len()));
                self.body -= skipped as u64;
                bytes = &bytes[skipped..];
                continue;
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let part = &bytes[..end.unwrap_or(bytes.len())];
            let room = LINE_KEPT.saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            self.before = part.last().copied().unwrap_or(self.before);
            let Some(end) = end else { return };
            bytes = &bytes[end + 1..];
            if self.before != b'\r' {
                self.suspicion.bare.store(true, Ordering::Relaxed);
            }
            self.before = 0;
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        let text = line.strip_suffix(b"\r").unwrap_or(&line);
        if text.is_empty() {
            if self.begun {
                self.end_head();
            }
        } else {
            self.begun = true;
            if value_of(text, b"transfer-encoding").is_some() {
                self.transfer_encoding = true;
            }
            if let Some(value) = value_of(text, b"content-length") {
                let complete = text.len() < LINE_KEPT;
                let number = std::str::from_utf8(value).ok().and_then(|value| value.trim().parse().ok());
                self.content_length = Some(number.filter(|_| complete));
            }
        }
        line.clear();
        self.line = line;
    }

    fn end_head(&mut self) {
        let length = self.content_length.take();
        if self.transfer_encoding || length == Some(None) {
            // With an unreadable length the position of the next head is unknown: whatever follows with a
            // Transfer-Encoding cannot be trusted either.
            self.done = true;
            self.suspicion.ambiguous.store(length.is_some(), Ordering::Relaxed);
        }
        self.body = length.flatten().unwrap_or(0);
        self.begun = false;
    }
}

/// The value of a header line if its name is `name` (lower case).
fn value_of<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    (start.eq_ignore_ascii_case(name)).then(|| value.strip_prefix(b":"))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ambiguous(stream: &[u8], piece: usize) -> bool {
        let mut framing = Framing::default();
        stream.chunks(piece).for_each(|piece| framing.feed(piece));
        framing.suspicion.ambiguous.load(Ordering::Relaxed)
    }

    #[test]
    fn a_line_that_ends_in_lf_alone_is_seen_in_heads_and_not_in_bodies() {
        let long = format!("GET / HTTP/1.1\r\nX: {}\nY: z\r\n\r\n", "x".repeat(200));
        let cases: [(&str, bool); 6] = [
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", false),
            ("GET / HTTP/1.1\nHost: x\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nHost: x\r\n\n", true),
            (&long, true),
            ("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\na\nb\nGET / HTTP/1.1\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\na\nb\nGET / HTTP/1.1\n\r\n", true),
        ];
        for (stream, wanted) in cases {
            for piece in [1, 7, 1000] {
                let mut framing = Framing::default();
                stream.as_bytes().chunks(piece).for_each(|piece| framing.feed(piece));
                assert_eq!(framing.suspicion.bare.load(Ordering::Relaxed), wanted, "{stream:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn both_lengths_are_seen_however_the_bytes_arrive() {
        let long =
            format!("POST / HTTP/1.1\r\nContent-Length:{}5\r\nTransfer-Encoding: chunked\r\n\r\n", " ".repeat(80));
        let hidden = format!(
            "POST / HTTP/1.1\r\nContent-Length:{}1\r\n\r\nxPOST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            " ".repeat(80)
        );
        let cases: [(&str, bool); 9] = [
            ("POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", true),
            ("POST / HTTP/1.1\r\ntransfer-encoding:chunked\r\nHost: x\r\ncontent-length:5\r\n\r\n", true),
            ("\r\n\r\nPOST / HTTP/1.1\nTRANSFER-ENCODING: chunked\nCONTENT-LENGTH: x\n\n", true),
            ("GET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", true),
            (&long, true),
            (&hidden, true),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nContent-Length: 5\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nContent-Length: 44\r\n\r\nTransfer-Encoding: a\r\nContent-Length: 999\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nX-Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", false),
        ];
        for (stream, wanted) in cases {
            for piece in [1, 7, 1000] {
                assert_eq!(ambiguous(stream.as_bytes(), piece), wanted, "{stream:?} in pieces of {piece}");
            }
        }
    }
}
