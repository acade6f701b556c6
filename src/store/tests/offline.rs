//! Backups of a running store, and offline operations: verify, restore, salvage.

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::core::id::{SubscriptionNumber, TokenId};
use crate::core::seal::Keyring;
use crate::core::token::{Role, Token, TokenHash};
use crate::engine::embedded::frame::{Binding, encode_1};
use crate::engine::embedded::kv::stored_key::stored;
use crate::engine::embedded::offline::{self, Findings};
use crate::engine::embedded::wal::Header;
use crate::model::error::u32_of;
use crate::model::key::ValueKind;
use crate::model::keys;
use crate::model::record::{self, DeliveryRecord, Head, Record, Requeued, Target, TokenRecord};
use crate::model::registry::Registry;

use super::*;

fn take(backup: impl Iterator<Item = Vec<u8>>, mut between: impl FnMut(usize)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut pieces = 0;
    for piece in backup {
        bytes.extend(piece);
        pieces += 1;
        between(pieces);
    }
    bytes
}

/// All pending deliveries and dead letters.
fn pending_and_failed(store: &Store) -> BTreeSet<(DeliveryId, State, u32)> {
    let mut found = BTreeSet::new();
    for state in [State::Pending, State::Retrying, State::Failed] {
        let filter = DeliveryFilter { state: Some(state), ..DeliveryFilter::default() };
        let mut after = None;
        loop {
            let page = store.deliveries(&filter, after, 500).unwrap();
            found.extend(page.items.iter().map(|delivery| (delivery.id, delivery.state, delivery.attempts)));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    found
}

/// Opens a store with small segments.
fn open_small(dir: &Path) -> Open {
    let mut unstarted = Store::open(dir, settings(), Keyring::default(), NOW).unwrap_or_else(|error| panic!("{error}"));
    unstarted.limit_segment_bytes(24 * 1024);
    let store = unstarted.store().clone();
    let (sender, changes) = mpsc::channel();
    let running = unstarted.start(|| NOW, move |_, change| drop(sender.send(change)), |why| panic!("{why}")).unwrap();
    Open { store, running, changes }
}

/// The life of a store: events are accepted, attempts finish, dead letters are requeued, subscriptions change and are
/// deleted.
fn live(store: &Store, round: usize) {
    let accepted = accept(store, (0..4).map(|n| event(&format!("c{round}-{n}"), None)).collect());
    for (n, accepted) in accepted.iter().enumerate() {
        for delivery in store.event_deliveries(accepted.id).unwrap() {
            let status = [Status::Delivered, Status::Failed, Status::Retrying, Status::Failed][n];
            store.finish(finish(&delivery, status));
            if n == 3 && round.is_multiple_of(2) {
                // A dead letter that is requeued, and then delivered.
                let again = ask(|reply| store.by(anyone()).retry(known(store, delivery.id), reply)).unwrap();
                store.finish(finish(&again, Status::Delivered));
            }
        }
    }
    if round % 7 == 3 {
        let created = ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
        let doomed = if round % 14 == 3 { created.id } else { store.subscriptions()[0].id };
        ask(|reply| store.by(anyone()).delete_subscription(doomed, reply)).unwrap();
        ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    }
}

fn assert_clean(findings: &Findings) {
    assert!(findings.is_clean(), "{:#?}", findings.faults);
}

/// A stopped store with several segments, dead letters and pending deliveries.
fn stopped() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open_small(dir.path());
    ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    (0..30).for_each(|round| live(&store, round));
    drop(store);
    running.stop();
    dir
}

#[test]
fn a_backup_of_a_running_store_restores_to_what_its_log_says() {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open_small(dir.path());
    ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    (0..20).for_each(|round| live(&store, round));
    std::fs::write(dir.path().join("admin.token"), "hsk_x\n").unwrap();
    let over = AtomicBool::new(false);
    let mut files: Vec<PathBuf> = Vec::new();
    let root = tempfile::tempdir().unwrap();
    let before = pending_and_failed(&store);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 20.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                live(&store, round);
            }
        });
        for number in 0..3 {
            let backup = store.backup(NOW).unwrap().unwrap();
            assert!(store.backup(NOW).unwrap().is_none(), "one at a time");
            // Checkpoints run every half second: some fall between the pieces.
            let bytes = take(backup, |pieces| {
                if pieces < 4 {
                    std::thread::sleep(Duration::from_millis(400));
                }
            });
            let file = root.path().join(format!("backup-{number}"));
            std::fs::write(&file, bytes).unwrap();
            files.push(file);
        }
        over.store(true, Ordering::Relaxed);
    });
    drop(store);
    running.stop();
    assert_clean(&offline::verify_directory(dir.path(), &|_| ()).unwrap());
    for file in &files {
        let findings = offline::verify_backup(file, &|_| ()).unwrap();
        assert_clean(&findings);
        assert!(findings.events >= 80 && findings.files > 1, "{findings:?}");
        let restored = file.with_extension("dir");
        assert_clean(&offline::restore(file, &restored, &|_| ()).unwrap());
        assert_clean(&offline::verify_directory(&restored, &|_| ()).unwrap());
        assert_eq!(std::fs::read(restored.join("admin.token")).unwrap(), b"hsk_x\n");
        let Open { store, running, .. } = open(&restored);
        assert_eq!(pending_and_failed(&store).len() as u64, findings.owed() + findings.failed);
        let gone = before.iter().filter(|(id, ..)| store.delivery(*id).unwrap().is_none());
        assert_eq!(gone.count(), 0, "deliveries from before the backup are missing");
        drop(store);
        running.stop();
        assert!(offline::restore(file, &restored, &|_| ()).unwrap_err().to_string().contains("is not empty: it holds"));
    }
}

