//! The command line against a running daemon, with `--json` as scripts use it.

use std::process::Command;

use serde_json::{Value, json};

use crate::daemon::{Daemon, Exit, hookswitch, run};
use crate::platform::event;
use crate::receiver::{Answer, Receiver};

/// Runs a command that talks to `daemon`.
#[track_caller]
pub(crate) fn talk(daemon: &Daemon, arguments: &[&str]) -> Exit {
    run(to(daemon, arguments))
}

fn to(daemon: &Daemon, arguments: &[&str]) -> Command {
    let mut command = hookswitch();
    command.args(arguments).arg("--url").arg(format!("http://{}", daemon.address));
    command.arg("--data-dir").arg(daemon.home().data());
    command
}

/// The output of a list command: one list.
#[track_caller]
fn listed(exit: &Exit) -> Vec<Value> {
    exit.json().as_array().unwrap_or_else(|| panic!("no list: {exit:?}")).clone()
}

#[test]
fn the_first_webhook_on_the_command_line() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    let url = receiver.url("/hook");
    let add = ["subscription", "add", &url, "--company", "acme", "--events", "call.missed,call.finished", "--json"];
    let added = talk(&daemon, &add).expect(0).json();
    // A new subscription is shown with its secret, which the receiver needs.
    let (subscription, secret) = (&added["subscription"], added["secret"].as_str().unwrap_or_default().to_owned());
    let id = subscription["id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(subscription["url"], url.as_str(), "{added}");
    assert_eq!(subscription["events"], json!(["call.finished", "call.missed"]), "{added}");

    let sent = talk(&daemon, &["send", "call.missed", "--company", "acme", "--json"]).expect(0).json();
    assert_eq!(sent["deliveries"], 1, "{sent}");
    let request = receiver.wait_for(1)[0].clone();
    assert_eq!(sent["id"], request.webhook_id());
    assert!(request.is_signed_with(&secret), "{added}");
    let shown = talk(&daemon, &["subscription", "secret", &id]).expect(0).stdout;
    assert!(shown.contains(&secret), "{shown}");

    daemon.wait_for_list("/v1/log", 1);
    let log = talk(&daemon, &["log", "--json"]).expect(0).stdout;
    let log: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    assert_eq!(log.len(), 1, "{log:?}");
    assert_eq!((&log[0]["event_id"], &log[0]["response"]), (&sent["id"], &json!(200)), "{log:?}");
    let list = listed(&talk(&daemon, &["subscription", "list", "--json"]).expect(0));
    assert_eq!(list.iter().map(|item| &item["id"]).collect::<Vec<_>>(), [&json!(id)]);
    let types = listed(&talk(&daemon, &["event-types", "--json"]).expect(0));
    assert!(types.iter().any(|item| item["name"] == "call.missed"), "{types:?}");
    let status = talk(&daemon, &["status", "--json"]).expect(0);
    assert!(status.json().is_object(), "{status:?}");
    let table = talk(&daemon, &["log"]).expect(0).stdout;
    for wanted in ["200", "call.missed", "delivered"] {
        assert!(table.contains(wanted), "{wanted} in {table}");
    }
    for wanted in [id.as_str(), "acme", "SUBSCRIPTION"] {
        assert!(table.contains(wanted), "nothing is left out in a pipe: {table}");
    }
}

