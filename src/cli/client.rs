//! The HTTP client of the command line: one request, one reply, and a readable message.
//!
//! The only user of ureq besides the sender. It follows no redirect, ignores proxy variables, keeps no connection,
//! and reads no reply without a limit.

mod secure;
mod trust;

use std::io::{self, Read as _, Write};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use ureq::http::{Method, Request, Response};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector as _, TcpConnector};
use ureq::{Agent, Body, RequestExt as _};

use self::secure::{Secure, of_tls};
use self::trust::{Strangers, Trust};
use super::connection::{Connection, Credentials};
use super::exit::Failure;
use super::text::safe;
use crate::core::path::segment;

/// Longer than the daemon's slowest reply, which is that of a probe.
const TIMEOUT: Duration = Duration::from_secs(120);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum bytes read of a reply.
const REPLY_MOST: u64 = 64 * 1024 * 1024;

/// A reply, whatever its status.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) text: String,
}

/// One page of a list, with items verbatim.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    #[serde(alias = "entries")]
    pub(super) items: Vec<Box<RawValue>>,
    #[serde(default)]
    pub(super) next: Option<String>,
}

/// A daemon to talk to.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    base: String,
    credentials: Credentials,
    strangers: Strangers,
}

/// Whether no daemon could be reached, or there is another problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    NoDaemon,
    Other,
}

impl Client {
    /// A client of the daemon named by the options. Sends nothing yet.
    ///
    /// # Errors
    /// The URL or the token is malformed.
    pub(super) fn new(connection: &Connection) -> Result<Self, Failure> {
        let base = base_of(&connection.url)?;
        let named = connection.ca.as_deref().filter(|file| !file.as_os_str().is_empty());
        let trust = if is_https(&base) { Some(Trust::of_machine(named)?) } else { None };
        Ok(Self::trusting(base, connection.credentials()?, trust))
    }

    /// A client of the daemon at `url`, trusting what this machine trusts.
    ///
    /// # Errors
    /// The URL is malformed.
    pub(super) fn with(url: &str, credentials: Credentials) -> Result<Self, Failure> {
        let base = base_of(url)?;
        let trust = if is_https(&base) { Some(Trust::of_machine(None)?) } else { None };
        Ok(Self::trusting(base, credentials, trust))
    }

    /// A client of the daemon at `url` that trusts only the first certificate in `file`, whatever its name.
    ///
    /// # Errors
    /// The URL is malformed, or there is no certificate in the file.
    pub(super) fn knowing(url: &str, credentials: Credentials, file: &Path) -> Result<Self, Failure> {
        Ok(Self::trusting(base_of(url)?, credentials, Some(Trust::of_one(file)?)))
    }

