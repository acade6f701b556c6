//! Power cuts and kills: nothing that was answered 202 is lost.
//!
//! **Recording** ([`recording`], [`trace`]): the real binary runs under strace while real posts come in and real
//! receivers get deliveries; every write, sync, name and length change is in the trace with its bytes, and so is
//! every answer of the daemon, in the same order. Three lives on one directory: the first start, ended by kill -9; a
//! second, ended in order; a third. The recording is verified first: the model must end with the bytes actually in
//! the directory, and every answer and every request must be in the trace.
//!
//! **The model** ([`disk`], [`image`]): a cut may follow any call's beginning or end. What was synced by then is
//! there. Of the rest a cut leaves nothing, everything, any pages of 4 KiB (each as at some time since; sometimes
//! torn between sectors of 512 bytes) under any length and any names, or everything but the end of the last write. A
//! sync counts only for what had ended before it began; names only when their directory was synced; `sync_file_range`
//! for nothing. What was answered before the cut must be there, however little is left.
//!
//! **The check** ([`replay`]): the real binary starts on each image. It must come up; have every event answered 202
//! and every subscription answered 201, and none answered 204; deliver everything outstanding; keep the order of each
//! call over both lives; have a log in which each entry is a request that was received and so answered, and nothing
//! is delivered twice; continue with later ids and fresh sequence numbers. `hookswitch verify` must find no fault,
//! before the start and after a kill. Some recoveries are recorded and cut in their turn.
//!
//! Two recordings (four for a thousand cuts or more) are of an ordinary load; one more ([`rotation`]) is of the
//! moments in which the journal begins a new file, with messages and erasures among the load, one of those in which
//! files are compressed and rewritten, and one ([`sealing`]) of those in which sealing of secrets begins and changes
//! its key.
//!
//! **Kills** ([`kill`]) need no model: kill -9 under load, repeatedly, also of a daemon that is starting.
//!
//! **The checks are effective**: if the `fdatasync` that replaces sled's flush, the journal's, or the directories'
//! syncs are ignored, the same checks must find failing images.
//!
//! Not modelled: disks that lie about a sync, bit rot, sectors that contain neither old nor new data, file systems
//! that lose durable data near what is written, writes by `mmap` (refused if they occurred), and failing system
//! calls.
//!
//! `HOOKSWITCH_POWERCUTS` (cuts, default 60), `HOOKSWITCH_KILLS` (kills, default 5), `HOOKSWITCH_POWERCUT_SEED`.
//! Without strace the cuts are skipped with a message, unless `HOOKSWITCH_NEED_STRACE=1`.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking, as tests do")]

#[allow(dead_code, reason = "shared with the end-to-end tests")]
#[path = "../harness/client.rs"]
mod client;
mod cut;
#[allow(dead_code, reason = "shared with the end-to-end tests")]
#[path = "../harness/daemon.rs"]
mod daemon;
mod disk;
mod image;
mod kill;
mod past;
#[allow(dead_code, reason = "shared with the end-to-end tests")]
#[path = "../harness/platform.rs"]
mod platform;
#[path = "../harness/random.rs"]
mod random;
#[allow(dead_code, reason = "shared with the end-to-end tests")]
#[path = "../harness/receiver.rs"]
mod receiver;
mod recording;
mod replay;
mod rotation;
mod sealing;
mod trace;
#[allow(dead_code, reason = "shared with the end-to-end tests")]
#[path = "../harness/wait.rs"]
mod wait;
#[allow(dead_code, reason = "shared with the end-to-end tests")]
#[path = "../harness/wire.rs"]
mod wire;

/// The engine of the daemons is always the embedded one: power is cut to a directory.
mod engine {
    /// No settings beside the defaults.
    pub(crate) const fn settings() -> std::collections::BTreeMap<String, String> {
        std::collections::BTreeMap::new()
    }
}

use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use cut::{Campaign, Tally};
use disk::Discount;
use recording::Recording;

/// The number in an environment variable.
fn setting(name: &str, otherwise: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")))
}

/// Prints a message that is shown even if the test passes, unlike captured output.
fn say(text: &str) {
    use std::io::Write as _;
    // Standard error may be closed.
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn cuts_wanted() -> usize {
    usize::try_from(setting("HOOKSWITCH_POWERCUTS", 60)).unwrap_or(usize::MAX)
}

/// Whether cuts can be recorded here; prints a message if not.
fn strace_is_there() -> bool {
    let found = Command::new("strace").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return true;
    }
    let sentence =
        "strace is missing, and the power cuts cannot be recorded without it: install it (apt-get install strace)";
    assert!(std::env::var_os("HOOKSWITCH_NEED_STRACE").is_none(), "{sentence}");
    say(&format!("SKIPPED: {sentence}"));
    false
}

