//! The lists of `call` and `conversations` without a call's id: the filters common to both lists of the API.

use std::time::SystemTime;

use clap::Args;
use serde_json::value::RawValue;

use super::client::{Client, Page, read, with_query};
use super::exit::Failure;
use super::log::time;
use crate::core::time::Timestamp;

/// The filters, and the limit.
#[derive(Debug, Args)]
#[command(next_help_heading = "Without a call's id: only those")]
pub(super) struct Listing {
    /// … of this site
    #[arg(long, conflicts_with = "call_id")]
    domain: Option<String>,
    /// … of this lead's phone number
    #[arg(long, conflicts_with = "call_id")]
    phone: Option<String>,
    /// … from this time on: RFC 3339, or so long ago (24h)
    #[arg(long, value_name = "TIME", conflicts_with = "call_id")]
    since: Option<String>,
    /// … before this time: RFC 3339, or so long ago
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
        let now = Timestamp::from(SystemTime::now());
        let limit = self.limit.to_string();
        let read_time = |name, given: &Option<String>| given.as_deref().map(|text| time(name, text, now)).transpose();
        let (since, until) = (read_time("since", &self.since)?, read_time("until", &self.until)?);
        let given = [
            ("company", company),
            ("domain", self.domain.as_deref()),
            ("phone", self.phone.as_deref()),
            ("since", since.as_deref()),
            ("until", until.as_deref()),
            ("limit", Some(limit.as_str())),
        ];
        let parameters: Vec<(&str, &str)> =
            given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let mut page: Page = read(&client.get(&with_query(path, &parameters))?)?;
        let mut items = std::mem::take(&mut page.items);
        let limit = usize::from(self.limit);
        // A page may end early when enough was read for one request.
        while let (true, Some(next)) = (items.len() < limit, page.next.take()) {
            let further: Vec<_> = parameters.iter().copied().chain([("cursor", next.as_str())]).collect();
            page = read(&client.get(&with_query(path, &further))?)?;
            items.append(&mut page.items);
        }
        items.truncate(limit);
        Ok(items)
    }
}
