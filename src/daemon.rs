//! The daemon: starts the modules in order, watches their threads, and stops them in order.
//!
//! Knows every module but the command line. A thread that dies, or a store that fails, stops the whole daemon in
//! order: there is no half-dead process that answers and does not deliver.
//!
//! Start: lock, store, token, senders and dispatcher, writer, listener. Stop, each stage with a time limit and a
//! log line: the listener accepts nothing more and finishes its requests; no attempt starts, those in flight finish;
//! the writer drains its queue; the store closes.

mod alarms;
mod clock;
mod fatal;
mod heartbeat;
mod measures;
mod moving;
mod owners;
mod provider;
mod reload;
mod store;

use std::collections::HashMap;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::alerts::owners::Owners;
use crate::alerts::rules::Sighting;
use crate::config::{Config, ConfigError, Keys, StoreEngine};
use crate::core::id::SubscriptionId;
use crate::dispatch::{self, Dispatcher, Gauge, Standing};
use crate::http::{self, FirstToken, Logo, Server, Services, Tls};
use crate::mail::MailerHandle;
use crate::metrics::Metrics;
use crate::oidc::Provider;
use crate::sender::handshake;
pub use crate::sender::handshake::{Handshake, Trouble};
use crate::sender::{Transport, TransportHandle, TransportSettings};
use crate::service::{self, DataDirLock, Hangups, OpenFiles};
use crate::store::{Running, Store};
use crate::telemetry;

use self::alarms::{Alarms, Sinks};
use self::clock::now;
use self::fatal::Cause;
pub use self::fatal::Fatal;
use self::heartbeat::Heartbeat;
pub use self::moving::{move_into_database, move_out_of_database};
pub use self::provider::provider;
pub use self::store::inspect_database;
pub use self::store::upgrade as upgrade_store;

/// Time limit for requests to finish when the daemon stops.
const HTTP_STOP: Duration = Duration::from_secs(10);
/// Time allowed for attempts beyond their own limit.
const SENDERS_STOP: Duration = Duration::from_secs(5);
/// Maximum wait for attempts, whatever their limit: `TimeoutStopSec` of the unit is above the sum of the stages.
const SENDERS_STOP_MOST: Duration = Duration::from_secs(30);
/// Time limit of the last alerts.
const ALERTS_STOP: Duration = Duration::from_secs(5);
/// Time limit of a mail to owners that is being sent: it is sent again after the next start.
const OWNERS_STOP: Duration = Duration::from_secs(2);
/// How long a response may wait for a client that does not read it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a running daemon ends.
enum End {
    StopSignal,
    /// Not an end: reload the configuration.
    Reload,
    Fatal(Fatal),
}

/// A running daemon.
pub struct Daemon {
    address: SocketAddr,
    token: store::Admin,
    attempt_limit: Duration,
    end: Receiver<End>,
    control: Sender<End>,
    tls: Option<Arc<Tls>>,
    server: Server,
    dispatcher: Dispatcher,
    writer: Running,
    alerts: Alarms,
    owners: Owners,
    store: Store,
    transport: Arc<TransportHandle>,
    provider: Option<Arc<Provider>>,
    /// The keys in force.
    in_force: Keys,
    /// The engine that runs, with its keys as last read.
    engine: StoreEngine,
    // Released last: until then no other process may open the store.
    lock: Option<DataDirLock>,
}

/// Runs the daemon until a signal ends it, or it cannot continue. `read` reads the configuration again at a SIGHUP.
/// Call while the process has no other thread.
///
/// # Errors
/// It could not start, or had to end.
pub fn run(config: &Config, read: impl Fn() -> Result<Config, ConfigError>) -> Result<(), Fatal> {
    let no_signals = |error: &dyn std::fmt::Display| {
        let what = format!("signals cannot be handled: {error}");
        Fatal::new(Cause::Failed, what)
    };
    let hangups = Hangups::keep().map_err(|error| no_signals(&error))?;
    let messages = telemetry::start(config.diagnostics).map_err(|error| Fatal::new(Cause::Bug, error))?;
    let mut daemon = Daemon::start(config)?;
    let (stop, hung_up, reload) = (daemon.control.clone(), daemon.control.clone(), daemon.control.clone());
    // A daemon that is stopping already no longer listens, which is fine.
    service::on_stop_signal(move || drop(stop.send(End::StopSignal))).map_err(|error| no_signals(&error))?;
    let reloads = hangups.on_each(move || drop(reload.send(End::Reload)), move || drop(hung_up.send(End::StopSignal)));
    reloads.map_err(|error| no_signals(&error))?;
    daemon.announce();
    let heartbeat = Heartbeat::start(daemon.url(), daemon.store.clone(), daemon.dispatcher.gauge());
    let heartbeat =
        heartbeat.map_err(|error| Fatal::new(Cause::Failed, format!("no thread for the heartbeat: {error}")))?;
    let end = loop {
        match daemon.end.recv().unwrap_or(End::StopSignal) {
            End::Reload => {
                service::notify_reloading();
                daemon.reload(read(), &messages);
                service::notify_ready(&format!("listening on {}", daemon.url()));
            }
            end => break end,
        }
    };
    heartbeat.map(Heartbeat::stop).unwrap_or_default();
    if let End::Fatal(fatal) = &end {
        tracing::error!("{fatal}");
    }
    let stopped = daemon.stop();
    match end {
        End::StopSignal => stopped,
        End::Fatal(fatal) => Err(fatal),
        End::Reload => stopped,
    }
}

