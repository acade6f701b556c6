//! Whether what a receiver is sent at once makes it slower.
//!
//! Latencies are compared by their logarithms' mean over a round of attempts. What queues at a receiver adds the same
//! to each of its answers, the quick ones too, which raises this mean more than the usual few that take long; and how
//! far the latencies lie apart says how much of a difference may be chance.

use std::time::Duration;

/// A risen latency is at least so many times the usual one.
const RISEN: f64 = 1.5;
/// How many standard errors a difference is more than chance.
const ERRORS: f64 = 2.5;
/// The same where a lower latency is taken for the usual one.
const LOWER_ERRORS: f64 = 1.5;
/// Shorter latencies count as long as this: below, it is the machine's own scheduling that is measured.
const SHORTEST: Duration = Duration::from_micros(100);
/// After what has risen: to this part at least, and at most, what is under way is reduced.
const CUT_LEAST: f64 = 0.75;
const CUT_MOST: f64 = 0.5;
/// What is above the part that would be answered as quickly as before.
const HEADROOM: f64 = 1.25;

/// The logarithms of some latencies.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    count: u32,
    sum: f64,
    squares: f64,
}

impl Sum {
    fn add(&mut self, took: Duration) {
        let logarithm = took.max(SHORTEST).as_secs_f64().ln();
        self.count += 1;
        self.sum += logarithm;
        self.squares += logarithm * logarithm;
    }

    fn mean(&self) -> f64 {
        self.sum / f64::from(self.count.max(1))
    }

    /// The square of the mean's standard error.
    fn error(&self) -> f64 {
        let count = f64::from(self.count.max(2));
        (self.squares / count - self.mean().powi(2)).max(0.0) / (count - 1.0)
    }

    /// How far the mean is above that of `other`, and how far chance may carry it.
    fn above(&self, other: &Self) -> (f64, f64) {
        (self.mean() - other.mean(), (self.error() + other.error()).sqrt())
    }
}

/// What is made of the next round.
#[derive(Debug, Clone, Copy, Default)]
enum Stage {
    /// It is compared with the usual latency.
    #[default]
    Free,
    /// It has risen while more and more was under way: with no more, it shows how far.
    Held,
    /// Less is under way than there was `before`, to see whether that is why it has risen: it has, if it is as low as
    /// `worked` now.
    Tried { before: f64, worked: f64 },
}

/// The latencies of one receiver.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Latency {
    round: Sum,
    usual: Option<Sum>,
    stage: Stage,
    /// How long all the attempts of this round took together, and one of the last round, seconds.
    took: f64,
    each: f64,
}

/// What a round of attempts showed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Verdict {
    /// Its latency is the usual one.
    Usual,
    /// It seems to have risen: no more for a round.
    Held,
    /// It has: this much under way, and see.
    Risen(f64),
    /// Less under way made it lower: it stays so.
    Helped,
    /// It did not: so much as before.
    InVain(f64),
}

impl Latency {
    /// An attempt took so long.
    pub(super) fn add(&mut self, took: Duration) {
        self.round.add(took);
        self.took += took.as_secs_f64();
    }

    /// How many are counted in this round.
    pub(super) const fn count(&self) -> u32 {
        self.round.count
    }

    /// Whether no more is to be under way, to see what comes of it.
    pub(super) const fn is_held(&self) -> bool {
        !matches!(self.stage, Stage::Free)
    }

    /// The usual latency.
    pub(super) fn usual(&self) -> Option<Duration> {
        self.usual.map(|usual| Duration::from_secs_f64(usual.mean().exp()))
    }

    /// How long it takes until a change of what is under way shows. Who counted only attempts that began after it would
    /// hear of the quick ones first, and take that for the change.
    pub(super) fn settling(&self) -> Duration {
        Duration::from_secs_f64(2.0 * self.each)
    }

    /// Counts from new.
    pub(super) fn restart(&mut self) {
        *self = Self { usual: self.usual, each: self.each, ..Self::default() };
    }

    /// Ends a round in which `under_way` were, all that was allowed; it is reduced to `least` at least.
    pub(super) fn end_round(&mut self, under_way: f64, least: f64) -> Verdict {
        let round = std::mem::take(&mut self.round);
        if round.count > 0 {
            self.each = std::mem::take(&mut self.took) / f64::from(round.count);
        }
        let stage = std::mem::take(&mut self.stage);
        if let Stage::Tried { before, worked } = stage {
            if round.mean() <= worked {
                return Verdict::Helped;
            }
            self.usual = Some(round);
            return Verdict::InVain(before);
        }
        let Some(usual) = self.usual else {
            self.usual = Some(round);
            return Verdict::Usual;
        };
        let (above, chance) = round.above(&usual);
        if above < -LOWER_ERRORS * chance {
            self.usual = Some(round);
        }
        let fewer = (under_way * ((-above).exp() * HEADROOM).clamp(CUT_MOST, CUT_LEAST)).max(least);
        if above < RISEN.ln().max(ERRORS * chance) || fewer >= under_way {
            return Verdict::Usual;
        }
        if matches!(stage, Stage::Free) {
            self.stage = Stage::Held;
            return Verdict::Held;
        }
        // Of a queue, as much would be gone as is less under way.
        let worked = round.mean() + (fewer / under_way).ln() / 2.0;
        self.stage = Stage::Tried { before: under_way, worked };
        Verdict::Risen(fewer)
    }
}
