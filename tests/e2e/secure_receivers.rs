//! TLS towards receivers: which ones the daemon trusts, its messages about others, and its client certificates.

use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::certificates::{Authority, Identity, provider};
use crate::daemon::{Daemon, Home};
use crate::engine::has_directory;
use crate::platform::event;
use crate::receiver::Receiver;
use crate::wait::{PATIENCE, Watched};
use crate::wire;

/// An https receiver that answers 200 to everything.
pub(crate) struct Secure {
    pub(crate) address: SocketAddr,
    /// The client certificate of each request (DER).
    seen: Arc<Watched<Vec<Option<Vec<u8>>>>>,
}

impl Secure {
    /// With this certificate; requires a client certificate of `clients`, if given.
    pub(crate) fn start(identity: &Identity, clients: Option<&Authority>) -> Self {
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(authority.roots()), provider()).build().unwrap(),
            ),
        };
        let config = Arc::new(builder.with_single_cert(identity.chain(), identity.key()).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Watched::new(Vec::new()));
        let recorded = Arc::clone(&seen);
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let (config, recorded) = (Arc::clone(&config), Arc::clone(&recorded));
                std::thread::spawn(move || {
                    let mut stream = BufReader::new(StreamOwned::new(ServerConnection::new(config).unwrap(), socket));
                    while let Ok(Some(_)) = wire::read_request(&mut stream) {
                        let shown = stream.get_ref().conn.peer_certificates().map(|chain| chain[0].to_vec());
                        recorded.change(|seen| seen.push(shown));
                        let _ = stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                    }
                });
            }
        });
        Self { address, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}/hook", self.address.port())
    }

    /// The client certificates of `count` requests, once there are as many.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Option<Vec<u8>>> {
        let found = self.seen.wait(PATIENCE, |seen| (seen.len() >= count).then(|| seen.clone()));
        found.unwrap_or_else(|| panic!("{} requests instead of {count}", self.seen.look(Vec::len)))
    }
}

/// A home whose daemon trusts `authority`.
pub(crate) fn trusting(authority: &Authority) -> Home {
    let home = Home::new();
    let ca = home.beside("ca.pem");
    std::fs::write(&ca, &authority.pem).unwrap();
    home.set("network.extra_ca", &format!("[{ca:?}]"))
}

fn tested(daemon: &Daemon, url: &str) -> Value {
    daemon.api().post("/v1/test", &json!({"url": url})).expect(200).json()
}

