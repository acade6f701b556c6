//! Reading from the state database what the committer knows by heart.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::core::seal::Keyring;

use super::counts;
use super::keys;
use super::ledger::Ledger;
use super::place::Damage;
use super::record::{HealthRecord, SubscriptionRecord, TokenRecord};
use super::state::State;
use super::step::{self, lock};

/// What to do about a subscription whose record cannot be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Nothing: its pieces may be of different times, and the journal has what makes them one again.
    PassOver,
    /// Say that it is damaged.
    Refuse,
}

/// What the ledger says once the journal is taken in: read from the state. The counts are as the
/// journal has moved them on, if they were `counted` well before; otherwise all is counted.
pub(super) fn settle(state: &State, of_journal: &Mutex<Ledger>, counted: bool) -> Result<(), Damage> {
    let next_number = lock(of_journal).next_number;
    let keys = lock(of_journal).keys().clone();
    let (mut settled, _) = ledger(state, next_number, keys, Unreadable::Refuse)?;
    let mut before = lock(of_journal);
    settled.take_counts(&before);
    *before = settled;
    drop(before);
    if counted { Ok(()) } else { counts::count(state, of_journal) }
}

/// The subscriptions with their sequence numbers and health, the replays and discards, as the state
/// has them, with secrets opened by `keys` as far as they go; and whether anything was passed over.
pub(super) fn ledger(
    state: &State,
    next_number: u32,
    keys: Arc<Keyring>,
    unreadable: Unreadable,
) -> Result<(Ledger, bool), Damage> {
    let mut ledger = Ledger::numbering_from(next_number, keys);
    let mut passed_over = false;
    let mut records: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    for (key, piece) in state.scan(&[keys::SUBSCRIPTION], None, usize::MAX)? {
        let number = keys::number_in(&key).unwrap_or(0);
        records.entry(number).or_default().extend(piece);
    }
    for (number, value) in records {
        let record = SubscriptionRecord::of_value(&value);
        let Some(unsealed) = record.and_then(|record| record.unsealed(ledger.keys())) else {
            if unreadable == Unreadable::PassOver {
                passed_over = true;
                continue;
            }
            let detail = format!("has a subscription (number {number}) that cannot be read");
            return Err(Damage::new(Path::new("state"), detail));
        };
        ledger.put(unsealed);
        let next = state.get(&keys::next_sequence(number))?.and_then(|value| value.try_into().ok());
        let health = state.get(&keys::health(number))?.and_then(|value| step::unversioned::<HealthRecord>(&value));
        if let Some(account) = ledger.account(number) {
            account.next_sequence = next.map_or(1, u64::from_be_bytes);
            account.health = health.map(Into::into).unwrap_or_default();
        }
    }
    let unreadable = || Damage::new(Path::new("state"), "has a replay or a discard that cannot be read");
    for (_, value) in state.scan(&[keys::REPLAY], None, usize::MAX)? {
        ledger.put_replay(step::unversioned(&value).ok_or_else(unreadable)?);
    }
    for (_, value) in state.scan(&[keys::DISCARD], None, usize::MAX)? {
        ledger.put_discard(step::unversioned(&value).ok_or_else(unreadable)?);
    }
    for (_, value) in state.scan(&[keys::TOKEN], None, usize::MAX)? {
        let token = step::unversioned::<TokenRecord>(&value).and_then(TokenRecord::token);
        let unreadable = || Damage::new(Path::new("state"), "has a token of the API that cannot be read");
        ledger.tokens.put(token.ok_or_else(unreadable)?);
    }
    Ok((ledger, passed_over))
}
