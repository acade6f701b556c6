//! Imports between files, and circles among them.
//!
//! A file is followed to where a name is defined: through `use` lines, paths in the code, and re-exports with `pub
//! use`. A re-export is no import, unless the file uses that name itself. Tests are left out.

use std::collections::{BTreeMap, BTreeSet};

use super::code::{Use, is_word, uses, without_tests, words_and_signs};

const EXEMPT: &[&str] = &[];

/// A module's path: `["http", "log"]` for `src/http/log.rs`.
type Module = Vec<String>;

/// The imports between files: importer, imported file, names.
#[derive(Default)]
pub(crate) struct Imports {
    files: BTreeMap<Module, String>,
    of: BTreeMap<Module, BTreeMap<Module, BTreeSet<String>>>,
}

/// One file's view: the paths it names, and its re-exports.
struct File {
    module: Module,
    /// Absolute paths of what it names.
    named: Vec<Module>,
    /// Names found here by others, and where they are defined.
    handed_on: BTreeMap<String, Module>,
}

/// The module of a file under `src/`; the crate's root is the empty path. `None` for the programs.
fn module(path: &str) -> Option<Module> {
    let module = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    match module {
        "lib" => Some(Vec::new()),
        "main" | "build" => None,
        _ => Some(module.strip_suffix("/mod").unwrap_or(module).split('/').map(str::to_owned).collect()),
    }
}

impl Imports {
    /// The imports of these files, given as paths and texts.
    pub(crate) fn read(sources: &[(String, String)]) -> Self {
        let code: Vec<(Module, &str, Vec<String>)> = sources
            .iter()
            .filter_map(|(path, text)| Some((module(path)?, path.as_str(), words_and_signs(text))))
            .collect();
        let tests: BTreeSet<Module> =
            code.iter().flat_map(|(module, _, code)| test_modules(code).map(|name| child(module, &name))).collect();
        let is_test = |module: &Module| (1..=module.len()).any(|length| tests.contains(&module[..length]));
        let files: BTreeMap<Module, String> = code
            .iter()
            .filter(|(module, ..)| !is_test(module))
            .map(|(module, path, _)| (module.clone(), (*path).to_owned()))
            .collect();
        let read: Vec<File> = code
            .iter()
            .filter(|(module, ..)| files.contains_key(module))
            .map(|(module, _, code)| File::read(module, &without_tests(code), &files))
            .collect();
        let handed_on = read.iter().map(|file| (file.module.clone(), &file.handed_on)).collect();
        let mut of: BTreeMap<_, BTreeMap<_, BTreeSet<_>>> = BTreeMap::new();
        for file in read.iter().filter(|file| !file.module.is_empty()) {
            for path in &file.named {
                let Some((target, name)) = origin(path, &files, &handed_on) else { continue };
                if target != file.module && !target.is_empty() {
                    of.entry(file.module.clone()).or_default().entry(target).or_default().insert(name);
                }
            }
        }
        Self { files, of }
    }

    /// The files that import each other in a circle, ignoring imports of the `exempt` ones.
    pub(crate) fn circles(&self, exempt: &BTreeSet<&str>) -> Vec<BTreeSet<&str>> {
        let looked_at = |module: &&Module| !exempt.contains(self.files[*module].as_str());
        let reached: BTreeMap<&Module, BTreeSet<&Module>> =
            self.of.keys().filter(looked_at).map(|module| (module, self.reached(module, &looked_at))).collect();
        let mut found: Vec<BTreeSet<&str>> = Vec::new();
        for (module, forth) in &reached {
            let back = |other: &&&Module| reached.get(**other).is_some_and(|there| there.contains(*module));
            let circle: BTreeSet<&str> = forth.iter().filter(back).map(|one| self.files[*one].as_str()).collect();
            if !circle.is_empty() && !found.contains(&circle) {
                found.push(circle);
            }
        }
        found
    }

