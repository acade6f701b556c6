//! The engine that the daemons under test run on: the embedded one, or, with `HOOKSWITCH_TEST_ENGINE=postgres`, PostgreSQL
//! in a cluster of this process, each home in a schema of its own.
//!
//! Tests that are about the embedded engine are on a list here, and begin with `if left_out() { return; }`. Without
//! PostgreSQL the tests that need it are skipped with a message, unless `HOOKSWITCH_NEED_POSTGRES=1` or the engine is named.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::json;

use crate::cluster::{Cluster, programs};
use crate::daemon::Home;
use crate::platform::event;
use crate::receiver::Receiver;
use crate::space::skipped;

/// Tests that are not run on PostgreSQL: the reason, and their names, or `module::` for all of a module.
const NOT_ON_POSTGRES: &[(&str, &[&str])] = &[
    ("names the engine and its keys itself", &["store_config::"]),
    (
        "`backup`, `restore` and `verify` are of a data directory; the database is backed up by its own means",
        &[
            "backup::",
            "progress::backup_restore_verify_and_salvage_show_how_far_they_are_on_a_terminal_alone",
            "progress::a_move_shows_how_far_it_is_on_a_terminal_alone",
            "sealed::a_backup_is_restored_sealed_and_looked_at_without_the_key",
        ],
    ),
    (
        "damages, replaces or watches files of the data directory",
        &[
            "damage::",
            "forged::",
            "location::",
            "service::a_damaged_directory_is_refused_and_left_as_it_is",
            "service::a_data_directory_that_cannot_be_made_is_named",
            "service::a_flipped_bit_of_the_state_is_refused_or_does_no_harm",
            "service::a_foreign_directory_is_refused_and_left_unchanged",
        ],
    ),
    (
        "lets system calls on files of the data directory fail or wait",
        &["disk_errors::", "systemd::the_watchdog_is_not_fed_while_the_disk_holds_the_writer_up"],
    ),
    (
        "begins with a data directory of an older version",
        &[
            "upgrade::",
            "sealed::the_old_key_is_reported_unneeded_even_after_a_kill_before_a_checkpoint",
            "sealed::turned_on_for_a_directory_that_is_there_everything_new_is_sealed_and_the_key_is_needed_from_then_on",
            "sealed::a_kill_at_any_point_of_turning_it_on_or_of_a_new_key_loses_no_secret",
        ],
    ),
    (
        "looks for secrets in the files of the data directory",
        &["sealed::with_a_key_no_secret_stands_in_any_file_and_deliveries_are_signed_after_a_restart_and_a_kill"],
    ),
    (
        "`doctor` is asked about the data directory",
        &[
            "doctor::a_running_daemon_is_found_and_described",
            "sealed::a_bad_key_file_is_named_with_its_line_before_anything_starts_and_the_doctor_looks_at_it",
        ],
    ),
    ("a schema may have several daemons", &["service::a_second_daemon_on_the_same_directory_says_so_and_ends"]),
    ("journal files are compressed, tables are not", &["compressed::"]),
    (
        "the disk is PostgreSQL's: `min_free_bytes` has no meaning",
        &[
            "alerts::a_disk_low_on_space_raises_an_alert",
            "space::a_full_disk_loses_nothing_and_new_space_is_noticed",
            "space::with_little_disk_space_events_are_refused_and_deliveries_go_on",
        ],
    ),
    (
        "waits for seconds for what is dropped by days in tables",
        &["space::expired_data_is_dropped_and_the_daemon_goes_on"],
    ),
];

/// Whether the data is in a directory. What a test says about that directory is left out otherwise.
pub(crate) fn has_directory() -> bool {
    !is_postgres()
}

/// Whether the tests run on PostgreSQL.
fn is_postgres() -> bool {
    match std::env::var("HOOKSWITCH_TEST_ENGINE").as_deref() {
        Ok("postgres") => true,
        Ok("embedded" | "") | Err(_) => false,
        Ok(other) => panic!("HOOKSWITCH_TEST_ENGINE is `postgres` or `embedded`, not `{other}`"),
    }
}

