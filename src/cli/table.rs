//! Tables: columns as wide as needed, and no wider in all than the terminal.
//!
//! Without a terminal nothing is cut. On a terminal that is too narrow, further columns are left out, and then text is cut
//! with `…`; ids never are.
//!
//! Invariant: no cell contains control sequences.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::exit::Failure;
use super::screen;
use super::text::{cut, safe, safe_json, width};

/// Maximum width of running text and of the help, in terminal columns.
pub(super) const WIDTH: usize = 80;

/// Between two columns.
const GAP: usize = 2;

/// Minimum width to which a column is cut.
const LEAST: usize = 6;

/// What happens to a column where the terminal is too narrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cut {
    Never,
    Last,
    First,
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    title: &'static str,
    cut: Cut,
    right: bool,
    further: bool,
    is_state: bool,
}

impl Column {
    /// Text that is cut only after elastic columns.
    pub(super) const fn text(title: &'static str) -> Self {
        Self { title, cut: Cut::Last, right: false, further: false, is_state: false }
    }

    /// Text that is cut first.
    pub(super) const fn elastic(title: &'static str) -> Self {
        Self { cut: Cut::First, ..Self::text(title) }
    }

    /// An id, which is copied into commands: it is never cut.
    pub(super) const fn id(title: &'static str) -> Self {
        Self { cut: Cut::Never, ..Self::text(title) }
    }

    /// One of a few words for how something is; some have a colour.
    pub(super) const fn state(title: &'static str) -> Self {
        Self { is_state: true, ..Self::text(title) }
    }

    /// A right-aligned number.
    pub(super) const fn number(title: &'static str) -> Self {
        Self { right: true, ..Self::id(title) }
    }

    /// Shown only where the terminal is wide enough, or by `-o wide` and `-o csv`.
    pub(super) const fn further(self) -> Self {
        Self { further: true, ..self }
    }

    /// Its title in small letters, with underscores: `CREATED (UTC)` is `created_utc`.
    pub(super) fn name(&self) -> String {
        let words = self.title.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join("_").to_lowercase()
    }
}

/// The colour of a word for how something is.
fn style_of(word: &str) -> Option<Style> {
    let colour = match word {
        "delivered" | "active" | "enabled" | "connected" | "ready" | "ok" => AnsiColor::Green,
        "failed" | "failing" | "expired" | "missed" | "disabled" => AnsiColor::Red,
        "retrying" | "pending" | "cancelled" | "paused" | "waiting" => AnsiColor::Yellow,
        _ => return None,
    };
    Some(colour.on_default())
}

/// Columns with their widths: writes line after line, so a table may be endless.
#[derive(Debug)]
pub(super) struct Layout {
    /// The index of the cell, the column and its width.
    columns: Vec<(usize, Column, usize)>,
    /// Whether cells are cut to the widths.
    cuts: bool,
    coloured: bool,
}

impl Layout {
    /// Columns of given widths, for rows not known yet, in a table of at most `limit` columns of the terminal. What is left of them goes to the elastic ones.
    pub(super) fn fixed(columns: &[(Column, usize)], limit: Option<usize>) -> Self {
        let all = columns.iter().enumerate().map(|(index, (column, width))| (index, *column, *width));
        let mut layout = Self { columns: all.collect(), cuts: limit.is_some(), coloured: screen::coloured() };
        if let Some(limit) = limit {
            layout.leave_out(limit);
            let left = limit.saturating_sub(layout.total());
            let elastic = layout.columns.iter().filter(|(_, column, _)| column.cut == Cut::First).count();
            for (_, column, width) in &mut layout.columns {
                *width += if column.cut == Cut::First { left / elastic } else { 0 };
            }
        }
        layout
    }

    fn fit(columns: &[Column], rows: &[Vec<String>], limit: Option<usize>) -> Self {
        let needed = |(index, column): (usize, &Column)| {
            let cells = rows.iter().filter_map(|row| row.get(index)).map(|cell| width(cell));
            (index, *column, cells.chain([width(column.title)]).max().unwrap_or(0))
        };
        let columns = columns.iter().enumerate().map(needed).collect();
        let mut layout = Self { columns, cuts: limit.is_some(), coloured: screen::coloured() };
        if let Some(limit) = limit {
            layout.leave_out(limit);
            while layout.total() > limit && layout.narrow() {}
        }
        layout
    }

    fn total(&self) -> usize {
        self.columns.iter().map(|(.., width)| width + GAP).sum::<usize>().saturating_sub(GAP)
    }

    /// Leaves out further columns, the last first, until the rest fits.
    fn leave_out(&mut self, limit: usize) {
        while self.total() > limit {
            let Some(last) = self.columns.iter().rposition(|(_, column, _)| column.further) else { return };
            self.columns.remove(last);
        }
    }

    /// Narrows the widest column that can be by one; false if there is none.
    fn narrow(&mut self) -> bool {
        let cut = self.columns.iter_mut().filter(|(_, column, width)| column.cut != Cut::Never && *width > LEAST);
        let Some((.., width)) = cut.max_by_key(|(_, column, width)| (column.cut, *width)) else { return false };
        *width -= 1;
        true
    }

    /// The line of titles.
    pub(super) fn head(&self) -> String {
        let titles = self.columns.iter().map(|(_, column, width)| padded(column, column.title, *width, None));
        joined(titles)
    }

