//! TLS towards the platform: the listener with its own certificate, and its clients.

use std::io::{self, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::certificates::{Authority, Identity};
use crate::client::{Raw, Then, connect, raw};
use crate::daemon::{Exit, Home, hookswitch, run};
use crate::platform::event;
use crate::wire::{self, Message};

/// A home whose daemon has this certificate.
pub(crate) fn home(identity: &Identity) -> Home {
    let home = Home::new();
    put(&home, identity);
    let (cert, key) = (home.beside("tls.crt"), home.beside("tls.key"));
    home.set("http.tls_cert", &format!("{cert:?}")).set("http.tls_key", &format!("{key:?}"))
}

fn put(home: &Home, identity: &Identity) {
    std::fs::write(home.beside("tls.crt"), &identity.cert).unwrap();
    std::fs::write(home.beside("tls.key"), &identity.key).unwrap();
}

pub(crate) fn ask(address: SocketAddr, client: &Arc<ClientConfig>, request: &[u8]) -> (u16, Message) {
    try_ask(address, client, request).unwrap().expect("a reply")
}

/// As [`ask`], if there may be no response.
pub(crate) fn try_ask(
    address: SocketAddr,
    client: &Arc<ClientConfig>,
    request: &[u8],
) -> io::Result<Option<(u16, Message)>> {
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut stream = StreamOwned::new(connection, connect(address)?);
    stream.write_all(request)?;
    wire::read_reply(&mut BufReader::new(stream))
}

fn talk(home: &Home, url: &str, ca: Option<&Path>) -> Exit {
    let mut command = hookswitch();
    command.args(["status", "--json", "--url", url]).env("HOOKSWITCH_DATA_DIR", home.data());
    if let Some(ca) = ca {
        command.env("HOOKSWITCH_CA", ca);
    }
    run(command)
}

#[test]
fn the_listener_speaks_tls_to_the_platform_and_to_the_command_line() {
    let authority = Authority::new();
    let home = home(&authority.issue(&["localhost"]));
    let daemon = home.start();
    assert!(daemon.stdout().contains(&format!("listening on https://{}\n", daemon.address)), "{}", daemon.stdout());
    let body = event("call.new", "c1").to_string();
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        home.token(),
        body.len()
    );
    let (status, _) = ask(daemon.address, &authority.client(), format!("{head}{body}").as_bytes());
    assert_eq!(status, 202);
    let plain = raw(daemon.address, b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n", Then::Waits);
    assert_eq!(plain, Raw::Status(400));

    let ca = home.beside("ca.pem");
    std::fs::write(&ca, &authority.pem).unwrap();
    let port = daemon.address.port();
    talk(&home, &format!("https://localhost:{port}"), Some(&ca)).expect(0);
    let cases = [
        (format!("https://localhost:{port}"), None, 1, "--ca or HOOKSWITCH_CA"),
        (format!("https://127.0.0.1:{port}"), Some(&ca), 1, "another host name"),
        (format!("http://127.0.0.1:{port}"), Some(&ca), 1, "https://"),
        (format!("https://localhost:{port}"), Some(&home.beside("none.pem")), 2, "none.pem: cannot be read"),
        (format!("https://localhost:{port}"), Some(&home.beside("tls.key")), 2, "holds no certificate"),
    ];
    for (url, ca, status, words) in cases {
        let refused = talk(&home, &url, ca.map(PathBuf::as_path)).expect(status);
        assert!(refused.stderr.contains(words), "{url}: {}", refused.stderr);
    }
    // A client that does not trust the authority refuses it, and the daemon continues.
    let stranger = Authority::new().client();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = StreamOwned::new(ClientConnection::new(stranger, name).unwrap(), connect(daemon.address).unwrap());
    stream.write_all(b"GET /healthz HTTP/1.1\r\n\r\n").unwrap_err();
    let health = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    assert_eq!(ask(daemon.address, &authority.client(), health).0, 200);
    daemon.stop().1.expect(0);
}

#[test]
fn a_certificate_that_signed_itself_is_trusted_by_who_names_it() {
    let home = home(&Identity::self_signed("localhost"));
    let daemon = home.start();
    let (own, other) = (home.beside("tls.crt"), home.beside("other.crt"));
    std::fs::write(&other, Identity::self_signed("localhost").cert).unwrap();
    let url = format!("https://localhost:{}", daemon.address.port());
    talk(&home, &url, Some(&own)).expect(0);
    for stranger in [None, Some(other.as_path()), Some(Path::new(""))] {
        let refused = talk(&home, &url, stranger).expect(1);
        assert!(refused.stderr.contains("--ca or HOOKSWITCH_CA"), "{stranger:?}: {}", refused.stderr);
    }
}

#[test]
fn an_unusable_certificate_is_reported_before_anything_starts() {
    let authority = Authority::new();
    let (good, other) = (authority.issue(&["localhost"]), authority.issue(&["localhost"]));
    let mixed = home(&Identity { cert: good.cert.clone(), key: other.key });
    let empty = home(&Identity { cert: String::new(), key: good.key.clone() });
    let half = home(&good).without("http.tls_key");
    let gone = home(&good);
    std::fs::remove_file(gone.beside("tls.key")).unwrap();
    let cases = [
        (mixed, "`tls_key` in [http]", "not the key"),
        (empty, "`tls_cert` in [http]", "holds no certificate"),
        (half, "http.tls_key", "must be given with `tls_cert`"),
        (gone, "`tls_key` in [http]", "cannot be read"),
    ];
    for (home, name, words) in cases {
        let refused = home.refused_start().expect(78);
        let mut check = hookswitch();
        check.arg("check-config").arg(home.beside("hookswitch.toml"));
        for output in [refused.stderr, run(check).expect(78).stderr] {
            assert!(output.contains(name) && output.contains(words), "{output}");
        }
        assert!(!home.data().exists(), "nothing was made");
    }
}

#[test]
fn check_config_names_every_file_that_cannot_be_used() {
    let home = home(&Authority::new().issue(&["localhost"]));
    std::fs::remove_file(home.beside("tls.crt")).unwrap();
    let home =
        home.set("store.key_file", "\"/nonexistent/store.key\"").set("network.extra_ca", "[\"/nonexistent/ca\"]");
    let refused = home.refused_start().expect(78);
    let mut check = hookswitch();
    check.arg("check-config").arg(home.beside("hookswitch.toml"));
    let output = run(check).expect(78).stderr;
    for name in ["`tls_cert` in [http]", "`key_file` in [store]", "`extra_ca` in [network]"] {
        assert!(output.contains(name), "{name}: {output}");
    }
    assert_eq!(output.trim_end().lines().count(), 3, "{output}");
    assert!(output.contains(refused.stderr.trim_end().trim_start_matches("hookswitch: ")), "{refused:?}");
}

#[test]
fn a_renewed_certificate_is_shown_after_a_reload_and_a_bad_one_is_not() {
    let (old, new) = (Authority::new(), Authority::new());
    let home = home(&old.issue(&["localhost"]));
    let daemon = home.start();
    let health = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    std::fs::write(home.beside("tls.crt"), "not a certificate").unwrap();
    daemon.signal("HUP");
    let output = daemon.wait_for_saying("stays in force");
    assert!(output.contains("tls_cert"), "{output}");
    assert_eq!(ask(daemon.address, &old.client(), health).0, 200);
    put(&home, &new.issue(&["localhost"]));
    daemon.signal("HUP");
    daemon.wait_for_saying("files named by keys were read again");
    assert_eq!(ask(daemon.address, &new.client(), health).0, 200);
    daemon.stop().1.expect(0);
}
