//! The listener with TLS: valid, plain, slow, and outdated clients.

use std::io::ErrorKind;
use std::path::Path;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::*;
use crate::config::TlsFiles;
use crate::http::Tls;

const GET: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Writes a new self-signed certificate; returns it for clients to trust.
fn renew(files: &TlsFiles) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&files.cert, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

fn files(directory: &Path) -> TlsFiles {
    TlsFiles { cert: directory.join("tls.crt"), key: directory.join("tls.key") }
}

/// A client that trusts `root` only.
fn trusting(root: CertificateDer<'static>, versions: &[&'static rustls::SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

fn secure(address: SocketAddr, config: &ClientConfig) -> StreamOwned<ClientConnection, TcpStream> {
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config.clone()), name).unwrap(), connect(address))
}

/// The response to a single request.
fn response(address: SocketAddr, config: &ClientConfig) -> std::io::Result<String> {
    let mut stream = secure(address, config);
    stream.write_all(GET)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn both_tls_versions_work_and_plain_http_is_explained() {
    let directory = tempfile::tempdir().unwrap();
    let files = files(directory.path());
    let root = renew(&files);
    let server = api(Settings { tls: Some(Arc::new(Tls::load(&files).unwrap())), ..settings() });
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let answer = response(server.address(), &trusting(root.clone(), &[version])).unwrap();
        assert_eq!(status(&answer), Some(200), "{version:?}: {answer}");
    }
    let plain = exchange(server.address(), GET);
    assert!(status(&plain) == Some(400) && plain.contains("https://"), "{plain}");
    // A complete hello of TLS 1.0 with one cipher suite of its time; the response is a fatal alert.
    let old = [&b"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x01"[..], &[7; 32], b"\0\0\x02\0\x2f\x01\0"].concat();
    let mut stream = connect(server.address());
    stream.write_all(&old).unwrap();
    let mut alert = Vec::new();
    stream.read_to_end(&mut alert).unwrap();
    assert!(alert.first() == Some(&0x15) && alert.get(5) == Some(&2), "{alert:x?}");
}

#[test]
fn a_certificate_is_renewed_without_a_restart_and_a_bad_one_is_not_taken() {
    let directory = tempfile::tempdir().unwrap();
    let files = files(directory.path());
    let first = renew(&files);
    let tls = Arc::new(Tls::load(&files).unwrap());
    let server = api(Settings { tls: Some(Arc::clone(&tls)), ..settings() });
    let old = trusting(first, rustls::DEFAULT_VERSIONS);
    let mut kept = secure(server.address(), &old);
    kept.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut beginning = [0; 12];
    kept.read_exact(&mut beginning).unwrap();
    assert_eq!(&beginning, b"HTTP/1.1 200");

    let new = trusting(renew(&files), rustls::DEFAULT_VERSIONS);
    assert!(response(server.address(), &new).is_err(), "not before it is asked to");
    tls.reload().unwrap();
    assert_eq!(status(&response(server.address(), &new).unwrap()), Some(200));
    assert!(response(server.address(), &trusting(CertificateDer::from(new_root()), rustls::DEFAULT_VERSIONS)).is_err());
    // Existing connections continue.
    kept.write_all(GET).unwrap();
    let mut rest = String::new();
    kept.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("HTTP/1.1 200"), "{rest}");

    std::fs::write(&files.cert, "nonsense").unwrap();
    assert!(tls.reload().unwrap_err().contains("tls_cert"));
    assert_eq!(status(&response(server.address(), &new).unwrap()), Some(200), "the good one stays");
}

fn new_root() -> Vec<u8> {
    rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.der().to_vec()
}

#[test]
fn a_handshake_that_does_not_end_is_ended_and_holds_a_place_until_then() {
    let directory = tempfile::tempdir().unwrap();
    let files = files(directory.path());
    let config = trusting(renew(&files), rustls::DEFAULT_VERSIONS);
    let tls = Some(Arc::new(Tls::load(&files).unwrap()));
    let limit = Duration::from_millis(300);
    let server = api(Settings { max_connections: 2, header_timeout: limit, tls, ..settings() });
    let began = std::time::Instant::now();
    // One says nothing, one sends the beginning of a hello; each holds a place.
    let mut silent = connect(server.address());
    let mut begun = connect(server.address());
    begun.write_all(b"\x16\x03\x01\x02\x00\x01").unwrap();
    assert!(read_all(&mut silent).is_empty() && read_all(&mut begun).is_empty());
    assert!(began.elapsed() >= limit);
    // Their places are released.
    while response(server.address(), &config).map_or(None, |answer| status(&answer)) != Some(200) {
        assert!(began.elapsed() < PATIENCE, "room was not given back");
    }
}

#[test]
fn a_client_that_does_not_read_its_answers_over_tls_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let files = files(directory.path());
    let config = trusting(renew(&files), rustls::DEFAULT_VERSIONS);
    let tls = Some(Arc::new(Tls::load(&files).unwrap()));
    let server = api(Settings { write_timeout: Duration::from_millis(300), tls, ..settings() });
    let mut stream = secure(server.address(), &config);
    let ask = format!("GET /v1/event-types HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    // Keeps requesting without reading: responses fill the buffers of kernels and TLS, then the daemon closes.
    let began = std::time::Instant::now();
    stream.sock.set_write_timeout(Some(PATIENCE)).unwrap();
    let ended = loop {
        if let Err(error) = stream.write_all(ask.as_bytes()) {
            break error.kind();
        }
    };
    assert!(matches!(ended, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{ended}");
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
}
