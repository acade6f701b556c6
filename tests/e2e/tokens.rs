//! Tokens: created, used within their role and company, revoked, expired, and kept across restarts.

use serde_json::{Value, json};

use crate::client::Client;
use crate::daemon::{Daemon, Exit, Home, hookswitch, run};
use crate::engine::has_directory;
use crate::platform::event;
use crate::wait::eventually;

/// Creates a token through the API; returns its id, and a client that uses it.
fn made(daemon: &Daemon, body: &Value) -> (String, Client) {
    made_by(daemon.api(), daemon, body)
}

fn made_by(maker: &Client, daemon: &Daemon, body: &Value) -> (String, Client) {
    let token = maker.post("/v1/tokens", body).expect(201).json();
    let text = token["token"].as_str().expect("the token, shown once").to_owned();
    assert!(text.starts_with("hsk_") && text.len() == 47, "{token}");
    (token["id"].as_str().expect("an id").to_owned(), Client::new(daemon.address, Some(text)))
}

/// Runs a command against the daemon.
fn cli(daemon: &Daemon, arguments: &[&str]) -> Exit {
    let mut command = hookswitch();
    command.args(arguments).arg("--url").arg(format!("http://{}", daemon.address));
    command.arg("--data-dir").arg(daemon.home().data());
    run(command)
}

#[test]
fn a_token_may_do_what_its_role_says_until_it_is_revoked() {
    let daemon = Daemon::start();
    let (_, ingest) = made(&daemon, &json!({"role": "ingest", "description": "the platform"}));
    let (id, reader) = made(&daemon, &json!({"role": "read"}));
    ingest.post("/v1/events", &event("call.new", "c1")).expect(202);
    ingest.get("/v1/events").expect_problem(&[403]);
    reader.get("/v1/events").expect(200);
    reader.post("/v1/events", &event("call.new", "c2")).expect_problem(&[403]);
    reader.get("/v1/tokens").expect_problem(&[403]);
    reader.post("/v1/tokens", &json!({"role": "admin"})).expect_problem(&[403]);
    daemon.api().delete(&format!("/v1/tokens/{id}")).expect(204);
    reader.get("/v1/events").expect_problem(&[401]);
    daemon.api().delete(&format!("/v1/tokens/{id}")).expect_problem(&[404]);
}

#[test]
fn the_list_tells_everything_but_the_tokens() {
    let home = Home::new();
    let daemon = home.start();
    let (id, reader) = made(&daemon, &json!({"role": "read", "company": "acme", "expires_in": "1h"}));
    reader.get("/v1/events").expect(200);
    let reply = daemon.api().get("/v1/tokens").expect(200);
    assert!(!reply.text().contains("hsk_"), "{reply:?}");
    let items = reply.json()["items"].clone();
    let admin = &items[0];
    assert_eq!((&admin["role"], &admin["company"]), (&json!("admin"), &Value::Null));
    let kept_in = if has_directory() { "/admin.token" } else { ", as a hash only" };
    assert!(admin["kept_in"].as_str().is_some_and(|path| path.ends_with(kept_in)), "{admin}");
    let first = format!("/v1/tokens/{}", admin["id"].as_str().unwrap());
    let refusal = daemon.api().delete(&first).expect_problem(&[409]);
    assert!(refusal["detail"].as_str().unwrap().contains(kept_in), "{refusal}");
    assert_eq!(
        (&items[1]["id"], &items[1]["company"], &items[1]["expired"]),
        (&json!(id), &json!("acme"), &json!(false))
    );
    let used = items[1]["last_used_at"].as_str().expect("a last use").to_owned();
    let (home, _) = daemon.stop();
    let daemon = home.start();
    let after = daemon.list("/v1/tokens");
    assert_eq!(after[1]["last_used_at"], json!(used), "the last use is kept over an ordered stop");
    let pages = daemon.api().get("/v1/tokens?limit=1").expect(200).json();
    let next = pages["next"].as_str().expect("a second page").to_owned();
    let second = daemon.api().get(&format!("/v1/tokens?limit=1&cursor={next}")).expect(200).json();
    assert_eq!((&second["items"][0]["id"], &second["next"]), (&json!(id), &Value::Null));
}

