//! The content of the packages: everything named in `systemd/packages.yaml` exists, and everything required is named. The
//! packages themselves are tested by `.ci/boot` and `.ci/release`, which take minutes.

use std::fs;

use super::root;

/// Where `.ci/stage` and `.ci/packages` put what they make.
const STAGE: &str = "${STAGE}/";

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Sources and targets of the packages' files.
fn contents() -> Vec<(String, String)> {
    let list = text("systemd/packages.yaml");
    let found: Vec<_> = list.lines().filter_map(|line| line.trim_start().strip_prefix("- {src: ")).map(entry).collect();
    assert!(found.len() > 10, "the entries of `contents` begin with `- {{src: `, and are {found:?}");
    found
}

/// Source and target of one entry: `"a", dst: b, …}`.
fn entry(rest: &str) -> (String, String) {
    let (source, rest) = rest.split_once(", dst: ").unwrap_or_else(|| panic!("no `dst` after `src`: {rest}"));
    let target = rest.split([',', '}']).next().unwrap_or_default();
    (source.trim_matches('"').to_owned(), target.to_owned())
}

#[test]
fn packaged_files_exist() {
    let makers = [text(".ci/stage"), text(".ci/packages")].concat();
    for (source, _) in contents() {
        match source.strip_prefix(STAGE) {
            None => {
                let directory = source.split_once("/*.").map(|(directory, _)| directory);
                assert!(root().join(directory.unwrap_or(&source)).exists(), "{source} is not there");
            }
            Some("hookswitch") => {}
            Some(made) => {
                let name = made.strip_suffix("/*.1.gz").unwrap_or(made);
                let said = [format!("\"$stage/{name}\""), format!("\"$STAGE/{name}\"")];
                assert!(
                    said.iter().any(|said| makers.contains(said)),
                    "{made} is made neither by .ci/stage nor by .ci/packages"
                );
            }
        }
    }
}

#[test]
fn required_files_are_packaged() {
    let contents = contents();
    for entry in fs::read_dir(root().join("systemd")).expect("systemd/") {
        let path = entry.expect("an entry of a directory of ours").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name in UTF-8");
        let named = contents.iter().any(|(source, _)| *source == format!("systemd/{name}"));
        assert!(path.is_dir() || named || name == "packages.yaml", "systemd/{name} is not in systemd/packages.yaml");
    }
    let command = "ExecStart=/usr/bin/hookswitch serve --config /etc/hookswitch/config.toml\n";
    assert!(text("systemd/hookswitch.service").contains(command));
    for (source, target) in [
        ("${STAGE}/hookswitch", "/usr/bin/hookswitch"),
        ("config.example.toml", "/etc/hookswitch/config.toml"),
        ("${STAGE}/THIRD-PARTY-NOTICES", "/usr/share/doc/hookswitch/THIRD-PARTY-NOTICES"),
        ("${STAGE}/THIRD-PARTY-NOTICES", "/usr/share/licenses/hookswitch/THIRD-PARTY-NOTICES"),
        ("${STAGE}/hookswitch.cdx.json", "/usr/share/doc/hookswitch/hookswitch.cdx.json"),
        // Beside each other as in the source, so that the links from one to the other work.
        ("README.md", "/usr/share/doc/hookswitch/README.md"),
        ("docs/*.md", "/usr/share/doc/hookswitch/docs/"),
    ] {
        assert!(contents.contains(&(source.to_owned(), target.to_owned())), "{source} does not go to {target}");
    }
}

#[test]
fn cargo_run_gives_the_daemon_no_key_of_the_build() {
    // What the build script sets is also set for what `cargo run` runs, which takes HOOKSWITCH_… for a key and refuses it.
    let script = [text("src/build.rs"), text("src/build/commit.rs"), text("src/build/handbook.rs")].concat();
    assert!(script.contains("rustc-env=BUILT_FROM="), "the build script says otherwise what it is built from");
    assert!(!script.contains("rustc-env=HOOKSWITCH_"), "a variable of the build is named like a key");
}

#[test]
fn scripts_end_at_a_fault() {
    for packager in ["deb", "rpm"] {
        for name in ["postinst", "prerm", "postrm"] {
            let script = text(&format!("systemd/{packager}/{name}"));
            assert!(script.starts_with("#!/bin/sh\n") && script.contains("\nset -e\n"), "systemd/{packager}/{name}");
            let key = format!(": systemd/{packager}/{name}\n");
            assert!(text("systemd/packages.yaml").contains(&key), "systemd/packages.yaml does not name {name}");
        }
    }
}

#[test]
fn documents_name_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    let install = text("docs/install.md");
    for name in ["hookswitch-", "hookswitch_", "hookswitch:"] {
        for (place, _) in install.match_indices(name) {
            let rest = &install[place + name.len()..];
            if rest.starts_with(|first: char| first.is_ascii_digit()) {
                assert!(rest.starts_with(version), "docs/install.md: {name}{} is not {version}", &rest[..10]);
            }
        }
    }
}
