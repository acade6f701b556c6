//! The cost of queries among ten thousand events and among a million: each documented filter of every list, a page of
//! 50, in time and in records read. A ratio of 2 is allowed; durations below a tenth of a millisecond are marked,
//! because an HTTP request alone costs more.
//!
//! `cargo bench --bench query`; `HOOKSWITCH_BENCH_EVENTS` sets the larger number of events.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use hookswitch::core::actor::Actor;
use hookswitch::core::attempt::{LogEntry, Status};
use hookswitch::core::catalogue::Catalogue;
use hookswitch::core::conversation::NewMessage;
use hookswitch::core::delivery::{Delivery, State};
use hookswitch::core::event::{CallId, Company, Domain, Event, EventType, NewEvent, Source};
use hookswitch::core::json;
use hookswitch::core::seal::Keyring;
use hookswitch::core::subscription::{Ordering as Order, Subscription};
use hookswitch::core::subscription_input::Change as Patch;
use hookswitch::core::time::Timestamp;
use hookswitch::store::{
    AttemptResult, Busy, CallFilter, ConversationFilter, DeliveryFilter, EventFilter, LogFilter, Reclaim, Reply,
    Retention, Running, Settings, Store, StoreError, StoreEvent,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

const FEW: u64 = 10_000;
const COMPANIES: u64 = 10;
/// Events accepted at once.
const BATCH: u64 = 500;
/// One delivery in this many ends in each of the rare ways.
const RARE: u64 = 997;
const TYPES: [&str; 3] = ["call.new", "call.missed", "call.finished"];
const BEGIN: u64 = 1_790_000_000_000;
/// Repetitions of each query.
const TIMES: usize = 31;

fn main() -> Outcome<()> {
    let short = !std::env::args().any(|argument| argument == "--bench");
    let default = if short { 20_000 } else { 1_000_000 };
    let many = std::env::var("HOOKSWITCH_BENCH_EVENTS").map_or(Ok(default), |text| text.parse::<u64>())?;
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut world = World::open(dir.path())?;
    world.fill(FEW)?;
    let questions = world.questions()?;
    let few = world.measure(&questions)?;
    let begun = Instant::now();
    world.fill(many)?;
    println!(
        "{many} events, each with a delivery and an entry of the log, in {:.0} s\n",
        begun.elapsed().as_secs_f64()
    );
    let measured = world.measure(&questions)?;
    println!("| question | items | us of {FEW} | us of {many} | ratio | read of {FEW} | read of {many} |");
    println!("|---|---|---|---|---|---|---|");
    for ((name, _), (before, after)) in questions.iter().zip(few.iter().zip(&measured)) {
        let ratio = after.took.as_secs_f64() / before.took.as_secs_f64();
        let small = if after.took < Duration::from_micros(100) { " (small)" } else { "" };
        println!(
            "| {name} | {} | {:.0} | {:.0} | {ratio:.1}{small} | {} | {} |",
            after.items,
            before.took.as_secs_f64() * 1e6,
            after.took.as_secs_f64() * 1e6,
            before.read,
            after.read,
        );
    }
    world.close();
    Ok(())
}

struct Measured {
    items: usize,
    took: Duration,
    read: u64,
}

/// A query that returns the number of items on the page.
type Question = (String, Box<dyn Fn(&Store) -> Outcome<usize>>);

struct World {
    store: Store,
    running: Running,
    changes: mpsc::Receiver<Vec<StoreEvent>>,
    now: Arc<AtomicU64>,
    subscriptions: Vec<Arc<Subscription>>,
    catalogue: Catalogue,
    posted: u64,
}

impl World {
    fn open(dir: &std::path::Path) -> Outcome<Self> {
        let age = Duration::from_secs(365 * 86_400);
        let settings = Settings {
            cache_bytes: 64 << 20,
            give_up_after: age,
            idempotency_window: Duration::from_secs(60),
            retention: Retention {
                log_age: age,
                log_bytes: 100 << 30,
                event_age: age,
                conversation_age: age,
                audit_age: age,
                reclaim: Reclaim::default(),
            },
            min_free_bytes: 1,
            max_data_bytes: 1 << 20,
            subscriptions_per_company: 1_000,
            deliveries_per_request: 100_000,
        };
        let idle = Store::open(dir, settings, Keyring::default(), Timestamp::from_millis(BEGIN))?;
        let store = idle.store().clone();
        let (sender, changes) = mpsc::channel();
        let now = Arc::new(AtomicU64::new(BEGIN));
        let clock = now.clone();
        let clock = move || Timestamp::from_millis(clock.load(Ordering::Relaxed));
        let failed = |why: String| println!("the store failed: {why}");
        let running = idle.start(clock, move |_, change| drop(sender.send(change)), failed)?;
        let catalogue = Catalogue::new(Vec::new()).map_err(|invalid| format!("{invalid:?}"))?;
        let mut subscriptions = Vec::new();
        for number in 0..COMPANIES {
            let text =
                format!(r#"{{"company":"company-{number}","url":"https://www.example.com/hook","events":["*"]}}"#);
            let patch = Patch::from_json(json::parse(&text)?, &catalogue).map_err(|invalid| format!("{invalid:?}"))?;
            let draft = patch.into_draft(Order::Call).map_err(|invalid| format!("{invalid:?}"))?;
            subscriptions.push(ask(|reply| store.by(Actor::daemon()).create_subscription(draft, reply))?);
        }
        Ok(Self { store, running, changes, now, subscriptions, catalogue, posted: 0 })
    }

    /// Adds events up to this number.
    fn fill(&mut self, events: u64) -> Outcome<()> {
        while self.posted < events {
            let batch = (self.posted..self.posted + BATCH).map(|n| self.event(n)).collect::<Outcome<Vec<_>>>()?;
            self.now.fetch_add(BATCH, Ordering::Relaxed);
            ask(|reply| self.store.accept(batch, reply))?;
            let (mut owed, mut open) = (0, 0);
            while owed < BATCH || open > 0 {
                for change in self.changes.recv()? {
                    match change {
                        StoreEvent::Owed(deliveries) => {
                            owed += deliveries.len() as u64;
                            open += deliveries.iter().filter(|delivery| self.end(delivery)).count();
                        }
                        StoreEvent::Finished(_) => open -= 1,
                        _ => {}
                    }
                }
            }
            if self.posted.is_multiple_of(BATCH * 4) {
                self.text(self.posted)?;
            }
            self.posted += BATCH;
        }
        Ok(())
    }

    fn event(&self, n: u64) -> Outcome<NewEvent> {
        let filler = "x".repeat(400);
        let text = format!(
            r#"{{"type":"{}","company":"company-{}","domain":"www.site-{}.example","source":"{}","data":{{"call_id":"c{}","lead_phone":"+1202{:07}","note":"{filler}"}}}}"#,
            TYPES[(n / 3 % 3) as usize],
            n % COMPANIES,
            n % (3 * COMPANIES),
            if n.is_multiple_of(2) { "api" } else { "widget" },
            n / (4 * COMPANIES),
            n / (8 * COMPANIES),
        );
        let event = NewEvent::from_json(json::parse(&text)?, &self.catalogue);
        event.map_err(|invalid| format!("{invalid:?}").into())
    }

    /// Ends a delivery: most are delivered, a few fail, one keeps waiting. Returns whether it was delivered.
    fn end(&self, delivery: &Delivery) -> bool {
        let status = match delivery.id.sequence() % RARE {
            1 => Status::Expired,
            2 => Status::Cancelled,
            3 => Status::Failed,
            4 => Status::Retrying,
            5 => return false,
            _ => Status::Delivered,
        };
        let Some(subscription) = self.subscriptions.iter().find(|one| one.id == delivery.subscription) else {
            return false;
        };
        let after = Delivery { state: status.into(), attempts: 1, ..delivery.clone() };
        let now = Timestamp::from_millis(self.now.load(Ordering::Relaxed));
        let event = Event {
            id: delivery.event,
            accepted_at: now,
            occurred_at: now,
            event_type: delivery.event_type.clone(),
            company: subscription.company.clone(),
            domain: Domain::parse(&format!("www.site-{}.example", delivery.id.sequence() % 30)).ok(),
            source: Source::Api,
            producer_id: None,
            call: delivery.call.clone(),
            phone: Some(format!("+1202{:07}", delivery.id.sequence() / 8)),
            data: String::new(),
        };
        let mut entry = LogEntry::without_attempt(&after, status, "", subscription, Some(&event), now);
        entry.attempt = 1;
        entry.response = Some(if status == Status::Delivered { 200 } else { 503 });
        self.store.finish(AttemptResult { entry, after, disable: None });
        true
    }

    fn text(&self, n: u64) -> Outcome<()> {
        let text = format!(
            r#"{{"company":"company-{}","source":"api","call_id":"s{n}","direction":"outbound","from":"+12025550100","to":"+1202555{:04}","body":"Shall we call?"}}"#,
            n / BATCH % COMPANIES,
            n / BATCH % 1_000,
        );
        let now = Timestamp::from_millis(self.now.load(Ordering::Relaxed));
        let message = NewMessage::from_json(json::parse(&text)?, now).map_err(|invalid| format!("{invalid:?}"))?;
        let prepared = self.store.prepare_message(message, now).map_err(|error| error.to_string())?;
        ask(|reply| self.store.post_message(prepared, reply)).map(drop)
    }

    fn measure(&self, questions: &[Question]) -> Outcome<Vec<Measured>> {
        questions
            .iter()
            .map(|(_, question)| {
                question(&self.store)?;
                let before = self.store.reads().count();
                let items = question(&self.store)?;
                let read = self.store.reads().count() - before;
                let mut times = Vec::with_capacity(TIMES);
                for _ in 0..TIMES {
                    let begun = Instant::now();
                    question(&self.store)?;
                    times.push(begun.elapsed());
                }
                times.sort_unstable();
                Ok(Measured { items, took: times[TIMES / 2], read })
            })
            .collect()
    }

    /// A query for each documented filter.
    fn questions(&self) -> Outcome<Vec<Question>> {
        let read = |error: StoreError| error.to_string();
        let (company, domain) = (Company::parse("company-7").ok(), Domain::parse("www.site-7.example").ok());
        let nobody = Company::parse("nobody").ok();
        let (missed, call) = (EventType::parse("call.missed").ok(), CallId::parse("c9").ok());
        let (phone, early) = (Some("+12020000005".to_owned()), Timestamp::from_millis(BEGIN + FEW / 2));
        let subscription = Some(self.subscriptions[7].id);
        let filter = EventFilter { company: company.clone(), until: Some(early), ..EventFilter::default() };
        let first = self.store.events(&filter, None, 1).map_err(read)?.items.remove(0);
        let delivery = self.store.event_deliveries(first.id).map_err(read)?.first().map(|delivery| delivery.id);
        let event = Some(first.id);
        let mut all: Vec<Question> = Vec::new();
        macro_rules! ask {
            ($verb:ident, $filter:ident: $($name:expr => { $($member:ident: $value:expr),* }),* $(,)?) => {$(
                let filter = $filter { $($member: $value,)* ..$filter::default() };
                let ask = move |store: &Store| Ok(store.$verb(&filter, None, 50).map_err(|error| error.to_string())?.items.len());
                all.push((format!("{} {}", stringify!($verb), $name), Box::new(ask)));
            )*};
        }
        ask!(log, LogFilter:
            "all" => {}, "company" => { company: company.clone() }, "company that is not there" => { company: nobody.clone() },
            "domain" => { domain: domain.clone() }, "subscription" => { subscription: subscription },
            "event" => { event_type: missed.clone() }, "status" => { status: Some(Status::Expired) },
            "status, company" => { status: Some(Status::Expired), company: company.clone() },
            "response" => { response: Some(Some(503)) }, "response none" => { response: Some(None) },
            "response that never was" => { response: Some(Some(418)) },
            "call" => { call: call.clone() }, "call, company" => { call: call.clone(), company: company.clone() },
            "phone" => { phone: phone.clone() }, "delivery" => { delivery: delivery },
            "since" => { since: Some(early) }, "until" => { until: Some(early) },
            "test" => { test: Some(true) }, "no test" => { test: Some(false) },
            "domain, status, response" => { domain: domain.clone(), status: Some(Status::Expired), response: Some(Some(503)) },
        );
        ask!(events, EventFilter:
            "all" => {}, "company" => { company: company.clone() }, "domain" => { domain: domain.clone() },
            "source" => { source: Some(Source::Widget) }, "type" => { event_type: missed.clone() },
            "call" => { call: call.clone() }, "phone" => { phone: phone.clone() },
            "phone, company" => { phone: phone.clone(), company: company.clone() },
            "since" => { since: Some(early) }, "until" => { until: Some(early) },
        );
        ask!(deliveries, DeliveryFilter:
            "all" => {}, "company" => { company: company.clone() }, "subscription" => { subscription: subscription },
            "event id" => { event: event }, "event" => { event_type: missed.clone() }, "call" => { call: call.clone() },
            "pending" => { state: Some(State::Pending) }, "retrying" => { state: Some(State::Retrying) },
            "failed" => { state: Some(State::Failed) }, "delivered" => { state: Some(State::Delivered) },
            "expired" => { state: Some(State::Expired) }, "cancelled" => { state: Some(State::Cancelled) },
            "since" => { since: Some(early) }, "until" => { until: Some(early) },
        );
        ask!(calls, CallFilter:
            "all" => {}, "company" => { company: company.clone() }, "domain" => { domain: domain.clone() },
            "phone" => { phone: phone.clone() }, "phone, company" => { phone: phone.clone(), company: company.clone() },
            "since" => { since: Some(early) }, "until" => { until: Some(early) },
        );
        ask!(conversations, ConversationFilter:
            "all" => {}, "company" => { company: company }, "company that is not there" => { company: nobody },
            "phone" => { phone: Some("+12025550007".to_owned()) }, "since" => { since: Some(early) },
            "until" => { until: Some(early) },
        );
        Ok(all)
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
