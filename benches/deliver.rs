//! Deliveries per second to local receivers, and their latency. The daemon has its default configuration.
//!
//! - Backlog: events are posted in batches while the subscription is disabled; measured from the request that enables
//!   it to the last arrival.
//! - For comparison, alternating in the same run: 64 threads that post one of the same requests to the same receiver
//!   with a single ureq agent, without timeouts and with one for each phase.
//! - Latency: 200 events a second at fixed intervals, from the 202 to the arrival (0 if it arrived before the 202 was
//!   read). A late post counts from its scheduled time. Half-way between two posts, a bare write of the same event
//!   and an fdatasync, to the same disk.
//!
//! Real receivers take their time, and there are several. `--delay 200ms` (the response time of each), `--receivers
//! 20` (each gets every event) or `--https` measure only such a backlog, whose size is that of all deliveries
//! together: the whole of it, and its middle half, when every receiver's limit has grown and none is done.
//!
//! With `--engine postgres` what is written is the WAL, and what the server does for each event is printed.
//!
//! `cargo bench --bench deliver -- --delay 200ms --receivers 20`, or the environment's `HOOKSWITCH_BENCH_DELAY`,
//! `HOOKSWITCH_BENCH_RECEIVERS` and `HOOKSWITCH_BENCH_HTTPS=1`; [`Plan`] lists the other parameters, and
//! `BENCH_SENDERS__THREADS` sets the daemon's `HOOKSWITCH_SENDERS__THREADS`, like every other key.

mod load;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use load::client::Connection;
use load::daemon::Daemon;
use load::disk;
use load::figures::{Plan, Sample, median, millis, print_table};
use load::receiver::{Manner, Receiver, Tls};
use load::{Outcome, event};

/// Threads of the bare loop.
const SENDERS: usize = 64;
/// Events per second while latency is measured.
const STEADY: u32 = 200;
/// Time without arrivals after which the bench gives up.
const PATIENCE: Duration = Duration::from_secs(20);
/// Idle time before the daemon's memory is read.
const SETTLE: Duration = Duration::from_secs(1);
/// The phase timeouts of the bare loop that has them.
const PHASE: Duration = Duration::from_secs(10);

const MIB: f64 = 1_048_576.0;

/// The measurements, one value per round.
#[derive(Default)]
struct Measured {
    backlog: Vec<f64>,
    posted: Vec<f64>,
    bare: Vec<Sample>,
    bare_timed: Vec<Sample>,
    accept: Vec<Sample>,
    disk: Vec<Sample>,
    deliver: Vec<Sample>,
    idle: Vec<f64>,
    after: Vec<f64>,
    written: Vec<f64>,
    /// What PostgreSQL did for each event of the last backlog, in words.
    work: Option<String>,
    repeats: usize,
}

fn main() -> Outcome<()> {
    let plan = Plan::from_environment()?;
    if let Some(real) = Real::from_environment()? {
        return real.measure(plan);
    }
    let mut measured = Measured::default();
    for _ in 0..plan.rounds {
        backlog(plan, &mut measured)?;
        steady(plan, &mut measured)?;
    }
    print(plan, &measured);
    Ok(())
}

/// Realistic receivers.
struct Real {
    count: usize,
    delay: Duration,
    https: bool,
}

impl Real {
    /// From the arguments or the environment; `None` if neither is given.
    fn from_environment() -> Outcome<Option<Self>> {
        let (count, delay) = (option("receivers"), option("delay"));
        let https = option("https").is_some_and(|value| value != "0");
        if count.is_none() && delay.is_none() && !https {
            return Ok(None);
        }
        let count = count.map_or(Ok(1), |text| text.parse())?;
        let delay = delay.map_or(Ok(Duration::ZERO), |text| humantime::parse_duration(&text))?;
        Ok(Some(Self { count, delay, https }))
    }

    fn measure(&self, plan: Plan) -> Outcome<()> {
        let Self { count, delay, https } = self;
        let scheme = if *https { "https" } else { "http" };
        println!("{count} receivers, {scheme}, each answers after {delay:?}; {} deliveries in all:\n", plan.backlog);
        let rows = (0..plan.rounds).map(|_| self.round(plan.backlog, scheme)).collect::<Outcome<Vec<_>>>()?;
        let head = ["", "per second", "in its middle half", "CPU µs each", "most threads", "MiB after", "repeats"];
        print_table(&head, &rows);
        Ok(())
    }

