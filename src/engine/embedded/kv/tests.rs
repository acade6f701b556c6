use std::collections::BTreeMap;

use super::*;
use proptest::prelude::*;

fn open(dir: &std::path::Path) -> Kv {
    Kv::new(sled::Config::new().path(dir).flush_every_ms(None).open().unwrap())
}

/// An operation (0 removes, 1 inserts as new if it is, else sets), its key, and the part of a checkpoint that follows.
type Operation = (u8, Vec<u8>, u8);

fn reads_as_one_map(operations: Vec<Operation>) -> Result<(), TestCaseError> {
    let dir = tempfile::tempdir().unwrap();
    let kv = open(dir.path());
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
        operations in proptest::collection::vec((0u8..3, proptest::collection::vec(0u8..4, 1..4), 0u8..4), 1..60),
    ) {
        reads_as_one_map(operations)?;
    }
}

/// Every call that was stored is found, however much of it has reached sled and while the filter is rebuilt.
#[test]
fn a_known_call_is_always_found() {
    let key = |number: u32| stored(&crate::model::keys::call("acme", &number.to_string()));
    for seed in 0..8u32 {
        let dir = tempfile::tempdir().unwrap();
        let db = sled::Config::new().path(dir.path()).flush_every_ms(None).open().unwrap();
        let kv = Kv::with_capacity(db, 8);
        kv.put(key(0), vec![0]);
        kv.checkpoint(&CheckpointMeta::default()).unwrap();
        kv.put(key(1), vec![1]);
        kv.go_live();
        let (mut put, mut random) = (vec![0, 1], seed.wrapping_mul(0x9E37_79B9) | 1);
        for number in 2..1_500u32 {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            match random % 32 {
                0 => kv.freeze(),
                1 => kv.write_frozen(&CheckpointMeta::default()).unwrap(),
                2 => kv.checkpoint(&CheckpointMeta::default()).unwrap(),
                3..=20 => kv.remove(key(put.swap_remove(random as usize / 32 % put.len()))),
                _ => {}
            }
            assert_eq!(kv.get(&key(number)).unwrap(), None);
            kv.put(key(number), vec![number as u8]);
            put.push(number);
            for known in put.iter().skip(random as usize % 7).step_by(7) {
                assert_eq!(kv.get(&key(*known)).unwrap(), Some(vec![*known as u8]), "{known} at {number}, {seed}");
            }
        }
    }
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
    for entry in kv.db.iter() {
        assert!(entry.unwrap().1.len() <= MAX_VALUE);
    }
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