impl Daemon {
    /// Starts everything; handles no signals and prints nothing.
    ///
    /// # Errors
    /// Something could not be started. What was started before is stopped.
    pub fn start(config: &Config) -> Result<Self, Fatal> {
        allow_open_files(config);
        let transport = Arc::new(TransportHandle::new(transport(config)?));
        let tls = certificate(config)?;
        let page = page_settings(config, tls.is_some())?;
        let provider = provider(config)?.map(Arc::new);
        let mut lock = store::lock(config)?;
        let listener = listener(config)?;
        let (idle, token) = store::open(config, lock.as_mut(), now())?;
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION"), now()).map(Arc::new);
        let metrics = metrics.map_err(|error| Fatal::new(Cause::Bug, error))?;
        let (control, end) = mpsc::channel();
        let failed = Arc::new(AtomicBool::new(false));
        let inbox = Arc::new(dispatch::Inbox::default());
        let (sinks, owners) = (Sinks::default(), owners::Beginning::new());

        let dispatcher = Dispatcher::start(
            idle.store().clone(),
            transport.clone(),
            dispatch_settings(config),
            Arc::new(now),
            inbox.clone(),
            owners.listener(alarms::listener(measures::of_deliveries(metrics.clone()), sinks.clone())),
            dispatcher_ended(&control),
        );
        let no_thread = |error| Fatal::new(Cause::Failed, format!("the dispatcher cannot be started: {error}"));
        let dispatcher = dispatcher.map_err(no_thread)?;
        let store = idle.store().clone();
        let (flag, store_failed, alerts_sink) = (failed.clone(), fatal(&control, Cause::Store), sinks.clone());
        let (answered, answers) = http::answers();
        let writer = idle.measured(measures::of_commits(metrics.clone())).answering(answered).start(
            now,
            move |decided, changes| inbox.changes(decided, changes),
            move |why| {
                flag.store(true, Ordering::Relaxed);
                alerts_sink.record(Sighting::Trouble(why.clone(), true));
                store_failed(why);
            },
        );
        let writer = writer.map_err(|error| Fatal::new(Cause::Failed, error))?;
        let alerts = Alarms::start(config, &sinks, (store.clone(), transport.clone(), metrics.clone()));
        let alerts = alerts.map_err(|error| Fatal::new(Cause::Failed, error))?;
        let owners = owners.start(&store, alerts.mailer(), config.page.clone());
        let owners = owners.map_err(|error| Fatal::new(Cause::Failed, format!("no thread for mails: {error}")))?;
        let first = FirstToken::new(token.hash, &token.kept_in);
        let services = services(config, store.clone(), transport.clone(), first, dispatcher.gauge(), failed, metrics);
        let services = reaching_out(services, provider.clone(), alerts.mailer().clone());
        let settings = http_settings(config, page, tls.clone());
        let server = http::serve(listener, services, answers, settings, Box::new(fatal(&control, Cause::Bug)));
        let server = server.map_err(|error| Fatal::new(Cause::Failed, error))?;
        if let Some(Err(error)) = lock.as_mut().map(|lock| lock.listening(server.address())) {
            tracing::warn!(%error, "the listen address could not be recorded in the data directory");
        }
        Ok(Self {
            address: server.address(),
            token,
            attempt_limit: config.senders.timeout,
            end,
            control,
            tls,
            server,
            dispatcher,
            writer,
            alerts,
            owners,
            store,
            transport,
            provider,
            in_force: config.keys.clone(),
            engine: config.store.engine.clone(),
            lock,
        })
    }

    /// The address listened on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Reads the files of `http.tls_cert` and `http.tls_key` again, for new connections. Does nothing without TLS.
    ///
    /// # Errors
    /// A sentence on the unusable file; the current certificate stays.
    pub fn reload_certificate(&self) -> Result<(), String> {
        self.tls.as_ref().map_or(Ok(()), |tls| tls.reload())
    }

