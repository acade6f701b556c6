//! Parses an HTTP/1.1 request from a socket: request line, headers and body (RFC 9112).
//!
//! Knows nothing about webhooks. Every part has a limit, and anything not understood is refused rather than guessed.

use std::io::{self, BufRead, Read, Write};

/// Maximum bytes of the request line and headers.
const HEAD_MOST: u64 = 64 * 1024;
/// Maximum bytes of a body.
const BODY_MOST: u64 = 32 * 1024 * 1024;

/// A request as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Message {
    /// The method.
    pub(in crate::cli) method: String,
    /// The request target: the path and the query.
    pub(in crate::cli) target: String,
    /// The headers in order; invalid UTF-8 is replaced.
    pub(in crate::cli) headers: Vec<(String, String)>,
    /// The body, with chunks joined.
    pub(in crate::cli) body: Vec<u8>,
    keep_alive: bool,
}

/// Why there is no request.
#[derive(Debug)]
pub(super) enum Fault {
    /// The client has closed the connection between two requests.
    Closed,
    /// The connection broke or timed out.
    Broken(io::Error),
    /// The request is not acceptable: the status to answer, and why.
    Refused(u16, &'static str),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl Message {
    /// The first value of the header `name`, in any case.
    pub(in crate::cli) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Parses `text`.
    #[cfg(test)]
    pub(in crate::cli) fn for_test(text: &str) -> Self {
        read(&mut text.as_bytes(), &mut io::sink()).expect("a request")
    }

    /// Whether the connection ends after the response.
    pub(super) const fn wants_close(&self) -> bool {
        !self.keep_alive
    }
}

/// Reads the next request. `back` is where an `Expect` is answered.
pub(super) fn read(from: &mut impl BufRead, back: &mut impl Write) -> Result<Message, Fault> {
    let mut left = HEAD_MOST;
    let first = match read_line(from, &mut left)? {
        Some(line) if line.is_empty() => read_line(from, &mut left)?, // RFC 9112 section 2.2
        first => first,
    };
    let Some(first) = first else { return Err(Fault::Closed) };
    let (method, target, newer) = request_line(&first)?;
    let headers = read_headers(from, &mut left)?;
    let mut message = Message { method, target, headers, body: Vec::new(), keep_alive: newer };
    let connection = message.header("connection").unwrap_or_default().to_ascii_lowercase();
    let says = |word: &str| connection.split(',').any(|token| token.trim() == word);
    message.keep_alive = if newer { !says("close") } else { says("keep-alive") };
    if message.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
        back.write_all(b"HTTP/1.1 100 \r\n\r\n")?;
    }
    message.body = read_body(from, &message)?;
    Ok(message)
}

fn request_line(line: &str) -> Result<(String, String, bool), Fault> {
    let parts: Vec<&str> = line.split(' ').collect();
    let &[method, target, version] = parts.as_slice() else {
        return Err(Fault::Refused(400, "not an HTTP request line\n"));
    };
    match version {
        "HTTP/1.1" => Ok((method.to_owned(), target.to_owned(), true)),
        "HTTP/1.0" => Ok((method.to_owned(), target.to_owned(), false)),
        _ => Err(Fault::Refused(505, "HTTP/1.0 and HTTP/1.1 only\n")),
    }
}

fn read_headers(from: &mut impl BufRead, left: &mut u64) -> Result<Vec<(String, String)>, Fault> {
    let mut headers = Vec::new();
    loop {
        let line = read_line(from, left)?.ok_or_else(cut_short)?;
        if line.is_empty() {
            return Ok(headers);
        }
        match line.split_once(':') {
            Some((name, value)) if !name.is_empty() && !name.contains(char::is_whitespace) => {
                headers.push((name.to_owned(), value.trim().to_owned()));
            }
            _ => return Err(Fault::Refused(400, "not an HTTP header line\n")),
        }
    }
}

fn read_body(from: &mut impl BufRead, message: &Message) -> Result<Vec<u8>, Fault> {
    let lengths: Vec<&str> = values(message, "content-length").collect();
    let codings: Vec<&str> = values(message, "transfer-encoding").collect();
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => Ok(Vec::new()),
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => read_chunks(from),
        ([length], []) => {
            let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
            let length = length.parse::<u64>().ok().filter(|_| digits);
            let length = length.ok_or(Fault::Refused(400, "Content-Length is not a number\n"))?;
            let mut body = Vec::new();
            read_exactly(from, length, &mut body)?;
            Ok(body)
        }
        _ => Err(Fault::Refused(400, "the length of the body is not clear\n")),
    }
}

fn values<'m>(message: &'m Message, name: &'static str) -> impl Iterator<Item = &'m str> {
    message.headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn read_chunks(from: &mut impl BufRead) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    loop {
        let line = read_line(from, &mut 1024)?.ok_or_else(cut_short)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let hex = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = u64::from_str_radix(size, 16).ok().filter(|_| hex);
        let size = size.ok_or(Fault::Refused(400, "the size of a chunk is not a number\n"))?;
        if size == 0 {
            read_headers(from, &mut HEAD_MOST.clone())?; // trailers are ignored
            return Ok(body);
        }
        read_exactly(from, size, &mut body)?;
        let mut end = [0; 2];
        from.read_exact(&mut end)?;
        if end != *b"\r\n" {
            return Err(Fault::Refused(400, "a chunk does not end where it says\n"));
        }
    }
}

/// Appends `length` bytes to `body`. Memory is allocated as bytes arrive, not as announced.
fn read_exactly(from: &mut impl BufRead, length: u64, body: &mut Vec<u8>) -> Result<(), Fault> {
    let so_far = u64::try_from(body.len()).unwrap_or(u64::MAX);
    if so_far.saturating_add(length) > BODY_MOST {
        return Err(Fault::Refused(413, "the body is longer than 32 MiB\n"));
    }
    let read = from.take(length).read_to_end(body)?;
    if u64::try_from(read).is_ok_and(|read| read == length) { Ok(()) } else { Err(cut_short()) }
}

/// The next line without its end; `None` if the connection ends before it begins.
fn read_line(from: &mut impl BufRead, left: &mut u64) -> Result<Option<String>, Fault> {
    let mut bytes = Vec::new();
    let read = from.take(*left).read_until(b'\n', &mut bytes)?;
    *left = left.saturating_sub(u64::try_from(read).unwrap_or(u64::MAX));
    if bytes.is_empty() && *left > 0 {
        return Ok(None);
    }
    if bytes.pop() != Some(b'\n') {
        return Err(if *left == 0 { Fault::Refused(431, "the headers are too long\n") } else { cut_short() });
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn cut_short() -> Fault {
    Fault::Broken(io::Error::from(io::ErrorKind::UnexpectedEof))
}
