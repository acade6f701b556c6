//! Exchanges that are no attempts: what is sent, and that neither a slow nor a large answer does harm.

use std::time::Instant;

use ureq::http::{Request, Response};

use super::{LONG, SHORT, settings, transport};
use crate::core::address::AddressPolicy;
use crate::core::attempt::Fault;
use crate::sender::fetch::fetch;
use crate::sender::handshake::Trouble;
use crate::sender::receiver::{Conversation, Receiver};
use crate::sender::{Transport, TransportSettings};

fn asked(receiver: &Receiver, most: usize) -> Result<Response<Vec<u8>>, Trouble> {
    let request = Request::get(format!("http://{}/keys", receiver.address)).header("accept", "application/json");
    fetch(&transport(), request.body(Vec::new()).unwrap(), SHORT * 10, most)
}

fn fault(result: Result<Response<Vec<u8>>, Trouble>) -> Fault {
    result.map(|answer| panic!("{answer:?}")).unwrap_err().fault
}

#[test]
fn a_request_is_sent_as_it_is_and_its_answer_is_whole() {
    let large = "x".repeat(200 * 1024);
    let sent = large.clone();
    let receiver = Receiver::start(move |talk| {
        while talk.request().is_some() {
            talk.answer(418, &sent);
        }
    });
    let answer = asked(&receiver, 256 * 1024).unwrap();
    assert_eq!((answer.status().as_u16(), answer.body().len()), (418, large.len()));
    let request = Request::post(format!("http://{}/token", receiver.address)).header("authorization", "Basic eA==");
    fetch(&transport(), request.body(b"code=1".to_vec()).unwrap(), LONG, 256 * 1024).unwrap();
    let requests = receiver.requests();
    let head = requests[0].to_ascii_lowercase();
    assert!(head.starts_with("get /keys http/1.1\r\n") && !head.contains("content-length"), "{head}");
    assert!(head.contains("accept: application/json\r\n") && !head.contains("user-agent"), "{head}");
    let posted = requests[1].to_ascii_lowercase();
    assert!(posted.starts_with("post /token http/1.1\r\n") && posted.ends_with("\r\n\r\ncode=1"), "{posted}");
    assert!(posted.contains("authorization: basic ea==\r\n"), "{posted}");
}

#[test]
fn an_answer_that_is_late_endless_or_leads_elsewhere_is_none_of_use() {
    let begun = Instant::now();
    let silent = Receiver::start(|talk| {
        talk.request();
        talk.wait();
    });
    assert_eq!(fault(asked(&silent, 1024)), Fault::ResponseTimeout);
    let dripping = Receiver::start(|talk| {
        talk.request();
        talk.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").unwrap();
        talk.repeat("x", SHORT / 3);
    });
    assert_eq!(fault(asked(&dripping, 1024)), Fault::BodyTimeout);
    assert!(begun.elapsed() < LONG, "{:?}", begun.elapsed());
    let endless = Receiver::start(|talk| {
        talk.request();
        talk.send("HTTP/1.1 200 OK\r\n\r\n").unwrap();
        talk.repeat(&"x".repeat(4096), SHORT / 1_000);
    });
    let Trouble { fault, detail, .. } = asked(&endless, 64 * 1024).unwrap_err();
    assert_eq!((fault, detail.as_str()), (Fault::Protocol, "the answer has more than 64 KiB"));
    let elsewhere = Receiver::start(|talk: &mut Conversation| {
        talk.request();
        talk.send("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    assert_eq!(asked(&elsewhere, 1024).unwrap().status().as_u16(), 302);
}

#[test]
fn the_rules_of_addresses_hold() {
    let receiver = Receiver::obliging();
    let strict = TransportSettings { policy: AddressPolicy::default(), ..settings() };
    let request = Request::get(format!("http://{}/", receiver.address)).body(Vec::new()).unwrap();
    let refused = fetch(&Transport::new(strict).unwrap(), request, LONG, 1024);
    assert_eq!((fault(refused), receiver.connections()), (Fault::AddressDenied, 0));
}
