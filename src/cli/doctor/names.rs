//! Name resolution: of the receivers' hosts if known, else of `localhost`.

use std::collections::BTreeSet;
use std::net::ToSocketAddrs as _;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use url::{Host, Url};

use super::check::Check;
use super::service::Subscription;
use crate::config::Config;

const NAME: &str = "names";
/// Maximum names looked up.
const NAMES_MOST: usize = 20;
/// Time limit for all of them.
const PATIENCE: Duration = Duration::from_secs(5);
/// Slower lookups are slow.
const SLOW: Duration = Duration::from_secs(1);

/// The host of a URL, if it is a name.
fn host_of(url: &str) -> Option<String> {
    match Url::parse(url).ok()?.host()? {
        Host::Domain(name) => Some(name.to_owned()),
        Host::Ipv4(_) | Host::Ipv6(_) => None,
    }
}

/// Looks up the names of these receivers and of the one for alerts, concurrently.
pub(super) fn check(config: &Config, receivers: &[&Subscription]) -> Check {
    let alerts = config.alerts.url.iter().map(|alerts| alerts.url.as_str());
    let urls = receivers.iter().map(|receiver| receiver.url.as_str()).chain(alerts);
    let names: BTreeSet<String> = urls.filter_map(host_of).collect();
    let mut names: Vec<String> = names.into_iter().take(NAMES_MOST).collect();
    if names.is_empty() {
        names.push("localhost".to_owned());
    }
    let (answer, answers) = mpsc::channel();
    for name in names.clone() {
        let answer = answer.clone();
        std::thread::spawn(move || {
            let begun = Instant::now();
            let found = (name.as_str(), 443).to_socket_addrs().is_ok_and(|mut found| found.next().is_some());
            // The requester may have given up.
            let _ = answer.send((name, found, begun.elapsed()));
        });
    }
    drop(answer);
    let until = Instant::now() + PATIENCE;
    let mut found = Vec::new();
    while let Ok(one) = answers.recv_timeout(until.saturating_duration_since(Instant::now())) {
        found.push(one);
    }
    judge(&names, &found)
}

fn judge(names: &[String], answers: &[(String, bool, Duration)]) -> Check {
    let known = |name: &&String| answers.iter().any(|(answered, found, _)| answered == *name && *found);
    let missing: Vec<&str> = names.iter().filter(|name| !known(name)).map(String::as_str).collect();
    let slowest = answers.iter().map(|(_, _, took)| *took).max().unwrap_or_default();
    if !missing.is_empty() {
        let message = format!("not found, or no answer in {} s: {}", PATIENCE.as_secs(), missing.join(", "));
        let advice = "check the names in the subscriptions' URLs, and this machine's DNS (/etc/resolv.conf)";
        // If none of several is found, DNS is at fault; otherwise possibly those names.
        let all = missing.len() == names.len() && missing.len() > 1;
        return if all { Check::fail(NAME, message, advice) } else { Check::warn(NAME, message, advice) };
    }
    let message = format!("{} found, the slowest in {} ms", names.join(", "), slowest.as_millis());
    if slowest > SLOW {
        return Check::warn(NAME, message, "every new connection waits for that: check this machine's DNS");
    }
    Check::ok(NAME, message)
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;

    #[test]
    fn unknown_names_are_distinguished_from_a_dns_failure() {
        let names = ["a.example".to_owned(), "b.example".to_owned()];
        let answer = |n: usize, found, millis| (names[n].clone(), found, Duration::from_millis(millis));
        for (answers, state, part) in [
            (vec![answer(0, true, 5), answer(1, true, 9)], State::Ok, "in 9 ms"),
            (vec![answer(0, true, 5), answer(1, true, 1_001)], State::Warn, "1001 ms"),
            (vec![answer(0, true, 5), answer(1, false, 9)], State::Warn, ": b.example"),
            (vec![answer(0, true, 5)], State::Warn, ": b.example"),
            (vec![], State::Fail, ": a.example, b.example"),
        ] {
            let check = judge(&names, &answers);
            assert!(check.state == state && check.message.contains(part), "{check:?}");
        }
        assert_eq!(judge(&names[..1], &[]).state, State::Warn, "a single one may be misspelt");
        assert_eq!(host_of("https://www.acme.example:8443/x"), Some("www.acme.example".to_owned()));
        assert_eq!(host_of("http://127.0.0.1/x"), None);
    }
}
