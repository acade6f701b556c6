//! What is counted of a subscription and does not stand in its own record.

use bincode::{Decode, Encode};

use super::HealthRecord;

/// Where a subscription's sequence numbers and its health are. Written behind its record at the beginning of
/// every journal file, so that what is in older files is not needed to know the subscriptions.
#[derive(Debug, Encode, Decode)]
pub(in crate::store) struct AccountRecord {
    pub(in crate::store) number: u32,
    pub(in crate::store) next_sequence: u64,
    pub(in crate::store) health: HealthRecord,
}
