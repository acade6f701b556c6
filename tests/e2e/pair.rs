//! A primary and its synchronous standby, which can change places as often as a test wants: after each promotion the
//! machine that was lost comes back as a new standby, under the address that it had.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cluster::Cluster;
use crate::daemon::Home;
use crate::postgres::{processes, sql, until};
use crate::wait;

/// How long a new standby may take to catch up on a busy machine.
const CAUGHT_UP: Duration = Duration::from_secs(60);

/// Both.
pub(crate) struct Pair {
    pub(crate) primary: Cluster,
    pub(crate) standby: Cluster,
    url: String,
}

impl Pair {
    /// Makes and starts both.
    pub(crate) fn start() -> Self {
        let primary = Cluster::primary().expect("a primary");
        // The copy has this setting, too.
        sql(&primary).batch_execute("ALTER SYSTEM SET synchronous_standby_names = '*'").expect("the setting");
        sql(&primary).batch_execute("SELECT pg_reload_conf()").expect("the setting read");
        let standby = Cluster::standby(&primary).expect("a standby");
        let (one, two) = (primary.directory().display(), standby.directory().display());
        let url = format!("postgresql://hookswitch@/postgres?host={one},{two}&target_session_attrs=read-write");
        let pair = Self { primary, standby, url };
        pair.wait_until_it_follows();
        pair
    }

    /// The URL of whichever is the primary.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A home whose data is in `schema`, and which accepts nothing without the standby.
    pub(crate) fn home(&self, schema: &str) -> Home {
        let home = Home::new().set("store.engine", "\"postgres\"").set("store.url", &format!("{:?}", self.url));
        home.set("store.schema", &format!("{schema:?}")).set("store.replicas", "1")
    }

    /// The primary is lost as its machine would be, and the standby takes its place.
    pub(crate) fn promote(&mut self) {
        destroy(&self.primary);
        self.promote_standby();
    }

    /// The standby takes the place of a primary that is lost.
    pub(crate) fn promote_standby(&mut self) {
        until("the standby can be asked", || postgres::Client::connect(&self.standby.url(), postgres::NoTls).ok());
        let promoted = sql(&self.standby).query_one("SELECT pg_promote()", &[]);
        assert!(promoted.expect("an answer").get::<_, bool>(0), "{}", self.standby.log());
        std::mem::swap(&mut self.primary, &mut self.standby);
    }

    /// What was lost comes back as a new standby.
    pub(crate) fn with_new_standby(self) -> Self {
        let Self { primary, standby, url } = self;
        let standby = Cluster::standby_in_place_of(standby, &primary).expect("a new standby");
        let pair = Self { primary, standby, url };
        pair.wait_until_it_follows();
        pair
    }

    /// The standby receives nothing more, and the primary does not know.
    pub(crate) fn freeze_standby(&self) {
        self.signal_standby(Signal::SIGSTOP);
    }

    /// It goes on.
    pub(crate) fn thaw_standby(&self) {
        self.signal_standby(Signal::SIGCONT);
    }

    fn signal_standby(&self, signal: Signal) {
        for one in processes(&self.standby).into_iter().chain([Pid::from_raw(self.standby.postmaster())]) {
            kill(one, signal).expect("a process of the standby");
        }
    }

    /// Waits until each commit of the primary waits for the standby.
    pub(crate) fn wait_until_it_follows(&self) {
        let mut sql = sql(&self.primary);
        let streams = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'";
        wait::within(CAUGHT_UP, "the standby follows", || match sql.query_one(streams, &[]).map(|row| row.get(0)) {
            Ok(1i64) => Ok(()),
            other => Err(format!("{other:?}; {}", self.standby.log())),
        })
        .unwrap_or_else(|late| panic!("{late}"));
    }
}

/// Ends all processes of a server at once, as the loss of its machine does.
pub(crate) fn destroy(cluster: &Cluster) {
    let postmaster = Pid::from_raw(cluster.postmaster());
    // First the one that would notice the end of the others.
    let others = processes(cluster);
    kill(postmaster, Signal::SIGKILL).expect("the server killed");
    for one in others {
        // It may have ended with the first.
        let _ = kill(one, Signal::SIGKILL);
    }
}
