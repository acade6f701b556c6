//! Which answers of a receiver count as delivered: a subscription's `success` and `success_body`.
//!
//! Pure: judges an [`Answer`]. What of a body was not kept cannot be judged, and counts as not there.

use serde_json::Value;
use serde_json::value::RawValue;

use super::answer::Answer;
use super::invalid::{Invalid, pointer};
use super::json::{self, Kind};
use super::text::{excerpt, words};

/// Maximum characters of the text or the pointer of a rule.
const TEXT_MOST: usize = 500;
/// Maximum bytes of a number as `equals`.
const NUMBER_MOST: usize = 1_000;

words! {
    /// Which status codes are a success.
    Success {
        /// 200 to 299.
        Ok = "2xx",
        /// 200 to 399: for receivers that answer with a redirect when they are done.
        OkOrRedirect = "2xx_3xx",
    }
}

/// What the answer's body must hold besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SuccessBody {
    /// This text, case included.
    Contains(String),
    /// JSON whose value at this pointer (RFC 6901) equals another.
    Equals {
        /// The pointer.
        json_pointer: String,
        /// The value.
        equals: Value,
    },
}

/// The rule of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuccessRule {
    /// The status codes.
    pub status: Success,
    /// The body, if it decides as well.
    pub body: Option<SuccessBody>,
}

impl Default for SuccessRule {
    fn default() -> Self {
        Self { status: Success::Ok, body: None }
    }
}

impl SuccessRule {
    /// Whether `answer` counts as delivered.
    pub fn accepts(&self, answer: &Answer) -> bool {
        self.accepts_status(answer.status) && self.fault_of_body(answer).is_none()
    }

    /// Whether the status alone counts as a success.
    pub const fn accepts_status(&self, status: u16) -> bool {
        match self.status {
            Success::Ok => status >= 200 && status < 300,
            Success::OkOrRedirect => status >= 200 && status < 400,
        }
    }

    /// What is wrong with the body of an answer whose status is a success, as a part of a sentence that contains
    /// nothing the receiver sent.
    pub fn fault_of_body(&self, answer: &Answer) -> Option<String> {
        if !self.accepts_status(answer.status) {
            return None;
        }
        let body = &answer.body;
        match self.body.as_ref()? {
            SuccessBody::Contains(text) => {
                let found = text.len() <= body.len() && body.windows(text.len()).any(|at| at == text.as_bytes());
                let cut = if answer.truncated { OF_THE_KEPT } else { "" };
                (!found).then(|| format!("its body does not contain `{}`{cut}, as `success_body` asks", excerpt(text)))
            }
            SuccessBody::Equals { json_pointer, equals } => {
                let why = match serde_json::from_slice::<Value>(body) {
                    Err(_) if answer.truncated => "is longer than 8 KiB, and cannot be read as JSON",
                    Err(_) => "is not JSON",
                    Ok(document) => match document.pointer(json_pointer) {
                        Some(value) if same(value, equals) => return None,
                        Some(_) => "has another value there",
                        None => "has nothing there",
                    },
                };
                let (at, wanted) = (excerpt(json_pointer), excerpt(&equals.to_string()));
                Some(format!("its body {why}, where `success_body` asks for {wanted} at `{at}`"))
            }
        }
    }
}

const OF_THE_KEPT: &str = " in its first 8 KiB";

/// Numbers are equal by value: `1` is `1.0`.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        _ => left == right,
    }
}

/// Parses `success_body`: `{"contains"}` or `{"json_pointer", "equals"}`.
///
/// # Errors
/// Every fault with its pointer, relative to the object.
pub fn read_body(raw: &RawValue) -> Result<SuccessBody, Invalid> {
    let members = json::members(raw).map_err(|fault| Invalid::one("", fault))?;
    let mut invalid = Invalid::default();
    if let Some(name) = json::first_duplicate(&members) {
        invalid.add(pointer(name), "is given twice");
    }
    let (mut contains, mut json_pointer, mut equals) = (None, None, None);
    for (name, value) in &members {
        match name.as_ref() {
            "contains" => contains = invalid.check("/contains", json::line(value, TEXT_MOST)),
            "json_pointer" => json_pointer = invalid.check("/json_pointer", read_pointer(value)),
            "equals" => equals = invalid.check("/equals", read_equals(value)),
            _ => invalid.add(pointer(name), "is not a member here; there are: contains, or json_pointer and equals"),
        }
    }
    let has = |wanted: &str| members.iter().any(|(name, _)| name == wanted);
    match (has("contains"), has("json_pointer"), has("equals")) {
        (true, false, false) | (false, true, true) => {}
        _ => invalid.add("", "must have either `contains`, or `json_pointer` and `equals`"),
    }
    let rule = contains.map(SuccessBody::Contains);
    let equal = json_pointer.zip(equals).map(|(json_pointer, equals)| SuccessBody::Equals { json_pointer, equals });
    invalid.or(rule.or(equal))
}

