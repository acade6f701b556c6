//! The input and output values of the lanes.

use std::time::Duration;

use crate::core::delivery::Delivery;
use crate::core::id::DeliveryId;
use crate::core::subscription::Ordering;
use crate::core::time::Timestamp;

/// What lanes need to know of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Whether deliveries flow.
    pub enabled: bool,
    /// Which order is kept.
    pub ordering: Ordering,
    /// How many may be under way at once, at least 1.
    pub max_in_flight: u32,
    /// How many may begin each second; `None` for any number.
    pub rate_per_second: Option<u32>,
}

/// How many deliveries are in memory.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// So many that flow (neither wait to be tried again nor are held back) of one subscription, or
    /// four for each attempt that it may have under way if that is more.
    pub window: usize,
    /// The same where memory is short, and for a receiver that is down, or of which nothing is known: after a start
    /// those that are quick would wait until all of that is read.
    pub least: usize,
    /// So many of one subscription in all, those that wait included, after which no more are read
    /// (twice as many if the cursor has gone back). So many failures at a time are no longer single
    /// events' trouble.
    pub most: usize,
    /// So many of all subscriptions together, beyond a `window` of each.
    pub most_of_all: usize,
}

impl Default for Bounds {
    /// At about 300 bytes for each delivery: 80 MB at most, and less than a tenth of that as a rule.
    fn default() -> Self {
        Self { window: 256, least: 8, most: 65_536, most_of_all: 262_144 }
    }
}

/// What holds for all lanes.
#[derive(Debug, Clone, Copy)]
pub struct LaneRules {
    /// How long a failed delivery holds back the later ones of its call.
    pub hold: Duration,
    /// How many attempts may be under way in all, 1 and up.
    pub threads: usize,
    /// How long a receiver that is down is left alone before it is asked first.
    pub ask_first: Duration,
    /// How long at most between two questions, unless it asked to be left alone for longer.
    pub ask_most: Duration,
    /// How many attempts and expiries may be under way or not on the disk yet, more than `threads`: so a disk that
    /// stalls stops the sending and not the memory.
    pub unrecorded: usize,
    /// How many deliveries are in memory.
    pub bounds: Bounds,
}

/// What is known of a subscription when the lanes take it up after a start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Past {
    /// The sequence number of its last delivery, 0 if there was none.
    pub last: u64,
    /// Whether it is owed anything.
    pub owed: bool,
    /// Since when every attempt has failed, if so many did that it is likely to be down.
    pub down_since: Option<Timestamp>,
    /// Whether its last attempt was answered well and quickly.
    pub quick: bool,
}

/// A delivery whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The delivery.
    pub delivery: Delivery,
    /// The earlier deliveries of its call that it passes, the oldest first; of very many the first ones.
    pub gap: Vec<DeliveryId>,
}

/// What the lanes want to be read from the store: deliveries that are owed, in order of sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Of the subscription with this number.
    pub number: u32,
    /// Above this in sequence.
    pub after: u64,
    /// So many.
    pub most: usize,
}

/// How a receiver is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It takes what it is sent, or nothing is known against it.
    Ok,
    /// Its answers take long.
    Slow,
    /// So many attempts failed in a row that it is asked by one delivery at a time.
    Down,
}

impl Condition {
    /// As the API says it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Slow => "slow",
            Self::Down => "down",
        }
    }
}

/// How a subscription stands in the lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// How its receiver is.
    pub condition: Condition,
    /// When it is asked next, if it is down.
    pub next_try: Option<Timestamp>,
    /// How many attempts are under way.
    pub in_flight: u32,
    /// How many there may be at present.
    pub limit: u32,
    /// How many of its deliveries are in memory.
    pub held: usize,
}
