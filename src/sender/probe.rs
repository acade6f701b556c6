//! The test POST of a URL, and its result.
//!
//! The request is built by core exactly like a delivery's; it is sent over a fresh connection, so that every phase
//! occurs, and the report is described in plain language ([`super::words`]).

use std::time::Duration;

use super::transport::Transport;
use super::words;
pub use super::words::of_entry;
use crate::core::attempt::{Fault, Outcome, Phase, Report};
use crate::core::request::Outgoing;

/// Maximum bytes shown of a response's body.
const EXCERPT: usize = 2 * 1024;

/// The result of a probe: as `POST /v1/test` shows it.
#[derive(Debug)]
pub struct Findings {
    /// The raw report.
    pub report: Report,
    /// The status code, if there was a response.
    pub response: Option<u16>,
    /// Whether a delivery would count as delivered.
    pub working: bool,
    /// The result in plain language, with what to do.
    pub message: String,
    /// The equivalent `curl` line; see [`curl`].
    pub curl: String,
    /// The request sent.
    pub request: Outgoing,
}

impl Findings {
    /// Why there was no response, or why it does not count although its status does.
    pub fn error(&self) -> Option<Fault> {
        match &self.report.outcome {
            Outcome::Answered(answer) => self.request.success.fault_of_body(answer).map(|_| Fault::UnexpectedBody),
            Outcome::Failed { fault, .. } => Some(*fault),
        }
    }

    /// The phase in which it failed; `None` if it never began, or if there was a response.
    pub fn phase(&self) -> Option<Phase> {
        let failed = matches!(self.report.outcome, Outcome::Failed { .. });
        self.report.phases.last().filter(|_| failed).map(|(phase, _)| *phase)
    }

    /// The beginning of the response's body as text, at most 2 KiB.
    pub fn response_body(&self) -> Option<String> {
        let Outcome::Answered(answer) = &self.report.outcome else { return None };
        let shown = &answer.body[..answer.body.len().min(EXCERPT)];
        let mut text = String::from_utf8_lossy(shown).into_owned();
        if answer.truncated || shown.len() < answer.body.len() {
            // The cut may have split a character.
            text.truncate(text.trim_end_matches(char::REPLACEMENT_CHARACTER).len());
            text.push('…');
        }
        Some(text)
    }
}

/// Sends `request` and waits for the response, at most `timeout` (by default the transport's).
pub fn run(transport: &Transport, request: Outgoing, timeout: Option<Duration>) -> Findings {
    let report = transport.post(None, &request, timeout);
    read(report, request)
}

/// Describes the report of an attempt.
fn read(report: Report, request: Outgoing) -> Findings {
    let (response, working) = match &report.outcome {
        Outcome::Answered(answer) => (Some(answer.status), request.success.accepts(answer)),
        Outcome::Failed { .. } => (None, false),
    };
    Findings { response, working, message: words::of_report(&report, &request), curl: curl(&request), report, request }
}

/// The `curl` line that sends the same request, to be pasted into a POSIX shell. Values of the subscription's own
/// headers, and of the one by which it signs in, are left out: each is taken from an environment variable named like the
/// header (`X-Api-Key` from `$X_API_KEY`).
pub fn curl(request: &Outgoing) -> String {
    // --globoff: brackets in the URL are literal. curl's own Expect is suppressed.
    let mut line = "curl --globoff --include --header 'Expect:'".to_owned();
    for (name, value) in &request.headers {
        line.push_str(&format!(" --header {}", quoted(&format!("{name}: {value}"))));
    }
    for name in request.secret_headers() {
        line.push_str(&format!(" --header {}\": ${{{}}}\"", quoted(name), variable(name)));
    }
    // --data-raw: a body that begins with @ is not a file name.
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
    use crate::core::attempt::Answer;
    use crate::core::hidden::Hidden;
    use crate::core::subscription::{Format, Header, Layout, Nested};
    use crate::core::success::SuccessRule;

    fn request(body: &str) -> Outgoing {
        Outgoing {
            url: "http://[::1]:8080/it's?a[]=1&b=2".to_owned(),
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            own_headers: vec![Header { name: "X-Api-Key".to_owned(), value: Hidden::new("geheim") }],
            client_certificate: None,
            body: body.as_bytes().to_vec(),
            format: Format::Json,
            layout: Layout::Envelope,
            nested: Nested::Brackets,
            is_templated: false,
            auth: None,
            success: SuccessRule::default(),
        }
    }

    fn findings(outcome: Outcome, phases: Vec<(Phase, Duration)>) -> Findings {
        let report = Report { outcome, note: None, duration: Duration::ZERO, phases, address: None };
        read(report, request("{}"))
    }

    #[test]
    fn a_status_is_a_response_and_a_fault_is_none() {
        for status in [200, 204, 302, 404, 500, 999] {
            let answer = Answer { status, headers: Vec::new(), body: b"body".to_vec(), truncated: false };
            let found = findings(Outcome::Answered(answer), Vec::new());
            assert_eq!((found.response, found.working), (Some(status), (200..300).contains(&status)));
            assert_eq!((found.error(), found.phase()), (None, None));
        }
        for fault in Fault::ALL {
            let phases = vec![(Phase::Resolve, Duration::from_millis(1)), (Phase::Connect, Duration::from_millis(20))];
            let found = findings(Outcome::Failed { fault: *fault, detail: "cannot be so".to_owned() }, phases);
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
        // The shell itself tells how the words are split.
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
