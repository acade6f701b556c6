//! The real binary on a real directory: started, killed, stopped, started again.
//!
//! The binary prints its address on standard output; its messages on standard error are collected, and shown when a
//! test fails.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Client, Reply};
use crate::engine;
use crate::wait::Watched;

/// Time limit of a start or an ordered stop on a busy machine.
const STEP: Duration = Duration::from_secs(30);

/// A data directory and its configuration. Outlives the daemons that run on it.
#[derive(Clone)]
pub(crate) struct Home {
    directory: Arc<TempDir>,
    /// TOML values by `section.key`.
    settings: BTreeMap<String, String>,
    allow: bool,
}

impl Home {
    /// An empty directory, with quick retries: 100 ms after each failure, without jitter.
    pub(crate) fn new() -> Self {
        Self::within(&std::env::temp_dir())
    }

    /// As [`Home::new`], below a given directory.
    pub(crate) fn within(parent: &Path) -> Self {
        let directory = Arc::new(tempfile::tempdir_in(parent).expect("a temporary directory"));
        let home = Self { directory, settings: engine::settings(), allow: true };
        home.set("retry.initial_delay", "\"100ms\"")
            .set("retry.multiplier", "1.0")
            .set("retry.max_delay", "\"10s\"")
            .set("retry.jitter", "0.0")
    }

    /// Sets `section.key` to a TOML value.
    pub(crate) fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Removes a setting.
    pub(crate) fn without(mut self, key: &str) -> Self {
        self.settings.remove(key);
        self
    }

