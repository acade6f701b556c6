//! Sends requests to receivers, for all sender threads.
//!
//! Follows no redirects, uses no proxy but the configured one, sends no header that the request does not name (except
//! Host and Content-Length), connects only to addresses that `[network]` allows.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::http::{Request, Response, Uri};
use url::{Host, Url};

use super::agents::{Agents, Pair};
use super::attempt::{self, Limits};
use super::exchange::exchange;
use super::failure::Failure;
use super::marks;
use super::resolver::Resolver;
pub use super::tls::BadCertificate;
use super::tls::{Peer, Tls};
use super::tokens::Tokens;
use super::wire::Dialler;
use crate::core::address::AddressPolicy;
use crate::core::attempt::{Fault, Outcome, Report};
use crate::core::auth::{Auth, ClientCredentials};
use crate::core::client_certificate::ClientCertificate;
use crate::core::hidden::Hidden;
use crate::core::id::SubscriptionId;
use crate::core::proxy::Proxy;
use crate::core::request::Outgoing;

/// Upper bound of every attempt's timeout.
const LONGEST: Duration = Duration::from_secs(3600);

/// `[senders]` and `[network]`.
pub struct TransportSettings {
    /// Time limit for resolving and connecting, TLS included.
    pub connect_timeout: Duration,
    /// Time limit of a whole attempt, unless the subscription has its own.
    pub timeout: Duration,
    /// Which addresses may be called.
    pub policy: AddressPolicy,
    /// PEM files with certificates to trust in addition to the machine's own.
    pub extra_ca: Vec<PathBuf>,
    /// The proxy through which connections are made, if any.
    pub proxy: Option<Proxy>,
    /// Maximum idle connections, over all receivers.
    pub idle_most: usize,
}

/// Sends requests. One for all sender threads.
pub struct Transport {
    connect_timeout: Duration,
    timeout: Duration,
    resolver: Arc<Resolver>,
    tls: Arc<Tls>,
    by_proxy: bool,
    agents: Agents,
    tokens: Tokens,
}

impl Transport {
    /// Reads the certificates to trust.
    ///
    /// # Errors
    /// A sentence that names the file of `extra_ca` that cannot be read or contains no certificate. A machine without
    /// root certificates is no error here: that is reported when an https URL is called.
    pub fn new(settings: TransportSettings) -> Result<Self, String> {
        let TransportSettings { connect_timeout, timeout, policy, extra_ca, proxy, idle_most } = settings;
        let (resolver, tls) = (Resolver::new(policy), Tls::new(&extra_ca)?);
        Ok(Self::assembled(connect_timeout, timeout, (resolver, tls), proxy, idle_most))
    }

    #[cfg(test)]
    pub(super) fn with_parts(connect_timeout: Duration, timeout: Duration, resolver: Resolver, tls: Tls) -> Self {
        Self::assembled(connect_timeout, timeout, (resolver, tls), None, 64)
    }

    #[cfg(test)]
    pub(super) fn spare_buffers(&self) -> usize {
        self.agents.dialler().spare_buffers()
    }

    fn assembled(
        connect_timeout: Duration,
        timeout: Duration,
        (resolver, tls): (Resolver, Tls),
        proxy: Option<Proxy>,
        idle_most: usize,
    ) -> Self {
        let (resolver, tls, by_proxy) = (Arc::new(resolver), Arc::new(tls), proxy.is_some());
        let dialler = Dialler::new(Arc::clone(&resolver), Arc::clone(&tls), proxy.map(Arc::new), idle_most);
        let agents = Agents::new(dialler);
        Self { connect_timeout, timeout, resolver, tls, by_proxy, agents, tokens: Tokens::default() }
    }

