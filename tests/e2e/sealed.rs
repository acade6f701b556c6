//! Secrets sealed on the disk: in no file once there is a key, available after every start with it, and refused
//! without it.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hookswitch::core::seal::Keyring;
use serde_json::{Value, json};

use crate::certificates::{Authority, Identity};
use crate::daemon::{Created, Daemon, Exit, Home, contents, hookswitch, run};
use crate::engine::{has_directory, left_out};
use crate::platform::event;
use crate::receiver::Receiver;
use crate::secure_receivers::{Secure, trusting};
use crate::upgrade::{check_facts, facts, thawed};

const VALUE: &str = "header-value-hunter2-of-a-webhook";
/// The token by which a webhook signs in.
const TOKEN: &str = "bearer-token-hunter3-of-a-webhook";

/// Writes a key file with these keys; the same number is the same key.
fn key_file(home: &Home, numbers: &[u8]) -> PathBuf {
    let lines: Vec<String> = numbers.iter().map(|number| STANDARD.encode([*number; 32])).collect();
    let file = home.beside("own.key");
    std::fs::write(&file, format!("# of a test\n{}\n", lines.join("\n"))).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    file
}

fn keyed(home: Home, numbers: &[u8]) -> Home {
    let file = key_file(&home, numbers);
    home.set("store.key_file", &format!("{file:?}"))
}

/// Bytes that must not appear anywhere.
#[derive(Default)]
struct Secrets(Vec<Vec<u8>>);

impl Secrets {
    /// A signing secret, as text and as the bytes it encodes.
    fn signing(&mut self, secret: &str) {
        let text = secret.strip_prefix("whsec_").expect("a secret");
        self.0.push(text.as_bytes().to_vec());
        self.0.push(STANDARD.decode(text).expect("base64"));
    }

    fn text(&mut self, text: &str) {
        self.0.push(text.as_bytes().to_vec());
    }

    /// A private key, by a line of its PEM.
    fn key(&mut self, pem: &str) {
        self.text(pem.lines().nth(1).expect("a line of base64"));
    }

    /// How many of them appear in `bytes`.
    fn within(&self, bytes: &[u8]) -> usize {
        let stands = |secret: &&Vec<u8>| bytes.windows(secret.len()).any(|window| window == secret.as_slice());
        self.0.iter().filter(stands).count()
    }

    /// The files below `directory` that contain one of them.
    fn files_with_any(&self, directory: &Path) -> Vec<PathBuf> {
        contents(directory).into_iter().filter(|(_, bytes)| self.within(bytes) > 0).map(|(path, _)| path).collect()
    }
}

/// The receivers: one with own headers and a rotated secret, and one that requires a client certificate.
struct Cast {
    plain: Receiver,
    secure: Secure,
    own: Created,
    second: String,
    client: Identity,
    secrets: Secrets,
}

impl Cast {
    fn new(daemon: &Daemon, authority: &Authority) -> Self {
        let clients = Authority::new();
        let (plain, client) = (Receiver::willing(), clients.issue(&["hookswitch"]));
        let secure = Secure::start(&authority.issue(&["localhost"]), Some(&clients));
        let auth = json!({"type": "bearer", "token": TOKEN});
        let own = daemon.subscribe(&plain.url("/"), json!({"headers": {"X-Key": VALUE}, "auth": auth}));
        let shown = json!({"client_cert": client.cert, "client_key": client.key});
        let mutual = daemon.subscribe(&secure.url(), shown);
        let rotated = daemon.api().post(&format!("{}/rotate-secret", own.path()), &json!({})).expect(200).json();
        let second = rotated["secret"].as_str().expect("a secret").to_owned();
        let mut secrets = Secrets::default();
        secrets.text(VALUE);
        secrets.text(TOKEN);
        secrets.key(&client.key);
        for secret in [&own.secret, &second, &mutual.secret] {
            secrets.signing(secret);
        }
        Self { plain, secure, own, second, client, secrets }
    }

