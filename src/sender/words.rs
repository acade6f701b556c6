//! An attempt's result in plain language, with what to do. The same text for a test POST and for a log entry.

use std::time::Duration;

use url::Url;

use crate::core::attempt::{Answer, Fault, LogEntry, Outcome, Phase, Report, Status};
use crate::core::auth::Auth;
use crate::core::request::Outgoing;

/// Maximum characters shown of a redirect's target.
const TARGET: usize = 512;
/// Responses of servers to plain HTTP on a port for TLS, in lower case: nginx, Apache, Go, Tomcat, and this daemon.
const PLAIN_TO_TLS: [&str; 5] = [
    "plain http request was sent to https port",
    "speaking plain http to an ssl-enabled server port",
    "client sent an http request to an https server",
    "combination of host and port requires tls",
    "this port speaks tls",
];
/// nginx's response without a client certificate.
const NO_CERTIFICATE: [&str; 1] = ["no required ssl certificate was sent"];

/// Describes the report of an attempt of `request`.
pub(super) fn of_report(report: &Report, request: &Outgoing) -> String {
    let words = match &report.outcome {
        Outcome::Answered(answer) => match request.success.fault_of_body(answer) {
            Some(why) => unexpected(answer, &why),
            None => {
                let words = judged(answer, &request.url, request.success.accepts(answer));
                with_note(words, report.note.as_deref().unwrap_or_default())
            }
        },
        Outcome::Failed { fault, detail } => of_fault(*fault, detail, &report.phases),
    };
    let fetched = matches!(request.auth.as_deref(), Some(Auth::ClientCredentials(_)));
    let refused = matches!(&report.outcome, Outcome::Answered(answer) if matches!(answer.status, 401 | 403));
    if fetched && refused { format!("{words} (A token was fetched; it is this URL that refused it.)") } else { words }
}

/// The words for a body that is none of success.
fn unexpected(answer: &Answer, why: &str) -> String {
    format!(
        "URL not working: the receiver answered {}, but {why}; see what it answered, and correct what it complains of, or \
         the rule",
        answer.status
    )
}

/// The words for an answer, of which the rule of success says whether it counts.
fn judged(answer: &Answer, url: &str, counts: bool) -> String {
    if counts && !(200..300).contains(&answer.status) {
        let status = answer.status;
        return format!("URL working and answering: the receiver answered {status}, which counts as delivered here.");
    }
    of_answer(answer, url)
}

/// Describes a log entry in the same words; `None` if nothing was sent.
pub fn of_entry(entry: &LogEntry) -> Option<String> {
    let words = match (&entry.answer, entry.error) {
        (Some(answer), Some(Fault::UnexpectedBody)) => unexpected(answer, &entry.error_detail),
        (Some(answer), _) => {
            with_note(judged(answer, &entry.url, entry.status == Status::Delivered), &entry.error_detail)
        }
        (None, Some(fault)) => of_fault(fault, &entry.error_detail, &entry.phases),
        (None, None) => return None,
    };
    // The verdict on the URL is expressed by the entry's status.
    let (_, words) = words.split_once(": ")?;
    let mut characters = words.chars();
    Some(characters.next()?.to_uppercase().chain(characters).collect())
}

fn with_note(words: String, note: &str) -> String {
    if note.is_empty() { words } else { format!("{words} (The rest of its answer was not in order: {note}.)") }
}

