//! The clock: receivers compare the timestamps of signatures with theirs.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::check::Check;
use crate::core::time::Timestamp;

const NAME: &str = "clock";
/// No release of Hookswitch is older: 2026-01-01.
const LEAST: Timestamp = Timestamp::from_millis(1_767_225_600_000);
/// A clock that is further behind than this is wrong.
const BEHIND: Duration = Duration::from_secs(60);
/// Created by systemd's time service once the clock was set.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";
const TIMESYNC: &str = "/run/systemd/timesync";

/// Compares the clock with lower bounds: this release, and the newest file of the store.
pub(super) fn check(data_dir: Option<&Path>) -> Check {
    let newest = data_dir.and_then(newest);
    let unset = Path::new(TIMESYNC).is_dir() && !Path::new(SYNCHRONISED).exists();
    judge(SystemTime::now().into(), newest, unset)
}

fn judge(now: Timestamp, newest: Option<Timestamp>, unset: bool) -> Check {
    let advice =
        "set it, and let NTP keep it (timedatectl set-ntp true): receivers refuse signatures that are minutes off";
    if now < LEAST {
        return Check::fail(NAME, format!("it is {now} by this machine's clock"), advice);
    }
    if let Some(newest) = newest.filter(|newest| newest.since(now) > BEHIND) {
        let message = format!("it is {now} by this machine's clock, but the store was written at {newest}");
        return Check::fail(NAME, message, advice);
    }
    if unset {
        return Check::warn(NAME, format!("{now}, not synchronised yet"), advice);
    }
    Check::ok(NAME, format!("{now}"))
}

/// The modification time of the newest file of the write-ahead log.
fn newest(data_dir: &Path) -> Option<Timestamp> {
    let files = fs::read_dir(data_dir.join("journal")).ok()?.flatten();
    let written = files.filter_map(|file| file.metadata().ok()?.modified().ok());
    written.max().map(Timestamp::from)
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;

    #[test]
    fn a_clock_before_known_events_is_wrong() {
        let now = Timestamp::from_millis(1_790_000_000_000);
        for (now, newest, unset, state) in [
            (now, None, false, State::Ok),
            (now, Some(now.moved(60_000)), false, State::Ok),
            (now, Some(now.moved(61_000)), false, State::Fail),
            (now, Some(now.moved(-1_000_000)), false, State::Ok),
            (now, None, true, State::Warn),
            (Timestamp::from_millis(0), None, false, State::Fail),
        ] {
            assert_eq!(judge(now, newest, unset).state, state, "{now} {newest:?} {unset}");
        }
    }
}
