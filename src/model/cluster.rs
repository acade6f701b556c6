//! What is known of the daemons that work on one store, and of the standbys of its server.

use crate::core::time::Timestamp;

/// The daemons of a store, and the standbys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cluster {
    /// The daemons, the one that has run longest first.
    pub daemons: Vec<Member>,
    /// How many shards nobody owns at the moment: they change hands.
    pub unowned: usize,
    /// The standbys that are connected, by name.
    pub standbys: Vec<Standby>,
}

/// A daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id, which is new after each start.
    pub id: String,
    /// Its machine and the number of its process.
    pub name: String,
    /// Its version.
    pub version: String,
    /// When it joined.
    pub started: Timestamp,
    /// Whether its lease is valid.
    pub alive: bool,
    /// How many shards it owns.
    pub shards: usize,
    /// Whether it is this one.
    pub this: bool,
}

/// A standby.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standby {
    /// Its `application_name`.
    pub name: String,
    /// Whether the server waits for it: `sync`, `quorum`, `potential` or `async`. Empty if the user may not see it.
    pub sync: String,
    /// `streaming` if it follows. Empty if the user may not see it.
    pub state: String,
    /// By how many bytes of write-ahead log it lags; `None` if that is not known.
    pub lag_bytes: Option<u64>,
}
