//! What an attempt costs its thread: stack, and buffers while it waits.

use std::backtrace::Backtrace;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;

use super::{LONG, ONE, Receiver, answer, fault, to, transport_with};
use crate::core::attempt::Fault;
use crate::core::event::Event;
use crate::core::json;
use crate::core::payload;
use crate::core::subscription::{Format, Layout, Nested};
use crate::core::time::Timestamp;
use crate::sender::pool::STACK;

/// Bytes of its stack touched by the calling thread.
fn touched() -> usize {
    let here = 0_u8;
    let here = &raw const here as usize;
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut lines = maps.lines();
    let contains = |line: &str| {
        let (begin, end) = line.split_whitespace().next()?.split_once('-')?;
        let at = |text| usize::from_str_radix(text, 16).ok();
        Some((at(begin)?..at(end)?).contains(&here))
    };
    lines.find(|line| contains(line) == Some(true)).expect("the stack is mapped");
    let resident = lines.find_map(|line| line.strip_prefix("Rss:")).unwrap();
    resident.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

fn deepest_event() -> Event {
    let mut data = r#"{"call_id":"c1","in":"#.to_owned();
    let levels = json::MAX_DEPTH - 1;
    for level in 0..levels {
        data += if level % 2 == 0 { "[" } else { r#"{"a":"# };
    }
    data += "1";
    for level in (0..levels).rev() {
        data += if level % 2 == 0 { "]" } else { "}" };
    }
    data += "}";
    let now = Timestamp::from_millis(1_790_000_000_000);
    Event { accepted_at: now, occurred_at: now, ..Event::for_test(&data) }
}

/// Everything a sender thread may do, in sequence: the stack needed is that of the deepest.
#[test]
fn the_deepest_attempt_needs_no_more_than_half_of_a_threads_stack() {
    let good = Receiver::start_tls("localhost.pem", |talk| {
        while talk.request().is_some() {
            talk.answer(200, &"long ".repeat(20_000));
        }
    });
    let bad = Receiver::start_tls("self-signed.pem", |talk| drop(talk.request()));
    let deep = move || {
        for layout in [Layout::Envelope, Layout::Flat] {
            for nested in [Nested::Brackets, Nested::Json] {
                assert!(!payload::body(&deepest_event(), Format::Form, layout, nested).bytes.is_empty());
            }
            payload::body(&deepest_event(), Format::Json, layout, Nested::Brackets);
        }
        let rendered = touched();
        let out = transport_with(&["127.0.0.1"]);
        let post =
            |receiver: &Receiver| out.post(ONE, &to(&format!("https://localhost:{}/", receiver.address.port())), None);
        assert_eq!(answer(&post(&good)).status, 200);
        assert!(matches!(fault(&post(&bad)), Fault::TlsUnknownIssuer));
        let posted = touched();
        let mut text = String::new();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            write!(text, "{:?}", Backtrace::force_capture()).unwrap();
            panic!("as an attempt may end");
        }));
        assert!(panicked.is_err() && !text.is_empty());
        (rendered, posted, touched())
    };
    let (sender, receiver) = mpsc::channel();
    let thread = thread::Builder::new().stack_size(STACK).spawn(move || sender.send(deep()).unwrap()).unwrap();
    let (rendered, posted, all) = receiver.recv_timeout(LONG).expect("the thread lives");
    thread.join().unwrap();
    println!("stack in KiB: {} rendering, {} with posting, {} with a panic", rendered >> 10, posted >> 10, all >> 10);
    assert!(all <= STACK / 2, "{all} of {STACK} bytes of stack are touched");
}

#[test]
fn an_attempt_that_waits_for_its_answer_holds_no_buffer() {
    for scheme in ["http", "https"] {
        let (waits, waiting) = mpsc::channel();
        let (go, gone) = mpsc::channel::<()>();
        let gone = std::sync::Mutex::new(gone);
        let slow = move |talk: &mut super::Conversation| {
            while talk.request().is_some() {
                waits.send(()).ok();
                gone.lock().unwrap().recv().ok();
                talk.answer(200, "ok");
            }
        };
        let receiver =
            if scheme == "http" { Receiver::start(slow) } else { Receiver::start_tls("localhost.pem", slow) };
        let url = format!("{scheme}://localhost:{}/", receiver.address.port());
        let out = transport_with(&["127.0.0.1"]);
        thread::scope(|scope| {
            // The second time over the kept connection.
            for _ in 0..2 {
                let attempt = scope.spawn(|| out.post(ONE, &to(&url), None));
                waiting.recv_timeout(LONG).unwrap();
                let begin = std::time::Instant::now();
                // It has sent what the receiver has read, and is about to release the output buffer.
                while out.spare_buffers() != 1 {
                    assert!(begin.elapsed() < LONG, "{scheme}: it holds a buffer");
                    thread::yield_now();
                }
                go.send(()).unwrap();
                assert_eq!(answer(&attempt.join().unwrap()).body, b"ok");
                assert_eq!(out.spare_buffers(), 1, "{scheme}: one buffer was allocated for input and output");
            }
        });
    }
}
