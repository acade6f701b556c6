//! The filters of templates and expressions beyond the engine's own: what a message about a call needs.
//!
//! What is missing, or null, is passed on as empty text rather than as a fault: events need not have every member.

use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::output::{json_text, text};
use super::values::Exact;
use crate::core::phone;
use crate::core::text::excerpt;

/// Adds them to an environment.
pub(super) fn add_to(environment: &mut Environment<'static>) {
    environment.add_filter("phone", phone_number);
    environment.add_filter("time", time);
    environment.add_filter("duration", duration);
    environment.add_filter("default", default);
    environment.add_filter("d", default);
    environment.add_filter("tojson", tojson);
    environment.add_filter("string", string);
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment.add_filter("truncate", truncate);
    environment.add_filter("conversation_text", conversation_text);
    environment.add_filter("mrkdwn", mrkdwn);
    environment.add_test("time", |value: &Value| value.as_str().is_some_and(|text| read_time(text).is_some()));
    environment.add_test("timezone", |name: &Value| name.as_str().is_some_and(|name| TimeZone::get(name).is_ok()));
}

fn is_nothing(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Undefined | ValueKind::None)
}

fn fault(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, detail.into())
}

/// A phone number as it is written in its country.
fn phone_number(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    Ok(phone::national(&text(state, value)?))
}

/// A time in a zone: `time(zone="UTC", format="%Y-%m-%d %H:%M")`, with the conversions of strftime.
#[expect(clippy::needless_pass_by_value, reason = "the engine hands its arguments over so")]
fn time(
    state: &State<'_, '_>,
    value: &Value,
    zone: Option<&str>,
    format: Option<&str>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let zone = zone.map_or_else(|| kwargs.get::<Option<&str>>("zone"), |zone| Ok(Some(zone)))?;
    let format = format.map_or_else(|| kwargs.get::<Option<&str>>("format"), |format| Ok(Some(format)))?;
    kwargs.assert_all_used()?;
    if is_nothing(value) {
        return Ok(String::new());
    }
    let text = text(state, value)?;
    let time = read_time(&text).ok_or_else(|| {
        fault("`time` takes a time such as 2026-11-23T09:30:00Z, or seconds since 1970, and the value is neither")
    })?;
    let zone = zone.filter(|zone| !zone.is_empty()).unwrap_or("UTC");
    let known = TimeZone::get(zone);
    let known = known.map_err(|_| fault(format!("{} is no time zone, as Europe/Berlin is", named(state, zone))))?;
    let wanted = format.unwrap_or("%Y-%m-%d %H:%M");
    let written = strtime::format(wanted, &time.to_zoned_datetime(known));
    let written =
        written.map_err(|_| fault(format!("{} is no format for a time, as %H:%M is", named(state, wanted))))?;
    state.consume_fuel(written.len() as u64 / 64)?;
    Ok(written)
}

fn read_time(text: &str) -> Option<jiff::Timestamp> {
    if let Ok(seconds) = text.parse::<i64>() {
        // Later than the year 5138 it is milliseconds.
        let millis = if seconds.abs() < 100_000_000_000 { seconds.checked_mul(1000)? } else { seconds };
        return jiff::Timestamp::from_millisecond(millis).ok();
    }
    let without_zone = || text.parse::<jiff::civil::DateTime>().ok()?.to_zoned_datetime(TimeZone::UTC).ok();
    text.parse().ok().or_else(|| without_zone().map(|zoned| zoned.timestamp()))
}

/// An argument for a fault: only what the template itself says is shown, and nothing of the event.
fn named(state: &State<'_, '_>, argument: &str) -> String {
    let template = state.env().get_template(state.name());
    if template.is_ok_and(|template| template.source().contains(argument)) {
        format!("`{}`", excerpt(argument))
    } else {
        "what it was given".to_owned()
    }
}

/// Seconds as people say them: `1 h 2 min 5 s`.
fn duration(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    if is_nothing(value) {
        return Ok(String::new());
    }
    let seconds = text(state, value)?.trim().parse::<f64>().ok().filter(|seconds| (0.0..1e12).contains(seconds));
    let seconds = seconds.ok_or_else(|| fault("`duration` takes a number of seconds, and the value is none"))?;
    let whole = seconds as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    Ok(match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, _) => format!("{minutes} min {seconds} s"),
        _ => format!("{hours} h {minutes} min {seconds} s"),
    })
}