    /// Posts an event, and checks its delivery.
    #[track_caller]
    fn deliver(&self, daemon: &Daemon, call: &str) {
        let before = self.secure.wait_for(0).len();
        daemon.accept(&event("call.new", call));
        let requests = self.plain.wait_until("the event", |all| all.iter().any(|request| request.call() == call));
        let request = requests.iter().find(|request| request.call() == call).expect("it came");
        assert_eq!((request.signatures(), request.header("x-key")), (2, Some(VALUE)), "{request:?}");
        assert_eq!(request.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()), "{request:?}");
        assert!(request.is_signed_with(&self.own.secret) && request.is_signed_with(&self.second), "{request:?}");
        let shown = self.secure.wait_for(before + 1);
        assert_eq!(shown.last().and_then(Option::as_deref), Some(&*self.client.chain()[0]));
    }
}

#[test]
fn with_a_key_no_secret_stands_in_any_file_and_deliveries_are_signed_after_a_restart_and_a_kill() {
    if left_out() {
        return;
    }
    let authority = Authority::new();
    let home = keyed(trusting(&authority), &[1]);
    let daemon = home.start();
    let cast = Cast::new(&daemon, &authority);
    cast.deliver(&daemon, "c1");
    let daemon = daemon.kill().start();
    cast.deliver(&daemon, "c2");
    assert_eq!(cast.secrets.files_with_any(&home.data()), Vec::<PathBuf>::new());
    let (_, exit) = daemon.stop();
    exit.expect(0);
    assert_eq!(cast.secrets.files_with_any(&home.data()), Vec::<PathBuf>::new());
    let daemon = home.start();
    cast.deliver(&daemon, "c3");
    let backup = backup(&daemon);
    daemon.stop().1.expect(0);
    assert_eq!(cast.secrets.within(&std::fs::read(backup).expect("the backup")), 0);

    // The same without a key: the search does find them.
    let open = trusting(&authority);
    let daemon = open.start();
    let cast = Cast::new(&daemon, &authority);
    daemon.stop().1.expect(0);
    let found = cast.secrets.files_with_any(&open.data().join("journal"));
    let journal = std::fs::read(&found[0]).expect("the journal");
    // Not the texts of the three signing secrets: their decoded bytes are stored.
    assert_eq!(cast.secrets.within(&journal), cast.secrets.0.len() - 3);
    assert!(!cast.secrets.files_with_any(&open.data().join("state")).is_empty());
}

fn backup(daemon: &Daemon) -> PathBuf {
    let file = daemon.home().beside("backup");
    let mut command = hookswitch();
    command.arg("backup").arg(&file).args(["--force", "--url", &format!("http://{}", daemon.address)]);
    command.arg("--data-dir").arg(daemon.home().data());
    let output = run(command).expect(0).stdout;
    assert!(output.contains("signing secrets are sealed with key"), "{output}");
    file
}

/// A start that must be refused because of its key, with these words, without changes.
#[track_caller]
fn refused(home: &Home, words: &[&str]) -> Exit {
    let before = contents(&home.data());
    let exit = home.refused_start().expect(78);
    for word in words {
        assert!(exit.stderr.contains(word), "`{word}` is not in {}", exit.stderr);
    }
    assert_eq!(contents(&home.data()), before, "it was changed");
    exit
}

/// The fingerprint recorded in the data directory; without one, that of the first key of the key file.
fn fingerprint(home: &Home) -> String {
    if !has_directory() {
        let file = std::fs::read_to_string(home.beside("own.key")).expect("the key file");
        return Keyring::parse("own.key", &file).expect("keys").sealing().expect("a key").to_string();
    }
    let text = std::fs::read_to_string(home.data().join("sealed")).expect("the marker");
    text.trim_end().rsplit(' ').next().expect("a word").to_owned()
}