    /// All files that `from` imports, directly or indirectly.
    fn reached<'i>(&'i self, from: &'i Module, looked_at: &impl Fn(&&Module) -> bool) -> BTreeSet<&'i Module> {
        let mut seen = BTreeSet::new();
        let mut open = vec![from];
        while let Some(module) = open.pop() {
            let targets = self.of.get(module).into_iter().flat_map(BTreeMap::keys).filter(looked_at);
            open.extend(targets.filter(|target| seen.insert(*target)));
        }
        seen
    }

    /// The imports of a circle, one per line.
    fn ties(&self, circle: &BTreeSet<&str>) -> String {
        let inside = |module: &Module| circle.contains(self.files[module].as_str());
        let mut text = String::new();
        for (module, targets) in self.of.iter().filter(|(module, _)| inside(module)) {
            for (target, names) in targets.iter().filter(|(target, _)| inside(target)) {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                text += &format!("\n  {} -> {}: {}", self.files[module], self.files[target], names.join(", "));
            }
        }
        text
    }

    /// Circles, and unnecessary entries of `exempt`.
    pub(crate) fn faults(&self, exempt: &[&str]) -> Vec<String> {
        let all: BTreeSet<&str> = exempt.iter().copied().collect();
        let mut faults = Vec::new();
        for circle in self.circles(&all) {
            let ties = self.ties(&circle);
            faults.push(format!(
                "{} files import each other in a circle. Move what both sides need into a file below them:{ties}",
                circle.len()
            ));
        }
        for one in exempt {
            if !one.starts_with("src/store/") {
                faults.push(format!("{one}: only files of src/store may be exempt"));
            }
            let others: BTreeSet<&str> = all.iter().copied().filter(|other| other != one).collect();
            if !self.circles(&others).iter().any(|circle| circle.contains(one)) {
                faults.push(format!("{one}: without this entry of EXEMPT there is no circle either: take it out"));
            }
        }
        faults
    }
}

/// The file that defines the name at the end of a path, and the name.
fn origin(
    path: &[String],
    files: &BTreeMap<Module, String>,
    handed_on: &BTreeMap<Module, &BTreeMap<String, Module>>,
) -> Option<(Module, String)> {
    // A name may be re-exported more than once; eight times is a circle of `pub use`.
    let mut path = path.to_vec();
    for _ in 0..8 {
        let length = (0..=path.len()).rev().find(|length| files.contains_key(&path[..*length]))?;
        let (module, rest) = path.split_at(length);
        // Only the module: the names taken from it are in the code.
        let name = rest.first()?;
        match handed_on.get(module).and_then(|names| names.get(name)).filter(|further| further.as_slice() != path) {
            Some(further) => path = further.iter().chain(&rest[1..]).cloned().collect(),
            None => return Some((module.to_vec(), name.clone())),
        }
    }
    None
}

fn child(module: &[String], name: &str) -> Module {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

/// The modules that `code` declares for tests only.
fn test_modules(code: &[String]) -> impl Iterator<Item = String> {
    let attribute = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
    code.windows(attribute.len() + 2)
        .filter(move |signs| signs[..attribute.len()] == attribute && signs[9] == ";")
        .map(|signs| signs[8].clone())
}

impl File {
    fn read(module: &Module, code: &[String], files: &BTreeMap<Module, String>) -> Self {
        let is_module = |path: &[String]| files.contains_key(path);
        let absolute = |path: &[String]| -> Option<Module> {
            match path.first()?.as_str() {
                "crate" | "hookswitch" => Some(path[1..].to_vec()),
                "self" => Some(module.iter().chain(&path[1..]).cloned().collect()),
                "super" => {
                    let supers = path.iter().take_while(|name| *name == "super").count();
                    let parent = module.len().checked_sub(supers)?;
                    Some(module[..parent].iter().chain(&path[supers..]).cloned().collect())
                }
                first => is_module(&child(module, first)).then(|| module.iter().chain(path).cloned().collect()),
            }
        };
        let (uses, rest) = uses(code);
        let (mut named, mut handed_on, mut known) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let in_code: BTreeSet<&str> = rest.iter().map(String::as_str).collect();
        for Use { path, name, public } in &uses {
            let Some(path) = absolute(path) else { continue };
            if *public {
                handed_on.insert(name.clone(), path.clone());
            }
            if !public || in_code.contains(name.as_str()) {
                named.push(path.clone());
            }
            known.insert(name.clone(), path);
        }
        for path in paths(&rest) {
            let imported = || known.get(&path[0]).map(|start| start.iter().chain(&path[1..]).cloned().collect());
            named.extend(absolute(&path).or_else(imported));
        }
        Self { module: module.clone(), named, handed_on }
    }
}

/// The paths of at least two names in `code`, except those of visibilities (`pub(in crate::http)`).
fn paths(code: &[String]) -> Vec<Module> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < code.len() {
        let starts = at == 0 || (code[at - 1] != "::" && code[at - 1] != "in");
        let mut path = Vec::new();
        while code.get(at).is_some_and(|word| word.chars().all(is_word)) {
            path.push(code[at].clone());
            if code.get(at + 1).is_some_and(|sign| sign == "::") {
                at += 2;
            } else {
                break;
            }
        }
        if starts && path.len() > 1 {
            found.push(path);
        }
        at += 1;
    }
    found
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let imports = Imports::read(&super::sources("src"));
    assert!(imports.of.len() > 100, "the imports were not found");
    super::assert_clean(&imports.faults(EXEMPT));
}

