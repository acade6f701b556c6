//! The settings of a subscription common to `add` and `edit`, as options and as JSON members.
//!
//! Validation is the daemon's; only numbers and pairs are parsed here.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser};
use serde_json::{Map, Value, json};

use crate::cli::choice::{among_or_none, one_of, sources};
use crate::cli::exit::Failure;
use crate::cli::probe::HeaderArg;
use crate::core::preset::Preset;
use crate::core::subscription::{Format, Layout, Nested, Ordering};
use crate::core::success::Success;
use crate::core::target::Signatures;

/// The options.
#[derive(Debug, Default, Args)]
pub(super) struct Settings {
    /// Only events of this site of the company
    #[arg(long)]
    domain: Option<String>,

    /// Only from these: widget,lead_connect,api
    #[arg(long, value_name = "SOURCES", value_delimiter = ',', value_parser = among_or_none(sources()), hide_possible_values = true)]
    sources: Option<Vec<String>>,

    /// json (default) or form
    #[arg(long, value_parser = one_of!(Format), hide_possible_values = true)]
    format: Option<String>,

    /// envelope (default), flat or cloudevents
    #[arg(long, value_parser = one_of!(Layout), hide_possible_values = true)]
    layout: Option<String>,

    /// Lists in a form: brackets (default) or json
    #[arg(long, value_parser = one_of!(Nested), hide_possible_values = true)]
    nested: Option<String>,

    /// A body for slack, teams, google_chat …
    #[arg(long, value_parser = presets(), hide_possible_values = true)]
    preset: Option<String>,

    /// A file with a template of the body
    #[arg(long, value_name = "FILE", value_parser = maybe_file())]
    template: Option<PathBuf>,

    /// That of the template's result
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,

    /// Which events: 'data.department == "sales"'
    #[arg(long, value_name = "EXPRESSION")]
    filter: Option<String>,

    /// What counts: 2xx (default) or 2xx_3xx
    #[arg(long, value_parser = one_of!(Success), hide_possible_values = true)]
    success: Option<String>,

    /// A text that the answer must contain
    #[arg(long, value_name = "TEXT")]
    success_contains: Option<String>,

    /// A file with `auth` as JSON, or -
    #[arg(long, value_name = "FILE", value_parser = maybe_file())]
    auth_file: Option<PathBuf>,

    /// Signatures: v1 (default), v1a or both
    #[arg(long, value_parser = one_of!(Signatures), hide_possible_values = true)]
    signature: Option<String>,

    /// Free text
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,

    /// A header to send along; repeatable
    #[arg(long = "header", value_name = "NAME:VALUE", value_parser = HeaderArg::parse)]
    headers: Vec<HeaderArg>,

    /// A PEM file for the receiver (mutual TLS)
    #[arg(long, value_name = "FILE", value_parser = maybe_file())]
    client_cert: Option<PathBuf>,

    /// A PEM file with its key
    #[arg(long, value_name = "FILE", value_parser = maybe_file())]
    client_key: Option<PathBuf>,

    /// How long an attempt may take
    #[arg(long, value_name = "N")]
    timeout_ms: Option<String>,

    /// Maximum attempts in flight
    #[arg(long, value_name = "N")]
    max_in_flight: Option<String>,

    /// Maximum attempts started per second
    #[arg(long, value_name = "N")]
    rate_per_second: Option<String>,

    /// call (in order per call) or none
    #[arg(long, value_parser = one_of!(Ordering), hide_possible_values = true)]
    ordering: Option<String>,

    /// Drop older ones: call.new=10m; repeatable
    #[arg(long, value_name = "TYPE=TIME")]
    expire_after: Vec<String>,

    /// Mail these addresses when it fails or recovers
    #[arg(long, value_name = "ADDRESSES")]
    notify: Option<String>,
}

impl Settings {
    #[cfg(test)]
    pub(super) fn with_headers(headers: Vec<HeaderArg>) -> Self {
        Self { headers, ..Self::default() }
    }

    /// The members of the given options, without `headers` when it is a `change`: those depend on what is stored. An
    /// empty value becomes `null` (or the empty list, object or text).
    ///
    /// # Errors
    /// An option is not a number or a pair where it must be one.
    pub(super) fn members(&self, change: bool) -> Result<Map<String, Value>, Failure> {
        let mut members = Map::new();
        let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
        let words = [
            ("format", &self.format),
            ("layout", &self.layout),
            ("nested", &self.nested),
            ("ordering", &self.ordering),
            ("success", &self.success),
            ("signature", &self.signature),
        ];
        for (name, value) in words {
            value.iter().for_each(|text| drop(put(name, json!(text))));
        }
        self.description.iter().for_each(|text| drop(put("description", json!(text))));
        self.domain.iter().for_each(|text| drop(put("domain", or_null(text))));
        let or_none = [("preset", &self.preset), ("content_type", &self.content_type), ("filter", &self.filter)];
        for (name, value) in or_none {
            value.iter().for_each(|text| drop(put(name, or_null(text))));
        }
        if let Some(text) = &self.success_contains {
            put("success_body", if text.is_empty() { Value::Null } else { json!({"contains": text}) });
        }
        if let Some(file) = &self.auth_file {
            put("auth", auth(file)?);
        }
        if let Some(sources) = &self.sources {
            put("sources", json!(sources.iter().filter(|source| !source.is_empty()).collect::<Vec<_>>()));
        }
        if let Some(addresses) = &self.notify {
            let list: Vec<&str> = addresses.split(',').map(str::trim).filter(|address| !address.is_empty()).collect();
            put("notify", json!(list));
        }
        let numbers = [
            ("timeout_ms", &self.timeout_ms),
            ("max_in_flight", &self.max_in_flight),
            ("rate_per_second", &self.rate_per_second),
        ];
        for (name, value) in numbers {
            if let Some(text) = value {
                put(name, number(name, text)?);
            }
        }
        let files =
            [("client_cert", &self.client_cert), ("client_key", &self.client_key), ("template", &self.template)];
        for (name, file) in files {
            if let Some(file) = file {
                put(name, contents(name, file)?);
            }
        }
        if !self.expire_after.is_empty() {
            put("expire_after", Value::Object(self.expiry()?));
        }
        if !change && self.has_headers() {
            put("headers", Value::Object(HeaderArg::object(&self.headers)));
        }
        Ok(members)
    }