#[test]
fn the_old_key_is_reported_unneeded_even_after_a_kill_before_a_checkpoint() {
    if left_out() {
        return;
    }
    let home = keyed(thawed().start().stop().0, &[1]);
    let killed = home.start().kill();
    let daemon = keyed(killed, &[2, 1]).start();
    daemon.wait_for_saying("no other key is needed");
    let daemon = keyed(daemon.kill(), &[2]).start();
    check_facts(&daemon);
    daemon.stop().1.expect(0);
}

#[test]
fn a_key_that_comes_later_seals_what_is_there_and_the_next_one_seals_it_anew() {
    let home = Home::new();
    let daemon = home.start();
    let created = daemon.subscribe("http://127.0.0.1:9/", json!({"headers": {"X-Key": VALUE}}));
    daemon.stop().1.expect(0);
    for keys in [&[1][..], &[2, 1], &[2]] {
        let daemon = keyed(home.clone(), keys).start();
        if keys != [2] {
            daemon.wait_for_saying("(subscriptions sealed anew: 1); no other key is needed");
        }
        let secret = daemon.api().get(&format!("{}/secret", created.path())).expect(200).json();
        assert_eq!(secret["secret"], created.secret.as_str());
        daemon.stop().1.expect(0);
    }
    let second = fingerprint(&home);
    refused(&home, &[&second]);
    refused(&keyed(home.clone(), &[1]), &[&second]);
}

#[test]
fn turned_on_for_a_directory_that_is_there_everything_new_is_sealed_and_the_key_is_needed_from_then_on() {
    if left_out() {
        return;
    }
    let daemon = thawed().start();
    check_facts(&daemon);
    let home = keyed(daemon.stop().0, &[1]);
    let daemon = home.start();
    check_facts(&daemon);
    daemon.wait_for_saying("sealed anew: 2)");
    let mut secrets = Secrets::default();
    for wanted in facts()["subscriptions"].as_array().into_iter().flatten() {
        let path = format!("/v1/subscriptions/{}", wanted["id"].as_str().unwrap_or_default());
        let rotated = daemon.api().post(&format!("{path}/rotate-secret"), &json!({"overlap": "0s"})).expect(200).json();
        secrets.signing(rotated["secret"].as_str().unwrap_or_default());
        let change = json!({"headers": {"X-Key": VALUE}});
        daemon.api().patch(&path, &change).expect(200);
    }
    secrets.text(VALUE);
    daemon.stop().1.expect(0);
    assert_eq!(secrets.files_with_any(&home.data()), Vec::<PathBuf>::new());
    let first = fingerprint(&home);
    refused(&home.clone().without("store.key_file"), &[&first, "`key_file` in [store]", "nothing was changed"]);
    refused(&keyed(home.clone(), &[2]), &[&first, "own.key has key"]);
    keyed(home.clone(), &[1]).start().stop().1.expect(0);
}

#[test]
fn a_kill_at_any_point_of_turning_it_on_or_of_a_new_key_loses_no_secret() {
    if left_out() {
        return;
    }
    let plain = thawed();
    plain.start().stop().1.expect(0);
    let home = keyed(plain, &[1]);
    for millis in [2, 6, 12, 20, 30, 45, 70, 110, 200, 600] {
        home.start_and_kill(Duration::from_millis(millis));
    }
    let daemon = home.start();
    check_facts(&daemon);
    let first = fingerprint(&home);
    let home = keyed(daemon.kill(), &[2, 1]);
    for millis in [2, 6, 12, 20, 30, 45, 70, 110, 200, 600] {
        home.start_and_kill(Duration::from_millis(millis));
    }
    let daemon = home.start();
    check_facts(&daemon);
    daemon.stop().1.expect(0);
    assert_ne!(fingerprint(&home), first);
    refused(&keyed(home.clone(), &[1]), &[&fingerprint(&home)]);
    check_facts(&keyed(home, &[2]).start());
}

