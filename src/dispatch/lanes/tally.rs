//! Number of subscriptions by state, updated at every change so that reading it blocks nothing.

use super::values::Condition;

/// Number of subscriptions by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Enabled, with a healthy or unknown receiver.
    pub ok: u64,
    /// Enabled, with a slow receiver.
    pub slow: u64,
    /// Enabled, with a receiver that is down.
    pub down: u64,
    /// Disabled.
    pub disabled: u64,
}

/// The state as which a subscription is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    Enabled(Condition),
    Disabled,
}

impl Tally {
    /// Moves a subscription from one count to another.
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
