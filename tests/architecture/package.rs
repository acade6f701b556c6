//! The content of the Debian package: everything named in `[package.metadata.deb]` exists, and everything required is
//! named. The package itself is tested by `.ci/boot`, which takes minutes.

use std::fs;

use figment::Figment;
use figment::providers::{Format as _, Toml};
use serde_json::Value;

use super::root;

/// `[package.metadata.deb]` of Cargo.toml.
fn metadata() -> Value {
    let manifest = Figment::from(Toml::file_exact(root().join("Cargo.toml")));
    let found = manifest.find_value("package.metadata.deb").expect("[package.metadata.deb]");
    found.deserialize().expect("values that JSON has, too")
}

/// The sources and targets of a list of assets.
fn assets(list: &Value) -> Vec<(String, String)> {
    let text = |asset: &Value, place: usize| asset[place].as_str().expect("a path").to_owned();
    list.as_array().expect("a list of assets").iter().map(|asset| (text(asset, 0), text(asset, 1))).collect()
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn packaged_files_exist() {
    let metadata = metadata();
    for (source, _) in assets(&metadata["assets"]) {
        let named = source
            .strip_suffix("/*.md")
            .map_or_else(|| root().join(&source).is_file(), |dir| root().join(dir).is_dir());
        assert!(source == "target/release/hookswitch" || named, "{source} is not there");
    }
    let maker = text(".ci/deb");
    for (source, _) in assets(&metadata["variants"]["complete"]["merge-assets"]["append"]) {
        let made = source.strip_prefix("target/package/").expect("what .ci/deb makes is in target/package");
        let name = made.strip_suffix("/*.1").unwrap_or(made);
        assert!(maker.contains(&format!("\"$made/{name}\"")), "{source} is not made by .ci/deb");
    }
}

#[test]
fn required_files_are_packaged() {
    let assets = assets(&metadata()["assets"]);
    for entry in fs::read_dir(root().join("systemd")).expect("systemd/") {
        let path = entry.expect("an entry of a directory of ours").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name in UTF-8");
        let named = assets.iter().any(|(source, _)| *source == format!("systemd/{name}"));
        assert!(path.is_dir() || named, "systemd/{name} is not in `assets`");
    }
    let command = "ExecStart=/usr/bin/hookswitch serve --config /etc/hookswitch/config.toml\n";
    assert!(text("systemd/hookswitch.service").contains(command));
    for (source, target) in [
        ("target/release/hookswitch", "usr/bin/"),
        ("config.example.toml", "etc/hookswitch/config.toml"),
        // Beside each other as in the source, so that the links from one to the other work.
        ("README.md", "usr/share/doc/hookswitch/"),
        ("docs/*.md", "usr/share/doc/hookswitch/docs/"),
    ] {
        assert!(assets.contains(&(source.to_owned(), target.to_owned())), "{source} does not go to {target}");
    }
}

#[test]
fn its_scripts_end_at_a_fault_and_its_changelog_is_of_this_version() {
    for name in ["postinst", "prerm", "postrm"] {
        let script = text(&format!("systemd/deb/{name}"));
        assert!(script.starts_with("#!/bin/sh\n") && script.contains("\nset -e\n"), "systemd/deb/{name}");
    }
    let wanted = format!("hookswitch ({}-1) ", env!("CARGO_PKG_VERSION"));
    assert!(text("systemd/deb/changelog").starts_with(&wanted), "systemd/deb/changelog does not begin with {wanted}");
}
