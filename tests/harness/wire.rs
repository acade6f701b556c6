//! HTTP/1.1 messages on a blocking stream, as needed by a test client and receiver.
//!
//! Independent of the libraries that the daemon uses, so that their leniency does not hide their faults.

use std::io::{self, BufRead, Read as _};

/// A request or a reply.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// The first line.
    pub(crate) start: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// The first value of the header `name`, in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub(crate) fn wants_close(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// Reads a request; `None` if the stream ends before one begins.
pub(crate) fn read_request(from: &mut impl BufRead) -> io::Result<Option<Message>> {
    let Some(mut message) = read_head(from)? else { return Ok(None) };
    if chunked(&message) {
        message.body = read_chunks(from)?;
    } else {
        message.body = read_exactly(from, length(&message)?.unwrap_or(0))?;
    }
    Ok(Some(message))
}

/// Reads a reply with its status code, skipping informational ones; `None` if the stream ends before one begins.
pub(crate) fn read_reply(from: &mut impl BufRead) -> io::Result<Option<(u16, Message)>> {
    loop {
        let Some(mut message) = read_head(from)? else { return Ok(None) };
        let status = message.start.split(' ').nth(1).and_then(|code| code.parse::<u16>().ok());
        let status = status.ok_or_else(|| bad(format!("not a status line: {:?}", message.start)))?;
        if (100..200).contains(&status) {
            continue;
        }
        if matches!(status, 204 | 304) {
            return Ok(Some((status, message)));
        }
        if chunked(&message) {
            message.body = read_chunks(from)?;
        } else if let Some(length) = length(&message)? {
            message.body = read_exactly(from, length)?;
        } else {
            from.read_to_end(&mut message.body)?;
        }
        return Ok(Some((status, message)));
    }
}

fn read_head(from: &mut impl BufRead) -> io::Result<Option<Message>> {
    let start = match read_line(from) {
        Ok(line) => line,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut headers = Vec::new();
    loop {
        let line = read_line(from)?;
        if line.is_empty() {
            return Ok(Some(Message { start, headers, body: Vec::new() }));
        }
        let (name, value) = line.split_once(':').ok_or_else(|| bad(format!("not a header: {line:?}")))?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

fn read_line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.take(64 * 1024).read_line(&mut line)?;
    match line.strip_suffix("\r\n") {
        Some(text) => Ok(text.to_owned()),
        None if line.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
        None => Err(bad(format!("a line that does not end in CRLF: {line:?}"))),
    }
}

fn read_chunks(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(from)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| bad(format!("not a chunk's size: {line:?}")))?;
        if size == 0 {
            while !read_line(from)?.is_empty() {}
            return Ok(body);
        }
        body.extend(read_exactly(from, size)?);
        if !read_line(from)?.is_empty() {
            return Err(bad("a chunk longer than its size".to_owned()));
        }
    }
}

fn read_exactly(from: &mut impl BufRead, length: usize) -> io::Result<Vec<u8>> {
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(body)
}

fn chunked(message: &Message) -> bool {
    message.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
}

fn length(message: &Message) -> io::Result<Option<usize>> {
    let parse = |value: &str| value.parse().map_err(|_| bad(format!("not a length: {value:?}")));
    message.header("content-length").map(parse).transpose()
}

fn bad(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[test]
fn bodies_are_read_by_length_by_chunks_and_to_the_end() {
    let read = |text: &str| read_reply(&mut text.as_bytes()).unwrap().unwrap();
    let by_length = read("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef");
    assert_eq!((by_length.0, by_length.1.body.as_slice()), (200, b"abc".as_slice()));
    let by_chunks = read(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 A\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n",
    );
    assert_eq!((by_chunks.0, by_chunks.1.body.as_slice()), (202, b"abc".as_slice()));
    assert_eq!(read("HTTP/1.1 200 OK\r\n\r\nabc").1.body, b"abc");
    assert!(read_reply(&mut "".as_bytes()).unwrap().is_none());
    assert!(read_reply(&mut "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc".as_bytes()).is_err());
    assert!(read_reply(&mut "SSH-2.0-x\r\n\r\n".as_bytes()).is_err());
}