#[test]
fn a_backup_is_restored_sealed_and_looked_at_without_the_key() {
    if left_out() {
        return;
    }
    let daemon = keyed(thawed(), &[1]).start();
    let file = backup(&daemon);
    let home = daemon.stop().0;
    let other = Home::new().set("retention.log_age", "\"87600h\"").set("retention.event_age", "\"87600h\"");
    let (restored, salvaged) = (other.data(), other.beside("saved"));
    let mut secrets = Secrets::default();
    for wanted in facts()["subscriptions"].as_array().into_iter().flatten() {
        secrets.signing(wanted["secret"].as_str().unwrap_or_default());
    }
    let run_on = |arguments: &[&dyn AsRef<std::ffi::OsStr>]| {
        let mut command = hookswitch();
        command.args(arguments.iter().map(AsRef::as_ref));
        run(command).expect(0).stdout
    };
    let first = fingerprint(&home);
    let line = format!("sealed      secrets (subscriptions: 2), with key {first}; they were not opened");
    for output in [
        run_on(&[&"verify", &file]),
        run_on(&[&"verify", &"--data-dir", &home.data()]),
        run_on(&[&"restore", &file, &"--data-dir", &restored]),
        run_on(&[&"verify", &"--data-dir", &restored]),
        run_on(&[&"verify", &"--salvage", &"--data-dir", &restored, &"--into", &salvaged]),
    ] {
        assert!(output.contains(&line), "{output}");
    }
    // The files of the frozen directory contain them unsealed, and are in the backup unchanged; its state does not.
    assert_eq!(secrets.files_with_any(&restored.join("state")), Vec::<PathBuf>::new());
    refused(&other, &[&first]);
    check_facts(&keyed(other.clone(), &[1]).start());
    std::fs::remove_dir_all(&restored).unwrap();
    std::fs::rename(&salvaged, &restored).unwrap();
    refused(&other, &[&first]);
    check_facts(&keyed(other, &[1]).start());
}

#[test]
fn a_key_that_systemd_hands_over_is_used_where_none_is_configured() {
    let home = Home::new();
    let credentials = home.beside("credentials");
    std::fs::create_dir(&credentials).unwrap();
    std::fs::copy(key_file(&home, &[1]), credentials.join("store.key")).unwrap();
    let start = || {
        home.try_start(|mut command| {
            command.env("CREDENTIALS_DIRECTORY", &credentials);
            command
        })
    };
    let daemon = start().unwrap_or_else(|why| panic!("{why}"));
    let created = daemon.subscribe("http://127.0.0.1:9/", json!({}));
    let mut secrets = Secrets::default();
    secrets.signing(&created.secret);
    daemon.stop().1.expect(0);
    assert_eq!(secrets.files_with_any(&home.data()), Vec::<PathBuf>::new());
    let first = fingerprint(&home);
    refused(&home, &[&first, "`store.key` of systemd"]);
    // The configured one takes precedence.
    refused(&keyed(home.clone(), &[2]), &[&first]);
    let daemon = start().unwrap_or_else(|why| panic!("{why}"));
    let again = daemon.api().get(&format!("{}/secret", created.path())).expect(200).json();
    assert_eq!(again["secret"], created.secret.as_str());
}

fn told_by(command: &str, home: &Home) -> Exit {
    let mut process = hookswitch();
    process.arg(command).env("HOOKSWITCH_STORE__KEY_FILE", home.beside("own.key"));
    if command == "doctor" {
        process.args(["--json", "--data-dir"]).arg(home.data()).env("HOOKSWITCH_HTTP__LISTEN", "127.0.0.1:0");
    }
    run(process)
}

