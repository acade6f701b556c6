//! `status`: the daemon's state on one screen.

use std::io::Write;
use std::thread;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::client::{Client, read, with_query};
use super::connection::Connection;
use super::exit::{Exit, Failure};
use super::screen;
use super::table::{Column, Table};
use super::text::{count, number_of, safe, size};
use crate::core::json as text;

/// Show the daemon's queue and the health of each webhook
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status 0 if the daemon is ready, 1 if it is not or does not answer.

Examples:
  hookswitch status
  hookswitch status --watch
  hookswitch status --json | jq .queue")]
pub(super) struct Status {
    /// Print the daemon's reply as JSON
    #[arg(long)]
    json: bool,

    /// Show it anew every two seconds until interrupted
    #[arg(long, short, conflicts_with = "json")]
    watch: bool,

    #[command(flatten)]
    connection: Connection,
}

/// How often a watched status is shown anew.
const PERIOD: Duration = Duration::from_secs(2);
/// Puts the cursor into the upper left corner and clears the terminal (ECMA-48: CUP, ED).
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Stats {
    /// Absent for a token bound to one company, as are the senders.
    queue: Option<Queue>,
    oldest_pending: Option<String>,
    senders: Option<Senders>,
    disk: Option<Disk>,
    memory: Option<Memory>,
    /// Page by page; everything else is complete on each page.
    subscriptions: Vec<Health>,
    next: Option<String>,
    companies_without_webhook: Vec<Unserved>,
}

