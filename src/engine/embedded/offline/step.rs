//! How far an offline operation is, for whoever waits for it.
//!
//! Knows neither words nor terminals: it calls a closure that it was given, and not for every record.

use std::cell::Cell;

/// What is being done, and so what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// The state is read: values.
    ReadState,
    /// The journal is read: bytes, uncompressed.
    ReadJournal,
    /// Journal and state are compared: nothing is counted.
    Compare,
    /// A backup is read: bytes.
    ReadBackup,
    /// A backup is restored: bytes of it.
    Restore,
    /// The journal is moved elsewhere: bytes, uncompressed.
    MoveJournal,
    /// Records are moved from elsewhere: records.
    MoveRecords,
    /// The state is written: values.
    WriteState,
}

impl Work {
    /// How much is counted between two steps that are told.
    const fn between(self) -> u64 {
        match self {
            Self::ReadJournal | Self::ReadBackup | Self::Restore | Self::MoveJournal => 1 << 20,
            Self::ReadState | Self::Compare | Self::MoveRecords | Self::WriteState => 1_000,
        }
    }
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What is being done.
    pub work: Work,
    /// How much of it is done.
    pub done: u64,
    /// How much there is, if that is known.
    pub total: Option<u64>,
}

/// Is told each step.
pub type Tell<'t> = &'t dyn Fn(Step);

/// Counts, and tells steps: the first at once, and then some.
pub(crate) struct Counter<'t> {
    tell: Tell<'t>,
    work: Work,
    total: Option<u64>,
    done: Cell<u64>,
    told: Cell<u64>,
}

impl<'t> Counter<'t> {
    /// Begins a piece of work.
    pub(crate) fn begin(tell: Tell<'t>, work: Work, total: Option<u64>) -> Self {
        tell(Step { work, done: 0, total });
        Self { tell, work, total, done: Cell::new(0), told: Cell::new(0) }
    }

    /// So much more is done.
    pub(crate) fn add(&self, more: usize) {
        self.reach(self.done.get() + more as u64);
    }

    /// So much is done in all.
    pub(crate) fn reach(&self, done: u64) {
        self.done.set(done);
        if done >= self.told.get() + self.work.between() {
            self.told.set(done);
            (self.tell)(Step { work: self.work, done, total: self.total });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn the_first_step_is_told_and_then_one_for_many() {
        let told = RefCell::new(Vec::new());
        let tell = |step: Step| told.borrow_mut().push((step.done, step.total));
        let counter = Counter::begin(&tell, Work::ReadJournal, Some(3 << 20));
        for _ in 0..3 << 10 {
            counter.add(1 << 10);
        }
        let mib = |count: u64| (count << 20, Some(3 << 20));
        assert_eq!(*told.borrow(), [0, 1, 2, 3].map(mib));
    }
}
