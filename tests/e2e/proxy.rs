//! The forward proxy of `[network]`: every connection to a receiver goes through it, and the address check comes
//! first.

use std::io::{BufReader, Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::certificates::Authority;
use crate::daemon::Home;
use crate::platform::event;
use crate::receiver::Receiver;
use crate::secure_receivers::{Secure, trusting};
use crate::wait::Watched;
use crate::wire;

/// A target, and the authorization sent with it.
type ProxyRequest = (String, Option<String>);

/// A proxy that resolves every name to 127.0.0.1.
struct Proxy {
    address: SocketAddr,
    /// The requested targets, with the authorization.
    requests: Arc<Watched<Vec<ProxyRequest>>>,
}

impl Proxy {
    /// Answers `refusal`, if given, instead of connecting.
    fn start(refusal: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Watched::new(Vec::new()));
        let recorded = Arc::clone(&requests);
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let recorded = Arc::clone(&recorded);
                std::thread::spawn(move || serve(socket, refusal, &recorded));
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> Vec<ProxyRequest> {
        self.requests.look(Clone::clone)
    }
}

fn serve(mut socket: TcpStream, refusal: Option<&str>, requests: &Watched<Vec<ProxyRequest>>) {
    let mut reader = BufReader::new(socket.try_clone().unwrap());
    let Ok(Some(request)) = wire::read_request(&mut reader) else { return };
    let target = request.start.strip_prefix("CONNECT ").and_then(|rest| rest.strip_suffix(" HTTP/1.1")).unwrap();
    assert_eq!(request.header("host"), Some(target));
    requests.change(|requests| {
        requests.push((target.to_owned(), request.header("proxy-authorization").map(str::to_owned)));
    });
    if let Some(refusal) = refusal {
        let _ = socket.write_all(refusal.as_bytes());
        return;
    }
    let port: u16 = target.rsplit_once(':').unwrap().1.parse().unwrap();
    let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else {
        let _ = socket.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n");
        return;
    };
    let _ = socket.write_all(b"HTTP/1.1 200 Connection established\r\nvia: test\r\n\r\n");
    let back = (far.try_clone().unwrap(), socket.try_clone().unwrap());
    std::thread::spawn(move || copy(back.0, back.1));
    copy(socket, far);
}

fn copy(mut from: impl Read, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

#[test]
fn every_receiver_is_called_through_the_proxy() {
    let authority = Authority::new();
    let secure = Secure::start(&authority.issue(&["localhost"]), None);
    let plain = Receiver::willing();
    let proxy = Proxy::start(None);
    let home = trusting(&authority).set("network.proxy", &format!("\"http://ann:s%40cret@{}\"", proxy.address));
    let daemon = home.start();
    daemon.subscribe(&plain.url("/hook"), json!({}));
    daemon.subscribe(&secure.url(), json!({}));
    // A name that only the proxy resolves.
    let port = plain.address().port();
    daemon.subscribe(&format!("http://hooks.acme.invalid:{port}/named"), json!({}));
    daemon.accept(&event("call.new", "c1"));
    plain.wait_for(2);
    secure.wait_for(1);
    let seen = daemon.wait_for_list("/v1/log?status=delivered", 3);
    let whole = daemon.api().get(&format!("/v1/log/{}", text(&seen[0], "id"))).expect(200).json();
    assert_eq!(whole["address"], proxy.address.to_string(), "the proxy is what was connected to");
    let requests = proxy.requests();
    for target in [
        plain.address().to_string(),
        format!("localhost:{}", secure.address.port()),
        format!("hooks.acme.invalid:{port}"),
    ] {
        let by = requests
            .iter()
            .find(|(requests, _)| *requests == target)
            .unwrap_or_else(|| panic!("{target} in {requests:?}"));
        assert_eq!(by.1.as_deref(), Some("Basic YW5uOnNAY3JldA=="));
    }
    let named = plain.requests_to("/named");
    assert_eq!(named[0].header("host"), Some(format!("hooks.acme.invalid:{port}").as_str()));
    let (_, exit) = daemon.stop();
    assert!(!exit.stderr.contains("cret"), "{}", exit.stderr);
}

#[test]
fn the_guard_stands_before_the_proxy() {
    let proxy = Proxy::start(None);
    let home = Home::new().without_allow().set("network.proxy", &format!("\"http://{}\"", proxy.address));
    let daemon = home.start();
    for host in ["127.0.0.1", "2130706433", "[::ffff:10.0.0.1]", "localhost", "169.254.169.254"] {
        let url = format!("http://{host}:{}/", proxy.address.port());
        let body = json!({"company": "acme", "url": url, "events": ["*"]});
        let problem = daemon.api().post("/v1/subscriptions", &body).expect_problem(&[422]);
        let sentence = problem["errors"][0]["detail"].as_str().unwrap_or_default();
        assert!(sentence.contains("to `allow` in [network]"), "{host}: {problem}");
        let found = daemon.api().post("/v1/test", &json!({"url": url})).expect(200).json();
        assert_eq!(text(&found, "message"), format!("URL not allowed: {sentence}."));
    }
    assert_eq!(proxy.requests().len(), 0);
}

#[test]
fn a_failing_proxy_is_reported_as_such() {
    let cases = [
        ("HTTP/1.1 407 Proxy Authentication Required\r\nconnection: close\r\n\r\n", "user name and password (407)"),
        (
            "HTTP/1.1 403 Forbidden\r\ncontent-length: 4\r\n\r\nno!\n",
            "does not let hooks.acme.invalid:80 through (403)",
        ),
        ("HTTP/1.0 502 Bad Gateway\r\n\r\n", "could not reach hooks.acme.invalid:80 (502)"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "does not speak HTTP"),
        ("", "ended the connection without an answer"),
    ];
    let outcome = |address: SocketAddr| {
        let daemon = Home::new().set("network.proxy", &format!("\"http://{address}\"")).start();
        daemon.api().post("/v1/test", &json!({"url": "http://hooks.acme.invalid/"})).expect(200).json()
    };
    for (refusal, words) in cases {
        let found = outcome(Proxy::start(Some(refusal)).address);
        assert_eq!((&found["error"], &found["phase"]), (&json!("proxy_failed"), &json!("connect")), "{found}");
        assert!(text(&found, "message").contains(words), "{words}: {found}");
        assert!(text(&found, "message").contains("`proxy` in [network]"), "{found}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let found = outcome(nobody);
    assert!(text(&found, "message").contains("cannot be reached") && found["error"] == "proxy_failed", "{found}");
}
