//! The running daemon, if any: its limit of open files, whether it answers, its version; otherwise whether its port
//! is free.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use nix::sys::resource::{Resource, getrlimit};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::client::{Client, read};
use super::super::connection::Credentials;
use super::check::Check;
use super::disk::Holder;
use crate::config::Config;
use crate::core::hidden::Hidden;
use crate::service::{AdminToken, OpenFiles};

/// Information from a daemon that answers.
#[derive(Default)]
pub(super) struct DaemonInfo {
    /// Its subscriptions; `None` if it does not report them.
    pub(super) subscriptions: Option<Vec<Subscription>>,
    /// Compares its version; `None` if it does not report it.
    pub(super) version: Option<Check>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Stats {
    version: String,
}

/// A subscription, as far as its receiver is concerned.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Subscription {
    pub(super) id: String,
    pub(super) url: String,
    pub(super) enabled: bool,
    /// The client certificate, as PEM.
    pub(super) client_cert: Option<String>,
}

/// Whether the limit of open files covers the maximum number of connections.
pub(super) fn open_files(config: &Config, holder: Holder) -> Check {
    const NAME: &str = "open files";
    let needed = OpenFiles::of(config.http.max_connections, config.senders.threads).needed();
    let daemons = if let Holder::Daemon { pid: Some(pid), .. } = holder { limit_of(pid) } else { None };
    let (subject, limit) = match daemons {
        Some(limit) => ("the daemon", limit),
        None => match getrlimit(Resource::RLIMIT_NOFILE) {
            // A daemon raises its own limit to the hard limit.
            Ok((_, limit)) => ("a daemon started from here", limit),
            Err(error) => {
                return Check::warn(NAME, format!("the limit cannot be read: {error}"), "check with `ulimit -n`");
            }
        },
    };
    let message = format!("{subject} may have {limit} open; up to {needed} are needed");
    if limit >= needed {
        return Check::ok(NAME, message);
    }
    let advice = "raise it (`LimitNOFILE=` in the unit, `ulimit -Hn` in a shell), or lower `threads` in [senders] or \
        `max_connections` in [http]";
    if daemons.is_some() { Check::fail(NAME, message, advice) } else { Check::warn(NAME, message, advice) }
}

/// The soft limit of open files of a process.
fn limit_of(pid: u32) -> Option<u64> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let soft = line.split_whitespace().next()?;
    if soft == "unlimited" { Some(u64::MAX) } else { soft.parse().ok() }
}

/// Whether the daemon answers, or its port is free if it does not run. A running daemon is contacted at its recorded
/// listen address, which `serve --listen` and systemd may override.
pub(super) fn port(config: &Config, token: Option<&Hidden>, holder: Holder) -> (Check, DaemonInfo) {
    const NAME: &str = "port";
    let configured = config.http.listen;
    let recorded = if let Holder::Daemon { listens, .. } = holder { listens } else { None };
    let listen = recorded.unwrap_or(configured);
    match answers(config, token, listen) {
        Ok(Some(Ok(info))) => {
            let other = listen != configured && configured.port() != 0;
            let told_so =
                if other { format!("; `listen` in [http], as read here, is {configured}") } else { String::new() };
            return (Check::ok(NAME, format!("a daemon answers at {listen}, and is ready{told_so}")), info);
        }
        Ok(Some(Err(why))) => {
            let advice = "the message gives the reason; see also `journalctl -u hookswitch`";
            return (
                Check::fail(NAME, format!("the daemon at {listen} is not ready: {why}"), advice),
                DaemonInfo::default(),
            );
        }
        Ok(None) => {}
        Err(why) => {
            let advice = "check whether another program uses the port (ss -ltnp)";
            return (
                Check::fail(NAME, format!("communication with {listen} failed: {why}"), advice),
                DaemonInfo::default(),
            );
        }
    }
    let check = match (TcpListener::bind(listen), holder) {
        (_, Holder::Daemon { .. }) => Check::fail(
            NAME,
            format!("a daemon runs on the data directory, and nothing answers at {listen}"),
            "it may still be starting, or hang: `systemctl status hookswitch`",
        ),
        (Ok(_), _) => Check::ok(NAME, format!("{listen} is free: no daemon runs")),
        (Err(error), _) => Check::fail(
            NAME,
            format!("{listen} cannot be listened on: {error}"),
            "stop the program that uses the port (ss -ltnp), or set `listen` in [http] to a free address of this machine",
        ),
    };
    (check, DaemonInfo::default())
}