#[test]
fn an_event_its_deliveries_and_attempts_are_shown_sent_again_and_cancelled() {
    let daemon = Daemon::start();
    let receiver = Receiver::start(|_| Answer::status(500).body("oops"));
    let made = daemon.subscribe(&receiver.url("/hook"), json!({}));
    let event = daemon.accept(&event("call.missed", "c1"))["id"].as_str().unwrap().to_owned();
    let attempt = daemon.wait_for_list("/v1/log", 1)[0]["id"].as_str().unwrap().to_owned();
    let shown = talk(&daemon, &["event", "show", &event]).expect(0).stdout;
    let listed = listed(&talk(&daemon, &["delivery", "list", "-o", "json", "--state", "retrying"]).expect(0));
    let delivery = listed[0]["id"].as_str().unwrap();
    for wanted in [event.as_str(), "\"call_id\": \"c1\"", delivery, "retrying", made.id.as_str()] {
        assert!(shown.contains(wanted), "{wanted} in {shown}");
    }
    let events = talk(&daemon, &["event", "list", "--since", "1h", "-o", "csv"]).expect(0).stdout;
    assert!(events.starts_with("id,accepted_utc,type,company,call\n") && events.contains(&event), "{events}");
    let shown = talk(&daemon, &["log", "show", &attempt]).expect(0).stdout;
    for wanted in ["500 after", delivery, "webhook-id: ", "\"type\": \"call.missed\"", "HTTP 500", "oops"] {
        assert!(shown.contains(wanted), "{wanted} in {shown}");
    }
    let again = talk(&daemon, &["delivery", "retry", delivery]).expect(0).stdout;
    assert!(again.starts_with(delivery), "{again}");
    receiver.wait_for(2);
    let ended = talk(&daemon, &["delivery", "cancel", delivery]).expect(0).stdout;
    assert_eq!(ended, format!("{delivery} is cancelled\n"));
    for wrong in [["delivery", "retry", "dlv_1"], ["event", "show", "evt_1"], ["log", "show", "att_1"]] {
        let refused = talk(&daemon, &wrong).expect(1);
        assert!(
            refused.stderr.contains(&format!("there is no {}", wrong[0].replace("log", "log entry"))),
            "{refused:?}"
        );
    }
}

#[test]
fn unknown_words_and_times_are_refused_before_anything_is_sent() {
    let daemon = Daemon::start();
    for (arguments, wanted) in [
        (&["log", "--status", "faild"][..], "delivered, retrying, failed"),
        (&["log", "--response", "9999"], "a status code such as 404"),
        (&["report", "--by", "week"], "agent"),
        (&["report", "--since", "soon"], "a date such as"),
        (&["delivery", "list", "--state", "gone"], "cancelled"),
        (&["subscription", "add", "https://a.example/", "--company", "a", "--events", "*", "--format", "xml"], "form"),
        (
            &["subscription", "add", "https://a.example/", "--company", "a", "--events", "*", "--preset", "slak"],
            "slack",
        ),
        (&["portal-link", "create", "--company", "a", "--role", "ingest"], "admin"),
    ] {
        let refused = talk(&daemon, arguments).expect(2);
        assert!(refused.stderr.contains(wanted) && refused.stdout.is_empty(), "{wanted} in {refused:?}");
    }
    let refused =
        talk(&daemon, &["subscription", "add", "ftp://a.example/", "--company", "a", "--events", "*"]).expect(1);
    assert!(refused.stderr.contains("url: ") && !refused.stderr.contains("422"), "{refused:?}");
    let mut dated = to(&daemon, &["log", "--since", "2026-11-28"]);
    dated.env("TZ", "America/Santiago");
    let dated = run(dated).expect(0);
    assert!(dated.stderr.contains("--since 2026-11-28 is 2026-11-28T00:00:00-03:00"), "{dated:?}");
    let mut help = hookswitch();
    help.args(["help", "--help"]);
    assert!(run(help).expect(0).stdout.contains("Usage: hookswitch"));
}

