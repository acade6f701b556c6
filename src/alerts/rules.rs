//! Which alerts are sent, and when. Sans-io: values in, decisions out; no clock, no thread.
//!
//! The state consists of the current facts and those last reported, not the events between. An alert is due where
//! they differ; so a receiver that goes down and recovers before an alert could be sent raises none, one that stays
//! down raises one, and a thousand that go down together are one alert. After an alert of a kind there is a pause, in
//! which more of the same kind is collected.
//!
//! Times (`now`) are durations since the daemon's start, independent of the wall clock.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::id::SubscriptionId;
use crate::core::text::words;
use crate::core::time::Timestamp;

/// Maximum subscriptions named in an alert; it includes the total count.
pub(super) const NAMED_MOST: usize = 20;
/// Maximum subscriptions with separate dead-letter counts.
const APART_MOST: usize = 1_000;
/// A receiver that has failed for this long is failing, however few attempts there were.
const FAILING_AFTER: Duration = Duration::from_secs(15 * 60);
/// The pause after most kinds.
const PAUSE: Duration = Duration::from_secs(60);
/// The pause after kinds about single deliveries and records.
const LONG_PAUSE: Duration = Duration::from_secs(600);

words! {
    /// The kind of an alert.
    Kind {
        /// The disk or its content fails.
        StoreTrouble = "store.trouble",
        /// Disk space is low and new events are refused.
        DiskLow = "disk.low",
        /// Disk space is sufficient again.
        DiskRecovered = "disk.recovered",
        /// Subscriptions were disabled automatically.
        SubscriptionDisabled = "subscription.disabled",
        /// Receivers fail.
        SubscriptionFailing = "subscription.failing",
        /// They recovered.
        SubscriptionRecovered = "subscription.recovered",
        /// Deliveries were given up.
        DeadLetters = "dead_letters.added",
        /// A delivery waits for too long.
        BacklogOld = "backlog.old",
        /// None does any more.
        BacklogRecovered = "backlog.recovered",
    }
}

impl Kind {
    const fn pause(self) -> Duration {
        match self {
            Self::StoreTrouble | Self::DeadLetters => LONG_PAUSE,
            _ => PAUSE,
        }
    }
}

/// A subscription, as shown in an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Its id.
    pub id: SubscriptionId,
    /// The company.
    pub company: String,
    /// Its URL, as it was registered.
    pub url: String,
    /// Number of waiting deliveries.
    pub waiting: u64,
    /// Failures since the last success.
    pub failures: u32,
    /// Time of the first of them.
    pub since: Option<Timestamp>,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sighting {
    /// A receiver went down.
    Down(Subject),
    /// It recovered.
    Back(Subject),
    /// A subscription was disabled automatically, for this reason.
    Disabled(Subject, &'static str),
    /// A subscription was enabled, disabled or deleted by hand: previous reports no longer hold.
    Settled(SubscriptionId),
    /// A delivery was given up.
    DeadLetter(SubscriptionId),
    /// The disk or its content fails, and whether the daemon ends because of it.
    Trouble(String, bool),
}

/// The state at the time of a look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// Free bytes, and the required minimum.
    pub disk: (u64, u64),
    /// Whether new events are refused for lack of disk space.
    pub disk_low: bool,
    /// Number of dead letters.
    pub dead_letters: u64,
    /// The enabled subscriptions with failures since their last success, each with how long it has failed.
    pub failing: Vec<(Subject, Duration)>,
    /// The enabled subscription with the oldest waiting delivery, when that was accepted, and how long it has waited.
    pub oldest: Option<(Subject, Timestamp, Duration)>,
}

/// The content of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlertContent {
    /// For the kinds `subscription.*`: the first [`NAMED_MOST`], the total, and, for disabled ones, the reason.
    Subscriptions(Kind, Vec<(Subject, Option<&'static str>)>, usize),
    /// New dead letters by subscription and in total, and all dead letters.
    DeadLetters(Vec<(SubscriptionId, u64)>, u64, u64),
    /// The oldest delivery, when it was accepted, how long it has waited, and the limit.
    BacklogOld(Subject, Timestamp, Duration, Duration),
    /// No delivery waits longer than this limit.
    BacklogRecovered(Duration),
    /// Free bytes, and the required minimum.
    DiskLow(u64, u64),
    /// Free bytes, and the required minimum.
    DiskRecovered(u64, u64),
    /// The first trouble, the number of troubles, and whether the daemon ends because of it.
    Trouble(String, u64, bool),
}

impl AlertContent {
    /// Its kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Subscriptions(kind, ..) => *kind,
            Self::DeadLetters(..) => Kind::DeadLetters,
            Self::BacklogOld(..) => Kind::BacklogOld,
            Self::BacklogRecovered(_) => Kind::BacklogRecovered,
            Self::DiskLow(..) => Kind::DiskLow,
            Self::DiskRecovered(..) => Kind::DiskRecovered,
            Self::Trouble(..) => Kind::StoreTrouble,
        }
    }
}