/// The subscriptions of a page, verbatim.
#[derive(Debug, Deserialize)]
struct Subscriptions {
    subscriptions: Vec<Box<RawValue>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Queue {
    pending: u64,
    retrying: u64,
    failed: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Senders {
    threads: u64,
    busy: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Disk {
    free_bytes: u64,
    min_free_bytes: u64,
    low: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Cluster {
    engine: String,
    unowned_shards: u64,
    daemons: Vec<Daemon>,
    standbys: Vec<Standby>,
}

#[derive(Debug, Deserialize)]
struct Daemon {
    name: String,
    version: String,
    started_at: String,
    alive: bool,
    shards: u64,
    this: bool,
}

#[derive(Debug, Deserialize)]
struct Standby {
    name: String,
    sync: String,
    state: String,
    lag_bytes: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Unserved {
    company: String,
    last_event: String,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Memory {
    used_bytes: u64,
    limit_bytes: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Health {
    id: String,
    url: String,
    company: String,
    enabled: bool,
    disabled_reason: Option<String>,
    waiting: u64,
    state: String,
    failing_since: Option<String>,
    failures: u64,
    next_try: Option<String>,
}

impl Status {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let client = Client::new(&self.connection)?;
        if !self.watch {
            return self.show(&client, out);
        }
        loop {
            // Complete before it is shown, so that nothing flickers.
            let mut shown = Vec::new();
            if let Err(failure) = self.show(&client, &mut shown) {
                writeln!(shown, "{}", failure.message)?;
            }
            out.write_all(if screen::is_terminal() { CLEAR } else { "\n" }.as_bytes())?;
            out.write_all(&shown)?;
            out.flush()?;
            thread::sleep(PERIOD);
        }
    }

    fn show(&self, client: &Client, out: &mut dyn Write) -> Result<Exit, Failure> {
        let ready = client.look("/readyz")?.status == 200;
        let pages = pages(client)?;
        if self.json {
            writeln!(out, "{}", joined(&pages)?)?;
        } else {
            write(client.base(), ready, &read_all(&pages)?, out)?;
            write_cluster(&cluster(client)?, out)?;
        }
        Ok(if ready { Exit::Done } else { Exit::Failed })
    }
}

/// The daemons of the store. Nothing for a token bound to one company, or from an older daemon.
fn cluster(client: &Client) -> Result<Cluster, Failure> {
    let reply = client.look("/v1/cluster")?;
    if reply.status == 200 { read(&reply.text) } else { Ok(Cluster::default()) }
}

/// The daemons, if there may be several, and the standbys.
fn write_cluster(cluster: &Cluster, out: &mut dyn Write) -> Result<(), Failure> {
    if cluster.engine != "postgres" {
        return Ok(());
    }
    writeln!(out)?;
    let mut table = Table::new(&[
        Column::text("DAEMON"),
        Column::text("VERSION"),
        Column::text("STARTED"),
        Column::text("STATE"),
        Column::number("SHARDS"),
    ]);
    for daemon in &cluster.daemons {
        let name = if daemon.this { format!("{} (this)", daemon.name) } else { daemon.name.clone() };
        let state = if daemon.alive { "ok" } else { "silent" };
        let (version, started) = (daemon.version.clone(), daemon.started_at.clone());
        table.row([name, version, started, state.to_owned(), daemon.shards.to_string()]);
    }
    table.write(out, "There are no daemons.")?;
    if cluster.unowned_shards > 0 {
        writeln!(out, "{} of 256 shards change hands", cluster.unowned_shards)?;
    }
    for Standby { name, sync, state, lag_bytes } in &cluster.standbys {
        let lag = lag_bytes.map_or_else(|| "unknown (grant pg_monitor)".to_owned(), size);
        writeln!(out, "standby  {} is {} ({}), lag {lag}", safe(name), safe(state), safe(sync))?;
    }
    Ok(())
}

/// The daemon's replies, until there are no more subscriptions. First without a parameter, which older versions do
/// not know.
fn pages(client: &Client) -> Result<Vec<String>, Failure> {
    let mut pages = vec![client.get("/v1/stats")?];
    while let Some(next) = read::<Stats>(&pages[pages.len() - 1])?.next {
        pages.push(client.get(&with_query("/v1/stats", &[("cursor", Some(&next))]))?);
    }
    Ok(pages)
}

/// The figures of the first page, with the subscriptions of all.
fn read_all(pages: &[String]) -> Result<Stats, Failure> {
    let mut pages = pages.iter().map(|page| read::<Stats>(page));
    let mut all = pages.next().unwrap_or_else(|| Ok(Stats::default()))?;
    for page in pages {
        all.subscriptions.append(&mut page?.subscriptions);
    }
    all.next = None;
    Ok(all)
}

/// The pages joined into one reply.
fn joined(pages: &[String]) -> Result<String, Failure> {
    let [first, _, ..] = pages else { return Ok(pages.iter().map(|page| page.trim_end()).collect()) };
    let mut subscriptions = Vec::new();
    for page in pages {
        subscriptions.extend(read::<Subscriptions>(page)?.subscriptions);
    }
    let list = subscriptions.iter().map(|one| one.get()).collect::<Vec<_>>().join(",");
    let member = |(name, value): text::Member<'_>| {
        let value = match name.as_ref() {
            "subscriptions" => format!("[{list}]"),
            "next" => "null".to_owned(),
            _ => value.get().to_owned(),
        };
        format!("{}:{value}", text::quote(&name))
    };
    let members = text::parse(first).and_then(text::members).map_err(Failure::new)?;
    Ok(format!("{{{}}}", members.into_iter().map(member).collect::<Vec<_>>().join(",")))
}

fn write(base: &str, ready: bool, stats: &Stats, out: &mut dyn Write) -> Result<(), Failure> {
    let state = if ready { "ready" } else { "NOT READY" };
    writeln!(out, "daemon   {} is {state}", safe(base))?;
    if let Some(Queue { pending, retrying, failed }) = stats.queue {
        let [pending, retrying, failed] = [pending, retrying, failed].map(count);
        writeln!(out, "queue    {pending} pending, {retrying} retrying, {failed} failed (dead letters)")?;
    }
    if let Some(oldest) = &stats.oldest_pending {
        writeln!(out, "oldest   pending since {}", safe(oldest))?;
    }
    if let Some(Senders { threads, busy }) = stats.senders {
        writeln!(out, "senders  {busy} of {threads} busy")?;
    }
    if let Some(Disk { free_bytes, min_free_bytes, low }) = stats.disk {
        let (free, least) = (size(free_bytes), size(min_free_bytes));
        let note = if low { "; LOW: events are refused" } else { "" };
        writeln!(out, "disk     {free} free, {least} to stay free{note}")?;
    }
    if let Some(Memory { used_bytes, limit_bytes }) = stats.memory {
        let (used, limit) = (size(used_bytes), size(limit_bytes));
        writeln!(out, "memory   {used} of {limit} for unread responses and incomplete bodies")?;
    }
    writeln!(out)?;
    let mut table = Table::new(&[
        Column::id("SUBSCRIPTION"),
        Column::elastic("COMPANY"),
        Column::elastic("URL"),
        Column::state("STATE"),
        Column::number("WAITING"),
    ]);
    for health in &stats.subscriptions {
        let state = health.state().to_owned();
        table.row([health.id.clone(), health.company.clone(), health.url.clone(), state, count(health.waiting)]);
    }
    table.write(out, "There are no subscriptions.")?;
    for trouble in stats.subscriptions.iter().filter_map(Health::trouble) {
        writeln!(out, "\n{trouble}")?;
    }
    const SHOWN: usize = 10;
    let unserved = &stats.companies_without_webhook;
    if !unserved.is_empty() {
        writeln!(out, "\ncompanies that post and have no webhook (is a name misspelt?):")?;
    }
    for Unserved { company, last_event } in unserved.iter().take(SHOWN) {
        let line = format!("  {}  latest event {}", safe(company), safe(last_event));
        writeln!(out, "{}", screen::fit(&line, 0))?;
    }
    if unserved.len() > SHOWN {
        writeln!(out, "  and {} more", unserved.len() - SHOWN)?;
    }
    Ok(())
}

impl Health {
    fn state(&self) -> &str {
        match (self.enabled, self.state.as_str(), self.failures) {
            (false, ..) => "disabled",
            (true, "down", _) => "down",
            (true, _, 1..) => "failing",
            (true, "slow", _) => "slow",
            (true, ..) => "ok",
        }
    }

    /// A line on what is wrong, if anything.
    fn trouble(&self) -> Option<String> {
        let id = safe(&self.id);
        if !self.enabled {
            let reason = self.disabled_reason.as_deref().unwrap_or("no reason is known");
            return Some(format!("{id} is disabled: {}", safe(reason)));
        }
        let since = self.failing_since.as_deref().map_or_else(String::new, |since| format!(" since {}", safe(since)));
        let times = number_of(self.failures, "time");
        let next = self
            .next_try
            .as_deref()
            .map_or_else(String::new, |next| format!("\n  its receiver is down and is probed next at {}", safe(next)));
        (self.failures > 0).then(|| format!("{id} has failed {times}{since}{next}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::table::WIDTH;
    use crate::cli::text::width;

    #[test]
    fn the_summary_shows_what_is_wrong() {
        let reply = r#"{"queue":{"pending":1,"retrying":2,"failed":3},"oldest_pending":"2026-11-23T09:30:00.000Z",
            "senders":{"threads":16,"busy":4},
            "disk":{"free_bytes":104857600,"min_free_bytes":268435456,"low":true},
            "memory":{"used_bytes":1048576,"limit_bytes":268435456},"subscriptions":[
            {"id":"sub_01ARZ3NDEKTSV4RRFFQ69G5FAV","url":"https://www.acme.example/a/very/long/path/to/a/hook","company":"acme",
             "enabled":true,"waiting":2,"state":"down","failing_since":"2026-11-23T09:00:00.000Z","failures":7,
             "next_try":"2026-11-23T09:31:00.000Z"},
            {"id":"sub_2","url":"http://b","company":"b","enabled":false,"disabled_reason":"disabled by hand","waiting":0}],
            "companies_without_webhook":[{"company":"acmee","last_event":"2026-11-23T09:31:00.000Z"}]}"#;
        let mut out = Vec::new();
        write("http://127.0.0.1:4665", true, &read(reply).unwrap(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for wanted in [
            "http://127.0.0.1:4665 is ready",
            "1 pending, 2 retrying, 3 failed",
            "4 of 16 busy",
            "100.0 MiB free, 256.0 MiB to stay free; LOW: events are refused",
            "1.0 MiB of 256.0 MiB for unread responses",
            "has failed 7 times since 2026-11-23T09:00",
            "probed next at",
            "sub_2 is disabled: disabled by hand",
            "no webhook (is a name misspelt?):\n  acmee  latest event 2026-11-23T09:31",
        ] {
            assert!(text.contains(wanted), "{wanted} in\n{text}");
        }
        assert!(text.lines().all(|line| width(line) <= WIDTH), "{text}");
    }

    #[test]
    fn daemons_and_standbys_are_shown_where_there_may_be_several() {
        let reply = r#"{"engine":"postgres","shards":256,"unowned_shards":3,"daemons":[
            {"id":"1","name":"db1/7","version":"0.1.0","started_at":"2026-11-23T09:30:00.000Z","alive":true,"shards":128,"this":true},
            {"id":"2","name":"db2/9","version":"0.1.0","started_at":"2026-11-23T09:31:00.000Z","alive":false,"shards":125,"this":false}],
            "standbys":[{"name":"walreceiver","sync":"sync","state":"streaming","lag_bytes":16}]}"#;
        let mut out = Vec::new();
        write_cluster(&read(reply).unwrap(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for wanted in
            ["db1/7 (this)", "silent", "125", "3 of 256 shards", "walreceiver is streaming (sync), lag 16 bytes"]
        {
            assert!(text.contains(wanted), "{wanted} in\n{text}");
        }
        let mut out = Vec::new();
        write_cluster(&read(r#"{"engine":"embedded"}"#).unwrap(), &mut out).unwrap();
        assert!(out.is_empty());
    }

    #[test]
    fn pages_are_read_as_one() {
        let page = |id: &str, next: &str| {
            format!(
                r#"{{"version":"1","queue":{{"pending":7}},"subscriptions":[{{"id":"{id}","x": 1.0}}],"next":{next}}}"#
            )
        };
        let pages = [page("sub_1", "\"c1\""), page("sub_2", "\"c2\""), page("sub_3", "null")];
        let all = read_all(&pages).unwrap();
        let ids: Vec<_> = all.subscriptions.iter().map(|one| one.id.as_str()).collect();
        assert_eq!((ids, all.queue.map(|queue| queue.pending)), (vec!["sub_1", "sub_2", "sub_3"], Some(7)));
        let subscriptions = r#"[{"id":"sub_1","x": 1.0},{"id":"sub_2","x": 1.0},{"id":"sub_3","x": 1.0}]"#;
        let wanted =
            format!(r#"{{"version":"1","queue":{{"pending":7}},"subscriptions":{subscriptions},"next":null}}"#);
        assert_eq!(joined(&pages).unwrap(), wanted);
        assert_eq!(joined(&pages[2..]).unwrap(), pages[2], "one page is as the daemon wrote it");
    }

    #[test]
    fn a_daemon_that_says_less_is_understood() {
        let mut out = Vec::new();
        write("http://a", false, &read("{}").unwrap(), &mut out).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("NOT READY"));
    }
}
