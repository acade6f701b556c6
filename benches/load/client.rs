//! The load generator: blocking threads, one keep-alive connection each, prepared requests.
//!
//! It parses only what the daemon's responses need (a status and a Content-Length), to leave the processor to what is
//! measured.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::figures::Sample;
use super::{DIGITS, Outcome, event, number_at};

/// Time limit of a response.
const PATIENCE: Duration = Duration::from_secs(30);
/// Maximum size of a response.
const MOST_ANSWER: usize = 1 << 20;
/// Threads of the load generator need little.
const STACK: usize = 128 << 10;

/// The daemon's address and a token.
#[derive(Clone)]
pub(crate) struct Target {
    /// Its address.
    pub(crate) address: SocketAddr,
    /// An admin token.
    pub(crate) token: String,
}

impl Target {
    /// The text of a request with a JSON (or NDJSON, by `media`) body.
    pub(crate) fn request(&self, method: &str, path: &str, media: &str, body: &str) -> Vec<u8> {
        let Self { address, token } = self;
        let length = body.len();
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: {media}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }

    /// One request on its own connection, answered with `expected` and JSON.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str, expected: u16) -> Outcome<serde_json::Value> {
        let mut connection = Connection::open(self.address)?;
        let answer = connection.exchange(&self.request(method, path, "application/json", body))?;
        answer.expect(expected)?;
        Ok(serde_json::from_slice(answer.body)?)
    }

    /// Posts events as fast as `connections` in a closed loop can, for `time`; numbers continue from `next`, so that
    /// each belongs to its own call.
    pub(crate) fn closed_loop(&self, connections: usize, time: Duration, next: &AtomicU64) -> Outcome<Sample> {
        let opened = (0..connections).map(|_| Connection::open(self.address)).collect::<Outcome<Vec<_>>>()?;
        let results = thread::scope(|scope| {
            let spawn = |connection| {
                let one = move || self.one_loop(connection, next, time);
                thread::Builder::new().stack_size(STACK).spawn_scoped(scope, one)
            };
            let threads = opened.into_iter().map(spawn).collect::<Result<Vec<_>, _>>()?;
            let join = |thread: thread::ScopedJoinHandle<'_, _>| thread.join().map_err(|_| "a load thread panicked")?;
            threads.into_iter().map(join).collect::<Outcome<Vec<_>>>()
        })?;
        let elapsed = results.iter().map(|(elapsed, _)| *elapsed).max().unwrap_or(time);
        let latencies: Vec<Duration> = results.into_iter().flat_map(|(_, latencies)| latencies).collect();
        Ok(Sample::new(latencies.len(), elapsed, latencies))
    }

    /// Posts events `first..first + count` in batches of 1,000; returns the duration.
    pub(crate) fn post_batches(&self, first: usize, count: usize) -> Outcome<Duration> {
        const BATCH: usize = 1_000;
        let mut connection = Connection::open(self.address)?;
        let start = Instant::now();
        let end = first + count;
        for from in (first..end).step_by(BATCH) {
            let lines: Vec<String> = (from..end.min(from + BATCH)).map(|number| event(number as u64)).collect();
            let request = self.request("POST", "/v1/events", "application/x-ndjson", &lines.join("\n"));
            connection.exchange(&request)?.expect(202)?;
        }
        Ok(start.elapsed())
    }

    /// Posts events at `per_second` over `connections`, each at fixed intervals, for `time`. A late post counts from
    /// its scheduled time.
    pub(crate) fn steady(&self, connections: usize, per_second: f64, time: Duration) -> Outcome<Sample> {
        let opened = (0..connections).map(|_| Connection::open(self.address)).collect::<Outcome<Vec<_>>>()?;
        let next = &AtomicU64::new(0);
        let pause = Duration::from_secs_f64(connections as f64 / per_second);
        let start = Instant::now();
        let results = thread::scope(|scope| {
            let spawn = |(index, mut connection): (usize, Connection)| {
                let first = start + pause.mul_f64(index as f64 / connections as f64);
                let one = move || {
                    let mut latencies = Vec::new();
                    let mut due = first;
                    while due < start + time {
                        thread::sleep(due.saturating_duration_since(Instant::now()));
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let request = self.request("POST", "/v1/events", "application/json", &event(number));
                        connection.exchange(&request)?.expect(202)?;
                        latencies.push(due.elapsed());
                        due += pause;
                    }
                    Ok(latencies)
                };
                thread::Builder::new().stack_size(STACK).spawn_scoped(scope, one)
            };
            let threads = opened.into_iter().enumerate().map(spawn).collect::<Result<Vec<_>, _>>()?;
            let join = |thread: thread::ScopedJoinHandle<'_, _>| thread.join().map_err(|_| "a load thread panicked")?;
            threads.into_iter().map(join).collect::<Outcome<Vec<Vec<Duration>>>>()
        })?;
        let latencies: Vec<Duration> = results.into_iter().flatten().collect();
        Ok(Sample::new(latencies.len(), start.elapsed(), latencies))
    }

    /// Posts batches of 1,000 events as fast as `connections` in a closed loop can, for `time`, each event in its own
    /// call. A latency is that of a batch.
    pub(crate) fn batches(&self, connections: usize, time: Duration, next: &AtomicU64) -> Outcome<Sample> {
        const LINES: u64 = 1_000;
        let lines: Vec<String> = (0..LINES).map(event).collect();
        let request = &self.request("POST", "/v1/events", "application/x-ndjson", &lines.join("\n"));
        let line = lines[0].len() + 1;
        let digits = number_at(request).ok_or("the event has no number")?;
        let opened = (0..connections).map(|_| Connection::open(self.address)).collect::<Outcome<Vec<_>>>()?;
        let start = Instant::now();
        let results = thread::scope(|scope| {
            let spawn = |mut connection: Connection| {
                let digits = digits.clone();
                scope.spawn(move || {
                    let (mut request, mut latencies) = (request.clone(), Vec::new());
                    while start.elapsed() < time {
                        let first = next.fetch_add(LINES, Ordering::Relaxed);
                        for index in 0..LINES {
                            let at = digits.start + line * index as usize;
                            let number = format!("{:0DIGITS$}", first + index);
                            request[at..at + DIGITS].copy_from_slice(number.as_bytes());
                        }
                        let sent = Instant::now();
                        connection.exchange(&request)?.expect(202)?;
                        latencies.push(sent.elapsed());
                    }
                    Ok(latencies)
                })
            };
            let threads: Vec<_> = opened.into_iter().map(spawn).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| thread.join().map_err(|_| "a load thread panicked")?;
            threads.into_iter().map(join).collect::<Outcome<Vec<Vec<Duration>>>>()
        })?;
        let latencies: Vec<Duration> = results.into_iter().flatten().collect();
        Ok(Sample::new(latencies.len() * LINES as usize, start.elapsed(), latencies))
    }

    fn one_loop(
        &self,
        mut connection: Connection,
        next: &AtomicU64,
        time: Duration,
    ) -> Outcome<(Duration, Vec<Duration>)> {
        let mut request = self.request("POST", "/v1/events", "application/json", &event(0));
        let digits = number_at(&request).ok_or("the event has no number")?;
        let (start, mut latencies) = (Instant::now(), Vec::new());
        while start.elapsed() < time {
            let number = next.fetch_add(1, Ordering::Relaxed);
            request[digits.clone()].copy_from_slice(format!("{number:0DIGITS$}").as_bytes());
            let sent = Instant::now();
            connection.exchange(&request)?.expect(202)?;
            latencies.push(sent.elapsed());
        }
        Ok((start.elapsed(), latencies))
    }
}