#[test]
fn replay_over_a_view_of_mixed_times_does_not_depend_on_current_values() {
    let dir = tempfile::tempdir().unwrap();
    let state = state(dir.path());
    let registry = Mutex::new(Registry::default());
    let id = DeliveryId::new(NOW, SubscriptionNumber::FIRST, 7);
    let dead = Delivery {
        id,
        subscription: SubscriptionId::from_bits(1),
        event: EventId::from_bits(9),
        event_type: EventType::parse("call.new").unwrap(),
        call: CallId::parse("c").unwrap(),
        state: State::Failed,
        attempts: 1,
        due: NOW,
        give_up_at: NOW,
        expire_at: None,
        first_failed_at: None,
        last_response: None,
        replay: false,
    };
    let again = Delivery { state: State::Retrying, ..dead.clone() };
    let over = Delivery { state: State::Delivered, ..dead.clone() };
    // The dead letter was read; then it was requeued and a checkpoint ran; then the pending deliveries were read.
    state.put(stored(&keys::delivery(ValueKind::Dead, id)), record::versioned(&DeliveryRecord::from(&dead)));
    state.put(stored(&keys::delivery(ValueKind::Owed, id)), record::versioned(&DeliveryRecord::from(&again)));
    state.checkpoint(&CheckpointMeta::default()).unwrap();
    for (after, before) in [(again, State::Failed), (over, State::Retrying)] {
        assert!(
            Record::from(Box::new(Requeued { delivery: DeliveryRecord::from(&after), before: Some(before).into() }))
                .apply(Target { view: &state, memory: &registry })
                .is_none()
        );
    }
    assert!(record::find(id, &state).unwrap().is_none(), "it was delivered");
}

#[test]
fn a_damaged_or_truncated_backup_is_reported_and_not_restored() {
    let dir = stopped();
    let Open { store, running, .. } = open(dir.path());
    let bytes = take(store.backup(NOW).unwrap().unwrap(), |_| {});
    drop(store);
    running.stop();
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("backup");
    let step = bytes.len() / 40;
    for at in (0..bytes.len()).step_by(step) {
        let mut bent = bytes.clone();
        bent[at] ^= 0x20;
        for (what, bytes) in [("flipped", bent.as_slice()), ("cut", &bytes[..at])] {
            std::fs::write(&file, bytes).unwrap();
            assert!(offline::check_backup(&file, &|_| ()).is_err(), "{what} at {at}");
            assert!(!offline::verify_backup(&file, &|_| ()).unwrap().is_clean(), "{what} at {at}");
            let into = root.path().join("into");
            assert!(offline::restore(&file, &into, &|_| ()).is_err(), "{what} at {at}");
            assert!(!into.exists(), "{what} at {at}: something was written");
        }
    }
}

