//! Searching the WAL, newest first, by the posting lists of the indexes.
//!
//! A query names the [terms](Term) that a frame must have; frames that have all of them are found without reading
//! others. The work of one query is bounded ([`Work`]): once it is used up, the query returns how far it got.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::engine::embedded::wal::index::{self, Index, Posting};
use crate::engine::embedded::wal::log::Wal;
use crate::engine::embedded::wal::segment::Segment;
use crate::model::error::{Damage, StoreError};
use crate::model::record::Schema;
use crate::model::term::{Lookup, Owner, Term};
use crate::model::view::{Reached, Sample, Visit, Wanted, Work};

/// How many posting lists of different companies are read side by side; of more, all postings are loaded at once.
const SIDE_BY_SIDE: usize = 8;
/// The approximate number of postings in a block.
const POSTINGS_PER_BLOCK: usize = 400;

impl Wal {
    /// Passes matching frames to `visit`, newest first, until it breaks or `work` is spent. Makes progress by at least
    /// one frame, so that repeated calls reach the end.
    pub(crate) fn newest_first(
        &self,
        wanted: &Wanted<'_>,
        work: &Work<'_>,
        visit: Visit<'_>,
    ) -> Result<Reached, StoreError> {
        let redaction = self.redaction();
        let visit: Visit<'_> =
            &mut |head, payload| Self::redacted(redaction.as_ref(), head, payload, |payload| visit(head, payload));
        for segment in self.newest_segments() {
            let first = segment.first_id()?;
            if first.is_some_and(|first| first >= wanted.below) {
                continue;
            }
            match (SegmentSearch { segment: &segment, wanted, work, schema: self.schema }).run(visit)? {
                Reached::End => {}
                reached => return Ok(reached),
            }
            // A segment without ids continues with the older one.
            let Some(first) = first else { continue };
            if first < wanted.from {
                break;
            }
            if work.is_spent() {
                return Ok(Reached::Spent(first));
            }
        }
        Ok(Reached::End)
    }

    /// Passes frames of kind `kind` with the term `key` to `visit`: of each segment the newest frame of every company.
    /// `visit` returns whether the frame was accepted (otherwise it gets that company's next one), and whether to
    /// continue.
    pub(crate) fn one_of_each_company(
        &self,
        key: Term<'_>,
        kind: u8,
        work: &Work<'_>,
        visit: Sample<'_>,
    ) -> Result<(), Damage> {
        let redaction = self.redaction();
        let Lookup::Range(first, last) = key.lookup(None) else { return Ok(()) };
        let wanted = Wanted { kinds: &[kind], ..Wanted::ANY };
        for segment in self.newest_segments() {
            let search = SegmentSearch { segment: &segment, wanted: &wanted, work, schema: self.schema };
            let mut from = first;
            // One company at a time: there may be very many, and few may be wanted.
            while let Some(own) = search.query(|index| index.keys_between(from, last, 1))?.first().copied() {
                let (mut cursor, mut below) = (Cursor::new(own), segment.end());
                while let Some(offset) = search.last_of(&mut cursor, below)? {
                    let mut answer = (false, true);
                    segment.frame(offset, &mut |head, payload| {
                        work.frame(payload.len() as u64);
                        answer = Self::redacted(redaction.as_ref(), head, payload, |payload| visit(head, payload));
                    })?;
                    match answer {
                        (_, false) => return Ok(()),
                        (true, true) => break,
                        (false, true) => below = offset,
                    }
                }
                from = own + 1;
            }
        }
        Ok(())
    }

    /// The segments, newest first.
    pub(crate) fn newest_segments(&self) -> Vec<Arc<Segment>> {
        let segments = self.segments.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        segments.values().rev().cloned().collect()
    }
}

/// A search of one segment.
struct SegmentSearch<'l> {
    segment: &'l Segment,
    wanted: &'l Wanted<'l>,
    work: &'l Work<'l>,
    schema: &'l Schema,
}

