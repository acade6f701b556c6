//! The process's own messages, on standard error: short lines for people, or JSON for machines.
//!
//! Knows nothing about the content. A message may contain text from receivers and producers, so control characters
//! for terminals or the journal are escaped ([`crate::core::visible`]).
//!
//! # In the journal
//!
//! If standard error is systemd's journal, each line of either format begins with its priority, `<4>` (sd-daemon(3)).
//! journald strips that and stores it as `PRIORITY=`, so that `journalctl -p warning` works and a line of JSON stays
//! JSON. So `SyslogLevelPrefix=` of the unit must stay `yes`, the default (systemd.exec(5)). Anywhere else there is
//! no prefix.

use std::fmt::{self, Write};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::panic::{self, PanicHookInfo};
use std::time::SystemTime;

use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{self, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;

use crate::config::{Diagnostics, Level as Configured, LogFormat};
use crate::core::time::Timestamp;
use crate::core::visible::{self, Style};

/// Sends the process's messages to standard error, including panics of its threads.
///
/// # Errors
/// It was called before; once per process.
pub fn start(diagnostics: Diagnostics) -> Result<Messages, AlreadyStarted> {
    let (subscriber, messages) = subscriber(diagnostics, stderr_is_journal(), io::stderr);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| AlreadyStarted)?;
    panic::set_hook(Box::new(report_panic));
    Ok(messages)
}

/// Handle to the process's messages.
pub struct Messages {
    filter: Box<dyn Fn(LevelFilter) -> Result<(), reload::Error>>,
}

impl Messages {
    /// Sets the minimum level.
    ///
    /// # Errors
    /// The subscriber is gone, which is a bug.
    pub fn set_level(&self, level: Configured) -> Result<(), String> {
        (self.filter)(filter(level)).map_err(|error| format!("the level of messages cannot be changed: {error}"))
    }
}

/// [`start`] was called before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlreadyStarted;

impl fmt::Display for AlreadyStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the process's messages were set up before")
    }
}

impl std::error::Error for AlreadyStarted {}

fn subscriber<W>(diagnostics: Diagnostics, journal: bool, writer: W) -> (Box<dyn Subscriber + Send + Sync>, Messages)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // A closed standard error must not panic a thread, which reporting the failure there would do.
    let builder = tracing_subscriber::fmt()
        .with_max_level(Level::TRACE)
        .with_ansi(false)
        .log_internal_errors(false)
        .with_writer(writer);
    let level = filter(diagnostics.level);
    match diagnostics.format {
        LogFormat::Text => {
            let (level, handle) = reload::Layer::new(level);
            let subscriber = builder.event_format(Text { journal }).finish().with(level);
            (Box::new(subscriber), Messages { filter: Box::new(move |level| handle.reload(level)) })
        }
        LogFormat::Json => {
            let (level, handle) = reload::Layer::new(level);
            let line = format::format().json().flatten_event(true).with_current_span(false);
            let subscriber = builder.fmt_fields(JsonFields::new()).event_format(Json { journal, line });
            let subscriber = subscriber.finish().with(level);
            (Box::new(subscriber), Messages { filter: Box::new(move |level| handle.reload(level)) })
        }
    }
}

fn filter(level: Configured) -> LevelFilter {
    LevelFilter::from_level(match level {
        Configured::Error => Level::ERROR,
        Configured::Warn => Level::WARN,
        Configured::Info => Level::INFO,
        Configured::Debug => Level::DEBUG,
        Configured::Trace => Level::TRACE,
    })
}

/// Whether standard error goes directly to the journal: systemd.exec(5), `$JOURNAL_STREAM`.
fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let stderr = std::fs::metadata("/proc/self/fd/2");
    stderr.is_ok_and(|stderr| stream == format!("{}:{}", stderr.dev(), stderr.ino()))
}

/// `2026-11-23T09:30:00.000Z INFO store: message key=value`. In the journal, which has its own timestamps, the line
/// begins with its priority instead (sd-daemon(3)).
struct Text {
    journal: bool,
}

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let level = *event.metadata().level();
        if self.journal {
            write!(line, "<{}>", priority(level))?;
        } else {
            write!(line, "{} ", Timestamp::from(SystemTime::now()))?;
        }
        let module = event.metadata().target().trim_start_matches("hookswitch::");
        write!(line, "{level} {module}: ")?;
        let mut fields = Visible(&mut line);
        context.format_fields(Writer::new(&mut fields), event)?;
        writeln!(line)
    }
}

/// A line of JSON; in the journal after its priority.
struct Json<F> {
    journal: bool,
    line: F,
}

