//! TLS failures against OpenSSL's server: each fault has its own message.
//!
//! Without the command `openssl` these tests are skipped with a message, unless `HOOKSWITCH_NEED_OPENSSL=1`.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{LONG, ONE, fault, settings, to};
use crate::core::attempt::{Fault, Outcome};
use crate::sender::Transport;
use crate::sender::resolver::Resolver;
use crate::sender::tls::Tls;

fn openssl(dir: &Path, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split_whitespace()).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

fn has_openssl() -> bool {
    let found = Command::new("openssl").arg("version").output().is_ok();
    assert!(found || std::env::var_os("HOOKSWITCH_NEED_OPENSSL").is_none(), "openssl is not installed");
    if !found {
        println!("skipped: openssl is not installed");
    }
    found
}

/// A trusted authority, and a server certificate issued by it.
struct Made {
    dir: TempDir,
}

impl Made {
    /// With keys of these kinds (`-newkey` and its options), signed with this hash; `extensions` are the server's.
    fn new(authority: &str, server: &str, hash: &str, extensions: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        openssl(
            dir.path(),
            &format!("req -x509 -newkey {authority} -nodes -keyout ca.key -out ca.pem -subj /CN=authority -days 30"),
        );
        openssl(
            dir.path(),
            &format!("req -new -newkey {server} -nodes -keyout server.key -out server.csr -subj /CN=localhost"),
        );
        std::fs::write(dir.path().join("extensions"), extensions).unwrap();
        openssl(
            dir.path(),
            &format!(
                "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -out server.pem -days 20 -{hash} -extfile extensions -set_serial 7"
            ),
        );
        Self { dir }
    }

    fn usual() -> Self {
        Self::new(P256, P256, "sha256", NAMED)
    }

