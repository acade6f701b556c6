//! The PostgreSQL server of `[store]`: whether it can be used, and whether its settings keep what a 202 promises.

use std::time::Duration;

use super::check::Check;
use crate::config::{PostgresStore, UrlSource};
use crate::core::database::{SchemaFacts, ServerFacts};
use crate::daemon;
use crate::service::UrlFile;

/// Differences of clocks, in milliseconds, that are noticed and that are wrong.
const NOTICED_MS: u64 = 1_000;
const WRONG_MS: u64 = 60_000;
/// How old a transaction may become before it is noticed, in seconds. Those of a daemon last milliseconds.
const LONG_S: u64 = 60;

/// Asks the server.
pub(super) fn checks(store: &PostgresStore) -> Vec<Check> {
    let mut checks = Vec::from_iter(url_file(&store.url));
    match daemon::inspect_database(store) {
        Ok(facts) => checks.extend(judge(&facts, store)),
        // The sentence has the remedy.
        Err(why) => checks.push(Check::fail("database", why, "the daemon does not start in this state")),
    }
    checks
}

/// Whether others can read the file with the URL.
fn url_file(url: &UrlSource) -> Option<Check> {
    let UrlSource::File(path) = url else { return None };
    // One that cannot be read is a fault of the next check.
    let mode = UrlFile::read(path).ok()?.open_to_others()?;
    let path = path.display();
    let message = format!("{path}, with the URL of the database, is open to other users (mode {mode:04o})");
    Some(Check::warn("url file", message, format!("chmod 600 {path}")))
}

fn judge(facts: &ServerFacts, store: &PostgresStore) -> Vec<Check> {
    vec![
        database(facts),
        schema(facts, store),
        sessions(facts),
        durability(facts),
        standbys(facts, store.replicas),
        clock(facts.ahead_ms),
        vacuum(facts),
        transactions(facts),
    ]
}

fn database(facts: &ServerFacts) -> Check {
    let (database, user) = &facts.database;
    Check::ok("database", format!("PostgreSQL {} answers; the database is {database}, the user {user}", facts.version))
}

fn schema(facts: &ServerFacts, store: &PostgresStore) -> Check {
    const NAME: &str = "schema";
    let (schema, (database, user)) = (&store.schema, &facts.database);
    match facts.schema {
        SchemaFacts::Empty(true) => Check::ok(NAME, format!("{schema} is empty; the first start makes its tables")),
        SchemaFacts::Empty(false) => Check::fail(
            NAME,
            format!("{schema} has no tables, and the user {user} may not make them"),
            format!("GRANT CREATE ON DATABASE {database} TO {user}, or make it the owner of the schema {schema}"),
        ),
        SchemaFacts::Tables { version, needs, newest, .. } if needs > newest => Check::fail(
            NAME,
            format!("{schema} is of a newer hookswitch (version {version} of its tables, this one knows {newest})"),
            "use that newer version",
        ),
        SchemaFacts::Tables { owned: false, .. } => Check::fail(
            NAME,
            format!("{schema} has tables that are not the user {user}'s, who cannot add days to them or drop them"),
            format!("make {user} the owner of {schema} and of its tables, or a member of the role that is"),
        ),
        SchemaFacts::Tables { version, .. } => Check::ok(NAME, format!("{schema} has tables of version {version}")),
        SchemaFacts::Foreign => Check::fail(
            NAME,
            format!("{schema} holds something else than hookswitch's tables, or the user {user} may not read them"),
            "name another `schema` in [store], or give the user the tables",
        ),
    }
}

fn sessions(facts: &ServerFacts) -> Check {
    const NAME: &str = "sessions";
    match &facts.shared_sessions {
        None => Check::ok(NAME, "each connection has its own: there is no transaction pooler in between"),
        Some(why) => Check::fail(NAME, why, "the daemon does not start in this state"),
    }
}

fn durability(facts: &ServerFacts) -> Check {
    const NAME: &str = "durability";
    let set = |what: &str| format!("set {what} in postgresql.conf, and reload the server");
    if !facts.fsync {
        return Check::fail(NAME, "fsync is off: a power cut loses what was answered 202, or all", set("fsync = on"));
    }
    if facts.synchronous_commit == "off" {
        let message = "synchronous_commit is off: a crash of the server loses the last of what was answered 202";
        return Check::fail(NAME, message, set("synchronous_commit = on"));
    }
    if !facts.full_page_writes {
        let message =
            "full_page_writes is off: a power cut may damage tables, unless the file system writes pages whole";
        return Check::warn(NAME, message, set("full_page_writes = on"));
    }
    let commit = &facts.synchronous_commit;
    Check::ok(NAME, format!("fsync and full_page_writes are on, synchronous_commit is {commit}"))
}

