//! The head of a response, read incrementally: status, headers, and how its body ends.
//!
//! ureq's parser fails on heads that real receivers send (folded lines, hundreds of lines, a line without a colon),
//! and the status is lost. So the head is read here, and ureq sees [`Head::normalized`]. Invariants: once a status line
//! is complete the status is known, whatever follows; no more is held than the kept part of a head
//! ([`Answer::HEADERS_KEPT`]) and one line.

use super::failure::Failure;
use crate::core::attempt::{Answer, Fault};

/// Maximum bytes of heads read, those of informational (1xx) responses included.
pub(super) const BYTES_MOST: usize = 256 * 1024;
/// Maximum lines of a head.
pub(super) const LINES_MOST: usize = 500;
/// Maximum kept length of one header, continuation lines included.
const LINE_KEPT: usize = Answer::HEADERS_KEPT;
/// The beginning of every response.
const BEGINNING: &[u8] = b"HTTP/1.";
/// Headers that have an effect: kept wherever they are.
const EFFECTIVE: [&str; 3] = ["retry-after", "location", "content-encoding"];

/// How the end of a response's body is known (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// By its length.
    Length(u64),
    /// By its last chunk.
    Chunked,
    /// By the end of the connection.
    Close,
    /// Unknown: its length is invalid.
    Unclear,
}

/// A response head.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The status code, 100 to 999.
    pub(super) status: u16,
    /// The kept headers, with names as received.
    pub(super) headers: Vec<(String, String)>,
    /// How the body ends.
    pub(super) framing: Framing,
    /// Whether the connection cannot be reused.
    pub(super) close: bool,
    /// What is wrong with it, as sentences that begin in lower case. They contain nothing received.
    pub(super) notes: Vec<String>,
}

impl Head {
    /// A minimal equivalent head for ureq.
    pub(super) fn normalized(&self) -> Vec<u8> {
        let framing = match self.framing {
            Framing::Length(length) => format!("Content-Length: {length}\r\n"),
            Framing::Chunked => "Transfer-Encoding: chunked\r\n".to_owned(),
            Framing::Close | Framing::Unclear => String::new(),
        };
        let close = if self.close { "Connection: close\r\n" } else { "" };
        format!("HTTP/1.1 {} \r\n{framing}{close}\r\n", self.status).into_bytes()
    }
}

/// The result of reading more bytes.
#[derive(Debug)]
pub(super) enum Progress {
    /// The head continues.
    More,
    /// It is complete, or as much of it as is read.
    Done(Head),
    /// This is not a response.
    Bad(Failure),
}

/// The reader's position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Before a status line.
    Status,
    /// In the headers of an informational response, which are skipped.
    Informational,
    /// In the headers of the response.
    Headers,
}

/// Reads a head.
#[derive(Debug)]
pub(super) struct HeadReader {
    stage: Stage,
    /// An unfinished line.
    line: Vec<u8>,
    /// The previous header, to which continuation lines belong.
    header: Vec<u8>,
    bytes: usize,
    lines: usize,
    found: Found,
}

/// What was found so far.
#[derive(Debug, Default)]
struct Found {
    status: u16,
    old: bool,
    headers: Vec<(String, String)>,
    kept: usize,
    full: bool,
    malformed: usize,
    length: Option<Result<u64, ()>>,
    codings: Vec<String>,
    close: bool,
    keep_alive: bool,
}

impl HeadReader {
    pub(super) fn new() -> Self {
        let (line, header) = (Vec::new(), Vec::new());
        Self { stage: Stage::Status, line, header, bytes: 0, lines: 0, found: Found::default() }
    }

    /// Whether the status line of the response (not of an informational one) is complete.
    pub(super) fn has_status(&self) -> bool {
        self.stage == Stage::Headers
    }

    /// Reads more `bytes`; returns how many belong to heads, and the result.
    pub(super) fn read(&mut self, bytes: &[u8]) -> (usize, Progress) {
        let mut used = 0;
        while used < bytes.len() {
            let rest = &bytes[used..bytes.len().min(used + BYTES_MOST - self.bytes)];
            let end = rest.iter().position(|byte| *byte == b'\n');
            let part = &rest[..end.map_or(rest.len(), |end| end + 1)];
            used += part.len();
            self.bytes += part.len();
            append(&mut self.line, part.strip_suffix(b"\n").unwrap_or(part));
            let progress = if end.is_some() { self.line_ended() } else { self.look() };
            match progress {
                Progress::More if self.bytes >= BYTES_MOST => return (used, self.too_much()),
                Progress::More => {}
                ended => return (used, ended),
            }
        }
        (used, Progress::More)
    }