/// The reported or current state of a subscription.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Standing {
    #[default]
    Fine,
    /// By duration alone: ends when a look finds no failure.
    Failing,
    /// Ends when its circuit breaker closes.
    Down,
    Disabled(&'static str),
}

/// A subscription with something reported or to be reported.
#[derive(Debug)]
struct Known {
    subject: Subject,
    is: Standing,
    reported: Standing,
}

#[derive(Debug, Default)]
struct DeadLetters {
    by_subscription: BTreeMap<SubscriptionId, u64>,
    added: u64,
}

/// The current facts, and those reported.
#[derive(Debug, Default)]
pub struct AlertRules {
    known: BTreeMap<SubscriptionId, Known>,
    dead: DeadLetters,
    trouble: Option<(String, u64, bool)>,
    seen: Look,
    too_old: Duration,
    said_disk_low: bool,
    backlog_is_old: bool,
    said_backlog_old: bool,
    /// Until when each kind is paused.
    quiet: BTreeMap<Kind, Duration>,
}

impl AlertRules {
    /// Adds an event.
    pub fn record(&mut self, sighting: Sighting) {
        match sighting {
            Sighting::Down(subject) => self.stands(subject, Standing::Down),
            Sighting::Disabled(subject, reason) => self.stands(subject, Standing::Disabled(reason)),
            Sighting::Back(subject) => {
                // An unknown one was down before the daemon started, and was reported by the previous process.
                let reported = Known { subject: subject.clone(), is: Standing::Down, reported: Standing::Down };
                self.known.entry(subject.id).or_insert(reported);
                self.stands(subject, Standing::Fine);
            }
            Sighting::Settled(id) => drop(self.known.remove(&id)),
            Sighting::DeadLetter(id) => {
                self.dead.added += 1;
                let room = self.dead.by_subscription.len() < APART_MOST;
                if room || self.dead.by_subscription.contains_key(&id) {
                    *self.dead.by_subscription.entry(id).or_default() += 1;
                }
            }
            Sighting::Trouble(detail, ending) => {
                let trouble = self.trouble.get_or_insert((detail, 0, false));
                trouble.1 += 1;
                trouble.2 |= ending;
            }
        }
    }

    /// Updates the facts; a delivery that has waited for longer than `too_old` is old.
    pub fn look(&mut self, look: Look, too_old: Duration) {
        for (subject, length) in &look.failing {
            let down = self.known.get(&subject.id).is_some_and(|known| known.is == Standing::Down);
            if !down && *length >= FAILING_AFTER {
                self.stands(subject.clone(), Standing::Failing);
            }
        }
        let fails = |id: &SubscriptionId| look.failing.iter().any(|(subject, _)| subject.id == *id);
        for (id, known) in &mut self.known {
            if known.is == Standing::Failing && !fails(id) {
                known.is = Standing::Fine;
            }
        }
        self.known.retain(|_, known| known.is != Standing::Fine || known.reported != Standing::Fine);
        let waited = look.oldest.as_ref().map_or(Duration::ZERO, |(_, _, waited)| *waited);
        // Hysteresis: it ends only when clearly over.
        self.backlog_is_old = if self.backlog_is_old { waited > too_old / 2 } else { waited > too_old };
        (self.seen, self.too_old) = (look, too_old);
    }

    fn stands(&mut self, subject: Subject, is: Standing) {
        let fresh = Known { subject: subject.clone(), is: Standing::Fine, reported: Standing::Fine };
        let known = self.known.entry(subject.id).or_insert(fresh);
        (known.subject, known.is) = (subject, is);
    }

