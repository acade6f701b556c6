//! Chooses cuts, and runs the cuts of one story: an image for each, the daemon on it, the checks.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::disk::{Discount, Disk};
use crate::image::{self, Left};
use crate::past::{Past, Witness};
use crate::random::Random;
use crate::recording::{Recording, Story, home, workshop};
use crate::replay::{self, Examined};
use crate::say;
use crate::trace::{Deed, Moment, Trace};

/// One recovery in this many is itself recorded and cut.
const RECOVERY_CUT_EVERY: usize = 20;
/// At this many places.
const CUTS_IN_RECOVERY: usize = 5;
/// Progress is reported after this many cuts.
const REPORTED_EVERY: usize = 250;
/// Moments before and after the creation of a given file that count as near.
const NEAR: usize = 150;
/// Maximum failing images kept, with the complete text of the fault.
const KEPT: usize = 3;

/// The results of the cuts.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Tried and failed, by what was left.
    by_class: BTreeMap<Left, (usize, usize)>,
    /// Cuts before the first event was answered 202.
    pub(crate) early: usize,
    /// Cuts within a recovery.
    pub(crate) in_recovery: usize,
    /// The faults.
    pub(crate) faults: Vec<String>,
    /// Cuts since the last report.
    since_report: usize,
}

impl Tally {
    pub(crate) fn tried(&self) -> usize {
        self.by_class.values().map(|(tried, _)| tried).sum()
    }

    pub(crate) fn failed(&self) -> usize {
        self.by_class.values().map(|(_, failed)| failed).sum()
    }

    /// Reports progress of a long run.
    fn report(&mut self, name: &str) {
        if self.since_report >= REPORTED_EVERY {
            self.since_report = 0;
            say(&format!("{name}: {self}"));
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        for (left, (tried, failed)) in other.by_class {
            let sum = self.by_class.entry(left).or_default();
            *sum = (sum.0 + tried, sum.1 + failed);
        }
        self.early += other.early;
        self.in_recovery += other.in_recovery;
        self.faults.extend(other.faults);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cuts, {} bad", self.tried(), self.failed())?;
        for (left, (tried, failed)) in &self.by_class {
            write!(f, "; {left}: {tried}, {failed} bad")?;
        }
        write!(f, "; {} before the first 202, {} within a recovery", self.early, self.in_recovery)
    }
}

/// Parameters for one story.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Campaign {
    pub(crate) cuts: usize,
    pub(crate) seed: u64,
    pub(crate) discount: Discount,
    /// Whether recoveries are cut too.
    pub(crate) recoveries: bool,
    /// Number of failing images after which to stop.
    pub(crate) enough: usize,
}

/// Runs the cuts of a recording.
pub(crate) fn go_through(recording: &Recording, campaign: Campaign) -> Tally {
    let mut tally = Tally::default();
    through_story(recording, &recording.story, campaign, 1, &mut tally);
    tally
}

fn through_story(recording: &Recording, story: &Story, campaign: Campaign, depth: usize, tally: &mut Tally) {
    let mut random = Random::new(campaign.seed);
    let places = places(story, campaign.cuts, &mut random);
    let mut places = places.into_iter().peekable();
    let mut disk = story.disk(campaign.discount);
    let mut witness = Witness::new(story.past.clone(), &story.receipts);
    let mut now = 0;
    for life in &story.lives {
        for moment in &life.trace.moments {
            disk.step(&life.trace, *moment);
            witness.step(&life.trace, *moment);
            now += 1;
            while places.next_if_eq(&now).is_some() {
                let place = Place { now, moment: describe(&life.trace.calls[index_of(*moment)].deed, *moment), depth };
                one(recording, (&disk, &witness), campaign, &place, &mut random, tally);
                tally.report(&recording.name);
                if tally.failed() >= campaign.enough {
                    return;
                }
            }
        }
        // The model was verified when the recording was made; a recovery is cut only as far as it was recorded.
        drop(disk.process_ended(&life.trace, &life.seen));
    }
}

/// The position of a cut.
struct Place {
    now: usize,
    moment: String,
    depth: usize,
}

