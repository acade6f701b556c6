//! Certificates: expiry of the listener's, and availability of root certificates.

use std::path::Path;
use std::time::SystemTime;

use super::check::Check;
use crate::cli::certificate::{Age, end_of_pem};
use crate::config::Config;
use crate::core::time::Timestamp;

const NAME: &str = "certificate";
/// Days before expiry at which a warning begins.
const SOON: u64 = 21;

/// The listener's, if any, and the authorities for receivers.
pub(super) fn checks(config: &Config) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(tls) = &config.http.tls {
        checks.push(match std::fs::read(&tls.cert) {
            Ok(pem) => listeners(&tls.cert, &pem, SystemTime::now().into()),
            Err(error) => Check::fail(NAME, format!("{}: {error}", tls.cert.display()), "correct `tls_cert`"),
        });
    }
    let known = rustls_native_certs::load_native_certs().certs.len();
    checks.push(match (known, config.network.extra_ca.len()) {
        (0, 0) => Check::warn(
            "authorities",
            "this machine knows no certificate authority, so no https receiver can be checked",
            "install the package `ca-certificates`, or name PEM files in `extra_ca` of [network]",
        ),
        (known, extra) => {
            Check::ok("authorities", format!("{known} known to this machine, {extra} files in `extra_ca`"))
        }
    });
    checks
}

/// Reports when the first of the certificates in `pem` expires.
fn listeners(file: &Path, pem: &[u8], now: Timestamp) -> Check {
    let shown = file.display();
    let Some(end) = end_of_pem(pem) else {
        return Check::fail(NAME, format!("{shown} cannot be read as certificates"), "correct `tls_cert`");
    };
    match Age::of(end, now, SOON) {
        Age::Over => {
            let advice = "renew it, then `systemctl reload hookswitch`: clients that check it cannot connect";
            Check::fail(NAME, format!("{shown} expired at {end}"), advice)
        }
        Age::Old(days) => {
            let message = format!("{shown} is valid until {end}, for {days} days");
            Check::warn(NAME, message, "renew it, then `systemctl reload hookswitch`")
        }
        Age::Good(days) => Check::ok(NAME, format!("{shown} is valid until {end}, for {days} days")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;

    #[test]
    fn a_certificate_is_judged_by_when_it_runs_out() {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2026, 12, 31);
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let at = |text| Timestamp::parse(text).unwrap();
        let judged = |now| listeners(Path::new("tls.crt"), pem.as_bytes(), at(now));
        for (now, state, part) in [
            ("2026-12-01T00:00:00Z", State::Ok, "for 30 days"),
            ("2026-12-20T00:00:00Z", State::Warn, "for 11 days"),
            ("2026-12-31T00:00:00Z", State::Fail, "expired at 2026-12-31T00:00:00"),
        ] {
            let check = judged(now);
            assert!(check.state == state && check.message.contains(part), "{check:?}");
        }
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for bad in [&b""[..], b"rubbish", broken] {
            assert_eq!(listeners(Path::new("x"), bad, at("2026-01-01T00:00:00Z")).state, State::Fail);
        }
    }
}
