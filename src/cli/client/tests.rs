use super::*;
use crate::cli::exit::Exit;
use crate::core::hidden::Hidden;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

fn credentials(token: Option<&str>) -> Credentials {
    Credentials { token: token.map(Hidden::new), origin: "The token was read from /d/admin.token.".to_owned() }
}

/// A server that answers each connection with the next of `replies`, and a client of it. The thread returns the heads
/// of the requests.
fn scripted(replies: Vec<String>) -> (Client, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client =
        Client::with(&format!("http://{}/", listener.local_addr().unwrap()), credentials(Some("hsk_x"))).unwrap();
    let server = thread::spawn(move || replies.iter().map(|reply| answer(&listener, reply)).collect());
    (client, server)
}

fn answer(listener: &TcpListener, reply: &str) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    stream.write_all(reply.as_bytes()).unwrap();
    String::from_utf8(head).unwrap()
}

fn reply(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn failure_after(status: u16, body: &str) -> String {
    let (client, server) = scripted(vec![reply(status, body)]);
    let failure = client.get("/v1/log").unwrap_err();
    server.join().unwrap();
    assert_eq!(failure.exit, Exit::Failed);
    failure.message
}

#[test]
fn a_reply_of_success_is_handed_on_and_the_token_sent() {
    let (client, server) = scripted(vec![reply(202, "{\"id\":1}"), reply(204, "")]);
    assert_eq!(client.post("/v1/events", "{}").unwrap(), "{\"id\":1}");
    client.delete("/v1/subscriptions/sub_1").unwrap();
    let heads = server.join().unwrap();
    assert!(heads[0].starts_with("POST /v1/events HTTP/1.1\r\n"), "{}", heads[0]);
    assert!(heads[0].contains("authorization: Bearer hsk_x\r\n"), "{}", heads[0]);
    assert!(heads[0].contains("content-type: application/json\r\n"), "{}", heads[0]);
    assert!(heads[1].starts_with("DELETE /v1/subscriptions/sub_1 "), "{}", heads[1]);
}

#[test]
fn problems_are_printed_with_one_fault_per_line() {
    let body = r#"{"status":422,"title":"Not valid","detail":"The body has 2 faults.","errors":[
        {"pointer":"/url","detail":"must be absolute"},{"pointer":"","detail":"is \u001b[31mred"}]}"#;
    let wanted = "2 values are wrong:\n  url: must be absolute\n  the request: is \\u{1b}[31mred";
    assert_eq!(failure_after(422, body), wanted);
    let one = r#"{"status":422,"title":"Not valid","detail":"`/url` is missing","errors":[
        {"pointer":"/url","detail":"is missing"}]}"#;
    assert_eq!(failure_after(422, one), "url: is missing");
    assert_eq!(failure_after(404, r#"{"status":404,"title":"Not found"}"#), "Not found (404)");
}

#[test]
fn a_refused_token_is_reported_by_origin_and_never_shown() {
    let message = failure_after(401, r#"{"title":"No or unknown token"}"#);
    assert_eq!(message, "No or unknown token (401)\nThe token was read from /d/admin.token.");
    let client = Client::with("http://127.0.0.1:1", credentials(Some("hsk_x"))).unwrap();
    assert!(!format!("{client:?}").contains("hsk_x"));
}

#[test]
fn other_servers_are_recognised() {
    for (status, body) in [(200, "<html>"), (500, "<html>"), (302, ""), (404, "{}")] {
        let (client, server) = scripted(vec![reply(status, body)]);
        let failure = client.get("/v1/event-types").and_then(|text| read::<Page>(&text).map(drop)).unwrap_err();
        server.join().unwrap();
        let helpful = failure.message.contains("check --url") || failure.message.contains("not understood");
        assert!(helpful, "{}", failure.message);
    }
    let (client, server) = scripted(vec!["SSH-2.0-OpenSSH\r\n\r\n".to_owned()]);
    let message = client.get("/").unwrap_err().message;
    server.join().unwrap();
    assert!(message.contains("is not a Hookswitch daemon"), "{message}");
}

#[test]
fn without_a_daemon_the_error_says_how_to_start_one() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = Client::with(&format!("http://{address}"), credentials(None)).unwrap();
    let message = client.get("/v1/log").unwrap_err().message;
    let wanted = format!("no daemon answers at http://{address}: is it running? start it with `hookswitch serve`");
    assert_eq!(message, wanted);
    assert_eq!(client.get_if_running("/v1/log"), Ok(None));
}

#[test]
fn lists_are_read_to_their_end() {
    let first = r#"{"items":[{"b":1.50,"a":2}],"next":"c&1"}"#;
    let (client, server) = scripted(vec![reply(200, first), reply(200, r#"{"entries":[3],"next":null}"#)]);
    let items: Vec<String> = client.list("/v1/x?y=z").unwrap().iter().map(|item| item.get().to_owned()).collect();
    assert_eq!(items, [r#"{"b":1.50,"a":2}"#, "3"]);
    assert!(server.join().unwrap()[1].starts_with("GET /v1/x?y=z&cursor=c%261 "));
}

#[test]
fn urls_of_daemons_are_checked() {
    for (url, wanted) in [("http://a:1/", "http://a:1"), ("https://h/prefix/", "https://h/prefix")] {
        assert_eq!(base_of(url), Ok(wanted.to_owned()));
    }
    for wrong in ["", "127.0.0.1:4665", "ftp://a", "unix:/a", "http://u:secret@a", "http://a?b", "http://a#b"] {
        let failure = base_of(wrong).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage, "{wrong}");
        assert!(!failure.message.contains("secret"), "{}", failure.message);
    }
}