fn of_answer(answer: &Answer, url: &str) -> String {
    let status = answer.status;
    let words = match status {
        200 => return "URL working and answering: the receiver answered 200.".to_owned(),
        201..=299 => {
            return format!("URL working and answering: the receiver answered {status}, which counts as delivered.");
        }
        300..=399 => return redirected(answer, url),
        400 if says(answer, &PLAIN_TO_TLS) => {
            "this is a port for https that was sent plain http: begin the URL with https://"
        }
        400 if says(answer, &NO_CERTIFICATE) => {
            "the receiver asks for a client certificate: set `client_cert` and `client_key` of this webhook"
        }
        400 | 422 => "the receiver did not accept the content: check its log, and the format and layout set here",
        401 | 403 => {
            "the receiver does not accept who is calling. Most often it checks the signature with another secret, or not \
             over the body as it came: enter this webhook's secret there and compare. Otherwise check the header that it \
             expects (such as Authorization), and that it lets this server's address in"
        }
        404 => "nothing is found at this path: check that the URL is correct",
        405 => "the receiver does not accept POST there: check the path, or let the receiver accept POST",
        408 | 425 => "the receiver did not get the request in the time it allows: try again, and check its settings",
        410 => {
            "the receiver says that the URL is gone for good: enter the new URL; a delivery with this answer disables \
             the webhook"
        }
        411 | 413 | 431 => "the receiver finds the request too large: raise the limit there",
        415 => "the receiver does not accept this content type: try the other format (JSON or form)",
        429 => "the receiver has had too many requests: try again later, or set a lower rate for this webhook",
        400..=499 => "the receiver refused the request: check the URL and the receiver's log",
        502 | 504 => "a gateway answered, but not the application behind it: check that the application is running",
        503 => "the receiver is overloaded or in maintenance: try again later",
        500..=599 => "the receiver failed while it handled the request: check its error log",
        _ => "that status is not one that a receiver should answer: check what is listening there",
    };
    format!("URL not working: the receiver answered {status}; {words}.")
}

/// Whether the response's body contains one of `phrases`, in any case.
fn says(answer: &Answer, phrases: &[&str]) -> bool {
    let body = String::from_utf8_lossy(&answer.body).to_ascii_lowercase();
    phrases.iter().any(|phrase| body.contains(phrase))
}

fn redirected(answer: &Answer, url: &str) -> String {
    let status = answer.status;
    let begin = format!("URL not working: the receiver answered {status}, a redirect; redirects are not followed");
    let Some(location) = answer.header("location") else {
        return format!("{begin}, enter the URL that answers itself");
    };
    let resolved = resolved(url, location);
    match resolved.as_ref().and_then(Url::host_str) {
        Some("script.googleusercontent.com") => format!(
            "URL not working: Google Apps Script answered {status}, a redirect, as it does to every POST whose doPost returns \
             what ContentService made. The script has run, and all the same that does not count as delivered, and the event \
             is posted again: let doPost return HtmlService.createHtmlOutput(\"ok\"), which is answered 200"
        ),
        Some("accounts.google.com") => format!(
            "URL not working: the receiver answered {status}, a redirect to Google's sign-in. If it is an Apps Script, deploy it \
             as a web app that anyone has access to, and enter the URL of that deployment, which ends in /exec"
        ),
        _ => {
            let target = resolved.map_or_else(|| excerpt(location), |resolved| excerpt(resolved.as_str()));
            format!("{begin}, enter the target URL directly: {target}")
        }
    }
}

/// The target of a redirect, which may be relative to the URL called (RFC 9110 section 10.2.2), without user name and
/// password.
fn resolved(url: &str, location: &str) -> Option<Url> {
    let mut target = Url::parse(url).ok()?.join(location).ok()?;
    // These fail only for URLs without a host, which have neither.
    let _ = (target.set_username(""), target.set_password(None));
    Some(target)
}

