//! Compression of full segments: of a running store, and offline operations on compressed ones.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::core::seal::Keyring;
use crate::engine::embedded::offline;

/// A store with segments of this size.
fn open_with(dir: &Path, file_bytes: u32) -> Open {
    let mut unstarted = Store::open(dir, settings(), Keyring::default(), NOW).unwrap_or_else(|error| panic!("{error}"));
    unstarted.limit_segment_bytes(file_bytes);
    let store = unstarted.store().clone();
    let (sender, changes) = mpsc::channel();
    let running = unstarted.start(|| NOW, move |_, change| drop(sender.send(change)), |why| panic!("{why}")).unwrap();
    Open { store, running, changes }
}

fn phone(n: usize) -> String {
    format!("+1202555{n:04}")
}

/// An event of realistic length and variety.
fn call(n: usize) -> NewEvent {
    const WORDS: [&str; 9] = ["missed", "widget", "callback", "Zoë", "Thursday", "agent", "quote", "電話", "voicemail"];
    let words = (0..60).map(|word| WORDS[(n * 31 + word * word * 7 + word) % WORDS.len()]);
    let text = format!(
        r#"{{"type":"call.new","company":"acme","source":"api","data":{{"call_id":"c{n}","lead_phone":"{}","transcript":"{}"}}}}"#,
        phone(n),
        words.collect::<Vec<_>>().join(" "),
    );
    NewEvent::from_json(json::parse(&text).unwrap(), &Catalogue::new(Vec::new()).unwrap()).unwrap()
}

/// Posts events, finishes their deliveries, and returns their data.
fn post(store: &Store, numbers: std::ops::Range<usize>) -> BTreeMap<EventId, Box<str>> {
    let mut posted = BTreeMap::new();
    for numbers in numbers.collect::<Vec<_>>().chunks(10) {
        for accepted in accept(store, numbers.iter().copied().map(call).collect()) {
            for delivery in store.event_deliveries(accepted.id).unwrap() {
                store.finish(finish(&delivery, Status::Delivered));
            }
            posted.insert(accepted.id, Box::from(&*store.event(accepted.id).unwrap().unwrap().data));
        }
    }
    posted
}

#[track_caller]
fn check(store: &Store, posted: &BTreeMap<EventId, Box<str>>) {
    for (id, data) in posted {
        assert_eq!(&*store.event(*id).unwrap().unwrap().data, &**data);
    }
}

/// The segments, each with the version in its header.
fn files(dir: &Path) -> Vec<(PathBuf, u8)> {
    let entries = std::fs::read_dir(dir.join("journal")).unwrap().flatten().map(|entry| entry.path());
    let logs = entries.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    let mut files: Vec<_> = logs.map(|path| (path.clone(), std::fs::read(path).unwrap()[8])).collect();
    files.sort();
    files
}

/// Waits until all segments are compressed that can be, and returns these.
fn until_compressed(store: &Store, dir: &Path) -> Vec<PathBuf> {
    let journal = &store.embedded().wal;
    let begun = std::time::Instant::now();
    while !journal.compressible(u32::MAX).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", journal.compressible(u32::MAX));
        std::thread::sleep(Duration::from_millis(20));
    }
    files(dir).into_iter().filter(|(_, version)| *version == 3).map(|(path, _)| path).collect()
}

fn log_entries(store: &Store) -> usize {
    let (mut count, mut after) = (0, None);
    loop {
        let page = store.log(&LogFilter::default(), after, 100).unwrap();
        count += page.items.len();
        after = page.next;
        if after.is_none() {
            return count;
        }
    }
}