    fn url(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.address)
    }

    /// The file of the admin token.
    pub fn admin_token_path(&self) -> &Path {
        &self.token.kept_in
    }

    /// Announces the daemon on standard output and to systemd.
    fn announce(&self) {
        let mut out = std::io::stdout().lock();
        // Standard output may be closed.
        let _ = writeln!(out, "listening on {}", self.url());
        if let Some(text) = &self.token.new {
            let kept_in = self.token.kept_in.display();
            let _ = writeln!(out, "admin token: {}  (shown this once; kept in {kept_in})", text.expose());
        }
        let _ = out.flush();
        service::notify_ready(&format!("listening on {}", self.url()));
    }

    /// Stops everything, in order.
    ///
    /// # Errors
    /// Something failed meanwhile, for example the store writing its queue.
    pub fn stop(self) -> Result<(), Fatal> {
        service::notify_stopping("finishing requests");
        tracing::info!("stopping: no new requests; finishing those in progress");
        let cut = self.server.stop(HTTP_STOP);
        if cut > 0 {
            tracing::warn!("{cut} connections were cut off after {} s", HTTP_STOP.as_secs());
        }
        tracing::info!("stopping: no new attempts; waiting for those in flight");
        service::notify_status("waiting for attempts in flight");
        let left = self.dispatcher.stop((self.attempt_limit + SENDERS_STOP).min(SENDERS_STOP_MOST));
        if left > 0 {
            tracing::warn!("{left} attempts had not ended; they are repeated after the next start");
        }
        self.owners.stop(OWNERS_STOP);
        tracing::info!("stopping: writing the queue");
        service::notify_status("closing the store");
        self.writer.stop();
        self.alerts.stop(ALERTS_STOP);
        drop(self.lock);
        let fatal = self.end.try_iter().find_map(|end| match end {
            End::Fatal(fatal) => Some(fatal),
            End::StopSignal | End::Reload => None,
        });
        if let Some(fatal) = fatal {
            tracing::error!("stopped, but {fatal}");
            return Err(fatal);
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// systemd's socket, or our own.
fn listener(config: &Config) -> Result<TcpListener, Fatal> {
    let unusable = |error| Fatal::new(Cause::Failed, format!("the socket of systemd cannot be used: {error}"));
    if let Some(listener) = service::inherited_listener().map_err(unusable)? {
        tracing::info!("the port is systemd's, by hookswitch.socket: `listen` in [http] is not used");
        return Ok(listener);
    }
    TcpListener::bind(config.http.listen).map_err(|error| cannot_listen(config.http.listen, &error))
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Fatal {
    let what = format!(
        "cannot listen on {address}: {error}; set `listen` in [http], or --listen, to a free address of this machine"
    );
    Fatal::new(Cause::Failed, what)
}

/// A callback that reports, possibly more than once, that the daemon cannot continue.
fn fatal(control: &Sender<End>, cause: Cause) -> impl Fn(String) + Send + use<> {
    let control = Mutex::new(control.clone());
    move |message| {
        let control = control.lock().unwrap_or_else(PoisonError::into_inner);
        // If nothing listens the daemon has ended already.
        drop(control.send(End::Fatal(Fatal::new(cause, message))));
    }
}

/// Reports why the dispatcher ended.
fn dispatcher_ended(control: &Sender<End>) -> impl FnOnce(dispatch::Ended) + Send + use<> {
    let (bug, store) = (fatal(control, Cause::Bug), fatal(control, Cause::Store));
    move |ended| match ended {
        dispatch::Ended::Panicked => bug("the dispatcher panicked".to_owned()),
        dispatch::Ended::Unreadable(why) => store(format!("outstanding deliveries cannot be read: {why}")),
    }
}

fn open_files(config: &Config) -> OpenFiles {
    OpenFiles::of(config.http.max_connections, config.senders.threads)
}

/// Raises the limit of open files to the maximum, and warns if that is not enough.
fn allow_open_files(config: &Config) {
    let needed = open_files(config).needed();
    match service::raise_open_files_limit() {
        Ok(limit) if limit >= needed => {}
        Ok(limit) => tracing::warn!(
            "{limit} files may be open, and up to {needed} are needed: attempts or clients may fail under load; raise \
             `LimitNOFILE=` in the unit (`ulimit -Hn` in a shell), or lower `threads` in [senders] or `max_connections` in [http]"
        ),
        Err(error) => tracing::warn!("the limit of open files cannot be raised: {error}"),
    }
}

fn transport(config: &Config) -> Result<Transport, Fatal> {
    let settings = TransportSettings {
        connect_timeout: config.senders.connect_timeout,
        timeout: config.senders.timeout,
        policy: config.network.policy.clone(),
        extra_ca: config.network.extra_ca.clone(),
        proxy: config.network.proxy.clone(),
        idle_most: open_files(config).idle(service::open_files_limit().unwrap_or(u64::MAX)),
    };
    Transport::new(settings).map_err(|error| Fatal::new(Cause::Configuration, error))
}

/// Performs handshakes as a daemon with this configuration would, without one: see [`handshake::with`].
///
/// # Errors
/// A file of `extra_ca` cannot be used.
pub fn handshakes(config: &Config) -> Result<impl Fn(&str, Duration) -> Result<Handshake, Trouble> + Sync, Fatal> {
    let transport = transport(config)?;
    Ok(move |url: &str, limit| handshake::with(&transport, url, limit))
}

/// Checks the files named in the configuration, without starting anything.
///
/// # Errors
/// Those that cannot be used; each message names one and its key.
pub fn check(config: &Config) -> Result<(), Vec<Fatal>> {
    let found = [
        transport(config).map(drop),
        store::database(config).map(drop),
        store::keys(config).map(drop),
        certificate(config).map(drop),
        page_settings(config, false).map(drop),
        provider(config).map(drop),
    ];
    let faults: Vec<Fatal> = found.into_iter().filter_map(Result::err).collect();
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

fn certificate(config: &Config) -> Result<Option<Arc<Tls>>, Fatal> {
    let loaded = config.http.tls.as_ref().map(Tls::load).transpose();
    loaded.map(|tls| tls.map(Arc::new)).map_err(|error| Fatal::new(Cause::Configuration, error))
}

fn dispatch_settings(config: &Config) -> dispatch::Settings {
    dispatch::Settings {
        threads: config.senders.threads,
        max_in_flight: config.senders.max_in_flight,
        hold: config.ordering.hold,
        retry: config.retry.clone(),
    }
}

fn page_settings(config: &Config, encrypted: bool) -> Result<http::PageSettings, Fatal> {
    let page = &config.page;
    if let Some(told) = page.accent.and_then(http::adjusted) {
        tracing::warn!("{told}");
    }
    let logo = page.logo.as_deref().map(Logo::load).transpose();
    Ok(http::PageSettings {
        url: page.url.clone(),
        encrypted,
        lifetime: page.session,
        cookie: match &config.store.engine {
            StoreEngine::Embedded { .. } => None,
            // The daemons of a schema share their sessions.
            StoreEngine::Postgres(postgres) => Some(postgres.schema.to_string()),
        },
        frame_ancestors: page.frame_ancestors.clone(),
        name: page.name.clone(),
        logo: logo.map_err(|error| Fatal::new(Cause::Configuration, error))?,
        accent: page.accent,
        support_url: page.support_url.clone(),
        language: page.language.clone(),
    })
}

fn http_settings(config: &Config, page: http::PageSettings, tls: Option<Arc<Tls>>) -> http::Settings {
    http::Settings {
        max_body_bytes: config.http.max_body_bytes,
        max_connections: config.http.max_connections,
        header_timeout: config.http.header_timeout,
        body_timeout: config.http.body_timeout,
        write_timeout: WRITE_TIMEOUT,
        connections_per_address: config.limits.connections_per_address,
        trusted_proxies: config.http.trusted_proxies.clone(),
        page,
        tls,
    }
}

fn services(
    config: &Config,
    store: Store,
    transport: Arc<TransportHandle>,
    admin_token: FirstToken,
    gauge: Gauge,
    failed: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
) -> Services {
    let seen = store.clone();
    let ready = move || {
        if failed.load(Ordering::Relaxed) {
            return Err("the store has failed, and the daemon is ending".to_owned());
        }
        seen.out_of_space().map_or(Ok(()), Err)
    };
    let source = gauge.clone();
    let budget = http::Budget::new(config.limits.memory);
    let measured = measures::text(metrics, store.clone(), gauge.clone(), budget.clone());
    Services {
        store,
        flows: Arc::new(move |ids| flows(&source, ids)),
        catalogue: Arc::new(config.catalogue.clone()),
        transport,
        admin_token,
        provider: None,
        can_mail: Box::new(|| false),
        default_ordering: config.ordering.default,
        senders: Box::new(move || {
            let (threads, busy) = gauge.senders();
            http::Senders { busy, threads }
        }),
        metrics: Arc::new(measured),
        metrics_public: config.http.metrics_public,
        budget,
        ready: Box::new(ready),
        started: now(),
        clock: Box::new(now),
    }
}

/// The same with what else of the outside the API needs.
fn reaching_out(services: Services, provider: Option<Arc<Provider>>, mailer: MailerHandle) -> Services {
    Services { provider, can_mail: Box::new(move || mailer.is_set()), ..services }
}

fn flows(gauge: &Gauge, ids: Vec<SubscriptionId>) -> HashMap<SubscriptionId, http::Flow> {
    let flow = |(id, standing): (SubscriptionId, Standing)| {
        let flow = http::Flow {
            state: standing.condition.as_str(),
            next_try: standing.next_try,
            in_flight: standing.in_flight,
            window: standing.limit,
        };
        (id, flow)
    };
    gauge.standings(ids).into_iter().map(flow).collect()
}
