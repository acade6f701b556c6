//! TTL expiry: removing values under a prefix of the view once they reach an age, a few keys at a time.
//!
//! Knows nothing about the values: the caller supplies the time of each. While nothing can have expired, nothing is
//! read: each full pass determines until when that holds.

use crate::core::time::Timestamp;
use crate::model::audit_expiry::AuditExpiry;
use crate::model::error::StoreError;
use crate::model::key::{Key, ValueKind};
use crate::model::settings::Settings;
use crate::model::view::ViewMut;
use crate::model::{query, receipts, report};

/// How many keys are examined per step, and at least between two checkpoints.
const AT_ONCE: usize = 512;
/// How many are examined for each new one, so that there are never many more than twice the live ones.
pub(crate) const DUE_PER_NEW: usize = 2;

/// The position of an expiry pass.
#[derive(Debug, Default)]
pub(crate) struct ExpiryCursor {
    /// The key examined last; after the final key the next pass starts.
    after: Option<Key>,
    /// How many keys are due to be examined.
    pub(crate) due: usize,
    /// The oldest live time seen in this pass.
    oldest: u128,
    /// The same of the last full pass: nothing is older, since newer values have later times.
    none_before: u128,
}

/// The bounds of an expiry step, on the same time scale as the values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Age {
    /// Values older than this expire.
    pub(crate) min: u128,
    /// New values are of this time or later.
    pub(crate) now: u128,
}

impl ExpiryCursor {
    /// Removes the expired ones among the next keys of a kind, if due. `time_of` returns the time of a value; a
    /// value without one is set aside.
    ///
    /// # Errors
    /// The view cannot be read.
    pub(crate) fn advance(
        &mut self,
        view: &dyn ViewMut,
        kind: ValueKind,
        checkpoint: bool,
        age: Age,
        time_of: impl Fn(&[u8]) -> Option<u128>,
    ) -> Result<(), StoreError> {
        if age.min <= self.none_before {
            self.due = 0;
            return Ok(());
        }
        if !checkpoint && self.due < AT_ONCE {
            return Ok(());
        }
        self.due = self.due.saturating_sub(AT_ONCE);
        if self.after.is_none() {
            self.oldest = age.now;
        }
        let found = view.scan(&Key::all(kind), self.after.as_ref(), AT_ONCE)?;
        let complete = found.len() < AT_ONCE;
        self.after = found.last().filter(|_| !complete).map(|(key, _)| key.clone());
        for (key, value) in found {
            let Some(time) = time_of(&value) else {
                view.set_aside(&key, value);
                continue;
            };
            if time < age.min {
                view.remove(key);
            } else {
                self.oldest = self.oldest.min(time);
            }
        }
        if complete {
            self.none_before = self.oldest;
        }
        Ok(())
    }
}

/// The values that expire: producers' ids, call records and entries of the audit.
#[derive(Debug, Default)]
pub(crate) struct Expiry {
    /// Producers' ids of events.
    pub(crate) events: ExpiryCursor,
    /// Producers' ids of messages.
    pub(crate) messages: ExpiryCursor,
    /// Call records.
    pub(crate) calls: ExpiryCursor,
    /// Entries of the audit.
    pub(crate) audit: AuditExpiry,
}

/// Removes some of the producers' ids whose window has passed and of the calls without retained events, if due: between
/// two checkpoints, or when many are new. `durable` are the bits of the last id for which the view is durable. This
/// needs no record: expiring a value twice, or later, has no visible effect.
///
/// # Errors
/// The view cannot be read.
pub(crate) fn expire(
    expiry: &mut Expiry,
    view: &dyn ViewMut,
    settings: &Settings,
    checkpoint: bool,
    durable: u128,
    now: Timestamp,
) -> Result<(), StoreError> {
    let window = settings.idempotency_window;
    let window_start = now.millis().saturating_sub(u64::try_from(window.as_millis()).unwrap_or(u64::MAX));
    let posted = |value: &[u8]| receipts::given_at(value).map(|at| at.millis().into());
    let window = Age { min: u128::from(window_start) + 1, now: now.millis().into() };
    expiry.events.advance(view, ValueKind::Producer, checkpoint, window, posted)?;
    expiry.messages.advance(view, ValueKind::Message, checkpoint, window, posted)?;
    // An event that is replayed after a restart must find its call as it was.
    let min = query::lowest_id(Some(settings.retention.events_over(now))).min(durable);
    let age = Age { min, now: query::lowest_id(Some(now)) };
    expiry.calls.advance(view, ValueKind::Call, checkpoint, age, report::last_event)?;
    if !checkpoint {
        return Ok(());
    }
    expiry.audit.advance(view, settings.retention.audit_over(now), now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::in_memory::InMemoryView;

    const KIND: ValueKind = ValueKind::Producer;
    /// The lifetime of values.
    const LIFETIME: u64 = 500;

    fn time_of(value: &[u8]) -> Option<u128> {
        value.try_into().ok().map(u64::from_be_bytes).map(u128::from)
    }

    fn times(view: &dyn ViewMut) -> Vec<u128> {
        let mut times: Vec<u128> = view
            .scan(&Key::all(KIND), None, 100_000)
            .unwrap()
            .iter()
            .map(|(_, value)| time_of(value).unwrap())
            .collect();
        times.sort_unstable();
        times
    }

    /// Keys in random order, like hashes; three per tick.
    #[test]
    fn exactly_the_expired_values_are_removed_whatever_was_skipped() {
        let state = InMemoryView::default();
        let mut cursor = ExpiryCursor::default();
        let (mut skipped, mut most) = (0, 0);
        for moment in 1_000..4_000u64 {
            // Nothing is added for a while, and the existing values still age.
            for nth in 0..if (2_000..2_800).contains(&moment) { 0 } else { 3u64 } {
                let key = (moment * 3 + nth).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                state.put(Key::new(KIND, key.to_be_bytes().to_vec()), moment.to_be_bytes().to_vec());
                cursor.due += DUE_PER_NEW;
            }
            let age = Age { min: u128::from(moment - LIFETIME), now: moment.into() };
            skipped += u32::from(age.min <= cursor.none_before);
            cursor.advance(&state, KIND, moment.is_multiple_of(50), age, time_of).unwrap();
            let present = times(&state);
            most = most.max(present.len());
            let young = present.iter().filter(|time| **time >= age.min).count();
            let since = |from: u64| (from..=moment).filter(|at| !(2_000..2_800).contains(at)).count() * 3;
            assert_eq!(young, since(1_000.max(moment - LIFETIME)), "a live value is missing at {moment}");
        }
        assert!(skipped > 500, "{skipped}");
        assert!(most < 3 * (LIFETIME as usize * 3), "{most}");
        let age = Age { min: 4_000, now: 4_500 };
        for _ in 0..20 {
            cursor.advance(&state, KIND, true, age, time_of).unwrap();
        }
        assert_eq!(times(&state), [0; 0], "all have expired");
        assert_eq!(cursor.none_before, 4_500);
    }
}
