//! Disk space of a store while events pass through it: a million of them, in ten cycles, each of 1 KiB and delivered
//! at once, while retention keeps only the newest 100,000; and the processor time.
//!
//! Events, requests and responses vary like real ones (`load/words.rs`). A cycle ends when nothing shrinks any more;
//! the last column is the time that takes. Processor time is that of the whole process, including the generation of
//! events (printed separately first), with the share of the thread that drops and compresses files.
//!
//! Time is simulated (a millisecond per event), so that ages pass in seconds. `cargo bench --bench space`;
//! `HOOKSWITCH_BENCH_EVENTS` sets the number of events.

#[path = "load/words.rs"]
mod words;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use hookswitch::core::actor::Actor;
use hookswitch::core::attempt::{Answer, LogEntry, Sent, Status};
use hookswitch::core::catalogue::Catalogue;
use hookswitch::core::delivery::{Delivery, State};
use hookswitch::core::event::NewEvent;
use hookswitch::core::json;
use hookswitch::core::seal::Keyring;
use hookswitch::core::subscription::{Format, Layout, Nested, Ordering as Order, Subscription};
use hookswitch::core::subscription_input::Change as Patch;
use hookswitch::core::time::Timestamp;
use hookswitch::store::{
    AttemptResult, Busy, EventFilter, Reclaim, Reply, Retention, Settings, Store, StoreError, StoreEvent,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

const CYCLES: u64 = 10;
/// The size of a posted event.
const EVENT_BYTES: usize = 1024;
/// Events accepted at once.
const BATCH: u64 = 64;

fn main() -> Outcome<()> {
    let short = !std::env::args().any(|argument| argument == "--bench");
    let default = if short { 10_000 } else { 1_000_000 };
    let events = std::env::var("HOOKSWITCH_BENCH_EVENTS").map_or(Ok(default), |text| text.parse::<u64>())?;
    let kept = Duration::from_millis(events / 10);
    let settings = Settings {
        cache_bytes: 16 << 20,
        give_up_after: kept,
        idempotency_window: kept / 2,
        retention: Retention {
            log_age: kept,
            log_bytes: 10 << 30,
            event_age: kept,
            conversation_age: kept,
            audit_age: kept,
            reclaim: Reclaim::default(),
        },
        min_free_bytes: 1,
        max_data_bytes: 1 << 20,
        subscriptions_per_company: 1_000,
        deliveries_per_request: 100_000,
    };
    println!("{events} events in {CYCLES} cycles, the newest {} are kept:\n", kept.as_millis());
    let begun = processor()?;
    for n in 0..10_000 {
        drop(words::platform_event(n, EVENT_BYTES));
    }
    println!("making an event takes {:.1} us of a processor\n", (processor()? - begun) * 1e6 / 1e4);
    println!(
        "cycle   events/s   journal MB   state MB   written B/event   disk B/kept event: at once   settled   \
         us of a processor/event   of it retention   s to settle"
    );
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut now = 1_790_000_000_000;
    for cycle in 1..=CYCLES {
        let mut run = Run::open(dir.path(), settings, now, (cycle - 1) * (events / CYCLES + BATCH))?;
        if cycle == 1 {
            run.subscribe()?;
        }
        let (begun, written, used) = (Instant::now(), written()?, processor()?);
        while run.posted < events / CYCLES {
            run.post()?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let kept_now = run.alive()?;
        let unsettled = bytes_in(dir.path());
        let settled = run.settle(dir.path());
        let (written, used) = (self::written()? - written, processor()? - used);
        let alive = run.alive()?;
        let (journal, state) = (bytes_in(&dir.path().join("journal")), bytes_in(&dir.path().join("state")));
        println!(
            "{cycle:>5} {:>10.0} {:>12.1} {:>10.1} {:>17.0} {:>28.0} {:>9.0} {:>25.1} {:>17.1} {:>13.1}",
            run.posted as f64 / seconds,
            journal as f64 / 1e6,
            state as f64 / 1e6,
            written as f64 / run.posted as f64,
            unsettled as f64 / kept_now as f64,
            (journal + state) as f64 / alive as f64,
            used * 1e6 / run.posted as f64,
            ticks_of(&thread("retention")?)? * 1e6 / run.posted as f64,
            settled.as_secs_f64(),
        );
        now = run.now.load(Ordering::Relaxed);
        run.close();
    }
    Ok(())
}

/// An open store, and its producer.
struct Run {
    store: Store,
    running: hookswitch::store::Running,
    changes: mpsc::Receiver<Vec<StoreEvent>>,
    now: Arc<AtomicU64>,
    subscription: Option<Arc<Subscription>>,
    catalogue: Catalogue,
    /// The number of the first event.
    first: u64,
    posted: u64,
}

impl Run {
    fn open(dir: &Path, settings: Settings, now: u64, first: u64) -> Outcome<Self> {
        let idle = Store::open(dir, settings, Keyring::default(), Timestamp::from_millis(now))?;
        let store = idle.store().clone();
        let (sender, changes) = mpsc::channel();
        let now = Arc::new(AtomicU64::new(now));
        let clock = now.clone();
        let clock = move || Timestamp::from_millis(clock.load(Ordering::Relaxed));
        let failed = |why: String| println!("the store failed: {why}");
        let running = idle.start(clock, move |_, change| drop(sender.send(change)), failed)?;
        let subscription = store.subscriptions().into_iter().next();
        let catalogue = Catalogue::new(Vec::new()).map_err(|invalid| format!("{invalid:?}"))?;
        Ok(Self { store, running, changes, now, subscription, catalogue, first, posted: 0 })
    }

    fn subscribe(&mut self) -> Outcome<()> {
        let text = r#"{"company":"acme","url":"https://www.example.com/hook","events":["*"]}"#;
        let patch = Patch::from_json(json::parse(text)?, &self.catalogue).map_err(|invalid| format!("{invalid:?}"))?;
        let draft = patch.into_draft(Order::Call).map_err(|invalid| format!("{invalid:?}"))?;
        self.subscription = Some(ask(|reply| self.store.by(Actor::daemon()).create_subscription(draft, reply))?);
        Ok(())
    }

    /// Accepts a batch and ends its deliveries.
    fn post(&mut self) -> Outcome<()> {
        let events = (0..BATCH).map(|n| self.event(self.first + self.posted + n)).collect::<Outcome<Vec<_>>>()?;
        ask(|reply| self.store.accept(events, reply))?;
        let (mut owed, mut open) = (0, 0);
        while owed < BATCH || open > 0 {
            for change in self.changes.recv()? {
                match change {
                    StoreEvent::Owed(deliveries) => {
                        owed += deliveries.len() as u64;
                        open += deliveries.len();
                        deliveries.iter().for_each(|delivery| self.deliver(delivery));
                    }
                    StoreEvent::Finished(_) => open -= 1,
                    _ => {}
                }
            }
        }
        self.now.fetch_add(BATCH, Ordering::Relaxed);
        self.posted += BATCH;
        Ok(())
    }

    fn event(&self, n: u64) -> Outcome<NewEvent> {
        let text = words::platform_event(n, EVENT_BYTES);
        let event = NewEvent::from_json(json::parse(&text)?, &self.catalogue);
        event.map_err(|invalid| format!("{invalid:?}").into())
    }

    /// Records a successful delivery, with a log entry like that of a real attempt.
    fn deliver(&self, delivery: &Delivery) {
        let Some(subscription) = &self.subscription else { return };
        let after = Delivery { state: State::Delivered, attempts: 1, ..delivery.clone() };
        let now = Timestamp::from_millis(self.now.load(Ordering::Relaxed));
        let mut entry = LogEntry::without_attempt(&after, Status::Delivered, "", subscription, None, now);
        let mut draw = words::Draw::new(delivery.id.sequence());
        let seconds = now.millis() / 1_000;
        let header = |name: &str, value: String| (name.to_owned(), value);
        let sent = [
            header("Content-Type", "application/json".to_owned()),
            header("User-Agent", "Hookswitch/0.1.0".to_owned()),
            header("webhook-id", delivery.event.to_string()),
            header("webhook-timestamp", seconds.to_string()),
            header("webhook-signature", format!("v1,{}=", draw.base64(43))),
            header("Accept", "*/*".to_owned()),
            header("hookswitch-delivery", delivery.id.to_string()),
            header("hookswitch-attempt", "1".to_owned()),
            header("hookswitch-sequence", delivery.id.sequence().to_string()),
        ];
        let sent = sent.map(|(name, value)| (name, Some(value))).into();
        entry.attempt = 1;
        entry.response = Some(200);
        entry.sent =
            Some(Sent { format: Format::Json, layout: Layout::Envelope, nested: Nested::Brackets, headers: sent });
        let answered = [
            header("server", "nginx/1.26.2".to_owned()),
            header(
                "date",
                format!("Thu, 26 Nov 2026 {:02}:{:02}:{:02} GMT", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60),
            ),
            header("content-type", "application/json".to_owned()),
            header("x-request-id", draw.base64(22)),
        ];
        let body = format!(r#"{{"ok":true,"id":{}}}"#, draw.below(100_000_000)).into_bytes();
        entry.answer = Some(Answer { status: 200, headers: answered.into(), body, truncated: false });
        self.store.finish(AttemptResult { entry, after, disable: None });
    }

    /// Waits until the journal has stopped shrinking; returns the duration.
    fn settle(&self, dir: &Path) -> Duration {
        let begun = Instant::now();
        let (mut least, mut since) = (u64::MAX, begun);
        while since.elapsed() < Duration::from_secs(3) {
            let bytes = bytes_in(&dir.join("journal"));
            if bytes < least {
                (least, since) = (bytes, Instant::now());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        since - begun
    }

    /// The number of existing events.
    fn alive(&self) -> Outcome<u64> {
        let (mut count, mut after) = (0, None);
        loop {
            let page = self.store.events(&EventFilter::default(), after, 500).map_err(|error| error.to_string())?;
            count += page.items.len() as u64;
            after = page.next;
            if after.is_none() {
                return Ok(count);
            }
        }
    }

    fn close(self) {
        drop(self.store);
        self.running.stop();
    }
}

/// Calls a method of the store and waits for its reply.
fn ask<T: Send + 'static>(verb: impl FnOnce(Reply<T>) -> Result<(), Busy>) -> Outcome<T> {
    let (sender, answer) = mpsc::channel::<Result<T, StoreError>>();
    verb(Box::new(move |reply| drop(sender.send(reply)))).map_err(|_| "the store is busy")?;
    answer.recv()?.map_err(|error| format!("{error:?}").into())
}

/// Processor time used by this process, in seconds.
fn processor() -> Outcome<f64> {
    ticks_of(Path::new("/proc/self"))
}

/// The same for one thread of that name.
fn thread(name: &str) -> Outcome<PathBuf> {
    let is_it = |path: &PathBuf| std::fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name);
    let mut tasks = std::fs::read_dir("/proc/self/task")?.flatten().map(|entry| entry.path());
    Ok(tasks.find(is_it).ok_or("there is no such thread")?)
}

fn ticks_of(process: &Path) -> Outcome<f64> {
    let text = std::fs::read_to_string(process.join("stat"))?;
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks = fields.skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(ticks as f64 / 100.0)
}

/// Bytes written to the disk by this process.
fn written() -> Outcome<u64> {
    let text = std::fs::read_to_string("/proc/self/io")?;
    let bytes = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    Ok(bytes.ok_or("/proc/self/io has no write_bytes")?.parse()?)
}

/// Disk space used by the files below `dir`.
fn bytes_in(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(file) if file.is_dir() => bytes_in(&entry.path()),
        Ok(file) => file.blocks() * 512,
        // It was just removed.
        Err(_) => 0,
    };
    entries.map(size).sum()
}
