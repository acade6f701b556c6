//! Detects whether a receiver's latency rises with concurrency.
//!
//! Compares the mean logarithm of latencies over a round of attempts. Queueing at a receiver delays every response,
//! including the fast ones, and so raises this mean more than a few slow responses do; the variance says how much of
//! a difference may be chance.

use std::time::Duration;

/// A risen latency is at least this multiple of the usual one.
const RISEN: f64 = 1.5;
/// Standard errors above which a difference is significant.
const ERRORS: f64 = 2.5;
/// The same for accepting a lower latency as the usual one.
const LOWER_ERRORS: f64 = 1.5;
/// Shorter latencies count as this: below it, the machine's own scheduling is measured.
const SHORTEST: Duration = Duration::from_micros(100);
/// Bounds of the factor by which concurrency is reduced after latency has risen.
const CUT_LEAST: f64 = 0.75;
const CUT_MOST: f64 = 0.5;
/// Headroom above the concurrency that would restore the usual latency.
const HEADROOM: f64 = 1.25;

/// Sums over logarithms of latencies.
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

    /// The squared standard error of the mean.
    fn error(&self) -> f64 {
        let count = f64::from(self.count.max(2));
        (self.squares / count - self.mean().powi(2)).max(0.0) / (count - 1.0)
    }

    /// How far the mean is above that of `other`, and the standard error of the difference.
    fn above(&self, other: &Self) -> (f64, f64) {
        (self.mean() - other.mean(), (self.error() + other.error()).sqrt())
    }
}

/// How the next round is used.
#[derive(Debug, Clone, Copy, Default)]
enum Stage {
    /// Compared with the usual latency.
    #[default]
    Free,
    /// Latency rose while concurrency grew: measure once more at constant concurrency.
    Held,
    /// Concurrency was reduced from `before` to test whether it causes the rise; confirmed if the mean is at most
    /// `worked`.
    EndedAttempt { before: f64, worked: f64 },
}

/// The latencies of one receiver.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Latency {
    round: Sum,
    usual: Option<Sum>,
    stage: Stage,
    /// Total duration of the attempts of this round, and the mean of the last round, in seconds.
    took: f64,
    each: f64,
}

/// The result of a round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Verdict {
    /// Latency is as usual.
    Usual,
    /// Latency seems to have risen: hold concurrency for a round.
    Held,
    /// Latency has risen: reduce concurrency to this.
    Risen(f64),
    /// The reduction lowered latency: keep it.
    Helped,
    /// The reduction did not help: restore this concurrency.
    InVain(f64),
}

impl Latency {
    pub(super) fn add(&mut self, took: Duration) {
        self.round.add(took);
        self.took += took.as_secs_f64();
    }

    /// The number of attempts in this round.
    pub(super) const fn count(&self) -> u32 {
        self.round.count
    }

    /// Whether concurrency is held for a measurement.
    pub(super) const fn is_held(&self) -> bool {
        !matches!(self.stage, Stage::Free)
    }

    /// The usual latency.
    pub(super) fn usual(&self) -> Option<Duration> {
        self.usual.map(|usual| Duration::from_secs_f64(usual.mean().exp()))
    }

    /// How long a change of concurrency takes to show. Counting only attempts started after the change would see the
    /// fast ones first and take that for its effect.
    pub(super) fn settling(&self) -> Duration {
        Duration::from_secs_f64(2.0 * self.each)
    }

    /// Starts a new round.
    pub(super) fn restart(&mut self) {
        *self = Self { usual: self.usual, each: self.each, ..Self::default() };
    }

    /// Ends a round in which all `in_flight` allowed attempts were used; reduces to no less than `least`.
    pub(super) fn end_round(&mut self, in_flight: f64, least: f64) -> Verdict {
        let round = std::mem::take(&mut self.round);
        if round.count > 0 {
            self.each = std::mem::take(&mut self.took) / f64::from(round.count);
        }
        let stage = std::mem::take(&mut self.stage);
        if let Stage::EndedAttempt { before, worked } = stage {
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
        let fewer = (in_flight * ((-above).exp() * HEADROOM).clamp(CUT_MOST, CUT_LEAST)).max(least);
        if above < RISEN.ln().max(ERRORS * chance) || fewer >= in_flight {
            return Verdict::Usual;
        }
        if matches!(stage, Stage::Free) {
            self.stage = Stage::Held;
            return Verdict::Held;
        }
        // If requests queue, the queue shrinks by what is no longer in flight.
        let worked = round.mean() + (fewer / in_flight).ln() / 2.0;
        self.stage = Stage::EndedAttempt { before: in_flight, worked };
        Verdict::Risen(fewer)
    }
}
