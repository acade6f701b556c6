//! Connections to the server: how they are made, what is required of it, and its errors in words.
//!
//! The URL holds a password: nothing here prints it.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use postgres::config::Host;
use postgres::error::SqlState;
use postgres::{Client, Config, NoTls, SimpleQueryMessage, SimpleQueryRow};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::model::error::{Outage, StoreError};

/// Time limit of connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time limit of connecting, signing in and the first answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// After which silence of the network a connection counts as lost.
const NETWORK_TIMEOUT: Duration = Duration::from_secs(15);
/// The oldest server version (`server_version_num`).
const OLDEST_SERVER: i32 = 150_000;
/// What to do about sessions that are not this connection's own.
pub(super) const POOLED: &str = "a pooler between here and the server seems to share sessions (such as PgBouncer with \
                                 `pool_mode = transaction`): name the server itself in `url` of [store], or set \
                                 `pool_mode = session` for this database";

/// Makes connections.
#[derive(Clone)]
pub(super) struct Connector {
    /// The hosts of the URL, each as it is shown, in their order.
    hosts: Vec<(String, Config)>,
    /// The host that was last used: it is tried first, lest each connection waits for one that hangs.
    last: Arc<AtomicUsize>,
    tls: MakeRustlsConnect,
    schema: String,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connector({})", self.schema)
    }
}

/// Why the server cannot be used. The sentence names the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<postgres::Error> for Refusal {
    fn from(error: postgres::Error) -> Self {
        Self(describe(&error))
    }
}

impl Connector {
    /// Connections to `url`, whose tables are in `schema`, which must be a plain lower-case name.
    ///
    /// # Errors
    /// The URL is none of PostgreSQL's; the sentence does not contain it.
    pub(super) fn new(url: &str, schema: &str) -> Result<Self, Refusal> {
        // The parser's own errors name a key or a value's place, never the value.
        let wrong = |error: postgres::Error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            Refusal(format!(
                "`url` in [store] is not a PostgreSQL URL ({cause}): write postgresql://USER:PASSWORD@HOST/DATABASE"
            ))
        };
        let mut config: Config = url.parse().map_err(wrong)?;
        limit(&mut config);
        let (hosts, tls) = (each_host(&config), MakeRustlsConnect::new(tls()?));
        Ok(Self { hosts, last: Arc::default(), tls, schema: schema.to_owned() })
    }

    /// The schema of the tables.
    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// A new connection, to a host that is a primary. If another one has been promoted, that one is found.
    ///
    /// # Errors
    /// No host can be reached and used; with the reason of each.
    pub(super) fn connect(&self) -> Result<Client, Refusal> {
        self.connect_warned(&Arc::default())
    }

    /// The same; `warned` is set when the server sends a warning.
    ///
    /// # Errors
    /// As [`Connector::connect`].
    pub(super) fn connect_warned(&self, warned: &Arc<AtomicBool>) -> Result<Client, Refusal> {
        let mut refusals = Vec::new();
        let last = self.last.load(Ordering::Relaxed);
        for at in [last].into_iter().chain((0..self.hosts.len()).filter(|at| *at != last)) {
            match self.connect_to(at, warned) {
                Ok(client) => {
                    self.last.store(at, Ordering::Relaxed);
                    return Ok(client);
                }
                Err(refusal) => refusals.push((&self.hosts[at].0, refusal)),
            }
        }
        Err(match refusals.as_slice() {
            [(_, only)] => only.clone(),
            several => {
                let each: Vec<_> = several.iter().map(|(host, refusal)| format!("{host}: {refusal}")).collect();
                Refusal(format!("no host of `url` in [store] is a usable primary: {}", each.join("; ")))
            }
        })
    }

    /// A new connection to one of the hosts, within a time limit: the client limits the network's part alone, and a host
    /// that hangs would hold its caller for ever.
    fn connect_to(&self, host: usize, warned: &Arc<AtomicBool>) -> Result<Client, Refusal> {
        let (connector, warned, (answer, answered)) = (self.clone(), warned.clone(), mpsc::sync_channel(1));
        let connect = move || drop(answer.send(connector.connect_untimed(host, warned)));
        let spawned = thread::Builder::new().name("connect".to_owned()).spawn(connect);
        spawned.map_err(|error| Refusal(format!("no thread can be started: {error}")))?;
        let unanswered = |_| {
            let seconds = ANSWER_TIMEOUT.as_secs();
            Refusal(format!("PostgreSQL does not answer within {seconds} s: see whether the server hangs"))
        };
        answered.recv_timeout(ANSWER_TIMEOUT).map_err(unanswered)?
    }

    fn connect_untimed(&self, host: usize, warned: Arc<AtomicBool>) -> Result<Client, Refusal> {
        let mut config = self.hosts[host].1.clone();
        config.notice_callback(move |notice| {
            if *notice.code() == SqlState::WARNING {
                warned.store(true, Ordering::Relaxed);
            }
        });
        // A local socket has no name that a certificate could be for: rustls would refuse it before anything is sent.
        let local = matches!(config.get_hosts(), [Host::Unix(_)]);
        let made = if local { config.connect(NoTls) } else { config.connect(self.tls.clone()) };
        let mut client = made?;
        self.prepare(&mut client)?;
        Ok(client)
    }

    fn prepare(&self, client: &mut Client) -> Result<(), Refusal> {
        let asked = "SELECT current_setting('server_version_num'), pg_is_in_recovery(), \
                     current_setting('transaction_read_only')";
        let row = first_row(client, asked)?;
        let said = |column| row.get(column).map(String::as_str).unwrap_or_default();
        usable(said(0).parse().unwrap_or(0), said(1) == "t", said(2) == "on")?;
        // The schema is a plain name (the configuration checks it), so quoting is a matter of form.
        let settings = format!(
            "SET search_path = \"{}\"; SET idle_in_transaction_session_timeout = '30s'; SET plan_cache_mode = \
             force_custom_plan; SET jit = off; SET client_min_messages = warning",
            self.schema
        );
        Ok(client.batch_execute(&settings)?)
    }
}

