//! Untrusted bytes are stored verbatim, and never read as records: a receiver answers with the record of an admin's
//! token, in the journal's format.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::client::Client;
use crate::daemon::{Daemon, Home, contents, hookswitch, run};
use crate::engine::left_out;
use crate::platform::event;

/// A token that was never created.
const FORGED: &str = "hsk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The record of that token, as in `src/store/record/token.rs`, in bincode.
fn record() -> Vec<u8> {
    let mut record = vec![254];
    record.extend_from_slice(&(1_790_000_000_000u128 << 80).to_le_bytes());
    for text in ["admin", "made up"] {
        if text == "made up" {
            record.push(0); // of no company
        }
        record.push(u8::try_from(text.len()).unwrap());
        record.extend_from_slice(text.as_bytes());
    }
    record.push(253);
    record.extend_from_slice(&1_790_000_000_000u64.to_le_bytes());
    record.extend_from_slice(&[0, 0]); // never over, never used
    record.extend_from_slice(&Sha256::digest(FORGED.as_bytes()));
    record
}

/// Frames with that record, as an attacker can make them: of version 1, complete, of a group commit far ahead; and of
/// version 2 with a guessed salt.
fn frames() -> Vec<u8> {
    let record = record();
    let tail = |batch: u64| {
        let mut tail = vec![1, 17, 0, 0];
        tail.extend_from_slice(&batch.to_le_bytes());
        tail.extend_from_slice(&[0; 16]);
        tail
    };
    let length = u32::try_from(record.len()).unwrap().to_le_bytes();
    let first = [tail(1 << 40), record.clone()].concat();
    let mut frames = [b"HSwF", &length[..], &crc32fast::hash(&first).to_le_bytes(), &first].concat();
    let crc = crc32fast::hash(&record).to_le_bytes();
    frames.extend([b"HSw2", &length[..], &[0; 8], &crc, &[0, 4, 0, 0], &tail(1 << 40), &record].concat());
    frames
}

/// A receiver that answers everything with these bytes.
fn answering(body: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let (mut request, mut piece) = (Vec::new(), [0; 4096]);
            let is_whole = |request: &[u8]| {
                let text = String::from_utf8_lossy(request).to_lowercase();
                let Some(head) = text.find("\r\n\r\n") else { return false };
                let length = text.split_once("content-length: ").and_then(|(_, rest)| rest.split("\r\n").next());
                length
                    .and_then(|length| length.parse::<usize>().ok())
                    .is_some_and(|length| text.len() >= head + 4 + length)
            };
            while !is_whole(&request) {
                match stream.read(&mut piece) {
                    Ok(count) if count > 0 => request.extend_from_slice(&piece[..count]),
                    _ => break,
                }
            }
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            // The client may be gone.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    address
}

/// Has one event delivered to such a receiver.
fn deliver(daemon: &Daemon, receiver: SocketAddr) {
    daemon.subscribe(&format!("http://{receiver}/"), json!({}));
    daemon.accept(&event("call.new", "forged"));
    daemon.wait_for_list("/v1/log?status=delivered", 1);
}

/// The newest journal file, the position of the forged frames in it, and the start of the frame around them.
fn forged_in(home: &Home) -> (PathBuf, usize, usize) {
    let frames = frames();
    for (path, bytes) in contents(&home.data().join("journal")) {
        let Some(at) = bytes.windows(frames.len()).position(|window| window == frames) else { continue };
        let around = bytes[..at].windows(3).rposition(|window| window == b"HSw").expect("the frame around it");
        return (path, around, at + frames.len());
    }
    panic!("the answer is not in the journal as it came");
}

fn status_with(daemon: &Daemon, token: &str) -> u16 {
    Client::new(daemon.address, Some(token.to_owned())).get("/v1/tokens").status
}

fn move_to(from: &Path, to: &Path) {
    drop(fs::remove_dir_all(to));
    fs::rename(from, to).expect("moved");
}

#[test]
fn a_forged_token_in_an_answer_is_none_after_a_salvage() {
    if left_out() {
        return;
    }
    let home = Home::new();
    let daemon = home.start();
    deliver(&daemon, answering(frames()));
    // A genuine one follows it.
    let true_one = daemon.api().post("/v1/tokens", &json!({"role": "admin", "description": "true"})).expect(201).json();
    let true_one = true_one["token"].as_str().expect("its text").to_owned();
    daemon.stop().1.expect(0);
    let (file, around, _) = forged_in(&home);
    // Without a valid length the end of the surrounding frame is unknown: the next frame is searched for inside it.
    let mut bytes = fs::read(&file).expect("the journal");
    bytes[around..around + 8].fill(0xff);
    fs::write(&file, bytes).expect("written");
    // With the existing state, and with the state rebuilt from the journal.
    for without_state in [false, true] {
        if without_state {
            fs::remove_dir_all(home.data().join("state")).expect("the state, gone");
        }
        let saved = home.beside("saved");
        drop(fs::remove_dir_all(&saved));
        let mut salvage = hookswitch();
        salvage.args(["verify", "--salvage", "--json", "--data-dir"]).arg(home.data()).arg("--into").arg(&saved);
        let report = run(salvage).expect(0).json();
        assert_eq!(report["gaps"], 1, "{report}");
        assert_eq!(report["taken"]["tokens"], 1, "{report}");
        assert_eq!((&report["left_out"], &report["unproved"]), (&json!({}), &json!(0)), "{report}");
        // Something unknown to the state may have been lost.
        assert_eq!(report["renew_tokens"], without_state, "{report}");
        let kept = home.beside("kept");
        move_to(&home.data(), &kept);
        move_to(&saved, &home.data());
        let daemon = home.start();
        for (token, status) in [(FORGED, 401), (&true_one, 200), (&home.token(), 200)] {
            assert_eq!(status_with(&daemon, token), status, "without_state: {without_state}");
        }
        daemon.stop().1.expect(0);
        move_to(&kept, &home.data());
    }
}

#[test]
fn a_forged_token_in_a_torn_last_commit_does_not_keep_the_daemon_from_starting() {
    if left_out() {
        return;
    }
    let home = Home::new();
    home.start().stop().1.expect(0);
    let before = home.beside("state-before");
    crate::upgrade::copy(&home.data().join("state"), &before);
    let daemon = home.start();
    deliver(&daemon, answering(frames()));
    daemon.kill();
    let (file, around, behind) = forged_in(&home);
    let mut bytes = fs::read(&file).expect("the journal");
    // As if power had failed during the write: its beginning did not reach the disk.
    bytes[around..around + 60].fill(0);
    bytes.truncate(behind);
    fs::write(&file, bytes).expect("written");
    move_to(&before, &home.data().join("state"));
    let mut verify = hookswitch();
    verify.arg("verify").arg("--data-dir").arg(home.data());
    assert!(run(verify).expect(0).stdout.contains("nothing acknowledged in them"));
    let daemon = home.start();
    assert_eq!((status_with(&daemon, FORGED), status_with(&daemon, &home.token())), (401, 200));
    // Deliveries sent but not recorded are repeated.
    daemon.wait_for_list("/v1/log?status=delivered", 1);
}
