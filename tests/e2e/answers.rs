//! Receivers' responses, byte for byte: the status line decides, and the log says what was wrong with the rest.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::daemon::{Daemon, Home, hookswitch, run};
use crate::platform::event;
use crate::wait::Watched;

/// A receiver that answers every request with the same bytes; then it closes, unless it `stays`.
struct Raw {
    address: SocketAddr,
    heads: Arc<Watched<Vec<String>>>,
}

impl Raw {
    fn start(answer: impl Into<Vec<u8>>, stays: bool) -> Self {
        let (answer, listener) = (answer.into(), TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Watched::new(Vec::new()));
        let recorded = Arc::clone(&heads);
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let (answer, recorded) = (answer.clone(), Arc::clone(&recorded));
                std::thread::spawn(move || {
                    let mut from = BufReader::new(socket.try_clone().unwrap());
                    let mut to = socket;
                    while let Some(head) = request(&mut from) {
                        recorded.change(|heads| heads.push(head));
                        if to.write_all(&answer).is_err() || !stays {
                            break;
                        }
                    }
                });
            }
        });
        Self { address, heads }
    }

    fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }
}

/// The head of the next request, verbatim; its body is skipped.
fn request(from: &mut BufReader<std::net::TcpStream>) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        from.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())?;
    std::io::copy(&mut from.take(length), &mut std::io::sink()).ok()?;
    Some(head)
}

/// The only log entry, in full, of an event posted to a receiver with these settings.
fn logged(daemon: &Daemon, receiver: &Raw, settings: Value) -> Value {
    daemon.subscribe(&receiver.url(), settings);
    daemon.accept(&event("call.missed", "c-1"));
    let entries = daemon.wait_for_list("/v1/log", 1);
    daemon.api().get(&format!("/v1/log/{}", entries[0]["id"].as_str().unwrap())).expect(200).json()
}

#[test]
fn a_2xx_is_delivered_whatever_is_wrong_with_the_rest_and_the_log_says_it() {
    for (answer, stays, note) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Security-Policy: default-src 'self';\r\n  script-src 'self'\r\nContent-Length: 2\r\n\r\nok".to_owned(),
            true,
            "",
        ),
        ("HTTP/1.1 100 Continue\r\nX-A: b\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n".to_owned(), true, ""),
        (format!("HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n{}", "x".repeat(100)), false, "ended before its body did"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot chunked\r\n".to_owned(), false, "not validly chunked"),
        (format!("HTTP/1.1 202 Accepted\r\n{}\r\n", "a: b\r\n".repeat(3000)), false, "500 lines"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_owned(), true, "did not end in time"),
    ] {
        let daemon = Home::new().set("senders.timeout", "\"1s\"").start();
        let entry = logged(&daemon, &Raw::start(answer, stays), json!({}));
        assert_eq!((&entry["status"], &entry["error"]), (&json!("delivered"), &Value::Null), "{entry}");
        assert!(entry["response"].as_u64().is_some_and(|status| (200..300).contains(&status)), "{entry}");
        assert_eq!(entry["error_detail"].as_str().is_some_and(str::is_empty), note.is_empty(), "{entry}");
        for member in ["error_detail", "message"] {
            assert!(entry[member].as_str().is_some_and(|text| text.contains(note)), "{entry}");
        }
        assert!(daemon.api().get("/v1/deliveries?state=retrying").expect(200).json()["items"].as_array().unwrap().is_empty());
        let mut command = hookswitch();
        command.args(["log", "--url", &format!("http://{}", daemon.address), "--data-dir"]).arg(daemon.home().data());
        let printed = run(command).expect(0).stdout;
        assert_eq!(printed.contains(" ! "), !note.is_empty(), "{printed}");
    }
}

#[test]
fn headers_are_sent_and_logged_as_they_were_written() {
    let receiver = Raw::start("HTTP/1.1 200 OK\r\nX-Request-ID: 7\r\nContent-LENGTH: 0\r\n\r\n", true);
    let daemon = Home::new().start();
    let entry = logged(&daemon, &receiver, json!({"headers": {"X-Api-Key": "k", "SOAPAction": "a"}}));
    let head = receiver.heads.look(|heads| heads[0].clone());
    let lines: Vec<&str> = head.lines().collect();
    for line in ["X-Api-Key: k", "SOAPAction: a", "Accept: */*", "Content-Type: application/json"] {
        assert!(lines.contains(&line), "{line}: {head}");
    }
    let names: Vec<&str> = lines.iter().filter_map(|line| Some(line.split_once(": ")?.0)).collect();
    for name in ["User-Agent", "Host", "Content-Length", "webhook-id", "webhook-signature", "hookswitch-delivery"] {
        assert!(names.contains(&name), "{name}: {head}");
    }
    let shown = entry["request"]["headers"].as_object().unwrap();
    assert!(shown.keys().all(|name| names.contains(&name.as_str())), "the log has the names that were sent: {entry}");
    assert_eq!(entry["response_headers"], json!({"X-Request-ID": "7", "Content-LENGTH": "0"}), "{entry}");
    let found = daemon.api().post("/v1/test", &json!({"url": receiver.url(), "headers": {"X-Api-Key": "k"}}));
    let curl = found.expect(200).json()["curl"].as_str().unwrap().to_owned();
    assert!(
        curl.contains("'X-Api-Key'") && curl.contains("'Accept: */*'") && curl.contains("'Content-Type: "),
        "{curl}"
    );
}
