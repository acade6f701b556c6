//! Which alerts are sent, and when. Sans-io: values in, decisions out; no clock, no thread.
//!
//! What is kept is the current state and the state of the last alert, not the events between. An alert is due where
//! the two differ; so a receiver that goes down and comes back before an alert could be sent raises none, one that
//! stays down raises one, and a thousand that go down together are one alert. After an alert of a kind there is a
//! pause, in which more of the same kind gathers.
//!
//! Times here are how long the daemon has been running (`now`), which no wall clock changes.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::id::SubscriptionId;
use crate::core::text::words;
use crate::core::time::Timestamp;

/// How many subscriptions an alert names; it has the count of all.
pub(super) const NAMED_MOST: usize = 20;
/// How many subscriptions are kept apart for the count of dead letters.
const APART_MOST: usize = 1_000;
/// A receiver that has failed for so long is failing, however few attempts there were.
const FAILING_AFTER: Duration = Duration::from_secs(15 * 60);
/// The pause after most kinds.
const PAUSE: Duration = Duration::from_secs(60);
/// The pause after those that tell of single deliveries and records.
const LONG_PAUSE: Duration = Duration::from_secs(600);

words! {
    /// What an alert tells of.
    Kind {
        /// The disk or what is on it fails.
        StoreTrouble = "store.trouble",
        /// So little room is left that new events are refused.
        DiskLow = "disk.low",
        /// There is room again.
        DiskRecovered = "disk.recovered",
        /// Subscriptions were disabled, not by hand.
        SubscriptionDisabled = "subscription.disabled",
        /// Receivers do not take what they are sent.
        SubscriptionFailing = "subscription.failing",
        /// They do again.
        SubscriptionRecovered = "subscription.recovered",
        /// Deliveries were given up.
        DeadLetters = "dead_letters.added",
        /// Something waits for longer than it should.
        BacklogOld = "backlog.old",
        /// Nothing does any more.
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

/// A subscription, as an alert shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Its id.
    pub id: SubscriptionId,
    /// Whose it is.
    pub company: String,
    /// Its URL, as it was registered.
    pub url: String,
    /// How many deliveries wait.
    pub waiting: u64,
    /// Failures since the last success.
    pub failures: u32,
    /// The first of them.
    pub since: Option<Timestamp>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sighting {
    /// A receiver is down.
    Down(Subject),
    /// It is back.
    Back(Subject),
    /// A subscription was disabled, not by hand, for this reason.
    Disabled(Subject, &'static str),
    /// Somebody enabled, disabled or deleted a subscription: what was said of it no longer holds.
    Settled(SubscriptionId),
    /// A delivery was given up.
    DeadLetter(SubscriptionId),
    /// The disk or what is on it fails, and whether the daemon ends by it.
    Trouble(String, bool),
}

/// How things stand when somebody looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// Bytes that are free, and that are to stay free.
    pub disk: (u64, u64),
    /// Whether new events are refused for want of room.
    pub disk_low: bool,
    /// How many dead letters there are.
    pub dead_letters: u64,
    /// The enabled subscriptions with failures since their last success, each with how long it has failed.
    pub failing: Vec<(Subject, Duration)>,
    /// The enabled subscription that owes the delivery that waits longest, when that was accepted, and how
    /// long it has waited.
    pub oldest: Option<(Subject, Timestamp, Duration)>,
}

/// What is said in an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Of the kinds `subscription.*`: the first [`NAMED_MOST`], how many there are, and, of those that
    /// were disabled, why.
    Subscriptions(Kind, Vec<(Subject, Option<&'static str>)>, usize),
    /// So many dead letters are new, by subscription and in all, and there are so many.
    DeadLetters(Vec<(SubscriptionId, u64)>, u64, u64),
    /// This is the oldest, accepted then, and it has waited so long; more than this is too long.
    BacklogOld(Subject, Timestamp, Duration, Duration),
    /// Nothing waits for longer than this any more.
    BacklogRecovered(Duration),
    /// Bytes that are free, and that are to stay free.
    DiskLow(u64, u64),
    /// As before.
    DiskRecovered(u64, u64),
    /// What was said first, how often something was, and whether the daemon ends by it.
    Trouble(String, u64, bool),
}

impl Said {
    /// What it tells of.
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

/// How a subscription is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Standing {
    #[default]
    Fine,
    /// By the clock alone: over when a look finds no failure.
    Failing,
    /// Over when its circuit breaker closes.
    Down,
    Disabled(&'static str),
}

/// One of which something is to be said, or was.
#[derive(Debug)]
struct Known {
    subject: Subject,
    is: Standing,
    said: Standing,
}

#[derive(Debug, Default)]
struct DeadLetters {
    by_subscription: BTreeMap<SubscriptionId, u64>,
    added: u64,
}

/// What is true, and what was said of it.
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
    /// Until when each kind is quiet.
    quiet: BTreeMap<Kind, Duration>,
}

impl AlertRules {
    /// Takes note of what happened.
    pub fn hear(&mut self, sighting: Sighting) {
        match sighting {
            Sighting::Down(subject) => self.stands(subject, Standing::Down),
            Sighting::Disabled(subject, reason) => self.stands(subject, Standing::Disabled(reason)),
            Sighting::Back(subject) => {
                // One that is not known was down before the daemon started, and was told of by the one before.
                let said = Known { subject: subject.clone(), is: Standing::Down, said: Standing::Down };
                self.known.entry(subject.id).or_insert(said);
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

    /// Takes note of how things stand; a delivery that has waited for longer than `too_old` is old.
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
        self.known.retain(|_, known| known.is != Standing::Fine || known.said != Standing::Fine);
        let waited = look.oldest.as_ref().map_or(Duration::ZERO, |(_, _, waited)| *waited);
        // It is over only when it is clearly over.
        self.backlog_is_old = if self.backlog_is_old { waited > too_old / 2 } else { waited > too_old };
        (self.seen, self.too_old) = (look, too_old);
    }

    fn stands(&mut self, subject: Subject, is: Standing) {
        let fresh = Known { subject: subject.clone(), is: Standing::Fine, said: Standing::Fine };
        let known = self.known.entry(subject.id).or_insert(fresh);
        (known.subject, known.is) = (subject, is);
    }

    /// What is to be said now, if anything is; the most important first. It counts as said.
    pub fn next(&mut self, now: Duration) -> Option<Said> {
        let kind = Kind::ALL.iter().copied().find(|kind| self.is_due(*kind, now) && self.has(*kind))?;
        self.quiet.insert(kind, now + kind.pause());
        Some(self.say(kind))
    }

    /// When there may be something to say; `None` if there is nothing.
    pub fn wake(&self, now: Duration) -> Option<Duration> {
        let waiting = Kind::ALL.iter().filter(|kind| self.has(**kind));
        waiting.map(|kind| self.quiet.get(kind).copied().unwrap_or(now).max(now)).min()
    }

    fn is_due(&self, kind: Kind, now: Duration) -> bool {
        self.quiet.get(&kind).is_none_or(|quiet| *quiet <= now)
    }

    /// Whether there is something of this kind to say.
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

    fn say(&mut self, kind: Kind) -> Said {
        let (free, least) = self.seen.disk;
        match kind {
            Kind::StoreTrouble => {
                let (detail, count, ending) = self.trouble.take().unwrap_or_default();
                Said::Trouble(detail, count, ending)
            }
            Kind::DiskLow => {
                self.said_disk_low = true;
                Said::DiskLow(free, least)
            }
            Kind::DiskRecovered => {
                self.said_disk_low = false;
                Said::DiskRecovered(free, least)
            }
            Kind::SubscriptionDisabled | Kind::SubscriptionFailing | Kind::SubscriptionRecovered => {
                self.say_of_subscriptions(kind)
            }
            Kind::DeadLetters => {
                let DeadLetters { by_subscription, added } = std::mem::take(&mut self.dead);
                let mut named: Vec<_> = by_subscription.into_iter().collect();
                named.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
                named.truncate(NAMED_MOST);
                Said::DeadLetters(named, added, self.seen.dead_letters.max(added))
            }
            Kind::BacklogOld => match self.seen.oldest.clone() {
                Some((subject, accepted, waited)) => {
                    self.said_backlog_old = true;
                    Said::BacklogOld(subject, accepted, waited, self.too_old)
                }
                None => Said::BacklogRecovered(self.too_old),
            },
            Kind::BacklogRecovered => {
                self.said_backlog_old = false;
                Said::BacklogRecovered(self.too_old)
            }
        }
    }

    fn say_of_subscriptions(&mut self, kind: Kind) -> Said {
        let (mut named, mut count) = (Vec::new(), 0);
        for known in self.known.values_mut().filter(|known| to_say(known) == Some(kind)) {
            known.said = known.is;
            count += 1;
            let reason = if let Standing::Disabled(reason) = known.is { Some(reason) } else { None };
            if named.len() < NAMED_MOST {
                named.push((known.subject.clone(), reason));
            }
        }
        self.known.retain(|_, known| known.is != Standing::Fine || known.said != Standing::Fine);
        Said::Subscriptions(kind, named, count)
    }
}

/// The kind of alert in which something is to be said of this one.
fn to_say(known: &Known) -> Option<Kind> {
    match known.is {
        is if is == known.said => None,
        Standing::Disabled(_) => Some(Kind::SubscriptionDisabled),
        // It was said already.
        Standing::Failing | Standing::Down if matches!(known.said, Standing::Failing | Standing::Down) => None,
        Standing::Failing | Standing::Down => Some(Kind::SubscriptionFailing),
        Standing::Fine => Some(Kind::SubscriptionRecovered),
    }
}
