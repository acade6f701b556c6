//! The daemon as a child process: the real binary on a new data directory, or a new schema of PostgreSQL.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::client::Target;
use super::engine::{Server, Work, server};
use super::receiver::Receiver;
use super::{COMPANY, Outcome};

/// Time limit for it to listen.
const START: Duration = Duration::from_secs(30);
/// Precedes the address on its standard output.
const LISTENING: &str = "listening on ";
/// Precedes the admin token there, at the first start.
const TOKEN: &str = "admin token: ";

/// A running daemon; killed, and its directory removed, when dropped.
pub(crate) struct Daemon {
    child: Child,
    directory: TempDir,
    /// Where its data is, if not there.
    schema: Option<(&'static Server, String)>,
    /// Its address, with the admin token.
    pub(crate) target: Target,
}

impl Daemon {
    /// Starts one with `settings` in its environment. Its directory is below cargo's target directory, which is on a
    /// disk where `/tmp` may be memory.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Outcome<Self> {
        let schema = server()?.map(|server| (server, server.new_schema()));
        Self::launch(TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?, schema, None, settings)
    }

    /// Starts another one beside it, on the same schema.
    pub(crate) fn beside(&self) -> Outcome<Self> {
        let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
        Self::launch(directory, self.schema.clone(), Some(self.target.token.clone()), &[])
    }

    /// Kills it and starts another on the same data; returns that, and the time until it listened.
    pub(crate) fn restart(mut self, settings: &[(&str, &str)]) -> Outcome<(Self, Duration)> {
        self.child.kill()?;
        self.child.wait()?;
        let empty = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
        let directory = std::mem::replace(&mut self.directory, empty);
        let start = Instant::now();
        let token = Some(std::mem::take(&mut self.target.token));
        let daemon = Self::launch(directory, self.schema.take(), token, settings)?;
        Ok((daemon, start.elapsed()))
    }