#[test]
fn an_interrupted_restore_is_not_opened() {
    let dir = stopped();
    std::fs::remove_file(dir.path().join("FORMAT")).unwrap();
    std::fs::write(dir.path().join("unfinished"), "restore or salvage\n").unwrap();
    let before = contents(dir.path());
    let refusal = Store::open(dir.path(), settings(), Keyring::default(), NOW).err().unwrap().to_string();
    assert!(refusal.contains("was interrupted"), "{refusal}");
    assert_eq!(contents(dir.path()), before);
}

#[test]
fn no_flipped_byte_of_the_state_is_served() {
    let dir = stopped();
    let Open { store, running, .. } = open(dir.path());
    let wanted = pending_and_failed(&store);
    drop(store);
    running.stop();
    let state = std::fs::read(dir.path().join("state/db")).unwrap();
    let places: Vec<usize> = (0..state.len()).filter(|at| state[*at] != 0).collect();
    let (mut refused, mut sound) = (0, 0);
    for place in places.iter().step_by(places.len() / 60) {
        let copy = tempfile::tempdir().unwrap();
        copy_dir(dir.path(), copy.path());
        flip(&copy.path().join("state/db"), *place as u64);
        let before = contents(copy.path());
        let seen = match Store::open(copy.path(), settings(), Keyring::default(), NOW) {
            Ok(unstarted) => pending_and_failed(unstarted.store()),
            Err(error) => {
                assert!(error.to_string().contains("verify --salvage"), "{error}");
                assert_eq!(contents(copy.path()), before, "byte {place}: it was changed");
                refused += 1;
                continue;
            }
        };
        assert_eq!(seen, wanted, "flipped byte {place} was not detected");
        sound += 1;
    }
    assert!(refused > 0, "{refused} refused, {sound} sound");
}

