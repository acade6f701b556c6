use std::collections::BTreeMap;

use super::*;
use proptest::prelude::*;

fn database(dir: &std::path::Path) -> sled::Db {
    sled::Config::new().path(dir).flush_every_ms(None).open().unwrap()
}

fn open(dir: &std::path::Path) -> Kv {
    Kv::open(database(dir)).unwrap()
}

/// An operation (0 removes, 1 inserts as new if it is, else sets), its key, and the part of a checkpoint that follows.
type Operation = (u8, Vec<u8>, u8);

fn reads_as_one_map(operations: Vec<Operation>) -> Result<(), TestCaseError> {
    let dir = tempfile::tempdir().unwrap();
    let mut kv = open(dir.path());
    let mut model = BTreeMap::new();
    let mut seen = std::collections::BTreeSet::new();
    kv.go_live();
    for (index, (what, key, checkpoint)) in operations.into_iter().enumerate() {
        let key = [b"q", key.as_slice()].concat();
        if what == 0 {
            kv.remove(key.clone());
            model.remove(&key);
        } else {
            let value = vec![index as u8];
            if what == 1 && !seen.contains(&key) {
                kv.put_new(key.clone(), value);
            } else {
                kv.put(key.clone(), value);
            }
            model.insert(key.clone(), vec![index as u8]);
            seen.insert(key.clone());
        }
        match checkpoint {
            0 => kv.checkpoint(&CheckpointMeta::default()).unwrap(),
            1 => kv.freeze(),
            2 => kv.write_frozen(&CheckpointMeta::default()).unwrap(),
            3 => drop(kv.merge().unwrap()),
            4 => {
                // The first may be the one that was begun before.
                kv.checkpoint(&CheckpointMeta::default()).unwrap();
                kv.checkpoint(&CheckpointMeta::default()).unwrap();
                let db = kv.db.clone();
                drop(kv);
                kv = Kv::open(db).unwrap();
                kv.go_live();
            }
            _ => {}
        }
        prop_assert_eq!(kv.get(&key).unwrap(), model.get(&key).cloned());
        let all: Vec<_> = model.clone().into_iter().collect();
        prop_assert_eq!(kv.scan(b"q", None, 1000).unwrap(), all.clone());
        let down: Vec<_> =
            model.range(b"q".to_vec()..key.clone()).rev().map(|(k, v)| (k.clone(), v.clone())).take(3).collect();
        prop_assert_eq!(kv.scan_down(b"q", &key, 3).unwrap(), down);
        let after: Vec<_> = all.into_iter().filter(|(k, _)| *k > key).take(2).collect();
        prop_assert_eq!(kv.scan(b"q", Some(&key), 2).unwrap(), after);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn memtables_and_database_read_as_one_map(
        operations in proptest::collection::vec((0u8..3, proptest::collection::vec(0u8..4, 1..4), 0u8..9), 1..60),
    ) {
        reads_as_one_map(operations)?;
    }
}

/// The state after random changes, checkpoints and merges, with and without the end of a process in between, is that of
/// a map. Values are so long that a run has many blocks, and a merge many steps.
#[test]
fn many_keys_in_many_runs_read_as_one_map() {
    let key = |number: u32| stored(&crate::model::keys::call("acme", &number.to_string()));
    for seed in 0..6u32 {
        let dir = tempfile::tempdir().unwrap();
        let mut kv = open(dir.path());
        kv.go_live();
        let (mut model, mut random) = (BTreeMap::new(), seed.wrapping_mul(0x9E37_79B9) | 1);
        let mut any = |most: u32| {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            random % most
        };
        for round in 0..40u8 {
            for _ in 0..any(600) {
                let changed = key(any(900));
                if any(4) == 0 {
                    kv.remove(changed.clone());
                    model.remove(&changed);
                } else {
                    let value = vec![round; any(2_000) as usize];
                    kv.put(changed.clone(), value.clone());
                    model.insert(changed, value);
                }
            }
            kv.freeze();
            kv.write_frozen(&CheckpointMeta::default()).unwrap();
            for _ in 0..any(4) {
                kv.merge().unwrap();
            }
            if any(8) == 0 {
                let db = kv.db.clone();
                drop(kv);
                kv = Kv::open(db).unwrap();
                kv.go_live();
            }
            for number in (0..900).step_by(7) {
                assert_eq!(kv.get(&key(number)).unwrap(), model.get(&key(number)).cloned(), "{number}, {seed}");
            }
            let all: Vec<_> = model.clone().into_iter().collect();
            assert!(kv.scan(b"t", None, 1_000).unwrap() == all, "{seed}");
            assert!(kv.stored(None, usize::MAX).unwrap() == all, "{seed}");
            assert!(kv.scan_down(b"t", b"u", 1_000).unwrap().into_iter().rev().eq(all), "{seed}");
        }
        while kv.merge().unwrap() {}
        kv.merge().unwrap();
        let runs = kv.layers().runs.clone();
        let own: Vec<_> = runs.iter().flat_map(|run| run.stored_keys().collect::<Vec<_>>()).collect();
        let stored = kv.db.iter().keys().map(|key| key.unwrap().to_vec()).filter(|key| !is_own(key));
        assert_eq!(stored.count(), own.len(), "nothing is left of runs that were merged");
    }
}

/// Queues that are filled, emptied from their heads, and refilled before them, read as a map does.
#[test]
fn a_queue_that_was_emptied_from_its_head_is_read_from_there() {
    let key = |queue: u8, number: u32| [&[b'q', queue], number.to_be_bytes().as_slice()].concat();
    let dir = tempfile::tempdir().unwrap();
    let kv = open(dir.path());
    kv.go_live();
    let mut model = BTreeMap::new();
    let (mut random, mut heads) = (7u32, 0);
    let mut any = |most: u32| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) % most
    };
    for round in 0..400u32 {
        let queue = any(2) as u8;
        match any(4) {
            0 => {
                let first = any(5_000);
                for number in first..first + any(2_000) {
                    kv.put(key(queue, number), vec![round as u8]);
                    model.insert(key(queue, number), vec![round as u8]);
                }
            }
            1 => {
                let most = any(1_500) as usize;
                let first: Vec<_> =
                    model.range(key(queue, 0)..key(queue + 1, 0)).take(most).map(|(k, _)| k.clone()).collect();
                for removed in first {
                    model.remove(&removed);
                    kv.remove(removed);
                }
            }
            2 => {
                kv.put_new(key(queue, 10_000 + round), vec![1]);
                model.insert(key(queue, 10_000 + round), vec![1]);
            }
            _ => kv.checkpoint(&CheckpointMeta::default()).unwrap(),
        }
        for prefix in [&[b'q', 0][..], &[b'q', 1], b"q"] {
            let after = [prefix, &any(3_000).to_be_bytes()].concat();
            for after in [None, Some(after.as_slice())] {
                let wanted = model
                    .iter()
                    .filter(|(k, _)| k.starts_with(prefix) && after.is_none_or(|after| k.as_slice() > after));
                let wanted: Vec<_> = wanted.take(3).map(|(k, v)| (k.clone(), v.clone())).collect();
                assert_eq!(kv.scan(prefix, after, 3).unwrap(), wanted, "round {round}");
            }
            heads += u32::from(kv.heads.before(prefix).is_some());
        }
    }
    assert!(heads > 300, "{heads}");
}