    /// The response as far as known, when its head ends early because of `why`; `None` before the end of the status
    /// line.
    pub(super) fn cut(&mut self, why: String) -> Option<Head> {
        if !self.has_status() {
            return None;
        }
        self.end_header();
        let mut head = self.head();
        head.notes.push(why);
        (head.framing, head.close) = (Framing::Length(0), true);
        Some(head)
    }

    fn too_much(&mut self) -> Progress {
        let why = format!("only the first {BYTES_MOST} bytes of its headers were read");
        let none = || Failure::new(Fault::Protocol, format!("no answer in the first {BYTES_MOST} bytes that came"));
        self.cut(why).map_or_else(|| Progress::Bad(none()), Progress::Done)
    }

    /// Whether an unfinished line can still become valid.
    fn look(&self) -> Progress {
        let length = self.line.len().min(BEGINNING.len());
        let fits = self.line[..length].eq_ignore_ascii_case(&BEGINNING[..length]);
        if self.stage != Stage::Status || fits || self.line == b"\r" {
            return Progress::More;
        }
        Progress::Bad(foreign(&self.line))
    }

    fn line_ended(&mut self) -> Progress {
        if self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        let line = std::mem::take(&mut self.line);
        match self.stage {
            Stage::Status if line.is_empty() => return Progress::More,
            Stage::Status => match status(&line) {
                Some((_, status)) if (100..200).contains(&status) && status != 101 => self.stage = Stage::Informational,
                Some((old, status)) => {
                    self.stage = Stage::Headers;
                    (self.found.old, self.found.status) = (old, status);
                }
                None => return Progress::Bad(foreign(&line)),
            },
            Stage::Informational if line.is_empty() => self.stage = Stage::Status,
            Stage::Informational => {}
            Stage::Headers if line.is_empty() => {
                self.end_header();
                return Progress::Done(self.head());
            }
            Stage::Headers => {
                self.lines += 1;
                if self.lines > LINES_MOST {
                    let why = format!("only the first {LINES_MOST} lines of its headers were read");
                    return self.cut(why).map_or(Progress::More, Progress::Done);
                }
                self.header_line(line);
            }
        }
        Progress::More
    }

    /// Appends a continuation line: the line break and blanks around it become one blank (RFC 9112 section 5.2).
    fn header_line(&mut self, line: Vec<u8>) {
        if !matches!(line.first(), Some(b' ' | b'\t')) {
            self.end_header();
            self.header = line;
        } else if self.header.is_empty() {
            self.found.malformed += 1;
        } else {
            self.header.truncate(self.header.trim_ascii_end().len());
            append(&mut self.header, b" ");
            append(&mut self.header, line.trim_ascii());
        }
    }

    /// The previous header is complete.
    fn end_header(&mut self) {
        let header = std::mem::take(&mut self.header);
        if !header.is_empty() {
            self.found.header(&header);
        }
    }

    fn head(&mut self) -> Head {
        std::mem::take(&mut self.found).head()
    }
}