    fn trusting(base: String, credentials: Credentials, trust: Option<Trust>) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .max_idle_connections(0)
            .user_agent(concat!("hookswitch-cli/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(TIMEOUT))
            .build();
        let connector = ().chain(TcpConnector::default()).chain(Secure::by(trust.as_ref()));
        let agent = Agent::with_parts(config, connector, DefaultResolver::default());
        Self { agent, base, credentials, strangers: trust.map_or(Strangers::OfMachine, |trust| trust.strangers) }
    }

    /// The daemon's URL, without a final slash.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// `GET path`, whatever the status.
    ///
    /// # Errors
    /// There was no reply.
    pub(super) fn look(&self, path: &str) -> Result<Reply, Failure> {
        self.exchange(&Method::GET, path, None).map_err(|(_, failure)| failure)
    }

    /// `GET path`; `None` if no daemon answers.
    ///
    /// # Errors
    /// Anything but a successful reply.
    pub(super) fn get_if_running(&self, path: &str) -> Result<Option<String>, Failure> {
        match self.exchange(&Method::GET, path, None) {
            Ok(reply) => self.success(reply).map(Some),
            Err((Trouble::NoDaemon, _)) => Ok(None),
            Err((Trouble::Other, failure)) => Err(failure),
        }
    }

    /// `GET path`: the text of the reply.
    ///
    /// # Errors
    /// There was no successful reply.
    pub(super) fn get(&self, path: &str) -> Result<String, Failure> {
        self.call(&Method::GET, path, None)
    }

    /// `GET path`, where the `what` with this id is.
    ///
    /// # Errors
    /// It is not there; there was no successful reply.
    pub(super) fn get_one(&self, path: &str, what: &str, id: &str) -> Result<String, Failure> {
        self.one(&Method::GET, path, None, what, id)
    }

    /// `POST path` without anything, where the `what` with this id is.
    ///
    /// # Errors
    /// As [`Client::get_one`].
    pub(super) fn post_one(&self, path: &str, what: &str, id: &str) -> Result<String, Failure> {
        self.one(&Method::POST, path, Some(""), what, id)
    }

    fn one(&self, method: &Method, path: &str, body: Option<&str>, what: &str, id: &str) -> Result<String, Failure> {
        let reply = self.exchange(method, path, body).map_err(|(_, failure)| failure)?;
        if reply.status == 404 {
            let why = "check that the id is whole, and that it is of this daemon and not older than what is kept";
            return Err(Failure::new(format!("there is no {what} {}: {why}", safe(id))));
        }
        self.success(reply)
    }

    /// `POST path` with a JSON body: the text of the reply.
    ///
    /// # Errors
    /// There was no successful reply.
    pub(super) fn post(&self, path: &str, body: &str) -> Result<String, Failure> {
        self.call(&Method::POST, path, Some(body))
    }

    /// `PATCH path` with a JSON body: the text of the reply.
    ///
    /// # Errors
    /// There was no successful reply.
    pub(super) fn patch(&self, path: &str, body: &str) -> Result<String, Failure> {
        self.call(&Method::PATCH, path, Some(body))
    }

    /// `DELETE path`.
    ///
    /// # Errors
    /// There was no successful reply.
    pub(super) fn delete(&self, path: &str) -> Result<(), Failure> {
        self.call(&Method::DELETE, path, None).map(drop)
    }

    /// `GET path`: writes the body to `to`, however long it takes, and returns its length. The caller must check that
    /// it is complete.
    ///
    /// # Errors
    /// There was no successful reply; the connection broke; `to` cannot be written.
    pub(super) fn download(&self, path: &str, to: &mut dyn Write) -> Result<u64, Failure> {
        let mut builder = Request::get(format!("{}{path}", self.base));
        if let Some(token) = &self.credentials.token {
            builder = builder.header("authorization", format!("Bearer {}", token.expose()));
        }
        let request = builder.body(()).map_err(|error| self.trouble(&error.into()).1)?;
        let patient = request.with_agent(&self.agent).configure().timeout_global(None);
        let response = patient.timeout_recv_response(Some(TIMEOUT)).build().run();
        let response = response.map_err(|error| self.trouble(&error).1)?;
        if !response.status().is_success() {
            let reply = read_reply(response).map_err(|error| self.trouble(&error).1)?;
            return self.success(reply).map(|_| 0);
        }
        let mut from = response.into_body().into_reader();
        let mut buffer = vec![0; 256 * 1024];
        let mut bytes = 0;
        loop {
            let count = match from.read(&mut buffer) {
                Ok(0) => return Ok(bytes),
                Ok(count) => count,
                Err(error) => {
                    let base = safe(&self.base);
                    return Err(Failure::new(format!("the connection to {base} broke after {bytes} bytes: {error}")));
                }
            };
            to.write_all(&buffer[..count]).map_err(|error| Failure::new(format!("it cannot be written: {error}")))?;
            bytes += count as u64;
        }
    }

    /// Every item of the list at `path`, page by page.
    ///
    /// # Errors
    /// Those of [`Client::get`].
    pub(super) fn list(&self, path: &str) -> Result<Vec<Box<RawValue>>, Failure> {
        let mut items = Vec::new();
        let mut page: Page = read(&self.get(path)?)?;
        loop {
            items.append(&mut page.items);
            let Some(next) = page.next else { return Ok(items) };
            page = read(&self.get(&with_query(path, &[("cursor", Some(&next))]))?)?;
        }
    }

    fn call(&self, method: &Method, path: &str, body: Option<&str>) -> Result<String, Failure> {
        let reply = self.exchange(method, path, body).map_err(|(_, failure)| failure)?;
        self.success(reply)
    }

    fn success(&self, reply: Reply) -> Result<String, Failure> {
        if (200..300).contains(&reply.status) {
            return Ok(reply.text);
        }
        let mut message = problem(&self.base, &reply);
        if reply.status == 401 {
            message.push('\n');
            message.push_str(&self.credentials.origin);
        }
        Err(Failure::new(message))
    }

    fn exchange(&self, method: &Method, path: &str, body: Option<&str>) -> Result<Reply, (Trouble, Failure)> {
        let url = format!("{}{path}", self.base);
        let mut builder = Request::builder().method(method).uri(&url).header("accept", "application/json");
        if let Some(token) = &self.credentials.token {
            builder = builder.header("authorization", format!("Bearer {}", token.expose()));
        }
        let sent = match body {
            None => builder.body(()).map(|request| self.agent.run(request)),
            Some(text) => {
                let request = builder.header("content-type", "application/json").body(text);
                request.map(|request| self.agent.run(request))
            }
        };
        let response = sent.map_err(|error| self.trouble(&error.into()))?;
        let response = response.map_err(|error| self.trouble(&error))?;
        read_reply(response).map_err(|error| self.trouble(&error))
    }

    /// The message for an exchange without a reply.
    fn trouble(&self, error: &ureq::Error) -> (Trouble, Failure) {
        let base = &self.base;
        let gone = |kind| {
            matches!(kind, io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound | io::ErrorKind::AddrNotAvailable)
        };
        let (trouble, message) = match error {
            ureq::Error::Io(cause) if gone(cause.kind()) => (
                Trouble::NoDaemon,
                format!("no daemon answers at {base}: is it running? start it with `hookswitch serve`"),
            ),
            ureq::Error::ConnectionFailed => (
                Trouble::NoDaemon,
                format!("no daemon answers at {base}: is it running? start it with `hookswitch serve`"),
            ),
            ureq::Error::Io(cause) if of_tls(cause).is_some() => {
                (Trouble::Other, self.strangers.message(base, of_tls(cause)))
            }
            ureq::Error::Io(cause) => (Trouble::NoDaemon, format!("the connection to {base} broke: {cause}")),
            ureq::Error::Timeout(_) => (Trouble::NoDaemon, format!("{base} did not answer in time ({error})")),
            ureq::Error::HostNotFound => {
                (Trouble::Other, format!("the host of {base} is not known; check --url and HOOKSWITCH_URL"))
            }
            other => (Trouble::Other, format!("what answers at {base} is not a Hookswitch daemon ({other})")),
        };
        (trouble, Failure::new(safe(&message)))
    }
}

fn read_reply(response: Response<Body>) -> Result<Reply, ureq::Error> {
    let status = response.status().as_u16();
    let bytes = response.into_body().into_with_config().limit(REPLY_MOST).read_to_vec()?;
    Ok(Reply { status, text: String::from_utf8_lossy(&bytes).into_owned() })
}

fn is_https(base: &str) -> bool {
    base.starts_with("https:")
}

/// `url` as a prefix of the API's paths.
fn base_of(url: &str) -> Result<String, Failure> {
    let wrong = |why: &str| Failure::usage(format!("the daemon's URL (--url, HOOKSWITCH_URL) {why}"));
    let parsed = url::Url::parse(url).map_err(|_| wrong("must be a URL such as http://127.0.0.1:4665"))?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host().is_none() {
        return Err(wrong("must begin with http:// or https://"));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(wrong("must not hold a user name or password; the token goes into HOOKSWITCH_TOKEN"));
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(wrong("must not have a query or fragment"));
    }
    Ok(parsed.as_str().trim_end_matches('/').to_owned())
}

/// An `application/problem+json` reply (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
    #[serde(default)]
    errors: Vec<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    #[serde(default)]
    pointer: String,
    #[serde(default)]
    detail: String,
}

