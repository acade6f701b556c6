//! Connections to the server: how they are made, what is required of it, and its errors in words.
//!
//! The URL holds a password: nothing here prints it.

use std::fmt;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use postgres::config::Host;
use postgres::error::SqlState;
use postgres::{Client, Config, NoTls};
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

/// Makes connections.
#[derive(Clone)]
pub(super) struct Connector {
    config: Config,
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
        config.connect_timeout(CONNECT_TIMEOUT);
        config.tcp_user_timeout(NETWORK_TIMEOUT);
        config.keepalives_idle(NETWORK_TIMEOUT);
        config.keepalives_interval(CONNECT_TIMEOUT);
        config.keepalives_retries(3);
        config.application_name("hookswitch");
        Ok(Self { config, tls: MakeRustlsConnect::new(tls()?), schema: schema.to_owned() })
    }

    /// The schema of the tables.
    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// A new connection.
    ///
    /// # Errors
    /// The server cannot be reached, refuses, or cannot be used.
    pub(super) fn connect(&self) -> Result<Client, Refusal> {
        // The client limits the time of the network's part alone. A server that hangs would hold its caller for ever.
        let (connector, (answer, answered)) = (self.clone(), mpsc::sync_channel(1));
        let connect = move || drop(answer.send(connector.connect_in_time()));
        let spawned = thread::Builder::new().name("connect".to_owned()).spawn(connect);
        spawned.map_err(|error| Refusal(format!("no thread can be started: {error}")))?;
        let unanswered = |_| {
            let seconds = ANSWER_TIMEOUT.as_secs();
            Refusal(format!("PostgreSQL does not answer within {seconds} s: see whether the server hangs"))
        };
        answered.recv_timeout(ANSWER_TIMEOUT).map_err(unanswered)?
    }

    fn connect_in_time(&self) -> Result<Client, Refusal> {
        // A local socket has no name that a certificate could be for: rustls would refuse it before anything is sent.
        let local = self.config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
        let made = if local { self.config.connect(NoTls) } else { self.config.connect(self.tls.clone()) };
        let mut client = made?;
        self.prepare(&mut client)?;
        Ok(client)
    }

    fn prepare(&self, client: &mut Client) -> Result<(), Refusal> {
        let asked = client.query_one("SELECT current_setting('server_version_num')::int, pg_is_in_recovery()", &[]);
        let row = asked?;
        let (version, standby): (i32, bool) = (row.get(0), row.get(1));
        if version < OLDEST_SERVER {
            let version = version / 10_000;
            return Err(Refusal(format!("the server is PostgreSQL {version}, and 15 or newer is needed: upgrade it")));
        }
        if standby {
            return Err(Refusal(
                "the server is a read-only standby: name the primary in `url` of [store], or all hosts with \
                 ?target_session_attrs=read-write"
                    .to_owned(),
            ));
        }
        // The schema is a plain name (the configuration checks it), so quoting is a matter of form.
        let settings = format!(
            "SET search_path = \"{}\"; SET idle_in_transaction_session_timeout = '30s'; SET plan_cache_mode = \
             force_custom_plan; SET jit = off; SET client_min_messages = warning",
            self.schema
        );
        Ok(client.batch_execute(&settings)?)
    }
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
    let Some(said) = error.as_db_error() else {
        let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_else(|| error.to_string());
        return format!(
            "PostgreSQL cannot be reached ({cause}): check host and port of `url` in [store], and that the server runs"
        );
    };
    let (code, message) = (said.code(), said.message());
    let remedy = match *code {
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "check user and password of `url` in [store], and pg_hba.conf"
        }
        SqlState::INVALID_CATALOG_NAME => "create the database, or name another one in `url` of [store]",
        SqlState::INSUFFICIENT_PRIVILEGE => {
            "give the user of `url` in [store] CREATE on the database, or make it the owner of the schema"
        }
        SqlState::TOO_MANY_CONNECTIONS => "raise max_connections there, or lower `pool` in [store]",
        SqlState::DISK_FULL => "make room on the server's disk",
        SqlState::READ_ONLY_SQL_TRANSACTION => "the server has become read-only: name the primary in `url` of [store]",
        SqlState::CANNOT_CONNECT_NOW | SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN => {
            "the server is starting or stopping: it is tried again"
        }
        _ => "see the server's own log",
    };
    format!("PostgreSQL says: {message} ({}); {remedy}", code.code())
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
