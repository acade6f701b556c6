//! Of which commit the program is, for `--version`.
//!
//! Never wrong: better 'unknown', or 'development build', than a commit from before the last change.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// What `git archive` makes the commit's hash and date of (`.gitattributes`).
const ARCHIVED: &str = "src/commit.txt";

/// Hands it to the compiler, as `BUILT_FROM`.
pub(crate) fn find() {
    println!("cargo::rerun-if-env-changed=HOOKSWITCH_COMMIT");
    println!("cargo::rerun-if-changed={ARCHIVED}");
    println!("cargo::rustc-env=BUILT_FROM={}", built_from());
}

/// The commit as whoever builds names it, as an archive of the source has it, or as git says. Git is asked for what may be
/// given away only: a development build would have to be linked again after each commit.
fn built_from() -> String {
    let named = env::var("HOOKSWITCH_COMMIT").ok().filter(|name| !name.is_empty());
    let archived = || fs::read_to_string(ARCHIVED).ok().filter(|text| !text.starts_with('$'));
    if let Some(commit) = named.or_else(archived) {
        return format!("commit {}", commit.trim());
    }
    if env::var("PROFILE").is_ok_and(|profile| profile == "debug") {
        return "development build".to_owned();
    }
    asked().unwrap_or_else(|| "commit unknown".to_owned())
}

/// What git says of this directory, if that is a repository itself.
fn asked() -> Option<String> {
    let here = fs::canonicalize(env::var("CARGO_MANIFEST_DIR").ok()?).ok()?;
    if fs::canonicalize(git(&["rev-parse", "--show-toplevel"])?).ok()? != here {
        return None;
    }
    // The first of these changes with each commit and checkout.
    for name in ["logs/HEAD", "HEAD"] {
        let path = git(&["rev-parse", "--git-path", name])?;
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    for path in ["src", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={path}");
    }
    let commit = git(&["log", "-1", "--format=%H %cs"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no", "src", "Cargo.toml", "Cargo.lock"])?;
    Some(format!("commit {commit}{}", if changed.is_empty() { "" } else { ", changed" }))
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