fn one(
    recording: &Recording,
    (disk, witness): (&Disk, &Witness<'_>),
    campaign: Campaign,
    place: &Place,
    random: &mut Random,
    tally: &mut Tally,
) {
    let left = if disk.is_settled() {
        Left::Durable
    } else {
        match random.below(10) {
            0..=4 => Left::Some,
            5..=6 => Left::Torn,
            7..=8 => Left::Durable,
            _ => Left::Everything,
        }
    };
    let past = witness.seen();
    let home = home();
    let root = home.beside("");
    let again = random.clone();
    image::write(disk, left, random, &root);
    let cut_again = campaign.recoveries && place.depth == 1 && random.once_in(RECOVERY_CUT_EVERY);
    let examined = replay::examine(recording, &past, &home, cut_again);
    let (tried, failed) = tally.by_class.entry(left).or_default();
    *tried += 1;
    tally.since_report += 1;
    tally.early += usize::from(past.accepted.is_empty());
    tally.in_recovery += usize::from(place.depth > 1);
    match examined {
        Ok(None) => {}
        Ok(Some(recovery)) => {
            let base = tempfile::tempdir_in(workshop()).expect("a temporary directory");
            image::write(disk, left, &mut again.clone(), base.path());
            let Examined { lives, receipts } = recovery;
            let past = Past { depth: past.depth + 1, ..past };
            let story = Story { base, root, past, lives, receipts, focus: None };
            let deeper = Campaign { cuts: CUTS_IN_RECOVERY, seed: campaign.seed ^ place.now as u64, ..campaign };
            // A recovery is cut as on an honest disk.
            through_story(recording, &story, deeper, place.depth + 1, tally);
        }
        Err(fault) => {
            *failed += 1;
            let kept = if tally.faults.len() < KEPT && campaign.discount == Discount::Nothing {
                keep(disk, left, &mut again.clone())
            } else {
                String::new()
            };
            let Place { now, moment, depth } = place;
            let accepted = past.accepted.len();
            tally.faults.push(format!(
                "{} cut {depth} behind moment {now} ({moment}), {left} left, {accepted} accepted: {fault}{kept}",
                recording.name
            ));
        }
    }
}

/// Keeps a failing image for inspection; returns where.
fn keep(disk: &Disk, left: Left, random: &mut Random) -> String {
    let kept = tempfile::Builder::new().prefix("powercut-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
    let kept = kept.expect("a directory").keep();
    image::write(disk, left, random, &kept);
    format!("\n  the image is kept in {}", kept.display())
}

const fn index_of(moment: Moment) -> usize {
    match moment {
        Moment::Begin(index) | Moment::End(index) => index,
    }
}

fn describe(deed: &Deed, moment: Moment) -> String {
    let when = if matches!(moment, Moment::Begin(_)) { "begin" } else { "end" };
    let what = match deed {
        Deed::Write { fd, at, bytes } => format!("write fd {fd} at {at:?} of {} bytes", bytes.len()),
        Deed::Send { bytes } => format!("send of {} bytes", bytes.len()),
        other => format!("{other:?}"),
    };
    format!("{when} of {what}")
}

/// Chooses cuts, ascending, as numbers of elapsed moments: more of them where more can go wrong.
fn places(story: &Story, cuts: usize, random: &mut Random) -> Vec<usize> {
    let mut disk = story.disk(Discount::Nothing);
    let mut reach = Vec::new();
    let mut total = 0;
    for life in &story.lives {
        let mut accepted = false;
        for moment in &life.trace.moments {
            let deed = &life.trace.calls[index_of(*moment)].deed;
            let file = match deed {
                Deed::Write { fd, .. } | Deed::Sync { fd, .. } | Deed::SetLength { fd, .. } => {
                    disk.name_of(*fd).map(str::to_owned)
                }
                _ => None,
            };
            let answers = is_202(deed, *moment);
            accepted |= answers;
            // A start is short but does much: its moments weigh more.
            let early = if accepted { 1 } else { 6 };
            total += early * weight(deed, *moment, file.as_deref(), &story.root) + 3 * usize::from(answers);
            reach.push(total);
            disk.step(&life.trace, *moment);
        }
        drop(disk.process_ended(&life.trace, &life.seen));
    }
    if let Some(name) = story.focus {
        total = favour_near(&mut reach, &made_at(story, name));
    }
    let mut chosen: Vec<usize> = (0..cuts)
        .map(|_| {
            let at = random.below(total);
            reach.partition_point(|sum| *sum <= at) + 1
        })
        .collect();
    chosen.sort_unstable();
    chosen
}

/// Moves nine of ten cuts near one of these moments. `reach` are the cumulative weights; returns the last.
fn favour_near(reach: &mut [usize], moments: &[usize]) -> usize {
    let is_near = |at: usize| moments.iter().any(|moment| at.abs_diff(*moment) < NEAR);
    let weight = |at: usize| reach[at] - at.checked_sub(1).map_or(0, |before| reach[before]);
    let all = reach.last().copied().unwrap_or(0);
    let inside: usize = (0..reach.len()).filter(|at| is_near(*at)).map(weight).sum();
    let times = (9 * all / inside.max(1)).max(1);
    let (mut sum, mut before) = (0, 0);
    for (at, until) in reach.iter_mut().enumerate() {
        let own = *until - before;
        before = *until;
        sum += if is_near(at) { own * times } else { own };
        *until = sum;
    }
    sum
}

/// The moments after which files with such a name are created.
fn made_at(story: &Story, name: &str) -> Vec<usize> {
    let moments = story.lives.iter().flat_map(|life| life.trace.moments.iter().map(|moment| (&life.trace, *moment)));
    let made = |(trace, moment): (&Trace, Moment)| {
        let deed = &trace.calls[index_of(moment)].deed;
        matches!(deed, Deed::Open { create: true, path, .. } if path.to_string_lossy().ends_with(name))
    };
    moments.enumerate().filter(|(_, at)| made(*at)).map(|(nth, _)| nth).collect()
}

fn is_202(deed: &Deed, moment: Moment) -> bool {
    let (Deed::Send { bytes } | Deed::Write { bytes, .. }) = deed else { return false };
    matches!(moment, Moment::Begin(_)) && bytes.starts_with(b"HTTP/1.1 202")
}

/// The weight of a cut after this moment.
fn weight(deed: &Deed, moment: Moment, file: Option<&str>, root: &Path) -> usize {
    let within = |path: &Path| path.is_relative() || path.starts_with(root);
    match (deed, file, moment) {
        // Checkpoints are rarer than commits.
        (Deed::Sync { .. }, Some("db"), _) => 8,
        (Deed::Write { .. }, Some("db"), Moment::End(_)) => 8,
        (Deed::Sync { .. }, Some(_), _) => 4,
        (Deed::Write { .. } | Deed::SetLength { .. }, Some(_), Moment::End(_)) => 3,
        (
            Deed::Rename { old: path, .. } | Deed::MakeDir { path, .. } | Deed::Remove { path, .. },
            _,
            Moment::End(_),
        ) if within(path) => 6,
        (Deed::Open { create: true, path, .. }, _, Moment::End(_)) if within(path) => 4,
        _ => 0,
    }
}
