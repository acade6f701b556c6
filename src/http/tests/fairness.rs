//! Requests of one token never wait for those of others, whatever is held or hangs in a lane.

use std::sync::Mutex;
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use super::super::bridge::Share;
use super::super::context::RequestContext;
use super::super::fair_limit::{Lane, Principal, Slot};
use super::super::router::Router;
use super::*;
use crate::core::actor::Actor;
use crate::core::event::Company;
use crate::core::token::{Role, TokenDraft};
use crate::store::Running;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// A daemon whose slots can be taken from within.
struct Daemon {
    context: Arc<RequestContext>,
    address: SocketAddr,
    running: Mutex<Option<(Server, Running)>>,
    _dir: tempfile::TempDir,
}

impl Daemon {
    fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let idle = idle_store_in(dir.path());
        let store = idle.store().clone();
        let running = idle.start(|| NOW, |_, _| (), |why| panic!("{why}")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let context =
            Arc::new(RequestContext::new(services(store), &settings(), listener.local_addr().unwrap().port()));
        let died = Box::new(|reason| panic!("{reason}"));
        let server =
            listener::start(listener, Arc::new(Router::new(Arc::clone(&context))), settings(), async {}, died).unwrap();
        let address = server.address();
        Self { context, address, running: Mutex::new(Some((server, running))), _dir: dir }
    }

    /// The text of a new token.
    fn token(&self, role: Role, company: Option<&str>) -> String {
        let company = company.map(|name| Company::parse(name).unwrap());
        let draft = TokenDraft { description: String::new(), role, company, expires_at: None };
        let (made_tx, made) = std::sync::mpsc::channel();
        self.context
            .services
            .store
            .by(Actor::daemon())
            .create_token(draft, Box::new(move |made| made_tx.send(made).unwrap()))
            .unwrap();
        made.recv_timeout(PATIENCE).unwrap().unwrap().1.expose().to_owned()
    }

    fn principal(&self, token: &str, company: Option<&str>) -> Principal {
        let company = company.map(|name| Company::parse(name).unwrap());
        Principal::new(Some(&TokenHash::of(token)), company.as_ref())
    }

    /// Takes all slots of a lane available to one principal, and fills its queue.
    fn occupy(&self, lane: Lane, principal: &Principal) -> (Vec<Slot>, Vec<oneshot::Receiver<Slot>>) {
        let (mut held, mut waiting) = (Vec::new(), Vec::new());
        while let Ok(mut slot) = self.context.lanes.of(lane).ask(principal.clone(), false) {
            match slot.try_recv() {
                Ok(slot) => held.push(slot),
                Err(_) => waiting.push(slot),
            }
        }
        (held, waiting)
    }

    /// Sends a request with this token; returns the whole response.
    fn ask(&self, token: &str, method: &str, path: &str, content_type: &str, body: &str) -> String {
        let text = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        exchange(self.address, text)
    }

    fn get(&self, token: &str, path: &str) -> String {
        let text =
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n");
        exchange(self.address, text)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some((server, running)) = self.running.lock().unwrap().take() {
            server.stop(Duration::ZERO);
            running.stop();
        }
    }
}

const READS: [&str; 8] = [
    "/v1/events",
    "/v1/log",
    "/v1/deliveries?state=expired",
    "/v1/calls",
    "/v1/conversations",
    "/v1/report/calls",
    "/v1/events/evt_01K5P2V8X0000000000000000A",
    "/v1/log?limit=1",
];

