//! `hookswitch doctor`: faults of a machine or a configuration, in words and by exit status.

use std::net::TcpListener;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::certificates::{Authority, Identity};
use crate::daemon::{Exit, Home, contents, hookswitch, run};
use crate::engine::left_out;
use crate::receiver::Receiver;
use crate::secure_receivers::{Secure, trusting};

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
    for name in [
        "configuration",
        "data directory",
        "disk speed",
        "disk room",
        "clock",
        "open files",
        "threads",
        "port",
        "names",
    ] {
        assert_ne!(check(&found, name).0, "fail", "{found}");
    }
    assert!(check(&found, "disk speed").1.contains("an fsync on"), "{found}");
    assert!(!home.data().exists(), "it made the data directory");
}

#[test]
fn a_running_daemon_is_found_and_described() {
    if left_out() {
        return;
    }
    let home = Home::new();
    let daemon = home.start();
    let receiver = Receiver::willing();
    daemon.subscribe(&receiver.url("/").replace("127.0.0.1", "localhost"), json!({}));
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
    // Started with --listen, its address is not the configured one but the recorded one.
    for configured in ["127.0.0.1:0", "127.0.0.1:4665"] {
        let found = doctor(&home, configured, &["--json"], &[]).expect(0).json();
        let (state, message) = check(&found, "port");
        assert!(state == "ok" && message.contains(&format!("a daemon answers at {listen}")), "{found}");
        assert_eq!(check(&found, "version").0, "ok", "{found}");
    }
    // It is gone, and so is its record.
    let _home = daemon.kill();
    let gone = doctor(&home, "127.0.0.1:0", &["--json"], &[]).json();
    assert!(!check(&gone, "port").1.contains(&listen), "{gone}");
}

#[test]
fn a_daemon_is_known_by_its_certificate_whatever_that_is_for() {
    let home = crate::tls::home(&Authority::new().issue(&["hooks.acme.example"]));
    let daemon = home.start();
    let listen = daemon.address.to_string();
    let [cert, key] = ["tls.crt", "tls.key"].map(|file| home.beside(file).display().to_string());
    let files = [("HOOKSWITCH_HTTP__TLS_CERT", cert.as_str()), ("HOOKSWITCH_HTTP__TLS_KEY", key.as_str())];
    let found = doctor(&home, &listen, &["--json"], &files).expect(0).json();
    assert_eq!(check(&found, "version").0, "ok", "{found}");
    // Renewed, but not reloaded.
    let renewed = Authority::new().issue(&["hooks.acme.example"]);
    std::fs::write(&cert, &renewed.cert).unwrap();
    std::fs::write(&key, &renewed.key).unwrap();
    let found = doctor(&home, &listen, &["--json"], &files).expect(1).json();
    let (state, message) = check(&found, "port");
    assert!(state == "fail" && message.contains("another certificate than that in `tls_cert`"), "{found}");
}

#[test]
fn faults_are_named_with_what_to_do() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    // It accepts connections and never answers, so it is dropped before the checks.
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

/// A certificate that expires in this many days.
fn lasting(authority: &Authority, name: &str, days: u64) -> Identity {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock");
    let end = rcgen::date_time_ymd(1970, 1, 1) + now + Duration::from_secs(days * 86_400 + 3_600);
    authority.issue_with(&[name], |params| params.not_after = end)
}

#[test]
fn receivers_certificates_are_checked_by_a_handshake() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let good = Secure::start(&lasting(&authority, "localhost", 300), Some(&clients));
    let soon = Secure::start(&lasting(&authority, "localhost", 10), None);
    let wrong = Secure::start(&authority.issue(&["elsewhere.example"]), None);
    let expired = authority.issue_with(&["localhost"], |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let expired = Secure::start(&expired, None);
    let stranger = Secure::start(&Authority::new().issue(&["localhost"]), None);
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    let plain = Receiver::willing();

    let home = trusting(&authority);
    let daemon = home.start();
    let shown = lasting(&clients, "hookswitch", 10);
    let settings = json!({"client_cert": shown.cert, "client_key": shown.key});
    let showing = daemon.subscribe(&good.url(), settings);
    for url in [soon.url(), wrong.url(), expired.url(), stranger.url(), format!("https://{gone}/"), plain.url("/")] {
        daemon.subscribe(&url, json!({}));
    }
    let paused = daemon.subscribe("https://paused.invalid/", json!({}));
    daemon.api().patch(&paused.path(), &json!({"enabled": false})).expect(200);

    let listen = daemon.address.to_string();
    let receivers = |found: &Value| -> Vec<(String, String)> {
        let all = found["checks"].as_array().expect("checks").iter().filter(|check| check["check"] == "receiver");
        let text = |check: &Value, member: &str| check[member].as_str().unwrap_or_default().to_owned();
        all.map(|check| (text(check, "state"), format!("{} -> {}", text(check, "message"), text(check, "advice"))))
            .collect()
    };
    // By default no receiver is contacted; presented certificates are checked all the same.
    let found = doctor(&home, &listen, &["--json"], &[]).expect(0).json();
    assert!(receivers(&found).is_empty(), "{found}");
    let (state, message) = check(&found, "client certificate");
    assert!(state == "warn" && message.contains(&showing.id) && message.contains("in 10 days"), "{found}");
    // The configuration's rules apply: here loopback is not allowed.
    let found = doctor(&home, &listen, &["--json", "--receivers"], &[]).expect(1).json();
    let checks = receivers(&found);
    assert_eq!(
        checks.iter().filter(|(state, message)| state == "fail" && message.contains("[network]")).count(),
        6,
        "{found}"
    );

    let ca = format!("[{:?}]", home.beside("ca.pem"));
    let rules = [("HOOKSWITCH_NETWORK__ALLOW", r#"["127.0.0.0/8", "::1/128"]"#), ("HOOKSWITCH_NETWORK__EXTRA_CA", &ca)];
    let found = doctor(&home, &listen, &["--json", "--receivers"], &rules).expect(1).json();
    let checks = receivers(&found);
    let port = |secure: &Secure| format!("localhost:{}", secure.address.port());
    let trusted = format!("1 trusted; the first to expire is {}: at", port(&good));
    let cases = [
        ("ok", trusted.clone(), "1 are not https"),
        ("warn", port(&soon), "in less than 30 days"),
        ("fail", port(&wrong), "not for this host name -> use a host name that"),
        ("fail", port(&expired), "has expired -> renew"),
        ("fail", port(&stranger), "`extra_ca` in [network]"),
        ("fail", gone.to_string(), "nothing listens there -> check the port"),
    ];
    assert_eq!(checks.len(), cases.len(), "{checks:?}");
    for (state, place, words) in cases {
        let message = checks.iter().find(|(_, message)| message.starts_with(&place));
        assert!(message.is_some_and(|(is, message)| is == state && message.contains(words)), "{place} in {checks:?}");
    }
    for receiver in [&good, &soon, &wrong, &expired, &stranger] {
        assert!(receiver.wait_for(0).is_empty(), "something was sent");
    }
    assert_eq!(plain.requests().len(), 0);
    let text = doctor(&home, &listen, &["--receivers"], &rules).expect(1).stdout;
    assert!(text.contains("FAIL  receiver") && text.contains(&trusted), "{text}");
}