    /// Omits `--allow`: loopback addresses are then refused.
    pub(crate) const fn without_allow(mut self) -> Self {
        self.allow = false;
        self
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A file beside the data directory.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The admin token from the first start.
    pub(crate) fn token(&self) -> String {
        let file = self.data().join("admin.token");
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        text.trim().to_owned()
    }

    fn config(&self) -> PathBuf {
        let mut sections: BTreeMap<&str, String> = BTreeMap::new();
        for (key, value) in &self.settings {
            let (section, name) = key.split_once('.').expect("`section.key`");
            *sections.entry(section).or_default() += &format!("{name} = {value}\n");
        }
        let text: String = sections.iter().map(|(section, lines)| format!("[{section}]\n{lines}\n")).collect();
        let file = self.beside("hookswitch.toml");
        std::fs::write(&file, text).expect("the configuration written");
        file
    }

    fn serve(&self) -> Command {
        let mut command = hookswitch();
        command.arg("serve").arg("--config").arg(self.config()).arg("--data-dir").arg(self.data());
        command.args(["--listen", "127.0.0.1:0"]);
        if self.allow {
            command.args(["--allow", "127.0.0.0/8"]);
        }
        command
    }

    /// Starts the daemon and waits until it listens.
    #[track_caller]
    pub(crate) fn start(&self) -> Daemon {
        self.try_start(|serve| serve).unwrap_or_else(|why| panic!("{why}"))
    }

    /// Starts the daemon as an argument of another program, which must exec it.
    ///
    /// # Errors
    /// How it ended, if it did not come to listen.
    #[track_caller]
    pub(crate) fn start_under(&self, wrapper: &[String]) -> Result<Daemon, Exit> {
        let serve = self.serve();
        let mut command = Command::new(&wrapper[0]);
        command.args(&wrapper[1..]).arg(serve.get_program()).args(serve.get_args());
        for (name, _) in serve.get_envs() {
            command.env_remove(name);
        }
        self.listening(Running::start(command)).map_err(|running| running.wait())
    }

    /// As [`Home::start`], with the command modified by `changed`; returns the daemon's output if it does not come
    /// up. The command's process must become the daemon.
    pub(crate) fn try_start(&self, changed: impl FnOnce(Command) -> Command) -> Result<Daemon, String> {
        let started = self.listening(Running::start(changed(self.serve())));
        started.map_err(|running| format!("the daemon did not say where it listens; {}", running.output()))
    }

    /// Starts the daemon on an inherited port, passed as systemd does (sd_listen_fds(3)).
    #[track_caller]
    pub(crate) fn start_on(&self, port: &TcpListener) -> Daemon {
        // From standard input to descriptor 3, by a shell that execs the daemon.
        const HAND_OVER: &str = "exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";
        let serve = self.serve();
        let mut command = Command::new("sh");
        command.args(["-c", HAND_OVER, "sh"]).arg(serve.get_program()).args(serve.get_args());
        for (name, _) in serve.get_envs() {
            command.env_remove(name);
        }
        let port = Stdio::from(OwnedFd::from(port.try_clone().expect("another descriptor of the port")));
        let started = self.listening(Running::start_reading(command, port));
        started.unwrap_or_else(|running| panic!("the daemon did not say where it listens; {}", running.output()))
    }

    /// Writes this home's configuration to its file, for a running daemon to reload.
    pub(crate) fn write_config(&self) {
        self.config();
    }

    /// The daemon once it listens; the process if it ends before.
    fn listening(&self, running: Running) -> Result<Daemon, Running> {
        let address = running.stdout.wait(STEP, |stream| {
            let found = stream.text.lines().find_map(|line| line.split_once("listening on ")?.1.split_once("://"));
            found.map(|(_, address)| address.trim().to_owned()).map(Some).or(stream.ended.then_some(None))
        });
        let Some(Some(address)) = address else {
            // Standard output may end before the last message is read.
            running.stderr.wait(Duration::from_secs(1), |stream| stream.ended.then_some(()));
            return Err(running);
        };
        let address: SocketAddr = address.parse().expect("an address behind `listening on http://`");
        self.keep_token(&running);
        let client = Client::new(address, Some(self.token()));
        Ok(Daemon { running, address, client, home: self.clone() })
    }

    /// Keeps the admin token where a data directory has it, if there is none: a schema has only its hash, and the daemon
    /// prints it once.
    fn keep_token(&self, running: &Running) {
        let file = self.data().join("admin.token");
        if !file.exists() {
            let printed = running.stdout.wait(STEP, |stream| {
                let (_, rest) = stream.text.split_once("admin token: ")?;
                rest.split_once("  (").map(|(token, _)| token.to_owned())
            });
            let token = printed.unwrap_or_else(|| panic!("no admin token; {}", running.output()));
            std::fs::create_dir_all(self.data()).expect("a directory");
            std::fs::write(&file, token).expect("the token written");
        }
    }

    /// Starts the daemon and kills it after a while, whatever it is doing.
    #[allow(dead_code, reason = "for the tests of kills; the harness is shared")]
    pub(crate) fn start_and_kill(&self, after: Duration) {
        let running = Running::start(self.serve());
        std::thread::sleep(after);
        drop(running);
    }

    /// Runs `serve`, expecting a refusal; if it starts anyway, returns its output.
    #[track_caller]
    pub(crate) fn try_refused_start(&self) -> Result<Exit, String> {
        Running::start(self.serve()).refused()
    }

    /// As [`Home::try_refused_start`], and fails if it starts.
    #[track_caller]
    pub(crate) fn refused_start(&self) -> Exit {
        self.try_refused_start().unwrap_or_else(|why| panic!("expected a refusal, but {why}"))
    }
}

/// The binary under test, without the environment of whoever runs the tests.
pub(crate) fn hookswitch() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HOOKSWITCH_")) {
        command.env_remove(name);
    }
    command
}

