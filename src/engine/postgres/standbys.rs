//! The writer's look at the synchronous standbys that the configuration wants (`replicas` in `[store]`).

use crate::engine::postgres::writer::{ALIVE_EVERY, Writer};

impl Writer {
    /// Asks now and then whether enough synchronous standbys are there. Without them nothing new is accepted; what was
    /// accepted is delivered.
    pub(super) fn check_replicas_if_due(&mut self) {
        let due = self.state.alive.is_none_or(|last| last.elapsed() >= ALIVE_EVERY) || self.state.lacking;
        if self.replicas == 0 || !due {
            return;
        }
        let sql =
            "SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum') AND state = 'streaming'";
        let there = self.changes.on_connection(|connection| connection.query(sql, &[]));
        // If the server is away, the commit finds out.
        let Ok(there) = there.map(|rows| rows.first().map_or(0, |row| row.get::<_, i64>(0))) else { return };
        let lacking = there < self.replicas;
        if lacking != self.state.lacking {
            let wanted = self.replicas;
            let why = format!(
                "{there} synchronous standbys of PostgreSQL are there, and `replicas` in [store] wants {wanted}: start them, \
                 check synchronous_standby_names, and give the user of `url` the role pg_monitor"
            );
            if lacking {
                tracing::error!("{why}; nothing new is accepted until they are");
            } else {
                tracing::info!("{there} synchronous standbys are there");
            }
            self.engine.set_away(lacking.then_some(why));
            self.state.lacking = lacking;
        }
    }
}