    /// One row. Missing cells are empty.
    pub(super) fn line(&self, cells: &[String]) -> String {
        joined(self.columns.iter().map(|(index, column, most)| {
            let cell = cells.get(*index).map_or_else(String::new, |cell| safe(cell));
            let cell = if self.cuts && column.cut != Cut::Never { cut(&cell, *most) } else { cell };
            let style = if self.coloured && column.is_state { style_of(&cell) } else { None };
            padded(column, &cell, *most, style)
        }))
    }
}

fn padded(column: &Column, cell: &str, most: usize, style: Option<Style>) -> String {
    let padding = " ".repeat(most.saturating_sub(width(cell)));
    let shown = style.map_or_else(|| cell.to_owned(), |style| format!("{style}{cell}{style:#}"));
    if column.right { padding + &shown } else { shown + &padding }
}

fn joined(cells: impl Iterator<Item = String>) -> String {
    let mut line = cells.collect::<Vec<_>>().join(&" ".repeat(GAP));
    line.truncate(line.trim_end().len());
    line
}

/// A table whose rows are all known before it is written.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub(super) fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; one cell per column.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| safe(&cell)).collect());
    }

    /// Writes titles and rows as wide as the terminal; only `empty` if there are no rows.
    ///
    /// # Errors
    /// `out` could not be written to.
    pub(super) fn write(&self, out: &mut dyn Write, empty: &str) -> io::Result<()> {
        self.write_within(screen::columns(), out, empty)
    }

    /// As [`Table::write`], of at most `limit` columns of the terminal; `None`: as wide as needed, with all columns.
    ///
    /// # Errors
    /// `out` could not be written to.
    pub(super) fn write_within(&self, limit: Option<usize>, out: &mut dyn Write, empty: &str) -> io::Result<()> {
        if self.rows.is_empty() {
            return writeln!(out, "{empty}");
        }
        let layout = Layout::fit(&self.columns, &self.rows, limit);
        writeln!(out, "{}", layout.head())?;
        self.rows.iter().try_for_each(|row| writeln!(out, "{}", layout.line(row)))
    }
}

/// One line of JSON.
///
/// # Errors
/// `out` could not be written to.
pub(super) fn json_line(out: &mut dyn Write, value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(|error| Failure::new(format!("not writable as JSON: {error}")))?;
    Ok(writeln!(out, "{}", safe_json(&text))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [Column::id("ID"), Column::elastic("URL"), Column::number("WAITING")];

    fn written(columns: &[Column], limit: Option<usize>, rows: &[&[&str]]) -> Vec<String> {
        let mut table = Table::new(columns);
        for row in rows {
            table.row(row.iter().map(|cell| (*cell).to_owned()));
        }
        let mut out = Vec::new();
        table.write_within(limit, &mut out, "none").unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn columns_are_as_wide_as_they_need() {
        let wanted = ["ID     URL       WAITING", "sub_1  http://a        3", "sub_2                  0"];
        for limit in [Some(80), None] {
            assert_eq!(written(&COLUMNS, limit, &[&["sub_1", "http://a", "3"], &["sub_2", "", "0"]]), wanted);
        }
        assert_eq!(written(&COLUMNS, None, &[]), ["none"]);
    }

    #[test]
    fn long_cells_are_cut_for_a_terminal_and_ids_stay_whole() {
        let id = "sub_01ARZ3NDEKTSV4RRFFQ69G5FAV";
        let url = format!("https://www.acme.example/{}", "x".repeat(200));
        for limit in [60, 80, 132] {
            let seen = written(&COLUMNS, Some(limit), &[&[id, &url, "12"]]);
            assert!(seen.iter().all(|line| width(line) <= limit), "{seen:?}");
            assert_eq!(width(&seen[1]), limit);
            assert!(seen[1].starts_with(id) && seen[1].contains('…') && seen[1].ends_with(" 12"));
        }
        assert!(written(&COLUMNS, Some(20), &[&[id, &url, "12"]])[1].starts_with(id));
        assert!(written(&COLUMNS, None, &[&[id, &url, "12"]])[1].contains(&url));
    }

    #[test]
    fn further_columns_are_left_out_before_anything_is_cut() {
        let columns = [Column::text("A"), Column::text("B").further(), Column::text("C").further()];
        let row: &[&str] = &["aaaaaaaa", "bbbbbbbb", "cccccccc"];
        let head = |limit| written(&columns, limit, &[row])[0].clone();
        assert_eq!(
            [None, Some(28), Some(27), Some(17)].map(head),
            ["A         B         C", "A         B         C", "A         B", "A"]
        );
        let widths: Vec<_> = columns.iter().map(|column| (*column, 8)).collect();
        assert_eq!(
            Layout::fixed(&widths, Some(18)).line(&row.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>()),
            "aaaaaaaa  bbbbbbbb"
        );
    }

    #[test]
    fn whatever_the_cells_a_row_is_one_line() {
        let wide = "電".repeat(90);
        let columns = [Column::text("ID"), Column::elastic("URL"), Column::text("STATE")];
        let seen = written(&columns, Some(80), &[&[&wide, &wide, &wide], &["\u{1b}[31m\n", "a\u{301}", "-"]]);
        assert_eq!(seen.len(), 3, "a line feed in a cell must not make a line");
        assert!(seen.iter().all(|line| width(line) <= 80 && !line.chars().any(char::is_control)), "{seen:?}");
    }

    #[test]
    fn words_for_how_something_is_have_colours_where_they_are_shown() {
        let column = Column::state("STATUS");
        assert_eq!(padded(&column, "failed", 8, style_of("failed")), "\u{1b}[31mfailed\u{1b}[0m  ");
        assert_eq!((style_of("x"), Column::text("CREATED (UTC)").name()), (None, "created_utc".to_owned()));
    }
}