/// The configuration of each host alone, with its name.
fn each_host(all: &Config) -> Vec<(String, Config)> {
    let names: Vec<Host> = all.get_hosts().iter().flat_map(parts).collect();
    let (addresses, ports) = (all.get_hostaddrs(), all.get_ports());
    let count = names.len().max(addresses.len());
    let are_pairs = names.is_empty() || addresses.is_empty() || names.len() == addresses.len();
    if count < 2 || !are_pairs || (ports.len() > 1 && ports.len() != count) {
        // One host, or a mistake that the client names when it connects.
        return vec![(String::new(), all.clone())];
    }
    let one = |at: usize| {
        let mut one = without_hosts(all);
        let mut shown = addresses.get(at).map(ToString::to_string).unwrap_or_default();
        match names.get(at) {
            Some(Host::Tcp(name)) => {
                one.host(name);
                shown.clone_from(name);
            }
            Some(Host::Unix(path)) => {
                one.host_path(path);
                shown = path.display().to_string();
            }
            None => {}
        }
        if let Some(address) = addresses.get(at) {
            one.hostaddr(*address);
        }
        if let Some(port) = ports.get(at).or_else(|| ports.first()) {
            one.port(*port);
            shown = format!("{shown}:{port}");
        }
        (shown, one)
    };
    (0..count).map(one).collect()
}

/// The hosts of a list: the client takes `?host=a,b` for one host.
fn parts(list: &Host) -> Vec<Host> {
    let list = match list {
        Host::Tcp(list) => list.as_str().into(),
        Host::Unix(list) => list.to_string_lossy(),
    };
    let one = |one: &str| if one.starts_with('/') { Host::Unix(one.into()) } else { Host::Tcp(one.to_owned()) };
    list.split(',').map(one).collect()
}

