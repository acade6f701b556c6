//! Erasing a person's data from events, conversations and the log, and from the disk.
//!
//! **Scope.** Of a company's events with the given `lead_phone`, and of the other events of the same calls that name no
//! other lead: `data`, except a few members without personal data ([`core::erasure`](crate::core::erasure)). Of
//! messages in the threads of these calls: numbers, body and lead. Of log entries of these events: the number and the
//! receiver's response. The events, messages and entries themselves remain with their times, and so do all counts.
//!
//! **Procedure.** The rule is first written to a file of its own in `erasing/` and synced. From then on everything read
//! from the WAL is redacted by it ([`Wal::set_redaction`](crate::engine::embedded::wal::Wal::set_redaction)), and so
//! are deliveries that are still sent. The retention worker then begins a new segment, rewrites by the same rule every
//! older segment whose index contains the number or one of the calls, and removes the file in `erasing/`. A start
//! resumes a pending erasure: doing it twice has no further effect. Finally a record in the WAL states that the erasure
//! was done and when, without the number.
//!
//! The state database contains no personal data. Data accepted after the request is not touched. Backups taken before
//! or during an erasure contain the erased data.

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
use crate::model::record::Disposition;
use crate::model::redaction::Rule;
use crate::model::redactions::{Found, Index, Redactions};

/// The directory of the rules that are not complete on the disk.
const DIRECTORY: &str = "erasing";

/// The erasures in progress.
pub(crate) struct Erasures {
    dir: PathBuf,
    wal: Arc<Wal>,
    /// Rules that are not complete on the disk, in the order of their requests.
    under_way: Mutex<BTreeMap<ErasureId, Arc<Rule>>>,
    /// The same rules, indexed for redacting reads.
    index: Arc<RwLock<Index>>,
    redactions: Arc<Redactions>,
}

/// The rules of the pending erasures of the data directory `dir`.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn rules_in(dir: &Path) -> Result<BTreeMap<ErasureId, Rule>, Damage> {
    let dir = dir.join(DIRECTORY);
    let mut rules = BTreeMap::new();
    let unreadable = |error: std::io::Error| Damage::io(&dir, "cannot be read", &error);
    if dir.is_dir() {
        for entry in fs::read_dir(&dir).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let text = fs::read_to_string(&path).map_err(unreadable)?;
                let rule = Rule::from_json(&text).ok_or_else(|| Damage::new(&path, "is damaged"))?;
                rules.insert(rule.id, rule);
            }
        }
    }
    Ok(rules)
}

/// Writes rules into the data directory `dir`, which is being made.
///
/// # Errors
/// A file cannot be written.
#[cfg(feature = "postgres")]
pub(crate) fn write_rules(dir: &Path, rules: &[Rule]) -> std::io::Result<()> {
    let dir = dir.join(DIRECTORY);
    if !rules.is_empty() {
        fs::create_dir(&dir)?;
    }
    rules
        .iter()
        .try_for_each(|rule| durable::replace_file(&dir.join(format!("{}.json", rule.id)), rule.to_json().as_bytes()))
}

impl Erasures {
    /// Loads the pending erasures of the data directory `dir`.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) fn load(dir: &Path, wal: Arc<Wal>) -> Result<Self, Damage> {
        let rules: BTreeMap<_, _> = rules_in(dir)?.into_iter().map(|(id, rule)| (id, Arc::new(rule))).collect();
        let dir = dir.join(DIRECTORY);
        let redactions = Arc::new(Redactions::of(rules.values()));
        let index = Arc::new(RwLock::new(Index::of(rules.values())));
        let erasures = Self { dir, wal, under_way: Mutex::new(rules), index, redactions };
        erasures.install_redaction();
        Ok(erasures)
    }

    /// Makes a rule durable, and redacts reads by it from now on.
    pub(crate) fn begin(&self, rule: Rule) -> std::io::Result<()> {
        if !self.dir.is_dir() {
            fs::create_dir(&self.dir)?;
            self.dir.parent().map_or(Ok(()), durable::sync_dir)?;
        }
        durable::replace_file(&self.path(rule.id), rule.to_json().as_bytes())?;
        let rule = Arc::new(rule);
        self.redactions.insert(rule.clone());
        self.index.write().unwrap_or_else(PoisonError::into_inner).insert(rule.clone());
        lock(&self.under_way).insert(rule.id, rule);
        self.install_redaction();
        Ok(())
    }

    fn path(&self, id: ErasureId) -> PathBuf {
        self.dir.join(format!("{id}.json"))
    }

    /// Redacts reads of the WAL by the pending rules from now on.
    fn install_redaction(&self) {
        // Serialised, so that the last change wins.
        let _turn = lock(&self.under_way);
        let index = self.index.clone();
        let none = index.read().unwrap_or_else(PoisonError::into_inner).is_empty();
        self.wal.set_redaction((!none).then(|| {
            Redaction::new(move |head, payload| {
                let index = index.read().unwrap_or_else(PoisonError::into_inner);
                index.apply(head, payload).map(|(redacted, _)| redacted)
            })
        }));
    }

    /// The rules that are not complete on the disk.
    pub(crate) fn under_way(&self) -> Vec<Arc<Rule>> {
        lock(&self.under_way).values().cloned().collect()
    }

    /// The redactions of log entries that are about to be written.
    pub(crate) const fn redactions(&self) -> &Arc<Redactions> {
        &self.redactions
    }

    /// Rewrites every segment below `newest` that contains something of `rules`, each once. Returns what was found, by
    /// rule.
    pub(crate) fn erase(
        &self,
        rules: &[Arc<Rule>],
        newest: u32,
        throttle: Throttle<'_>,
    ) -> Result<HashMap<ErasureId, Found>, NotCompacted> {
        let mut found: HashMap<ErasureId, Found> = HashMap::new();
        let hashes: Vec<u64> = rules.iter().flat_map(|rule| rule.hashes()).collect();
        let index = Index::of(rules);
        for number in self.wal.numbers_with(&hashes)? {
            if number >= newest {
                continue;
            }
            let mut any = false;
            self.wal.survey(
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
            self.wal.rewrite(
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

    /// Ends erasures that are complete on the disk and recorded in the WAL. Rules that `found` nothing are forgotten;
    /// the others remain active until no attempt that began earlier can still be in flight.
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
            self.index.write().unwrap_or_else(PoisonError::into_inner).remove(rule);
        }
        self.redactions.done(rules, found, now);
        self.install_redaction();
        Ok(())
    }
}
