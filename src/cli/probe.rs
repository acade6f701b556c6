//! `test URL`: posts a signed sample and shows the result.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::choice::one_of;
use super::client::{Client, read};
use super::connection::Connection;
use super::exit::{Exit, Failure};
use super::table::WIDTH;
use super::text::{safe, wrap};
use crate::core::preset::Preset;
use crate::core::subscription::{Format, Layout, Nested};
use crate::core::target::Signatures;

/// Maximum lines printed of a response's body.
const BODY_LINES_MOST: usize = 20;

/// Test a URL: post a sample event and show the result
#[derive(Debug, Args)]
#[command(after_help = "\
The daemon posts from where it runs, as it would deliver. Exit status 0 if the
URL is working, 1 if it is not.

Examples:
  hookswitch test https://www.acme.example/hook
  hookswitch test https://www.acme.example/hook --format form --event call.new \\
      --header 'X-Api-Key: 1234'")]
pub(super) struct Test {
    /// The URL to post to
    #[arg(value_name = "URL")]
    target: String,

    /// json or form
    #[arg(long, value_parser = one_of!(Format), hide_possible_values = true)]
    format: Option<String>,

    /// envelope, flat or cloudevents
    #[arg(long, value_parser = one_of!(Layout), hide_possible_values = true)]
    layout: Option<String>,

    /// Lists in a form: brackets or json
    #[arg(long, value_parser = one_of!(Nested), hide_possible_values = true)]
    nested: Option<String>,

    /// A body for slack, teams, google_chat …
    #[arg(long, value_parser = one_of!(Preset), hide_possible_values = true)]
    preset: Option<String>,

    /// A file with a template of the body
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,

    /// Signatures: v1 (default), v1a or both
    #[arg(long, value_parser = one_of!(Signatures), hide_possible_values = true)]
    signature: Option<String>,

    /// The event type whose sample is posted
    #[arg(long, value_name = "TYPE")]
    event: Option<String>,

    /// A header to send; repeatable
    #[arg(long = "header", value_name = "NAME:VALUE", value_parser = HeaderArg::parse)]
    headers: Vec<HeaderArg>,

    /// A file with a secret to sign with, or -
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// Print the daemon's reply as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

/// A header as written on the command line.
#[derive(Clone)]
pub(super) struct HeaderArg {
    pub(super) name: String,
    pub(super) value: String,
}

impl std::fmt::Debug for HeaderArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: [secret]", self.name)
    }
}

impl HeaderArg {
    /// Parses `NAME:VALUE`; surrounding blanks are ignored.
    ///
    /// # Errors
    /// There is no colon. The message does not repeat the value.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once(':').ok_or("must be a name, a colon and a value")?;
        Ok(Self { name: name.trim().to_owned(), value: value.trim().to_owned() })
    }

    /// The member `headers` of a request.
    pub(super) fn object(headers: &[Self]) -> Map<String, Value> {
        headers.iter().map(|header| (header.name.clone(), Value::from(header.value.as_str()))).collect()
    }
}

/// The daemon's findings.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Findings {
    working: bool,
    message: String,
    response: Option<u16>,
    address: Option<String>,
    duration_ms: f64,
    /// By the phase's name, in milliseconds; or a list of such.
    phases: Value,
    response_body: Option<String>,
    curl: Option<String>,
}

impl Test {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let client = Client::new(&self.connection)?;
        let reply = client.post("/v1/test", &self.body()?.to_string())?;
        let findings: Findings = read(&reply)?;
        if self.json {
            writeln!(out, "{}", reply.trim_end())?;
        } else {
            findings.write(out)?;
        }
        Ok(if findings.working { Exit::Done } else { Exit::Failed })
    }

    fn body(&self) -> Result<Value, Failure> {
        let mut body = Map::from_iter([("url".to_owned(), json!(self.target))]);
        for (name, value) in [
            ("format", &self.format),
            ("layout", &self.layout),
            ("nested", &self.nested),
            ("event", &self.event),
            ("preset", &self.preset),
            ("signature", &self.signature),
        ] {
            if let Some(value) = value {
                body.insert(name.to_owned(), json!(value));
            }
        }
        if let Some(file) = &self.template {
            let wrong = |error| Failure::usage(format!("--template: {}: {error}", file.display()));
            body.insert("template".to_owned(), json!(std::fs::read_to_string(file).map_err(wrong)?));
        }
        if !self.headers.is_empty() {
            body.insert("headers".to_owned(), Value::Object(HeaderArg::object(&self.headers)));
        }
        if let Some(file) = &self.secret_file {
            body.insert("secret".to_owned(), json!(super::secret_file::read(file)?.reveal()));
        }
        Ok(Value::Object(body))
    }
}

