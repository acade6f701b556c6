//! The bare loop of the statements by which the PostgreSQL engine accepts events: one connection, no HTTP, nothing
//! decided. The texts are the engine's own, read from its source; the rows are those that a daemon wrote for a group of
//! events, with other ids, keys and terms.

use std::collections::HashMap;
use std::error::Error;
use std::time::{Duration, Instant};

use postgres::types::private::BytesMut;
use postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};
use postgres::{Client, NoTls, Row, SimpleQueryMessage};

use super::Outcome;
use super::daemon::Daemon;
use super::engine::Server;
use super::figures::Sample;

const COMMIT_SOURCE: &str = include_str!("../../src/engine/postgres/commit.rs");
const CHANGES_SOURCE: &str = include_str!("../../src/engine/postgres/changes.rs");
const RECOVERY_SOURCE: &str = include_str!("../../src/engine/postgres/recovery.rs");
/// How many events the daemon is given as an example: they are one group.
const EXAMPLES: usize = 100;

/// The text of a statement in a source file.
fn statement(source: &str, name: &str) -> Outcome<String> {
    let head = format!("const {name}: &str =");
    let text = source.split_once(&head).and_then(|(_, rest)| rest.split_once('"')?.1.split_once("\";"));
    let text = text.ok_or_else(|| format!("the engine has no statement {name}"))?.0;
    // A line that ends with a backslash goes on without the blanks of the next.
    Ok(text.split("\\\n").map(str::trim_start).collect())
}

/// A row of the view.
type Value = (i16, Vec<u8>, Vec<u8>);

/// What a daemon writes for a group of events.
struct Example {
    kinds: Vec<(i16, i16, i16, Vec<u8>)>,
    /// The terms of each event: those that all have, and how many others.
    shared_terms: Vec<i64>,
    other_terms: usize,
    /// Values for each event, and how many bytes at the beginning of their keys all have.
    each: Vec<(Value, usize)>,
    /// Values of the group.
    group: Vec<Value>,
    last_id: u128,
}

impl Example {
    /// Of the last group that was committed in `schema`.
    fn read(server: &Server, schema: &str) -> Outcome<Self> {
        let last = format!("(SELECT xmin FROM {schema}.records WHERE class = 1 ORDER BY id DESC LIMIT 1)");
        let records = format!(
            "SELECT class, kind, version, payload, terms, id FROM {schema}.records WHERE xmin = {last} ORDER BY id"
        );
        let values = format!("SELECT kind, key, value FROM {schema}.state WHERE xmin = {last} ORDER BY kind, key");
        let (records, values) = server.ask(|client| Ok((client.query(&records, &[])?, client.query(&values, &[])?)))?;
        if records.len() != EXAMPLES {
            return Err(format!("{EXAMPLES} events became {} records of one commit", records.len()).into());
        }
        let terms: Vec<Vec<i64>> = records.iter().map(|row| row.get(4)).collect();
        let shared_terms: Vec<i64> =
            terms[0].iter().copied().filter(|term| terms.iter().all(|all| all.contains(term))).collect();
        let mut by_kind: HashMap<i16, Vec<Value>> = HashMap::new();
        for row in &values {
            by_kind.entry(row.get(0)).or_default().push((row.get(0), row.get(1), row.get(2)));
        }
        let (mut each, mut group) = (Vec::new(), Vec::new());
        for of_kind in by_kind.into_values() {
            if of_kind.len() < EXAMPLES {
                group.extend(of_kind);
                continue;
            }
            let same = |(one, other): &(&u8, &u8)| one == other;
            let (first, last) = (&of_kind[0].1, &of_kind[of_kind.len() - 1].1);
            let shared = first.iter().zip(last).take_while(same).count();
            each.extend(of_kind[..of_kind.len() / EXAMPLES].iter().map(|value| (value.clone(), shared)));
        }
        Ok(Self {
            other_terms: terms[0].len() - shared_terms.len(),
            shared_terms,
            kinds: records.iter().map(|row: &Row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect(),
            each,
            group,
            last_id: records[EXAMPLES - 1].get::<_, Id>(5).0,
        })
    }
}

/// A loop that is ready to run, in the schema of a daemon that was stopped.
pub(crate) struct Bare {
    client: Client,
    example: Example,
    texts: [String; 3],
    node: Id,
    number: u64,
}

impl Bare {
    /// A loop. `receiver` is the URL of the webhook, which is disabled.
    pub(crate) fn new(server: &Server, receiver: &str) -> Outcome<Self> {
        let daemon = Daemon::start(&[])?;
        daemon.subscribe(receiver, false)?;
        daemon.target.post_batches(0, EXAMPLES)?;
        let schema = daemon.schema().ok_or("the daemon has no schema")?.to_owned();
        drop(daemon);
        let example = Example::read(server, &schema)?;
        let mut client = Client::connect(&server.url(), NoTls)?;
        let settings = statement(RECOVERY_SOURCE, "WRITERS")?;
        client.batch_execute(&format!("SET search_path = {schema}; SET jit = off; {settings}"))?;
        let node = Id(1);
        client.execute(
            "INSERT INTO nodes (node, name, version, process, until) VALUES ($1, '', '', '', now())",
            &[&node],
        )?;
        let texts = [
            statement(COMMIT_SOURCE, "LOCK")?,
            statement(CHANGES_SOURCE, "PREFETCH")?,
            statement(COMMIT_SOURCE, "COMMIT")?,
        ];
        Ok(Self { client, example, texts, node, number: 0 })
    }

