//! Which addresses are called: every known notation of an internal one, at registration, test and delivery, with the
//! same sentence; redirects and proxies lead nowhere else.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;

use serde_json::{Value, json};

use crate::daemon::{Daemon, Home, hookswitch, run};
use crate::platform::event;
use crate::receiver::{Answer, Receiver};
use crate::wait::eventually;

/// A host in a notation meant to evade checks, and the line that would allow its address.
const SPELLINGS: [(&str, &str); 46] = [
    // Plain, decimal, octal, hexadecimal, short, and mixtures (WHATWG URL standard, 'IPv4 parser').
    ("127.0.0.1", "127.0.0.0/8"),
    ("2130706433", "127.0.0.0/8"),
    ("017700000001", "127.0.0.0/8"),
    ("0177.0.0.1", "127.0.0.0/8"),
    ("0177.0000.0000.0001", "127.0.0.0/8"),
    ("0x7f000001", "127.0.0.0/8"),
    ("0X7F.0x0.0x0.0x1", "127.0.0.0/8"),
    ("0x7f.1", "127.0.0.0/8"),
    ("127.1", "127.0.0.0/8"),
    ("127.0.1", "127.0.0.0/8"),
    ("127.65535", "127.0.0.0/8"),
    ("0xa9.0376.43518", "169.254.169.254/32"),
    ("169.254.169.254", "169.254.169.254/32"),
    ("2852039166", "169.254.169.254/32"),
    // The unspecified address in all its forms.
    ("0.0.0.0", "0.0.0.0/8"),
    ("0", "0.0.0.0/8"),
    ("0x", "0.0.0.0/8"),
    ("[::]", "::/128"),
    ("[0:0:0:0:0:0:0:0]", "::/128"),
    // Trailing dots, escaped, full-width, ideographic, circled.
    ("127.0.0.1.", "127.0.0.0/8"),
    ("0x7f.1.", "127.0.0.0/8"),
    ("%31%32%37.0.0.1", "127.0.0.0/8"),
    ("127%2e0%2E0.1", "127.0.0.0/8"),
    ("127。0。0。1", "127.0.0.0/8"),
    ("127．0．0．1", "127.0.0.0/8"),
    ("１２７.0.0.1", "127.0.0.0/8"),
    ("①②⑦.⓪.⓪.①", "127.0.0.0/8"),
    ("①②⑦｡⓪｡⓪｡①", "127.0.0.0/8"),
    // IPv6 that is internal, or embeds internal IPv4.
    ("[::1]", "::1/128"),
    ("[0000:0000::0001]", "::1/128"),
    ("[::127.0.0.1]", "::/96"),
    ("[::ffff:127.0.0.1]", "127.0.0.0/8"),
    ("[::FFFF:7f00:1]", "127.0.0.0/8"),
    ("[0:0:0:0:0:ffff:a9fe:a9fe]", "169.254.169.254/32"),
    ("[::ffff:0:127.0.0.1]", "::ffff:0:0:0/96"),
    ("[64:ff9b::127.0.0.1]", "64:ff9b::/96"),
    ("[64:ff9b:1::7f00:1]", "64:ff9b:1::/48"),
    ("[2002:7f00:1::]", "2002::/16"),
    ("[2001:0:7f00:1::1]", "2001::/32"),
    ("[fe80::1]", "fe80::/10"),
    ("[fd00:ec2::254]", "fd00:ec2::254/128"),
    ("[fc00::1]", "fc00::/7"),
    ("10.0.0.1", "10.0.0.0/8"),
    ("192.168.257", "192.168.0.0/16"),
    ("100.64.0.1", "100.64.0.0/10"),
    ("localhost", "127.0.0.0/8"),
];

/// URLs that parsers disagree on, and the messages about them.
const AMBIGUOUS: [(&str, &str); 14] = [
    ("http://127.0.0.1@hooks.example/", "user name"),
    ("http://hooks.example@127.0.0.1/", "user name"),
    ("http://hooks.example:80@127.0.0.1/", "user name"),
    ("http://hooks.example%40127.0.0.1/", "absolute"),
    ("http://hooks.example#@127.0.0.1/", "fragment"),
    ("http://[::1].hooks.example/", "absolute"),
    ("http://[fe80::1%25eth0]/", "absolute"),
    ("http://[::1%lo]/", "absolute"),
    ("http://[::ffff:127.0.0.1%251]/", "absolute"),
    ("http://127.0.0.1 hooks.example/", "blanks"),
    ("http://hooks.example\t.127.0.0.1/", "blanks"),
    ("http://127.0.0.1\r\nHost: hooks.example/", "blanks"),
    ("http://256.0.0.1/", "absolute"),
    ("gopher://127.0.0.1:25/", "http or https"),
];

/// All environment variables that configure a proxy, pointed at `proxy`.
fn with_proxies(mut command: Command, proxy: SocketAddr) -> Command {
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env(name, format!("http://{proxy}"));
    }
    for name in ["no_proxy", "NO_PROXY"] {
        command.env_remove(name);
    }
    command
}

/// On every address of this machine, including IPv6 if available.
fn canary() -> Receiver {
    let any =
        std::net::TcpListener::bind("[::]:0").map_or([0, 0, 0, 0].into(), |_| std::net::Ipv6Addr::UNSPECIFIED.into());
    Receiver::start_at(SocketAddr::new(any, 0), |_| Answer::status(200))
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no text at {pointer} of {value}"))
}

