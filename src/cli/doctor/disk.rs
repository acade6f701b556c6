//! The data directory and its disk: owner, lock, sync latency, free space.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::statfs::{FsType, NFS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC, statfs};
use nix::sys::statvfs::statvfs;
use nix::unistd::Uid;

use super::check::Check;
use crate::cli::text::size;
use crate::service::{AdminToken, DataDirError, DataDirHold};

/// Maximum number of sync measurements, and their time limit.
const SYNCS: usize = 50;
const SYNCS_MOST: Duration = Duration::from_secs(5);
/// Slower syncs are slow; faster ones do not reach a disk.
const SLOW: Duration = Duration::from_millis(20);
const UNLIKELY: Duration = Duration::from_micros(5);

/// The process that has locked the data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// None.
    Nobody,
    /// A daemon.
    Daemon {
        /// Its process id, if readable.
        pid: Option<u32>,
        /// Its listen address, as recorded by itself.
        listens: Option<SocketAddr>,
    },
    /// Cannot be determined.
    Unknown,
}

/// Checks the directory, and returns who holds it.
pub(super) fn directory(dir: &Path) -> (Check, Holder) {
    const NAME: &str = "data directory";
    let shown = dir.display();
    let metadata = match fs::metadata(dir) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let check = match nearest(dir) {
                Some(parent) if is_writable(&parent) => {
                    Check::ok(NAME, format!("{shown} does not exist yet; the first start creates it"))
                }
                _ => Check::warn(
                    NAME,
                    format!("{shown} does not exist, and this user cannot create it"),
                    "start the daemon as a user that can (the systemd unit does), or create it with mode 0700",
                ),
            };
            return (check, Holder::Nobody);
        }
        Err(error) => {
            let advice = "run this as the user that the daemon runs as, or as root";
            return (Check::fail(NAME, format!("{shown} cannot be examined: {error}"), advice), Holder::Unknown);
        }
    };
    let (uid, mode, me) = (metadata.uid(), metadata.mode() & 0o7777, Uid::effective());
    if !metadata.is_dir() {
        let advice = "set `data_dir`, or --data-dir, to a directory";
        return (Check::fail(NAME, format!("{shown} is not a directory"), advice), Holder::Nobody);
    }
    if !me.is_root() && me.as_raw() != uid {
        let message = format!("{shown} belongs to user {uid}, and this is user {me}");
        return (Check::fail(NAME, message, "run this, and the daemon, as that user or as root"), Holder::Unknown);
    }
    let holder = match DataDirHold::take(dir) {
        Ok(_) => Holder::Nobody,
        Err(DataDirError::Busy { pid, listens, .. }) => Holder::Daemon { pid, listens },
        Err(error) => {
            let advice = "name the right directory, or correct its permissions";
            return (Check::fail(NAME, error.to_string(), advice), Holder::Unknown);
        }
    };
    if mode & 0o077 != 0 {
        let message = format!("{shown} is open to other users (mode {mode:04o})");
        return (Check::warn(NAME, message, format!("chmod 700 {shown}")), holder);
    }
    if let Err(error) = token(dir) {
        return (Check::fail(NAME, error, "the daemon does not start in this state"), holder);
    }
    let who = match holder {
        Holder::Daemon { pid: Some(pid), .. } => format!("a daemon (pid {pid}) runs on it"),
        Holder::Daemon { pid: None, .. } => "a daemon runs on it".to_owned(),
        _ => "no daemon runs on it".to_owned(),
    };
    (Check::ok(NAME, format!("{shown}, mode {mode:04o}, of user {uid}; {who}")), holder)
}

/// What is wrong with the token file, if it exists.
fn token(dir: &Path) -> Result<(), String> {
    if !AdminToken::path(dir).exists() {
        return Ok(());
    }
    AdminToken::load(dir).map(drop).map_err(|error| error.to_string())
}

/// The nearest existing directory from `dir` upwards.
fn nearest(dir: &Path) -> Option<PathBuf> {
    dir.ancestors().find(|parent| parent.is_dir()).map(Path::to_owned)
}

fn is_writable(dir: &Path) -> bool {
    nameless(dir).is_ok()
}

/// An unnamed file in `dir`, which disappears when closed.
fn nameless(dir: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).custom_flags(libc::O_TMPFILE).mode(0o600).open(dir)
}

/// Measures the latency of durable appends; `None` if that is not possible.
pub(super) fn speed(dir: &Path) -> Option<Check> {
    const NAME: &str = "disk speed";
    let place = nearest(dir)?;
    let shown = place.display();
    let mut file = match nameless(&place) {
        Ok(file) => file,
        Err(error) => {
            let message = format!("the sync latency of {shown} cannot be measured: {error}");
            return Some(Check::warn(NAME, message, "run this as the user that the daemon runs as"));
        }
    };
    let took = match measure(&mut file) {
        Ok(took) => took,
        Err(error) => {
            let advice = "the daemon exits (74) when this happens: check the disk (dmesg)";
            return Some(Check::fail(NAME, format!("{shown} cannot be written and synced: {error}"), advice));
        }
    };
    Some(judge(&place, &took, statfs(&place).ok().map(|system| system.filesystem_type())))
}