fn standbys(facts: &ServerFacts, wanted: u32) -> Check {
    const NAME: &str = "standbys";
    let (waits_for, names) = (waits_for(&facts.synchronous_names), &facts.synchronous_names);
    if wanted == 0 {
        return Check::ok(
            NAME,
            match facts.standbys {
                Some(there) if there > 0 => format!("{there} synchronous; `replicas` in [store] requires none"),
                _ => "none is required: what was answered 202 is on one machine (`replicas` in [store])".to_owned(),
            },
        );
    }
    let Some(there) = facts.standbys else {
        let user = &facts.database.1;
        let message =
            format!("`replicas` in [store] wants {wanted}, and the user {user} may not see how many there are");
        return Check::fail(NAME, message, format!("GRANT pg_monitor TO {user}"));
    };
    if waits_for < wanted {
        return Check::fail(
            NAME,
            format!(
                "`replicas` in [store] wants {wanted}, and a COMMIT waits for {waits_for} (synchronous_standby_names is '{names}')"
            ),
            format!("set synchronous_standby_names to 'ANY {wanted} (…)' with the names of the standbys"),
        );
    }
    if there < wanted {
        return Check::fail(
            NAME,
            format!(
                "{there} synchronous standbys follow, and `replicas` in [store] wants {wanted}: nothing new is accepted"
            ),
            "start them, and see that their application_name is in synchronous_standby_names",
        );
    }
    if facts.synchronous_commit == "local" {
        let message =
            "synchronous_commit is local: a COMMIT waits for no standby, though `replicas` in [store] wants it";
        return Check::fail(NAME, message, "set synchronous_commit = on in postgresql.conf, and reload the server");
    }
    Check::ok(NAME, format!("{there} synchronous; `replicas` in [store] wants {wanted}"))
}

/// For how many standbys a COMMIT waits, by `synchronous_standby_names` (section 20.6.2 of PostgreSQL 15's manual).
fn waits_for(names: &str) -> u32 {
    let names = names.trim();
    if names.is_empty() {
        return 0;
    }
    let (before, listed) = names.split_once('(').unwrap_or(("", names));
    let number = before.trim().rsplit(' ').next().unwrap_or_default();
    // A list without a number is that of the first one.
    if listed.is_empty() { 0 } else { number.parse().unwrap_or(1) }
}

fn clock(ahead_ms: i64) -> Check {
    const NAME: &str = "its clock";
    let apart = ahead_ms.unsigned_abs();
    let side = if ahead_ms < 0 { "behind" } else { "ahead of" };
    let message = format!("the server's is {apart} ms {side} this machine's");
    let advice = "let NTP keep both (timedatectl set-ntp true)";
    match apart {
        0..NOTICED_MS => Check::ok(NAME, message),
        NOTICED_MS..WRONG_MS => Check::warn(NAME, message, advice),
        _ => Check::fail(NAME, message, advice),
    }
}

fn vacuum(facts: &ServerFacts) -> Check {
    const NAME: &str = "vacuum";
    if facts.autovacuum {
        return Check::ok(NAME, "autovacuum is on");
    }
    let advice = "set autovacuum = on in postgresql.conf, and reload the server";
    Check::fail(NAME, "autovacuum is off: the tables of what is owed grow and become slow", advice)
}