fn flip(path: &Path, at: u64) {
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

#[test]
fn verify_reports_damage_and_salvage_keeps_the_rest() {
    let dir = stopped();
    let sound = offline::verify_directory(dir.path(), &|_| ()).unwrap();
    assert_clean(&sound);
    let log = |number: u32| format!("journal/{number:06}.log");
    let second = std::fs::metadata(dir.path().join(log(2))).unwrap().len();
    type Spoil<'s> = Box<dyn Fn(&Path) + 's>;
    // The damage, the file to be named, and whether records are lost.
    let cases: Vec<(&str, Spoil<'_>, String, bool)> = vec![
        ("an old file's middle", Box::new(|d| flip(&d.join(log(2)), second / 2)), log(2), true),
        ("an old file's header", Box::new(|d| flip(&d.join(log(2)), 9)), log(2), false),
        ("an old file is gone", Box::new(|d| std::fs::remove_file(d.join(log(2))).unwrap()), log(2), true),
        ("an old file is cut", Box::new(|d| cut_in_half(&d.join(log(2)))), log(2), true),
        ("an index", Box::new(|d| flip(&d.join("journal/000002.idx"), 40)), "journal/000002.idx".into(), false),
        ("the state is rubbish", Box::new(|d| fill(&d.join("state/db"))), "state".into(), false),
        ("no state", Box::new(|d| std::fs::remove_dir_all(d.join("state")).unwrap()), "state".into(), false),
        ("no FORMAT", Box::new(|d| std::fs::remove_file(d.join("FORMAT")).unwrap()), "FORMAT".into(), false),
    ];
    for (name, spoil, file, loses) in cases {
        let copy = tempfile::tempdir().unwrap();
        copy_dir(dir.path(), copy.path());
        spoil(copy.path());
        let before = contents(copy.path());
        let found = offline::verify_directory(copy.path(), &|_| ()).unwrap();
        assert!(found.faults.iter().any(|fault| fault.file == file), "{name}: {:#?}", found.faults);
        let into = tempfile::tempdir().unwrap();
        let salvaged =
            offline::salvage(copy.path(), into.path(), &|_| ()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(contents(copy.path()), before, "{name}: it was changed");
        assert_clean(&offline::verify_directory(into.path(), &|_| ()).unwrap());
        let Open { store, running, .. } = open(into.path());
        for (id, ..) in pending_and_failed(&store) {
            let delivery = store.delivery(id).unwrap().unwrap();
            assert!(store.event(delivery.event).unwrap().is_some(), "{name}: {id} has no event");
        }
        drop(store);
        running.stop();
        let kept = &salvaged.kept;
        assert_eq!(salvaged.gaps > 0, loses, "{name}: {salvaged:?}");
        if loses {
            let (left, all) = (kept.events + kept.log_entries, sound.events + sound.log_entries);
            assert!(left < all && left > all / 3, "{name}: {left} of {all}");
        } else {
            assert_eq!((kept.events, kept.log_entries), (sound.events, sound.log_entries), "{name}");
            assert_eq!((kept.owed(), kept.failed), (sound.owed(), sound.failed), "{name}");
            assert_eq!(kept.subscriptions.len(), sound.subscriptions.len(), "{name}");
        }
    }
}

#[test]
fn a_salvage_gives_no_number_of_a_lost_subscription_again() {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open(dir.path());
    let lost = ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    let posted = accept(&store, vec![event("c", None)])[0].id;
    drop(store);
    running.stop();
    std::fs::remove_dir_all(dir.path().join("state")).unwrap();
    let file = dir.path().join("journal/000001.log");
    let bytes = std::fs::read(&file).unwrap();
    let header = Header::read(&bytes).unwrap();
    let mut at = header.end() as usize;
    while let Ok((head, _, length)) = header.binding.decode(&bytes[at..], u32_of(at)) {
        at += length;
        if ["subscriptions", "states of subscriptions"].contains(&record::name(head.kind)) {
            flip(&file, at as u64 - 1);
        }
    }
    let into = tempfile::tempdir().unwrap();
    offline::salvage(dir.path(), into.path(), &|_| ()).unwrap();
    let Open { store, running, .. } = open(into.path());
    assert!(store.subscriptions().is_empty() && store.event(posted).unwrap().is_some());
    let next = ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    assert!(next.number > lost.number, "{} after {}", next.number, lost.number);
    drop(store);
    running.stop();
}

/// Where the group commits of a segment begin, and where its last record ends.
fn commits_in(file: &Path) -> Vec<usize> {
    let bytes = std::fs::read(file).unwrap();
    let header = Header::read(&bytes).unwrap();
    let (mut at, mut last, mut places) = (header.end() as usize, 0, Vec::new());
    while let Ok((head, _, length)) = header.binding.decode(&bytes[at..], u32_of(at)) {
        if head.batch != last {
            places.push(at);
        }
        last = head.batch;
        at += length;
    }
    places.push(at);
    places
}

#[test]
fn verify_accepts_torn_ends_that_a_start_truncates() {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open_small(dir.path());
    ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    drop(store);
    running.stop();
    // The view as before: a restart replays the whole log after it.
    let before = tempfile::tempdir().unwrap();
    copy_dir(&dir.path().join("state"), before.path());
    let Open { store, running, .. } = open_small(dir.path());
    (0..8).for_each(|round| live(&store, round));
    (0..3).for_each(|n| drop(accept(&store, (0..40).map(|m| event(&format!("b{n}-{m}"), None)).collect())));
    drop(store);
    running.stop();
    let log = |number: usize| format!("journal/{number:06}.log");
    let mut looked_at = 0;
    // The view's checkpoint covers a part of the first segment.
    for number in (2..).take_while(|number| dir.path().join(log(*number)).exists()) {
        let file = dir.path().join(log(number));
        let (whole, commits) = (std::fs::read(&file).unwrap(), commits_in(&file));
        // The commit being written: the first of the segment, one in its middle, its last.
        for at in [0, (commits.len() - 1) / 2, commits.len() - 2] {
            let (begin, end) = (commits[at], commits[at + 1]);
            let hole = (begin / 4096 + 1) * 4096;
            let without_first_page =
                [&whole[..begin], &vec![0; hole.min(end) - begin], &whole[hole.min(end)..end]].concat();
            for torn in [
                without_first_page,
                whole[..end - 1].to_vec(),
                whole[..begin].to_vec(),
                Vec::new(),
                whole[..9].to_vec(),
            ] {
                if torn.len() < 1024 && at > 0 {
                    continue; // Its header was synced.
                }
                let image = tempfile::tempdir().unwrap();
                copy_dir(dir.path(), image.path());
                std::fs::remove_dir_all(image.path().join("state")).unwrap();
                std::fs::create_dir(image.path().join("state")).unwrap();
                copy_dir(before.path(), &image.path().join("state"));
                for later in (number + 1..).take_while(|later| image.path().join(log(*later)).exists()) {
                    std::fs::remove_file(image.path().join(log(later))).unwrap();
                    drop(std::fs::remove_file(image.path().join(log(later)).with_extension("idx")));
                }
                drop(std::fs::remove_file(image.path().join(log(number)).with_extension("idx")));
                std::fs::write(image.path().join(log(number)), &torn).unwrap();
                let found = offline::verify_directory(image.path(), &|_| ()).unwrap();
                assert_clean(&found);
                let Open { store, running, .. } = open(image.path());
                drop(store);
                running.stop();
                assert_clean(&offline::verify_directory(image.path(), &|_| ()).unwrap());
                looked_at += 1;
            }
        }
    }
    assert!(looked_at > 8, "{looked_at}");
}

/// Rewrites the log as version 1, with `sent` in an additional record before the last of the first segment, damaged at
/// its beginning.
fn as_version_1_around(dir: &Path, sent: &[u8]) {
    for number in (1..).take_while(|number| dir.join(format!("journal/{number:06}.log")).exists()) {
        let file = dir.join(format!("journal/{number:06}.log"));
        let bytes = std::fs::read(&file).unwrap();
        let header = Header::read(&bytes).unwrap();
        let mut out = Header { binding: Binding::Plain, ..header }.to_bytes();
        let (mut at, mut frames) = (header.end() as usize, Vec::new());
        while let Ok((head, payload, length)) = header.binding.decode(&bytes[at..], u32_of(at)) {
            frames.push((head, payload.to_vec()));
            at += length;
        }
        for (nth, (head, payload)) in frames.iter().enumerate() {
            if number == 1 && nth + 1 == frames.len() {
                let from = out.len();
                encode_1(&mut out, Head { id: 0, kind: 2, ..*head }, sent);
                out[from..from + 8].fill(0xff);
            }
            encode_1(&mut out, *head, payload);
        }
        std::fs::write(&file, out).unwrap();
        drop(std::fs::remove_file(file.with_extension("idx")));
    }
}

#[test]
fn after_damage_in_a_version_1_segment_no_record_that_grants_rights_is_trusted() {
    let dir = stopped();
    let whole = offline::verify_directory(dir.path(), &|_| ()).unwrap();
    assert_clean(&whole);
    let token = Token {
        id: TokenId::from_bits(u128::from(NOW.millis()) << 80),
        role: Role::Admin,
        company: None,
        description: "made up".to_owned(),
        created_at: NOW,
        expires_at: None,
        last_used_at: None,
        hash: TokenHash::of("hsk_made_up"),
    };
    // A receiver that answers with this knows version 1, and which numbers come next.
    let mut sent = Vec::new();
    let head = Head { version: 1, kind: 17, continues: false, batch: 1 << 40, id: 0 };
    encode_1(&mut sent, head, &record::encode(&TokenRecord::from(&token)));
    as_version_1_around(dir.path(), &sent);
    std::fs::remove_dir_all(dir.path().join("state")).unwrap();
    let into = tempfile::tempdir().unwrap();
    let salvaged = offline::salvage(dir.path(), into.path(), &|_| ()).unwrap();
    assert_eq!((salvaged.left_out.get("tokens"), salvaged.taken.get("tokens")), (Some(&1), None), "{salvaged:?}");
    assert!(salvaged.renew_tokens && salvaged.gaps > 0, "{salvaged:?}");
    assert_eq!(salvaged.kept.events, whole.events, "what was accepted is there: {salvaged:?}");
    assert_clean(&offline::verify_directory(into.path(), &|_| ()).unwrap());
    let Open { store, running, .. } = open(into.path());
    assert!(store.tokens().is_empty(), "{:?}", store.tokens());
    assert!(!store.subscriptions().is_empty(), "the other files have them");
    drop(store);
    running.stop();
}