#[test]
fn a_subscription_is_changed_paused_and_removed() {
    let daemon = Daemon::start();
    let subscription = daemon.subscribe("http://127.0.0.1:9/", json!({}));
    let id = subscription.id.as_str();
    let seen = || daemon.api().get(&subscription.path()).expect(200).json();
    talk(&daemon, &["subscription", "disable", id]).expect(0);
    assert_eq!(seen()["enabled"], false);
    talk(&daemon, &["subscription", "enable", id]).expect(0);
    assert_eq!(seen()["enabled"], true);
    talk(&daemon, &["subscription", "edit", id, "--format", "form", "--events", "call.new"]).expect(0);
    assert_eq!((&seen()["format"], &seen()["events"]), (&json!("form"), &json!(["call.new"])));
    let shown = talk(&daemon, &["subscription", "show", id, "--json"]).expect(0).json();
    assert_eq!(shown["id"], id);
    let replayed = talk(&daemon, &["subscription", "replay", id, "--since", "24h", "--json"]).expect(0).json();
    assert_eq!(replayed["queued"], 0);
    talk(&daemon, &["subscription", "replay", id, "--since", "soon"]).expect(2);
    let rotated = talk(&daemon, &["subscription", "rotate-secret", id]).expect(0).stdout;
    assert!(rotated.contains("whsec_") && !rotated.contains(&subscription.secret), "{rotated}");
    talk(&daemon, &["subscription", "remove", id]).expect(0);
    daemon.api().get(&subscription.path()).expect_problem(&[404]);
    let gone = talk(&daemon, &["subscription", "show", id]).expect(1);
    assert!(!gone.stderr.is_empty(), "{gone:?}");
}

#[test]
fn test_reports_whether_a_url_works_by_message_and_exit_status() {
    let daemon = Daemon::start();
    let receiver = Receiver::start(|request| Answer::status(if request.path == "/hook" { 200 } else { 404 }));
    let found = talk(&daemon, &["test", &receiver.url("/hook"), "--json"]).expect(0).json();
    assert_eq!((&found["response"], &found["working"]), (&json!(200), &json!(true)), "{found}");
    let found = talk(&daemon, &["test", &receiver.url("/nowhere"), "--json"]).expect(1).json();
    assert_eq!((&found["response"], &found["working"]), (&json!(404), &json!(false)), "{found}");
    let output = talk(&daemon, &["test", &receiver.url("/nowhere")]).expect(1);
    assert!(output.stdout.contains("404"), "{output:?}");
}

#[test]
fn the_samples_that_are_built_in_are_sent_with_a_token_that_may_only_post() {
    let daemon = Daemon::start();
    let create = ["token", "create", "--role", "ingest", "--json"];
    let made = talk(&daemon, &create).expect(0).json();
    let token = made["token"].as_str().unwrap_or_default();
    let sent =
        talk(&daemon, &["send", "call.missed", "--company", "acme", "--token", token, "--json"]).expect(0).json();
    let stored =
        daemon.api().get(&format!("/v1/events/{}", sent["id"].as_str().unwrap_or_default())).expect(200).json();
    let sample = daemon.api().get("/v1/event-types/call.missed").expect(200).json();
    assert_eq!(stored["data"], sample["sample"], "{stored}");
}

#[test]
fn one_delivery_is_one() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    let subscription = daemon.subscribe(&receiver.url("/hook"), json!({"enabled": false}));
    let id = subscription.id.as_str();
    talk(&daemon, &["send", "call.missed", "--company", "acme"]).expect(0);
    let output = talk(&daemon, &["subscription", "discard", id]).expect(0).stdout;
    assert_eq!(output, "1 delivery is cancelled\n");
    // That is done between commits, after the answer; what is still waiting is not replayed.
    daemon.wait_for_list("/v1/deliveries?state=cancelled", 1);
    let output = talk(&daemon, &["subscription", "replay", id, "--since", "1h"]).expect(0).stdout;
    let follow = format!("`hookswitch log --follow --subscription {id}`");
    assert!(output.starts_with("1 delivery is put back into the queue\n") && output.contains(&follow), "{output}");
}

#[test]
fn errors_go_to_standard_error() {
    let daemon = Daemon::start();
    assert_eq!(talk(&daemon, &["healthcheck"]).expect(0).stdout, "ready\n");
    let refused = talk(&daemon, &["send", "call.exploded", "--company", "acme"]).expect(1);
    assert!(refused.stderr.contains("event type"), "what is wrong: {refused:?}");
    let mut stranger = hookswitch();
    stranger.args(["status", "--token", "wrong", "--url"]).arg(format!("http://{}", daemon.address));
    let refused = run(stranger).expect(1);
    assert!(refused.stderr.to_lowercase().contains("token"), "{refused:?}");
    let address = daemon.address;
    let (home, _) = daemon.stop();
    let mut nobody = hookswitch();
    nobody.args(["status", "--url"]).arg(format!("http://{address}")).arg("--data-dir").arg(home.data());
    let refused = run(nobody).expect(1);
    assert!(refused.stderr.contains(&address.to_string()), "where it looked: {refused:?}");
    let mut check = hookswitch();
    check.args(["healthcheck", "--url"]).arg(format!("http://{address}"));
    assert!(run(check).expect(1).stderr.contains(&address.to_string()));
    let mut usage = hookswitch();
    usage.args(["send", "--colour"]);
    run(usage).expect(2);
}

