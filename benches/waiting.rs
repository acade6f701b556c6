//! The cost of attempts that wait for a slow response: resident memory, threads and memory maps with 0 to 2,000 of
//! them, over http and https; and the time to start their threads, and to start them.
//!
//! Only pool and transport, in a fresh process per row, so that rows are independent; the receiver is a separate
//! process. Each row makes the same attempts twice: the second time over kept connections. `cargo bench --bench
//! waiting`; `HOOKSWITCH_BENCH_SECONDS` is the receiver's response time (10).

mod load;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use hookswitch::core::address::AddressPolicy;
use hookswitch::core::attempt::Outcome as Ending;
use hookswitch::core::id::SubscriptionId;
use hookswitch::core::request::Outgoing;
use hookswitch::core::subscription::{Format, Layout, Nested};
use hookswitch::core::success::SuccessRule;
use hookswitch::sender::{Done, Pool, Transport, TransportSettings};

use load::Outcome;
use load::figures::print_table;
use load::receiver::{Manner, Receiver, Tls};

/// As in `main.rs`: its caches are part of a thread's cost.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Number of waiting attempts.
const WAITING: [usize; 4] = [0, 500, 1_000, 2_000];
/// Number of receivers they are divided among.
const RECEIVERS: usize = 20;
/// Idle time after which threads must have ended and their memory is returned.
const QUIET: Duration = Duration::from_secs(50);

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["receiver", delay, certificate] => {
            receive(Duration::try_from_secs_f64(delay.parse()?)?, Path::new(certificate))
        }
        ["row", url, count, delay, certificate] => {
            row(url, count.parse()?, Duration::try_from_secs_f64(delay.parse()?)?, Path::new(certificate))
        }
        _ => table(words.contains(&"--bench")),
    }
}

fn table(whole: bool) -> Outcome<()> {
    let (delay, waiting) = if whole { ("10", &WAITING[..]) } else { ("0.2", &[0, 10][..]) };
    let delay = std::env::var("HOOKSWITCH_BENCH_SECONDS").unwrap_or_else(|_| delay.to_owned());
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let certificate = directory.path().join("receiver.pem");
    let mut receiver = itself(&["receiver", &delay, &certificate.display().to_string()])?;
    let mut address = || receiver.lines.next().ok_or("the receiver has ended")?.map_err(|error| error.to_string());
    let urls = [format!("http://{}/", address()?), format!("https://{}/", address()?)];
    let mut rows = Vec::new();
    for url in &urls {
        for count in waiting {
            let mut child = itself(&["row", url, &count.to_string(), &delay, &certificate.display().to_string()])?;
            let line = child.lines.by_ref().last().ok_or("a row has ended without a word")??;
            rows.push(line.split('|').map(str::to_owned).collect());
        }
    }
    let head = [
        "",
        "threads ms",
        "begun ms",
        "idle MiB",
        "waiting MiB",
        "KiB each",
        "on kept MiB",
        "KiB each",
        "threads",
        "maps",
        "ended MiB",
        "quiet MiB",
        "quiet threads",
    ];
    print_table(&head, &rows);
    Ok(())
}