/// The cluster of this process.
fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Result<Cluster, String>> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::start).as_ref().unwrap_or_else(|why| panic!("{why}"))
}

/// The settings of a new home: none, or a schema of its own.
pub(crate) fn settings() -> BTreeMap<String, String> {
    if is_postgres() { of_new_schema() } else { BTreeMap::new() }
}

fn of_new_schema() -> BTreeMap<String, String> {
    let cluster = cluster();
    let own = [("engine", "postgres"), ("url", &cluster.url()), ("schema", &cluster.new_schema())];
    own.into_iter().map(|(key, value)| (format!("store.{key}"), format!("{value:?}"))).collect()
}

/// The reason why a test, by its name with its module, is not run on PostgreSQL.
fn reason(test: &str) -> Option<&'static str> {
    let is_it = |listed: &&str| *listed == test || listed.ends_with("::") && test.starts_with(*listed);
    NOT_ON_POSTGRES.iter().find(|(_, tests)| tests.iter().any(is_it)).map(|(reason, _)| *reason)
}

/// Whether the test that calls this is left out with the engine that the tests run on; says so then.
#[expect(clippy::print_stderr, reason = "a test says so when it is skipped")]
pub(crate) fn left_out() -> bool {
    let thread = std::thread::current();
    let test = thread.name().expect("a test's thread has its name");
    let reason = reason(test).unwrap_or_else(|| panic!("{test} is not on the list of tests/e2e/engine.rs"));
    if is_postgres() {
        eprintln!("{test}: left out on PostgreSQL: {reason}");
    }
    is_postgres()
}

#[test]
fn a_daemon_runs_on_a_cluster_of_the_tests_and_keeps_its_data_there() {
    if let Err(missing) = programs() {
        assert!(std::env::var_os("HOOKSWITCH_NEED_POSTGRES").is_none(), "{missing}");
        return skipped(&missing);
    }
    let home = of_new_schema().iter().fold(Home::new(), |home, (key, value)| home.set(key, value));
    let (daemon, receiver) = (home.start(), Receiver::willing());
    daemon.subscribe(&receiver.url("/hook"), json!({}));
    daemon.accept(&event("call.new", "c1"));
    receiver.wait_for(1);
    let home = daemon.kill();
    let daemon = home.start();
    assert_eq!(daemon.list("/v1/events").len(), 1);
    daemon.accept(&event("call.missed", "c1"));
    receiver.wait_for(2);
    let left: Vec<_> = fs::read_dir(home.data()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["admin.token"], "only the tests themselves keep something in a directory");
}

#[test]
fn the_list_and_the_tests_on_it_agree() {
    let mut faults = BTreeSet::new();
    let mut matched = BTreeSet::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e")).unwrap().flatten() {
        let (path, text) = (entry.path(), fs::read_to_string(entry.path()).unwrap());
        let module = path.file_stem().unwrap().to_str().unwrap();
        for part in text.split("#[test]\n").skip(1) {
            let (before, body) = part.split_once("() {\n").unwrap();
            let test = format!("{module}::{}", before.rsplit("fn ").next().unwrap());
            let leaves = body.trim_start().starts_with("if left_out() {");
            if leaves != reason(&test).is_some() {
                faults.insert(format!("{test} {}", if leaves { "is not listed" } else { "does not ask" }));
            }
            matched.extend([format!("{module}::"), test]);
        }
    }
    let listed = NOT_ON_POSTGRES.iter().flat_map(|(_, tests)| *tests);
    let unknown = listed.filter(|listed| !matched.contains(**listed)).map(|listed| format!("{listed} is no test"));
    faults.extend(unknown);
    assert!(faults.is_empty(), "{faults:#?}");
}
