//! What a template may be made of, checked on its syntax tree before it runs.
//!
//! The engine's budget of work counts instructions and bytes, not what is inside a comparison: lists that hold lists
//! that hold lists, each twice, would take for ever to compare, and deep ones would overflow the stack. So lists are
//! flat here (constants and members of the event), nothing makes lists of lists, and nothing is nested deeply.

use minijinja::machinery::ast::{BinOpKind, Call, CallArg, Expr, Macro, Stmt};
use minijinja::machinery::{Span, parse};

use super::fault::TemplateFault;
use super::values::MEMBERS;
use crate::core::text::excerpt;

/// The name of the one template of an environment.
pub(super) const NAME: &str = "body";
/// How deep statements and expressions may be nested.
const DEPTH_MOST: usize = 100;

/// The filters that make text, a number or a truth value of anything.
pub(super) const SCALAR_FILTERS: [&str; 34] = [
    "abs",
    "bool",
    "capitalize",
    "conversation_text",
    "count",
    "d",
    "default",
    "duration",
    "e",
    "escape",
    "float",
    "int",
    "join",
    "length",
    "lower",
    "mrkdwn",
    "phone",
    "replace",
    "round",
    "safe",
    "string",
    "sum",
    "time",
    "title",
    "tojson",
    "trim",
    "truncate",
    "upper",
    "urlencode",
    "first",
    "last",
    "min",
    "max",
    "attr",
];
/// The filters that make a flat list of one.
pub(super) const LIST_FILTERS: [&str; 11] =
    ["items", "lines", "list", "reject", "rejectattr", "reverse", "select", "selectattr", "sort", "split", "unique"];
/// Those of the first that hand on a value, which may be a list.
const HANDED_ON: [&str; 7] = ["d", "default", "first", "last", "min", "max", "attr"];
/// The functions.
const FUNCTIONS: [&str; 1] = ["range"];

/// Checks the syntax tree of a template. The stack must be deep enough for one nested as deeply as its length allows.
pub(super) fn check(source: &str) -> Result<(), TemplateFault> {
    let tree = parse(source, NAME, minijinja::syntax::SyntaxConfig::default());
    let tree = tree.map_err(|error| TemplateFault::of(&error))?;
    statement(&tree, 0)
}

fn fault<T>(span: Span, detail: impl Into<String>) -> Result<T, TemplateFault> {
    Err(TemplateFault { line: Some(usize::from(span.start_line)), detail: detail.into() })
}