/// This program, as a child process that ends with this value.
struct Itself {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

fn itself(arguments: &[&str]) -> Outcome<Itself> {
    let mut child = Command::new(std::env::current_exe()?).args(arguments).stdout(Stdio::piped()).spawn()?;
    let lines = BufReader::new(child.stdout.take().ok_or("a child without output")?).lines();
    Ok(Itself { child, lines })
}

impl Drop for Itself {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes `count` attempts at once, twice, and prints the cost.
fn row(url: &str, count: usize, delay: Duration, certificate: &Path) -> Outcome<()> {
    let extra_ca = if url.starts_with("https") { vec![certificate.to_owned()] } else { Vec::new() };
    let pool = Senders::start(url, count.max(1), extra_ca)?;
    thread::sleep(Duration::from_millis(300));
    let idle = Process::look()?;
    let begun = Instant::now();
    pool.submit(count)?;
    let started = begun.elapsed();
    thread::sleep((delay / 2).saturating_sub(begun.elapsed()));
    let waiting = Process::look()?;
    pool.wait(count)?;
    thread::sleep(Duration::from_millis(300));
    pool.submit(count)?;
    thread::sleep(delay / 2);
    let again = Process::look()?;
    pool.wait(count)?;
    thread::sleep(Duration::from_secs(1));
    let ended = Process::look()?;
    if count > 0 && delay > Duration::from_secs(1) {
        thread::sleep(QUIET);
    }
    let quiet = Process::look()?;
    let threads_only = start_only(count)?;
    let scheme = url.split(':').next().unwrap_or_default();
    let mib = |process: &Process| format!("{:.1}", process.resident as f64 / 1_024.0);
    let each = |process: &Process| {
        format!("{:.1}", process.resident.saturating_sub(idle.resident) as f64 / count.max(1) as f64)
    };
    let cells = [
        format!("{count} by {scheme}"),
        format!("{:.1}", threads_only.as_secs_f64() * 1_000.0),
        format!("{:.1}", started.as_secs_f64() * 1_000.0),
        mib(&idle),
        mib(&waiting),
        each(&waiting),
        mib(&again),
        each(&again),
        again.threads.to_string(),
        again.maps.to_string(),
        mib(&ended),
        mib(&quiet),
        quiet.threads.to_string(),
    ];
    println!("{}", cells.join("|"));
    Ok(())
}

/// The time to start `count` threads whose jobs only wait.
fn start_only(count: usize) -> Outcome<Duration> {
    let (hold, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let work = move |_| drop(held.lock().map(|held| held.recv()));
    let pool = Pool::new(count.max(1), "idle", |number: &usize| *number, work, |_: Done<usize, ()>| (), || ());
    let begun = Instant::now();
    for number in 0..count {
        pool.submit(number).map_err(|number| format!("no thread {number}"))?;
    }
    let started = begun.elapsed();
    drop(hold);
    match pool.stop(Duration::from_secs(20)) {
        0 => Ok(started),
        left => Err(format!("{left} threads do not end").into()),
    }
}

/// The daemon's senders, without the daemon.
struct Senders {
    pool: Pool<usize>,
    ends: mpsc::Receiver<Result<(), String>>,
}

impl Senders {
    fn start(url: &str, threads: usize, extra_ca: Vec<PathBuf>) -> Outcome<Self> {
        let transport = Arc::new(Transport::new(TransportSettings {
            idle_most: threads.max(1_024),
            connect_timeout: Duration::from_secs(30),
            timeout: Duration::from_secs(60),
            policy: AddressPolicy::new(vec!["127.0.0.0/8".parse()?], Vec::new(), false),
            extra_ca,
            proxy: None,
        })?);
        let (ended, ends) = mpsc::channel();
        let url = url.to_owned();
        let out = Arc::clone(&transport);
        let work = move |number: usize| {
            let receiver = SubscriptionId::from_bits((number % RECEIVERS) as u128);
            let report = out.post(Some(receiver), &outgoing(&url), None);
            match report.outcome {
                Ending::Answered(answer) if answer.status == 200 => Ok(()),
                other => Err(format!("{other:?}")),
            }
        };
        let done = move |done| {
            let _ = match done {
                Done::Finished(_, result) => ended.send(result),
                Done::Panicked(number) => ended.send(Err(format!("{number} panicked"))),
            };
        };
        let idle = Arc::clone(&transport);
        Ok(Self { pool: Pool::new(threads, "sender", |number| *number, work, done, move || idle.close_unused()), ends })
    }

    fn submit(&self, count: usize) -> Outcome<()> {
        for number in 0..count {
            self.pool.submit(number).map_err(|number| format!("no thread for attempt {number}"))?;
        }
        Ok(())
    }

    fn wait(&self, count: usize) -> Outcome<()> {
        for _ in 0..count {
            self.ends.recv_timeout(Duration::from_secs(90))??;
        }
        Ok(())
    }
}

/// A delivery of an event of 1 KiB.
fn outgoing(url: &str) -> Outgoing {
    let header = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let headers = [
        ("Content-Type", "application/json"),
        ("User-Agent", "Hookswitch/0"),
        ("webhook-id", "evt_01JDABCDEFGHJKMNPQRSTVWXYZ"),
        ("webhook-timestamp", "1790000000"),
        ("webhook-signature", "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="),
        ("Accept", "*/*"),
    ];
    Outgoing {
        url: url.to_owned(),
        headers: headers.into_iter().map(header).collect(),
        own_headers: Vec::new(),
        client_certificate: None,
        body: load::event(0).into_bytes(),
        format: Format::Json,
        layout: Layout::Envelope,
        nested: Nested::Brackets,
        is_templated: false,
        auth: None,
        success: SuccessRule::default(),
    }
}

/// Resources used by this process.
struct Process {
    /// KiB.
    resident: u64,
    threads: u64,
    maps: usize,
}

impl Process {
    fn look() -> Outcome<Self> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let number = |name: &str| -> Outcome<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("a short status")?;
            Ok(line.split_whitespace().next().ok_or("an empty line")?.parse()?)
        };
        let maps = std::fs::read_to_string("/proc/self/maps")?.lines().count();
        Ok(Self { resident: number("VmRSS:")?, threads: number("Threads:")?, maps })
    }
}

/// Accepts requests over http and https, and answers each after `delay`; never returns.
fn receive(delay: Duration, certificate: &Path) -> Outcome<()> {
    let tls = Tls::new()?;
    std::fs::write(certificate, &tls.pem)?;
    let mut receivers = Vec::new();
    for tls in [None, Some(tls)] {
        receivers.extend(Receiver::start_many(1, 0, &Manner { delay, tls })?);
    }
    receivers.iter().for_each(|receiver| println!("{}", receiver.address));
    loop {
        thread::park();
    }
}
