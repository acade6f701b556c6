//! The content of a scrape, and that the dashboard uses exactly these metrics.

use std::collections::BTreeSet;

use super::*;

const START: Timestamp = Timestamp::from_millis(1_790_000_000_500);

fn snapshot() -> Snapshot {
    Snapshot {
        queue: [3, 2, 1],
        oldest_waiting: Some(Duration::from_millis(1_500)),
        senders: (64, 5),
        senders_alive: 9,
        subscriptions: [("ok", 7), ("slow", 0), ("down", 1), ("disabled", 2)],
        store_bytes: 4096,
        disk: Some((1 << 40, 1 << 28)),
        memory: (1 << 20, 1 << 28),
    }
}

fn metrics() -> Metrics {
    Metrics::new("1.2.3", START).unwrap()
}

#[test]
fn a_scrape_shows_counters_and_gauges() {
    let metrics = metrics();
    metrics.committed(3, 1, Duration::from_millis(2), Some(Duration::from_micros(200)));
    // Nothing was written: there is no commit to time.
    metrics.committed(0, 1, Duration::from_millis(2), None);
    metrics.attempted(Some(204), None, Duration::from_millis(3));
    metrics.attempted(Some(799), None, Duration::from_millis(3));
    metrics.attempted(None, Some(Fault::Refused), Duration::from_millis(1));
    metrics.attempted(None, Some(Fault::Internal), Duration::ZERO);
    metrics.ended(Status::Delivered, Some(Duration::from_millis(4)));
    metrics.ended(Status::Delivered, None);
    metrics.ended(Status::Failed, Some(Duration::from_secs(9)));
    metrics.ended(Status::Retrying, Some(Duration::from_secs(9)));
    let text = metrics.text(&snapshot()).unwrap();
    for line in [
        "hookswitch_build_info{version=\"1.2.3\"} 1",
        "process_start_time_seconds 1790000000.5",
        "hookswitch_events_accepted_total 3",
        "hookswitch_events_repeated_total 2",
        "hookswitch_attempts_total{outcome=\"http_2xx\"} 1",
        "hookswitch_attempts_total{outcome=\"http_other\"} 1",
        "hookswitch_attempts_total{outcome=\"connection_refused\"} 1",
        "hookswitch_attempts_total{outcome=\"internal_error\"} 1",
        "hookswitch_attempts_total{outcome=\"tls_failed\"} 0",
        "hookswitch_attempt_duration_seconds_count 4",
        "hookswitch_deliveries_ended_total{state=\"delivered\"} 2",
        "hookswitch_deliveries_ended_total{state=\"failed\"} 1",
        "hookswitch_deliveries_ended_total{state=\"expired\"} 0",
        "hookswitch_delivery_latency_seconds_bucket{le=\"0.005\"} 1",
        "hookswitch_delivery_latency_seconds_count 1",
        "hookswitch_commit_duration_seconds_count 1",
        "hookswitch_fsync_duration_seconds_bucket{le=\"0.00025\"} 1",
        "hookswitch_queue_deliveries{state=\"pending\"} 3",
        "hookswitch_queue_deliveries{state=\"failed\"} 1",
        "hookswitch_oldest_waiting_seconds 1.5",
        "hookswitch_sender_threads 64",
        "hookswitch_sender_threads_alive 9",
        "hookswitch_sender_threads_busy 5",
        "hookswitch_subscriptions{state=\"down\"} 1",
        "hookswitch_store_bytes 4096",
        "hookswitch_disk_free_bytes 1099511627776",
        "hookswitch_disk_min_free_bytes 268435456",
        "hookswitch_client_memory_bytes 1048576",
        "hookswitch_client_memory_limit_bytes 268435456",
    ] {
        assert!(text.lines().any(|shown| shown == line), "`{line}` is not in\n{text}");
    }
    let unknown = metrics.text(&Snapshot { oldest_waiting: None, ..snapshot() }).unwrap();
    assert!(unknown.contains("hookswitch_oldest_waiting_seconds NaN"), "{unknown}");
    let elsewhere = metrics.text(&Snapshot { disk: None, ..snapshot() }).unwrap();
    assert!(!elsewhere.contains("hookswitch_disk_"), "{elsewhere}");
    let shown = metrics.text(&snapshot()).unwrap();
    assert!(shown.contains("hookswitch_disk_free_bytes 1099511627776"), "{shown}");
}

/// Every word of `text` that could be one of our metrics.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("hookswitch_") || word.starts_with("process_")).map(str::to_owned).collect()
}

#[test]
fn the_dashboard_uses_every_metric_and_no_other() {
    let shown = names(&metrics().text(&snapshot()).unwrap());
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/grafana-dashboard.json");
    let dashboard: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let queries: Vec<&str> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    assert!(queries.len() > 10, "{queries:?}");
    let mut expected = BTreeSet::new();
    for query in queries {
        let names = names(query);
        assert!(!names.is_empty() && names.is_subset(&shown), "`{query}` asks for what is not there");
        expected.extend(names);
    }
    let parts = ["_bucket", "_sum", "_count"];
    let family = |name: &String| parts.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name).to_owned();
    let families: BTreeSet<String> = shown.iter().map(family).collect();
    let seen: BTreeSet<String> = expected.iter().map(family).collect();
    assert_eq!(families.difference(&seen).collect::<Vec<_>>(), Vec::<&String>::new(), "nobody looks at these");
}