    /// Sends a request and waits for the response; never panics, and takes at most `timeout` (by default that of the
    /// settings) plus a few hundredths of a second.
    ///
    /// `receiver` separates connections by subscription; without one (a probe) the request uses a fresh connection,
    /// so that every phase occurs. The report of an attempt over a kept connection has no phases `resolve` and
    /// `connect`.
    pub fn post(&self, receiver: Option<SubscriptionId>, request: &Outgoing, timeout: Option<Duration>) -> Report {
        let begin = Instant::now();
        let target = match self.target(&request.url) {
            Ok(target) => target,
            Err(failure) => return failed(failure, begin.elapsed()),
        };
        let whole = timeout.unwrap_or(self.timeout).min(LONGEST);
        let limits = Limits { whole, connect: self.connect_timeout.min(LONGEST) };
        let certificate = request.client_certificate.as_ref();
        let agents = match receiver {
            Some(id) => self.agents.of(id, certificate),
            None => self.agents.lone(certificate).map(|lone| Pair { keeping: lone.clone(), lone }),
        };
        let Pair { keeping, lone } = match agents {
            Ok(agents) => agents,
            Err(bad) => return failed(unusable(bad), begin.elapsed()),
        };
        let deadline = begin + whole;
        let posted = caught(|| {
            let post = |authorization: Option<&Hidden>, limits| {
                attempt::post(&keeping, &lone, (request, authorization), &target, limits)
            };
            match request.auth.as_deref() {
                None => post(None, limits),
                Some(Auth::ClientCredentials(credentials)) => self.post_with_token(credentials, deadline, limits, post),
                Some(auth) => post(auth.header().as_ref(), limits),
            }
        });
        posted.unwrap_or_else(|failure| {
            if let Some(id) = receiver {
                self.agents.forget(id);
            }
            failed(failure, begin.elapsed())
        })
    }

    /// Posts with a token. One that was kept and is refused is fetched anew, once.
    fn post_with_token(
        &self,
        credentials: &ClientCredentials,
        deadline: Instant,
        limits: Limits,
        post: impl Fn(Option<&Hidden>, Limits) -> Report,
    ) -> Report {
        let begin = Instant::now();
        let left = || Limits { whole: deadline.saturating_duration_since(Instant::now()), ..limits };
        let get = || self.tokens.get(credentials, deadline, |request| self.post_for_token(request, left()));
        let refused = |report: &Report| matches!(&report.outcome, Outcome::Answered(answer) if answer.status == 401);
        let token = match get() {
            Ok(token) => token,
            Err(failure) => return failed(failure, begin.elapsed()),
        };
        let report = post(Some(&token.header()), left());
        if !(token.was_kept && refused(&report)) {
            return report;
        }
        self.tokens.forget(credentials, &token);
        match get() {
            Ok(token) => post(Some(&token.header()), left()),
            Err(failure) => failed(failure, begin.elapsed()),
        }
    }

    /// Posts a request for a token, over a fresh connection and under the rules of any other.
    fn post_for_token(&self, request: &Outgoing, limits: Limits) -> Report {
        let begin = Instant::now();
        let target = match self.target(&request.url) {
            Ok(target) => target,
            Err(failure) => return failed(failure, begin.elapsed()),
        };
        match self.agents.lone(None) {
            Ok(lone) => attempt::post(&lone, &lone, (request, None), &target, limits),
            Err(bad) => failed(unusable(bad), begin.elapsed()),
        }
    }

    /// Asks with OPTIONS, over a fresh connection and under the rules of any request; `request` has no body.
    pub fn ask(&self, request: &Outgoing) -> Report {
        let begin = Instant::now();
        let target = match self.target(&request.url) {
            Ok(target) => target,
            Err(failure) => return failed(failure, begin.elapsed()),
        };
        let limits = Limits { whole: self.timeout.min(LONGEST), connect: self.connect_timeout.min(LONGEST) };
        match self.agents.lone(request.client_certificate.as_ref()) {
            Ok(lone) => {
                let asked = caught(|| attempt::ask(&lone, request, &target, limits));
                asked.unwrap_or_else(|failure| failed(failure, begin.elapsed()))
            }
            Err(bad) => failed(unusable(bad), begin.elapsed()),
        }
    }

    /// One exchange that is no attempt: see [`fetch`](super::fetch::fetch).
    pub(super) fn fetch(
        &self,
        request: Request<Vec<u8>>,
        limit: Duration,
        most: usize,
    ) -> Result<Response<Vec<u8>>, Failure> {
        self.target(&request.uri().to_string())?;
        let limits = Limits { whole: limit.min(LONGEST), connect: self.connect_timeout.min(limit) };
        let lone = self.agents.lone(None).map_err(unusable)?;
        catch_unwind(AssertUnwindSafe(|| exchange(&lone, request, limits, most)))
            .unwrap_or_else(|_| Err(Failure::new(Fault::Internal, "a bug in Hookswitch ended the request")))
    }

    /// Closes the connections of receivers that were not called for a while. Calls do that as well; this is for when
    /// there are none.
    pub fn close_unused(&self) {
        self.agents.drop_unused();
    }

