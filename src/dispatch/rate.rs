//! A token bucket for `rate_per_second`. Pure: time is an argument.

use std::time::Duration;

use crate::core::time::Timestamp;

/// The rate, and the tokens left.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    /// Tokens per second; `None` for no limit.
    rate: Option<f64>,
    tokens: f64,
    filled: Timestamp,
}

impl Bucket {
    /// A full bucket at `now`.
    pub(super) fn new(rate: Option<u32>, now: Timestamp) -> Self {
        let rate = rate.map(|rate| f64::from(rate.max(1)));
        Self { rate, tokens: rate.map_or(0.0, capacity), filled: now }
    }

    /// When the next token is available: `now` or later.
    pub(super) fn free_at(&mut self, now: Timestamp) -> Timestamp {
        let Some(rate) = self.rate else { return now };
        let passed = now.since(self.filled);
        self.tokens = (self.tokens + rate * passed.as_secs_f64()).min(capacity(rate));
        // If the clock was set back, counting continues from there.
        self.filled = now;
        if self.tokens >= 1.0 {
            return now;
        }
        let millis = ((1.0 - self.tokens) / rate * 1000.0).ceil();
        now.plus(Duration::from_millis(millis.max(1.0) as u64))
    }

    pub(super) fn take(&mut self, now: Timestamp) {
        self.free_at(now);
        self.tokens -= 1.0;
    }
}

/// Maximum tokens: a hundredth of a second's worth, so that no second exceeds the rate by more than a hundredth, and
/// at least one.
fn capacity(rate: f64) -> f64 {
    (rate / 100.0).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_sees_more_than_its_rate() {
        for rate in [1u32, 3, 10, 250, 5_000] {
            let mut now = Timestamp::from_millis(1_000_000);
            let mut bucket = Bucket::new(Some(rate), now);
            let mut begun: Vec<u64> = Vec::new();
            while now.millis() < 1_005_000 {
                let free = bucket.free_at(now);
                if free <= now {
                    bucket.take(now);
                    begun.push(now.millis());
                } else {
                    now = free;
                }
            }
            let most = rate as usize + (rate as usize / 100).max(1);
            for (index, first) in begun.iter().enumerate() {
                let within = begun[index..].iter().take_while(|at| **at < first + 1000).count();
                assert!(within <= most, "{rate}/s: {within} in one second");
            }
            assert!(begun.len() >= rate as usize * 5 * 9 / 10, "{rate}/s: only {} in five seconds", begun.len());
        }
    }

    #[test]
    fn without_a_rate_there_is_always_one() {
        let mut bucket = Bucket::new(None, Timestamp::ZERO);
        for _ in 0..1000 {
            bucket.take(Timestamp::ZERO);
        }
        assert_eq!(bucket.free_at(Timestamp::ZERO), Timestamp::ZERO);
    }
}
