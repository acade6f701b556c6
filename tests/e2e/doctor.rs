//! `hookswitch doctor`: what is wrong with a machine or a configuration, in words and by exit status.

use std::net::TcpListener;

use serde_json::Value;

use crate::daemon::{Exit, Home, contents, hookswitch, run};
use crate::receiver::Receiver;

fn doctor(home: &Home, listen: &str, more: &[&str], env: &[(&str, &str)]) -> Exit {
    let mut command = hookswitch();
    command.args(["doctor", "--data-dir"]).arg(home.data()).env("HOOKSWITCH_HTTP__LISTEN", listen);
    command.args(more).envs(env.iter().copied());
    run(command)
}

/// The state and message of a check.
fn check(found: &Value, name: &str) -> (String, String) {
    let all = found["checks"].as_array().expect("checks");
    let one = all.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("no {name} in {found}"));
    let text = |member: &str| one[member].as_str().unwrap_or_default().to_owned();
    (text("state"), text("message"))
}

#[test]
fn a_machine_on_which_a_daemon_could_start_is_well_and_stays_untouched() {
    let home = Home::new();
    let found = doctor(&home, "127.0.0.1:0", &["--json"], &[]).expect(0).json();
    assert_eq!(found["ok"], true, "{found}");
    for name in ["configuration", "data directory", "disk speed", "disk room", "clock", "open files", "port", "names"] {
        assert_ne!(check(&found, name).0, "fail", "{found}");
    }
    assert!(check(&found, "disk speed").1.contains("an fsync on"), "{found}");
    assert!(!home.data().exists(), "it made the data directory");
}

#[test]
fn a_daemon_that_runs_is_found_and_told_of() {
    let home = Home::new();
    let daemon = home.start();
    let receiver = Receiver::willing();
    daemon.subscribe(&receiver.url("/").replace("127.0.0.1", "localhost"), serde_json::json!({}));
    let before = contents(&home.data());
    let listen = daemon.address.to_string();
    let text = doctor(&home, &listen, &[], &[]).expect(0).stdout;
    for part in [
        &format!("a daemon (pid {}) runs on it", daemon.pid()),
        &format!("a daemon answers at {listen}, and is ready"),
        "and so is the daemon",
        "localhost found",
        "the daemon may have",
    ] {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
    let after = contents(&home.data());
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>(), "it left something behind");
    // The daemon is there, and not where it is looked for.
    let elsewhere = doctor(&home, "127.0.0.1:0", &["--json"], &[]).expect(1).json();
    assert_eq!(check(&elsewhere, "port").0, "fail", "{elsewhere}");
}

#[test]
fn what_is_wrong_is_named_with_what_to_do() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    // It takes connections and never answers, so it is dropped before it is asked.
    let place = taken.local_addr().expect("its address");
    drop(taken);
    let receiver = Receiver::start(|_| crate::receiver::Answer::status(404));
    let other = receiver.url("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let text = doctor(&home, &other, &[], &[]).expect(1).stdout;
    assert!(text.contains("FAIL  port") && text.contains("ss -ltnp"), "{text}");
    let text = doctor(&home, &place.to_string(), &[], &[]).expect(0).stdout;
    assert!(text.contains("is free"), "{text}");
    let bad = doctor(&home, "nowhere", &[], &[("HOOKSWITCH_RETRY__JITTER", "7")]).expect(78);
    assert!(bad.stdout.contains("http.listen") && bad.stdout.contains("retry.jitter"), "{bad:?}");
    let full = doctor(&home, "127.0.0.1:0", &[], &[("HOOKSWITCH_STORE__MIN_FREE_BYTES", "1099511627776")]);
    assert!(full.expect(1).stdout.contains("new events are refused (507)"));
    let ca = doctor(&home, "127.0.0.1:0", &[], &[("HOOKSWITCH_NETWORK__EXTRA_CA", "[\"/nonexistent.pem\"]")]);
    assert!(ca.expect(78).stdout.contains("/nonexistent.pem"));
}