    /// The failure of an attempt at a server with these options.
    fn failure(&self, options: &str) -> (Fault, String) {
        let mut server = Command::new("openssl");
        server.args("s_server -accept 127.0.0.1:0 -cert server.pem -key server.key".split(' '));
        server.args(options.split_whitespace()).current_dir(self.dir.path());
        let server = server.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut server = Server(server);
        let mut output = BufReader::new(server.0.stdout.take().unwrap());
        let port = std::iter::from_fn(|| {
            let mut line = String::new();
            output.read_line(&mut line).ok().filter(|count| *count > 0)?;
            Some(line.trim().strip_prefix("ACCEPT ").and_then(|place| place.rsplit(':').next()?.parse::<u16>().ok()))
        });
        let port = port.flatten().next().expect("a port to listen on");
        // Drains further output so that the server does not block.
        std::thread::spawn(move || drop(output.read_to_end(&mut Vec::new())));
        let lookup = |_: &str| Ok(vec!["127.0.0.1".parse().unwrap()]);
        let resolver = Resolver::with_lookup(settings().policy, Box::new(lookup));
        let transport =
            Transport::with_parts(LONG, LONG, resolver, Tls::new(&[self.dir.path().join("ca.pem")]).unwrap());
        let report = transport.post(ONE, &to(&format!("https://localhost:{port}/")), None);
        let fault = fault(&report);
        let Outcome::Failed { detail, .. } = report.outcome else { panic!("no failure") };
        (fault, detail)
    }
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

const P256: &str = "ec -pkeyopt ec_paramgen_curve:P-256";
const P521: &str = "ec -pkeyopt ec_paramgen_curve:P-521";
const NAMED: &str = "subjectAltName=DNS:localhost";
const WEAK: &str = "-cipher ALL:@SECLEVEL=0";

/// Name; kinds of keys of authority and server, and the hash; extensions; the server's options; expected failure.
type Case = (&'static str, [&'static str; 3], &'static str, &'static str, Fault, &'static str);

const CASES: [Case; 18] = [
    ("a short key", [P256, "rsa:1024", "sha256"], NAMED, WEAK, Fault::Tls, "RSA key of fewer than 2048 bits"),
    (
        "a short key, TLS 1.2",
        [P256, "rsa:1024", "sha256"],
        NAMED,
        "-tls1_2 -cipher ALL:@SECLEVEL=0",
        Fault::Tls,
        "certificate has an RSA key",
    ),
    ("an authority's short key", ["rsa:1024", P256, "sha256"], NAMED, WEAK, Fault::Tls, "authority whose RSA key"),
    ("SHA-1", ["rsa:2048", P256, "sha1"], NAMED, WEAK, Fault::Tls, "SHA-1"),
    ("SHA-1 by ECDSA", [P256, P256, "sha1"], NAMED, WEAK, Fault::Tls, "SHA-1"),
    ("P-521", [P256, P521, "sha256"], NAMED, "-tls1_2", Fault::Tls, "key on the curve P-521"),
    ("P-521, TLS 1.3", [P256, P521, "sha256"], NAMED, "", Fault::Tls, "key on the curve P-521"),
    (
        "an authority's P-521",
        [P521, P256, "sha512"],
        NAMED,
        "",
        Fault::Tls,
        "authority whose key is on the curve P-521",
    ),
    (
        "P-521 alone for keys",
        [P256, P256, "sha256"],
        NAMED,
        "-tls1_2 -named_curve P-521 -groups P-521",
        Fault::Tls,
        "over the curve P-521 alone",
    ),
    (
        "CBC alone",
        [P256, P256, "sha256"],
        NAMED,
        "-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA",
        Fault::Tls,
        "CBC ciphers alone:",
    ),
    (
        "CBC without ECDHE",
        [P256, "rsa:2048", "sha256"],
        NAMED,
        "-tls1_2 -cipher AES128-SHA",
        Fault::Tls,
        "none with ECDHE",
    ),
    (
        "RSA without ECDHE",
        [P256, "rsa:2048", "sha256"],
        NAMED,
        "-tls1_2 -cipher AES128-GCM-SHA256",
        Fault::Tls,
        "no ciphers with ECDHE",
    ),
    ("TLS 1.1", [P256, P256, "sha256"], NAMED, "-tls1_1 -cipher ALL:@SECLEVEL=0", Fault::Tls, "TLS 1.2"),
    (
        "only a CN",
        [P256, P256, "sha256"],
        "keyUsage=digitalSignature",
        "",
        Fault::TlsWrongName,
        "common name (CN) alone",
    ),
    (
        "another name",
        [P256, P256, "sha256"],
        "subjectAltName=DNS:a.example,DNS:b.example",
        "",
        Fault::TlsWrongName,
        "for a.example, b.example, not",
    ),
    (
        "a client's",
        [P256, P256, "sha256"],
        "subjectAltName=DNS:localhost\nextendedKeyUsage=clientAuth",
        "",
        Fault::Tls,
        "serverAuth",
    ),
    (
        "client certificate, TLS 1.2",
        [P256, P256, "sha256"],
        NAMED,
        "-tls1_2 -Verify 1",
        Fault::Tls,
        "asks for a client certificate",
    ),
    (
        "client certificate, TLS 1.3",
        [P256, P256, "sha256"],
        NAMED,
        "-tls1_3 -Verify 1",
        Fault::Tls,
        "asks for a client certificate",
    ),
];

#[test]
fn every_fault_of_tls_has_a_sentence_of_its_own() {
    if !has_openssl() {
        return;
    }
    std::thread::scope(|scope| {
        for (what, [authority, server, hash], extensions, options, wanted, part) in CASES {
            scope.spawn(move || {
                let (fault, detail) = Made::new(authority, server, hash, extensions).failure(options);
                assert!(fault == wanted && detail.contains(part), "{what}: {fault}: {detail}");
                // Plain words, no debug output.
                assert!(!detail.contains(['{', '}', '[', ']']) && !detail.contains("::"), "{what}: {detail}");
            });
        }
    });
}

#[test]
fn untrusted_certificates_are_named() {
    if !has_openssl() {
        return;
    }
    let made = Made::usual();
    openssl(
        made.dir.path(),
        "req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -subj /CN=localhost -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:localhost -days 9",
    );
    let (fault, detail) = made.failure("-cert other.pem -key other.key");
    assert!(fault == Fault::TlsUnknownIssuer && detail.contains("self-signed"), "{detail}");
    let stranger = Made::usual();
    std::fs::copy(stranger.dir.path().join("server.pem"), made.dir.path().join("stranger.pem")).unwrap();
    std::fs::copy(stranger.dir.path().join("server.key"), made.dir.path().join("stranger.key")).unwrap();
    let (fault, detail) = made.failure("-cert stranger.pem -key stranger.key");
    assert!(fault == Fault::TlsUnknownIssuer && detail.contains("signed by another of that name"), "{detail}");
}
