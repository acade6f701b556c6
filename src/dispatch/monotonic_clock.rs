//! The dispatcher's clock: it starts at the wall clock's time and is monotonic from then on.
//!
//! All waits use this clock. If the wall clock is set forward by hours, no delivery becomes due, expires or is given
//! up by that; if it is set back, none waits longer. On the disk, in the log and in the API, deliveries have wall
//! times: they are converted where they enter and leave the lanes, by the difference of the two clocks at the
//! [`Moment`] at which their wall times were computed, so a jump in between changes nothing. Of what is read from the
//! store that moment is not known: the difference at the time of reading is used, so a backlog that is not in memory
//! takes a jump for time that went by. After a restart the two clocks agree again; what was written by another wall
//! clock is then due at once if it was never tried, and otherwise within the longest delay that there is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::core::delivery::{Delivery, State};
use crate::core::time::{Moment, Timestamp};

/// Tells the time of day.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Both clocks.
pub(super) struct MonotonicClock {
    wall: Clock,
    start: (Timestamp, Instant),
    /// No delivery waits longer than this to be tried again; milliseconds.
    longest_delay: AtomicU64,
}

impl MonotonicClock {
    /// Begins to run.
    pub(super) fn new(wall: Clock, longest_delay: Duration) -> Self {
        let start = (wall(), Instant::now());
        let clock = Self { wall, start, longest_delay: AtomicU64::new(0) };
        clock.set_longest_delay(longest_delay);
        clock
    }

    /// From now on no delivery waits longer than this.
    pub(super) fn set_longest_delay(&self, longest: Duration) {
        self.longest_delay.store(u64::try_from(longest.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The monotonic time.
    pub(super) fn now(&self) -> Timestamp {
        self.start.0.plus(self.start.1.elapsed())
    }

    /// The time of day.
    pub(super) fn wall(&self) -> Timestamp {
        (self.wall)()
    }

    /// Both clocks as they are.
    pub(super) fn reading(&self) -> Reading {
        self.reading_of(Moment { wall: self.wall(), at: Instant::now() })
    }

    /// Both clocks as they were.
    pub(super) fn reading_of(&self, moment: Moment) -> Reading {
        let monotonic = self.start.0.plus(moment.at.saturating_duration_since(self.start.1));
        let longest_delay = Duration::from_millis(self.longest_delay.load(Ordering::Relaxed));
        Reading { wall: moment.wall, monotonic, longest_delay }
    }
}

/// Both clocks at one moment. Who translates to and fro does it by one reading: the clock may jump in between.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// The time of day.
    pub(super) wall: Timestamp,
    monotonic: Timestamp,
    longest_delay: Duration,
}

impl Reading {
    /// `delivery`, which has wall times, as the lanes have it.
    pub(super) fn inward(&self, delivery: Delivery) -> Delivery {
        let mut moved = delivery.moved_in_time(between(self.wall, self.monotonic));
        let latest = match moved.state {
            // What was never tried waits for its turn only.
            State::Pending => self.monotonic,
            _ => self.monotonic.plus(self.longest_delay),
        };
        moved.due = moved.due.min(latest);
        moved
    }

    /// `delivery`, as the lanes have it, with wall times.
    pub(super) fn outward(&self, delivery: Delivery) -> Delivery {
        delivery.moved_in_time(between(self.monotonic, self.wall))
    }

    /// A time of the lanes' as wall time.
    pub(super) fn outward_time(&self, time: Timestamp) -> Timestamp {
        time.moved(between(self.monotonic, self.wall))
    }
}

/// How many milliseconds lie between the two; negative if `to` is the earlier.
fn between(from: Timestamp, to: Timestamp) -> i64 {
    to.millis().cast_signed() - from.millis().cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::{CallId, EventType};
    use crate::core::id::{DeliveryId, EventId, SubscriptionId};

    const HOUR: i64 = 3_600_000;
    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn delivery(state: State, due: Timestamp) -> Delivery {
        Delivery {
            id: DeliveryId::new(NOW, 1, 1),
            subscription: SubscriptionId::from_bits(1),
            event: EventId::from_bits(1),
            event_type: EventType::parse("call.new").unwrap(),
            call: CallId::parse("c").unwrap(),
            state,
            attempts: 0,
            due,
            give_up_at: NOW.moved(72 * HOUR),
            expire_at: Some(NOW.moved(HOUR / 6)),
            first_failed_at: Some(NOW),
            last_response: None,
            replay: false,
        }
    }

    #[test]
    fn a_jump_of_the_wall_clock_moves_every_time_of_a_delivery_alike() {
        let longest_delay = Duration::from_secs(8 * 3600);
        for jump in [0, 5 * HOUR, -5 * HOUR] {
            // Written by a wall clock that is `jump` ahead of the monotonic one.
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