#[test]
fn commands_without_a_daemon() {
    let mut example = hookswitch();
    example.arg("check-config").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.toml"));
    run(example).expect(0);
    let mut completions = hookswitch();
    completions.args(["completions", "bash"]);
    assert!(run(completions).expect(0).stdout.contains("hookswitch"));
    let mut version = hookswitch();
    version.arg("--version");
    let said = run(version).expect(0).stdout;
    let engines = if cfg!(feature = "postgres") { "\nengines: embedded, postgres\n" } else { "\nengines: embedded\n" };
    assert!(
        said.starts_with(concat!("hookswitch ", env!("CARGO_PKG_VERSION"), " (")) && said.ends_with(engines),
        "{said}"
    );
    let mut short = hookswitch();
    short.arg("-V");
    assert_eq!(run(short).expect(0).stdout, concat!("hookswitch ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn the_demo_does_the_main_job() {
    let mut demo = hookswitch();
    demo.arg("demo");
    let exit = run(demo).expect(0);
    for event_type in crate::platform::EVENT_TYPES {
        assert!(exit.stdout.contains(event_type), "{event_type} in {}", exit.stdout);
    }
    let sms = ["Of course. Friday at 10 AM?", "Friday at 10 is perfect."];
    assert!(sms.iter().all(|body| exit.stdout.contains(body)), "{}", exit.stdout);
    let next = ["Next: ", " serve --data-dir ./data", " subscription add http://127.0.0.1:8080/hook "];
    assert!(next.iter().all(|part| exit.stdout.contains(part)), "{}", exit.stdout);
}

#[test]
fn messages_are_posted_and_their_thread_is_shown() {
    let daemon = Daemon::start();
    let sms = |body: &str, direction: &str, more: &[&str]| {
        let (from, to) =
            if direction == "inbound" { ("+12025550143", "+12025550100") } else { ("+12025550100", "+12025550143") };
        let mut line = vec!["message", body, "--company", "acme", "--call", "c-17", "--direction", direction];
        line.extend(["--from", from, "--to", to]);
        line.extend(more);
        talk(&daemon, &line)
    };
    let sent = sms("At three?", "outbound", &["--json"]).expect(0).json();
    assert_eq!((&sent["messages"], &sent["event"]), (&json!(1), &Value::Null), "{sent}");
    let output = sms("Yes, at three", "inbound", &["--id", "m-2"]).expect(0).stdout;
    assert!(output.contains("message 2: stored; it raised evt_"), "{output}");
    let again = sms("Yes, at three", "inbound", &["--id", "m-2"]).expect(0).stdout;
    assert!(again.contains("was posted before"), "{again}");
    sms("At three?", "sideways", &[]).expect(2);

    let list = listed(&talk(&daemon, &["conversations", "--json"]).expect(0));
    assert_eq!(list.iter().map(|thread| &thread["message_count"]).collect::<Vec<_>>(), [&json!(2)], "{list:?}");
    let none = talk(&daemon, &["conversations", "--phone", "+12025550199"]).expect(0).stdout;
    assert!(none.contains("No conversations match"), "{none}");
    for command in ["conversations", "call"] {
        for (filter, count) in [
            (["--since", "1h"], 1),
            (["--until", "1h"], 0),
            (["--phone", "+12025550143"], 1),
            (["--domain", "www.acme.example"], 0),
            (["--company", "globex"], 0),
            (["--limit", "1"], 1),
        ] {
            let found = talk(&daemon, &[&[command, "--json"], &filter[..]].concat()).expect(0);
            assert_eq!(listed(&found).len(), count, "{command} {filter:?}: {found:?}");
        }
        talk(&daemon, &[command, "c-17", "--company", "acme", "--since", "1h"]).expect(2);
        talk(&daemon, &[command, "--since", "yesterday"]).expect(2);
    }
    let thread = talk(&daemon, &["conversations", "c-17", "--company", "acme", "--json"]).expect(0).json();
    assert_eq!(thread["messages"][1]["body"], "Yes, at three", "{thread}");
    let shown = talk(&daemon, &["conversations", "c-17", "--company", "acme"]).expect(0).stdout;
    let call = talk(&daemon, &["call", "c-17"]).expect(0).stdout;
    for screen in [shown, call] {
        let places = ["At three?", "Yes, at three"].map(|body| screen.find(body));
        assert!(places[0].is_some() && places[0] < places[1], "{screen}");
    }
    talk(&daemon, &["conversations", "c-18", "--company", "acme"]).expect(1);
}

#[test]
fn a_portal_link_and_its_session_on_the_command_line() {
    let daemon = Daemon::start();
    let create = ["portal-link", "create", "--company", "acme", "--user", "Dana", "--expires", "2m"];
    let made = talk(&daemon, &create).expect(0);
    let of = |name: &str| {
        let line = made.stdout.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{made:?}")).trim().to_owned()
    };
    crate::page::Browser::open(&daemon).open_link(&of("link")).expect(200);
    assert!(made.stderr.contains("once"), "{made:?}");
    let shown = talk(&daemon, &["session", "list", "--company", "acme"]).expect(0).stdout;
    assert!(shown.contains("Dana") && shown.contains("portal"), "{shown}");
    let session =
        listed(&talk(&daemon, &["session", "list", "--json"]).expect(0))[0]["id"].as_str().unwrap().to_owned();
    talk(&daemon, &["session", "end", &session]).expect(0);
    assert_eq!(listed(&talk(&daemon, &["session", "list", "--json"]).expect(0)).len(), 0);
    talk(&daemon, &["session", "end", &session]).expect(1);
    talk(&daemon, &["portal-link", "revoke", &of("id")]).expect(0);
    let refused = talk(&daemon, &["portal-link", "create", "--company", "acme", "--role", "ingest"]).expect(2);
    assert!(refused.stderr.contains("--role"), "{refused:?}");
}

#[test]
fn a_webhook_is_copied_to_domains_on_the_command_line() {
    let daemon = Daemon::start();
    let original = daemon.subscribe("http://127.0.0.1:9/hook", json!({"domain": "www.acme.example"}));
    let line = [
        "subscription",
        "copy",
        &original.id,
        "--to-domain",
        "shop.acme.example,b.example",
        "--to-domain",
        "c.example",
    ];
    let said = talk(&daemon, &line).expect(0).stdout;
    let copies = daemon.list("/v1/subscriptions");
    let domains = ["b.example", "c.example", "shop.acme.example"];
    for domain in domains {
        let copy = copies.iter().find(|one| one["domain"] == domain).unwrap_or_else(|| panic!("{domain}: {copies:?}"));
        assert!(said.contains(&format!("{}  {domain}\n", copy["id"].as_str().unwrap())), "{said}");
        assert!(said.contains(&format!("no event of {domain} was posted yet")), "{said}");
    }
    assert_eq!(copies.len(), 4);
    let again = talk(&daemon, &["subscription", "copy", &original.id, "--to-domain", "c.example"]).expect(1);
    assert!(again.stderr.contains("c.example"), "{again:?}");
    let line = ["subscription", "copy", &original.id, "--to-domain", "d.example", "--json"];
    assert_eq!(talk(&daemon, &line).expect(0).json()["items"][0]["domain"], "d.example");
    let none = talk(&daemon, &["subscription", "copy", &original.id]).expect(2);
    assert!(none.stderr.contains("--to-domain"), "{none:?}");
}
