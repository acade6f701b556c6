//! Forgetting what is kept under one prefix of the state until it is of a certain age, a few keys at a time.
//!
//! Knows nothing of what the values are: whoever sweeps says of which time each is. While nothing can be old enough,
//! nothing is read: a whole sweep finds out until when that holds.

use crate::core::time::Timestamp;
use crate::model::error::StoreError;
use crate::model::settings::Settings;
use crate::model::view::ViewMut;
use crate::model::{keys, query, receipts, report};

/// How many keys are looked at in one go, and between two checkpoints at least.
const AT_ONCE: usize = 512;
/// How many are looked at for each new one: so there are never many more than twice those that are kept.
pub(crate) const FOR_EACH: usize = 2;

/// Where a sweep is.
#[derive(Debug, Default)]
pub(crate) struct ExpiryCursor {
    /// The key that was looked at last; it begins anew behind the last.
    after: Option<Vec<u8>>,
    /// How many are to be looked at.
    pub(crate) due: usize,
    /// The oldest that stays, of those that were looked at since it began anew.
    oldest: u128,
    /// The same of the last whole sweep: nothing is older, for what came later is younger.
    none_before: u128,
}

/// What a sweep goes by; times on whatever scale the values are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Age {
    /// What is of a time before this goes.
    pub(crate) kept: u128,
    /// What is new now is of this time, or of a later one.
    pub(crate) now: u128,
}

impl ExpiryCursor {
    /// Removes those of the next keys under `prefix` that have reached their age, if it is time. `time_of` tells of
    /// which time a value is; one of which it cannot tell is set aside.
    ///
    /// # Errors
    /// The state cannot be read.
    pub(crate) fn go_on(
        &mut self,
        view: &dyn ViewMut,
        prefix: u8,
        checkpoint: bool,
        age: Age,
        time_of: impl Fn(&[u8]) -> Option<u128>,
    ) -> Result<(), StoreError> {
        if age.kept <= self.none_before {
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
        let found = view.scan(&[prefix], self.after.as_deref(), AT_ONCE)?;
        let whole = found.len() < AT_ONCE;
        self.after = found.last().filter(|_| !whole).map(|(key, _)| key.clone());
        for (key, value) in found {
            let Some(time) = time_of(&value) else {
                view.set_aside(&key, value);
                continue;
            };
            if time < age.kept {
                view.remove(key);
            } else {
                self.oldest = self.oldest.min(time);
            }
        }
        if whole {
            self.none_before = self.oldest;
        }
        Ok(())
    }
}

/// What is forgotten once it is old enough: producers' ids, and what is known of calls.
#[derive(Debug, Default)]
pub(crate) struct Expiry {
    /// Producers' ids of events.
    pub(crate) events: ExpiryCursor,
    /// Producers' ids of messages.
    pub(crate) messages: ExpiryCursor,
    /// What is known of calls.
    pub(crate) calls: ExpiryCursor,
}

/// Forgets some of the producers' ids whose window is over, and of the calls of which no event is kept, if it is time:
/// between two checkpoints, or when many are new. `durable` are the bits of the last id of which the view is durable. They
/// are not worth a record: what is forgotten twice, or not at all for now, changes nothing that anybody sees.
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
    let begun = now.millis().saturating_sub(u64::try_from(window.as_millis()).unwrap_or(u64::MAX));
    let posted = |value: &[u8]| receipts::given_at(value).map(|at| at.millis().into());
    let window = Age { kept: u128::from(begun) + 1, now: now.millis().into() };
    expiry.events.go_on(view, keys::PRODUCER, checkpoint, window, posted)?;
    expiry.messages.go_on(view, keys::MESSAGE, checkpoint, window, posted)?;
    // An event that a start would apply again must find its call as it was.
    let kept = query::lowest_id(Some(settings.retention.events_over(now))).min(durable);
    let age = Age { kept, now: query::lowest_id(Some(now)) };
    expiry.calls.go_on(view, keys::CALL, checkpoint, age, report::last_heard)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::in_memory::InMemoryView;

    const PREFIX: u8 = b'i';
    /// How long values are kept.
    const KEPT: u64 = 500;

    fn time_of(value: &[u8]) -> Option<u128> {
        value.try_into().ok().map(u64::from_be_bytes).map(u128::from)
    }

    fn times(view: &dyn ViewMut) -> Vec<u128> {
        let mut times: Vec<u128> =
            view.scan(&[PREFIX], None, 100_000).unwrap().iter().map(|(_, value)| time_of(value).unwrap()).collect();
        times.sort_unstable();
        times
    }

    /// Keys in no order, as hashes are; three for each moment.
    #[test]
    fn what_has_reached_its_age_goes_and_nothing_else_does_whatever_was_skipped() {
        let state = InMemoryView::default();
        let mut sweep = ExpiryCursor::default();
        let (mut skipped, mut most) = (0, 0);
        for moment in 1_000..4_000u64 {
            // Nothing comes for a while: what is there gets old all the same.
            for nth in 0..if (2_000..2_800).contains(&moment) { 0 } else { 3u64 } {
                let key = (moment * 3 + nth).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                state.put([&[PREFIX], &key.to_be_bytes()[..]].concat(), moment.to_be_bytes().to_vec());
                sweep.due += FOR_EACH;
            }
            let age = Age { kept: u128::from(moment - KEPT), now: moment.into() };
            skipped += u32::from(age.kept <= sweep.none_before);
            sweep.go_on(&state, PREFIX, moment.is_multiple_of(50), age, time_of).unwrap();
            let there = times(&state);
            most = most.max(there.len());
            let young = there.iter().filter(|time| **time >= age.kept).count();
            let since = |from: u64| (from..=moment).filter(|at| !(2_000..2_800).contains(at)).count() * 3;
            assert_eq!(young, since(1_000.max(moment - KEPT)), "at {moment} something young is missing");
        }
        assert!(skipped > 500, "{skipped}");
        assert!(most < 3 * (KEPT as usize * 3), "{most}");
        let age = Age { kept: 4_000, now: 4_500 };
        for _ in 0..20 {
            sweep.go_on(&state, PREFIX, true, age, time_of).unwrap();
        }
        assert_eq!(times(&state), [0; 0], "all have reached their age");
        assert_eq!(sweep.none_before, 4_500);
    }
}