/// The imports of files with these texts.
#[cfg(test)]
fn imports(files: &[(&str, &str)]) -> Imports {
    let lib = ("src/lib.rs".to_owned(), "pub mod a; pub mod b; pub mod store;".to_owned());
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
    Imports::read(&files.chain([lib]).collect::<Vec<_>>())
}

#[test]
fn the_checker_sees_circles() {
    for (a, b, circles) in [
        ("use crate::b::X;", "use crate::a::Y;", 1),
        ("use super::b::X;", "fn f() { crate::a::y() }", 1),
        ("use crate::b;\nfn f() { b::x() }", "use crate::{a::{Y, Z as _}};", 1),
        ("use crate::b::X;", "use crate::a;", 0),
        ("use crate::b::X;", "// crate::a::Y\nconst A: &str = \"crate::a::Y\";", 0),
        ("use crate::b::X;", "#[cfg(test)] mod tests { use crate::a::Y; }", 0),
        ("use crate::b::X;", "#[cfg(test)] use crate::a::Y;\npub(in crate::a) fn f() {}", 0),
        ("pub use crate::b::X;", "use crate::a::Y;", 0),
        ("pub use crate::b::X;\nstruct Z(X);", "use crate::a::Y;", 1),
        ("pub use crate::b::X;", "use crate::a::X;", 0),
        ("pub mod c;\nuse c::X;", "", 1),
        ("pub mod c;", "", 0),
        ("#[cfg(test)] mod c;\nuse crate::b::X;", "", 0),
    ] {
        let imports = imports(&[("src/a/mod.rs", a), ("src/a/c.rs", "use super::Y;"), ("src/b.rs", b)]);
        assert_eq!(imports.circles(&BTreeSet::new()).len(), circles, "{a} | {b}");
    }
}

#[test]
fn the_checker_sees_exemptions_that_are_not_needed() {
    let files = [
        ("src/store/c.rs", "use super::d::X;"),
        ("src/store/d.rs", "use super::c::X;"),
        ("src/store/e.rs", "use super::d::X;"),
        ("src/a.rs", "use crate::store::e::X;"),
    ];
    let imports = imports(&files);
    for (exempt, faults) in [
        (vec![], 1),
        (vec!["src/store/c.rs"], 0),
        (vec!["src/store/c.rs", "src/store/d.rs"], 2),
        (vec!["src/store/c.rs", "src/store/e.rs"], 1),
        (vec!["src/store/c.rs", "src/a.rs"], 2),
        (vec!["src/store/c.rs", "src/store/gone.rs"], 1),
    ] {
        assert_eq!(imports.faults(&exempt).len(), faults, "{exempt:?}: {:?}", imports.faults(&exempt));
    }
}
