//! The companies whose events nobody gets, because they have no webhook at all: mostly a name that is misspelt here or
//! there. The latest of each is told of in the statistics.
//!
//! In the state under `u` and the company: the time in milliseconds (u64, big-endian). Part of the step that accepts
//! the event, and so over restarts and in backups. At most [`MOST`] are known: then the one that posted longest ago goes.
//! Whether a company has a webhook by now is asked when they are looked at.

use std::collections::HashMap;

use crate::core::event::Company;
use crate::core::time::Timestamp;
use crate::model::error::StoreError;
use crate::model::keys;
use crate::model::view::{View, ViewMut};

/// The most companies that are known.
const MOST: usize = 1_000;
/// How much later a company's next event must be to be written, in milliseconds: with many a second, few are.
const STEP: u64 = 1_000;

/// All of them, with the time of their latest event.
#[derive(Debug, Default)]
pub(crate) struct Unserved(HashMap<Company, Timestamp>);

impl Unserved {
    /// Those that the state has. What cannot be read is set aside.
    pub(crate) fn read(view: &dyn View) -> Result<Self, StoreError> {
        let mut known = HashMap::new();
        for (key, value) in view.scan(&[keys::UNSERVED], None, MOST * 2)? {
            let company = std::str::from_utf8(&key[1..]).ok().and_then(|name| Company::parse(name).ok());
            let at = value.try_into().ok().map(|bytes| Timestamp::from_millis(u64::from_be_bytes(bytes)));
            match company.zip(at) {
                Some(pair) => drop(known.insert(pair.0, pair.1)),
                None => view.note_unreadable(&key, None),
            }
        }
        Ok(Self(known))
    }

    /// Notes an event of a company that has no webhook.
    pub(crate) fn note(&mut self, company: &Company, at: Timestamp, view: &dyn ViewMut) {
        let known = self.0.get(company);
        if known.is_some_and(|known| at.millis() < known.millis() + STEP) {
            return;
        }
        if known.is_none() && self.0.len() >= MOST {
            let oldest = self.0.iter().min_by_key(|(_, at)| **at).map(|(company, _)| company.clone());
            if let Some(oldest) = oldest {
                self.0.remove(&oldest);
                view.remove(keys::unserved(oldest.as_str()));
            }
        }
        self.0.insert(company.clone(), at);
        view.put(keys::unserved(company.as_str()), at.millis().to_be_bytes().to_vec());
    }

    /// Those of which `wanted` says so, the latest first.
    pub(crate) fn list(&self, wanted: impl Fn(&Company) -> bool) -> Vec<(Company, Timestamp)> {
        let mut found: Vec<_> =
            self.0.iter().filter(|(company, _)| wanted(company)).map(|(c, at)| (c.clone(), *at)).collect();
        found.sort_unstable_by(|(one, a), (other, b)| b.cmp(a).then_with(|| one.cmp(other)));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::in_memory::InMemoryView;

    #[test]
    fn the_one_that_posted_longest_ago_goes_and_the_rest_is_read_again() {
        let state = InMemoryView::default();
        let mut unserved = Unserved::default();
        let company = |n: usize| Company::parse(&format!("c{n}")).unwrap();
        let at = |n: usize| Timestamp::from_millis(n as u64 * STEP);
        for n in 0..=MOST {
            unserved.note(&company(n), at(n), &state);
        }
        unserved.note(&company(1), at(MOST + 1), &state);
        unserved.note(&company(2), Timestamp::from_millis(2 * STEP + 1), &state);
        let all = unserved.list(|_| true);
        assert_eq!((all.len(), &all[0]), (MOST, &(company(1), at(MOST + 1))));
        assert_eq!(all[MOST - 1], (company(2), at(2)), "the first is gone, and a little later is not worth a change");
        assert_eq!(Unserved::read(&state).unwrap().list(|_| true), all);
        assert_eq!(unserved.list(|one| *one == company(7)), [(company(7), at(7))]);
    }
}
