//! Signing secrets, header values, client keys and tokens appear only where they are requested: not in messages at
//! the most verbose level, not in refusals, not in any list, and not in the output about a backup.

use serde_json::{Value, json};

use crate::certificates::Authority;
use crate::client::Client;
use crate::daemon::{Daemon, Home, hookswitch, run};
use crate::engine::has_directory;
use crate::platform::event;
use crate::receiver::{Answer, Receiver};

const VALUE: &str = "header-value-hunter2";
const REFUSED: &str = "refused-value-hunter3";
const MADE_UP: &str = "hsk_made-up-token-hunter4";

/// Output with its origin, and the secrets it must not contain.
struct Observed {
    outputs: Vec<(String, String)>,
    secrets: Vec<String>,
}

impl Observed {
    fn hear(&mut self, from: &str, text: impl Into<String>) {
        self.outputs.push((from.to_owned(), text.into()));
    }

    fn keep(&mut self, secret: &Value) {
        let text = secret.as_str().expect("a secret").to_owned();
        self.secrets.extend(text.split_once('_').map(|(_, random)| random.to_owned()));
    }
}

fn command(daemon: &Daemon, arguments: &[&str]) -> String {
    let mut command = hookswitch();
    command.args(arguments).arg("--url").arg(format!("http://{}", daemon.address));
    command.arg("--data-dir").arg(daemon.home().data());
    let exit = run(command).expect(0);
    exit.stdout + &exit.stderr
}

/// Performs everything that involves secrets, and records the replies, except where a secret is requested.
fn live(daemon: &Daemon, observed: &mut Observed) {
    let receiver = Receiver::start(|request| Answer::status(if request.attempt() == 1 { 500 } else { 200 }));
    let (client, refused) = (Authority::new().issue(&["hookswitch"]), Authority::new().issue(&["hookswitch"]));
    for pem in [&client.key, &refused.key] {
        observed.secrets.push(pem.lines().nth(1).expect("a line of the key").to_owned());
    }
    let settings = json!({"headers": {"X-Key": VALUE}, "client_cert": client.cert, "client_key": client.key});
    let subscription = daemon.subscribe(&receiver.url("/"), settings);
    observed.keep(&json!(subscription.secret));
    let api = daemon.api();
    observed
        .keep(&api.post(&format!("{}/rotate-secret", subscription.path()), &json!({})).expect(200).json()["secret"]);
    let made = api.post("/v1/tokens", &json!({"role": "read", "company": "acme"})).expect(201).json();
    observed.keep(&made["token"]);
    let reader = Client::new(daemon.address, made["token"].as_str().map(str::to_owned));
    let stranger = Client::new(daemon.address, Some(MADE_UP.to_owned()));
    daemon.accept(&event("call.new", "c1"));
    receiver.wait_for(2);
    assert_eq!(receiver.requests()[0].header("x-key"), Some(VALUE), "the receiver alone gets it");
    let wrong =
        |headers: Value| json!({"company": "acme", "url": receiver.url("/"), "events": ["*"], "headers": headers});
    let given = "whsec_Z2l2ZW4gYXQgY3JlYXRpb24gYW5kIGhlYXJkIG5vd2hlcmU=";
    observed.keep(&json!(given));
    let body = json!({"company": "acme", "url": receiver.url("/"), "events": ["call.missed"], "secret": given});
    observed.hear("a creation with a secret", api.post("/v1/subscriptions", &body).expect(201).text());
    observed
        .hear("a test with a secret", api.post("/v1/test", &json!({"url": receiver.url("/"), "secret": given})).text());
    let with = |secret: &str| json!({"url": receiver.url("/"), "secret": secret});
    let refusals = [
        api.post("/v1/test", &with(REFUSED)),
        api.post("/v1/subscriptions", &with(REFUSED)),
        api.post(&format!("{}/rotate-secret", subscription.path()), &json!({"secret": REFUSED})),
        api.post(&format!("{}/test", subscription.path()), &json!({"settings": {"secret": given}})),
        api.patch(&subscription.path(), &json!({"secret": given})),
        api.post("/v1/subscriptions", &wrong(json!({"X-Key": format!("{REFUSED}\u{7f}")}))),
        api.post("/v1/subscriptions", &wrong(json!({"Host": REFUSED}))),
        api.post("/v1/test", &json!({"url": receiver.url("/"), "headers": {"X-Key": format!(" {REFUSED}")}})),
        api.post("/v1/tokens", &json!({"role": "read", "token": MADE_UP})),
        api.patch(&subscription.path(), &json!({"client_key": refused.key})),
        api.patch(&subscription.path(), &json!({"client_cert": refused.key, "client_key": client.key})),
        stranger.get("/v1/events"),
        api.get(&format!("/v1/events?token={MADE_UP}")),
    ];
    for refusal in refusals {
        assert!((400..500).contains(&refusal.status), "{refusal:?}");
        observed.hear("a refusal", refusal.text());
    }
    let probe = api.post(&format!("{}/test", subscription.path()), &json!({})).expect(200);
    observed.hear("a test", probe.text());
    let entry = daemon.list("/v1/log")[0]["id"].as_str().expect("an id").to_owned();
    for path in [
        "/v1/subscriptions",
        &subscription.path(),
        "/v1/log",
        "/v1/deliveries",
        "/v1/events",
        "/v1/stats",
        "/v1/tokens",
    ] {
        observed.hear(path, api.get(path).expect(200).text());
    }
    observed.hear("an entry", reader.get(&format!("/v1/log/{entry}")).expect(200).text());
    observed.hear("metrics", api.get("/metrics").expect(200).text());
}

#[test]
fn secrets_appear_only_where_requested() {
    let mut observed = Observed { outputs: Vec::new(), secrets: [VALUE, REFUSED, MADE_UP].map(str::to_owned).to_vec() };
    let home = Home::new().set("diagnostics.level", "\"trace\"");
    // The first start shows the admin token, once.
    drop(home.start().stop());
    observed.keep(&json!(home.token()));
    let daemon = home.start();
    live(&daemon, &mut observed);
    for arguments in [
        &["status"][..],
        &["log"],
        &["subscription", "list"],
        &["subscription", "list", "--json"],
        &["token", "list", "--json"],
        &["event-types"],
    ] {
        observed.hear(&arguments.join(" "), command(&daemon, arguments));
    }
    let backup = home.beside("backup");
    let file = backup.to_str().expect("a path");
    if has_directory() {
        observed.hear("backup", command(&daemon, &["backup", file]));
    }
    let (home, exit) = daemon.stop();
    assert!(exit.stderr.contains("stopped"), "its messages were not heard: {exit:?}");
    observed.hear("the daemon", exit.stdout + &exit.stderr);
    let data = home.data();
    let data = ["verify", "--data-dir", data.to_str().expect("a path")];
    let on_files = [&["verify", file][..], &["verify", "--json", file], &["restore", "--dry-run", file], &data];
    for arguments in on_files.into_iter().filter(|_| has_directory()) {
        let mut command = hookswitch();
        command.args(arguments);
        let exit = run(command).expect(0);
        observed.hear(&arguments.join(" "), exit.stdout + &exit.stderr);
    }
    assert!(observed.secrets.len() >= 9 && observed.outputs.len() >= 20, "the test has forgotten something");
    for (from, text) in &observed.outputs {
        for secret in &observed.secrets {
            assert!(!text.contains(secret.as_str()), "{from} shows {secret}:\n{text}");
        }
    }
}
