//! Retention on PostgreSQL: days are dropped, what is dropped blocks no reader, and the disk stays as it is.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::clock::FakeClock;
use crate::platform::{event, with};
use crate::postgres::{cluster, home, sql, until};
use crate::receiver::Receiver;

/// A partition of a day of long ago.
const OLD_DAY: &str = "SET search_path = hooks; CREATE TABLE log_entries_20200101 PARTITION OF log_entries FOR VALUES FROM \
                       ('016f5e66-e800-0000-0000-000000000000') TO ('016f638d-4400-0000-0000-000000000000')";

#[test]
fn a_day_that_is_read_is_dropped_later_and_holds_up_no_other_reader() {
    let Some(cluster) = cluster() else { return };
    let (home, exit) = home(&cluster, "hooks").set("retention.log_age", "\"1h\"").start().stop();
    exit.expect(0);
    let mut sql_there = sql(&cluster);
    sql_there.batch_execute(OLD_DAY).unwrap();
    let mut reader = sql(&cluster);
    let mut long = reader.transaction().unwrap();
    long.query("SELECT count(*) FROM hooks.records", &[]).unwrap();
    let daemon = home.start();
    // A statement that waited for the reader would hold up this one until its time is over.
    sql_there.batch_execute("SET statement_timeout = '3s'").unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let others = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                sql_there.query_one("SELECT count(*) FROM hooks.records", &[]).expect("another reader");
            }
        });
        daemon.wait_for_saying("log_entries_20200101 has expired, and is in use");
        done.store(true, Ordering::Relaxed);
        others.join().unwrap();
    });
    let attached = "SELECT count(*) FROM pg_inherits WHERE inhrelid = to_regclass('hooks.log_entries_20200101')";
    assert_eq!(sql_there.query_one(attached, &[]).unwrap().get::<_, i64>(0), 1);
    long.commit().unwrap();
    let (home, exit) = daemon.stop();
    exit.expect(0);
    // As a process leaves it that ends between the two steps.
    sql_there.batch_execute("CREATE TABLE hooks.messages_20200101 (LIKE hooks.messages)").unwrap();
    let _daemon = home.start();
    let gone =
        "SELECT to_regclass('hooks.log_entries_20200101') IS NULL AND to_regclass('hooks.messages_20200101') IS NULL";
    until("the days are dropped", || sql_there.query_one(gone, &[]).unwrap().get::<_, bool>(0).then_some(()));
}

#[test]
fn over_ten_cycles_of_retention_the_disk_stays_as_it_is() {
    let Some(cluster) = cluster() else { return };
    let mut home = home(&cluster, "hooks");
    for (key, age) in [("log_age", "1d"), ("event_age", "1d"), ("conversation_age", "1d"), ("idempotency_window", "1h")]
    {
        home = home.set(&format!("retention.{key}"), &format!("{age:?}"));
    }
    let Some(clock) = FakeClock::new(&home) else { return };
    let receiver = Receiver::willing();
    let mut sql = sql(&cluster);
    let mut sizes = Vec::new();
    for day in 0..14 {
        clock.set(&format!("+{day}d"));
        let daemon = clock.start(&home);
        if day == 0 {
            daemon.subscribe(&receiver.url("/hook"), json!({}));
        }
        let before = receiver.requests().len();
        for batch in 0..3 {
            let lines: String = (0..200)
                .map(|number| {
                    let id = format!("{day}-{batch}-{number}");
                    let mut posted = with(event("call.new", &id), "id", id.as_str());
                    posted["data"]["note"] = json!("x".repeat(1000));
                    format!("{posted}\n")
                })
                .collect();
            daemon
                .api()
                .request("POST", "/v1/events", &[("content-type", "application/x-ndjson")], lines.as_bytes())
                .expect(202);
        }
        receiver.wait_for(before + 600);
        let (_, exit) = daemon.stop();
        exit.expect(0);
        // What autovacuum does within minutes.
        sql.batch_execute("VACUUM").unwrap();
        let size = "SELECT sum(pg_total_relation_size(oid))::bigint, count(*) FILTER (WHERE relispartition) FROM pg_class \
                    WHERE relnamespace = 'hooks'::regnamespace AND relkind = 'r'";
        let row = sql.query_one(size, &[]).unwrap();
        sizes.push((row.get(0), row.get(1)));
    }
    // Full after two days: yesterday's and today's. Each day after that drops one.
    let (full, later): ((i64, i64), &[(i64, i64)]) = (sizes[3], &sizes[4..]);
    let stays = |day: &(i64, i64)| day.0 <= full.0 * 21 / 20 && day.1 == full.1;
    assert!(later.len() == 10 && later.iter().all(stays), "bytes and partitions of each day: {sizes:?}");
    let kept = "SELECT count(*) FROM hooks.state WHERE kind IN (3, 4, 5)";
    let kept: i64 = sql.query_one(kept, &[]).unwrap().get(0);
    assert!(kept <= 4 * 600 * 2, "{kept} producers' ids and calls, of 8,400 events");
}
