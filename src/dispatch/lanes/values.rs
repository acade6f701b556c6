//! What goes into the lanes and comes out of them.

use std::time::Duration;

use crate::core::delivery::Delivery;
use crate::core::id::DeliveryId;
use crate::core::time::Timestamp;

use super::Bounds;

/// What holds for all lanes.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
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
