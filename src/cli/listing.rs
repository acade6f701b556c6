//! Lists of the API: the filters that several have in common, and how a list is printed.

use std::io::Write;

use clap::Args;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::client::{Client, Page, read, with_query};
use super::exit::Failure;
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
        let limit = self.limit.to_string();
        let (since, until) = (here.optional_time("since", &self.since)?, here.optional_time("until", &self.until)?);
        let (mut items, mut cursor) = (Vec::new(), None::<String>);
        // A page may end early when enough was read for one request.
        loop {
            let parameters = [
                ("company", company),
                ("domain", self.domain.as_deref()),
                ("phone", self.phone.as_deref()),
                ("since", since.as_deref()),
                ("until", until.as_deref()),
                ("limit", Some(limit.as_str())),
                ("cursor", cursor.as_deref()),
            ];
            let page: Page = read(&client.get(&with_query(path, &parameters))?)?;
            items.extend(page.items);
            cursor = page.next;
            if items.len() >= usize::from(self.limit) || cursor.is_none() {
                items.truncate(self.limit.into());
                return Ok(items);
            }
        }
    }
}

/// The options of a list of webhooks or tokens.
#[derive(Debug, Args)]
pub(super) struct OfCompany {
    /// Only those of this company
    #[arg(long)]
    company: Option<String>,

    /// Print them in full, as a JSON list
    #[arg(long)]
    pub(super) json: bool,
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

/// Prints `items`: as a JSON list, or in a table with a `row` of each, or `none` if there are none.
///
/// # Errors
/// An item is not understood, or `out` cannot be written to.
pub(super) fn print<T: DeserializeOwned, const N: usize>(
    items: &[Box<RawValue>],
    json: bool,
    columns: [Column; N],
    row: impl Fn(T) -> [String; N],
    none: &str,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if json {
        return Ok(writeln!(out, "{}", json_list(items))?);
    }
    let mut table = Table::new(&columns);
    for item in items {
        table.row(row(read(item.get())?));
    }
    Ok(table.write(out, none)?)
}
