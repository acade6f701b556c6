//! A PostgreSQL cluster of the tests, in a temporary directory, on a local socket; nothing of the machine's own is used.
//!
//! A shell keeps it: it makes and starts the cluster, waits until its standard input closes, which happens however the
//! test process ends, stops the server and removes the directory. PostgreSQL refuses to run as root; the cluster is then
//! run by `postgres` or `nobody`.

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::unistd::{User, geteuid};

/// Time limit of making and starting a cluster on a busy machine.
const START: Duration = Duration::from_secs(120);
/// The oldest version that is used.
const OLDEST: u32 = 15;
/// Makes the directory of a cluster: `$1` has the programs, `$2` is the directory.
const MAKE: &str = r#""$1/initdb" -D "$2/data" -U hookswitch -A trust -E UTF8 --no-locale --no-sync"#;
/// The same as a copy of the running cluster in `$3`, which follows it.
const COPY: &str = r#""$1/pg_basebackup" -D "$2/data" -h "$3" -U hookswitch -R -X stream -c fast --no-sync"#;
/// Starts, keeps and removes a cluster, whose settings follow `$3`. Each line that it reads has the server stop in order
/// and start again.
const KEEP: &str = r#"
programs="$1" directory="$2" settings=("${@:4}")
run() {
    "$programs/postgres" -D "$directory/data" -k "$directory" -c listen_addresses= "${settings[@]}" </dev/null >>"$directory/log" 2>&1 &
}
run
while read -r _; do kill -INT $!; wait $!; run; done
kill -CONT $!
kill -QUIT $!
wait $!
rm -rf "$directory"
"#;
/// Settings of the tests. Nothing here must survive a power cut, so nothing is synced.
const UNSAFE: &[&str] = &["fsync=off", "full_page_writes=off", "shared_buffers=64MB"];
/// Settings of the benches, which are those of a small server: what is committed is synced.
const MEASURED: &[&str] = &[
    "shared_buffers=256MB",
    "max_wal_size=4GB",
    "shared_preload_libraries=pg_stat_statements",
    "pg_stat_statements.track_utility=on",
];
/// Settings of those that others follow: one that was away finds what it needs.
const FOLLOWED: &[&str] = &["wal_keep_size=1GB"];
/// Settings for many daemons with many partitions.
const MANY: &[&str] = &["max_connections=300", "max_locks_per_transaction=256"];

/// A running cluster. It is stopped and removed when this is dropped, or the process ends.
pub(crate) struct Cluster {
    directory: PathBuf,
    schemas: AtomicUsize,
    keeper: Child,
}

/// The directory of the newest PostgreSQL of this machine.
///
/// # Errors
/// There is none.
pub(crate) fn programs() -> Result<PathBuf, String> {
    let of_debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let numbered = of_debian.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())));
    let newest = numbered.filter(|(version, _): &(u32, _)| *version >= OLDEST).max().map(|(_, path)| path.join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = newest.into_iter().chain(std::env::split_paths(&path));
    places.find(|place| place.join("initdb").exists() && place.join("postgres").exists()).ok_or_else(|| {
        format!("PostgreSQL is not installed: `apt-get install postgresql-{OLDEST}` (its initdb and postgres are used)")
    })
}

impl Cluster {
    /// Makes and starts a cluster.
    ///
    /// # Errors
    /// PostgreSQL is not installed, or did not start; with its messages.
    pub(crate) fn start() -> Result<Self, String> {
        Self::keep(MAKE, Path::new(""), &[UNSAFE, MANY, &["wal_level=minimal", "max_wal_senders=0"]].concat())
    }

    /// Makes and starts a cluster that others can follow.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    #[allow(dead_code, reason = "for the tests of a promotion; the harness is shared")]
    pub(crate) fn primary() -> Result<Self, String> {
        Self::keep(MAKE, Path::new(""), &[UNSAFE, MANY, FOLLOWED].concat())
    }

    /// Makes and starts a standby of a primary.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    #[allow(dead_code, reason = "for the tests of a promotion; the harness is shared")]
    pub(crate) fn standby(primary: &Self) -> Result<Self, String> {
        Self::keep(COPY, &primary.directory, &[UNSAFE, MANY, FOLLOWED].concat())
    }

    /// Makes and starts a standby of a primary in the directory of a cluster that is gone: it has the same URL.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    #[allow(dead_code, reason = "for the tests of a promotion; the harness is shared")]
    pub(crate) fn standby_in_place_of(gone: Self, primary: &Self) -> Result<Self, String> {
        let directory = gone.directory.clone();
        drop(gone);
        fs::create_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        Self::keep_at(directory, COPY, &primary.directory, &[UNSAFE, MANY, FOLLOWED].concat())
    }

    /// Makes and starts a cluster that syncs, in a directory below `parent`, which is on a disk where `/tmp` may be memory,
    /// and counts its statements.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    #[allow(dead_code, reason = "for the benches; the harness is shared")]
    pub(crate) fn measured(parent: &Path) -> Result<Self, String> {
        Self::keep_in(parent, MAKE, Path::new(""), MEASURED)
    }

