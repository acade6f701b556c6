//! The options that say how a list is printed.

use std::io::{self, Write};

use clap::{Args, ValueEnum};

use super::exit::Failure;
use super::table::Column;
use super::text::safe;
use crate::core::text::harmless;

/// How a list is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// As many columns as the terminal shows.
    #[default]
    Table,
    /// All columns, and nothing cut.
    Wide,
    /// As the daemon says it.
    Json,
    /// All columns, with a line of their names (RFC 4180).
    Csv,
}

/// The options of every list.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(super) struct Format {
    /// Print a table, or as wide, json or csv
    #[arg(long, short, value_enum, value_name = "FORMAT", hide_possible_values = true, conflicts_with = "json")]
    output: Option<Output>,

    /// The same as -o json
    #[arg(long)]
    json: bool,
}

impl Format {
    /// What was asked for.
    pub(super) fn output(self) -> Output {
        if self.json { Output::Json } else { self.output.unwrap_or_default() }
    }
}

/// Lines of comma-separated values.
pub(super) struct CsvLines<'o> {
    writer: csv::Writer<&'o mut dyn Write>,
}

impl<'o> CsvLines<'o> {
    /// Writes the line of names: the columns' titles as words with underscores.
    ///
    /// # Errors
    /// `out` could not be written to.
    pub(super) fn begin(columns: &[Column], out: &'o mut dyn Write) -> Result<Self, Failure> {
        let mut lines = Self { writer: csv::Writer::from_writer(out) };
        lines.line(&columns.iter().map(Column::name).collect::<Vec<_>>())?;
        Ok(lines)
    }

    /// Writes a line; what a table shows as `-` is empty. Control characters are escaped, since a terminal may be at the end
    /// of it.
    ///
    /// # Errors
    /// `out` could not be written to.
    pub(super) fn line(&mut self, cells: &[String]) -> Result<(), Failure> {
        self.writer
            .write_record(cells.iter().map(|cell| if cell == "-" { String::new() } else { harmless(safe(cell)) }))
            .map_err(io::Error::from)?;
        Ok(self.writer.flush()?)
    }
}