impl SegmentSearch<'_> {
    fn run(&self, visit: Visit<'_>) -> Result<Reached, StoreError> {
        let mut lists = self.lists()?;
        for list in &lists {
            if !self.may_have_any(list)? {
                return Ok(Reached::End);
            }
        }
        let mut below = self.upper_end()?;
        loop {
            let (offset, agreed) = match self.next(&mut lists, below)? {
                Found::None => return Ok(Reached::End),
                Found::Agreed(offset) => (offset, true),
                Found::Spent(offset) => (offset, false),
            };
            below = offset;
            let mut reached = None;
            let mut flow = Ok(ControlFlow::Continue(()));
            self.segment.frame(offset, &mut |head, payload| {
                self.work.frame(payload.len() as u64);
                reached = Some(if agreed { head.id } else { head.id.saturating_add(1) });
                let inside = head.id >= self.wanted.from && head.id < self.wanted.below;
                if agreed && inside && self.wanted.kinds.contains(&head.kind) {
                    flow = visit(head, payload);
                }
            })?;
            if flow?.is_break() {
                return Ok(Reached::Enough);
            }
            match reached {
                Some(id) if id < self.wanted.from => return Ok(Reached::End),
                Some(id) if self.work.is_spent() => return Ok(Reached::Spent(id.min(self.wanted.below))),
                _ => {}
            }
        }
    }

    /// The first offset behind everything that matches.
    fn upper_end(&self) -> Result<u32, Damage> {
        let (wanted, until) = (self.wanted, self.wanted.until);
        let id = |late: u64| {
            let behind = until.map(|until| u128::from(until.millis().saturating_add(late)) << 80);
            behind.map_or(wanted.below, |behind| behind.min(wanted.below))
        };
        if wanted.below == u128::MAX && until.is_none() {
            return Ok(self.segment.end());
        }
        let mark = self.query(|index| index.sparse_ceiling(id(index.stats().late)))?;
        Ok(mark.unwrap_or_else(|| self.segment.end()))
    }

    /// The lists of all terms.
    fn lists(&self) -> Result<Vec<List>, Damage> {
        let keys = if self.wanted.keys.is_empty() { &[Term::All] } else { self.wanted.keys };
        let company = self.wanted.company.map(Owner::company);
        let unowned = self.wanted.kinds.iter().any(|kind| (self.schema.may_be_unowned)(*kind));
        keys.iter()
            .map(|key| {
                let lookup =
                    if unowned { key.lookup_with_unknown(company.as_ref()) } else { key.lookup(company.as_ref()) };
                self.list(lookup)
            })
            .collect()
    }

    fn list(&self, lookup: Lookup) -> Result<List, Damage> {
        let (first, last) = match lookup {
            Lookup::One(key) => return Ok(List(vec![Cursor::new(key)])),
            Lookup::Two(one, other) => return Ok(List(vec![Cursor::new(one), Cursor::new(other)])),
            Lookup::Range(first, last) => (first, last),
        };
        let keys = self.query(|index| index.keys_between(first, last, SIDE_BY_SIDE + 1))?;
        if keys.len() <= SIDE_BY_SIDE {
            return Ok(List(keys.into_iter().map(Cursor::new).collect()));
        }
        let mut all = self.query(|index| index.postings_between(first, last))?;
        (0..all.len() / POSTINGS_PER_BLOCK).for_each(|_| self.work.block());
        all.sort_unstable_by_key(|posting| posting.offset);
        Ok(List(vec![Cursor { key: 0, postings: all, at_end: true, from: 0 }]))
    }

    /// Whether the segment may have any posting of a list, from memory.
    fn may_have_any(&self, list: &List) -> Result<bool, Damage> {
        let may_have = |cursor: &Cursor, index: &Index| !cursor.postings.is_empty() || index.may_have(cursor.key);
        let found = self.segment.with_index(|index| Ok(list.0.iter().any(|cursor| may_have(cursor, index))))?;
        self.work.bytes(found.rebuilt_bytes);
        Ok(found.answer)
    }

    /// The last offset below `below` that is in all lists.
    fn next(&self, lists: &mut [List], below: u32) -> Result<Found, Damage> {
        let mut below = below;
        'again: loop {
            let mut offset = None;
            for list in &mut *lists {
                let Some(own) = self.last_below(list, below)? else { return Ok(Found::None) };
                match offset {
                    None => (offset, below) = (Some(own), own + 1),
                    Some(other) if other == own => {}
                    Some(_) => {
                        // This list has nothing between.
                        below = own + 1;
                        if self.work.is_spent() {
                            return Ok(Found::Spent(own));
                        }
                        continue 'again;
                    }
                }
            }
            return Ok(offset.map_or(Found::None, Found::Agreed));
        }
    }

    fn last_below(&self, list: &mut List, below: u32) -> Result<Option<u32>, Damage> {
        let mut last = None;
        for cursor in &mut list.0 {
            last = last.max(self.last_of(cursor, below)?);
        }
        Ok(last)
    }

    /// The last offset below `below` under a key. Postings above it are discarded.
    fn last_of(&self, cursor: &mut Cursor, below: u32) -> Result<Option<u32>, Damage> {
        let tags = self.wanted.kinds.iter().fold(0, |tags, kind| tags | index::tag_of((self.schema.class)(*kind)));
        loop {
            let end = cursor.postings.partition_point(|posting| posting.offset < below);
            cursor.postings.truncate(end);
            while cursor.postings.last().is_some_and(|posting| posting.tag & tags == 0) {
                cursor.postings.pop();
            }
            if let Some(last) = cursor.postings.last() {
                return Ok(Some(last.offset));
            }
            if cursor.at_end {
                return Ok(None);
            }
            let (key, below) = (cursor.key, below.min(cursor.from));
            cursor.postings = self.query(|index| index.below(key, below))?;
            cursor.at_end = cursor.postings.is_empty();
            cursor.from = cursor.postings.first().map_or(0, |first| first.offset);
        }
    }

    fn query<T>(&self, query: impl Fn(&Index) -> io::Result<T>) -> Result<T, Damage> {
        self.segment.query_index(self.work, query)
    }
}

impl Segment {
    /// Queries the index, and accounts for it.
    pub(crate) fn query_index<T>(&self, work: &Work<'_>, query: impl Fn(&Index) -> io::Result<T>) -> Result<T, Damage> {
        work.block();
        let found = self.with_index(query)?;
        work.bytes(found.rebuilt_bytes);
        Ok(found.answer)
    }
}

/// The result of intersecting all lists.
enum Found {
    /// There is no more.
    None,
    /// All lists have this offset.
    Agreed(u32),
    /// The work was spent at this offset; nothing above it matches.
    Spent(u32),
}

/// The union of the posting lists of one term for several companies.
struct List(Vec<Cursor>);

/// A posting list, as far as it was read.
struct Cursor {
    key: u64,
    /// A part of it, ascending, without the discarded postings.
    postings: Vec<Posting>,
    /// Whether the list has nothing below this part.
    at_end: bool,
    /// The lowest offset that was read.
    from: u32,
}

impl Cursor {
    fn new(key: u64) -> Self {
        Self { key, postings: Vec::new(), at_end: false, from: u32::MAX }
    }
}