/// What the daemon at `place` reports; `None` if nothing answers, and an inner text if it is not ready.
fn answers(
    config: &Config,
    token: Option<&Hidden>,
    mut place: SocketAddr,
) -> Result<Option<Result<DaemonInfo, String>>, String> {
    if place.ip().is_unspecified() {
        let here = if place.is_ipv4() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { IpAddr::V6(Ipv6Addr::LOCALHOST) };
        place = SocketAddr::new(here, place.port());
    }
    if place.port() == 0 {
        return Ok(None);
    }
    let credentials = Credentials::of(token, &AdminToken::path(&config.data_dir));
    let has_token = credentials.token.is_some();
    let client = match &config.http.tls {
        // By address, which its certificate need not cover, and by an authority this machine need not trust.
        Some(files) => Client::knowing(&format!("https://{place}"), credentials, &files.cert),
        None => Client::with(&format!("http://{place}"), credentials),
    };
    let client = client.map_err(|failure| failure.message)?;
    if client.get_if_running("/healthz").map_err(|failure| failure.message)?.is_none() {
        return Ok(None);
    }
    if let Err(failure) = client.get("/readyz") {
        return Ok(Some(Err(failure.message)));
    }
    let subscriptions = client.list("/v1/subscriptions?limit=500").ok();
    let info = info(client.get("/v1/stats").ok().as_deref(), subscriptions);
    Ok(Some(Ok(if has_token { info } else { DaemonInfo { version: Some(without_token()), ..info } })))
}

/// Nothing was asked that needs a token.
fn without_token() -> Check {
    let advice = "set HOOKSWITCH_TOKEN, or run this as a user that can read admin.token in the data directory (a daemon on \
                  PostgreSQL has no such file: its admin token was printed once, at its first start)";
    Check::warn("version", "the daemon tells its version and its webhooks with a token only", advice)
}

fn info(stats: Option<&str>, subscriptions: Option<Vec<Box<RawValue>>>) -> DaemonInfo {
    let version = stats.and_then(|text| read::<Stats>(text).ok()).map(|stats| version(&stats.version));
    let subscriptions = subscriptions.and_then(|all| all.iter().map(|one| read(one.get()).ok()).collect());
    DaemonInfo { subscriptions, version }
}

fn version(running: &str) -> Check {
    const NAME: &str = "version";
    let own = env!("CARGO_PKG_VERSION");
    if running == own {
        return Check::ok(NAME, format!("{own}, and so is the daemon"));
    }
    let advice = "restart the daemon to run the installed version: systemctl restart hookswitch";
    Check::warn(NAME, format!("this is {own}, and the daemon is {running}"), advice)
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;

    #[test]
    fn a_daemon_describes_itself() {
        let list = |text: &str| Some(serde_json::from_str(text).unwrap());
        let whole = info(Some(r#"{"version":"0.0.1"}"#), list(r#"[{"url":"https://a.example/x","enabled":true}]"#));
        assert_eq!(whole.subscriptions.unwrap()[0].url, "https://a.example/x");
        assert_eq!(whole.version.unwrap().state, State::Warn);
        assert_eq!(version(env!("CARGO_PKG_VERSION")).state, State::Ok);
        let nothing = info(None, None);
        assert!(nothing.version.is_none() && nothing.subscriptions.is_none());
        let rubbish = info(Some("rubbish"), list(r#"[{"url":"https://a.example/"},7]"#));
        assert!(rubbish.version.is_none() && rubbish.subscriptions.is_none());
    }

    #[test]
    fn the_limit_of_this_process_is_read() {
        let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(limit_of(std::process::id()), Some(soft));
        assert_eq!(limit_of(u32::MAX), None);
    }
}