/// All that a URL says besides its hosts. That the server must be a primary is required of any.
fn without_hosts(all: &Config) -> Config {
    let mut one = Config::new();
    all.get_user().map(|user| one.user(user));
    all.get_password().map(|password| one.password(password));
    all.get_dbname().map(|name| one.dbname(name));
    all.get_options().map(|options| one.options(options));
    one.ssl_mode(all.get_ssl_mode()).ssl_negotiation(all.get_ssl_negotiation());
    one.channel_binding(all.get_channel_binding()).keepalives(all.get_keepalives());
    limit(&mut one);
    one
}

/// What is the same for all connections.
fn limit(config: &mut Config) {
    config.connect_timeout(CONNECT_TIMEOUT);
    config.tcp_user_timeout(NETWORK_TIMEOUT);
    config.keepalives_idle(NETWORK_TIMEOUT);
    config.keepalives_interval(CONNECT_TIMEOUT);
    config.keepalives_retries(3);
    config.application_name("hookswitch");
}

/// The first row of a statement without parameters, as text. Nothing is prepared: a pooler in between would lose it.
pub(super) fn first_row(client: &mut Client, sql: &str) -> Result<Vec<String>, postgres::Error> {
    let rows = client.simple_query(sql)?;
    let row = rows.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let columns =
        |row: &SimpleQueryRow| (0..row.len()).map(|column| row.get(column).unwrap_or_default().to_owned()).collect();
    Ok(row.map(columns).unwrap_or_default())
}

/// Whether a server can be used, by its version (`server_version_num`), whether it is a standby, and whether it lets
/// this user write.
fn usable(version: i32, standby: bool, read_only: bool) -> Result<(), Refusal> {
    let because = |why: &str| Err(Refusal(why.to_owned()));
    if version < OLDEST_SERVER {
        let version = version / 10_000;
        return because(&format!("the server is PostgreSQL {version}, and 15 or newer is needed: upgrade it"));
    }
    if standby {
        return because(
            "the server is a read-only standby: name the primary in `url` of [store], or all hosts, of which the \
             primary is used",
        );
    }
    if read_only {
        return because(
            "the server lets this user only read (default_transaction_read_only is on): set it to off for the user or \
             the database",
        );
    }
    Ok(())
}

