//! Tables for a terminal: columns as wide as needed, 80 in total, cut with `…` if necessary.
//!
//! Invariant: no line is wider than [`WIDTH`] columns, and no cell contains control sequences.

use std::io::{self, Write};

use super::exit::Failure;
use super::text::{cut, safe, safe_json, width};

/// Maximum width of a table, in terminal columns.
pub(super) const WIDTH: usize = 80;

/// Between two columns.
const GAP: usize = 2;

/// Minimum width to which a column is cut.
const LEAST: usize = 6;

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    title: &'static str,
    elastic: bool,
    right: bool,
}

impl Column {
    /// Text that is cut only after elastic columns.
    pub(super) const fn text(title: &'static str) -> Self {
        Self { title, elastic: false, right: false }
    }

    /// Text that is cut first.
    pub(super) const fn elastic(title: &'static str) -> Self {
        Self { title, elastic: true, right: false }
    }

    /// A right-aligned number.
    pub(super) const fn number(title: &'static str) -> Self {
        Self { title, elastic: false, right: true }
    }
}

/// Columns with their widths: writes line after line, so a table may be endless.
#[derive(Debug)]
pub(super) struct Layout {
    columns: Vec<(Column, usize)>,
}

impl Layout {
    /// Columns of given widths, for rows not known yet. The widths must fit [`WIDTH`].
    pub(super) fn fixed(columns: &[(Column, usize)]) -> Self {
        Self { columns: columns.to_vec() }
    }

    fn fit(columns: &[Column], rows: &[Vec<String>]) -> Self {
        let needed = |(index, column): (usize, &Column)| {
            let cells = rows.iter().filter_map(|row| row.get(index)).map(|cell| width(cell));
            (*column, cells.chain([width(column.title)]).max().unwrap_or(0))
        };
        let mut layout = Self { columns: columns.iter().enumerate().map(needed).collect() };
        while layout.total() > WIDTH && layout.narrow() {}
        layout
    }

    fn total(&self) -> usize {
        self.columns.iter().map(|(_, width)| width + GAP).sum::<usize>().saturating_sub(GAP)
    }

    /// Narrows the widest shrinkable column by one; false if there is none.
    fn narrow(&mut self) -> bool {
        let widest = self.columns.iter_mut().filter(|(_, width)| *width > LEAST);
        let Some((_, width)) = widest.max_by_key(|(column, width)| (column.elastic, *width)) else { return false };
        *width -= 1;
        true
    }

    /// The line of titles.
    pub(super) fn head(&self) -> String {
        self.line(&self.columns.iter().map(|(column, _)| column.title.to_owned()).collect::<Vec<_>>())
    }

    /// One row. Missing cells are empty.
    pub(super) fn line(&self, cells: &[String]) -> String {
        let mut line = String::new();
        for (index, (column, most)) in self.columns.iter().enumerate() {
            let cell = cells.get(index).map_or_else(String::new, |cell| cut(&safe(cell), *most));
            let padding = " ".repeat(most.saturating_sub(width(&cell)));
            let (before, after) = if column.right { (padding.as_str(), "") } else { ("", padding.as_str()) };
            line.push_str(before);
            line.push_str(&cell);
            line.push_str(after);
            line.push_str(&" ".repeat(GAP));
        }
        line.truncate(line.trim_end().len());
        line
    }
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

    /// Writes titles and rows, each line after `indent`; only `empty` if there are no rows.
    ///
    /// # Errors
    /// `out` could not be written to.
    pub(super) fn write(&self, out: &mut dyn Write, empty: &str) -> io::Result<()> {
        if self.rows.is_empty() {
            return writeln!(out, "{empty}");
        }
        let layout = Layout::fit(&self.columns, &self.rows);
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

    const COLUMNS: [Column; 3] = [Column::text("ID"), Column::elastic("URL"), Column::number("WAITING")];

    fn lines(rows: &[[&str; 3]]) -> Vec<String> {
        let mut table = Table::new(&COLUMNS);
        for row in rows {
            table.row(row.map(str::to_owned));
        }
        let mut out = Vec::new();
        table.write(&mut out, "none").unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn columns_are_as_wide_as_they_need() {
        let wanted = ["ID     URL       WAITING", "sub_1  http://a        3", "sub_2                  0"];
        assert_eq!(lines(&[["sub_1", "http://a", "3"], ["sub_2", "", "0"]]), wanted);
        assert_eq!(lines(&[]), ["none"]);
    }

    #[test]
    fn long_cells_are_cut_and_ids_stay_whole() {
        let id = "sub_01ARZ3NDEKTSV4RRFFQ69G5FAV";
        let url = format!("https://www.acme.example/{}", "x".repeat(200));
        let seen = lines(&[[id, &url, "12"]]);
        assert!(seen.iter().all(|line| width(line) <= WIDTH), "{seen:?}");
        assert_eq!(width(&seen[1]), WIDTH);
        assert!(seen[1].starts_with(id) && seen[1].contains("x…") && seen[1].ends_with(" 12"));
    }

    #[test]
    fn whatever_the_cells_no_line_is_wider_than_the_terminal() {
        let wide = "電".repeat(90);
        let seen = lines(&[[&wide, &wide, &wide], ["\u{1b}[31m\n", "a\u{301}", "-"]]);
        assert_eq!(seen.len(), 3, "a line feed in a cell must not make a line");
        assert!(seen.iter().all(|line| width(line) <= WIDTH && !line.chars().any(char::is_control)), "{seen:?}");
    }
}
