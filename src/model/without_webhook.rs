//! Companies that post events without having a webhook: mostly a name misspelt on one side. They are shown in the
//! statistics with their latest event.
//!
//! In the view under `u` and the company: the time in milliseconds (u64, big-endian). It is part of applying the
//! accepted event, so it survives restarts and is in backups. At most [`MOST`] are stored; then the one with the oldest
//! event is dropped. Whether a company has a webhook by now is checked on reading.

use std::collections::HashMap;

use crate::core::event::Company;
use crate::core::time::Timestamp;
use crate::model::error::StoreError;
use crate::model::key::{Key, ValueKind};
use crate::model::keys;
use crate::model::view::{View, ViewMut};

/// The maximum number of companies.
const MOST: usize = 1_000;
/// The minimum time between two writes for a company, in milliseconds, since it may post many events per second.
const STEP: u64 = 1_000;

/// The companies with the time of their latest event.
#[derive(Debug, Default)]
pub(crate) struct CompaniesWithoutWebhook(HashMap<Company, Timestamp>);

impl CompaniesWithoutWebhook {
    /// Loads them from the view. Unreadable ones are set aside.
    pub(crate) fn read(view: &dyn View) -> Result<Self, StoreError> {
        let mut known = HashMap::new();
        for (key, value) in view.scan(&Key::all(ValueKind::WithoutWebhook), None, MOST * 2)? {
            match Self::decode(&key, &value) {
                Some((company, at)) => drop(known.insert(company, at)),
                None => view.note_unreadable(&key, None),
            }
        }
        Ok(Self(known))
    }

    /// Records an event of a company without a webhook.
    pub(crate) fn note(&mut self, company: &Company, at: Timestamp, view: &dyn ViewMut) {
        let known = self.0.get(company);
        if known.is_some_and(|known| at.millis() < known.millis() + STEP) {
            return;
        }
        if known.is_none() && self.0.len() >= MOST {
            let oldest = self.0.iter().min_by_key(|(_, at)| **at).map(|(company, _)| company.clone());
            if let Some(oldest) = oldest {
                self.0.remove(&oldest);
                view.remove(keys::without_webhook(oldest.as_str()));
            }
        }
        self.0.insert(company.clone(), at);
        view.put(keys::without_webhook(company.as_str()), at.millis().to_be_bytes().to_vec());
    }

    /// Takes over what another process has recorded: the latest event of a company, or that it is no longer kept.
    #[cfg(feature = "postgres")]
    pub(crate) fn take_over(&mut self, company: Company, at: Option<Timestamp>) {
        match at {
            Some(at) => drop(self.0.insert(company, at)),
            None => drop(self.0.remove(&company)),
        }
    }

    /// The company and time of a stored value; `None` if it cannot be read.
    pub(crate) fn decode(key: &Key, value: &[u8]) -> Option<(Company, Timestamp)> {
        let at = Timestamp::from_millis(u64::from_be_bytes(value.try_into().ok()?));
        Some((Self::company(key)?, at))
    }

    /// The company of a key.
    pub(crate) fn company(key: &Key) -> Option<Company> {
        Company::parse(std::str::from_utf8(key.rest()).ok()?).ok()
    }

    /// The companies for which `wanted` holds, latest event first.
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
    fn the_oldest_company_is_dropped_and_the_others_are_loaded_again() {
        let state = InMemoryView::default();
        let mut companies = CompaniesWithoutWebhook::default();
        let company = |n: usize| Company::parse(&format!("c{n}")).unwrap();
        let at = |n: usize| Timestamp::from_millis(n as u64 * STEP);
        for n in 0..=MOST {
            companies.note(&company(n), at(n), &state);
        }
        companies.note(&company(1), at(MOST + 1), &state);
        companies.note(&company(2), Timestamp::from_millis(2 * STEP + 1), &state);
        let all = companies.list(|_| true);
        assert_eq!((all.len(), &all[0]), (MOST, &(company(1), at(MOST + 1))));
        assert_eq!(
            all[MOST - 1],
            (company(2), at(2)),
            "the first is dropped, and a slightly later event changes nothing"
        );
        assert_eq!(CompaniesWithoutWebhook::read(&state).unwrap().list(|_| true), all);
        assert_eq!(companies.list(|one| *one == company(7)), [(company(7), at(7))]);
    }
}