    /// Commits groups of `size` events for `time`. A latency is that of a group.
    pub(crate) fn run(&mut self, size: usize, time: Duration) -> Outcome<Sample> {
        let prefetch = self.client.prepare(&self.texts[1])?;
        let commit = self.client.prepare(&self.texts[2])?;
        let (start, mut latencies) = (Instant::now(), Vec::new());
        while start.elapsed() < time {
            let begun = Instant::now();
            self.group(size, &prefetch, &commit)?;
            latencies.push(begun.elapsed());
        }
        Ok(Sample::new(latencies.len() * size, start.elapsed(), latencies))
    }

    fn group(&mut self, size: usize, prefetch: &postgres::Statement, commit: &postgres::Statement) -> Outcome<()> {
        let Example { kinds, shared_terms, other_terms, each, group, last_id } = &self.example;
        let (mut ids, mut terms, mut of_record) = (Vec::new(), Vec::new(), Vec::new());
        let mut values: Vec<Value> = group.clone();
        for index in 0..size {
            self.number += 1;
            ids.push(Id(last_id + u128::from(self.number)));
            of_record.push(&kinds[index % kinds.len()]);
            let others = (0..*other_terms).map(|other| i64::try_from(scattered(self.number, other) >> 1).unwrap_or(0));
            let all: Vec<String> = shared_terms.iter().copied().chain(others).map(|term| term.to_string()).collect();
            terms.push(all.join(","));
            for (at, ((kind, key, value), shared)) in each.iter().enumerate() {
                let mut key = key.clone();
                let rest = key.len() - shared;
                // Keys that differ in a few bytes at their end are numbers, which go up; others are scattered.
                let own = if rest <= 4 { self.number + EXAMPLES as u64 } else { scattered(self.number, at) };
                let bytes = own.to_be_bytes();
                let count = if rest <= 4 { 4.min(key.len()) } else { 8.min(rest) };
                let place = if rest <= 4 { key.len() - count } else { *shared };
                key[place..place + count].copy_from_slice(&bytes[8 - count..]);
                values.push((*kind, key, value.clone()));
            }
        }
        let (kinds, keys): (Vec<i16>, Vec<&[u8]>) = values.iter().map(|(kind, key, _)| (*kind, key.as_slice())).unzip();
        let contents: Vec<&[u8]> = values.iter().map(|(.., value)| value.as_slice()).collect();
        let locked = self.client.simple_query(&self.texts[0])?;
        let row = locked.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let batch: i64 = row.and_then(|row| row.get(0)).ok_or("no row of `store`")?.parse()?;
        // The calls; what is new is not asked for.
        self.client.query(prefetch, &[&kinds, &keys])?;
        let classes: Vec<i16> = of_record.iter().map(|(class, ..)| *class).collect();
        let record_kinds: Vec<i16> = of_record.iter().map(|(_, kind, ..)| *kind).collect();
        let payloads: Vec<&[u8]> = of_record.iter().map(|(.., payload)| payload.as_slice()).collect();
        let (no_kinds, no_keys, no_ids) = (Vec::<i16>::new(), Vec::<&[u8]>::new(), Vec::<Id>::new());
        let last = ids[ids.len() - 1];
        self.client.query(
            commit,
            &[
                &(batch + 1),
                &last,
                &2_i64,
                &self.node,
                &of_record[0].2,
                &ids,
                &classes,
                &record_kinds,
                &terms,
                &payloads,
                &kinds,
                &keys,
                &contents,
                &no_keys,
                &no_kinds,
                &no_keys,
                &no_kinds,
                &no_keys,
                &no_keys,
                &no_ids,
                &no_kinds,
                &no_keys,
                &false,
            ],
        )?;
        self.client.batch_execute("COMMIT")?;
        Ok(())
    }
}

/// A number like a hash (the finaliser of MurmurHash3).
fn scattered(number: u64, salt: usize) -> u64 {
    let mut bits = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(salt as u64 + 1);
    bits = (bits ^ (bits >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits = (bits ^ (bits >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    bits ^ (bits >> 33)
}

/// The bits of an id.
#[derive(Debug, Clone, Copy)]
struct Id(u128);

impl ToSql for Id {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0.to_be_bytes());
        Ok(IsNull::No)
    }

    accepts!(UUID);
    to_sql_checked!();
}

impl<'b> FromSql<'b> for Id {
    fn from_sql(_: &Type, raw: &'b [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(u128::from_be_bytes(raw.try_into()?)))
    }

    accepts!(UUID);
}
