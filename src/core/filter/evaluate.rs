//! Evaluates an expression: each part once, so that the cost is bounded by the expression and the event.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::facts::Facts;
use super::parse::{Arithmetic, Check, Comparison, Constant, Function, Member, Node};
use super::value::{Value, number};
use crate::core::json;

/// Maximum bytes of text that an expression puts together.
const TEXT_MOST: usize = 64 * 1024;

/// The value of a part of an expression.
///
/// # Errors
/// Why it has none; shows nothing of the event.
pub(super) fn value<'v>(node: &'v Node, facts: &'v Facts<'_>) -> Result<Value<'v>, String> {
    Ok(match node {
        Node::Constant(constant) => match constant {
            Constant::Null => Value::Null,
            Constant::Bool(value) => Value::Bool(*value),
            Constant::Whole(number) => Value::Whole(*number),
            Constant::Float(number) => Value::Float(*number),
            Constant::Text(text) => Value::Text(text.as_str().into()),
        },
        Node::Member(member) => self::member(*member, facts),
        Node::Attribute(of, name) => value(of, facts)?.member(name),
        Node::Item(of, index) => match value(index, facts)? {
            Value::Text(name) => value(of, facts)?.member(&name),
            Value::Whole(index) => value(of, facts)?.item(index),
            _ => Value::Missing,
        },
        Node::List(items) => Value::List(items.iter().map(|item| value(item, facts)).collect::<Result<_, _>>()?),
        Node::Not(of) => Value::Bool(!value(of, facts)?.is_true()),
        Node::Negative(of) => match value(of, facts)? {
            Value::Whole(number) => Value::Whole(number.checked_neg().ok_or("a number is too large")?),
            Value::Float(number) => Value::Float(-number),
            other => return Err(format!("`-` is for numbers, and there is {}", other.kind())),
        },
        Node::And(left, right) => match value(left, facts)? {
            left if left.is_true() => value(right, facts)?,
            left => left,
        },
        Node::Or(left, right) => match value(left, facts)? {
            left if left.is_true() => left,
            _ => value(right, facts)?,
        },
        Node::Compare(first, others) => {
            let mut left = value(first, facts)?;
            for (comparison, right) in others {
                let right = value(right, facts)?;
                if !compare(*comparison, &left, &right)? {
                    return Ok(Value::Bool(false));
                }
                left = right;
            }
            Value::Bool(true)
        }
        Node::Arithmetic(operation, left, right) => {
            arithmetic(*operation, &value(left, facts)?, &value(right, facts)?)?
        }
        Node::If(test, then, otherwise) => match (value(test, facts)?.is_true(), otherwise) {
            (true, _) => value(then, facts)?,
            (false, Some(otherwise)) => value(otherwise, facts)?,
            (false, None) => Value::Missing,
        },
        Node::Call(function, of, argument) => {
            let of = value(of, facts)?;
            let argument = argument.as_ref().map(|argument| value(argument, facts)).transpose()?;
            call(*function, of, argument)?
        }
        Node::Check(check, of, argument) => {
            let of = value(of, facts)?;
            let argument = argument.as_ref().map(|argument| value(argument, facts)).transpose()?;
            Value::Bool(self::check(*check, &of, argument.as_ref()))
        }
    })
}

fn member<'v>(member: Member, facts: &'v Facts<'_>) -> Value<'v> {
    let event = facts.event;
    let text = |text: &'v str| Value::Text(text.into());
    match member {
        Member::Id => text(facts.id.get_or_init(|| event.id.to_string())),
        Member::Type => text(event.event_type.as_str()),
        Member::Timestamp => text(facts.timestamp.get_or_init(|| event.occurred_at.to_string())),
        Member::Company => text(event.company.as_str()),
        Member::Domain => event.domain.as_ref().map_or(Value::Null, |domain| text(domain.as_str())),
        Member::Source => text(event.source.as_str()),
        Member::Data => Value::Data(facts.data()),
    }
}

/// What is missing is neither less nor greater than anything, and in nothing.
fn compare(comparison: Comparison, left: &Value<'_>, right: &Value<'_>) -> Result<bool, String> {
    let ordered = |wanted: fn(Ordering) -> bool| {
        if left.is_nothing() || right.is_nothing() {
            return Ok(false);
        }
        left.order(right).map(wanted).ok_or_else(|| {
            let (left, right) = (left.kind(), right.kind());
            format!("it compares {left} with {right}: make both numbers with `|int`, or both text with `|string`")
        })
    };
    match comparison {
        Comparison::Equal => Ok(left.equals(right)),
        Comparison::Unequal => Ok(!left.equals(right)),
        Comparison::Less => ordered(Ordering::is_lt),
        Comparison::LessOrEqual => ordered(Ordering::is_le),
        Comparison::Greater => ordered(Ordering::is_gt),
        Comparison::GreaterOrEqual => ordered(Ordering::is_ge),
        Comparison::In => contains(right, left),
        Comparison::NotIn => contains(right, left).map(|is_in| !is_in),
    }
}

