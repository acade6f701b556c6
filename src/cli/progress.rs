//! How far a long command is, on the terminal: a bar where the total is known, otherwise a count.
//!
//! Drawn on standard error if that is a terminal, and not for programs (`--json`). What a line says is decided by
//! [`Line::text`]; drawing it is indicatif's.
//!
//! Invariant: nothing of it is left on the terminal when [`during`] returns, or a signal ends the process.

use std::cell::Cell;
use std::ffi::OsStr;
use std::io::{self, IsTerminal as _};
use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::text::{count, number_of, size};
use crate::service::on_stop_signal;
use crate::store::offline::{Step, Work};
use crate::texts::Language;

/// Says that something goes on where no steps are told.
const TICK: Duration = Duration::from_millis(100);
/// What an estimate is based on at least.
const ESTIMATE_AFTER: Duration = Duration::from_secs(1);
/// The exit status of a process that was interrupted, as shells count it.
const INTERRUPTED: i32 = 130;

const BAR: &str = "[{bar:20}] {percent:>3}%  {wide_msg}";
const SPINNER: &str = "{spinner} {wide_msg}";

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Bytes,
    /// Things of this name.
    Number(&'static str),
}

/// How far something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    /// What is being done, as "reading the journal".
    pub(super) doing: &'static str,
    /// What is counted.
    pub(super) unit: Unit,
    /// How many.
    pub(super) done: u64,
    /// Of how many, if that is known.
    pub(super) total: Option<u64>,
}

impl Line {
    /// What it says; `left` is the time that the rest will take.
    fn text(self, left: Option<Duration>) -> String {
        let amount = |number| match self.unit {
            Unit::Bytes => size(number),
            Unit::Number(word) => number_of(number, word),
        };
        let (doing, done) = (self.doing, self.done);
        let left = left.map_or_else(String::new, |left| {
            format!(", {} left", Language::English.seconds(left.as_secs_f64().ceil()))
        });
        match self.total {
            Some(total) => {
                let done = match self.unit {
                    Unit::Bytes => size(done.min(total)),
                    Unit::Number(_) => count(done.min(total)),
                };
                format!("{doing}: {done} of {}{left}", amount(total))
            }
            None if done == 0 => doing.to_owned(),
            None => format!("{doing}: {}", amount(done)),
        }
    }
}

impl From<Step> for Line {
    fn from(step: Step) -> Self {
        let (doing, unit) = match step.work {
            Work::ReadState => ("reading the state", Unit::Number("value")),
            Work::ReadJournal => ("reading the journal", Unit::Bytes),
            Work::Compare => ("comparing the journal with the state", Unit::Number("value")),
            Work::ReadBackup => ("reading the backup", Unit::Bytes),
            Work::Restore => ("restoring", Unit::Bytes),
            Work::MoveJournal => ("moving the journal", Unit::Bytes),
            Work::MoveRecords => ("moving the records", Unit::Number("record")),
            Work::WriteState => ("writing the state", Unit::Number("value")),
        };
        Self { doing, unit, done: step.done, total: step.total }
    }
}

/// Whether it is shown: on a terminal that can go back to the beginning of a line, to people.
fn is_shown(terminal: bool, kind: Option<&OsStr>, for_programs: bool) -> bool {
    terminal && !for_programs && kind.is_none_or(|kind| kind != "dumb")
}

/// Does `work` and shows the lines that it tells, unless the output is `for_programs`.
pub(super) fn during<T>(for_programs: bool, work: impl FnOnce(&dyn Fn(Line)) -> T) -> T {
    if !is_shown(io::stderr().is_terminal(), std::env::var_os("TERM").as_deref(), for_programs) {
        return work(&|_| ());
    }
    let drawn = Drawn::begin();
    work(&|line| drawn.show(line))
}