fn read_pointer(value: &RawValue) -> Result<String, String> {
    let text = json::string(value)?;
    if !(text.is_empty() || text.starts_with('/')) || text.chars().count() > TEXT_MOST {
        return Err(format!("must be a JSON pointer of at most {TEXT_MOST} characters, such as /ok or /result/code"));
    }
    Ok(text)
}

fn read_equals(value: &RawValue) -> Result<Value, String> {
    let wanted = || {
        format!(
            "must be a string of at most {TEXT_MOST} characters, a number of at most {NUMBER_MOST} digits, true, false or null"
        )
    };
    match Kind::of(value) {
        Kind::List | Kind::Object => return Err(wanted()),
        Kind::Number if value.get().len() > NUMBER_MOST => return Err(wanted()),
        _ => {}
    }
    let value: Value = serde_json::from_str(value.get()).map_err(|_| "cannot be read".to_owned())?;
    let is_long = value.as_str().is_some_and(|text| text.chars().count() > TEXT_MOST);
    if is_long { Err(wanted()) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, headers: Vec::new(), body: body.as_bytes().to_vec(), truncated: false }
    }

    fn rule(status: Success, body: &str) -> SuccessRule {
        SuccessRule { status, body: Some(read_body(json::parse(body).unwrap()).unwrap()) }
    }

    #[test]
    fn redirects_count_only_if_asked_for() {
        for (status, ok, wide) in
            [(199, false, false), (200, true, true), (299, true, true), (302, false, true), (400, false, false)]
        {
            let accepts = |rule| SuccessRule { status: rule, ..SuccessRule::default() }.accepts(&answer(status, "x"));
            assert_eq!((accepts(Success::Ok), accepts(Success::OkOrRedirect)), (ok, wide), "{status}");
        }
    }

    #[test]
    fn the_body_decides_where_a_rule_says_so() {
        let contains = rule(Success::Ok, r#"{"contains":"ok"}"#);
        for (body, good) in [("ok", true), ("it is ok.", true), ("OK", false), ("", false), ("o", false)] {
            assert_eq!(contains.accepts(&answer(200, body)), good, "{body}");
        }
        assert!(!contains.accepts(&answer(500, "ok")) && contains.fault_of_body(&answer(500, "")).is_none());
        let cases = [
            (r#"{"json_pointer":"/ok","equals":true}"#, r#"{"ok":true}"#, true),
            (r#"{"json_pointer":"/ok","equals":true}"#, r#"{"ok":false,"error":"no"}"#, false),
            (r#"{"json_pointer":"/ok","equals":true}"#, "{}", false),
            (r#"{"json_pointer":"/ok","equals":true}"#, "<html>ok", false),
            (r#"{"json_pointer":"/a/0/n","equals":1}"#, r#"{"a":[{"n":1.0}]}"#, true),
            (r#"{"json_pointer":"","equals":"1"}"#, r#""1""#, true),
            (r#"{"json_pointer":"/n","equals":null}"#, r#"{"n":null}"#, true),
            (r#"{"json_pointer":"/n","equals":null}"#, "{}", false),
        ];
        for (text, body, good) in cases {
            let found = rule(Success::Ok, text).fault_of_body(&answer(200, body));
            assert_eq!(found.is_none(), good, "{text} {body} {found:?}");
            assert!(found.is_none_or(|why| !why.contains("html") && why.contains("success_body")));
        }
    }

    #[test]
    fn what_was_cut_off_is_named() {
        let cut = Answer { truncated: true, ..answer(200, r#"{"a":"#) };
        let found = |text| rule(Success::Ok, text).fault_of_body(&cut).unwrap();
        assert!(found(r#"{"contains":"ok"}"#).contains("first 8 KiB"));
        assert!(found(r#"{"json_pointer":"/a","equals":1}"#).contains("longer than 8 KiB"));
    }

    #[test]
    fn rules_that_are_none_are_refused_with_their_pointer() {
        for (text, at) in [
            ("{}", ""),
            ("[]", ""),
            (r#"{"contains":"a","json_pointer":"/x","equals":1}"#, ""),
            (r#"{"json_pointer":"/x"}"#, ""),
            (r#"{"json_pointer":"x","equals":1}"#, "/json_pointer"),
            (r#"{"json_pointer":"/x","equals":{}}"#, "/equals"),
            (&format!(r#"{{"json_pointer":"/x","equals":"{}"}}"#, "é".repeat(501)), "/equals"),
            (r#"{"contains":""}"#, "/contains"),
            (r#"{"contains":7}"#, "/contains"),
            (r#"{"contains":"a","equal":7}"#, "/equal"),
        ] {
            let invalid = read_body(json::parse(text).unwrap()).unwrap_err();
            assert_eq!(invalid.errors[0].pointer, at, "{text}");
        }
    }
}