    /// A TLS handshake with the host of `url`, which must be https; no request is sent. Takes at most `limit` and at
    /// most the connect timeout, plus a few hundredths of a second.
    pub(super) fn verify_peer(&self, url: &str, limit: Duration) -> Result<Peer, Failure> {
        let target = self.target(url)?;
        let (begin, limit) = (Instant::now(), limit.min(self.connect_timeout));
        marks::begin(begin, begin + limit, limit);
        let peer = self.agents.dialler().verify_peer(&target);
        marks::end();
        peer
    }

    /// The check at registration: syntax, scheme, and the host's current addresses, of which at least one must be
    /// allowed, as at every attempt. A name that does not resolve passes: the receiver may not exist yet. Waits for
    /// DNS at most the connect timeout.
    ///
    /// # Errors
    /// A sentence on what is wrong and what would be right.
    pub fn check_url(&self, url: &str) -> Result<(), String> {
        let url = self.resolver.policy().check_url(url)?;
        as_uri(&url)?;
        let Some(Host::Domain(name)) = url.host() else { return Ok(()) };
        let vetted = match self.by_proxy {
            true => self.resolver.vet(name, self.connect_timeout),
            false => self.resolver.resolve(name, self.connect_timeout).map(drop),
        };
        match vetted {
            Err(failure) if failure.fault == Fault::AddressDenied => Err(failure.detail),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The check of a client certificate at registration.
    ///
    /// # Errors
    /// Which of the two is wrong, and how.
    pub fn check_certificate(&self, certificate: &ClientCertificate) -> Result<(), BadCertificate> {
        self.tls.with_certificate(certificate).map(drop)
    }

    /// Parses the URL. Configuration may have changed since it was registered, so the same rules are applied again.
    fn target(&self, url: &str) -> Result<Uri, Failure> {
        let bad = |why: String| Failure::new(Fault::BadUrl, format!("the URL {why}"));
        let read = self.resolver.policy().check_url(url).map_err(|why| self.denied(url).unwrap_or_else(|| bad(why)))?;
        as_uri(&read).map_err(bad)
    }

    /// The refusal, if the URL's host is a literal address that is not allowed.
    fn denied(&self, url: &str) -> Option<Failure> {
        let address = match Url::parse(url).ok()?.host()? {
            Host::Ipv4(address) => address.into(),
            Host::Ipv6(address) => address.into(),
            Host::Domain(_) => return None,
        };
        let refusal = self.resolver.policy().check(address).err()?;
        Some(Failure::new(Fault::AddressDenied, refusal.to_string()))
    }
}

/// The URL for ureq.
fn as_uri(url: &Url) -> Result<Uri, String> {
    Uri::try_from(url.as_str())
        .map_err(|_| "has characters that cannot be sent: write them percent-encoded (RFC 3986 section 2.1)".to_owned())
}

/// Runs one attempt; a panic in it fails this attempt only.
fn caught(post: impl FnOnce() -> Report) -> Result<Report, Failure> {
    let detail = "a bug in Hookswitch ended the attempt; see its messages on standard error";
    catch_unwind(AssertUnwindSafe(post)).map_err(|_| Failure::new(Fault::Internal, detail))
}

/// What was checked at registration cannot be used now.
fn unusable(bad: BadCertificate) -> Failure {
    let detail = match bad {
        BadCertificate::Cert(why) => format!("`client_cert` of this webhook {why}"),
        BadCertificate::Key(why) => format!("`client_key` of this webhook {why}"),
    };
    Failure::new(Fault::Tls, detail)
}

/// The report of an attempt that ended before it began.
fn failed(failure: Failure, duration: Duration) -> Report {
    let Failure { fault, detail } = failure;
    Report { outcome: Outcome::Failed { fault, detail }, note: None, duration, phases: Vec::new(), address: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_failure_of_the_attempt() {
        let failure = caught(|| panic!("in an attempt")).unwrap_err();
        assert_eq!(failure.fault, Fault::Internal);
        assert_eq!(caught(|| failed(failure.clone(), Duration::ZERO)), Ok(failed(failure, Duration::ZERO)));
    }

    #[test]
    fn every_url_that_can_be_registered_can_be_sent() {
        for character in (b'!'..=b'~').map(char::from).chain(['ä', '①', '\u{1f4de}']) {
            let read = |text: String| AddressPolicy::default().check_url(&text);
            for url in
                [read(format!("http://x.example/{character}a")), read(format!("http://x.example/?a={character}"))]
            {
                assert!(url.is_err() || url.is_ok_and(|url| as_uri(&url).is_ok()), "{character}");
            }
        }
    }
}
