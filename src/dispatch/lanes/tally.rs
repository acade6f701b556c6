//! The number of subscriptions in each state, kept up to date at every change, so that reading it stops nothing.

use super::values::Condition;

/// How many subscriptions are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Enabled, and their receivers are well, or nothing is known of them.
    pub ok: u64,
    /// Enabled, and their receivers take long.
    pub slow: u64,
    /// Enabled, and their receivers are down.
    pub down: u64,
    /// Disabled.
    pub disabled: u64,
}

/// As what a subscription is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    Enabled(Condition),
    Disabled,
}

impl Tally {
    /// A subscription that was counted as `from` is counted as `to`.
    pub(super) fn change(&mut self, from: Option<Counted>, to: Option<Counted>) {
        if let Some(slot) = from.map(|from| self.slot(from)) {
            *slot = slot.saturating_sub(1);
        }
        if let Some(slot) = to.map(|to| self.slot(to)) {
            *slot += 1;
        }
    }

    const fn slot(&mut self, counted: Counted) -> &mut u64 {
        match counted {
            Counted::Enabled(Condition::Ok) => &mut self.ok,
            Counted::Enabled(Condition::Slow) => &mut self.slow,
            Counted::Enabled(Condition::Down) => &mut self.down,
            Counted::Disabled => &mut self.disabled,
        }
    }
}