#[test]
fn a_receivers_certificate_is_verified_and_its_faults_explained() {
    let authority = Authority::named("ours");
    let good = Secure::start(&authority.issue(&["localhost"]), None);
    let elsewhere = Secure::start(&authority.issue(&["elsewhere.example"]), None);
    let expired = authority.issue_with(&["localhost"], |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let expired = Secure::start(&expired, None);
    let future = authority.issue_with(&["localhost"], |params| params.not_before = rcgen::date_time_ymd(2200, 1, 1));
    let future = Secure::start(&future, None);
    let stranger = Secure::start(&Authority::new().issue(&["localhost"]), None);
    let namesake = Secure::start(&Authority::named("ours").issue(&["localhost"]), None);
    let plain = Receiver::willing();

    let daemon = trusting(&authority).start();
    daemon.subscribe(&good.url(), json!({}));
    daemon.accept(&event("call.new", "c1"));
    good.wait_for(1);
    let cases = [
        (elsewhere.url(), "tls_wrong_name", "host name that the certificate is for"),
        (expired.url(), "tls_certificate_expired", "renew the receiver's certificate"),
        (future.url(), "tls_certificate_expired", "not valid before"),
        (stranger.url(), "tls_unknown_issuer", "`extra_ca` in [network]"),
        (namesake.url(), "tls_unknown_issuer", "signed by another of that name"),
        (format!("https://{}/", plain.address()), "tls_failed", "speaks TLS"),
    ];
    for (url, error, words) in cases {
        let found = tested(&daemon, &url);
        assert_eq!((&found["error"], &found["phase"]), (&json!(error), &json!("connect")), "{url}: {found}");
        assert!(found["message"].as_str().is_some_and(|message| message.contains(words)), "{url}: {found}");
        let subscription = daemon.subscribe(&url, json!({"events": ["call.missed"]}));
        daemon.accept(&event("call.missed", "c2"));
        let path = format!("/v1/log?subscription={}&limit=1", subscription.id);
        let seen = crate::wait::eventually("an attempt", || daemon.list(&path).pop().ok_or_else(|| "none".to_owned()));
        assert_eq!(seen["error"], error, "{seen}");
        daemon.api().delete(&subscription.path()).expect_success();
    }
    // Without the authority configured it is not trusted.
    let found = tested(&Daemon::start(), &good.url());
    assert!(matches!(found["error"].as_str(), Some("tls_unknown_issuer" | "tls_failed")), "{found}");
    assert!(found["message"].as_str().is_some_and(|message| message.contains("`extra_ca` in [network]")), "{found}");
    assert_eq!(plain.requests().len(), 0);
}

#[test]
fn https_only_is_kept_at_registration_test_and_delivery() {
    let authority = Authority::new();
    let secure = Secure::start(&authority.issue(&["localhost"]), None);
    let plain = Receiver::willing();
    let home = trusting(&authority);
    let daemon = home.start();
    daemon.subscribe(&plain.url("/"), json!({}));
    daemon.stop().1.expect(0);
    let daemon = home.set("network.https_only", "true").start();
    let body = json!({"company": "acme", "url": plain.url("/"), "events": ["*"]});
    let problem = daemon.api().post("/v1/subscriptions", &body).expect_problem(&[422]);
    assert!(problem["errors"][0]["detail"].as_str().is_some_and(|detail| detail.contains("`https_only`")), "{problem}");
    let found = tested(&daemon, &plain.url("/"));
    assert!(found["message"].as_str().is_some_and(|message| message.contains("`https_only`")), "{found}");
    daemon.subscribe(&secure.url(), json!({}));
    daemon.accept(&event("call.new", "c1"));
    secure.wait_for(1);
    let refused = crate::wait::eventually("the refusal in the log", || {
        daemon.list("/v1/log?response=none").pop().ok_or_else(|| "nothing".to_owned())
    });
    assert!(refused["error_detail"].as_str().is_some_and(|detail| detail.contains("`https_only`")), "{refused}");
    assert_eq!(plain.requests().len(), 0);
}

#[test]
fn a_client_certificate_is_sent_on_request_and_its_key_never_shown() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let receiver = Secure::start(&authority.issue(&["localhost"]), Some(&clients));
    let (first, second) = (clients.issue(&["hookswitch"]), clients.issue(&["hookswitch"]));
    let stranger = Authority::new().issue(&["hookswitch"]);
    let home = trusting(&authority);
    let daemon = home.start();

    let nobody = tested(&daemon, &receiver.url());
    assert_eq!(nobody["error"], "tls_failed", "{nobody}");
    assert!(
        nobody["message"].as_str().is_some_and(|message| message.contains("`client_cert`")),
        "{}",
        nobody["message"]
    );
    let shown =
        |identity: &Identity| json!({"url": receiver.url(), "client_cert": identity.cert, "client_key": identity.key});
    let refused = daemon.api().post("/v1/test", &shown(&stranger)).expect(200).json();
    assert!(
        refused["message"].as_str().is_some_and(|m| m.contains("does not accept the client certificate")),
        "{refused}"
    );
    let found = daemon.api().post("/v1/test", &shown(&first)).expect(200).json();
    assert_eq!(found["working"], true, "{found}");

    let mut bad = json!({"company": "acme", "events": ["*"], "url": receiver.url(), "client_cert": first.cert});
    let problem = daemon.api().post("/v1/subscriptions", &bad).expect_problem(&[422]);
    assert_eq!(problem["errors"][0]["pointer"], "/client_key", "{problem}");
    bad["client_key"] = json!(second.key);
    let problem = daemon.api().post("/v1/subscriptions", &bad).expect_problem(&[422]);
    assert_eq!(problem["errors"][0]["pointer"], "/client_key", "{problem}");
    assert!(!problem.to_string().contains("PRIVATE KEY-----\\n"), "{problem}");

    let settings = json!({"client_cert": first.cert, "client_key": first.key});
    let subscription = daemon.subscribe(&receiver.url(), settings);
    let stored = daemon.api().get(&subscription.path()).expect(200);
    assert_eq!(stored.json()["client_cert"], first.cert.as_str());
    assert!(!stored.text().contains("PRIVATE KEY"), "{}", stored.text());
    daemon.accept(&event("call.new", "c1"));
    assert_eq!(receiver.wait_for(2)[1].as_deref(), Some(&*first.chain()[0]));

    // It survives kill -9, is changed in place, and removed.
    let daemon = daemon.kill().start();
    let before = receiver.wait_for(2).len();
    daemon.accept(&event("call.new", "c2"));
    // Deliveries from just before the kill may be repeated, with the same certificate.
    let since = receiver.wait_for(before + 1);
    assert!(since[before..].iter().all(|shown| shown.as_deref() == Some(&*first.chain()[0])), "{since:?}");
    let half = daemon.api().patch(&subscription.path(), &json!({"client_cert": second.cert})).expect_problem(&[422]);
    assert_eq!(half["errors"][0]["pointer"], "/client_key", "{half}");
    let renewed = json!({"client_cert": second.cert, "client_key": second.key});
    daemon.api().patch(&subscription.path(), &renewed).expect(200);
    daemon.accept(&event("call.new", "c3"));
    let wanted = second.chain()[0].to_vec();
    let shown = receiver.seen.wait(PATIENCE, |seen| seen.contains(&Some(wanted.clone())).then_some(()));
    assert!(shown.is_some(), "the new one was not shown");
    let test = daemon.api().post(&format!("{}/test", subscription.path()), &json!({})).expect(200).json();
    assert_eq!(test["working"], true, "{test}");
    let gone = daemon.api().patch(&subscription.path(), &json!({"client_cert": null})).expect(200).json();
    assert_eq!(gone["client_cert"], Value::Null);
    daemon.accept(&event("call.new", "c4"));
    crate::wait::eventually("a failure in the log", || {
        daemon.list("/v1/log?response=none").pop().ok_or_else(|| "nothing".to_owned())
    });
    let (home, exit) = daemon.stop();
    let output = exit.expect(0);
    assert!(!output.stderr.contains("PRIVATE KEY") && !output.stdout.contains("PRIVATE KEY"));
    if !has_directory() {
        return;
    }
    // Verify reads the records with and without one.
    let mut verify = crate::daemon::hookswitch();
    verify.arg("verify").arg("--data-dir").arg(home.data());
    crate::daemon::run(verify).expect(0);
}
