//! Power cuts and kills: nothing that was answered 202 is lost.
//!
//! **Recording** ([`recording`], [`trace`]): the real binary runs under strace while real posts come in and real receivers are
//! delivered to; every write, sync, name and length change goes into the trace with its bytes, and so does every answer
//! of the daemon, in the same order. Three lives on one directory: the first start, ended by kill -9; a start after
//! that, ended in order; a last one. The recording is checked first: the model must end with the very bytes that were in the
//! directory, and every answer and every request must be in the trace.
//!
//! **The model** ([`disk`], [`image`]): a cut may come behind any call's beginning or end. What was synced by then is there.
//! Of the rest a cut leaves nothing, everything, any pages of 4 KiB (each as it was at some time since; torn between
//! sectors of 512 bytes now and then) under any length and any names, or everything but the end of the last write. A sync
//! counts only for what had ended before it began; names only when their directory was synced; `sync_file_range` for
//! nothing. What was answered before the cut must be there, however little is left.
//!
//! **The check** ([`replay`]): the real binary starts on each image. It must come up; have every event answered 202 and every
//! subscription answered 201, and none answered 204; deliver all that is owed; keep the order of each call over both
//! lives; have a log in which each entry is a request that came and was so answered, and nothing is delivered twice; go on with
//! later ids and fresh sequence numbers. `hookswitch verify` must find nothing wrong, before the start and after it was killed. Some recoveries are recorded and cut in their turn.
//!
//! Two recordings (four for a thousand cuts or more) are of an ordinary load; one more ([`rotation`]) is of the moments in
//! which the journal begins a new file, with messages and erasures among the load, one of those in which files are compressed
//! and written again, and one ([`sealing`]) of those in which secrets begin to be sealed, and are under a new key.
//!
//! **Kills** ([`kill`]) do without a model: kill -9 under load, again and again, also of a daemon that is just starting.
//!
//! **The tool bites**: where the `fdatasync` that sled's flush becomes, the journal's, or the directories' syncs are taken for
//! nothing, the same checks must find bad images.
//!
//! Not modelled: disks that lie about a sync, bytes that rot, sectors that hold neither old nor new, file systems that lose
//! durable data near what is written, writes by `mmap` (refused if they were there), and failing system calls.
//!
//! `HOOKSWITCH_POWERCUTS` (cuts, 60 unless set), `HOOKSWITCH_KILLS` (kills, 5 unless set), `HOOKSWITCH_POWERCUT_SEED`.
//! Without strace the cuts are skipped, and say so, unless `HOOKSWITCH_NEED_STRACE=1`.

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

use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use cut::{Campaign, Tally};
use disk::Discount;
use recording::Recording;

/// The number that a variable of the environment names.
fn setting(name: &str, otherwise: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")))
}

/// Says something that is seen also when the test passes, which what is printed is not.
fn say(text: &str) {
    use std::io::Write as _;
    // Whoever closed standard error does not want to hear it.
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn cuts_wanted() -> usize {
    usize::try_from(setting("HOOKSWITCH_POWERCUTS", 60)).unwrap_or(usize::MAX)
}

/// Whether the cuts can be recorded here. Says loudly if not.
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

/// The recordings, made once for all tests; more of them for many cuts. Whoever replays one has its receiver for himself.
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

/// Goes through cuts of all recordings, side by side.
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

/// The same cuts, with some syncs taken for nothing: bad images must be found.
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