/// A target named by the receiver, short enough to be shown and without control characters.
fn excerpt(location: &str) -> String {
    location.chars().take(TARGET).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn of_fault(fault: Fault, detail: &str, phases: &[(Phase, Duration)]) -> String {
    if fault == Fault::Template {
        return format!("Not sent: {detail}. The event is kept and tried again: correct the template.");
    }
    let Some(advice) = advice(fault) else {
        let verdict = if fault == Fault::AddressDenied { "allowed" } else { "working" };
        return format!("URL not {verdict}: {detail}.");
    };
    let phase = phases.last().filter(|_| is_timeout(fault));
    let waited = phase.map(|(phase, length)| format!(" (phase `{phase}`, after {} ms)", length.as_millis()));
    format!("URL not working: {detail}{}; {advice}.", waited.unwrap_or_default())
}

/// What to do about a fault, if its detail does not say it.
pub(super) const fn advice(fault: Fault) -> Option<&'static str> {
    Some(match fault {
        Fault::NameNotFound => "check the spelling of the host name, and that this server's DNS knows it",
        Fault::ResolveTimeout => "check this server's DNS settings, or try again later",
        // The detail says what to do.
        Fault::AddressDenied | Fault::BadUrl | Fault::Tls => return None,
        Fault::Refused => "check the port, and that the receiver is running",
        Fault::Unreachable => "check the network, routes and firewall between this server and the receiver",
        Fault::Proxy => "check `proxy` in [network], and what the proxy's log says of this host",
        Fault::ConnectTimeout => {
            "check the address and the port, that no firewall drops the connection, and for https that the port speaks TLS"
        }
        Fault::TlsExpired => "renew the receiver's certificate, and check the clocks of both machines",
        Fault::TlsWrongName => "use a host name that the certificate is for, or install one for this name",
        Fault::TlsUnknownIssuer => {
            "if it comes from a company's own authority, name that one's certificate in `extra_ca` in [network]; otherwise \
             install a server certificate (CA:FALSE) with its full chain at the receiver"
        }
        Fault::SendTimeout => {
            "the receiver accepts the connection but does not read from it: check that it is not overloaded"
        }
        Fault::ResponseTimeout => {
            "let the receiver answer before it does its work, or set a longer timeout for this webhook"
        }
        Fault::BodyTimeout => "the receiver began to answer but did not end: let it answer with a short body, or none",
        Fault::Disconnected => "check the receiver's log: it may have crashed, or refuse this kind of request",
        Fault::Protocol => "check the port, and whether the URL must begin with https:// instead of http://",
        Fault::SignIn => "nothing was sent to the webhook's own URL: check `auth` of this webhook",
        Fault::UnexpectedBody => "see what it answered",
        Fault::Template => "correct the template of this webhook",
        Fault::EventUnavailable => "the event that was to be sent is no longer stored",
        Fault::Internal => "try again; if it happens again, report it with this server's messages",
    })
}

