//! Receivers: the client certificates presented to them, and, on request, the certificates they present.
//!
//! Of a URL only host and port are shown. The number of handshakes, their concurrency and their duration are limited.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use url::Url;

use super::check::Check;
use super::service::Subscription;
use crate::cli::certificate::{Age, end_of, end_of_pem};
use crate::cli::starting::{self, Handshake, Trouble};
use crate::config::Config;
use crate::core::attempt::Fault;
use crate::core::time::Timestamp;

const SHOWN: &str = "client certificate";
const RECEIVER: &str = "receiver";
/// Certificates with fewer days left are reported.
const SOON: u64 = 30;
/// Maximum handshakes, their concurrency, and the time limit of each.
const ASKED_MOST: usize = 500;
const AT_ONCE: usize = 16;
const PATIENCE: Duration = Duration::from_secs(5);

/// Checks the client certificates: one line for each that needs renewal, and one for the others.
pub(super) fn client_certificates(subscriptions: &[&Subscription]) -> Vec<Check> {
    judge_shown(subscriptions, SystemTime::now().into())
}

fn judge_shown(subscriptions: &[&Subscription], now: Timestamp) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut good = Good::default();
    for subscription in subscriptions {
        let Some(pem) = &subscription.client_cert else { continue };
        let id = &subscription.id;
        let what = format!("that of {id} ({})", authority(&subscription.url).unwrap_or_default().0);
        let advice = format!("renew it: hookswitch subscription edit {id} --client-cert FILE --client-key FILE");
        let Some(end) = end_of_pem(pem.as_bytes()) else {
            checks.push(Check::fail(SHOWN, format!("{what} cannot be read"), advice));
            continue;
        };
        match Age::of(end, now, SOON) {
            Age::Over => {
                let message = format!("{what} expired at {end}: a receiver that checks it accepts nothing");
                checks.push(Check::fail(SHOWN, message, advice));
            }
            Age::Old(days) => {
                checks.push(Check::warn(SHOWN, format!("{what} expires at {end}, in {days} days"), advice));
            }
            Age::Good(days) => good.add(end, days, what),
        }
    }
    if good.count > 0 {
        checks.push(Check::ok(SHOWN, format!("{} good{}", good.count, good.first())));
    }
    checks
}

/// The number of valid ones, and the first to expire.
#[derive(Default)]
struct Good {
    count: usize,
    first: Option<(Timestamp, u64, String)>,
}

impl Good {
    fn add(&mut self, end: Timestamp, days: u64, what: String) {
        self.count += 1;
        if self.first.as_ref().is_none_or(|(first, ..)| end < *first) {
            self.first = Some((end, days, what));
        }
    }

    fn first(&self) -> String {
        let Some((end, days, what)) = &self.first else { return String::new() };
        format!("; the first to expire is {what}: at {end}, in {days} days")
    }
}

/// Host and port, and whether it is https.
fn authority(url: &str) -> Option<(String, bool)> {
    let url = Url::parse(url).ok()?;
    Some((format!("{}:{}", url.host_str()?, url.port_or_known_default()?), url.scheme() == "https"))
}