/// The sentence with which `url` is refused at registration, after the same at a test.
#[track_caller]
fn refusal(daemon: &Daemon, url: &str, line: &str) -> String {
    let body = json!({"company": "acme", "url": url, "events": ["*"]});
    let problem = daemon.api().post("/v1/subscriptions", &body).expect_problem(&[422]);
    assert_eq!(text(&problem, "/errors/0/pointer"), "/url", "{url}: {problem}");
    let sentence = text(&problem, "/errors/0/detail").to_owned();
    assert!(sentence.contains(&format!("add \"{line}\" to `allow` in [network]")), "{url}: {sentence}");
    let tested = daemon.api().post("/v1/test", &json!({"url": url})).expect(200).json();
    assert_eq!((&tested["error"], &tested["address"]), (&json!("address_denied"), &Value::Null), "{url}: {tested}");
    assert_eq!(tested["message"], format!("URL not allowed: {sentence}."), "{url}");
    sentence
}

#[test]
fn no_spelling_of_an_inner_address_is_registered_tested_or_called() {
    let canary = canary();
    let port = canary.address().port();
    let proxy = Receiver::willing();
    let url = |host: &str| format!("http://{host}:{port}/");

    // They were allowed once, and are registered; then they are not, and there are events for them.
    let open = Home::new().set("network.allow", r#"["0.0.0.0/0", "::/0"]"#);
    let daemon = open.start();
    let ids: Vec<String> = SPELLINGS.iter().map(|(host, _)| daemon.subscribe(&url(host), json!({})).id).collect();
    let (_, exit) = daemon.stop();
    exit.expect(0);
    let daemon = open.clone().set("network.allow", "[]").without_allow();
    let daemon = daemon.try_start(|command| with_proxies(command, proxy.address())).unwrap();

    let sentences: Vec<String> = SPELLINGS.iter().map(|(host, line)| refusal(&daemon, &url(host), line)).collect();
    daemon.accept(&event("call.new", "c1"));
    let seen = eventually("an attempt of each", || {
        let entries: BTreeMap<String, Value> = daemon
            .list("/v1/log?test=false&limit=500")
            .into_iter()
            .map(|entry| (text(&entry, "/subscription").to_owned(), entry))
            .collect();
        if entries.len() == SPELLINGS.len() { Ok(entries) } else { Err(format!("{} of them", entries.len())) }
    });
    for ((id, sentence), (host, _)) in ids.iter().zip(&sentences).zip(SPELLINGS) {
        let entry = &seen[id];
        assert_eq!(
            (text(entry, "/error"), text(entry, "/error_detail")),
            ("address_denied", sentence.as_str()),
            "{host}"
        );
    }
    assert_eq!((canary.requests().len(), proxy.requests().len()), (0, 0), "somebody was called");
}

#[test]
fn a_url_that_two_readers_read_differently_is_refused_as_such() {
    let daemon = Home::new().without_allow().start();
    for (url, words) in AMBIGUOUS {
        let body = json!({"company": "acme", "url": url, "events": ["*"]});
        for (path, body) in [("/v1/subscriptions", body), ("/v1/test", json!({"url": url}))] {
            let problem = daemon.api().post(path, &body).expect_problem(&[422]);
            assert_eq!(text(&problem, "/errors/0/pointer"), "/url", "{url}: {problem}");
            assert!(text(&problem, "/errors/0/detail").contains(words), "{path} {url}: {problem}");
        }
    }
}

#[test]
fn neither_a_redirect_nor_a_proxy_of_the_environment_leads_elsewhere() {
    let proxy = Receiver::willing();
    let target = canary();
    let place = target.url("/latest/meta-data/");
    let receiver = Receiver::start(move |request| match request.path.as_str() {
        "/moved" => Answer::status(307).header("location", place.clone()),
        _ => Answer::status(200),
    });
    let home = Home::new().without_allow().set("network.allow", "[\"127.0.0.1\"]");
    let daemon = home.try_start(|command| with_proxies(command, proxy.address())).unwrap();

    let found = daemon.api().post("/v1/test", &json!({"url": receiver.url("/moved")})).expect(200).json();
    assert_eq!((&found["response"], &found["working"]), (&json!(307), &json!(false)), "{found}");
    daemon.subscribe(&receiver.url("/moved"), json!({}));
    daemon.subscribe(&receiver.url("/straight"), json!({}));
    daemon.accept(&event("call.new", "c1"));
    let entries = daemon.wait_for_list("/v1/log?response=200", 1);
    assert_eq!(text(&entries[0], "/status"), "delivered");
    eventually("the redirect in the log", || {
        let entries = daemon.list("/v1/log?response=307");
        if entries.is_empty() { Err("nothing".to_owned()) } else { Ok(()) }
    });
    // The command line connects directly to its daemon, too.
    let mut status = hookswitch();
    status.args(["status", "--json", "--url", &format!("http://{}", daemon.address)]);
    status.env("HOOKSWITCH_TOKEN", home.token());
    run(with_proxies(status, proxy.address())).expect(0);
    assert_eq!((target.requests().len(), proxy.requests().len()), (0, 0), "somebody else was called");
}