    /// Whether a header was given.
    pub(super) fn has_headers(&self) -> bool {
        !self.headers.is_empty()
    }

    /// The headers that were given.
    pub(super) fn header_members(&self) -> Map<String, Value> {
        HeaderArg::object(&self.headers)
    }

    fn expiry(&self) -> Result<Map<String, Value>, Failure> {
        let pairs = self.expire_after.iter().filter(|pair| !pair.is_empty());
        let read = |pair: &String| match pair.split_once('=') {
            Some((name, length)) => Ok((name.trim().to_owned(), json!(length.trim()))),
            None => Err(Failure::usage(format!(
                "--expire-after must be an event type, = and a duration such as call.new=10m, not `{pair}`"
            ))),
        };
        pairs.map(read).collect()
    }
}

/// A preset, or nothing.
fn presets() -> PossibleValuesParser {
    among_or_none(Preset::ALL.iter().map(|preset| preset.as_str()))
}

/// Parses a file name. Clap's own parser of paths refuses an empty one, which removes the setting here.
fn maybe_file() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// The text of a file; `null` for an empty name.
fn contents(name: &str, file: &Path) -> Result<Value, Failure> {
    if file.as_os_str().is_empty() {
        return Ok(Value::Null);
    }
    let wrong = |error| Failure::usage(format!("--{}: {}: {error}", name.replace('_', "-"), file.display()));
    std::fs::read_to_string(file).map(Value::from).map_err(wrong)
}

/// `auth` as JSON from a file, which shows in no list of processes; `null` for an empty name.
fn auth(file: &Path) -> Result<Value, Failure> {
    if file.as_os_str().is_empty() {
        return Ok(Value::Null);
    }
    let wrong = |why: String| Failure::usage(format!("--auth-file: {}: {why}", file.display()));
    let text = match file.as_os_str() == "-" {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(file),
    };
    let text = text.map_err(|error| wrong(error.to_string()))?;
    let example = r#"{"type": "basic", "username": "…", "password": "…"}"#;
    serde_json::from_str(&text).map_err(|_| wrong(format!("is not JSON, as {example} is")))
}

fn or_null(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { json!(text) }
}

fn number(name: &str, text: &str) -> Result<Value, Failure> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    let wrong = |_| Failure::usage(format!("--{} must be a whole number, not `{text}`", name.replace('_', "-")));
    text.parse::<u64>().map(Value::from).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;

    use super::*;

    #[test]
    fn only_given_options_become_members() {
        assert_eq!(Settings::default().members(false).unwrap(), Map::new());
        let given = |text: &str| Some(text.to_owned());
        let settings = Settings {
            domain: given(""),
            sources: Some(vec!["widget".to_owned(), "api".to_owned()]),
            notify: given("it@acme.example, ops@acme.example"),
            nested: given("json"),
            timeout_ms: given("5000"),
            rate_per_second: given(""),
            headers: vec![HeaderArg::parse("X-Key:v").unwrap()],
            expire_after: vec!["call.new=10m".to_owned()],
            ..Settings::default()
        };
        let wanted = json!({"domain": null, "nested": "json", "sources": ["widget", "api"], "notify": ["it@acme.example", "ops@acme.example"], "timeout_ms": 5000, "rate_per_second": null,
            "headers": {"X-Key": "v"}, "expire_after": {"call.new": "10m"}});
        assert_eq!(Value::Object(settings.members(false).unwrap()), wanted);
        assert!(!settings.members(true).unwrap().contains_key("headers"));
    }

    #[test]
    fn an_empty_file_name_takes_the_client_certificate_away() {
        let options = Settings::augment_args(clap::Command::new("edit"));
        let matches = options.try_get_matches_from(["edit", "--client-cert", "", "--client-key="]).unwrap();
        let settings = Settings::from_arg_matches(&matches).unwrap();
        let wanted = json!({"client_cert": null, "client_key": null});
        assert_eq!(Value::Object(settings.members(true).unwrap()), wanted);
    }

    #[test]
    fn invalid_numbers_and_pairs_are_usage_errors_naming_the_option() {
        let wrong = [
            (Settings { timeout_ms: Some("5s".to_owned()), ..Settings::default() }, "--timeout-ms"),
            (Settings { expire_after: vec!["10m".to_owned()], ..Settings::default() }, "--expire-after"),
        ];
        for (settings, name) in wrong {
            let failure = settings.members(false).unwrap_err();
            assert!(failure.message.contains(name), "{failure:?}");
        }
    }
}