    fn keep(make: &str, followed: &Path, settings: &[&str]) -> Result<Self, String> {
        Self::keep_in(&std::env::temp_dir(), make, followed, settings)
    }

    fn keep_in(parent: &Path, make: &str, followed: &Path, settings: &[&str]) -> Result<Self, String> {
        let directory = tempfile::Builder::new().prefix("hookswitch-pg-").tempdir_in(parent);
        let directory = directory.map_err(|error| format!("no directory for a cluster: {error}"))?.keep();
        Self::keep_at(directory, make, followed, settings)
    }

    fn keep_at(directory: PathBuf, make: &str, followed: &Path, settings: &[&str]) -> Result<Self, String> {
        let programs = programs()?;
        let mut command = Command::new("bash");
        let script = format!("{make} </dev/null >\"$2/log\" 2>&1 || exit 1\n{KEEP}");
        command.args(["-c", &script, "keeper"]).args([&programs, &directory]).arg(followed).current_dir(&directory);
        command.args(settings.iter().flat_map(|setting| ["-c", setting]));
        // A Ctrl-C at the terminal must not end the keeper before it has done its work.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        for (name, _) in std::env::vars_os().filter(|(name, _)| concerns_postgres(name)) {
            command.env_remove(name);
        }
        let owner = owner()?;
        if let Some((uid, gid)) = owner {
            chown(&directory, Some(uid), Some(gid)).map_err(|error| format!("{}: {error}", directory.display()))?;
            command.uid(uid).gid(gid);
        }
        let keeper = command.spawn().map_err(|error| format!("bash: {error}"))?;
        let mut cluster = Self { directory, schemas: AtomicUsize::new(0), keeper };
        match cluster.ready() {
            true => Ok(cluster),
            false => Err(format!("PostgreSQL did not start: {}", cluster.log())),
        }
    }

    /// Waits until it accepts connections; `false` if that does not come.
    fn ready(&mut self) -> bool {
        let until = Instant::now() + START;
        while Instant::now() < until && matches!(self.keeper.try_wait(), Ok(None)) {
            let log = self.log();
            if log.contains("ready to accept connections") || log.contains("ready to accept read-only connections") {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// Has the server stop in order and start again.
    ///
    /// # Errors
    /// It did not start; with its messages.
    #[allow(dead_code, reason = "for the tests of crashes; the harness is shared")]
    pub(crate) fn restart(&mut self) -> Result<(), String> {
        let starts = |cluster: &Self| cluster.log().matches("ready to accept").count();
        let (before, until) = (starts(self), Instant::now() + START);
        let told = self.keeper.stdin.as_mut().map(|keeper| keeper.write_all(b"\n"));
        told.transpose().map_err(|error| format!("the keeper of the cluster: {error}"))?;
        while Instant::now() < until {
            if starts(self) > before {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("PostgreSQL did not start again: {}", self.log()))
    }

    /// The server's messages.
    pub(crate) fn log(&self) -> String {
        fs::read(self.directory.join("log")).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    /// The process of the server that watches the others.
    #[allow(dead_code, reason = "for the tests of crashes; the harness is shared")]
    pub(crate) fn postmaster(&self) -> i32 {
        let file = fs::read_to_string(self.directory.join("data/postmaster.pid")).expect("the server's file");
        file.lines().next().and_then(|pid| pid.parse().ok()).expect("the server's process id")
    }

    /// The directory of its data and of its socket.
    #[allow(dead_code, reason = "for the tests of what is between; the harness is shared")]
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The URL of its database.
    pub(crate) fn url(&self) -> String {
        format!("postgresql://hookswitch@/postgres?host={}", self.directory.display())
    }

    /// The name of a schema that no other test has.
    pub(crate) fn new_schema(&self) -> String {
        format!("test_{}", self.schemas.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl Drop for Cluster {
    #[allow(clippy::print_stderr, reason = "the test harness shows this below the message of a failed test")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let last: Vec<&str> = log.lines().rev().take(60).collect();
            eprintln!("--- what PostgreSQL in {} said last:", self.directory.display());
            last.iter().rev().for_each(|line| eprintln!("{line}"));
        }
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
        // The keeper has removed it, unless it could not start.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Who runs PostgreSQL's programs, which refuse to be run by root; `None` if this process can.
pub(crate) fn owner() -> Result<Option<(u32, u32)>, String> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let found = ["postgres", "nobody"].iter().find_map(|name| User::from_name(name).ok().flatten());
    let user = found.ok_or("root cannot run PostgreSQL, and there is no user `postgres` or `nobody`")?;
    Ok(Some((user.uid.as_raw(), user.gid.as_raw())))
}

/// Variables by which PostgreSQL's programs would be configured.
fn concerns_postgres(name: &OsString) -> bool {
    name.to_string_lossy().starts_with("PG")
}