    fn round(&self, deliveries: usize, scheme: &str) -> Outcome<Vec<String>> {
        let tls = if self.https { Some(Tls::new()?) } else { None };
        let trusted = tempfile::NamedTempFile::new()?;
        let authorities = format!("[{:?}]", trusted.path().to_str().ok_or("a strange path")?);
        let mut settings = Vec::new();
        if let Some(tls) = &tls {
            std::fs::write(trusted.path(), &tls.pem)?;
            settings.push(("HOOKSWITCH_NETWORK__EXTRA_CA", authorities.as_str()));
        }
        let events = deliveries.div_ceil(self.count);
        let receivers = Receiver::start_many(self.count, events, &Manner { delay: self.delay, tls })?;
        let daemon = Daemon::start(&settings)?;
        let subscriptions = daemon.subscribe_all(&receivers, scheme, false)?;
        daemon.target.post_batches(0, events)?;
        let (enabled, before) = (Instant::now(), daemon.processor_seconds()?);
        subscriptions.iter().try_for_each(|subscription| daemon.enable(subscription))?;
        receivers.iter().try_for_each(|receiver| receiver.arrivals.wait_for(events, PATIENCE))?;
        let processor = (daemon.processor_seconds()? - before) / (events * self.count) as f64;
        let mut arrived: Vec<Instant> = receivers.iter().flat_map(|receiver| receiver.arrivals.all()).collect();
        arrived.sort_unstable();
        let rate =
            |count: usize, from: Instant, to: Instant| format!("{:.0}", count as f64 / (to - from).as_secs_f64());
        let (all, quarter) = (arrived.len(), arrived.len() / 4);
        let repeats: usize = receivers.iter().map(|receiver| receiver.arrivals.repeats()).sum();
        Ok(vec![
            scheme.to_owned(),
            rate(all, enabled, arrived[all - 1]),
            rate(all - 2 * quarter, arrived[quarter], arrived[all - 1 - quarter]),
            format!("{:.0}", processor * 1e6),
            daemon.threads()?.to_string(),
            format!("{:.1}", daemon.resident()? as f64 / MIB),
            repeats.to_string(),
        ])
    }
}

/// The value of `--name VALUE`, or of `HOOKSWITCH_BENCH_NAME`; empty for a bare `--name`.
fn option(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| *argument != format!("--{name}"));
    let given = arguments.next().map(|_| arguments.next().unwrap_or_default());
    given.or_else(|| std::env::var(format!("HOOKSWITCH_BENCH_{}", name.to_uppercase())).ok())
}

/// A backlog, and the bare loops against the same receiver.
fn backlog(plan: Plan, measured: &mut Measured) -> Outcome<()> {
    let receiver = Receiver::start(plan.backlog)?;
    let daemon = Daemon::start(&[])?;
    let subscription = daemon.subscribe(&format!("http://{}/hook", receiver.address), false)?;
    thread::sleep(SETTLE);
    measured.idle.push(daemon.resident()? as f64);
    let (before, work) = (daemon.written()?, daemon.servers_work()?);
    measured.posted.push(plan.backlog as f64 / daemon.target.post_batches(0, plan.backlog)?.as_secs_f64());
    let enabled = Instant::now();
    daemon.enable(&subscription)?;
    receiver.arrivals.wait_for(plan.backlog, PATIENCE)?;
    let last = receiver.arrivals.last().ok_or("nothing arrived")?;
    measured.backlog.push(plan.backlog as f64 / (last - enabled).as_secs_f64());
    measured.repeats += receiver.arrivals.repeats();
    thread::sleep(SETTLE);
    measured.after.push(daemon.resident()? as f64);
    measured.written.push((daemon.written()? - before) as f64 / plan.backlog as f64);
    if let (Some(before), Some(after)) = (work, daemon.servers_work()?) {
        measured.work = Some((after - before).of_each(plan.backlog as f64));
    }
    drop(daemon);
    let request = Bare::new(&receiver)?;
    measured.bare.push(request.run(plan.time, false)?);
    measured.bare_timed.push(request.run(plan.time, true)?);
    Ok(())
}

/// A steady stream to an enabled subscription.
fn steady(plan: Plan, measured: &mut Measured) -> Outcome<()> {
    let count = ((plan.time.as_secs_f64() * f64::from(STEADY)) as usize).max(1);
    let receiver = Receiver::start(count)?;
    let daemon = Daemon::start(&[])?;
    daemon.subscribe(&format!("http://{}/hook", receiver.address), true)?;
    let mut connection = Connection::open(daemon.target.address)?;
    let pause = Duration::from_secs(1) / STEADY;
    let (start, mut accepted) = (Instant::now(), Vec::new());
    let bare =
        thread::spawn(move || disk::steady(Path::new(env!("CARGO_TARGET_TMPDIR")), count, start + pause / 2, pause));
    for number in 0..count {
        let due = start + pause * number as u32;
        let early = due.saturating_duration_since(Instant::now());
        thread::sleep(early);
        // Oversleeping is the kernel's fault; being late because of the previous response is not.
        let from = if early.is_zero() { due } else { Instant::now() };
        let request = daemon.target.request("POST", "/v1/events", "application/json", &event(number as u64));
        connection.exchange(&request)?.expect(202)?;
        accepted.push((from, Instant::now()));
    }
    let elapsed = start.elapsed();
    measured.disk.push(bare.join().map_err(|_| "the bare writer panicked")??);
    receiver.arrivals.wait_for(count, PATIENCE)?;
    let arrived = |(number, (_, answered)): (usize, &(Instant, Instant))| {
        receiver.arrivals.at(number).map(|at| at.saturating_duration_since(*answered))
    };
    let latencies = accepted.iter().enumerate().filter_map(arrived).collect();
    measured.deliver.push(Sample::new(count, elapsed, latencies));
    let latencies = accepted.iter().map(|(from, answered)| *answered - *from).collect();
    measured.accept.push(Sample::new(count, elapsed, latencies));
    Ok(())
}

