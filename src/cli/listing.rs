//! Lists of the API: the filters that several have in common, and how a list is printed.

use std::io::Write;

use clap::Args;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::client::{Client, Page, read, with_query};
use super::exit::Failure;
use super::format::{CsvLines, Format, Output};
use super::screen;
use super::table::{Column, Table};
use super::text::json_list;
use super::time::Here;

/// The filters of `call` and `conversations`, and the limit.
#[derive(Debug, Args)]
#[command(next_help_heading = "Without a call's id: only those")]
pub(super) struct Listing {
    /// … of this site
    #[arg(long, conflicts_with = "call_id")]
    domain: Option<String>,
    /// … of this lead's phone number
    #[arg(long, conflicts_with = "call_id")]
    phone: Option<String>,
    /// … from this time on: a date, RFC 3339, or 24h ago
    #[arg(long, value_name = "TIME", conflicts_with = "call_id")]
    since: Option<String>,
    /// … before this time
    #[arg(long, value_name = "TIME", conflicts_with = "call_id")]
    until: Option<String>,
    /// … at most this many, the newest
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: u16,
}

impl Listing {
    /// The items at `path`, of `company` if given, verbatim.
    ///
    /// # Errors
    /// An invalid time; those of [`Client::get`].
    pub(super) fn fetch(
        &self,
        client: &Client,
        path: &str,
        company: Option<&str>,
    ) -> Result<Vec<Box<RawValue>>, Failure> {
        let here = Here::of_machine();
        let (since, until) = here.period(&self.since, &self.until)?;
        let parameters = [
            ("company", company),
            ("domain", self.domain.as_deref()),
            ("phone", self.phone.as_deref()),
            ("since", since.as_deref()),
            ("until", until.as_deref()),
        ];
        newest(client, path, &parameters, self.limit)
    }
}

/// The newest `most` items of the list at `path`, verbatim.
///
/// # Errors
/// Those of [`Client::get`].
fn newest(
    client: &Client,
    path: &str,
    parameters: &[(&str, Option<&str>)],
    most: u16,
) -> Result<Vec<Box<RawValue>>, Failure> {
    let limit = most.to_string();
    let (mut items, mut cursor) = (Vec::new(), None::<String>);
    // A page may end early when enough was read for one request.
    loop {
        let page = [("limit", Some(limit.as_str())), ("cursor", cursor.as_deref())];
        let page: Page = read(&client.get(&with_query(path, &[parameters, &page].concat()))?)?;
        items.extend(page.items);
        cursor = page.next;
        if items.len() >= usize::from(most) || cursor.is_none() {
            items.truncate(most.into());
            return Ok(items);
        }
    }
}

/// The options of a list of events or deliveries.
#[derive(Debug, Args)]
pub(super) struct Newest {
    /// From this time on: a date, RFC 3339, or 24h ago
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// At most this many, the newest
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: u16,

    #[command(flatten)]
    pub(super) format: Format,
}

impl Newest {
    /// The newest items at `path`, verbatim, narrowed by `parameters` as well.
    ///
    /// # Errors
    /// An invalid time; those of [`Client::get`].
    pub(super) fn fetch(
        &self,
        client: &Client,
        path: &str,
        parameters: &[(&str, Option<&str>)],
    ) -> Result<Vec<Box<RawValue>>, Failure> {
        let here = Here::of_machine();
        let (since, until) = here.period(&self.since, &self.until)?;
        let times = [("since", since.as_deref()), ("until", until.as_deref())];
        newest(client, path, &[parameters, &times].concat(), self.limit)
    }
}

/// The options of a list of webhooks or tokens.
#[derive(Debug, Args)]
pub(super) struct OfCompany {
    /// Only those of this company
    #[arg(long)]
    company: Option<String>,

    #[command(flatten)]
    pub(super) format: Format,
}

impl OfCompany {
    /// The items at `path`, verbatim.
    ///
    /// # Errors
    /// Those of [`Client::get`].
    pub(super) fn fetch(&self, client: &Client, path: &str) -> Result<Vec<Box<RawValue>>, Failure> {
        client.list(&with_query(path, &[("company", self.company.as_deref())]))
    }
}

/// Prints `items`: verbatim as a JSON list, or with a `row` of each, or `none` if there are none.
///
/// # Errors
/// An item is not understood, or `out` cannot be written to.
pub(super) fn print<T: DeserializeOwned, const N: usize>(
    items: &[Box<RawValue>],
    format: Format,
    columns: [Column; N],
    row: impl Fn(T) -> [String; N],
    none: &str,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let output = format.output();
    if output == Output::Json {
        return Ok(writeln!(out, "{}", json_list(items))?);
    }
    let mut rows = items.iter().map(|item| read(item.get()).map(&row));
    if output == Output::Csv {
        let mut lines = CsvLines::begin(&columns, out)?;
        return rows.try_for_each(|row| lines.line(&row?));
    }
    let mut table = Table::new(&columns);
    for row in rows {
        table.row(row?);
    }
    let limit = if output == Output::Wide { None } else { screen::columns() };
    Ok(table.write_within(limit, out, none)?)
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;

    use super::*;

    fn printed(options: &[&str]) -> String {
        let matches = Format::augment_args(clap::Command::new("list")).try_get_matches_from(options).unwrap();
        let format = Format::from_arg_matches(&matches).unwrap();
        let items = [r#"["sub_1","a,\u001b\"b"]"#, r#"["sub_2","-"]"#, r#"["sub_3","=1+1"]"#]
            .map(|text| RawValue::from_string(text.to_owned()).unwrap());
        let columns = [Column::id("ID"), Column::text("LAST USED").further()];
        let mut out = Vec::new();
        print(&items, format, columns, |row: [String; 2]| row, "None.", &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_list_is_printed_as_a_table_csv_or_json() {
        assert_eq!(printed(&["list"]), "ID     LAST USED\nsub_1  a,\\u{1b}\"b\nsub_2  -\nsub_3  =1+1\n");
        assert_eq!(printed(&["list", "-o", "csv"]), "id,last_used\nsub_1,\"a,\\u{1b}\"\"b\"\nsub_2,\nsub_3,'=1+1\n");
        let json = printed(&["list", "--json"]);
        assert_eq!((json.lines().count(), printed(&["list", "-o", "json"])), (3, json));
    }
}
