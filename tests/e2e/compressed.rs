//! Full journal files are compressed, and everything in them is served as before.

use serde_json::{Value, json};

use crate::daemon::{Home, hookswitch, run};
use crate::engine::left_out;
use crate::platform::{numbered, with};
use crate::receiver::Receiver;
use crate::wait::eventually;

/// Number of events: enough for several files of a megabyte, the minimum size.
const EVENTS: usize = 2_400;

/// The transcript of the `n`th call.
fn transcript(n: usize) -> String {
    const WORDS: [&str; 8] = ["missed", "callback", "Thursday", "Zoë", "quote", "電話", "voicemail", "agent"];
    (0..120).map(|word| format!("{}{} ", WORDS[(n * 7 + word * word) % WORDS.len()], (n * word) % 97)).collect()
}

/// The versions of the journal files, and their total size. Others come and go meanwhile.
fn journal(home: &Home) -> (Vec<u8>, usize) {
    let files = std::fs::read_dir(home.data().join("journal")).expect("the journal").flatten();
    let logs = files.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "log"));
    let logs: Vec<Vec<u8>> = logs.filter_map(|path| std::fs::read(path).ok()).collect();
    let versions = logs.iter().map(|bytes| bytes.get(8).copied().unwrap_or_default()).collect();
    (versions, logs.iter().map(Vec::len).sum())
}

#[test]
fn full_files_are_compressed_and_served_also_after_a_kill() {
    if left_out() {
        return;
    }
    // A file is full at an eighth of it.
    let home = Home::new().set("retention.log_bytes", "8388608");
    let receiver = Receiver::willing();
    let daemon = home.start();
    let subscription = daemon.subscribe(&receiver.url("/"), json!({"ordering": "none"}));
    let mut posted: Vec<(String, Value)> = Vec::new();
    for batch in (0..EVENTS).collect::<Vec<_>>().chunks(100) {
        let events = batch.iter().map(|n| {
            let mut event = with(numbered(&format!("call-{}", n / 4), *n), "id", format!("p-{n}"));
            event["data"]["transcript"] = json!(transcript(*n));
            event
        });
        let events: Vec<Value> = events.collect();
        let body = events.iter().map(|event| format!("{event}\n")).collect::<String>();
        let kind = [("content-type", "application/x-ndjson")];
        let reply = daemon.api().request("POST", "/v1/events", &kind, body.as_bytes()).expect(202).json();
        let ids =
            reply["events"].as_array().expect("events").iter().map(|one| one["id"].as_str().expect("id").to_owned());
        posted.extend(ids.zip(events));
    }
    receiver.wait_for(EVENTS);
    let written: usize = posted.iter().map(|(_, event)| event.to_string().len()).sum();
    eventually("all full files to be compressed", || {
        let (versions, bytes) = journal(&home);
        let packed = versions.iter().filter(|version| **version == 3).count();
        if packed >= 3 && packed + 1 == versions.len() { Ok(()) } else { Err(format!("{versions:?}, {bytes} bytes")) }
    });
    let (_, bytes) = journal(&home);
    // Preallocated space counts too.
    assert!(bytes < written, "{bytes} bytes for {written} bytes of events, with their entries");
    daemon.kill();

    let daemon = home.start();
    for (id, event) in posted.iter().step_by(37).chain(&posted[EVENTS - 3..]) {
        let seen = daemon.api().get(&format!("/v1/events/{id}")).expect(200).json();
        assert_eq!(seen["data"], event["data"], "{id}");
        assert_eq!(seen["deliveries"][0]["state"], "delivered", "{seen}");
    }
    let (mut entries, mut path) = (0, "/v1/log?limit=500".to_owned());
    loop {
        let page = daemon.api().get(&path).expect(200).json();
        entries += page["entries"].as_array().map_or(0, Vec::len);
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/log?limit=500&cursor={next}");
    }
    assert_eq!(entries, EVENTS);
    assert_eq!(daemon.list("/v1/log?call=call-3").len(), 4);
    // A replay reads from them.
    let before = receiver.begin_anew().len();
    assert_eq!(before, EVENTS);
    daemon
        .api()
        .post(&format!("{}/replay", subscription.path()), &json!({"since": "2020-01-01T00:00:00Z"}))
        .expect(202);
    let again = receiver.wait_for(EVENTS);
    for (n, (_, event)) in posted.iter().enumerate().step_by(173) {
        assert!(again.iter().any(|request| request.json()["data"] == event["data"]), "event {n}");
    }
    let (home, exit) = daemon.stop();
    exit.expect(0);
    let mut verify = hookswitch();
    verify.arg("verify").arg("--data-dir").arg(home.data());
    run(verify).expect(0);
}