/// Durations of append and sync, ascending.
fn measure(file: &mut File) -> io::Result<Vec<Duration>> {
    let (begun, block) = (Instant::now(), [0x5a; 1024]);
    let mut took = Vec::with_capacity(SYNCS);
    while took.len() < SYNCS && begun.elapsed() < SYNCS_MOST {
        let begun = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    Ok(took)
}

fn judge(place: &Path, took: &[Duration], kind: Option<FsType>) -> Check {
    const NAME: &str = "disk speed";
    let median = took.get(took.len() / 2).copied().unwrap_or_default();
    let worst = took.last().copied().unwrap_or_default();
    let shown = place.display();
    let figures =
        format!("an fsync on {shown} takes {} (median of {}), {} at most", millis(median), took.len(), millis(worst));
    match kind {
        Some(TMPFS_MAGIC) => {
            let advice = "put `data_dir` on a disk: a restart of the machine loses all that is here";
            return Check::warn(NAME, format!("{shown} is in memory (tmpfs); {figures}"), advice);
        }
        Some(NFS_SUPER_MAGIC) => {
            let advice = "put `data_dir` on a local disk: locks and syncs of network file systems are unreliable";
            return Check::warn(NAME, format!("{shown} is on NFS; {figures}"), advice);
        }
        Some(OVERLAYFS_SUPER_MAGIC) => {
            let advice = "put `data_dir` on a volume: data here is lost with the container";
            return Check::warn(NAME, format!("{shown} is in a container's overlay; {figures}"), advice);
        }
        _ => {}
    }
    if median > SLOW {
        let each = 1.0 / median.as_secs_f64();
        let advice = format!(
            "events posted one after the other are accepted at about {each:.0}/s here: post in batches or over several connections, or use a faster disk"
        );
        return Check::warn(NAME, figures, advice);
    }
    if median < UNLIKELY {
        let advice = "no disk is that fast: its cache may lose what is acknowledged in a power cut";
        return Check::warn(NAME, figures, advice);
    }
    Check::ok(NAME, figures)
}

fn millis(length: Duration) -> String {
    format!("{:.2} ms", length.as_secs_f64() * 1_000.0)
}

/// Free disk space.
pub(super) fn space(dir: &Path, least: u64) -> Check {
    const NAME: &str = "disk room";
    let Some(place) = nearest(dir) else {
        return Check::warn(NAME, format!("{} does not exist", dir.display()), "name a directory with --data-dir");
    };
    let system = match statvfs(&place) {
        Ok(system) => system,
        Err(error) => {
            let message = format!("the free space of {} cannot be determined: {error}", place.display());
            return Check::warn(NAME, message, "run this as the user that the daemon runs as");
        }
    };
    // Types differ between platforms.
    #[allow(clippy::useless_conversion, reason = "32 bits on some machines")]
    let free = u64::from(system.blocks_available()).saturating_mul(u64::from(system.fragment_size()));
    let message = format!("{} free, of which {} must stay free (`min_free_bytes`)", size(free), size(least));
    if free < least {
        Check::fail(NAME, message, "new events are refused (507): free space, or grow the volume")
    } else if free < least.saturating_mul(4) {
        Check::warn(NAME, message, "free space, or shorten [retention], before new events are refused")
    } else {
        Check::ok(NAME, message)
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;

    #[test]
    fn a_disk_is_judged_by_its_type_and_sync_time() {
        let ms = |millis: u64| vec![Duration::from_millis(millis); 9];
        let (place, ext4) = (Path::new("/data"), Some(nix::sys::statfs::EXT4_SUPER_MAGIC));
        for (took, kind, state, part) in [
            (ms(1), ext4, State::Ok, "1.00 ms"),
            (ms(20), None, State::Ok, "20.00 ms"),
            (ms(50), ext4, State::Warn, "50.00 ms"),
            (vec![Duration::from_micros(2); 9], ext4, State::Warn, "0.00 ms"),
            (ms(1), Some(TMPFS_MAGIC), State::Warn, "in memory"),
            (ms(1), Some(NFS_SUPER_MAGIC), State::Warn, "NFS"),
        ] {
            let check = judge(place, &took, kind);
            assert_eq!(check.state, state, "{check:?}");
            assert!(check.message.contains(part), "{check:?}");
        }
    }

    #[test]
    fn open_foreign_and_missing_directories_are_distinguished() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        assert_eq!(directory(&data).1, Holder::Nobody);
        assert_eq!(directory(&data).0.state, State::Ok, "it can be created");
        fs::create_dir(&data).unwrap();
        fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
        let open = directory(&data).0;
        assert!(open.state == State::Warn && open.advice.as_ref().unwrap().starts_with("chmod 700"), "{open:?}");
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(directory(&data).0.state, State::Ok);
        fs::write(data.join("admin.token"), "hunter2").unwrap();
        let wrong = directory(&data).0;
        assert!(wrong.state == State::Fail && !wrong.message.contains("hunter2"), "{wrong:?}");
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(directory(&file).0.state, State::Fail);
        assert_eq!(fs::read_dir(&data).unwrap().count(), 1, "nothing was left behind");
    }
}