impl Found {
    fn header(&mut self, line: &[u8]) {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(0);
        let name = line[..colon].trim_ascii_end();
        if name.is_empty() {
            self.malformed += 1;
            return;
        }
        let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        // A CR or NUL within a value is read as a blank (RFC 9110 section 5.5).
        let harmless = |byte: &u8| if matches!(byte, b'\r' | 0) { b' ' } else { *byte };
        let raw = line[colon + 1..].trim_ascii();
        let value: Vec<u8> = raw.iter().map(harmless).collect();
        if name.len() != colon || !name.iter().all(token) || value != raw {
            self.malformed += 1;
        }
        let (name, value) = (lossy(name), lossy(&value));
        let lower = name.to_ascii_lowercase();
        let words =
            || value.split(',').map(|word| word.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        match lower.as_str() {
            "content-length" => self.length(&value),
            "transfer-encoding" => self.codings.extend(words().filter(|word| !word.is_empty() && word != "identity")),
            "connection" => {
                self.close |= words().any(|word| word == "close");
                self.keep_alive |= words().any(|word| word == "keep-alive");
            }
            _ => {}
        }
        self.keep(EFFECTIVE.contains(&lower.as_str()), name, value);
    }

    /// A repeated length counts once if the values agree (RFC 9110 section 8.6).
    fn length(&mut self, value: &str) {
        for text in value.split(',').map(str::trim) {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let length = if digits { text.parse().map_err(|_| ()) } else { Err(()) };
            self.length = Some(match self.length {
                Some(before) if before != length => Err(()),
                _ => length,
            });
        }
    }

    fn keep(&mut self, effective: bool, name: String, value: String) {
        let size = |header: &(String, String)| header.0.len() + header.1.len();
        let needed = name.len() + value.len();
        // Headers that have an effect displace others.
        while effective && self.kept + needed > Answer::HEADERS_KEPT {
            let is_other = |header: &(String, String)| !EFFECTIVE.contains(&header.0.to_ascii_lowercase().as_str());
            let Some(last) = self.headers.iter().rposition(is_other) else { break };
            self.kept -= size(&self.headers.remove(last));
            self.full = true;
        }
        self.full |= self.kept + needed > Answer::HEADERS_KEPT;
        if self.kept + needed <= Answer::HEADERS_KEPT && (effective || !self.full) {
            self.kept += needed;
            self.headers.push((name, value));
        }
    }

    fn head(self) -> Head {
        let mut notes = Vec::new();
        let chunked = self.codings.last().is_some_and(|last| last == "chunked");
        let framing = match (self.length, self.codings.is_empty()) {
            (_, false) if chunked => Framing::Chunked,
            (_, false) => Framing::Close,
            (Some(Ok(length)), true) => Framing::Length(length),
            (Some(Err(())), true) => Framing::Unclear,
            (None, true) => Framing::Close,
        };
        if self.length.is_some() && !self.codings.is_empty() {
            notes.push("it has both Content-Length and Transfer-Encoding".to_owned());
        } else if framing == Framing::Unclear {
            notes.push("its Content-Length is not a length".to_owned());
        }
        if self.codings.len() > 1 || self.codings.len() == 1 && !chunked {
            notes.push("its Transfer-Encoding is not `chunked` alone".to_owned());
        }
        if self.malformed > 0 {
            notes.push(format!("{} of its header lines are malformed", self.malformed));
        }
        let doubtful = self.length.is_some() && !self.codings.is_empty() || self.old && chunked;
        let close = doubtful || if self.old { !self.keep_alive } else { self.close };
        Head { status: self.status, headers: self.headers, framing, close, notes }
    }
}

/// Appends to a line up to its kept length.
fn append(line: &mut Vec<u8>, part: &[u8]) {
    let room = LINE_KEPT.saturating_sub(line.len());
    line.extend_from_slice(&part[..part.len().min(room)]);
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Parses a status line: whether it is HTTP/1.0, and the status. The reason phrase and the blank before it may be
/// missing.
fn status(line: &[u8]) -> Option<(bool, u16)> {
    let (beginning, rest) = line.split_at_checked(BEGINNING.len())?;
    let (minor, rest) = rest.split_first()?;
    if !beginning.eq_ignore_ascii_case(BEGINNING)
        || !minor.is_ascii_digit()
        || !matches!(rest.first(), Some(b' ' | b'\t'))
    {
        return None;
    }
    let (code, reason) = rest.trim_ascii_start().split_at_checked(3)?;
    let code = std::str::from_utf8(code).ok().filter(|code| code.bytes().all(|byte| byte.is_ascii_digit()))?;
    let code = code.parse().ok().filter(|code| (100..=999).contains(code))?;
    matches!(reason.first(), None | Some(b' ' | b'\t' | b'\r')).then_some((*minor == b'0', code))
}

/// Recognises other protocols by their first bytes, none of which is repeated.
fn foreign(line: &[u8]) -> Failure {
    let what = match line {
        [0x15 | 0x16, 3, 0..=4, ..] => "what came back is TLS: this port is for https",
        [0, 0, _, 4, 0, ..] => "what came back is HTTP/2, and the receiver must speak HTTP/1.1",
        _ if line.starts_with(b"SSH-") => "what came back is not HTTP: an SSH server answers there",
        _ if line.starts_with(b"220") => "what came back is not HTTP: a mail or FTP server answers there",
        _ if line.starts_with(b"HTTP/1.") => "what came back is not HTTP: its first line has no status",
        _ if line.starts_with(b"HTTP/") => "what came back is of a version of HTTP that is not 1.0 or 1.1",
        _ => "what came back is not HTTP",
    };
    Failure::new(Fault::Protocol, what)
}

#[cfg(test)]
mod tests;
