//! The retry schedule: a valid value that reads as a list of delays.
//!
//! Knows nothing about deliveries; randomness is an argument.

use std::time::Duration;

use super::time::format_duration;

/// When failed deliveries are retried, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    initial_delay: Duration,
    multiplier: f64,
    max_delay: Duration,
    jitter: f64,
    give_up_after: Duration,
    disable_after: Duration,
}

/// An invalid setting of the schedule, named by its key in `[retry]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPolicy {
    /// The key at fault.
    pub key: &'static str,
    /// What would be valid.
    pub detail: String,
}

/// The unchecked settings of a [`RetryPolicy`].
#[derive(Debug, Clone, PartialEq)]
pub struct RetrySettings {
    /// The delay after the first failure; 1 ms to `max_delay`.
    pub initial_delay: Duration,
    /// The factor between successive delays; 1 to 100.
    pub multiplier: f64,
    /// The longest delay; at most 7 days.
    pub max_delay: Duration,
    /// The part of a delay that is random, in both directions; 0 to 1.
    pub jitter: f64,
    /// How long after acceptance a delivery is given up; 100 ms to 365 days.
    pub give_up_after: Duration,
    /// How long every attempt of a subscription must fail before it is disabled; 100 ms to 365 days.
    pub disable_after: Duration,
}

const DAY: Duration = Duration::from_secs(86_400);

impl RetryPolicy {
    /// The schedule with these settings.
    ///
    /// # Errors
    /// Every setting out of range.
    pub fn try_new(settings: &RetrySettings) -> Result<Self, Vec<BadPolicy>> {
        let mut faults = Vec::new();
        let mut length = |key, value: Duration, least: Duration, most: Duration| {
            if !(least..=most).contains(&value) {
                let (least, most, value) = (format_duration(least), format_duration(most), format_duration(value));
                faults.push(BadPolicy {
                    key,
                    detail: format!("must be from \"{least}\" to \"{most}\", not \"{value}\""),
                });
            }
        };
        let least = Duration::from_millis(1);
        length("max_delay", settings.max_delay, least, 7 * DAY);
        length("initial_delay", settings.initial_delay, least, settings.max_delay);
        length("give_up_after", settings.give_up_after, Duration::from_millis(100), 365 * DAY);
        length("disable_after", settings.disable_after, Duration::from_millis(100), 365 * DAY);
        let mut number = |key, value: f64, least: f64, most: f64| {
            if !(least..=most).contains(&value) {
                faults.push(BadPolicy { key, detail: format!("must be from {least} to {most}, not {value}") });
            }
        };
        number("multiplier", settings.multiplier, 1.0, 100.0);
        number("jitter", settings.jitter, 0.0, 1.0);
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            initial_delay: settings.initial_delay,
            multiplier: settings.multiplier,
            max_delay: settings.max_delay,
            jitter: settings.jitter,
            give_up_after: settings.give_up_after,
            disable_after: settings.disable_after,
        })
    }

    /// The delay after `failures` failed attempts (at least 1), before jitter.
    pub fn nominal_delay(&self, failures: u32) -> Duration {
        let steps = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.initial_delay.as_secs_f64() * self.multiplier.powi(steps);
        // Compared as floats: a product that overflows Duration, or is infinite, becomes the largest delay.
        if seconds < self.max_delay.as_secs_f64() { Duration::from_secs_f64(seconds) } else { self.max_delay }
    }

    /// The delay after `failures` failed attempts, spread by `chance` in [0, 1) over the nominal delay ± the jitter.
    pub fn delay(&self, failures: u32, chance: f64) -> Duration {
        let factor = 1.0 + self.jitter * (2.0 * chance.clamp(0.0, 1.0) - 1.0);
        self.nominal_delay(failures).mul_f64(factor)
    }

    /// The longest delay before jitter.
    pub const fn max_delay(&self) -> Duration {
        self.max_delay
    }

    /// The longest delay with jitter.
    pub fn longest_delay(&self) -> Duration {
        self.max_delay.mul_f64(1.0 + self.jitter)
    }

    /// How long after acceptance a delivery is given up.
    pub const fn give_up_after(&self) -> Duration {
        self.give_up_after
    }

    /// How long every attempt of a subscription must fail before it is disabled.
    pub const fn disable_after(&self) -> Duration {
        self.disable_after
    }
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            initial_delay: Duration::from_secs(5),
            multiplier: 4.0,
            max_delay: Duration::from_secs(8 * 3600),
            jitter: 0.1,
            give_up_after: 3 * DAY,
            disable_after: 5 * DAY,
        }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        let built_in = Self::try_new(&RetrySettings::default());
        built_in.expect("the built-in retry settings are in range, which a test checks")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_schedule_is_the_documented_list() {
        let policy = RetryPolicy::default();
        let delays: Vec<u64> = (1..=9).map(|n| policy.nominal_delay(n).as_secs()).collect();
        assert_eq!(delays, [5, 20, 80, 320, 1280, 5120, 20_480, 28_800, 28_800]);
        assert_eq!(policy.nominal_delay(u32::MAX), policy.max_delay());
    }

    #[test]
    fn jitter_spreads_both_ways_and_no_further() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.delay(1, 0.0), Duration::from_millis(4_500));
        assert_eq!(policy.delay(1, 0.5), Duration::from_millis(5_000));
        assert_eq!(policy.delay(1, 1.0), Duration::from_millis(5_500));
        assert_eq!(policy.delay(1, 9.0), Duration::from_millis(5_500));
    }

    #[test]
    fn impossible_values_are_refused_by_key() {
        let base = RetrySettings::default();
        let cases = [
            ("initial_delay", RetrySettings { initial_delay: Duration::ZERO, ..base.clone() }),
            ("initial_delay", RetrySettings { initial_delay: 2 * DAY, ..base.clone() }),
            ("max_delay", RetrySettings { max_delay: 8 * DAY, ..base.clone() }),
            ("multiplier", RetrySettings { multiplier: 0.5, ..base.clone() }),
            ("multiplier", RetrySettings { multiplier: f64::NAN, ..base.clone() }),
            ("jitter", RetrySettings { jitter: 1.1, ..base.clone() }),
            ("give_up_after", RetrySettings { give_up_after: Duration::ZERO, ..base.clone() }),
            ("disable_after", RetrySettings { disable_after: 366 * DAY, ..base }),
        ];
        for (key, settings) in cases {
            let faults = RetryPolicy::try_new(&settings).unwrap_err();
            assert_eq!(faults.iter().map(|fault| fault.key).collect::<Vec<_>>(), [key]);
        }
    }
}