impl Findings {
    fn write(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let mark = if self.working { "working" } else { "NOT WORKING" };
        let response = self.response.map_or_else(|| "no answer".to_owned(), |status| format!("response {status}"));
        writeln!(out, "{mark}: {response}")?;
        writeln!(out, "{}\n", wrap(&self.message, WIDTH).join("\n"))?;
        writeln!(out, "time     {:.0} ms{}", self.duration_ms, self.phases_text())?;
        if let Some(address) = &self.address {
            writeln!(out, "address  {}", safe(address))?;
        }
        if let Some(body) = self.response_body.as_deref().filter(|body| !body.is_empty()) {
            writeln!(out, "answer")?;
            for line in body.lines().take(BODY_LINES_MOST) {
                writeln!(out, "    {}", safe(line))?;
            }
            if body.lines().nth(BODY_LINES_MOST).is_some() {
                writeln!(out, "    … (all of it with --json)")?;
            }
        }
        if let Some(curl) = &self.curl {
            let lines: Vec<String> = curl.lines().map(safe).collect();
            writeln!(out, "\nThe same by hand:\n{}", lines.join("\n"))?;
        }
        Ok(())
    }

    fn phases_text(&self) -> String {
        let pairs: Vec<(String, f64)> = match &self.phases {
            Value::Object(members) => {
                // In order of occurrence, which an object does not keep.
                const ORDER: [&str; 5] = ["resolve", "connect", "send", "wait", "receive"];
                let named = |name: &str| members.get(name).or_else(|| members.get(&format!("{name}_ms")))?.as_f64();
                ORDER.iter().filter_map(|name| Some(((*name).to_owned(), named(name)?))).collect()
            }
            Value::Array(items) => items.iter().filter_map(phase_of).collect(),
            _ => Vec::new(),
        };
        let texts: Vec<String> = pairs.iter().map(|(name, millis)| format!("{} {millis:.0}", safe(name))).collect();
        if texts.is_empty() { String::new() } else { format!(" ({})", texts.join(", ")) }
    }
}

fn phase_of(item: &Value) -> Option<(String, f64)> {
    let name = item.get("phase").or_else(|| item.get("name"))?.as_str()?;
    let millis = item.get("duration_ms").or_else(|| item.get("ms"))?.as_f64()?;
    Some((name.to_owned(), millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        read::<Findings>(text).unwrap().write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_outcome_is_printed_in_order() {
        let text = written(
            r#"{"response":404,"working":false,"message":"The URL is not working: check that it is correct.",
            "duration_ms":12,"phases":{"connect":2,"resolve":1,"wait":9},"address":"127.0.0.1:80",
            "response_body":"not\u001b[31m here\nsecond","curl":"curl -X POST http://a"}"#,
        );
        let wanted = "NOT WORKING: response 404\nThe URL is not working: check that it is correct.\n\n\
            time     12 ms (resolve 1, connect 2, wait 9)\naddress  127.0.0.1:80\nanswer\n    not\\u{1b}[31m here\n    \
            second\n\nThe same by hand:\ncurl -X POST http://a\n";
        assert_eq!(text, wanted);
    }

    #[test]
    fn members_that_are_missing_or_null_are_no_trouble() {
        let text = written(
            r#"{"response":null,"working":false,"message":"m","phases":[{"phase":"resolve","duration_ms":3}]}"#,
        );
        assert_eq!(text, "NOT WORKING: no answer\nm\n\ntime     0 ms (resolve 3)\n");
    }

    #[test]
    fn header_values_are_read_and_not_shown() {
        let header = HeaderArg::parse("X-Key: a:b ").unwrap();
        assert_eq!((header.name.as_str(), header.value.as_str()), ("X-Key", "a:b"));
        assert!(!format!("{header:?}").contains("a:b"));
        assert!(HeaderArg::parse("nothing").is_err());
    }
}
