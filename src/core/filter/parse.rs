//! Reads an expression into a tree of its own, by the parser of templates.

use minijinja::machinery::ast::{BinOpKind, CallArg, CompareOpKind, Expr, UnaryOpKind};
use minijinja::machinery::parse_expr;
use minijinja::value::ValueKind;

use crate::core::template::TemplateFault;
use crate::core::text::excerpt;

/// Maximum bytes of an expression.
pub const FILTER_MOST: usize = 1_000;
/// How deep an expression may be nested.
const DEPTH_MOST: usize = 60;

/// The members of an envelope.
#[derive(Debug, Clone, Copy)]
pub(super) enum Member {
    Id,
    Type,
    Timestamp,
    Company,
    Domain,
    Source,
    Data,
}

const MEMBERS: [(&str, Member); 7] = [
    ("id", Member::Id),
    ("type", Member::Type),
    ("timestamp", Member::Timestamp),
    ("company", Member::Company),
    ("domain", Member::Domain),
    ("source", Member::Source),
    ("data", Member::Data),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    DivideWhole,
    Remainder,
    Power,
    Concatenate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Abs,
    Default,
    First,
    Float,
    Int,
    Last,
    Length,
    Lower,
    Text,
    Trim,
    Upper,
}

const FUNCTIONS: [(&str, Function); 13] = [
    ("abs", Function::Abs),
    ("count", Function::Length),
    ("d", Function::Default),
    ("default", Function::Default),
    ("first", Function::First),
    ("float", Function::Float),
    ("int", Function::Int),
    ("last", Function::Last),
    ("length", Function::Length),
    ("lower", Function::Lower),
    ("string", Function::Text),
    ("trim", Function::Trim),
    ("upper", Function::Upper),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    Defined,
    Undefined,
    None,
    Number,
    Text,
    StartingWith,
    EndingWith,
}

const CHECKS: [(&str, Check); 7] = [
    ("defined", Check::Defined),
    ("undefined", Check::Undefined),
    ("none", Check::None),
    ("number", Check::Number),
    ("string", Check::Text),
    ("startingwith", Check::StartingWith),
    ("endingwith", Check::EndingWith),
];

/// A constant.
#[derive(Debug)]
pub(super) enum Constant {
    Null,
    Bool(bool),
    Whole(i128),
    Float(f64),
    Text(String),
}