/// The value, or another one if it is missing or null (or empty, with `true` as the second argument).
fn default(value: Value, other: Option<Value>, empty_too: Option<bool>) -> Value {
    let use_other = is_nothing(&value) || (empty_too == Some(true) && !value.is_true());
    if use_other { other.unwrap_or_else(|| Value::from("")) } else { value }
}

/// A value as JSON text, with the digits of its numbers.
fn tojson(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    let written = json_text(state, value)?;
    state.consume_fuel(written.len() as u64 / 16)?;
    Ok(Value::from_safe_string(written))
}

/// A value as text: lists and objects as JSON, nothing for what is missing.
fn string(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    if value.kind() == ValueKind::String {
        return Ok(value.clone());
    }
    text(state, value).map(Value::from)
}

fn with_default<T: Into<Value>>(read: Option<T>, other: Option<Value>, what: &str) -> Result<Value, Error> {
    read.map(Into::into).or(other).ok_or_else(|| fault(format!("the value is not {what}")))
}

/// A whole number; 0, or `default`, for what is missing.
fn int(value: &Value, default: Option<Value>) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Ok(default.unwrap_or_else(|| Value::from(0))),
        ValueKind::Bool => Ok(Value::from(i64::from(value.is_true()))),
        ValueKind::Number if value.is_integer() => Ok(value.clone()),
        _ => {
            let number = as_number(value).filter(|number| number.abs() < 1e18);
            let exact = value.as_str().and_then(|text| text.trim().parse::<i64>().ok());
            with_default(exact.or(number.map(|number| number as i64)), default, "a whole number")
        }
    }
}

/// A number; 0, or `default`, for what is missing.
fn float(value: &Value, default: Option<Value>) -> Result<Value, Error> {
    if is_nothing(value) {
        return Ok(default.unwrap_or_else(|| Value::from(0.0)));
    }
    with_default(as_number(value), default, "a number")
}

fn as_number(value: &Value) -> Option<f64> {
    let number = match value.kind() {
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        ValueKind::String => value.as_str()?.trim().parse().ok(),
        _ => value.downcast_object_ref::<Exact>()?.0.parse().ok(),
    };
    number.filter(|number: &f64| number.is_finite())
}

/// Text of at most `length` characters, with `end` where it was cut.
#[expect(clippy::needless_pass_by_value, reason = "the engine hands its arguments over so")]
fn truncate(
    state: &State<'_, '_>,
    value: &Value,
    length: Option<usize>,
    end: Option<&str>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let length = length.map_or_else(|| kwargs.get::<Option<usize>>("length"), |length| Ok(Some(length)))?;
    let end = end.map_or_else(|| kwargs.get::<Option<&str>>("end"), |end| Ok(Some(end)))?;
    kwargs.assert_all_used()?;
    let (text, length, end) = (text(state, value)?, length.unwrap_or(255), end.unwrap_or("…"));
    if text.chars().nth(length).is_none() {
        return Ok(text);
    }
    let kept = length.saturating_sub(end.chars().count());
    Ok(text.chars().take(kept).chain(end.chars()).take(length).collect())
}

/// An SMS conversation, a line for each message: `conversation_text(lead="Lead", team="Team")`.
#[expect(clippy::needless_pass_by_value, reason = "the engine hands its arguments over so")]
fn conversation_text(state: &State<'_, '_>, value: &Value, kwargs: Kwargs) -> Result<String, Error> {
    let lead = kwargs.get::<Option<&str>>("lead")?.unwrap_or("Lead");
    let team = kwargs.get::<Option<&str>>("team")?.unwrap_or("Team");
    kwargs.assert_all_used()?;
    if is_nothing(value) {
        return Ok(String::new());
    }
    let mut lines = Vec::new();
    let messages = value.try_iter().map_err(|_| fault("`conversation_text` takes the list `data.conversation`"))?;
    for message in messages.checked() {
        let message = message?;
        let part = |name: &str| message.get_attr(name).unwrap_or_default();
        let who = if part("direction").as_str() == Some("inbound") { lead } else { team };
        let body = text(state, &part("body"))?;
        state.consume_fuel(1 + body.len() as u64 / 64)?;
        lines.push(format!("{who}: {body}"));
    }
    Ok(lines.join("\n"))
}

/// Text for Slack and Google Chat: the three characters that begin a link, a mention or an entity there
/// (docs.slack.dev, 'Formatting message text', 'Escaping text').
fn mrkdwn(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    Ok(text(state, value)?.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"))
}