#[test]
fn full_segments_are_compressed_while_running_and_can_be_read_backed_up_and_restored() {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open_with(dir.path(), 100 << 10);
    ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    let over = AtomicBool::new(false);
    let posted = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut read = 0;
            while !over.load(Ordering::Relaxed) {
                read += store.events(&EventFilter::default(), None, 200).unwrap().items.len();
                let of_call = CallId::parse("c7").unwrap();
                store.log(&LogFilter { call: Some(of_call), ..LogFilter::default() }, None, 10).unwrap();
            }
            read
        });
        let posted = post(&store, 0..400);
        over.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
        posted
    });
    let packed = until_compressed(&store, dir.path());
    assert!(packed.len() >= 3 && packed.len() == files(dir.path()).len() - 1, "{:?}", files(dir.path()));
    check(&store, &posted);
    assert_eq!(log_entries(&store), 400);
    let mut backup = store.backup(NOW).unwrap().unwrap();
    let mut bytes = Vec::new();
    for piece in backup.by_ref() {
        bytes.extend(piece);
    }
    drop((backup, store));
    running.stop();
    let findings = offline::verify_directory(dir.path(), &|_| ()).unwrap();
    assert!(findings.is_clean() && (findings.events, findings.log_entries) == (400, 400), "{findings:#?}");

    let root = tempfile::tempdir().unwrap();
    let (file, restored) = (root.path().join("backup"), root.path().join("restored"));
    std::fs::write(&file, &bytes).unwrap();
    let findings = offline::verify_backup(&file, &|_| ()).unwrap();
    assert!(findings.is_clean() && (findings.events, findings.log_entries) == (400, 400), "{findings:#?}");
    assert!(offline::restore(&file, &restored, &|_| ()).unwrap().is_clean());
    for path in &packed {
        let copy = restored.join("journal").join(path.file_name().unwrap());
        assert!(std::fs::read(copy).unwrap() == std::fs::read(path).unwrap(), "{}: as it was", path.display());
    }
    for dir in [dir.path(), &restored] {
        let Open { store, running, .. } = open(dir);
        check(&store, &posted);
        assert_eq!(log_entries(&store), 400);
        assert_eq!(store.counts(), Counts::default());
        drop(store);
        running.stop();
    }
    // Any damage to the backup is detected.
    for at in (0..bytes.len()).step_by(bytes.len() / 40) {
        let mut bent = bytes.clone();
        bent[at] ^= 0x20;
        for bytes in [bent.as_slice(), &bytes[..at]] {
            std::fs::write(&file, bytes).unwrap();
            assert!(!offline::verify_backup(&file, &|_| ()).unwrap().is_clean(), "byte {at}");
            assert!(offline::restore(&file, &root.path().join("into"), &|_| ()).is_err(), "byte {at}");
        }
    }
}

#[test]
fn erased_persons_are_in_no_compressed_segment_and_these_are_compressed_again() {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open_with(dir.path(), 100 << 10);
    ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    let posted = post(&store, 0..300);
    let before = until_compressed(&store, dir.path());
    let files_with = |number: usize| {
        let wanted = phone(number);
        let has = |(_, payload): &(u8, Vec<u8>)| payload.windows(wanted.len()).any(|part| part == wanted.as_bytes());
        let all = files(dir.path()).into_iter().map(|(path, _)| path);
        all.filter(|path| offline::records_in(&std::fs::read(path).unwrap()).iter().any(has)).count()
    };
    assert!(files_with(5) > 0 && files_with(150) > 0);
    let acme = Company::parse("acme").unwrap();
    store.by(anyone()).erase(&acme, &phone(5), false, NOW).unwrap();
    store.by(anyone()).erase(&acme, &phone(150), false, NOW).unwrap();
    while !store.embedded().erasures.under_way().is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!((files_with(5), files_with(150)), (0, 0));
    assert!(until_compressed(&store, dir.path()).len() >= before.len());
    assert_eq!((files_with(5), files_with(150), files_with(7)), (0, 0, 1));
    for (n, (id, data)) in posted.iter().enumerate() {
        let event = store.event(*id).unwrap().unwrap();
        assert_eq!(*event.data == **data, ![5, 150].contains(&n), "{n}");
    }
    drop(store);
    running.stop();
    let findings = offline::verify_directory(dir.path(), &|_| ()).unwrap();
    assert!(findings.is_clean(), "{findings:#?}");
}

/// A stopped store with compressed segments of several blocks each.
fn stopped() -> (tempfile::TempDir, Vec<PathBuf>, BTreeMap<EventId, Box<str>>) {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open_with(dir.path(), 300 << 10);
    ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    let posted = post(&store, 0..1200);
    let packed = until_compressed(&store, dir.path());
    assert!(packed.len() >= 2);
    drop(store);
    running.stop();
    (dir, packed, posted)
}

