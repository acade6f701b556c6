//! The limit of open files, connections included, and how many the daemon needs.

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Open files besides connections.
const OWN: u64 = 400;
/// Minimum number of idle connections to receivers, however few threads send.
const IDLE_LEAST: u64 = 1024;

/// A daemon's open files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFiles {
    clients: u64,
    senders: u64,
}

impl OpenFiles {
    /// With these numbers of client connections and sender threads.
    pub fn of(max_connections: usize, threads: usize) -> Self {
        let whole = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        Self { clients: whole(max_connections), senders: whole(threads) }
    }

    /// The limit needed to have everything open at once.
    pub const fn needed(self) -> u64 {
        self.without_idle().saturating_add(self.idle_wanted())
    }

    /// Maximum idle connections to receivers with `limit` open files.
    pub fn idle(self, limit: u64) -> usize {
        let most = limit.saturating_sub(self.without_idle()).min(self.idle_wanted());
        usize::try_from(most).unwrap_or(usize::MAX)
    }

    const fn without_idle(self) -> u64 {
        OWN.saturating_add(self.clients).saturating_add(self.senders)
    }

    /// Each connection in use may become idle.
    const fn idle_wanted(self) -> u64 {
        if self.senders > IDLE_LEAST { self.senders } else { IDLE_LEAST }
    }
}

/// The process's limit of open files.
///
/// # Errors
/// The system does not report it.
pub fn open_files_limit() -> Result<u64, Errno> {
    getrlimit(Resource::RLIMIT_NOFILE).map(|(soft, _)| soft)
}

/// Raises that as far as an unprivileged process may, and returns it: systemd and shells start with 1,024 for
/// programs that use `select`, and leave it to others to raise it.
///
/// # Errors
/// The system does not report it, or refuses.
pub fn raise_open_files_limit() -> Result<u64, Errno> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    open_files_limit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_wait_where_files_are_left_for_them() {
        let files = OpenFiles::of(1_000, 2_048);
        assert_eq!(files.needed(), 400 + 1_000 + 2 * 2_048);
        for (limit, idle) in [(files.needed(), 2_048), (u64::MAX, 2_048), (4_096, 648), (1_024, 0), (0, 0)] {
            assert_eq!(files.idle(limit), idle, "{limit}");
        }
        assert_eq!(
            OpenFiles::of(10, 4).idle(u64::MAX),
            1_024,
            "one receiver may be called in turn with a thousand others"
        );
    }

    #[test]
    fn the_limit_is_raised_to_the_hard_limit() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(raise_open_files_limit(), Ok(hard));
        assert_eq!(open_files_limit(), Ok(hard));
    }
}
