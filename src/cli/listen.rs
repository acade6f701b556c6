//! `listen`: a receiver for trying things, which prints what it receives.

use std::collections::{HashSet, VecDeque};
use std::fmt::Write as _;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, SystemTime};

use clap::Args;

use super::exit::Failure;
use super::receiver::{Answer, Message, Receiver, delivery};
use super::text::{pretty, safe};
use crate::core::json;
use crate::core::subscription::Secret;
use crate::core::time::{Timestamp, parse_duration};

/// Maximum webhook ids remembered for recognising repeats.
const IDS_MOST: usize = 100_000;
/// Maximum bytes printed of a body.
const BODY_MOST: usize = 256 * 1024;
/// Maximum printed deliveries queued for a slow terminal before senders wait.
const LINES_MOST: usize = 256;

/// Receive webhooks and print them
#[derive(Debug, Args)]
#[command(after_help = "\
Prints each request: when it came, its event type, its attempt, whether its
signature holds, and its body. A webhook-id that came before is marked 'repeat'.

Examples:
  hookswitch listen --secret \"$(hookswitch subscription secret sub_01…)\"
  hookswitch listen --port 9000 --status 503      # see how it is tried again
  hookswitch listen --delay 20s                   # see what a slow one does

The daemon delivers to this machine only if it was started with
--allow 127.0.0.0/8.")]
pub(super) struct Listen {
    /// The port; 0 for any free one
    #[arg(long, default_value_t = 8080)]
    port: u16,

    /// The address to listen on
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    address: IpAddr,

    /// The subscription's secret, to check signatures
    #[arg(long, value_name = "whsec_…")]
    secret: Option<String>,

    /// The status of every answer, 200 to 599
    #[arg(long, value_name = "CODE", default_value_t = 200)]
    #[arg(value_parser = clap::value_parser!(u16).range(200..=599))]
    status: u16,

    /// Wait before each answer, e.g. 3s
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_duration)]
    delay: Duration,
}

impl Listen {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let secret = self.secret.as_deref().map(Secret::parse).transpose();
        let secret = secret.map_err(|fault| Failure::usage(format!("the value of --secret {fault}")))?;
        let (lines, printed) = mpsc::sync_channel(LINES_MOST);
        let seen = Mutex::new(Seen::default());
        let answer = Answer { status: self.status, delay: self.delay };
        let handler = move |message: &Message| {
            let repeat = seen.lock().is_ok_and(|mut seen| seen.repeats(message));
            // If the printer is gone, the process is ending.
            drop(lines.send(describe(message, secret.as_ref(), repeat, answer.status, SystemTime::now())));
            answer
        };
        let address = SocketAddr::new(self.address, self.port);
        let receiver = Receiver::start(address, handler)
            .map_err(|error| Failure::new(format!("cannot listen on {address}: {error}")))?;
        writeln!(out, "listening on http://{}", receiver.address())?;
        out.flush()?;
        for text in printed {
            writeln!(out, "{text}")?;
            out.flush()?;
        }
        Ok(())
    }
}

/// Recently seen webhook ids.
#[derive(Default)]
struct Seen {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Seen {
    /// Whether the webhook id of `message` was seen before; records it.
    fn repeats(&mut self, message: &Message) -> bool {
        let Some(id) = delivery::header(message, "webhook-id") else { return false };
        if !self.ids.insert(id.to_owned()) {
            return true;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > IDS_MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        false
    }
}

/// The printed form of a request, without a final line feed.
fn describe(message: &Message, secret: Option<&Secret>, repeat: bool, status: u16, now: SystemTime) -> String {
    let event_type = delivery::event_type(message).unwrap_or_else(|| "(no event type)".to_owned());
    let attempt = delivery::attempt(message).map_or_else(String::new, |attempt| format!("  attempt {attempt}"));
    let repeat = if repeat { "  repeat" } else { "" };
    let signature = delivery::signature(message, secret, now).as_str();
    let id = delivery::header(message, "webhook-id").unwrap_or("(none)");
    let mut text = format!("{}  {}{attempt}{repeat}\n", Timestamp::from(now), safe(&event_type));
    // Writing to a String does not fail.
    let _ = writeln!(text, "  webhook-id {}  {signature}", safe(id));
    let _ = writeln!(text, "  {} {}  answered {status}", message.method(), safe(&message.uri().to_string()));
    for line in body_lines(message) {
        let _ = writeln!(text, "    {line}");
    }
    text
}

/// The body for a terminal: JSON indented, a form as `key = value`, anything else as text.
fn body_lines(message: &Message) -> Vec<String> {
    let body = message.body();
    if body.is_empty() {
        return vec!["(no body)".to_owned()];
    }
    if body.len() > BODY_MOST {
        let beginning = safe(&String::from_utf8_lossy(&body[..BODY_MOST]));
        return vec![beginning, format!("… of {} bytes", body.len())];
    }
    if delivery::is_form(message) {
        return delivery::form(body).map(|(key, value)| format!("{} = {}", safe(&key), safe(&value))).collect();
    }
    let text = String::from_utf8_lossy(body);
    match json::parse(&text) {
        Ok(raw) => pretty(raw).lines().map(str::to_owned).collect(),
        Err(_) => text.lines().map(safe).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::receiver;
    use std::time::UNIX_EPOCH;

    fn message(content_type: &str, body: &str) -> Message {
        let headers = [("webhook-id", "evt_1"), ("hookswitch-attempt", "2"), ("content-type", content_type)];
        receiver::message(&headers, body)
    }

    fn described(content_type: &str, body: &str) -> String {
        describe(&message(content_type, body), None, true, 503, UNIX_EPOCH)
    }

    #[test]
    fn json_is_printed_with_key_members_first() {
        let wanted = "1970-01-01T00:00:00.000Z  call.missed  attempt 2  repeat\n  webhook-id evt_1  signature not checked\n  POST /hook  answered 503\n    {\n      \"type\": \"call.missed\"\n    }\n";
        assert_eq!(described("application/json", r#"{"type":"call.missed"}"#), wanted);
    }

    #[test]
    fn forms_are_decoded_and_nothing_moves_the_cursor() {
        let text = described("application/x-www-form-urlencoded", "type=call.new&data%5Bname%5D=a%1B%5B2Jb%0Ac");
        assert!(text.contains("  call.new  "), "{text}");
        assert!(text.contains("    data[name] = a\\u{1b}[2Jb\\nc\n"), "{text}");
        let text = described("text/plain", "\u{1b}]0;owned\u{7}");
        assert!(!text.contains('\u{1b}') && text.contains("(no event type)"), "{text}");
    }

    #[test]
    fn repeats_are_marked_and_memory_is_bounded() {
        let mut seen = Seen::default();
        let first = message("application/json", "{}");
        assert!(!seen.repeats(&first));
        assert!(seen.repeats(&first));
        for number in 0..=IDS_MOST {
            let other = receiver::message(&[("webhook-id", &number.to_string())], "");
            assert!(!seen.repeats(&other));
        }
        assert_eq!(seen.ids.len(), IDS_MOST);
        assert!(!seen.repeats(&first), "the oldest is forgotten first");
    }
}
