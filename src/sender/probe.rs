//! The test POST of a URL: what came back, in plain words, with what to do.
//!
//! The request is made by core exactly as a delivery's would be; this sends it over a fresh
//! connection, so that every phase is gone through, and reads the report for a person.

use std::time::Duration;

use super::transport::Transport;
use crate::core::attempt::{Answer, Fault, LogEntry, Outcome, Phase, Report};
use crate::core::request::Outgoing;

/// How many bytes of an answer's body are shown.
const EXCERPT: usize = 2 * 1024;
/// How many characters of a redirect's target are shown.
const TARGET: usize = 512;

/// What a probe has to say: see PRODUCT.md, `POST /v1/test`.
#[derive(Debug)]
pub struct Findings {
    /// What was seen.
    pub report: Report,
    /// The status code, if there was an answer.
    pub response: Option<u16>,
    /// Whether the receiver would count a delivery as arrived: the answer was 2xx.
    pub working: bool,
    /// What came back in plain words, with what to do.
    pub message: String,
    /// The equivalent `curl` line; see [`curl`].
    pub curl: String,
    /// What was sent.
    pub request: Outgoing,
}

impl Findings {
    /// Why there was no answer.
    pub const fn error(&self) -> Option<Fault> {
        match &self.report.outcome {
            Outcome::Answered(_) => None,
            Outcome::Failed { fault, .. } => Some(*fault),
        }
    }

    /// The phase in which it ended without an answer; `None` if it never began, or if there was one.
    pub fn phase(&self) -> Option<Phase> {
        self.error().and_then(|_| self.report.phases.last()).map(|(phase, _)| *phase)
    }

    /// The beginning of the answer's body as text, at most 2 KiB of it.
    pub fn response_body(&self) -> Option<String> {
        let Outcome::Answered(answer) = &self.report.outcome else { return None };
        let shown = &answer.body[..answer.body.len().min(EXCERPT)];
        let mut text = String::from_utf8_lossy(shown).into_owned();
        if answer.truncated || shown.len() < answer.body.len() {
            // The cut may have gone through a character.
            text.truncate(text.trim_end_matches(char::REPLACEMENT_CHARACTER).len());
            text.push('…');
        }
        Some(text)
    }
}

/// Sends `request` and waits for the answer, `timeout` (the transport's own if `None`) at most.
pub fn run(transport: &Transport, request: Outgoing, timeout: Option<Duration>) -> Findings {
    let report = transport.post(None, &request, timeout);
    read(report, request)
}

/// Reads the report of an attempt for a person.
fn read(report: Report, request: Outgoing) -> Findings {
    let (response, working, message) = match &report.outcome {
        Outcome::Answered(answer) => (Some(answer.status), answer.is_success(), of_answer(answer)),
        Outcome::Failed { fault, detail } => (None, false, of_fault(*fault, detail, &report.phases)),
    };
    Findings { response, working, message, curl: curl(&request), report, request }
}

/// What an entry of the log has to say, in the same words; `None` if nothing was sent.
pub fn words(entry: &LogEntry) -> Option<String> {
    let words = match (&entry.answer, entry.error) {
        (Some(answer), _) => of_answer(answer),
        (None, Some(fault)) => of_fault(fault, &entry.error_detail, &entry.phases),
        (None, None) => return None,
    };
    // What it says of the URL as such is said by the entry's status.
    let (_, words) = words.split_once(": ")?;
    let mut characters = words.chars();
    Some(characters.next()?.to_uppercase().chain(characters).collect())
}