#[test]
fn a_token_that_holds_and_fills_the_readers_delays_no_acceptance_no_control_and_no_other_reader() {
    let daemon = Daemon::open();
    let greedy = daemon.token(Role::Read, None);
    let (held, waiting) = daemon.occupy(Lane::Read, &daemon.principal(&greedy, None));
    assert!(held.len() >= 2 && waiting.len() >= 24, "{} {}", held.len(), waiting.len());

    let ingest = daemon.token(Role::Ingest, None);
    let event = r#"{"type":"call.new","company":"acme","source":"api","data":{"call_id":"1"}}"#;
    let sms = r#"{"company":"acme","source":"api","call_id":"1","direction":"outbound","from":"+15550100","to":"+15550101","body":"x"}"#;
    assert_eq!(status(&daemon.ask(&ingest, "POST", "/v1/events", "application/json", event)), Some(202));
    let batch = daemon.ask(&ingest, "POST", "/v1/events", "application/x-ndjson", &format!("{event}\n{event}\n"));
    assert_eq!(status(&batch), Some(202), "{batch}");
    let message = daemon.ask(&ingest, "POST", "/v1/messages", "application/json", sms);
    assert_eq!(status(&message), Some(202), "{message}");

    let admin = TOKEN;
    for path in ["/v1/stats", "/metrics", "/v1/subscriptions", "/v1/tokens", "/v1/erase", "/healthz"] {
        assert_eq!(status(&daemon.get(admin, path)), Some(200), "{path}");
    }
    let erase = daemon.ask(admin, "POST", "/v1/erase", "application/json", r#"{"company":"acme","phone":"+15550109"}"#);
    assert_eq!(status(&erase), Some(202), "{erase}");

    // Another token, one of a company, and another one of the same company.
    for company in [None, Some("acme"), Some("acme")] {
        let other = daemon.token(Role::Read, company);
        for path in READS {
            let answer = daemon.get(&other, path);
            assert!(matches!(status(&answer), Some(200 | 404)), "{path}: {answer}");
        }
        let export = format!(
            "GET /v1/log HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept: text/csv\r\nAuthorization: Bearer {other}\r\n\r\n"
        );
        assert_eq!(status(&exchange(daemon.address, export)), Some(200));
    }
    // Only the greedy one is refused.
    let refused = daemon.get(&greedy, "/v1/events");
    assert_eq!(status(&refused), Some(429), "{refused}");
    assert!(refused.contains("\r\nretry-after: "), "{refused}");
    drop((held, waiting));
    assert_eq!(status(&daemon.get(&greedy, "/v1/events")), Some(200));
}

#[test]
fn two_dozen_waiting_reads_are_all_answered_once_slots_are_free() {
    let daemon = Arc::new(Daemon::open());
    let greedy = daemon.token(Role::Read, None);
    let principal = daemon.principal(&greedy, None);
    let mut held = Vec::new();
    while let Ok(slot) = daemon.context.lanes.of(Lane::Read).ask(principal.clone(), true).unwrap().try_recv() {
        held.push(slot);
    }
    let hanging: Vec<JoinHandle<String>> = (0..24)
        .map(|_| {
            let (daemon, token) = (Arc::clone(&daemon), greedy.clone());
            thread::spawn(move || daemon.get(&token, "/v1/log"))
        })
        .collect();
    assert_eq!(status(&daemon.get(&daemon.token(Role::Read, None), "/v1/events")), Some(200));
    drop(held);
    for hanging in hanging {
        assert_eq!(status(&hanging.join().unwrap()), Some(200));
    }
}

#[test]
fn threads_that_hang_in_every_lane_at_once_leave_a_thread_for_each_slot() {
    let daemon = Daemon::open();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .max_blocking_threads(super::super::fair_limit::threads())
        .build()
        .unwrap();
    // Real threads, blocked: as many as two greedy tokens get in each lane. They end before the runtime does.
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let blocked = Arc::new(Mutex::new(blocked));
    let begun = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    runtime.block_on(async {
        for lane in Lane::ALL {
            for name in ["one", "two"] {
                for _ in 0..40 {
                    let share = Share::of(&daemon.context, lane, Principal::new(Some(&TokenHash::of(name)), None));
                    let (blocked, begun) = (Arc::clone(&blocked), Arc::clone(&begun));
                    tokio::spawn(async move {
                        let _ = share
                            .run(move || {
                                begun.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                                let _ = blocked.lock().unwrap().recv();
                            })
                            .await;
                    });
                }
            }
        }
        let all_hang = async {
            while begun.load(std::sync::atomic::Ordering::SeqCst) < 2 * Lane::ALL.len() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, all_hang).await.expect("two of each lane to begin");
        for lane in Lane::ALL {
            let share = Share::of(&daemon.context, lane, Principal::new(Some(&TokenHash::of("third")), None));
            let answered = tokio::time::timeout(PATIENCE, share.run(|| 7)).await;
            assert_eq!(answered.ok().and_then(Result::ok), Some(7), "{lane:?}");
        }
    });
    assert!(begun.load(std::sync::atomic::Ordering::SeqCst) >= 2 * Lane::ALL.len());
    drop(release);
}

#[test]
fn tests_of_a_url_that_hangs_do_not_keep_another_company_from_making_a_webhook_or_testing_one() {
    let daemon = Daemon::open();
    let hangs = daemon.token(Role::Admin, Some("hangs"));
    let works = daemon.token(Role::Admin, Some("works"));
    let company = Company::parse("hangs").unwrap();
    let concerned = daemon.principal(&hangs, Some("hangs")).concerning(&company);
    let _probes = daemon.occupy(Lane::Probe, &concerned);
    let _own = daemon.occupy(Lane::Probe, &daemon.principal(&hangs, Some("hangs")));
    // Names that hang at registration, for its own company and as the platform's administrator.
    let _checks = daemon.occupy(Lane::UrlCheck, &concerned);
    let webhook = |company: &str| format!(r#"{{"company":"{company}","url":"http://8.8.8.8/in","events":["*"]}}"#);
    let refused = daemon.ask(&hangs, "POST", "/v1/subscriptions", "application/json", &webhook("hangs"));
    assert_eq!(status(&refused), Some(429), "{refused}");
    for token in [works.as_str(), TOKEN] {
        let made = daemon.ask(token, "POST", "/v1/subscriptions", "application/json", &webhook("works"));
        assert_eq!(status(&made), Some(201), "{made}");
        // The address is refused by local rules: the test was made, but nothing was sent.
        let tested = daemon.ask(token, "POST", "/v1/test", "application/json", r#"{"url":"http://127.0.0.1:9/"}"#);
        assert_eq!(status(&tested), Some(200), "{tested}");
    }
    let id = daemon.context.services.store.subscriptions()[0].id;
    let path = format!("/v1/subscriptions/{id}");
    let changed = r#"{"url":"http://8.8.4.4/in"}"#;
    assert_eq!(status(&daemon.ask(&works, "PATCH", &path, "application/json", changed)), Some(200));
}