/// One keep-alive connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A response.
pub(crate) struct Answer<'a> {
    /// The status code.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: &'a [u8],
}

impl Answer<'_> {
    /// An error that shows the response, unless it has this status.
    pub(crate) fn expect(&self, status: u16) -> Outcome<()> {
        if self.status == status {
            return Ok(());
        }
        let body = String::from_utf8_lossy(self.body);
        Err(format!("the answer was {} instead of {status}: {body}", self.status).into())
    }
}

impl Connection {
    /// Connects.
    pub(crate) fn open(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: vec![0; MOST_ANSWER] })
    }

    /// Sends a request and reads the response.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Outcome<Answer<'_>> {
        self.stream.write_all(request)?;
        let (mut filled, mut whole) = (0, None);
        while whole.is_none_or(|(_, end)| filled < end) {
            let room = self.buffer.get_mut(filled..).filter(|room| !room.is_empty()).ok_or("the answer is too long")?;
            match self.stream.read(room)? {
                0 => return Err("the connection was closed before the answer was whole".into()),
                read => filled += read,
            }
            whole = match whole {
                None => extent(&self.buffer[..filled])?,
                known => known,
            };
        }
        let (start, end) = whole.unwrap_or_default();
        let status = self.buffer.get(9..12).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
        Ok(Answer { status: status.parse()?, body: &self.buffer[start..end] })
    }
}

/// The extent of the body of the message that begins `text`, once its head is complete.
pub(crate) fn extent(text: &[u8]) -> Outcome<Option<(usize, usize)>> {
    let Some(head) = text.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let mut length = 0;
    for line in text[..head].split(|byte| *byte == b'\n').skip(1) {
        let line = std::str::from_utf8(line)?;
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse()?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err("a body without Content-Length, which this client does not read".into());
        }
    }
    Ok(Some((head + 4, head + 4 + length)))
}