fn of_answer(answer: &Answer) -> String {
    let status = answer.status;
    let words = match status {
        200 => return "URL working and answering: the receiver answered 200.".to_owned(),
        201..=299 => {
            return format!("URL working and answering: the receiver answered {status}, which counts as delivered.");
        }
        300..=399 => return redirected(answer),
        400 | 422 => "the receiver did not accept the content: check its log, and the format and layout set here",
        401 | 403 => {
            "the receiver wants to be shown who is calling: check the header it expects (such as Authorization), and \
             that it lets this server's address in"
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

fn redirected(answer: &Answer) -> String {
    let status = answer.status;
    let target = match answer.header("location") {
        Some(place) => format!("enter the target URL directly: {}", excerpt(place)),
        None => "enter the URL that answers itself".to_owned(),
    };
    format!("URL not working: the receiver answered {status}, a redirect; redirects are not followed, {target}")
}

/// A target that the receiver named, short enough to be shown and without control characters.
fn excerpt(place: &str) -> String {
    place.chars().take(TARGET).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn of_fault(fault: Fault, detail: &str, phases: &[(Phase, Duration)]) -> String {
    let Some(advice) = advice(fault) else {
        let verdict = if fault == Fault::AddressDenied { "allowed" } else { "working" };
        return format!("URL not {verdict}: {detail}.");
    };
    let phase = phases.last().filter(|_| is_timeout(fault));
    let waited = phase.map(|(phase, length)| format!(" (phase `{phase}`, after {} ms)", length.as_millis()));
    format!("URL not working: {detail}{}; {advice}.", waited.unwrap_or_default())
}

/// What to do about a fault, where its detail does not say that itself.
pub(super) const fn advice(fault: Fault) -> Option<&'static str> {
    Some(match fault {
        Fault::NameNotFound => "check the spelling of the host name, and that this server's DNS knows it",
        Fault::ResolveTimeout => "check this server's DNS settings, or try again later",
        Fault::AddressDenied | Fault::BadUrl => return None,
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
        Fault::Tls => {
            "check that the port speaks TLS (https), that TLS 1.2 or 1.3 is enabled there, and its certificate"
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

/// The `curl` line that sends the same request, to be pasted into a POSIX shell. The values of the
/// subscription's own headers are left out: each is taken from an environment variable named like
/// the header (`X-Api-Key` from `$X_API_KEY`).
pub fn curl(request: &Outgoing) -> String {
    // --globoff: brackets in the URL mean themselves. Accept and Expect are curl's own: left out.
    let mut line = "curl --globoff --include --header 'Accept:' --header 'Expect:'".to_owned();
    for (name, value) in &request.headers {
        line.push_str(&format!(" --header {}", quoted(&format!("{name}: {value}"))));
    }
    for header in &request.own_headers {
        line.push_str(&format!(" --header {}\": ${{{}}}\"", quoted(&header.name), variable(&header.name)));
    }
    // --data-raw: a body that begins with @ is no file name.
    line.push_str(&format!(" --data-raw {}", quoted(&String::from_utf8_lossy(&request.body))));
    line.push_str(&format!(" {}", quoted(&request.url)));
    line
}

/// `text` as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The environment variable for a header.
fn variable(header: &str) -> String {
    let name = header.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    let name: String = name.collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::subscription::{Format, Header, Hidden, Layout};

    fn request(body: &str) -> Outgoing {
        Outgoing {
            url: "http://[::1]:8080/it's?a[]=1&b=2".to_owned(),
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            own_headers: vec![Header { name: "X-Api-Key".to_owned(), value: Hidden::new("geheim") }],
            client_certificate: None,
            body: body.as_bytes().to_vec(),
            format: Format::Json,
            layout: Layout::Envelope,
        }
    }

    fn findings(outcome: Outcome, phases: Vec<(Phase, Duration)>) -> Findings {
        read(Report { outcome, duration: Duration::ZERO, phases, address: None }, request("{}"))
    }

    fn answered(status: u16, headers: &[(&str, &str)]) -> Findings {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        findings(Outcome::Answered(Answer { status, headers, body: b"body".to_vec(), truncated: false }), Vec::new())
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
            let found = answered(status, &[]);
            assert!(found.message.contains(words), "{status}: {}", found.message);
            assert_eq!((found.response, found.working), (Some(status), (200..300).contains(&status)));
            assert_eq!(found.message.starts_with("URL working"), found.working, "{status}");
            assert_eq!((found.error(), found.phase()), (None, None));
        }
        let moved = answered(301, &[("location", "https://new.example/hook")]);
        assert!(
            moved.message.ends_with("enter the target URL directly: https://new.example/hook"),
            "{}",
            moved.message
        );
    }

    #[test]
    fn every_fault_says_what_to_do() {
        for fault in Fault::ALL {
            let phases = vec![(Phase::Resolve, Duration::from_millis(1)), (Phase::Connect, Duration::from_millis(20))];
            let outcome = Outcome::Failed { fault: *fault, detail: "cannot be so".to_owned() };
            let found = findings(outcome, phases);
            assert!(
                found.message.starts_with("URL not ") && found.message.contains("cannot be so"),
                "{}",
                found.message
            );
            assert_eq!(found.message.contains("phase `connect`, after 20 ms"), is_timeout(*fault), "{}", found.message);
            assert_eq!((found.error(), found.phase()), (Some(*fault), Some(Phase::Connect)));
            assert_eq!((found.response, found.working, found.response_body()), (None, false, None));
        }
    }

    #[test]
    fn the_body_is_shown_as_text_and_not_too_much_of_it() {
        let shown = |body: Vec<u8>, truncated| {
            let answer = Answer { status: 200, headers: Vec::new(), body, truncated };
            findings(Outcome::Answered(answer), Vec::new()).response_body().unwrap()
        };
        assert_eq!(shown(b"fine".to_vec(), false), "fine");
        assert_eq!(shown(b"fi\xff".to_vec(), false), "fi\u{fffd}");
        let long = shown("ä".repeat(EXCERPT).into_bytes(), false);
        assert!(long.ends_with("ä…") && long.len() <= EXCERPT + 3);
        assert_eq!(shown("aä".as_bytes()[..2].to_vec(), true), "a…");
    }

    #[test]
    fn the_curl_line_can_be_pasted_and_shows_no_value() {
        let line = curl(&request("@it's\n"));
        assert!(!line.contains("geheim"));
        // The shell itself says what the words are.
        let script = format!("curl() {{ printf '<%s>' \"$@\"; }}; {line}");
        let output = std::process::Command::new("sh").args(["-c", &script]).env("X_API_KEY", "k1").output().unwrap();
        let words = String::from_utf8(output.stdout).unwrap();
        for word in [
            "<--header><Content-Type: application/json>",
            "<--header><X-Api-Key: k1>",
            "<--data-raw><@it's\n>",
            "<http://[::1]:8080/it's?a[]=1&b=2>",
        ] {
            assert!(words.contains(word), "{words}");
        }
        assert_eq!(variable("1-x"), "_1_X");
    }
}