/// As [`during`], of an offline operation, which tells steps.
pub(super) fn during_steps<T>(for_programs: bool, work: impl FnOnce(&dyn Fn(Step)) -> T) -> T {
    during(for_programs, |show| work(&|step| show(step.into())))
}

/// A line on the terminal, gone when this is dropped.
struct Drawn {
    /// Whoever holds the lock draws: after a signal nobody else does.
    bar: Arc<Mutex<ProgressBar>>,
    doing: Cell<&'static str>,
}

impl Drawn {
    fn begin() -> Self {
        let bar = Arc::new(Mutex::new(ProgressBar::hidden()));
        let seen = Arc::clone(&bar);
        // If it cannot be set, a signal leaves the line behind.
        drop(on_stop_signal(move || {
            let bar = lock(&seen);
            bar.finish_and_clear();
            process::exit(INTERRUPTED);
        }));
        let drawn = Self { bar, doing: Cell::new("") };
        drawn.show(Line { doing: "working", unit: Unit::Bytes, done: 0, total: None });
        drawn
    }

    fn show(&self, line: Line) {
        let mut bar = lock(&self.bar);
        if self.doing.replace(line.doing) != line.doing {
            bar.finish_and_clear();
            *bar = begun(line);
            bar.tick();
            bar.enable_steady_tick(TICK);
            return;
        }
        bar.set_position(line.done);
        let left = (line.total.is_some() && bar.elapsed() > ESTIMATE_AFTER).then(|| bar.eta());
        bar.set_message(line.text(left.filter(|left| !left.is_zero())));
    }
}

impl Drop for Drawn {
    fn drop(&mut self) {
        lock(&self.bar).finish_and_clear();
    }
}

fn lock(bar: &Mutex<ProgressBar>) -> MutexGuard<'_, ProgressBar> {
    bar.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A bar, or a spinner, which says `line`; not drawn yet.
fn begun(line: Line) -> ProgressBar {
    let (bar, template) = match line.total {
        Some(total) => (ProgressBar::new(total), BAR),
        None => (ProgressBar::new_spinner(), SPINNER),
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
    let style = style.progress_chars("=> ").tick_chars("-\\|/ ");
    bar.with_style(style).with_position(line.done).with_message(line.text(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_is_known() {
        let line = |unit, done, total| Line { doing: "reading", unit, done, total };
        let seconds = |count| Some(Duration::from_millis(count));
        let cases = [
            (line(Unit::Bytes, 0, None), None, "reading"),
            (line(Unit::Bytes, 1 << 20, None), None, "reading: 1.0 MiB"),
            (line(Unit::Bytes, 0, Some(3 << 30)), None, "reading: 0 bytes of 3.0 GiB"),
            (line(Unit::Bytes, 1 << 30, Some(3 << 30)), seconds(11_200), "reading: 1.0 GiB of 3.0 GiB, 12 s left"),
            (line(Unit::Bytes, 4 << 30, Some(3 << 30)), None, "reading: 3.0 GiB of 3.0 GiB"),
            (line(Unit::Number("entry"), 1, None), None, "reading: 1 entry"),
            (line(Unit::Number("entry"), 12_345, None), None, "reading: 12,345 entries"),
            (line(Unit::Number("value"), 5, Some(10)), seconds(300_000), "reading: 5 of 10 values, 5 min left"),
        ];
        for (line, left, wanted) in cases {
            assert_eq!(line.text(left), wanted);
        }
    }

    #[test]
    fn only_people_at_a_terminal_are_shown_it() {
        let kind = |kind: &'static str| Some(OsStr::new(kind));
        let cases = [
            (true, kind("xterm"), false, true),
            (true, None, false, true),
            (true, kind("dumb"), false, false),
            (true, kind("xterm"), true, false),
            (false, kind("xterm"), false, false),
        ];
        for (terminal, kind, for_programs, wanted) in cases {
            assert_eq!(is_shown(terminal, kind, for_programs), wanted, "{terminal} {kind:?} {for_programs}");
        }
    }
}