#[test]
fn a_bad_key_file_is_named_with_its_line_before_anything_starts_and_the_doctor_looks_at_it() {
    if left_out() {
        return;
    }
    let home = keyed(Home::new(), &[1]);
    let file = home.beside("own.key");
    let secrets = |exit: &Exit| -> BTreeMap<String, String> {
        let found = exit.json();
        let all = found["checks"].as_array().cloned().unwrap_or_default();
        let one = all.into_iter().find(|check| check["check"] == "secrets").unwrap_or(Value::Null);
        let text = |member: &str| (member.to_owned(), one[member].as_str().unwrap_or_default().to_owned());
        ["state", "message"].into_iter().map(text).collect()
    };
    let found = secrets(&told_by("doctor", &home).expect(0));
    assert!(found["state"] == "ok" && found["message"].contains("at the next start"), "{found:?}");
    told_by("check-config", &home).expect(0);
    home.start().stop().1.expect(0);
    let found = secrets(&told_by("doctor", &home).expect(0));
    assert!(found["state"] == "ok" && found["message"].contains(&fingerprint(&home)), "{found:?}");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let found = secrets(&told_by("doctor", &home).expect(0));
    assert!(found["state"] == "warn" && found["message"].contains("mode 0644"), "{found:?}");
    let (_, exit) = home.start().stop();
    assert!(exit.stderr.contains("chmod 600"), "{exit:?}");
    key_file(&home, &[2]);
    let found = secrets(&told_by("doctor", &home).expect(1));
    assert!(found["state"] == "fail" && found["message"].contains(&fingerprint(&home)), "{found:?}");
    std::fs::write(&file, "# a remark\nhunter2\n").unwrap();
    for command in ["doctor", "check-config"] {
        let exit = told_by(command, &home).expect(78);
        let output = exit.stdout + &exit.stderr;
        assert!(output.contains("own.key line 2") && output.contains("head -c 32"), "{command}: {output}");
        assert!(!output.contains("hunter2"), "{command}: {output}");
    }
    refused(&home, &["own.key line 2 is not the base64 of a key"]);
    std::fs::remove_file(&file).unwrap();
    refused(&home, &["own.key cannot be read", "`key_file` in [store]"]);
}

#[test]
fn with_a_lost_key_deliveries_wait_until_there_are_new_secrets() {
    let receiver = Receiver::willing();
    let home = keyed(Home::new(), &[1]);
    let daemon = home.start();
    let subscription = daemon.subscribe(&receiver.url("/"), json!({"headers": {"X-Key": VALUE}, "enabled": false}));
    daemon.accept(&event("call.new", "c1"));
    daemon.stop().1.expect(0);
    let first = fingerprint(&home);
    let home = keyed(home, &[2]);
    refused(&home, &[&first, "'Secrets on the disk'"]);
    let file = home.beside("own.key");
    let lines = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{lines}lost {first}\n")).unwrap();
    let daemon = home.start();
    daemon.wait_for_saying("their key is said to be lost");
    let api = daemon.api();
    let shown = api.get(&subscription.path()).expect(200).json();
    assert_eq!(shown["disabled_reason"], "its secrets on the disk cannot be opened", "{shown}");
    api.get(&format!("{}/secret", subscription.path())).expect_problem(&[409]);
    api.post(&format!("{}/test", subscription.path()), &json!({})).expect_problem(&[409]);
    api.patch(&subscription.path(), &json!({"enabled": true})).expect_problem(&[409]);
    daemon.accept(&event("call.new", "c2"));
    let rotated = api.post(&format!("{}/rotate-secret", subscription.path()), &json!({})).expect(200).json();
    api.patch(&subscription.path(), &json!({"enabled": true, "headers": {"X-Key": "new"}})).expect(200);
    for request in receiver.wait_for(2) {
        assert!(request.is_signed_with(rotated["secret"].as_str().unwrap_or_default()), "{request:?}");
        assert_eq!((request.signatures(), request.header("x-key")), (1, Some("new")));
    }
    let home = keyed(daemon.stop().0, &[2]);
    home.start().stop().1.expect(0);
}