/// The bare loop: one of the daemon's own requests, posted repeatedly by [`SENDERS`] threads.
struct Bare {
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Bare {
    /// The first request received.
    fn new(receiver: &Receiver) -> Outcome<Self> {
        const ITS_OWN: [&str; 4] = ["host", "content-length", "connection", "transfer-encoding"];
        let request = receiver.arrivals.first().ok_or("nothing arrived")?;
        let end = request.windows(4).position(|window| window == b"\r\n\r\n").ok_or("the request has no end")?;
        let head = std::str::from_utf8(&request[..end])?;
        let headers = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let headers = headers.filter(|(name, _)| !ITS_OWN.iter().any(|own| name.eq_ignore_ascii_case(own)));
        Ok(Self {
            url: format!("http://{}/hook", receiver.address),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            body: request[end + 4..].to_vec(),
        })
    }

    fn run(&self, time: Duration, timed: bool) -> Outcome<Sample> {
        let builder = ureq::Agent::config_builder()
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            .max_idle_connections(SENDERS)
            .max_idle_connections_per_host(SENDERS);
        let builder = if timed {
            let all = builder.timeout_resolve(Some(PHASE)).timeout_connect(Some(PHASE));
            all.timeout_send_request(Some(PHASE)).timeout_send_body(Some(PHASE)).timeout_recv_response(Some(PHASE))
        } else {
            builder
        };
        let agent = ureq::Agent::from(builder.build());
        let results = thread::scope(|scope| {
            let threads: Vec<_> = (0..SENDERS).map(|_| scope.spawn(|| self.one_loop(&agent, time))).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| thread.join().map_err(|_| "a sender panicked")?;
            threads.into_iter().map(join).collect::<Outcome<Vec<Vec<Duration>>>>()
        })?;
        let latencies: Vec<Duration> = results.into_iter().flatten().collect();
        Ok(Sample::new(latencies.len(), time, latencies))
    }

    fn one_loop(&self, agent: &ureq::Agent, time: Duration) -> Outcome<Vec<Duration>> {
        let (start, mut latencies) = (Instant::now(), Vec::new());
        while start.elapsed() < time {
            let before = Instant::now();
            let mut request = agent.post(&self.url);
            for (name, value) in &self.headers {
                request = request.header(name, value);
            }
            let mut response = request.send(&self.body[..])?;
            response.body_mut().read_to_vec()?;
            latencies.push(before.elapsed());
        }
        Ok(latencies)
    }
}

fn print(plan: Plan, measured: &Measured) {
    let of = |values: &[f64]| median(values.to_vec());
    let [bare, timed] = [&measured.bare, &measured.bare_timed].map(|samples| Sample::median(samples));
    let deliveries = of(&measured.backlog);
    let row = |name: &str, per_second: f64, sample: Option<&Sample>| {
        let latency = |of: fn(&Sample) -> Duration| sample.map_or_else(String::new, |sample| millis(of(sample)));
        let ratio = format!("{:.2}", deliveries / per_second);
        vec![name.to_owned(), format!("{per_second:.0}"), latency(|s| s.p50), latency(|s| s.p99), ratio]
    };
    println!("Deliveries, {} rounds, a backlog of {}, medians:\n", plan.rounds, plan.backlog);
    let rows = [
        row("daemon", deliveries, None),
        row("bare ureq, no timeouts", bare.per_second, Some(&bare)),
        row("bare ureq, phase timeouts", timed.per_second, Some(&timed)),
    ];
    print_table(&["", "per second", "p50 ms", "p99 ms", "daemon / this"], &rows);
    let all = [&measured.accept, &measured.disk, &measured.deliver];
    let [accept, disk, deliver] = all.map(|samples| Sample::median(samples));
    println!("\nAt {STEADY} events a second (reached: {:.0}):\n", accept.per_second);
    let row = |name: &str, sample: &Sample| vec![name.to_owned(), millis(sample.p50), millis(sample.p99)];
    let rows = [row("posted to 202", &accept), row("bare write and fdatasync", &disk), row("202 to arrival", &deliver)];
    print_table(&["", "p50 ms", "p99 ms"], &rows);
    println!("\nposted to 202 / bare fdatasync, p50: {:.2}", accept.p50.as_secs_f64() / disk.p50.as_secs_f64());
    println!("\nposting the backlog in batches of 1,000: {:.0} events/s", of(&measured.posted));
    println!("resident: {:.1} MiB idle, {:.1} MiB afterwards", of(&measured.idle) / MIB, of(&measured.after) / MIB);
    println!("for each event of 1 KiB, in and out: {:.0} bytes written", of(&measured.written));
    if let Some(work) = &measured.work {
        println!("for each event, in and out: {work}");
    }
    println!("arrived more than once: {}", measured.repeats);
}
