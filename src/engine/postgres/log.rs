//! The log: a table of records, found by id and by terms.
//!
//! Each record is stored with its index keys ([`term`](crate::model::term)), and in addition with one for all companies
//! together where a key names a company, so that a call or a number is found without naming whose it is. Different
//! terms may have equal keys, so readers compare what they find.

use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError, RwLock};

use postgres::Row;

use crate::engine::postgres::connection::Pool;
use crate::engine::postgres::id::Id;
use crate::engine::postgres::kinds;
use crate::model::error::StoreError;
use crate::model::record::{Class, Head, SCHEMA};
use crate::model::redactions::Index;
use crate::model::term::{Lookup, Owner, Term, of_all_companies};
use crate::model::view::{Log, Reached, Sample, Tally, Visit, Wanted, Work};

const COLUMNS: &str = "SELECT id, kind, version, payload FROM records";
/// All classes.
const CLASSES: [i16; 5] = [
    kinds::class(Class::Event),
    kinds::class(Class::WithEvent),
    kinds::class(Class::LogEntry),
    kinds::class(Class::Message),
    kinds::class(Class::Other),
];
/// How many records are read with one statement: first, and at most.
const READ_FIRST: i64 = 32;
const READ_MOST: i64 = 512;
/// A millisecond of ids.
const MILLISECOND: u128 = 1 << 80;

/// The log, for reading.
pub(super) struct Records {
    pub(super) pool: Arc<Pool>,
    pub(super) tally: Tally,
    /// Rules by which what is read is redacted.
    pub(super) redaction: Arc<RwLock<Index>>,
}

fn signed(key: u64) -> i64 {
    // Keys have 49 bits.
    i64::try_from(key).unwrap_or(i64::MAX)
}

/// The condition for a record to be under a term.
fn lists(term: Term<'_>, company: Option<&str>, kinds: &[u8]) -> Vec<i64> {
    let owner = company.map(Owner::company);
    let unowned = kinds.iter().any(|kind| (SCHEMA.may_be_unowned)(*kind));
    let lookup = if unowned { term.lookup_with_unknown(owner.as_ref()) } else { term.lookup(owner.as_ref()) };
    match lookup {
        Lookup::One(key) => vec![signed(key)],
        Lookup::Two(one, other) => vec![signed(one), signed(other)],
        Lookup::Range(first, _) => vec![signed(of_all_companies(first))],
    }
}

/// The classes of kinds.
fn classes(kinds: &[u8]) -> Vec<i16> {
    let mut all: Vec<i16> = kinds.iter().map(|kind| kinds::class((SCHEMA.class)(*kind))).collect();
    all.sort_unstable();
    all.dedup();
    all
}

impl Records {
    /// Passes a row to `visit`, redacted.
    fn pass<T>(&self, row: &Row, work: Option<&Work<'_>>, visit: impl FnOnce(Head, &[u8]) -> T) -> T {
        let (head, payload) = record_in(row);
        if let Some(work) = work {
            work.frame(payload.len() as u64);
        }
        let redacted = {
            let index = self.redaction.read().unwrap_or_else(PoisonError::into_inner);
            if index.is_empty() { None } else { index.apply(head, payload).map(|(redacted, _)| redacted) }
        };
        visit(head, redacted.as_deref().unwrap_or(payload))
    }

    /// The first record under a term from this id on.
    fn first_from(&self, term: &[i64], from: u128) -> Result<Option<Row>, StoreError> {
        let sql = format!("{COLUMNS} WHERE class = ANY($1) AND terms @> $2 AND id >= $3 ORDER BY id LIMIT 1");
        Ok(self.pool.query(&sql, &[&classes_of_events(), &term, &Id(from)])?.into_iter().next())
    }

    /// An id such that all records under the term before it are passed: found by halving the time between.
    fn first_not_passed(&self, term: &[i64], passed: &dyn Fn(Head, &[u8]) -> Option<bool>) -> Result<u128, StoreError> {
        let id_of = |row: &Row| row.get::<_, Id>(0).0;
        let Some(first) = self.first_from(term, 0)? else { return Ok(0) };
        if self.pass(&first, None, |head, payload| passed(head, payload)) != Some(true) {
            return Ok(0);
        }
        let sql = format!("{COLUMNS} WHERE class = ANY($1) AND terms @> $2 ORDER BY id DESC LIMIT 1");
        let last = self.pool.query(&sql, &[&classes_of_events(), &term])?;
        // Everything at or before `low` is passed; nothing is known from `high` on.
        let (mut low, mut high) = (id_of(&first), last.first().map_or(0, id_of));
        while high.saturating_sub(low) > 16 * MILLISECOND {
            let middle = low + (high - low) / 2;
            match self.first_from(term, middle)? {
                Some(row) if self.pass(&row, None, |head, payload| passed(head, payload)) == Some(true) => {
                    low = id_of(&row);
                }
                _ => high = middle,
            }
        }
        Ok(low)
    }
}