/// The recordings, made once for all tests; more of them for many cuts. A replay has exclusive use of its receiver.
fn recordings() -> &'static [Mutex<Recording>] {
    static RECORDINGS: OnceLock<Vec<Mutex<Recording>>> = OnceLock::new();
    RECORDINGS.get_or_init(|| {
        let seed = setting("HOOKSWITCH_POWERCUT_SEED", 1);
        let count = if cuts_wanted() < 1_000 { 2 } else { 4 };
        std::thread::scope(|scope| {
            let made: Vec<_> = ["first", "second", "third", "fourth"]
                .into_iter()
                .take(count)
                .zip(seed..)
                .map(|(name, seed)| scope.spawn(move || Mutex::new(recording::record(name, seed))))
                .collect();
            made.into_iter().map(|thread| thread.join().expect("a recording")).collect()
        })
    })
}

/// Runs cuts of all recordings, in parallel.
fn go_through(campaign: Campaign) -> Tally {
    let recordings = recordings();
    let campaign = Campaign { cuts: campaign.cuts.div_ceil(recordings.len()), ..campaign };
    std::thread::scope(|scope| {
        let threads: Vec<_> = recordings
            .iter()
            .map(|recording| {
                scope
                    .spawn(move || cut::go_through(&recording.lock().unwrap_or_else(PoisonError::into_inner), campaign))
            })
            .collect();
        let mut tally = Tally::default();
        threads.into_iter().for_each(|thread| tally.add(thread.join().expect("cuts that were gone through")));
        tally
    })
}

#[test]
fn nothing_answered_202_is_lost_by_a_power_cut() {
    if !strace_is_there() {
        return;
    }
    let cuts = cuts_wanted();
    let seed = setting("HOOKSWITCH_POWERCUT_SEED", 1);
    let tally = go_through(Campaign { cuts, seed, discount: Discount::Nothing, recoveries: true, enough: 50 });
    say(&format!("power cuts: {tally}"));
    assert!(tally.faults.is_empty(), "{tally}\n{}", tally.faults.join("\n"));
    assert!(tally.tried() >= cuts, "{tally}");
}

#[test]
fn nothing_answered_202_is_lost_by_a_power_cut_while_the_journal_begins_a_new_file() {
    if !strace_is_there() {
        return;
    }
    let cuts = (cuts_wanted() / 4).max(5);
    let recording = rotation::record(setting("HOOKSWITCH_POWERCUT_SEED", 1), rotation::Near::Beginnings);
    let seed = setting("HOOKSWITCH_POWERCUT_SEED", 1);
    let tally =
        cut::go_through(&recording, Campaign { cuts, seed, discount: Discount::Nothing, recoveries: true, enough: 10 });
    say(&format!("power cuts around a new journal file: {tally}"));
    assert!(tally.faults.is_empty(), "{tally}\n{}", tally.faults.join("\n"));
}

#[test]
fn nothing_answered_202_is_lost_by_a_power_cut_while_files_are_compressed() {
    if !strace_is_there() {
        return;
    }
    let cuts = (cuts_wanted() / 4).max(5);
    let seed = setting("HOOKSWITCH_POWERCUT_SEED", 1);
    let recording = rotation::record(seed, rotation::Near::Replacements);
    let tally =
        cut::go_through(&recording, Campaign { cuts, seed, discount: Discount::Nothing, recoveries: true, enough: 10 });
    say(&format!("power cuts while journal files are compressed: {tally}"));
    assert!(tally.faults.is_empty(), "{tally}\n{}", tally.faults.join("\n"));
}

#[test]
fn no_secret_is_lost_by_a_power_cut_while_secrets_are_sealed() {
    if !strace_is_there() {
        return;
    }
    let cuts = (cuts_wanted() / 4).max(5);
    let seed = setting("HOOKSWITCH_POWERCUT_SEED", 1);
    let recording = sealing::record(seed);
    let tally =
        cut::go_through(&recording, Campaign { cuts, seed, discount: Discount::Nothing, recoveries: true, enough: 10 });
    say(&format!("power cuts while secrets are sealed: {tally}"));
    assert!(tally.faults.is_empty(), "{tally}\n{}", tally.faults.join("\n"));
}

/// The same cuts, with some syncs ignored: failing images must be found.
fn must_find_bad_images(discount: Discount) {
    if !strace_is_there() {
        return;
    }
    let tally = go_through(Campaign { cuts: 120, seed: 7, discount, recoveries: false, enough: 3 });
    let first = tally.faults.first().cloned().unwrap_or_default();
    let first: String = first.chars().filter(|c| *c != '\n').take(400).collect();
    say(&format!("power cuts without syncs of {discount:?}: {tally}; the first: {first}"));
    assert!(tally.failed() > 0, "syncs were taken for nothing ({discount:?}), and the checks saw no harm: {tally}");
}

#[test]
fn the_tool_bites_without_the_sync_of_sled() {
    must_find_bad_images(Discount::Sled);
}

#[test]
fn the_tool_bites_without_the_sync_of_the_journal() {
    must_find_bad_images(Discount::Journal);
}

#[test]
fn the_tool_bites_without_the_sync_of_directories() {
    must_find_bad_images(Discount::Names);
}