/// The message for an unsuccessful reply: what is wrong with which value, without the words of HTTP, which whoever typed
/// an option did not use.
fn problem(base: &str, reply: &Reply) -> String {
    let status = reply.status;
    let parsed = serde_json::from_str::<Problem>(&reply.text).ok();
    let Some(Problem { title: Some(title), detail, errors }) = parsed else {
        return format!("{} answered {status}, and not as a Hookswitch daemon does; check --url", safe(base));
    };
    let fault = |Fault { pointer, detail }: &Fault| match pointer.trim_start_matches('/') {
        "" => format!("the request: {}", safe(detail)),
        name => format!("{}: {}", safe(name), safe(detail)),
    };
    match (errors.as_slice(), detail) {
        ([one], _) => fault(one),
        ([], Some(detail)) => safe(&detail),
        ([], None) => format!("{} ({status})", safe(&title)),
        (several, _) => {
            let count = several.len();
            several.iter().fold(format!("{count} values are wrong:"), |all, one| all + "\n  " + &fault(one))
        }
    }
}

/// Deserialises the daemon's reply.
///
/// # Errors
/// It is not in the format expected by this version.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| {
        Failure::new(format!(
            "the daemon's reply is not understood ({}); is it another version than this command?",
            safe(&error.to_string())
        ))
    })
}

/// `path` with those of the parameters that have a value, encoded, appended to those it has.
pub(super) fn with_query(path: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let given = parameters.iter().filter_map(|(name, value)| Some((name, (*value)?)));
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish();
    if query.is_empty() {
        return path.to_owned();
    }
    format!("{path}{}{query}", if path.contains('?') { '&' } else { '?' })
}

/// A reply with a signing secret.
#[derive(Deserialize)]
pub(super) struct SecretReply {
    pub(super) secret: String,
}

/// The path of the subscription with this id.
pub(super) fn subscription_path(id: &str) -> String {
    format!("/v1/subscriptions/{}", segment(id))
}

#[cfg(test)]
mod tests;