const fn is_timeout(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::ResolveTimeout
            | Fault::ConnectTimeout
            | Fault::SendTimeout
            | Fault::ResponseTimeout
            | Fault::BodyTimeout
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::AlertId;
    use crate::core::subscription::Secret;
    use crate::core::success::{Success, SuccessBody, SuccessRule};
    use crate::core::time::Timestamp;

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Answer { status, headers, body: body.as_bytes().to_vec(), truncated: false }
    }

    fn answered(status: u16, headers: &[(&str, &str)], body: &str) -> String {
        of_answer(&answer(status, headers, body), "http://user:geheim@old.example:8080/a/hook?x=1")
    }

    #[test]
    fn every_status_says_what_to_do() {
        let cases = [
            (200, "URL working and answering"),
            (204, "URL working and answering"),
            (302, "redirects are not followed"),
            (401, "Authorization"),
            (403, "Authorization"),
            (
                404,
                "URL not working: the receiver answered 404; nothing is found at this path: check that the URL is correct",
            ),
            (405, "POST"),
            (410, "gone"),
            (415, "format"),
            (429, "too many requests"),
            (418, "refused"),
            (500, "error log"),
            (502, "behind it"),
            (503, "later"),
            (101, "not one that a receiver should answer"),
            (999, "not one that a receiver should answer"),
        ];
        for (status, words) in cases {
            let found = answered(status, &[], "");
            assert!(found.contains(words), "{status}: {found}");
            assert_eq!(found.starts_with("URL working"), (200..300).contains(&status), "{status}");
        }
    }

    #[test]
    fn every_fault_says_what_to_do() {
        for fault in Fault::ALL {
            let phases = vec![(Phase::Resolve, Duration::from_millis(1)), (Phase::Connect, Duration::from_millis(20))];
            let found = of_fault(*fault, "cannot be so", &phases);
            assert!(
                (found.starts_with("URL not ") || found.starts_with("Not sent: ")) && found.contains("cannot be so"),
                "{found}"
            );
            assert_eq!(found.contains("phase `connect`, after 20 ms"), is_timeout(*fault), "{found}");
        }
    }

    #[test]
    fn a_redirect_names_its_target_in_full() {
        for (location, wanted) in [
            ("https://new.example/hook", "https://new.example/hook"),
            ("/hook/", "http://old.example:8080/hook/"),
            ("hook/", "http://old.example:8080/a/hook/"),
            ("../b?c=d", "http://old.example:8080/b?c=d"),
            ("?y=2", "http://old.example:8080/a/hook?y=2"),
            ("//cdn.example/x", "http://cdn.example/x"),
            ("http://[", "http://["),
            ("mailto:x@y.example", "mailto:x@y.example"),
        ] {
            let words = answered(307, &[("LOCATION", location)], "");
            assert!(words.ends_with(&format!("enter the target URL directly: {wanted}")), "{words}");
            assert!(!words.contains("geheim"), "{words}");
        }
        assert!(answered(302, &[], "").contains("enter the URL that answers itself"));
        let long = answered(302, &[("Location", &"a".repeat(5000))], "");
        assert!(long.len() < 2 * TARGET);
    }

    #[test]
    fn google_apps_script_is_named() {
        let run = "https://script.googleusercontent.com/macros/echo?user_content_key=k";
        let words = answered(302, &[("Location", run)], "Moved");
        assert!(words.contains("Google Apps Script answered 302") && words.contains("HtmlService"), "{words}");
        let closed = answered(302, &[("Location", "https://accounts.google.com/ServiceLogin?x=y")], "");
        assert!(closed.contains("anyone has access"), "{closed}");
    }

    #[test]
    fn plain_http_on_a_port_for_https_is_named() {
        for body in [
            "<center>The plain HTTP request was sent to HTTPS port</center>",
            "Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
            "Client sent an HTTP request to an HTTPS server.\n",
            "{\"detail\":\"this port speaks TLS: call it with https:// instead of http://\"}",
            "Bad Request\r\nThis combination of host and port requires TLS.\r\n",
        ] {
            let words = answered(400, &[], body);
            assert!(words.contains("begin the URL with https://"), "{words}");
        }
        assert!(answered(400, &[], "No required SSL certificate was sent").contains("`client_cert`"));
        assert!(answered(400, &[], "no phone").contains("did not accept the content"));
    }

    #[test]
    fn a_fault_after_the_status_line_is_a_note() {
        let report = |note: Option<&str>| Report {
            outcome: Outcome::Answered(answer(200, &[], "")),
            note: note.map(str::to_owned),
            duration: Duration::ZERO,
            phases: Vec::new(),
            address: None,
        };
        let request =
            Outgoing::alert("", Some(&Secret::from_bytes([7; 32])), AlertId::from_bits(1), Vec::new(), Timestamp::ZERO);
        assert_eq!(of_report(&report(None), &request), "URL working and answering: the receiver answered 200.");
        let message = of_report(&report(Some("its body did not end in time")), &request);
        let asked = SuccessRule { status: Success::OkOrRedirect, body: Some(SuccessBody::Contains("ok".to_owned())) };
        let message_of = |status, body: &str| {
            let report = Report { outcome: Outcome::Answered(answer(status, &[], body)), ..report(None) };
            of_report(&report, &Outgoing { success: asked.clone(), ..request.clone() })
        };
        assert!(message_of(200, "{}").contains("answered 200, but its body does not contain `ok`"));
        assert!(
            message_of(302, "ok").starts_with("URL working") && message_of(404, "ok").starts_with("URL not working")
        );
        assert!(
            message.starts_with("URL working") && message.ends_with("not in order: its body did not end in time.)"),
            "{message}"
        );
    }
}