/// Runs a command of the binary to its end.
#[track_caller]
pub(crate) fn run(command: Command) -> Exit {
    Running::start(command).wait()
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Exit {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Exit {
    /// Fails unless the exit status is `wanted`.
    #[track_caller]
    pub(crate) fn expect(self, wanted: i32) -> Self {
        let Self { status, stdout, stderr } = &self;
        let message =
            format!("expected exit status {wanted}, came {status}\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
        assert_eq!(status.code(), Some(wanted), "{message}");
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }
}

#[derive(Default)]
struct Stream {
    text: String,
    ended: bool,
}

/// A child process whose output is collected. Only this process is killed when dropped.
struct Running {
    child: Child,
    stdout: Arc<Watched<Stream>>,
    stderr: Arc<Watched<Stream>>,
}

impl Running {
    #[track_caller]
    fn start(command: Command) -> Self {
        Self::start_reading(command, Stdio::null())
    }

    #[track_caller]
    fn start_reading(mut command: Command, stdin: Stdio) -> Self {
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = gather(child.stdout.take().expect("standard output is piped"));
        let stderr = gather(child.stderr.take().expect("standard error is piped"));
        Self { child, stdout, stderr }
    }

    fn output(&self) -> String {
        let text = |stream: &Watched<Stream>| stream.look(|stream| stream.text.clone());
        format!("stdout:\n{}\nstderr:\n{}", text(&self.stdout), text(&self.stderr))
    }

    /// Waits for the end.
    #[track_caller]
    fn wait(mut self) -> Exit {
        self.try_wait().unwrap_or_else(|| panic!("the process did not end within {STEP:?}; {}", self.output()))
    }

    /// Waits for the end; `None` if it does not come. Both streams close when the process ends, which can be waited
    /// for.
    fn try_wait(&mut self) -> Option<Exit> {
        for stream in [&self.stdout, &self.stderr] {
            stream.wait(STEP, |stream| stream.ended.then_some(()))?;
        }
        let status = self.child.wait().expect("a child of ours");
        let text = |stream: &Watched<Stream>| stream.look(|stream| stream.text.clone());
        Some(Exit { status, stdout: text(&self.stdout), stderr: text(&self.stderr) })
    }

    /// Waits for the end, or for `listening`, which is an error with the output.
    fn refused(mut self) -> Result<Exit, String> {
        let listens = self.stdout.wait(STEP, |stream| {
            let listens = stream.text.contains("listening on");
            (listens || stream.ended).then_some(listens)
        });
        if listens != Some(false) {
            return Err(format!("it started; {}", self.output()));
        }
        self.try_wait().ok_or_else(|| format!("it neither started nor ended; {}", self.output()))
    }
}

impl Drop for Running {
    #[expect(clippy::print_stderr, reason = "the test harness shows this below the message of a failed test")]
    fn drop(&mut self) {
        // Harmless if it was waited for already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- what process {} said; {}", self.child.id(), self.output());
        }
    }
}

fn gather(from: impl Read + Send + 'static) -> Arc<Watched<Stream>> {
    let stream = Arc::new(Watched::new(Stream::default()));
    let filled = Arc::clone(&stream);
    std::thread::spawn(move || {
        let mut reader = BufReader::new(from);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            filled.change(|stream| stream.text += &String::from_utf8_lossy(&line));
            line.clear();
        }
        filled.change(|stream| stream.ended = true);
    });
    stream
}

/// A running daemon, and a client with the admin token.
pub(crate) struct Daemon {
    running: Running,
    pub(crate) address: SocketAddr,
    client: Client,
    home: Home,
}

/// A created subscription, with its secret.
pub(crate) struct Created {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl Created {
    /// Its address in the API.
    pub(crate) fn path(&self) -> String {
        format!("/v1/subscriptions/{}", self.id)
    }
}

impl Daemon {
    /// A daemon in a new home.
    #[track_caller]
    pub(crate) fn start() -> Self {
        Home::new().start()
    }

    pub(crate) const fn api(&self) -> &Client {
        &self.client
    }

    pub(crate) const fn home(&self) -> &Home {
        &self.home
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.running.child.id()
    }

    /// The output so far.
    pub(crate) fn stdout(&self) -> String {
        self.running.stdout.look(|stream| stream.text.clone())
    }

    /// Creates a subscription of company `acme` to every event type, modified by `settings`.
    #[track_caller]
    pub(crate) fn subscribe(&self, url: &str, settings: Value) -> Created {
        let mut body = json!({"company": "acme", "url": url, "events": ["*"]});
        if let (Some(body), Value::Object(settings)) = (body.as_object_mut(), settings) {
            body.extend(settings);
        }
        let created = self.client.post("/v1/subscriptions", &body).expect_success().json();
        let id = created["id"].as_str().unwrap_or_else(|| panic!("no id in {created}")).to_owned();
        let secret = self.client.get(&format!("/v1/subscriptions/{id}/secret")).expect(200).json();
        let secret = secret["secret"].as_str().unwrap_or_else(|| panic!("no secret in {secret}")).to_owned();
        Created { id, secret }
    }

    /// Posts an event that must be accepted; returns the reply's document.
    #[track_caller]
    pub(crate) fn accept(&self, event: &Value) -> Value {
        self.client.post("/v1/events", event).expect(202).json()
    }

    /// The items (or entries) of a list.
    #[track_caller]
    pub(crate) fn list(&self, path: &str) -> Vec<Value> {
        items(&self.client.get(path).expect(200))
    }

    /// Waits until the list at `path` has `count` items; returns them.
    #[track_caller]
    pub(crate) fn wait_for_list(&self, path: &str, count: usize) -> Vec<Value> {
        crate::wait::eventually(&format!("{count} items at {path}"), || {
            let items = self.list(path);
            if items.len() == count { Ok(items) } else { Err(format!("{} items: {}", items.len(), json!(items))) }
        })
    }

    /// Waits until a delivery is in `state`; returns it.
    #[track_caller]
    pub(crate) fn wait_for_state(&self, delivery: &str, state: &str) -> Value {
        crate::wait::eventually(&format!("{delivery} to be {state}"), || {
            let seen = self.client.get(&format!("/v1/deliveries/{delivery}")).expect(200).json();
            if seen["state"] == state { Ok(seen) } else { Err(seen.to_string()) }
        })
    }

    /// kill -9, the process's view of a power cut.
    pub(crate) fn kill(mut self) -> Home {
        self.running.child.kill().expect("a child of ours");
        self.running.child.wait().expect("a child of ours");
        self.home.clone()
    }

    /// SIGTERM, without waiting.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal by name, without waiting.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.running.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status().expect("a shell");
        assert!(sent.success(), "SIG{name} could not be sent: {sent}");
    }

    /// Waits until it has logged `what` on standard error; returns the line.
    #[track_caller]
    pub(crate) fn wait_for_saying(&self, what: &str) -> String {
        let found = self
            .running
            .stderr
            .wait(STEP, |stream| stream.text.lines().find(|line| line.contains(what)).map(str::to_owned));
        found.unwrap_or_else(|| panic!("it did not say `{what}`; {}", self.running.output()))
    }

    /// SIGTERM, and waits for the end.
    #[track_caller]
    pub(crate) fn stop(self) -> (Home, Exit) {
        self.terminate();
        self.wait()
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn wait(self) -> (Home, Exit) {
        let Self { running, home, .. } = self;
        let exit = running.wait();
        (home, exit)
    }
}

/// The items of a list reply, under either name.
#[track_caller]
pub(crate) fn items(reply: &Reply) -> Vec<Value> {
    let document = reply.json();
    let found = ["items", "entries"].iter().find_map(|name| document[name].as_array().cloned());
    found.unwrap_or_else(|| panic!("neither items nor entries: {reply:?}"))
}

/// The files below `directory` with their contents, except the lock, to check that nothing was changed.
pub(crate) fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut left = vec![directory.to_owned()];
    while let Some(next) = left.pop() {
        for entry in std::fs::read_dir(&next).expect("a directory").flatten() {
            let path = entry.path();
            if path.is_dir() {
                left.push(path);
            } else if path.file_name().is_some_and(|name| name != "lock") {
                found.insert(path.clone(), std::fs::read(&path).expect("a readable file"));
            }
        }
    }
    found
}
