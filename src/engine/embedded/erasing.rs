//! Erasing a person's data: out of events, conversations and the log, and off the disk.
//!
//! **What goes.** Of a company's events with this `lead_phone`, and of the others of the same calls that name no other
//! lead: `data` but for a few members that say nothing of a person ([`core::erasure`](crate::core::erasure)). Of the
//! messages of these calls' threads: numbers, body and what they say of the lead. Of entries of the log of these
//! events: the number, and what the receiver answered. The events, messages and entries themselves stay, with their
//! times, and so do all counts.
//!
//! **How.** What is to be erased is written into a file of its own (`erasing/`), synced, before anything else is
//! done, and from then on everything that is read from the journal is read as if it were done already
//! ([`Wal::mask`](crate::engine::embedded::wal::Wal::mask)); so are deliveries that are still sent. Then, in the thread
//! that retention has too, a new journal file is begun, every older one in which the index finds the number
//! or one of the calls is written again by the same rule, and the file in `erasing/` goes. A start
//! finds it and begins again: doing it twice changes nothing more. At last the journal is told that it was
//! done, and when, without the number.
//!
//! The state database has nothing that is personal. What is accepted after the request is not touched. Backups that
//! were made before, or while it was under way, hold what was erased.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::core::id::ErasureId;
use crate::core::time::Timestamp;
use crate::engine::embedded::durable;
use crate::engine::embedded::wal::{NotCompacted, Redaction, Throttle, Wal};
use crate::model::error::Damage;
use crate::model::lock::lock;
use crate::model::redaction::Rule;
use crate::model::redactions::{Found, Index, Redactions};
use crate::model::segment::Disposition;

/// Where what is to be erased stands until it is.
const DIRECTORY: &str = "erasing";

/// What is being erased, for all who read.
pub(crate) struct Erasures {
    dir: PathBuf,
    journal: Arc<Wal>,
    /// Those that are not off the disk yet, in the order in which they were asked for.
    under_way: Mutex<BTreeMap<ErasureId, Arc<Rule>>>,
    /// The same, for reading by them.
    masks: Arc<RwLock<Index>>,
    redactions: Arc<Redactions>,
}

impl Erasures {
    /// Takes up what is under way in the data directory `dir`.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) fn take_up(dir: &Path, journal: Arc<Wal>) -> Result<Self, Damage> {
        let dir = dir.join(DIRECTORY);
        let mut rules = BTreeMap::new();
        let unreadable = |error: std::io::Error| Damage::io(&dir, "cannot be read", &error);
        if dir.is_dir() {
            for entry in fs::read_dir(&dir).map_err(unreadable)? {
                let path = entry.map_err(unreadable)?.path();
                if path.extension().is_some_and(|extension| extension == "json") {
                    let text = fs::read_to_string(&path).map_err(unreadable)?;
                    let rule = Rule::from_json(&text).ok_or_else(|| Damage::new(&path, "is damaged"))?;
                    rules.insert(rule.id, Arc::new(rule));
                }
            }
        }
        let redactions = Arc::new(Redactions::of(rules.values()));
        let masks = Arc::new(RwLock::new(Index::of(rules.values())));
        let erasures = Self { dir, journal, under_way: Mutex::new(rules), masks, redactions };
        erasures.mask();
        Ok(erasures)
    }

    /// Writes a rule to the disk, and reads by it from now on.
    pub(crate) fn begin(&self, rule: Rule) -> std::io::Result<()> {
        if !self.dir.is_dir() {
            fs::create_dir(&self.dir)?;
            self.dir.parent().map_or(Ok(()), durable::sync_dir)?;
        }
        durable::replace_file(&self.path(rule.id), rule.to_json().as_bytes())?;
        let rule = Arc::new(rule);
        self.redactions.insert(rule.clone());
        self.masks.write().unwrap_or_else(PoisonError::into_inner).insert(rule.clone());
        lock(&self.under_way).insert(rule.id, rule);
        self.mask();
        Ok(())
    }

    fn path(&self, id: ErasureId) -> PathBuf {
        self.dir.join(format!("{id}.json"))
    }

    /// From now on the journal is read by the rules of what is not off the disk yet.
    fn mask(&self) {
        // One at a time, so that what is set last is what holds.
        let _turn = lock(&self.under_way);
        let masks = self.masks.clone();
        let none = masks.read().unwrap_or_else(PoisonError::into_inner).is_empty();
        self.journal.mask((!none).then(|| {
            Redaction::new(move |head, payload| {
                let masks = masks.read().unwrap_or_else(PoisonError::into_inner);
                masks.apply(head, payload).map(|(masked, _)| masked)
            })
        }));
    }

    /// Those that are not off the disk yet.
    pub(crate) fn under_way(&self) -> Vec<Arc<Rule>> {
        lock(&self.under_way).values().cloned().collect()
    }

    /// What is taken out of entries that are about to be written.
    pub(crate) const fn redactions(&self) -> &Arc<Redactions> {
        &self.redactions
    }

    /// Writes the files again in which something of `rules` stands, each once; all below `newest`. Says what was found,
    /// by rule.
    pub(crate) fn erase(
        &self,
        rules: &[Arc<Rule>],
        newest: u32,
        throttle: Throttle<'_>,
    ) -> Result<HashMap<ErasureId, Found>, NotCompacted> {
        let mut found: HashMap<ErasureId, Found> = HashMap::new();
        let hashes: Vec<u64> = rules.iter().flat_map(|rule| rule.hashes()).collect();
        let index = Index::of(rules);
        for number in self.journal.numbers_with(&hashes)? {
            if number >= newest {
                continue;
            }
            let mut any = false;
            self.journal.survey(
                number,
                &mut |head, payload| {
                    if let Some((_, id)) = index.apply(head, payload) {
                        any = true;
                        found.entry(id).or_default().count(head.kind);
                    }
                    Ok(Disposition::Keep)
                },
                throttle,
            )?;
            if !any {
                continue;
            }
            self.journal.rewrite(
                number,
                &mut |head, payload| {
                    Ok(index
                        .apply(head, payload)
                        .map_or(Disposition::Keep, |(erased, _)| Disposition::Replace(head.kind, erased)))
                },
                throttle,
            )?;
        }
        Ok(found)
    }

    /// They are off the disk, and the journal knows. Of one that `found` nothing, nothing is left; the others are
    /// remembered until no attempt can be under way any more that had begun before.
    pub(crate) fn done(
        &self,
        rules: &[Arc<Rule>],
        found: &HashMap<ErasureId, Found>,
        now: Timestamp,
    ) -> std::io::Result<()> {
        for rule in rules {
            fs::remove_file(self.path(rule.id))?;
        }
        durable::sync_dir(&self.dir)?;
        for rule in rules {
            lock(&self.under_way).remove(&rule.id);
            self.masks.write().unwrap_or_else(PoisonError::into_inner).remove(rule);
        }
        self.redactions.done(rules, found, now);
        self.mask();
        Ok(())
    }
}