/// The roots of the machine, for servers that are reached by TLS.
fn tls() -> Result<ClientConfig, Refusal> {
    let mut roots = RootCertStore::empty();
    for certificate in rustls_native_certs::load_native_certs().certs {
        // A root that rustls cannot read is of no use to it.
        let _ = roots.add(certificate);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| Refusal(format!("TLS cannot be used: {error}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// An error in words: what is wrong, and what to do.
pub(super) fn describe(error: &postgres::Error) -> String {
    let Some(said) = error.as_db_error() else { return describe_connection(error) };
    let (code, message) = (said.code(), said.message());
    let remedy = match *code {
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "check user and password of `url` in [store], and pg_hba.conf"
        }
        SqlState::INVALID_CATALOG_NAME => "create the database, or name another one in `url` of [store]",
        // The latter, if there is no right to look into the schema.
        SqlState::INSUFFICIENT_PRIVILEGE | SqlState::INVALID_SCHEMA_NAME => {
            "give the user of `url` in [store] CONNECT and CREATE on the database, or make it the owner of the schema \
             and of all in it"
        }
        SqlState::TOO_MANY_CONNECTIONS => "raise max_connections there, or lower `pool` in [store]",
        SqlState::DISK_FULL => "make room on the server's disk",
        SqlState::READ_ONLY_SQL_TRANSACTION => "the server has become read-only: name the primary in `url` of [store]",
        SqlState::CANNOT_CONNECT_NOW | SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN => {
            "the server is starting or stopping: it is tried again"
        }
        // A statement prepared by this session is not there, or one of another session is.
        SqlState::INVALID_SQL_STATEMENT_NAME | SqlState::DUPLICATE_PSTATEMENT => POOLED,
        SqlState::PROTOCOL_VIOLATION if message.contains("pool") => POOLED,
        _ => "see the server's own log",
    };
    format!("PostgreSQL says: {message} ({}); {remedy}", code.code())
}

/// An error that is not the server's own, in words.
fn describe_connection(error: &postgres::Error) -> String {
    let kind = error.to_string();
    let cause = std::error::Error::source(error).map_or_else(|| kind.clone(), ToString::to_string);
    let remedy = if kind.contains("TLS") {
        "name the host as its certificate does, have the certificate's issuer among this machine's roots \
         (update-ca-certificates), or, on a network that nobody else is on, write ?sslmode=disable behind `url` in [store]"
    } else if kind.contains("configuration") {
        "complete `url` in [store]: postgresql://USER:PASSWORD@HOST/DATABASE"
    } else if kind.contains("authentication") {
        "check user and password of `url` in [store]"
    } else {
        "check host and port of `url` in [store], and that the server runs"
    };
    format!("PostgreSQL cannot be reached ({cause}): {remedy}")
}

/// An error of a read or a write, by who must act.
pub(super) fn store_error(error: &postgres::Error) -> StoreError {
    match error.code() {
        Some(code) if *code == SqlState::DISK_FULL => StoreError::DiskFull(describe(error)),
        Some(code) if *code == SqlState::DATA_CORRUPTED || *code == SqlState::INDEX_CORRUPTED => {
            StoreError::corrupt_state(format!("is damaged: {}", describe(error)))
        }
        _ => StoreError::Unavailable(Outage::Away),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_used_if_it_is_a_primary_of_version_15_or_newer() {
        assert_eq!(usable(150_000, false, false), Ok(()));
        assert_eq!(usable(180_001, false, false), Ok(()));
        for (version, standby, read_only, wanted) in [
            (149_999, false, false, "is PostgreSQL 14, and 15 or newer is needed: upgrade it"),
            (90_624, true, true, "is PostgreSQL 9, and"),
            (150_000, true, true, "read-only standby: name the primary in `url` of [store]"),
            (150_000, false, true, "default_transaction_read_only is on"),
        ] {
            let refusal = usable(version, standby, read_only).unwrap_err().0;
            assert!(refusal.contains(wanted), "{refusal}");
        }
    }

    fn hosts(url: &str) -> Vec<(String, Config)> {
        each_host(&url.parse().unwrap())
    }

    #[test]
    fn each_host_has_all_of_the_url_but_the_other_hosts() {
        let url = "postgresql://u:hunter2@a:5433,[::1]:5434/db?sslmode=require&options=-cx%3D1&target_session_attrs=read-write";
        let several = hosts(url);
        let names: Vec<_> = several.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a:5433", "::1:5434"]);
        for (at, (_, one)) in several.iter().enumerate() {
            let all: Config = url.parse().unwrap();
            assert_eq!(one.get_hosts(), &all.get_hosts()[at..=at]);
            assert_eq!(one.get_ports(), &all.get_ports()[at..=at]);
            assert_eq!((one.get_user(), one.get_password()), (all.get_user(), all.get_password()));
            assert_eq!((one.get_dbname(), one.get_options()), (all.get_dbname(), all.get_options()));
            assert_eq!(one.get_ssl_mode(), all.get_ssl_mode());
            assert_eq!(one.get_connect_timeout(), Some(&CONNECT_TIMEOUT));
        }
        let shared = hosts("postgresql:///db?host=/run/one,/run/two&port=6000&user=u");
        assert!(shared.iter().all(|(_, one)| one.get_ports() == [6000]), "{shared:?}");
        assert_eq!(hosts("postgresql:///db?hostaddr=10.0.0.1,10.0.0.2&user=u")[1].1.get_hostaddrs().len(), 1);
        assert_eq!(hosts("postgresql://u@a/db").len(), 1);
        // The client says what is wrong here.
        assert_eq!(hosts("postgresql://u@a,b/db?hostaddr=10.0.0.1").len(), 1);
        assert_eq!(hosts("postgresql:///db?host=a,b,c&port=1,2").len(), 1);
    }
}
