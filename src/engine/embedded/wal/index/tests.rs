use crate::model::term::{Lookup, Owner, Term};

use super::*;
use crate::engine::embedded::wal::index::entry::SPARSE_EVERY;
use crate::model::record::Class;
use crate::model::term::Terms;

/// An index of 1,000 frames of 1,000 bytes each, with ids from 1 on and both long and short lists.
fn made() -> Growing {
    let mut index = Growing::default();
    for n in 0..1000u32 {
        let class = [Class::Event, Class::LogEntry, Class::Message, Class::WithEvent][n as usize % 4];
        let whose = Owner::company(if n % 10 == 0 { "small" } else { "large" });
        let (call, rare) = (format!("call-{}", n / 3), format!("+1202555{n:04}"));
        let keys = whose.keys([Term::All, Term::Call(&call), Term::Phone(&rare)]);
        let terms = Terms { keys, at: None };
        index.insert(&IndexEntry { offset: 32 + n * 1000, length: 1000, class, id: u128::from(n) + 1, terms });
    }
    index
}

fn sealed(index: &Growing) -> (tempfile::NamedTempFile, Option<Index>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), to_bytes(index)).unwrap();
    let open = Index::open(File::open(file.path()).unwrap());
    (file, open)
}

/// All postings under a key, ascending, read in as many chunks as necessary.
fn all(index: &Index, key: u64) -> Vec<Posting> {
    let (mut found, mut below) = (Vec::new(), u32::MAX);
    loop {
        let some = index.below(key, below).unwrap();
        let Some(first) = some.first() else { break };
        below = first.offset;
        found.splice(0..0, some);
    }
    found
}

#[test]
fn entries_are_found_in_memory_and_on_the_disk() {
    let growing = made();
    let (_file, sealed) = sealed(&growing);
    let (growing, sealed) = (Index::Growing(growing), sealed.unwrap());
    let keys: Vec<u64> = match &growing {
        Index::Growing(index) => index.lists().map(|(key, _)| key).collect(),
        Index::Sealed(_) => Vec::new(),
    };
    assert!(keys.len() > 1_400, "{}", keys.len());
    assert_eq!(sealed.stats(), growing.stats());
    assert_eq!(sealed.keys_between(0, u64::MAX, usize::MAX).unwrap(), keys);
    for key in &keys {
        let postings = all(&growing, *key);
        assert!(!postings.is_empty() && postings.is_sorted_by_key(|posting| posting.offset));
        assert_eq!(all(&sealed, *key), postings);
        for below in [0, 32, 33, 5_032, 500_000, 999_032, 999_033] {
            let last = postings.iter().rfind(|posting| posting.offset < below);
            assert_eq!(sealed.below(*key, below).unwrap().last(), last);
            assert_eq!(growing.below(*key, below).unwrap().last(), last);
        }
        assert!(growing.may_have(*key) && sealed.may_have(*key));
        assert!(all(&sealed, key + 1).is_empty() || keys.contains(&(key + 1)));
    }
    let large = Term::All.lookup(Some(&Owner::company("large")));
    let Lookup::One(large) = large else { panic!("{large:?}") };
    let offsets: Vec<u32> = all(&sealed, large).iter().map(|posting| posting.offset).collect();
    assert_eq!(offsets, (0..1000).filter(|n| n % 10 != 0).map(|n| 32 + n * 1000).collect::<Vec<_>>());
    for (at, key) in keys.iter().enumerate().step_by(97) {
        let last = keys[(at + 50).min(keys.len() - 1)];
        for index in [&growing, &sealed] {
            let mut between = index.postings_between(*key, last).unwrap();
            let mut wanted: Vec<Posting> =
                keys.iter().filter(|k| (*key..=last).contains(*k)).flat_map(|k| all(&growing, *k)).collect();
            between.sort_by_key(|posting| posting.offset);
            wanted.sort_by_key(|posting| posting.offset);
            assert_eq!(between, wanted);
            assert_eq!(index.keys_between(*key, last, 7).unwrap(), keys[at..(at + 7).min(keys.len())]);
        }
    }
    for id in [0, 1, 2, 8, 500, 999, 1000, 1001, u128::MAX] {
        assert_eq!(sealed.sparse_floor(id).unwrap(), growing.sparse_floor(id).unwrap(), "{id}");
        assert_eq!(sealed.sparse_ceiling(id).unwrap(), growing.sparse_ceiling(id).unwrap(), "{id}");
    }
    assert!(sealed.sparse_floor(500).unwrap().is_some_and(|at| at <= 499_032 && at + 2 * SPARSE_EVERY > 499_032));
}

#[test]
fn damage_in_an_index_is_detected() {
    let index = made();
    let bytes = to_bytes(&index);
    let (file, whole) = sealed(&index);
    assert!(whole.is_some());
    for at in (0..bytes.len()).step_by(7) {
        let mut bent = bytes.clone();
        bent[at] ^= 0x10;
        std::fs::write(file.path(), &bent).unwrap();
        let Some(bent) = Index::open(File::open(file.path()).unwrap()) else { continue };
        let fails = bent.postings_between(0, u64::MAX).is_err();
        let fails = fails || (1..=1000).any(|id| bent.sparse_floor(id).is_err());
        assert!(fails, "byte {at}");
    }
    for cut in [0, 1, 50, 87, 88, 500, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(file.path(), &bytes[..cut]).unwrap();
        assert!(Index::open(File::open(file.path()).unwrap()).is_none(), "cut at {cut}");
    }
}

#[test]
fn older_versions_are_distinguished_from_damage() {
    let bytes = to_bytes(&made());
    assert!(!is_outdated(&bytes) && !is_outdated(b"HSwI") && !is_outdated(b"HSwX\x03\0\0\0"));
    assert!(is_outdated(b"HSwI\x03\0\0\0") && is_outdated(b"HSwI\x02\0\0\0rest"));
}

#[test]
fn the_latest_delay_is_recorded() {
    let mut index = Growing::default();
    let mut insert = |id_ms: u128, at| {
        let terms = Terms { keys: Vec::new(), at };
        index.insert(&IndexEntry {
            offset: index.stats.end.max(32),
            length: 10,
            class: Class::LogEntry,
            id: id_ms << 80,
            terms,
        });
        index.stats.late
    };
    assert_eq!([insert(5, Some(5)), insert(9, Some(2)), insert(9, Some(10)), insert(10, None)], [0, 7, 7, 7]);
}