    /// `token` is that of the first start, if this is not the first.
    fn launch(
        directory: TempDir,
        schema: Option<(&'static Server, String)>,
        token: Option<String>,
        settings: &[(&str, &str)],
    ) -> Outcome<Self> {
        let data = directory.path().join("data");
        let messages = directory.path().join("messages");
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
        // Variables of the bench and of the shell would be settings of the daemon.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HOOKSWITCH_")) {
            command.env_remove(name);
        }
        let mut child = command
            .envs(passed_on())
            .args(["serve", "--listen", "127.0.0.1:0", "--allow", "127.0.0.0/8", "--data-dir"])
            .arg(&data)
            .envs(settings.iter().copied())
            .envs(schema.iter().flat_map(|(server, schema)| {
                let values = [("ENGINE", "postgres".to_owned()), ("URL", server.url()), ("SCHEMA", schema.clone())];
                values.map(|(key, value)| (format!("HOOKSWITCH_STORE__{key}"), value))
            }))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&messages)?)
            .spawn()?;
        // The schema has only a hash of the token.
        let is_told = schema.is_some() && token.is_none();
        let said = first_lines(&mut child, is_told);
        // From here on the child is killed in any case.
        let target = Target { address: ([127, 0, 0, 1], 0).into(), token: String::new() };
        let mut daemon = Self { child, directory, schema, target };
        let (url, told) = said.map_err(|fault| format!("{fault}; it said: {}", tail(&messages)))?;
        let address = url.strip_prefix("http://").ok_or_else(|| format!("`{url}` is not an http URL"))?;
        let token = match token.or(told) {
            Some(token) => token,
            None => fs::read_to_string(data.join("admin.token"))?.trim().to_owned(),
        };
        daemon.target = Target { address: address.trim_end_matches('/').parse()?, token };
        Ok(daemon)
    }

    /// Creates a subscription of [`COMPANY`] to every event type; returns its id.
    pub(crate) fn subscribe(&self, url: &str, enabled: bool) -> Outcome<String> {
        self.subscribe_for(COMPANY, url, enabled)
    }

    /// Creates a subscription of `company` to every event type; returns its id.
    pub(crate) fn subscribe_for(&self, company: &str, url: &str, enabled: bool) -> Outcome<String> {
        let body = format!(r#"{{"company":"{company}","url":"{url}","events":["*"],"enabled":{enabled}}}"#);
        let made = self.target.ask("POST", "/v1/subscriptions", &body, 201)?;
        made["id"].as_str().map(str::to_owned).ok_or_else(|| format!("no id in {made}").into())
    }

    /// Creates a subscription of [`COMPANY`] for each of `receivers`; returns their ids.
    pub(crate) fn subscribe_all(&self, receivers: &[Receiver], scheme: &str, enabled: bool) -> Outcome<Vec<String>> {
        let url = |receiver: &Receiver| format!("{scheme}://{}/hook", receiver.address);
        receivers.iter().map(|receiver| self.subscribe(&url(receiver), enabled)).collect()
    }

    /// Enables a subscription.
    pub(crate) fn enable(&self, subscription: &str) -> Outcome<()> {
        self.change(subscription, r#"{"enabled":true}"#)
    }

    /// Changes a subscription.
    pub(crate) fn change(&self, subscription: &str, members: &str) -> Outcome<()> {
        self.target.ask("PATCH", &format!("/v1/subscriptions/{subscription}"), members, 200).map(drop)
    }

    /// The number of its waiting deliveries.
    pub(crate) fn waiting(&self, subscription: &str) -> Outcome<u64> {
        let shown = self.target.ask("GET", &format!("/v1/subscriptions/{subscription}"), "", 200)?;
        shown["waiting"].as_u64().ok_or_else(|| format!("no `waiting` in {shown}").into())
    }

    /// Waits until at most `most` of its deliveries are waiting.
    pub(crate) fn wait_for_waiting(&self, subscription: &str, most: u64, patience: Duration) -> Outcome<()> {
        let start = Instant::now();
        loop {
            let waiting = self.waiting(subscription)?;
            if waiting <= most {
                return Ok(());
            }
            if start.elapsed() > patience {
                return Err(format!("{waiting} deliveries still wait after {patience:?}").into());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Processor time used, in seconds.
    pub(crate) fn processor_seconds(&self) -> Outcome<f64> {
        const TICKS_PER_SECOND: f64 = 100.0; // USER_HZ, the same on every Linux
        let text = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let behind_name = text.rsplit_once(')').ok_or("no name in stat")?.1;
        let fields: Vec<&str> = behind_name.split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).ok_or("a short stat");
        Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
    }

    /// The number of threads.
    pub(crate) fn threads(&self) -> Outcome<u64> {
        self.proc_number("status", "Threads:")
    }

    /// Processor time used by its threads in seconds, by thread name without numbers.
    pub(crate) fn processor_by_thread(&self) -> Outcome<BTreeMap<String, f64>> {
        let mut seconds = BTreeMap::new();
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let task = task?.path();
            // A thread may have ended meanwhile.
            let read = |file: &str| fs::read_to_string(task.join(file)).unwrap_or_default();
            let (name, used) = (read("comm"), read("schedstat"));
            let name = name.trim().trim_end_matches(|c: char| c.is_ascii_digit() || c == '-').to_owned();
            let nanos = used.split_whitespace().next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or_default();
            *seconds.entry(name).or_default() += nanos / 1e9;
        }
        Ok(seconds)
    }

    /// Its resident memory, in bytes.
    pub(crate) fn resident(&self) -> Outcome<u64> {
        self.proc_number("status", "VmRSS:").map(|kib| kib * 1024)
    }

    /// The name of its schema, if it has one.
    pub(crate) fn schema(&self) -> Option<&str> {
        self.schema.as_ref().map(|(_, schema)| schema.as_str())
    }

    /// What PostgreSQL has done so far; nothing with the embedded engine.
    pub(crate) fn servers_work(&self) -> Outcome<Option<Work>> {
        self.schema.as_ref().map(|(server, _)| server.work()).transpose()
    }

    /// Bytes written to disks since it started; with PostgreSQL the bytes of its WAL.
    pub(crate) fn written(&self) -> Outcome<u64> {
        match self.servers_work()? {
            Some(work) => Ok(work.wal as u64),
            None => self.proc_number("io", "write_bytes:"),
        }
    }

    /// Disk space used by its data, in bytes.
    pub(crate) fn on_disk(&self) -> Outcome<u64> {
        match &self.schema {
            Some((server, schema)) => server.on_disk(schema),
            None => room(&self.directory.path().join("data")),
        }
    }

    fn proc_number(&self, file: &str, name: &str) -> Outcome<u64> {
        let path = format!("/proc/{}/{file}", self.child.id());
        let text = fs::read_to_string(&path)?;
        let value =
            text.lines().find_map(|line| line.strip_prefix(name)).and_then(|rest| rest.split_whitespace().next());
        Ok(value.ok_or_else(|| format!("no `{name}` in {path}"))?.parse()?)
    }
}

/// Variables for the daemon: `BENCH_SENDERS__THREADS` becomes `HOOKSWITCH_SENDERS__THREADS`.
fn passed_on() -> impl Iterator<Item = (String, String)> {
    std::env::vars().filter_map(|(name, value)| Some((format!("HOOKSWITCH_{}", name.strip_prefix("BENCH_")?), value)))
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for the line with its address, and if `told` for the one with the admin token; keeps reading afterwards, so that
/// the pipe never fills.
fn first_lines(child: &mut Child, told: bool) -> Outcome<(String, Option<String>)> {
    let output = child.stdout.take().ok_or("the daemon has no standard output")?;
    let (found, wait) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if line.starts_with(LISTENING) || line.starts_with(TOKEN) {
                let _ = found.send(line);
            }
        }
    });
    let next = |what: &str| {
        let line = wait.recv_timeout(START).map_err(|_| format!("the daemon did not print `{what}…`"))?;
        let value = line.strip_prefix(what).and_then(|rest| rest.split_whitespace().next());
        value.map(str::to_owned).ok_or_else(|| format!("the daemon printed `{line}` instead of `{what}…`"))
    };
    Ok((next(LISTENING)?, told.then(|| next(TOKEN)).transpose()?))
}

/// The end of its output on standard error.
fn tail(messages: &Path) -> String {
    let text = fs::read_to_string(messages).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
}

/// Disk space used by a directory's files, in bytes.
fn room(directory: &Path) -> Outcome<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut sum = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let data = entry.metadata()?;
        sum += if data.is_dir() { room(&entry.path())? } else { data.blocks() * 512 };
    }
    Ok(sum)
}