    /// The alert due now, if any, the most important first. It counts as reported.
    pub fn next(&mut self, now: Duration) -> Option<AlertContent> {
        let kind = Kind::ALL.iter().copied().find(|kind| self.is_due(*kind, now) && self.has(*kind))?;
        self.quiet.insert(kind, now + kind.pause());
        Some(self.say(kind))
    }

    /// When an alert may be due; `None` if there is nothing to report.
    pub fn wake(&self, now: Duration) -> Option<Duration> {
        let waiting = Kind::ALL.iter().filter(|kind| self.has(**kind));
        waiting.map(|kind| self.quiet.get(kind).copied().unwrap_or(now).max(now)).min()
    }

    fn is_due(&self, kind: Kind, now: Duration) -> bool {
        self.quiet.get(&kind).is_none_or(|quiet| *quiet <= now)
    }

    /// Whether there is something of this kind to report.
    fn has(&self, kind: Kind) -> bool {
        match kind {
            Kind::StoreTrouble => self.trouble.is_some(),
            Kind::DiskLow => self.seen.disk_low && !self.said_disk_low,
            Kind::DiskRecovered => !self.seen.disk_low && self.said_disk_low,
            Kind::SubscriptionDisabled | Kind::SubscriptionFailing | Kind::SubscriptionRecovered => {
                self.known.values().any(|known| to_say(known) == Some(kind))
            }
            Kind::DeadLetters => self.dead.added > 0,
            Kind::BacklogOld => self.backlog_is_old && !self.said_backlog_old && self.seen.oldest.is_some(),
            Kind::BacklogRecovered => !self.backlog_is_old && self.said_backlog_old,
        }
    }

    fn say(&mut self, kind: Kind) -> AlertContent {
        let (free, least) = self.seen.disk;
        match kind {
            Kind::StoreTrouble => {
                let (detail, count, ending) = self.trouble.take().unwrap_or_default();
                AlertContent::Trouble(detail, count, ending)
            }
            Kind::DiskLow => {
                self.said_disk_low = true;
                AlertContent::DiskLow(free, least)
            }
            Kind::DiskRecovered => {
                self.said_disk_low = false;
                AlertContent::DiskRecovered(free, least)
            }
            Kind::SubscriptionDisabled | Kind::SubscriptionFailing | Kind::SubscriptionRecovered => {
                self.say_of_subscriptions(kind)
            }
            Kind::DeadLetters => {
                let DeadLetters { by_subscription, added } = std::mem::take(&mut self.dead);
                let mut named: Vec<_> = by_subscription.into_iter().collect();
                named.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
                named.truncate(NAMED_MOST);
                AlertContent::DeadLetters(named, added, self.seen.dead_letters.max(added))
            }
            Kind::BacklogOld => match self.seen.oldest.clone() {
                Some((subject, accepted, waited)) => {
                    self.said_backlog_old = true;
                    AlertContent::BacklogOld(subject, accepted, waited, self.too_old)
                }
                None => AlertContent::BacklogRecovered(self.too_old),
            },
            Kind::BacklogRecovered => {
                self.said_backlog_old = false;
                AlertContent::BacklogRecovered(self.too_old)
            }
        }
    }

    fn say_of_subscriptions(&mut self, kind: Kind) -> AlertContent {
        let (mut named, mut count) = (Vec::new(), 0);
        for known in self.known.values_mut().filter(|known| to_say(known) == Some(kind)) {
            known.reported = known.is;
            count += 1;
            let reason = if let Standing::Disabled(reason) = known.is { Some(reason) } else { None };
            if named.len() < NAMED_MOST {
                named.push((known.subject.clone(), reason));
            }
        }
        self.known.retain(|_, known| known.is != Standing::Fine || known.reported != Standing::Fine);
        AlertContent::Subscriptions(kind, named, count)
    }
}

/// The kind of alert due for this subscription.
fn to_say(known: &Known) -> Option<Kind> {
    match known.is {
        is if is == known.reported => None,
        Standing::Disabled(_) => Some(Kind::SubscriptionDisabled),
        // Already reported.
        Standing::Failing | Standing::Down if matches!(known.reported, Standing::Failing | Standing::Down) => None,
        Standing::Failing | Standing::Down => Some(Kind::SubscriptionFailing),
        Standing::Fine => Some(Kind::SubscriptionRecovered),
    }
}