fn is_own(key: &[u8]) -> bool {
    [stored_key::MANIFEST, POSITION].contains(&key)
}

#[test]
fn runs_are_merged_while_there_are_many() {
    let dir = tempfile::tempdir().unwrap();
    let kv = open(dir.path());
    for number in 0..300u32 {
        kv.put(number.to_be_bytes().to_vec(), vec![1]);
        kv.checkpoint(&CheckpointMeta::default()).unwrap();
        let runs = kv.layers().runs.clone();
        assert!(runs.len() <= 5 * 4, "{} runs after {number} checkpoints", runs.len());
        assert!(runs.is_sorted_by_key(|run| (run.meta().level, std::cmp::Reverse(run.meta().id))), "by age");
    }
    assert_eq!(kv.stored(None, usize::MAX).unwrap().len(), 300);
}

#[test]
fn a_run_that_was_merged_is_read_to_the_end_by_those_who_began() {
    let dir = tempfile::tempdir().unwrap();
    let kv = open(dir.path());
    let fill = |value: u8| {
        for key in 0..50u8 {
            kv.put(vec![b't', key], vec![value; 1_000]);
        }
        kv.freeze();
        kv.write_frozen(&CheckpointMeta::default()).unwrap();
    };
    (0..6).for_each(fill);
    let before = kv.layers().runs.clone();
    let range = (Bound::Unbounded, Bound::Unbounded);
    let mut reading = before[0].range(&kv.db, range);
    assert!(reading.next().unwrap().is_ok());
    while kv.merge().unwrap() {}
    kv.merge().unwrap();
    assert_eq!(kv.layers().runs.len(), 1);
    assert_eq!(
        reading.filter(|pair| pair.as_ref().is_ok_and(|(_, value)| value.as_ref().unwrap()[0] == 5)).count(),
        49
    );
    let old = before[0].stored_keys().next().unwrap();
    drop(before);
    assert!(kv.db.contains_key(&old).unwrap());
    kv.merge().unwrap();
    assert!(!kv.db.contains_key(&old).unwrap());
}

