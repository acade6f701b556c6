//! What standard output is: how wide, and whether it shows colours.
//!
//! Set once, by [`observe`]; until then, as in unit tests, 80 columns without colours.

use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;

use anstream::{AutoStream, ColorChoice};
use clap::ValueEnum;

use super::text::cut;

/// Standard output.
#[derive(Debug, Clone, Copy)]
struct Screen {
    /// Terminal columns; `None` for a pipe or a file, where nothing is cut.
    columns: Option<usize>,
    coloured: bool,
}

static SCREEN: OnceLock<Screen> = OnceLock::new();

/// The width if the terminal does not tell it.
const USUAL: usize = 80;

/// When colours are shown.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
    #[default]
    Auto,
    Always,
    Never,
}

/// Observes standard output.
pub(super) fn observe(color: Color) {
    let columns = io::stdout().is_terminal().then(|| {
        terminal_size::terminal_size().map_or(USUAL, |(terminal_size::Width(width), _)| usize::from(width.max(1)))
    });
    let coloured = match color {
        Color::Auto => AutoStream::choice(&io::stdout()) != ColorChoice::Never,
        Color::Always => true,
        Color::Never => false,
    };
    // Only the first observation counts.
    SCREEN.get_or_init(|| Screen { columns, coloured });
}

fn screen() -> Screen {
    SCREEN.get().copied().unwrap_or(Screen { columns: Some(USUAL), coloured: false })
}

/// The columns of the terminal; `None` without one.
pub(super) fn columns() -> Option<usize> {
    screen().columns
}

/// Whether colours are shown.
pub(super) fn coloured() -> bool {
    screen().coloured
}

/// Whether standard output is a terminal.
pub(super) fn is_terminal() -> bool {
    columns().is_some()
}

/// `line` cut to the terminal's width, `indent` columns of which are taken.
pub(super) fn fit(line: &str, indent: usize) -> String {
    columns().map_or_else(|| line.to_owned(), |columns| cut(line, columns.saturating_sub(indent)))
}