/// Performs a handshake with each https receiver and the one for alerts: one line per problem, and one for the
/// others. `None`: the subscriptions are unknown.
pub(super) fn handshakes(config: &Config, subscriptions: Option<&[&Subscription]>) -> Vec<Check> {
    let Some(subscriptions) = subscriptions else {
        let message = "unknown: no daemon answers, or its token cannot be read";
        let advice = "start the daemon, and run this as the user that it runs as, or as root";
        return vec![Check::warn(RECEIVER, message, advice)];
    };
    let shake = match starting::handshakes(config) {
        Ok(shake) => shake,
        Err(failure) => return vec![Check::fail(RECEIVER, failure.message, "correct that key")],
    };
    let (authorities, plain) = authorities(subscriptions, config.alerts.url.as_ref().map(|alerts| alerts.url.as_str()));
    let left_out = authorities.len().saturating_sub(ASKED_MOST);
    let authorities: Vec<(String, bool)> = authorities.into_iter().take(ASKED_MOST).collect();
    let count = authorities.len();
    let queue = Mutex::new(authorities.into_iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let met = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(count) {
            scope.spawn(|| {
                while let Some((authority, shown)) = next() {
                    let shaken = shake(&format!("https://{authority}/"), PATIENCE);
                    met.lock().unwrap_or_else(PoisonError::into_inner).push((authority, shown, shaken));
                }
            });
        }
    });
    let mut met = met.into_inner().unwrap_or_else(PoisonError::into_inner);
    met.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    let mut checks = judge_met(met, plain, SystemTime::now().into());
    if left_out > 0 {
        let message = format!("{left_out} more were not checked: at most {ASKED_MOST} are");
        checks.push(Check::warn(RECEIVER, message, "test those with `hookswitch test URL`"));
    }
    checks
}

/// The distinct https endpoints, each with whether a client certificate is presented; and the number of other URLs.
fn authorities(subscriptions: &[&Subscription], alerts: Option<&str>) -> (BTreeMap<String, bool>, usize) {
    let receivers = subscriptions.iter().map(|one| (one.url.as_str(), one.client_cert.is_some()));
    let (mut authorities, mut plain) = (BTreeMap::new(), 0);
    for (url, shown) in receivers.chain(alerts.map(|url| (url, false))) {
        match authority(url) {
            Some((authority, true)) => *authorities.entry(authority).or_insert(false) |= shown,
            _ => plain += 1,
        }
    }
    (authorities, plain)
}

fn judge_met(met: Vec<(String, bool, Result<Handshake, Trouble>)>, plain: usize, now: Timestamp) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut good = Good::default();
    for (authority, shown, shaken) in met {
        match shaken {
            Err(trouble) => checks.push(troubled(&authority, &trouble)),
            // Without the key no certificate can be presented, so a receiver that requires one must refuse.
            Ok(Handshake { refusal: Some(refusal), .. }) if !shown => {
                let advice = "if it asks for a client certificate, give it one: hookswitch subscription edit ID \
                              --client-cert FILE --client-key FILE";
                checks.push(Check::fail(RECEIVER, format!("{authority}: {refusal}"), advice));
            }
            Ok(Handshake { certificates, .. }) => {
                let Some(end) = certificates.first().and_then(|der| end_of(der)) else {
                    let message = format!("{authority}: the expiry of its certificate cannot be read");
                    let advice = format!("examine it: openssl s_client -connect {authority}");
                    checks.push(Check::warn(RECEIVER, message, advice));
                    continue;
                };
                match Age::of(end, now, SOON) {
                    Age::Good(days) => good.add(end, days, authority),
                    Age::Old(_) | Age::Over => {
                        let message =
                            format!("{authority}: its certificate expires at {end}, in less than {SOON} days");
                        let advice = "have it renewed there: after it expires, nothing is delivered";
                        checks.push(Check::warn(RECEIVER, message, advice));
                    }
                }
            }
        }
    }
    if good.count > 0 || checks.is_empty() {
        let others = if plain > 0 { format!("; {plain} are not https and were not checked") } else { String::new() };
        checks.push(Check::ok(RECEIVER, format!("{} trusted{}{others}", good.count, good.first())));
    }
    checks
}