#[test]
fn plain_pairs_are_taken_over_once_however_often_that_is_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let db = database(dir.path());
    let plain: Vec<(Vec<u8>, Vec<u8>)> =
        (0..2_000u32).map(|n| (stored(&crate::model::keys::call("acme", &n.to_string())), vec![7; 90])).collect();
    let put = || {
        for (key, value) in &plain {
            db.insert(key, value.as_slice()).unwrap();
        }
    };
    put();
    db.insert(POSITION, record::encode(&CheckpointPosition { segment: 4, ..CheckpointPosition::default() })).unwrap();
    // Interrupted before the manifest was written.
    db.insert(stored_key::block_key(0, 0), vec![1, 2, 3]).unwrap();
    db.insert(stored_key::block_key(0, 7_000), vec![1, 2, 3]).unwrap();
    let sorted: BTreeMap<_, _> = plain.iter().cloned().collect();
    for _ in 0..2 {
        let kv = Kv::open(db.clone()).unwrap();
        assert!(kv.stored(None, usize::MAX).unwrap().into_iter().eq(sorted.clone()));
        assert_eq!(kv.applied().unwrap().unwrap().segment, 4);
        assert!(
            kv.db.get(&plain[3].0).unwrap().is_none() && kv.db.get(stored_key::block_key(0, 7_000)).unwrap().is_none()
        );
        kv.remove(plain[3].0.clone());
        kv.put(plain[3].0.clone(), vec![7; 90]);
        kv.checkpoint(&CheckpointMeta::default()).unwrap();
        drop(kv);
        // Interrupted while they were removed; what they held may have changed since.
        db.insert(&plain[3].0, vec![1]).unwrap();
        db.insert(POSITION, record::encode(&CheckpointPosition { segment: 4, ..CheckpointPosition::default() }))
            .unwrap();
    }
}

#[test]
fn missing_and_damaged_blocks_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    let kv = open(dir.path());
    (0..200u8).for_each(|key| kv.put(vec![b'q', key], vec![key; 100]));
    kv.checkpoint(&CheckpointMeta::default()).unwrap();
    let key = kv.layers().runs[0].stored_keys().nth(1).unwrap();
    let corrupt = |kv: &Kv| {
        let read = (kv.stored(None, usize::MAX), kv.scan(b"q", None, 1_000));
        assert!(matches!(read, (Err(StateError::Corrupt(_)), Err(StateError::Corrupt(_)))));
        assert!(kv.get(&[b'q', 1]).unwrap().is_some(), "other blocks can be read");
    };
    kv.db.insert(&key, &[0, 200, 1]).unwrap();
    corrupt(&kv);
    kv.db.remove(&key).unwrap();
    corrupt(&kv);
    kv.db.insert(stored_key::MANIFEST, &[9]).unwrap();
    assert!(matches!(Kv::open(kv.db.clone()), Err(StateError::Corrupt(_))));
}

#[test]
fn a_key_removed_and_set_again_during_a_checkpoint_is_read_correctly() {
    let operations = [(1, 0, 0), (0, 1, 1), (0, 0, 0), (1, 0, 2), (0, 0, 0)];
    reads_as_one_map(operations.map(|(what, key, checkpoint)| (what, vec![key], checkpoint)).to_vec()).unwrap();
}

#[test]
fn only_a_written_checkpoint_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let kv = open(dir.path());
    let at = |segment| CheckpointPosition { segment, ..CheckpointPosition::default() };
    kv.checkpoint(&CheckpointMeta { position: at(3), ..CheckpointMeta::default() }).unwrap();
    assert_eq!(kv.durable(), at(3));
    // sled has the value, but was not asked to write it yet.
    kv.db.insert(POSITION, record::encode(&at(4))).unwrap();
    assert_eq!((kv.applied().unwrap(), kv.durable()), (Some(at(4)), at(3)));
}

#[test]
fn no_value_in_sled_exceeds_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let kv = open(dir.path());
    let long: Vec<u8> = (0..40_000u32).map(|n| n as u8).collect();
    kv.put_pieces(b"s1", &long, 8);
    kv.checkpoint(&CheckpointMeta::default()).unwrap();
    assert!(kv.db.iter().all(|entry| entry.unwrap().1.len() <= 4 << 10));
    let pieces =
        |kv: &Kv| kv.scan(b"s1", None, 99).unwrap().into_iter().flat_map(|(_, piece)| piece).collect::<Vec<_>>();
    assert_eq!(pieces(&kv), long);
    kv.put_pieces(b"s1", b"short", 8);
    assert_eq!(pieces(&kv), b"short");
    assert!(std::fs::read_dir(dir.path().join("blobs")).unwrap().next().is_none(), "sled has written a blob");
}

#[test]
fn an_io_error_is_distinguished_from_corruption() {
    let sled = sled::Error::Io(std::io::ErrorKind::Other.into());
    assert!(matches!(StoreError::from(StateError::from(sled)), StoreError::Io { .. }));
    let sled = sled::Error::Corruption { at: None, bt: () };
    assert!(matches!(StoreError::from(StateError::from(sled)), StoreError::Corrupt { .. }));
}
