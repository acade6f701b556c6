//! `/metrics`: the content for Prometheus, its counts, and that it contains no names.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::client::Client;
use crate::daemon::{Daemon, Home};
use crate::engine::has_directory;
use crate::platform::{numbered, with};
use crate::receiver::{Answer, Receiver};
use crate::space::skipped;
use crate::wait::eventually;

/// The value of a series, as written in a line.
fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

fn scrape(daemon: &Daemon) -> String {
    daemon.api().get("/metrics").expect(200).text()
}

#[test]
fn activity_is_counted_without_names() {
    let home = Home::new();
    let daemon = home.start();
    let good = Receiver::willing();
    let bad = Receiver::start(|_| Answer::status(503));
    daemon.subscribe(&good.url("/the-good-one"), json!({}));
    daemon.subscribe(&bad.url("/the-bad-one"), json!({}));
    daemon.subscribe(&good.url("/paused"), json!({"enabled": false}));
    daemon.accept(&with(numbered("secret-call", 0), "id", "once"));
    // Also if nothing else is written with it.
    good.wait_for(1);
    daemon.accept(&with(numbered("secret-call", 0), "id", "once"));
    daemon.accept(&numbered("other-call", 1));
    let version = concat!("hookswitch_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}");
    // A scrape may come between two counts of one event.
    let text = eventually("the counts in /metrics", || {
        let text = scrape(&daemon);
        let is = |series: &str, wanted: f64| value(&text, series) == Some(wanted);
        let commits = value(&text, "hookswitch_commit_duration_seconds_count").unwrap_or_default();
        let right = is("hookswitch_events_accepted_total", 2.0)
            && is("hookswitch_events_repeated_total", 1.0)
            && is("hookswitch_attempts_total{outcome=\"http_2xx\"}", 2.0)
            && is("hookswitch_attempts_total{outcome=\"connection_refused\"}", 0.0)
            && value(&text, "hookswitch_attempts_total{outcome=\"http_5xx\"}").is_some_and(|failed| failed >= 2.0)
            && is("hookswitch_deliveries_ended_total{state=\"delivered\"}", 2.0)
            && is("hookswitch_delivery_latency_seconds_count", 2.0)
            && is("hookswitch_queue_deliveries{state=\"pending\"}", 2.0)
            && is("hookswitch_queue_deliveries{state=\"retrying\"}", 2.0)
            && is("hookswitch_queue_deliveries{state=\"failed\"}", 0.0)
            && is("hookswitch_sender_threads", 2048.0)
            && is("hookswitch_subscriptions{state=\"disabled\"}", 1.0)
            && is(version, 1.0)
            && commits >= 5.0
            && is("hookswitch_fsync_duration_seconds_count", commits);
        if right { Ok(text) } else { Err(text) }
    });
    let in_latency = value(&text, "hookswitch_delivery_latency_seconds_sum").unwrap_or_default();
    assert!(in_latency > 0.0 && in_latency < 60.0, "{text}");
    for series in ["hookswitch_oldest_waiting_seconds", "hookswitch_store_bytes"] {
        assert!(value(&text, series).is_some_and(|value| value > 0.0), "{series} in\n{text}");
    }
    // The disk of a database is its server's.
    let free = value(&text, "hookswitch_disk_free_bytes");
    assert!(if has_directory() { free.is_some_and(|free| free > 0.0) } else { free.is_none() }, "{text}");
    for name in ["acme", "127.0.0.1", "the-bad-one", "secret-call", "sub_", "evt_"] {
        assert!(!text.contains(name), "{name} is in\n{text}");
    }
    promtool_finds_no_fault(&text);
}

fn promtool_finds_no_fault(text: &str) {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = match promtool.spawn() {
        Ok(promtool) => promtool,
        Err(error) if std::env::var_os("HOOKSWITCH_NEED_PROMTOOL").is_none() => {
            return skipped(&format!("promtool is not installed: {error}"));
        }
        Err(error) => panic!("promtool cannot be run: {error}"),
    };
    promtool.stdin.take().expect("its input is piped").write_all(text.as_bytes()).expect("promtool reads");
    let output = promtool.wait_with_output().expect("promtool ends");
    assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}\n{text}");
}

#[test]
fn it_needs_a_token_unless_it_is_made_public() {
    let daemon = Daemon::start();
    let nobody = Client::new(daemon.address, None);
    nobody.get("/metrics").expect_problem(&[401]);
    daemon.api().get("/metrics?x=1").expect_problem(&[422]);
    daemon.api().post("/metrics", &json!({})).expect_problem(&[405]);
    let answer = daemon.api().get("/metrics").expect(200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let public = Home::new().set("http.metrics_public", "true").start();
    let nobody = Client::new(public.address, None);
    assert!(nobody.get("/metrics").expect(200).text().contains("hookswitch_build_info"));
    nobody.post("/metrics", &json!({})).expect_problem(&[405]);
    nobody.get("/v1/stats").expect_problem(&[401]);
}
