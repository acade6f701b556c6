//! The dispatcher's clock: starts at wall-clock time and is monotonic from then on.
//!
//! All waits use this clock. If the wall clock is set forward by hours, no delivery becomes due, expires or is given
//! up early; if it is set back, none waits longer. On disk, in the log and in the API, deliveries have wall times:
//! they are converted where they enter and leave the lanes, by the difference of the two clocks at the [`Moment`] at
//! which their wall times were computed, so a jump in between changes nothing. For deliveries read from the store
//! that moment is unknown: the difference at the time of reading is used, so a backlog that is not in memory takes a
//! jump for elapsed time. After a restart the two clocks agree again; times written by a different wall clock are
//! then due at once if never tried, and otherwise within the longest delay.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::core::delivery::{Delivery, State};
use crate::core::time::{Moment, Timestamp};

/// Returns the wall-clock time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

pub(super) struct MonotonicClock {
    wall: Clock,
    start: (Timestamp, Instant),
    /// Maximum delay of a retry, in milliseconds.
    longest_delay: AtomicU64,
}

impl MonotonicClock {
    pub(super) fn new(wall: Clock, longest_delay: Duration) -> Self {
        let start = (wall(), Instant::now());
        let clock = Self { wall, start, longest_delay: AtomicU64::new(0) };
        clock.set_longest_delay(longest_delay);
        clock
    }

    /// Sets the maximum delay of a retry.
    pub(super) fn set_longest_delay(&self, longest: Duration) {
        self.longest_delay.store(u64::try_from(longest.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The monotonic time.
    pub(super) fn now(&self) -> Timestamp {
        self.start.0.plus(self.start.1.elapsed())
    }

    /// The wall-clock time.
    pub(super) fn wall(&self) -> Timestamp {
        (self.wall)()
    }

    /// Both clocks now.
    pub(super) fn reading(&self) -> Reading {
        self.reading_of(Moment { wall: self.wall(), at: Instant::now() })
    }

    /// Both clocks at `moment`.
    pub(super) fn reading_of(&self, moment: Moment) -> Reading {
        let monotonic = self.start.0.plus(moment.at.saturating_duration_since(self.start.1));
        let longest_delay = Duration::from_millis(self.longest_delay.load(Ordering::Relaxed));
        Reading { wall: moment.wall, monotonic, longest_delay }
    }
}

/// Both clocks at one moment. Convert back and forth with one reading: the clock may jump in between.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// The wall-clock time.
    pub(super) wall: Timestamp,
    monotonic: Timestamp,
    longest_delay: Duration,
}

impl Reading {
    /// Converts `delivery` from wall time to the lanes' time.
    pub(super) fn inward(&self, delivery: Delivery) -> Delivery {
        let mut moved = delivery.moved_in_time(between(self.wall, self.monotonic));
        let latest = match moved.state {
            // A delivery never tried has no due time to keep.
            State::Pending => self.monotonic,
            _ => self.monotonic.plus(self.longest_delay),
        };
        moved.due = moved.due.min(latest);
        moved
    }

    /// Converts `delivery` from the lanes' time to wall time.
    pub(super) fn outward(&self, delivery: Delivery) -> Delivery {
        delivery.moved_in_time(between(self.monotonic, self.wall))
    }

    /// Converts a time of the lanes to wall time.
    pub(super) fn outward_time(&self, time: Timestamp) -> Timestamp {
        time.moved(between(self.monotonic, self.wall))
    }
}

/// Milliseconds from `from` to `to`; negative if `to` is earlier.
fn between(from: Timestamp, to: Timestamp) -> i64 {
    to.millis().cast_signed() - from.millis().cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::{DeliveryId, SubscriptionNumber};

    const HOUR: i64 = 3_600_000;
    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn delivery(state: State, due: Timestamp) -> Delivery {
        Delivery {
            state,
            due,
            give_up_at: NOW.moved(72 * HOUR),
            expire_at: Some(NOW.moved(HOUR / 6)),
            first_failed_at: Some(NOW),
            ..Delivery::for_test(DeliveryId::new(NOW, SubscriptionNumber::FIRST, 1))
        }
    }

    #[test]
    fn a_jump_of_the_wall_clock_moves_every_time_of_a_delivery_alike() {
        let longest_delay = Duration::from_secs(8 * 3600);
        for jump in [0, 5 * HOUR, -5 * HOUR] {
            // Written by a wall clock `jump` ahead of the monotonic one.
            let written = delivery(State::Retrying, NOW.moved(5_000)).moved_in_time(jump);
            let seen = Reading { wall: NOW.moved(jump), monotonic: NOW, longest_delay }.inward(written.clone());
            assert_eq!(seen, delivery(State::Retrying, NOW.moved(5_000)), "{jump}");
            assert_eq!(seen.moved_in_time(jump), written, "{jump}");
        }
    }

    #[test]
    fn nothing_waits_longer_than_there_are_delays() {
        let reading = Reading { wall: NOW, monotonic: NOW, longest_delay: Duration::from_secs(3600) };
        let far = NOW.moved(100 * HOUR);
        assert_eq!(reading.inward(delivery(State::Retrying, far)).due, NOW.moved(HOUR));
        assert_eq!(reading.inward(delivery(State::Pending, far)).due, NOW);
        let past = NOW.moved(-HOUR);
        assert_eq!(reading.inward(delivery(State::Pending, past)).due, past);
    }
}