fn troubled(authority: &str, trouble: &Trouble) -> Check {
    let advice = trouble.advice.unwrap_or(match trouble.fault {
        Fault::Tls => "correct it at the receiver, or correct the webhook's URL",
        Fault::AddressDenied => "allow it there if that is intended, or correct the webhook's URL",
        _ => "correct the webhook's URL",
    });
    Check::fail(RECEIVER, format!("{authority}: {}", trouble.detail), advice)
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    /// A certificate valid until the end of 2026, as PEM and as DER.
    fn certificate() -> (String, Vec<u8>) {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2026, 12, 31);
        let made = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        (made.pem(), made.der().to_vec())
    }

    fn subscription(url: &str, client_cert: Option<&str>) -> Subscription {
        let client_cert = client_cert.map(str::to_owned);
        Subscription { id: "sub_1".to_owned(), url: url.to_owned(), enabled: true, client_cert }
    }

    #[test]
    fn client_certificates_are_judged_by_their_expiry() {
        let (pem, _) = certificate();
        let one = subscription("https://a.example/?key=geheim", Some(&pem));
        let other = subscription("https://b.example:8443/", Some("rubbish"));
        let none = subscription("https://c.example/", None);
        for (now, state, part) in [
            (
                "2026-12-01T00:00:00Z",
                State::Ok,
                "1 good; the first to expire is that of sub_1 (a.example:443): at 2026",
            ),
            ("2026-12-02T00:00:00Z", State::Warn, "in 29 days"),
            ("2026-12-31T00:00:00Z", State::Fail, "expired at 2026-12-31T00:00:00"),
        ] {
            let checks = judge_shown(&[&one, &none], at(now));
            assert!(checks.len() == 1 && checks[0].state == state && checks[0].message.contains(part), "{checks:?}");
            assert!(!checks[0].message.contains("geheim"), "{checks:?}");
        }
        let both = judge_shown(&[&other, &one], at("2026-06-01T00:00:00Z"));
        assert_eq!(both.iter().map(|check| check.state).collect::<Vec<_>>(), [State::Fail, State::Ok], "{both:?}");
        assert!(judge_shown(&[&none], at("2026-06-01T00:00:00Z")).is_empty());
    }

    #[test]
    fn each_receiver_is_checked_once_and_only_over_tls() {
        let all = [
            subscription("https://a.example/x", None),
            subscription("HTTPS://A.example:443/y?z", Some("pem")),
            subscription("https://a.example:8443/", None),
            subscription("https://[2001:db8::1]/", None),
            subscription("http://b.example/", None),
        ];
        let all: Vec<&Subscription> = all.iter().collect();
        let (found, plain) = authorities(&all, Some("https://alerts.example/"));
        let found: Vec<(&str, bool)> = found.iter().map(|(authority, shown)| (authority.as_str(), *shown)).collect();
        let wanted = [
            ("[2001:db8::1]:443", false),
            ("a.example:443", true),
            ("a.example:8443", false),
            ("alerts.example:443", false),
        ];
        assert_eq!((found.as_slice(), plain), (&wanted[..], 1));
    }

    #[test]
    fn failed_checks_say_what_to_do() {
        let (_, der) = certificate();
        let shaken = |refusal: Option<&str>| {
            Ok(Handshake { certificates: vec![der.clone()], refusal: refusal.map(str::to_owned) })
        };
        let denied = Trouble { fault: Fault::AddressDenied, detail: "is not allowed".to_owned(), advice: None };
        let cases = [
            (false, shaken(None), "2026-06-01T00:00:00Z", State::Ok, "1 trusted; the first to expire is x:443"),
            (false, shaken(None), "2026-12-15T00:00:00Z", State::Warn, "in less than 30 days"),
            (false, shaken(Some("refused it")), "2026-06-01T00:00:00Z", State::Fail, "x:443: refused it"),
            (true, shaken(Some("refused it")), "2026-06-01T00:00:00Z", State::Ok, "1 trusted"),
            (false, Err(denied), "2026-06-01T00:00:00Z", State::Fail, "x:443: is not allowed"),
        ];
        for (shown, shaken, now, state, part) in cases {
            let checks = judge_met(vec![("x:443".to_owned(), shown, shaken)], 0, at(now));
            assert!(checks.len() == 1 && checks[0].state == state && checks[0].message.contains(part), "{checks:?}");
            assert_eq!(checks[0].advice.is_some(), state != State::Ok, "{checks:?}");
        }
        let nobody = judge_met(Vec::new(), 2, at("2026-06-01T00:00:00Z"));
        assert!(nobody[0].state == State::Ok && nobody[0].message == "0 trusted; 2 are not https and were not checked");
    }
}