/// A record as read with its id, kind, version and payload, in this order.
pub(super) fn record_in(row: &Row) -> (Head, &[u8]) {
    let byte = |column: usize| u8::try_from(row.get::<_, i16>(column)).unwrap_or(u8::MAX);
    let head = Head { version: byte(2), kind: byte(1), continues: false, batch: 0, id: row.get::<_, Id>(0).0 };
    (head, row.get(3))
}

/// The class of events, which carry the deliveries they begin.
fn classes_of_events() -> Vec<i16> {
    vec![kinds::class(Class::Event)]
}

impl Log for Records {
    fn record(&self, id: u128, visit: &mut dyn FnMut(Head, &[u8])) -> Result<bool, StoreError> {
        let sql = format!("{COLUMNS} WHERE class = ANY($1) AND id = $2");
        let rows = self.pool.query(&sql, &[&CLASSES.as_slice(), &Id(id)])?;
        let work = self.unbounded();
        rows.iter().for_each(|row| self.pass(row, Some(&work), &mut *visit));
        Ok(!rows.is_empty())
    }

    fn newest_first(&self, wanted: &Wanted<'_>, work: &Work<'_>, visit: Visit<'_>) -> Result<Reached, StoreError> {
        let terms = if wanted.keys.is_empty() { &[Term::All] } else { wanted.keys };
        let lists: Vec<Vec<i64>> = terms.iter().map(|term| lists(*term, wanted.company, wanted.kinds)).collect();
        // `@>` for all that must be there, `&&` for each of which one of two must be.
        let all: Vec<i64> = lists.iter().filter(|list| list.len() == 1).map(|list| list[0]).collect();
        let either: Vec<&Vec<i64>> = lists.iter().filter(|list| list.len() > 1).collect();
        let (classes, kinds) =
            (classes(wanted.kinds), wanted.kinds.iter().map(|kind| i16::from(*kind)).collect::<Vec<_>>());
        let mut sql =
            format!("{COLUMNS} WHERE class = ANY($1) AND kind = ANY($2) AND terms @> $3 AND id >= $4 AND id < $5");
        for number in 0..either.len() {
            sql.push_str(&format!(" AND terms && ${}", number + 7));
        }
        sql.push_str(" ORDER BY id DESC LIMIT $6");
        let (mut below, mut most) = (Id(wanted.below), READ_FIRST);
        loop {
            let from = Id(wanted.from);
            let mut values: Vec<&(dyn postgres::types::ToSql + Sync)> =
                vec![&classes, &kinds, &all, &from, &below, &most];
            values.extend(either.iter().map(|list| *list as &(dyn postgres::types::ToSql + Sync)));
            let rows = self.pool.query(&sql, &values)?;
            for row in &rows {
                if self.pass(row, Some(work), &mut *visit)?.is_break() {
                    return Ok(Reached::Enough);
                }
                if work.is_spent() {
                    return Ok(Reached::Spent(row.get::<_, Id>(0).0));
                }
            }
            match rows.last() {
                Some(last) if rows.len() as i64 == most => below = last.get(0),
                _ => return Ok(Reached::End),
            }
            most = (most * 4).min(READ_MOST);
        }
    }

    fn ascending(
        &self,
        term: Term<'_>,
        passed: &dyn Fn(Head, &[u8]) -> Option<bool>,
        visit: Visit<'_>,
    ) -> Result<(), StoreError> {
        let term = lists(term, None, &[]);
        let (mut from, mut most) = (Id(self.first_not_passed(&term, passed)?), READ_FIRST);
        let sql = format!("{COLUMNS} WHERE class = ANY($1) AND terms @> $2 AND id >= $3 ORDER BY id LIMIT $4");
        let work = self.unbounded();
        loop {
            let rows = self.pool.query(&sql, &[&classes_of_events(), &term, &from, &most])?;
            for row in &rows {
                let flow = self.pass(row, Some(&work), |head, payload| match passed(head, payload) {
                    Some(false) => visit(head, payload),
                    Some(true) | None => Ok(ControlFlow::Continue(())),
                })?;
                if flow.is_break() {
                    return Ok(());
                }
            }
            match rows.last() {
                Some(last) if rows.len() as i64 == most => from = Id(last.get::<_, Id>(0).0 + 1),
                _ => return Ok(()),
            }
            most = (most * 4).min(READ_MOST);
        }
    }

    fn one_of_each_company(
        &self,
        term: Term<'_>,
        kind: u8,
        work: &Work<'_>,
        visit: Sample<'_>,
    ) -> Result<(), StoreError> {
        let (kinds, keys) = ([kind], [term]);
        let wanted = Wanted { kinds: &kinds, keys: &keys, ..Wanted::ANY };
        let reached = self.newest_first(&wanted, work, &mut |head, payload| {
            let (_, more) = visit(head, payload);
            Ok(if more { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        });
        reached.map(drop)
    }

    fn has_any(&self, terms: &[u64]) -> Result<bool, StoreError> {
        let terms: Vec<i64> = terms.iter().map(|key| signed(*key)).collect();
        let found = self.pool.query("SELECT EXISTS (SELECT FROM records WHERE terms && $1)", &[&terms])?;
        Ok(found.first().is_some_and(|row| row.get(0)))
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}
