//! The engine's settings: what templates may use, and how much.

use std::collections::HashSet;
use std::sync::LazyLock;
use std::thread;

use minijinja::{Environment, Error, UndefinedBehavior};

use super::fault::TemplateFault;
use super::syntax::NAME;
use super::values::{MEMBERS, QUERY};
use super::{filters, output, syntax};
use crate::core::text::excerpt;

/// The work of a template, in the engine's units: an instruction each, or 64 bytes.
const FUEL: u64 = 100_000;
/// How deep macros and loops may call themselves: less than the stack of a sender thread allows.
const DEPTH: usize = 24;

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEPTH);
    environment.set_formatter(output::format);
    for function in ["dict", "namespace", "debug"] {
        environment.remove_global(function);
    }
    filters::add_to(&mut environment);
    environment
});

/// Stack for the parser: one level of it for every two bytes of a template is deeper than it is ever used. Only what is
/// touched of it takes memory.
const STACK: usize = 64 << 20;

/// What a template is compiled to.
pub(super) struct Compiled {
    /// With the template as its only one.
    pub(super) environment: Environment<'static>,
    /// A fault that names what neither an event nor the engine has.
    pub(super) unknown: Option<String>,
}

/// Compiles a template, on a thread of its own with a deep stack: the engine's parser makes trees as deep as the text
/// is long. `None` if that thread cannot be started at present.
pub(super) fn compile(source: &str) -> Option<Result<Compiled, TemplateFault>> {
    thread::scope(|scope| {
        let builder = thread::Builder::new().name("template".to_owned()).stack_size(STACK);
        let spawned = builder.spawn_scoped(scope, || compile_here(source)).ok()?;
        let panicked = |_| Err(TemplateFault { line: None, detail: "it ends the compiler, which is a bug".to_owned() });
        Some(spawned.join().unwrap_or_else(panicked))
    })
}

fn compile_here(source: &str) -> Result<Compiled, TemplateFault> {
    syntax::check(source)?;
    let mut environment = TEMPLATES.clone();
    let fault = |error: Error| TemplateFault::of(&error);
    environment.add_template_owned(NAME, source.to_owned()).map_err(fault)?;
    let names = environment.get_template(NAME).map_err(fault)?.undeclared_variables(false);
    Ok(Compiled { environment, unknown: unknown_names(names) })
}

/// A fault that names the first name, by alphabet, that neither an event nor the engine has.
fn unknown_names(names: HashSet<String>) -> Option<String> {
    let known = |name: &str| MEMBERS.contains(&name) || name == QUERY || name == "range";
    let unknown = names.into_iter().filter(|name| !known(name)).min()?;
    Some(format!(
        "names `{}`, which is not there; there are: {} (the event's own members are in `data`, as `data.lead_name`)",
        excerpt(&unknown),
        MEMBERS.join(", ")
    ))
}
