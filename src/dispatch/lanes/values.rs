//! Input and output values of the lanes.

use std::time::Duration;

use crate::core::delivery::Delivery;
use crate::core::id::{DeliveryId, SubscriptionNumber};
use crate::core::subscription::Ordering;
use crate::core::time::Timestamp;

/// What lanes know about a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Whether deliveries may start.
    pub enabled: bool,
    /// The order to keep.
    pub ordering: Ordering,
    /// Maximum attempts in flight, at least 1.
    pub max_in_flight: u32,
    /// Maximum starts per second; `None` for no limit.
    pub rate_per_second: Option<u32>,
}

/// Limits on the number of deliveries in memory.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Flowing deliveries (neither waiting for a retry nor held back) of one subscription, or four per allowed
    /// concurrent attempt if that is more.
    pub window: usize,
    /// The same when memory is short, when the receiver is down, or when nothing is known about it: after a start,
    /// quick receivers would otherwise wait until all of that is read.
    pub least: usize,
    /// Deliveries of one subscription in total, waiting ones included, beyond which no more are read (twice that if
    /// the cursor has moved back). That many concurrent failures are no longer individual events' trouble.
    pub most: usize,
    /// Deliveries of all subscriptions together, beyond a `window` of each.
    pub most_of_all: usize,
}

impl Default for Bounds {
    /// At about 300 bytes per delivery: 80 MB at most, typically less than a tenth of that.
    fn default() -> Self {
        Self { window: 256, least: 8, most: 65_536, most_of_all: 262_144 }
    }
}

/// Rules that apply to all lanes.
#[derive(Debug, Clone, Copy)]
pub struct LaneRules {
    /// How long a failed delivery holds back the later ones of its call.
    pub hold: Duration,
    /// Maximum attempts in flight in total, at least 1.
    pub threads: usize,
    /// Pause before the first probe of a receiver that is down.
    pub first_probe: Duration,
    /// Longest pause between two probes, unless the receiver asked for a longer one.
    pub longest_probe_pause: Duration,
    /// Attempts and expiries, beyond `threads`, that may be in flight or not yet durable: a stalled disk stops
    /// sending instead of filling memory.
    pub unrecorded: usize,
    /// Limits on the number of deliveries in memory.
    pub bounds: Bounds,
}

/// What is known about a subscription when the lanes load it at start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Past {
    /// The sequence number of its last delivery, 0 if none.
    pub last: u64,
    /// Whether it has outstanding deliveries.
    pub outstanding: bool,
    /// When attempts began to fail, if enough failed in a row that the receiver is probably down.
    pub down_since: Option<Timestamp>,
    /// Whether its last attempt succeeded quickly.
    pub quick: bool,
}

/// A delivery to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The delivery.
    pub delivery: Delivery,
    /// The earlier deliveries of its call that it passes, oldest first, at most the first few.
    pub gap: Vec<DeliveryId>,
}

/// A read that the lanes want from the store: outstanding deliveries in ascending sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The subscription's number.
    pub number: SubscriptionNumber,
    /// Exclusive lower bound of the sequence.
    pub after: u64,
    /// The maximum number of deliveries.
    pub most: usize,
}

/// The condition of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Responds, or nothing is known against it.
    Ok,
    /// Responds slowly.
    Slow,
    /// Enough attempts failed in a row that it is probed with one delivery at a time.
    Down,
}

impl Condition {
    /// The name used by the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Slow => "slow",
            Self::Down => "down",
        }
    }
}

/// A subscription's state in the lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The receiver's condition.
    pub condition: Condition,
    /// When it is probed next, if it is down.
    pub next_try: Option<Timestamp>,
    /// Attempts in flight.
    pub in_flight: u32,
    /// The current concurrency limit.
    pub limit: u32,
    /// Deliveries in memory.
    pub held: usize,
}
