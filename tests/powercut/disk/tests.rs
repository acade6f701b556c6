//! The model's interpretation of calls.

use super::*;

#[test]
fn a_sync_covers_completed_writes_and_no_names() {
    let base = tempfile::tempdir().unwrap();
    std::fs::create_dir(base.path().join("d")).unwrap();
    let text = r#"1 openat(AT_FDCWD, "\x2f\x72\x2f\x64\x2f\x66", O_WRONLY|O_CREAT, 0600) = 3
1 write(3, "\x61", 1) = 1
2 fsync(3 <unfinished ...>
1 write(3, "\x62", 1) = 1
2 <... fsync resumed>) = 0
1 openat(AT_FDCWD, "\x2f\x72\x2f\x64", O_RDONLY) = 4
1 fsync(4) = 0
"#;
    let trace = Trace::parse(text).unwrap();
    let mut disk = Disk::found(base.path(), Path::new("/r"), Discount::Nothing);
    for moment in &trace.moments[..8] {
        disk.step(&trace, *moment);
    }
    let file = |disk: &Disk| match &disk.inodes[2].kind {
        Kind::File(file) => (file.durable.clone(), file.live.clone(), file.volatile.len()),
        Kind::Directory(_) => panic!("a file"),
    };
    let names = |disk: &Disk| match &disk.inodes[1].kind {
        Kind::Directory(directory) => directory.durable.len(),
        Kind::File(_) => panic!("a directory"),
    };
    assert_eq!(file(&disk), (b"a".to_vec(), b"ab".to_vec(), 1));
    assert_eq!(names(&disk), 0, "its name is not on the disk yet");
    trace.moments[8..].iter().for_each(|moment| disk.step(&trace, *moment));
    assert_eq!(names(&disk), 1);
}

#[test]
fn calls_unfinished_at_a_kill_count_as_far_as_recorded() {
    let base = tempfile::tempdir().unwrap();
    std::fs::write(base.path().join("a"), "a").unwrap();
    std::fs::write(base.path().join("b"), "b").unwrap();
    let text = r#"1 openat(AT_FDCWD, "\x2f\x72\x2f\x61", O_WRONLY) = 3
1 pwrite64(3, "\x62\x63\x64", 3, 0 <unfinished ...>
2 openat(AT_FDCWD, "\x2f\x72\x2f\x6e", O_WRONLY|O_CREAT|O_TRUNC, 0600 <unfinished ...>
3 unlink("\x2f\x72\x2f\x62" <unfinished ...>
"#;
    let trace = Trace::parse(text).unwrap();
    let seen = |files: &[(&str, &str)]| -> BTreeMap<PathBuf, Vec<u8>> {
        files.iter().map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec())).collect()
    };
    let ended = |seen: BTreeMap<PathBuf, Vec<u8>>| {
        let mut disk = Disk::found(base.path(), Path::new("/r"), Discount::Nothing);
        trace.moments.iter().for_each(|moment| disk.step(&trace, *moment));
        disk.process_ended(&trace, &seen)
    };
    assert_eq!(ended(seen(&[("/r/a", "a"), ("/r/b", "b")])), Ok(()), "none of them");
    assert_eq!(ended(seen(&[("/r/a", "bc"), ("/r/n", "")])), Ok(()), "the write in part, and the others");
    assert!(ended(seen(&[("/r/a", "a"), ("/r/b", "b"), ("/r/other", "")])).is_err(), "what no call made");
    assert!(ended(seen(&[("/r/a", "x"), ("/r/b", "b")])).is_err(), "what no call wrote");
}
