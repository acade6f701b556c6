//! The writer's look at the synchronous standbys that the configuration wants (`replicas` in `[store]`).

use crate::engine::postgres::connection::Connection;
use crate::engine::postgres::writer::{ALIVE_EVERY, Failed, Writer};

fn count(connection: &mut Connection) -> Result<i64, postgres::Error> {
    let sql = "SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum') AND state = 'streaming'";
    Ok(connection.query(sql, &[])?.first().map_or(0, |row| row.get(0)))
}

impl Writer {
    /// Whether as many synchronous standbys are there as are wanted.
    pub(super) fn has_replicas(&self) -> Result<bool, Failed> {
        Ok(self.replicas == 0 || self.changes.on_connection(count)? >= self.replicas)
    }

    /// Asks now and then whether enough synchronous standbys are there. Without them nothing new is accepted; what was
    /// accepted is delivered.
    pub(super) fn check_replicas_if_due(&mut self) {
        let due = self.state.alive.is_none_or(|last| last.elapsed() >= ALIVE_EVERY) || self.state.lacking;
        if self.replicas == 0 || !due {
            return;
        }
        // If the server is away, the commit finds out.
        let Ok(there) = self.changes.on_connection(count) else { return };
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