impl<S, N, F> FormatEvent<S, N> for Json<F>
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if self.journal {
            write!(line, "<{}>", priority(*event.metadata().level()))?;
        }
        let mut json = String::new();
        self.line.format_event(context, Writer::new(&mut json), event)?;
        // JSON escapes controls below U+0020; a terminal interprets more.
        visible::write(&mut line, json.trim_end_matches('\n'), Style::Json)?;
        writeln!(line)
    }
}

/// syslog's severity.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// Forwards text, escaped.
struct Visible<W>(W);

impl<W: Write> Write for Visible<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        visible::write(&mut self.0, text, Style::Text)
    }
}

fn report_panic(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let message = text.unwrap_or("no message");
    let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("unnamed");
    tracing::error!(target: "hookswitch::panic", "a bug in hookswitch: thread {name} panicked at {place}: {message}");
    // Flushed, whatever happens to the process.
    let _ = io::stderr().flush();
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The output of `say` with these settings.
    fn output(format: LogFormat, level: Configured, journal: bool, say: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let (subscriber, _) = subscriber(Diagnostics { format, level }, journal, move || writer.clone());
        tracing::subscriber::with_default(subscriber, say);
        String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn text_lines_are_short_and_stamped_unless_journald_does() {
        let say = || tracing::warn!(target: "hookswitch::store", free_bytes = 5, "the disk is low");
        assert_eq!(
            output(LogFormat::Text, Configured::Info, true, say),
            "<4>WARN store: the disk is low free_bytes=5\n"
        );
        let line = output(LogFormat::Text, Configured::Info, false, say);
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(Timestamp::parse(time).is_ok(), "{line}");
        assert_eq!(rest, "WARN store: the disk is low free_bytes=5\n");
    }

    #[test]
    fn foreign_text_neither_ends_a_line_nor_steers_the_terminal() {
        let evil = "a\r\n<0>fake\u{1b}[2J\u{9b}31m\u{202e}z\u{2028}\u{200e}\u{61c}\u{feff}ü";
        let say = || tracing::info!(target: "t", url = %evil, shown = ?evil, "got {evil}");
        let line = output(LogFormat::Text, Configured::Info, true, say);
        assert_eq!(line.matches('\n').count(), 1, "{line:?}");
        assert!(!line.trim_end().chars().any(visible::is_unsafe), "{line:?}");
        assert!(
            line.contains(r"url=a\r\n<0>fake\u{1b}[2J\u{9b}31m\u{202e}z\u{2028}\u{200e}\u{61c}\u{feff}ü"),
            "{line:?}"
        );

        let json = output(LogFormat::Json, Configured::Info, false, say);
        assert_eq!(json.matches('\n').count(), 1, "{json:?}");
        let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(parsed["url"], evil);
        assert_eq!(parsed["level"], "INFO");
        assert!(!json.trim_end_matches('\n').chars().any(visible::is_unsafe), "{json:?}");
        assert!(json.contains('ü'), "{json:?}");
    }

    /// journald's processing of a line (`syslog_parse_priority`): strips the priority, if there is one.
    fn as_the_journal_has_it(line: &str) -> (Option<u8>, &str) {
        let prefixed = line.strip_prefix('<').and_then(|rest| rest.split_once('>'));
        prefixed.map_or((None, line), |(priority, rest)| (priority.parse().ok(), rest))
    }

    #[test]
    fn the_journal_has_the_priority_of_every_line_in_either_format() {
        let say = || {
            tracing::error!("1");
            tracing::warn!("2");
            tracing::info!("3");
            tracing::debug!("4");
        };
        for format in [LogFormat::Text, LogFormat::Json] {
            let output = output(format, Configured::Debug, true, say);
            let lines: Vec<_> = output.lines().map(as_the_journal_has_it).collect();
            assert_eq!(lines.iter().map(|(priority, _)| *priority).collect::<Vec<_>>(), [3, 4, 6, 7].map(Some));
            if format == LogFormat::Json {
                let parsed = lines.iter().map(|(_, line)| serde_json::from_str::<serde_json::Value>(line).unwrap());
                assert_eq!(parsed.map(|line| line["message"].clone()).collect::<Vec<_>>(), ["1", "2", "3", "4"]);
            }
        }
        let elsewhere = output(LogFormat::Json, Configured::Debug, false, say);
        assert!(elsewhere.lines().all(|line| line.starts_with('{')), "{elsewhere}");
    }

    #[test]
    fn messages_below_the_level_are_left_out() {
        let say = || {
            tracing::error!("1");
            tracing::warn!("2");
            tracing::info!("3");
        };
        assert_eq!(output(LogFormat::Text, Configured::Warn, true, say).lines().count(), 2);
        assert_eq!(output(LogFormat::Text, Configured::Error, true, say).lines().count(), 1);
        assert_eq!(output(LogFormat::Text, Configured::Trace, true, say).lines().count(), 3);
    }
}