#[test]
fn damage_to_a_compressed_segment_is_located_and_loses_at_most_its_block() {
    let (dir, packed, posted) = stopped();
    let name = format!("journal/{}", packed[0].file_name().unwrap().to_string_lossy());
    let whole = std::fs::read(&packed[0]).unwrap();
    let blocks = (whole.len() - 1024) / 16; // at least, by a table's length
    assert!(blocks > 100);
    let found_all = offline::records_in(&whole).len();
    for (byte, lost_most) in
        [(1, 0), (600, 0), (1026, 0), (whole.len() - 3, 0), (whole.len() / 2, 130), (1024 + 50, 130)]
    {
        let copy = tempfile::tempdir().unwrap();
        copy_dir(dir.path(), copy.path());
        let mut bent = whole.clone();
        bent[byte] ^= 0x11;
        std::fs::write(copy.path().join(&name), &bent).unwrap();
        let found = offline::verify_directory(copy.path(), &|_| ()).unwrap();
        let own: Vec<_> = found.faults.iter().filter(|fault| fault.file == name).collect();
        let near = |said: u64| said <= byte as u64 && byte as u64 - said < 40_000;
        assert!(!own.is_empty() && own.iter().all(|fault| fault.byte.is_some_and(near)), "{byte}: {:#?}", found.faults);
        let into = tempfile::tempdir().unwrap();
        let salvaged = offline::salvage(copy.path(), into.path(), &|_| ()).unwrap();
        assert_eq!(salvaged.gaps > 0, lost_most > 0, "{byte}: {salvaged:?}");
        assert!(salvaged.lost_bytes <= lost_most * 540, "{byte}: {} bytes", salvaged.lost_bytes);
        let kept = offline::verify_directory(into.path(), &|_| ()).unwrap();
        assert!(kept.is_clean(), "{byte}: {kept:#?}");
        assert!(offline::records_in(&bent).len() as u64 + lost_most * 2 >= found_all as u64, "{byte}");
        let Open { store, running, .. } = open(into.path());
        let there = posted.iter().filter(|(id, data)| {
            let event = store.event(**id).unwrap();
            assert!(event.as_ref().is_none_or(|event| *event.data == ***data));
            event.is_some()
        });
        assert!(there.count() as u64 + lost_most >= posted.len() as u64, "{byte}");
        drop(store);
        running.stop();
    }
}

#[test]
fn a_damaged_compressed_segment_fails_its_readers_only() {
    let (dir, packed, posted) = stopped();
    let whole = std::fs::read(&packed[1]).unwrap();
    let mut bent = whole.clone();
    let middle = whole.len() / 2;
    bent[middle] ^= 1;
    std::fs::write(&packed[1], &bent).unwrap();
    let Open { store, running, .. } = open(dir.path());
    let (mut sound, mut damaged) = (0, Vec::new());
    for (id, data) in &posted {
        match store.event(*id) {
            Ok(event) => {
                assert_eq!(*event.unwrap().data, **data);
                sound += 1;
            }
            Err(error) => damaged.push(error.to_string()),
        }
    }
    assert!(sound > 500 && (20..100).contains(&damaged.len()), "{sound} and {}", damaged.len());
    let name = packed[1].display().to_string();
    assert!(damaged.iter().all(|error| error.contains(&format!("{name} is damaged at byte "))), "{damaged:?}");
    let next = accept(&store, vec![call(1000)])[0].id;
    assert!(store.event(next).unwrap().is_some());
    drop(store);
    running.stop();
    // A truncated segment is refused, and the directory is unchanged.
    for length in [0, 20, 1000, 1030, whole.len() - 1] {
        std::fs::write(&packed[1], &whole[..length]).unwrap();
        let before = contents(dir.path());
        let refused = Store::open(dir.path(), settings(), Keyring::default(), NOW).err().unwrap().to_string();
        assert!(refused.contains(&name) && refused.contains("nothing in it was changed"), "{refused}");
        assert_eq!(contents(dir.path()), before);
    }
}