fn contains(whole: &Value<'_>, part: &Value<'_>) -> Result<bool, String> {
    match (whole, part) {
        (Value::Missing | Value::Null, _) | (_, Value::Missing) => Ok(false),
        (Value::Text(_), Value::Null) => Ok(false),
        (Value::List(items), part) => Ok(items.iter().any(|item| item.equals(part))),
        (Value::Text(whole), Value::Text(part)) => Ok(whole.contains(part.as_ref())),
        (Value::Data(_), Value::Text(name)) => Ok(!matches!(whole.member(name), Value::Missing)),
        (Value::Document(raw), part) => match (json::items(raw), part) {
            (Ok(items), part) => Ok(items.iter().any(|item| Value::of(item).equals(part))),
            (Err(_), Value::Text(name)) => Ok(!matches!(whole.member(name), Value::Missing)),
            (Err(_), _) => Ok(false),
        },
        (whole, part) => Err(format!("it looks for {} in {}", part.kind(), whole.kind())),
    }
}

fn arithmetic<'v>(operation: Arithmetic, left: &Value<'v>, right: &Value<'v>) -> Result<Value<'v>, String> {
    if operation == Arithmetic::Concatenate {
        let joined = format!("{}{}", left.text(), right.text());
        return if joined.len() > TEXT_MOST {
            Err("it makes a text that is too long".to_owned())
        } else {
            Ok(Value::Text(joined.into()))
        };
    }
    let (Some(a), Some(b)) = (left.float(), right.float()) else {
        return Err(format!("it computes with {} and {}: make both numbers with `|int`", left.kind(), right.kind()));
    };
    let divides = matches!(operation, Arithmetic::Divide | Arithmetic::DivideWhole | Arithmetic::Remainder);
    if divides && b == 0.0 {
        return Err("it divides by zero".to_owned());
    }
    if let (Value::Whole(a), Value::Whole(b)) = (left, right) {
        let whole = match operation {
            Arithmetic::Add => a.checked_add(*b),
            Arithmetic::Subtract => a.checked_sub(*b),
            Arithmetic::Multiply => a.checked_mul(*b),
            Arithmetic::DivideWhole => a.checked_div_euclid(*b),
            Arithmetic::Remainder => a.checked_rem_euclid(*b),
            Arithmetic::Power => u32::try_from(*b).ok().and_then(|b| a.checked_pow(b)),
            Arithmetic::Divide | Arithmetic::Concatenate => None,
        };
        if let Some(whole) = whole {
            return Ok(Value::Whole(whole));
        }
    }
    let number = match operation {
        Arithmetic::Add => a + b,
        Arithmetic::Subtract => a - b,
        Arithmetic::Multiply => a * b,
        Arithmetic::Divide => a / b,
        Arithmetic::DivideWhole => a.div_euclid(b),
        Arithmetic::Remainder => a.rem_euclid(b),
        Arithmetic::Power => a.powf(b),
        Arithmetic::Concatenate => f64::NAN,
    };
    if number.is_finite() { Ok(Value::Float(number)) } else { Err("it computes a number that is too large".to_owned()) }
}

fn call<'v>(function: Function, of: Value<'v>, argument: Option<Value<'v>>) -> Result<Value<'v>, String> {
    let changed = |change: fn(&str) -> String| Ok(Value::Text(Cow::Owned(change(&of.text()))));
    let other = |found: Option<Value<'v>>, what: &str| {
        let why = || format!("`|{what}` has {} in front of it, which is none", of.kind());
        found.or_else(|| argument.clone()).ok_or_else(why)
    };
    match function {
        Function::Default => Ok(if of.is_nothing() { argument.unwrap_or(Value::Missing) } else { of }),
        Function::Int | Function::Float if of.is_nothing() => Ok(argument.unwrap_or(of)),
        Function::Int => other(as_number(&of).and_then(whole), "int"),
        Function::Float => other(as_number(&of).and_then(|number| number.float()).map(Value::Float), "float"),
        Function::Abs => match of {
            Value::Whole(number) => Ok(Value::Whole(number.saturating_abs())),
            Value::Float(number) => Ok(Value::Float(number.abs())),
            other if other.is_nothing() => Ok(other),
            other => Err(format!("`|abs` is for numbers, and there is {}", other.kind())),
        },
        Function::First => Ok(of.item(0)),
        Function::Last => Ok(of.item(-1)),
        Function::Length => Ok(Value::Whole(of.length().unwrap_or(0) as i128)),
        Function::Lower => changed(str::to_lowercase),
        Function::Upper => changed(str::to_uppercase),
        Function::Trim => changed(|text| text.trim().to_owned()),
        Function::Text => Ok(Value::Text(of.text())),
    }
}

fn as_number<'v>(of: &Value<'v>) -> Option<Value<'v>> {
    match of {
        Value::Whole(_) | Value::Float(_) => Some(of.clone()),
        Value::Bool(value) => Some(Value::Whole(i128::from(*value))),
        Value::Text(text) => number(text.trim()),
        _ => None,
    }
}

fn whole(number: Value<'_>) -> Option<Value<'_>> {
    match number {
        Value::Float(number) if number.abs() < 1e30 => Some(Value::Whole(number as i128)),
        Value::Float(_) => None,
        whole => Some(whole),
    }
}

fn check(check: Check, of: &Value<'_>, argument: Option<&Value<'_>>) -> bool {
    let text = |value: Option<&Value<'_>>| value.map(|value| value.text().into_owned()).unwrap_or_default();
    match check {
        Check::Defined => !matches!(of, Value::Missing),
        Check::Undefined => matches!(of, Value::Missing),
        Check::None => matches!(of, Value::Null),
        Check::Number => of.float().is_some(),
        Check::Text => matches!(of, Value::Text(_)),
        Check::StartingWith => !of.is_nothing() && of.text().starts_with(&text(argument)),
        Check::EndingWith => !of.is_nothing() && of.text().ends_with(&text(argument)),
    }
}