#[test]
fn tokens_and_revocations_outlive_a_kill() {
    let home = Home::new();
    let daemon = home.start();
    let (kept, _) = made(&daemon, &json!({"role": "read", "company": "acme"}));
    let made_first = daemon.api().post("/v1/tokens", &json!({"role": "ingest"})).expect(201).json();
    daemon.api().delete(&format!("/v1/tokens/{}", made_first["id"].as_str().unwrap())).expect(204);
    daemon.kill();
    let daemon = home.start();
    let ids: Vec<Value> = daemon.list("/v1/tokens").iter().skip(1).map(|token| token["id"].clone()).collect();
    assert_eq!(ids, [json!(kept)]);
    let revoked = Client::new(daemon.address, made_first["token"].as_str().map(str::to_owned));
    revoked.get("/v1/events").expect_problem(&[401]);
}

#[test]
fn a_token_ends_when_it_was_said_to() {
    let home = Home::new();
    let daemon = home.start();
    let soon = std::time::SystemTime::now() + std::time::Duration::from_secs(2);
    let at = hookswitch::core::time::Timestamp::from(soon).to_string();
    let (_, reader) = made(&daemon, &json!({"role": "read", "expires_at": at}));
    reader.get("/v1/events").expect(200);
    eventually("the token is over", || match reader.get("/v1/events").status {
        401 => Ok(()),
        other => Err(other.to_string()),
    });
    let refusal = reader.get("/v1/events").expect_problem(&[401]);
    assert_eq!(refusal["detail"], "this token has expired");
    assert_eq!(daemon.list("/v1/tokens")[1]["expired"], true);
}

#[test]
fn an_admin_of_a_company_makes_and_sees_tokens_of_that_company_alone() {
    let daemon = Daemon::start();
    let (unbound, _) = made(&daemon, &json!({"role": "read"}));
    let (other, _) = made(&daemon, &json!({"role": "read", "company": "other"}));
    let (own, admin) = made(&daemon, &json!({"role": "admin", "company": "acme"}));
    let bound = admin.post("/v1/tokens", &json!({"role": "admin"})).expect(201).json();
    assert_eq!(bound["company"], "acme", "left out, the company is the maker's own: {bound}");
    admin.post("/v1/tokens", &json!({"role": "read", "company": "other"})).expect_problem(&[403]);
    let seen = admin.get("/v1/tokens").expect(200).json();
    let ids: Vec<&Value> = seen["items"].as_array().unwrap().iter().map(|token| &token["id"]).collect();
    assert_eq!(ids, [&json!(own), &bound["id"]]);
    admin.get("/v1/tokens?company=other").expect_problem(&[403]);
    let nobodys = "tok_00000000000000000000000000";
    let answers = [&unbound, &other, nobodys, "tok_01ARZ3NDEKTSV4RRFFQ69G5FAV"].map(|id| {
        let mut problem = admin.delete(&format!("/v1/tokens/{id}")).expect_problem(&[404]);
        problem["detail"].take()
    });
    assert!(answers.iter().all(|answer| *answer == answers[3]), "one can tell what there is: {answers:?}");
    admin.delete(&format!("/v1/tokens/{}", bound["id"].as_str().unwrap())).expect(204);
}

#[test]
fn the_command_line_makes_lists_and_revokes() {
    let daemon = Daemon::start();
    let made = cli(&daemon, &["token", "create", "--role", "read", "--company", "acme", "--expires", "90d", "--json"]);
    let made = made.expect(0).json();
    let id = made["id"].as_str().unwrap();
    let reader = Client::new(daemon.address, made["token"].as_str().map(str::to_owned));
    reader.get("/v1/log").expect(200);
    let table = cli(&daemon, &["token", "list"]).expect(0).stdout;
    assert!(table.contains("(in admin.token)") && table.contains(id) && !table.contains("hsk_"), "{table}");
    cli(&daemon, &["token", "revoke", id]).expect(0);
    reader.get("/v1/log").expect_problem(&[401]);
    let shown = cli(&daemon, &["token", "create", "--role", "ingest"]).expect(0);
    assert!(shown.stdout.contains("token  hsk_"), "{shown:?}");
    let refused = cli(&daemon, &["token", "create", "--role", "root"]);
    assert!(refused.stderr.contains("`ingest`, `read` or `admin`"), "{refused:?}");
}