/// A part of an expression.
#[derive(Debug)]
pub(super) enum Node {
    Constant(Constant),
    Member(Member),
    Attribute(Box<Node>, String),
    Item(Box<Node>, Box<Node>),
    List(Vec<Node>),
    Not(Box<Node>),
    Negative(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Compare(Box<Node>, Vec<(Comparison, Node)>),
    Arithmetic(Arithmetic, Box<Node>, Box<Node>),
    If(Box<Node>, Box<Node>, Option<Box<Node>>),
    Call(Function, Box<Node>, Option<Box<Node>>),
    Check(Check, Box<Node>, Option<Box<Node>>),
}

/// Reads an expression.
pub(super) fn read(source: &str) -> Result<Node, String> {
    if source.len() > FILTER_MOST {
        return Err("it is too long".to_owned());
    }
    let tree = parse_expr(source).map_err(|error| TemplateFault::of(&error).detail)?;
    node(&tree, 0)
}

fn boxed(expr: &Expr<'_>, depth: usize) -> Result<Box<Node>, String> {
    node(expr, depth + 1).map(Box::new)
}

fn node(expr: &Expr<'_>, depth: usize) -> Result<Node, String> {
    if depth > DEPTH_MOST {
        return Err("it is nested too deeply: use `in [\"a\", \"b\"]` rather than many `or`".to_owned());
    }
    Ok(match expr {
        Expr::Const(constant) => constant_of(&constant.value)?,
        Expr::Var(name) => Node::Member(named(&MEMBERS, name.id, "name")?),
        Expr::GetAttr(member) => Node::Attribute(boxed(&member.expr, depth)?, member.name.to_owned()),
        Expr::GetItem(item) => Node::Item(boxed(&item.expr, depth)?, boxed(&item.subscript_expr, depth)?),
        Expr::List(list) => nodes(&list.items, depth)?,
        Expr::Tuple(tuple) => nodes(&tuple.items, depth)?,
        Expr::UnaryOp(operation) => match operation.op {
            UnaryOpKind::Not => Node::Not(boxed(&operation.expr, depth)?),
            UnaryOpKind::Neg => Node::Negative(boxed(&operation.expr, depth)?),
        },
        Expr::BinOp(operation) => binary(operation.op, &operation.left, &operation.right, depth)?,
        Expr::Compare(compared) => {
            let with =
                |op: &minijinja::machinery::ast::CompareOp<'_>| Ok((comparison(op.op), node(&op.expr, depth + 1)?));
            let with: Result<_, String> = compared.ops.iter().map(with).collect();
            Node::Compare(boxed(&compared.expr, depth)?, with?)
        }
        Expr::IfExpr(choice) => {
            let otherwise = choice.false_expr.as_ref().map(|otherwise| boxed(otherwise, depth)).transpose()?;
            Node::If(boxed(&choice.test_expr, depth)?, boxed(&choice.true_expr, depth)?, otherwise)
        }
        Expr::Filter(filter) => {
            let function = named(&FUNCTIONS, filter.name, "filter")?;
            let value = filter.expr.as_ref().ok_or("a filter has nothing in front of it")?;
            Node::Call(function, boxed(value, depth)?, argument(&filter.args, depth)?)
        }
        Expr::Test(test) => {
            let check = named(&CHECKS, test.name, "test")?;
            let wanted = matches!(check, Check::StartingWith | Check::EndingWith);
            let argument = argument(&test.args, depth)?;
            if argument.is_some() != wanted {
                let has = if wanted { "has one argument" } else { "has no argument" };
                return Err(format!("the test `{}` {has}", test.name));
            }
            Node::Check(check, boxed(&test.expr, depth)?, argument)
        }
        Expr::Slice(_) | Expr::Call(_) | Expr::Map(_) => {
            return Err(format!("a filter of events has no {}", expr.description()));
        }
    })
}

fn nodes(items: &[Expr<'_>], depth: usize) -> Result<Node, String> {
    items.iter().map(|item| node(item, depth + 1)).collect::<Result<_, _>>().map(Node::List)
}

fn named<T: Copy>(known: &[(&str, T)], name: &str, what: &str) -> Result<T, String> {
    let found = known.iter().find(|(word, _)| *word == name).map(|(_, meant)| *meant);
    found.ok_or_else(|| {
        let words: Vec<_> = known.iter().map(|(word, _)| *word).collect();
        let hint = if what == "name" { " (the event's own members are in `data`, as `data.department`)" } else { "" };
        format!("there is no {what} `{}`; there are: {}{hint}", excerpt(name), words.join(", "))
    })
}

fn argument(all: &[CallArg<'_>], depth: usize) -> Result<Option<Box<Node>>, String> {
    match all {
        [] => Ok(None),
        [CallArg::Pos(value) | CallArg::Kwarg("default", value)] => boxed(value, depth).map(Some),
        _ => Err("a filter or a test has at most one argument here".to_owned()),
    }
}

fn constant_of(value: &minijinja::Value) -> Result<Node, String> {
    let constant = match value.kind() {
        ValueKind::None | ValueKind::Undefined => Constant::Null,
        ValueKind::Bool => Constant::Bool(value.is_true()),
        ValueKind::String => Constant::Text(value.as_str().unwrap_or_default().to_owned()),
        ValueKind::Number if value.is_integer() => {
            Constant::Whole(i128::try_from(value.clone()).map_err(|_| "a number is too large")?)
        }
        ValueKind::Number => Constant::Float(f64::try_from(value.clone()).map_err(|_| "a number cannot be read")?),
        ValueKind::Seq => {
            let items = value.try_iter().map_err(|_| "a list cannot be read")?;
            return items.map(|item| constant_of(&item)).collect::<Result<_, _>>().map(Node::List);
        }
        _ => return Err("a value of this kind has no use here".to_owned()),
    };
    Ok(Node::Constant(constant))
}

fn binary(op: BinOpKind, left: &Expr<'_>, right: &Expr<'_>, depth: usize) -> Result<Node, String> {
    let (left, right) = (boxed(left, depth)?, boxed(right, depth)?);
    let compare = |comparison, left, right: Box<Node>| Ok(Node::Compare(left, vec![(comparison, *right)]));
    let arithmetic = match op {
        BinOpKind::ScAnd => return Ok(Node::And(left, right)),
        BinOpKind::ScOr => return Ok(Node::Or(left, right)),
        BinOpKind::Eq => return compare(Comparison::Equal, left, right),
        BinOpKind::Ne => return compare(Comparison::Unequal, left, right),
        BinOpKind::Lt => return compare(Comparison::Less, left, right),
        BinOpKind::Lte => return compare(Comparison::LessOrEqual, left, right),
        BinOpKind::Gt => return compare(Comparison::Greater, left, right),
        BinOpKind::Gte => return compare(Comparison::GreaterOrEqual, left, right),
        BinOpKind::In => return compare(Comparison::In, left, right),
        BinOpKind::Add => Arithmetic::Add,
        BinOpKind::Sub => Arithmetic::Subtract,
        BinOpKind::Mul => Arithmetic::Multiply,
        BinOpKind::Div => Arithmetic::Divide,
        BinOpKind::FloorDiv => Arithmetic::DivideWhole,
        BinOpKind::Rem => Arithmetic::Remainder,
        BinOpKind::Pow => Arithmetic::Power,
        BinOpKind::Concat => Arithmetic::Concatenate,
    };
    Ok(Node::Arithmetic(arithmetic, left, right))
}

const fn comparison(op: CompareOpKind) -> Comparison {
    match op {
        CompareOpKind::Eq => Comparison::Equal,
        CompareOpKind::Ne => Comparison::Unequal,
        CompareOpKind::Lt => Comparison::Less,
        CompareOpKind::Lte => Comparison::LessOrEqual,
        CompareOpKind::Gt => Comparison::Greater,
        CompareOpKind::Gte => Comparison::GreaterOrEqual,
        CompareOpKind::In => Comparison::In,
        CompareOpKind::NotIn => Comparison::NotIn,
    }
}
