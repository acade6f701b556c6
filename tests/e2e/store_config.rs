//! The configuration of `[store]` with PostgreSQL, before any connection: where the URL comes from, and that it stays
//! secret.

use std::path::Path;
use std::process::Command;

use crate::daemon::{Exit, Home, hookswitch, run};
use crate::engine::left_out;

const URL: &str = "postgresql://hooks:hunter2@db.invalid:5432/hooks";

fn checked(home: &Home, changed: impl FnOnce(&mut Command)) -> Exit {
    home.write_config();
    let mut command = hookswitch();
    command.arg("check-config").arg(home.beside("hookswitch.toml"));
    changed(&mut command);
    let exit = run(command);
    assert!(!format!("{exit:?}").contains("hunter2"), "{exit:?}");
    exit
}

fn with_credentials(directory: &Path) -> impl FnOnce(&mut Command) {
    move |command| {
        command.env("CREDENTIALS_DIRECTORY", directory);
    }
}

#[test]
fn the_url_comes_from_exactly_one_of_three_places() {
    if left_out() {
        return;
    }
    let home = Home::new().set("store.engine", "\"postgres\"");
    let (file, credentials) = (home.beside("own.url"), home.beside("credentials"));
    std::fs::write(&file, format!("{URL}\n")).unwrap();
    std::fs::create_dir(&credentials).unwrap();
    let by_key = home.clone().set("store.url", &format!("{URL:?}"));
    let by_file = home.clone().set("store.url_file", &format!("{file:?}"));
    for home in [&by_key, &by_file] {
        checked(home, with_credentials(&credentials)).expect(0);
    }
    let none = checked(&home, with_credentials(&credentials)).expect(78).stderr;
    for way in ["`url` in [store]", "`url_file`", "`store.url` of systemd"] {
        assert!(none.contains(way), "{way}: {none}");
    }
    std::fs::copy(&file, credentials.join("store.url")).unwrap();
    checked(&home, with_credentials(&credentials)).expect(0);
    for home in [&by_key, &by_file] {
        let twice = checked(home, with_credentials(&credentials)).expect(78).stderr;
        assert!(twice.contains("given twice") && twice.contains("credentials/store.url"), "{twice}");
    }
    std::fs::write(&file, "hooks:hunter2@db.invalid").unwrap();
    let wrong = checked(&by_file, |_| {}).expect(78).stderr;
    assert!(wrong.contains("own.url must be a URL that begins with `postgresql://`"), "{wrong}");
}

#[test]
fn a_bad_database_is_refused_before_anything_starts() {
    if left_out() {
        return;
    }
    let home = Home::new().set("store.engine", "\"postgres\"").set("diagnostics.level", "\"trace\"");
    for (home, part) in [
        (home.clone(), "`url_file`"),
        (home.clone().set("store.url", "\"postgresql://hooks:hunter2@db.invalid\""), "store.url"),
        (home.clone().set("store.url", &format!("{URL:?}")).set("store.cache_bytes", "16777216"), "store.cache_bytes"),
        (Home::new().set("store.url", &format!("{URL:?}")), "store.url"),
    ] {
        let exit = home.refused_start().expect(78);
        assert!(exit.stderr.contains(part) && !format!("{exit:?}").contains("hunter2"), "{exit:?}");
        assert!(!home.data().exists(), "the data directory was made");
    }
}

#[test]
fn a_reload_with_another_engine_leaves_the_one_that_runs_as_it_is() {
    if left_out() {
        return;
    }
    let home = Home::new().set("store.min_free_bytes", "1048576");
    let daemon = home.start();
    home.without("store.min_free_bytes")
        .set("store.engine", "\"postgres\"")
        .set("store.url", &format!("{URL:?}"))
        .set("ordering.hold", "\"1m\"")
        .write_config();
    daemon.signal("HUP");
    let later = daemon.wait_for_saying("only after a restart");
    for key in ["store.engine (\"embedded\", now \"postgres\")", "store.min_free_bytes (1048576, ", "store.url"] {
        assert!(later.contains(key), "{key}: {later}");
    }
    daemon.wait_for_saying("in force now: ordering.hold");
    let stats = daemon.api().get("/v1/stats").expect(200).json();
    assert_eq!(stats["disk"]["min_free_bytes"], 1_048_576);
    let (_, exit) = daemon.stop();
    assert!(!format!("{exit:?}").contains("hunter2"), "{exit:?}");
}