fn transactions(facts: &ServerFacts) -> Check {
    const NAME: &str = "transactions";
    let Some((what, seconds)) = &facts.oldest_transaction else {
        return Check::ok(NAME, "none is open that keeps dead rows");
    };
    let since = humantime::format_duration(Duration::from_secs(*seconds));
    if *seconds < LONG_S {
        return Check::ok(NAME, format!("the oldest has been open for {since} ({what})"));
    }
    let message =
        format!("{what} has been open for {since}: no dead row can be removed meanwhile, and commits become slow");
    let advice = "end it (pg_terminate_backend, or ROLLBACK PREPARED), and set idle_in_transaction_session_timeout";
    Check::warn(NAME, message, advice)
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;
    use crate::core::database::SchemaName;

    fn well() -> ServerFacts {
        ServerFacts {
            version: "15.14".to_owned(),
            database: ("hooks".to_owned(), "sender".to_owned()),
            fsync: true,
            full_page_writes: true,
            autovacuum: true,
            oldest_transaction: Some(("process 7".to_owned(), 59)),
            synchronous_commit: "on".to_owned(),
            synchronous_names: "ANY 1 (a, b)".to_owned(),
            standbys: Some(2),
            ahead_ms: -20,
            shared_sessions: None,
            schema: SchemaFacts::Tables { version: 2, needs: 1, newest: 1, owned: true },
        }
    }

    fn store(replicas: u32) -> PostgresStore {
        let schema = SchemaName::parse("hookswitch").unwrap();
        PostgresStore { url: UrlSource::Credential, schema, pool: 4, replicas }
    }

    #[test]
    fn each_fault_of_a_server_is_named_with_its_remedy() {
        assert!(judge(&well(), &store(1)).iter().all(|check| check.state == State::Ok));
        type Change = fn(&mut ServerFacts);
        let cases: &[(Change, u32, State, &str, &str)] = &[
            (|facts| facts.fsync = false, 0, State::Fail, "fsync is off", "fsync = on"),
            (
                |facts| facts.full_page_writes = false,
                0,
                State::Warn,
                "full_page_writes is off",
                "full_page_writes = on",
            ),
            (
                |facts| facts.synchronous_commit = "off".to_owned(),
                0,
                State::Fail,
                "is off: a crash",
                "synchronous_commit = on",
            ),
            (|facts| facts.synchronous_commit = "local".to_owned(), 1, State::Fail, "waits for no standby", "= on"),
            (|facts| facts.standbys = Some(0), 1, State::Fail, "0 synchronous standbys follow", "application_name"),
            (|facts| facts.standbys = None, 1, State::Fail, "may not see", "GRANT pg_monitor TO sender"),
            (|_| {}, 2, State::Fail, "a COMMIT waits for 1", "'ANY 2 (…)'"),
            (|facts| facts.synchronous_names.clear(), 1, State::Fail, "a COMMIT waits for 0", "'ANY 1 (…)'"),
            (|facts| facts.ahead_ms = 1_500, 0, State::Warn, "1500 ms ahead of", "NTP"),
            (|facts| facts.ahead_ms = -90_000, 0, State::Fail, "90000 ms behind", "NTP"),
            (|facts| facts.autovacuum = false, 0, State::Fail, "autovacuum is off", "autovacuum = on"),
            (|facts| facts.shared_sessions = Some("shares".to_owned()), 0, State::Fail, "shares", "does not start"),
            (
                |facts| facts.schema = SchemaFacts::Empty(false),
                0,
                State::Fail,
                "may not make them",
                "GRANT CREATE ON DATABASE hooks TO sender",
            ),
            (
                |facts| facts.schema = SchemaFacts::Foreign,
                0,
                State::Fail,
                "something else",
                "another `schema` in [store]",
            ),
            (
                |facts| facts.schema = SchemaFacts::Tables { version: 2, needs: 2, newest: 1, owned: true },
                0,
                State::Fail,
                "newer hookswitch",
                "newer",
            ),
            (
                |facts| facts.schema = SchemaFacts::Tables { version: 1, needs: 1, newest: 1, owned: false },
                0,
                State::Fail,
                "not the user sender's",
                "owner",
            ),
        ];
        for (change, replicas, state, message, advice) in cases {
            let mut facts = well();
            change(&mut facts);
            let checks = judge(&facts, &store(*replicas));
            let faults: Vec<_> = checks.iter().filter(|check| check.state != State::Ok).collect();
            let [fault] = faults.as_slice() else { panic!("{message}: {faults:?}") };
            assert_eq!(fault.state, *state, "{fault:?}");
            assert!(fault.message.contains(message), "{message}: {fault:?}");
            assert!(fault.advice.as_ref().is_some_and(|said| said.contains(advice)), "{advice}: {fault:?}");
        }
    }

    #[test]
    fn a_transaction_that_has_been_open_for_long_is_named() {
        let mut facts = well();
        facts.oldest_transaction = Some(("process 7".to_owned(), 150));
        let check = transactions(&facts);
        assert_eq!(check.state, State::Warn);
        assert!(check.message.contains("process 7 has been open for 2m 30s"), "{check:?}");
        facts.oldest_transaction = None;
        assert_eq!(transactions(&facts).state, State::Ok);
    }

    #[test]
    fn the_number_of_standbys_that_a_commit_waits_for_is_read_from_their_names() {
        for (names, number) in [
            ("", 0),
            (" ", 0),
            ("*", 1),
            ("a, b", 1),
            ("2 (a, b, c)", 2),
            ("FIRST 3 (*)", 3),
            ("ANY 2 (a, \"b\")", 2),
            ("any 2(a,b)", 2),
        ] {
            assert_eq!(waits_for(names), number, "{names}");
        }
    }
}