fn statements(all: &[Stmt<'_>], depth: usize) -> Result<(), TemplateFault> {
    all.iter().try_for_each(|one| statement(one, depth))
}

fn statement(one: &Stmt<'_>, depth: usize) -> Result<(), TemplateFault> {
    let deeper = depth + 1;
    if depth > DEPTH_MOST {
        return Err(TemplateFault { line: None, detail: "it is nested too deeply".to_owned() });
    }
    match one {
        Stmt::Template(template) => statements(&template.children, deeper),
        Stmt::EmitExpr(emit) => expression(&emit.expr, deeper),
        Stmt::EmitRaw(_) => Ok(()),
        Stmt::ForLoop(r#loop) => {
            target(&r#loop.target)?;
            expression(&r#loop.iter, deeper)?;
            r#loop.filter_expr.iter().try_for_each(|filter| expression(filter, deeper))?;
            statements(&r#loop.body, deeper)?;
            statements(&r#loop.else_body, deeper)
        }
        Stmt::IfCond(condition) => {
            expression(&condition.expr, deeper)?;
            statements(&condition.true_body, deeper)?;
            statements(&condition.false_body, deeper)
        }
        Stmt::WithBlock(with) => {
            for (name, value) in &with.assignments {
                target(name)?;
                expression(value, deeper)?;
            }
            statements(&with.body, deeper)
        }
        Stmt::Set(set) => {
            target(&set.target)?;
            expression(&set.expr, deeper)
        }
        Stmt::SetBlock(set) => {
            target(&set.target)?;
            set.filter.iter().try_for_each(|filter| expression(filter, deeper))?;
            statements(&set.body, deeper)
        }
        Stmt::FilterBlock(filter) => {
            expression(&filter.filter, deeper)?;
            statements(&filter.body, deeper)
        }
        Stmt::Macro(declared) => macro_of(declared, deeper),
        Stmt::CallBlock(block) => {
            call(&block.call, block.call.span(), deeper)?;
            macro_of(&block.macro_decl, deeper)
        }
        Stmt::Do(run) => call(&run.call, run.span(), deeper),
        Stmt::AutoEscape(block) => {
            fault(block.span(), "`autoescape` is not used here: values are escaped by the content type")
        }
        Stmt::Block(block) => not_here(block.span(), "block"),
        Stmt::Import(block) => not_here(block.span(), "import"),
        Stmt::FromImport(block) => not_here(block.span(), "from"),
        Stmt::Extends(block) => not_here(block.span(), "extends"),
        Stmt::Include(block) => not_here(block.span(), "include"),
    }
}

fn not_here(span: Span, word: &str) -> Result<(), TemplateFault> {
    fault(span, format!("`{word}` is not used here: a webhook has one template, and there are no others"))
}

fn macro_of(declared: &Macro<'_>, depth: usize) -> Result<(), TemplateFault> {
    if MEMBERS.contains(&declared.name) {
        return Err(TemplateFault { line: None, detail: taken(declared.name) });
    }
    declared.args.iter().try_for_each(target)?;
    declared.defaults.iter().try_for_each(|value| expression(value, depth))?;
    statements(&declared.body, depth)
}

fn taken(name: &str) -> String {
    format!("`{name}` is the event's, and cannot be set: choose another name")
}

/// What is assigned to: names that are not the event's, so that those are what they seem.
fn target(expr: &Expr<'_>) -> Result<(), TemplateFault> {
    match expr {
        Expr::Var(name) if MEMBERS.contains(&name.id) => fault(name.span(), taken(name.id)),
        Expr::Tuple(names) => names.items.iter().try_for_each(target),
        Expr::List(names) => names.items.iter().try_for_each(target),
        Expr::Var(_) => Ok(()),
        other => fault(other.span(), "only names can be set"),
    }
}

fn expression(expr: &Expr<'_>, depth: usize) -> Result<(), TemplateFault> {
    let deeper = depth + 1;
    if depth > DEPTH_MOST {
        return fault(expr.span(), "it is nested too deeply");
    }
    let all = |parts: &[&Expr<'_>]| parts.iter().try_for_each(|part| expression(part, deeper));
    match expr {
        Expr::Var(_) | Expr::Const(_) => Ok(()),
        Expr::Slice(slice) => {
            let ends = [&slice.start, &slice.stop, &slice.step];
            ends.iter().filter_map(|end| end.as_ref()).try_for_each(|end| expression(end, deeper))?;
            expression(&slice.expr, deeper)
        }
        Expr::UnaryOp(operation) => expression(&operation.expr, deeper),
        Expr::BinOp(operation) => all(&[&operation.left, &operation.right]),
        Expr::Compare(compared) => {
            expression(&compared.expr, deeper)?;
            compared.ops.iter().try_for_each(|with| expression(&with.expr, deeper))
        }
        Expr::IfExpr(condition) => {
            all(&[&condition.test_expr, &condition.true_expr])?;
            condition.false_expr.iter().try_for_each(|otherwise| expression(otherwise, deeper))
        }
        Expr::Filter(filter) => {
            if !SCALAR_FILTERS.contains(&filter.name) && !LIST_FILTERS.contains(&filter.name) {
                let mut names = [&SCALAR_FILTERS[..], &LIST_FILTERS[..]].concat();
                names.sort_unstable();
                let (name, names) = (excerpt(filter.name), names.join(", "));
                return fault(filter.span(), format!("there is no filter `{name}`; there are: {names}"));
            }
            filter.expr.iter().try_for_each(|value| expression(value, deeper))?;
            arguments(&filter.args, filter.span(), deeper)
        }
        Expr::Test(test) => {
            expression(&test.expr, deeper)?;
            arguments(&test.args, test.span(), deeper)
        }
        Expr::GetAttr(member) => expression(&member.expr, deeper),
        Expr::GetItem(item) => all(&[&item.expr, &item.subscript_expr]),
        Expr::Call(called) => call(called, called.span(), deeper),
        Expr::List(list) => flat_all(&list.items, list.span(), deeper),
        Expr::Tuple(tuple) => flat_all(&tuple.items, tuple.span(), deeper),
        Expr::Map(map) => {
            flat_all(&map.keys, map.span(), deeper)?;
            flat_all(&map.values, map.span(), deeper)
        }
    }
}

fn call(called: &Call<'_>, span: Span, depth: usize) -> Result<(), TemplateFault> {
    if let Expr::Var(name) = &called.expr
        && matches!(name.id, "dict" | "namespace" | "debug")
    {
        return fault(span, format!("there is no function `{}`; there is: {}", name.id, FUNCTIONS.join(", ")));
    }
    expression(&called.expr, depth)?;
    arguments(&called.args, span, depth)
}

fn arguments(all: &[CallArg<'_>], span: Span, depth: usize) -> Result<(), TemplateFault> {
    all.iter().try_for_each(|one| match one {
        CallArg::Pos(value) | CallArg::Kwarg(_, value) => expression(value, depth),
        CallArg::PosSplat(_) | CallArg::KwargSplat(_) => {
            fault(span, "arguments are given one by one here, without `*`")
        }
    })
}

fn flat_all(items: &[Expr<'_>], span: Span, depth: usize) -> Result<(), TemplateFault> {
    items.iter().try_for_each(|item| expression(item, depth))?;
    if items.iter().all(is_flat) {
        return Ok(());
    }
    fault(
        span,
        "a list or an object written here may hold constants, members of the event (`data.lead_name`) and text made by \
         filters or `~`, but neither variables nor further lists: give those through a filter such as `string`",
    )
}

/// Whether a value is none that the template itself put together from lists.
fn is_flat(expr: &Expr<'_>) -> bool {
    match expr {
        Expr::Const(constant) => constant.value.as_object().is_none(),
        Expr::Var(name) => MEMBERS.contains(&name.id),
        Expr::GetAttr(member) => is_flat(&member.expr),
        Expr::GetItem(item) => is_flat(&item.expr),
        Expr::UnaryOp(_) | Expr::Test(_) | Expr::Compare(_) => true,
        Expr::BinOp(operation) => match operation.op {
            BinOpKind::ScAnd | BinOpKind::ScOr => is_flat(&operation.left) && is_flat(&operation.right),
            BinOpKind::Add | BinOpKind::Mul => false,
            _ => true,
        },
        Expr::IfExpr(condition) => is_flat(&condition.true_expr) && condition.false_expr.as_ref().is_none_or(is_flat),
        Expr::Filter(filter) if HANDED_ON.contains(&filter.name) => {
            let argument = |argument: &CallArg<'_>| match argument {
                CallArg::Pos(value) | CallArg::Kwarg(_, value) => is_flat(value),
                CallArg::PosSplat(_) | CallArg::KwargSplat(_) => false,
            };
            filter.expr.as_ref().is_some_and(is_flat) && filter.args.iter().all(argument)
        }
        Expr::Filter(filter) => SCALAR_FILTERS.contains(&filter.name),
        Expr::Slice(_) | Expr::Call(_) | Expr::List(_) | Expr::Tuple(_) | Expr::Map(_) => false,
    }
}
