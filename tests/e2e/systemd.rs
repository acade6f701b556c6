//! The systemd protocols, with a socket and a port of the test in systemd's place: readiness, watchdog, reload, and a
//! port that outlives the daemon.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::Client;
use crate::daemon::{Daemon, Home};
use crate::disk_errors::{Attached, has_strace};
use crate::engine::left_out;
use crate::platform::numbered;
use crate::wait::{PATIENCE, Watched};

/// Notifications as received by systemd.
struct Manager {
    messages: Arc<Watched<Vec<String>>>,
}

impl Manager {
    /// Starts a daemon that notifies it, with this watchdog interval.
    fn start(home: &Home, watchdog: Duration) -> (Self, Daemon) {
        let path = home.beside("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        let messages = Arc::new(Watched::new(Vec::new()));
        let recorded = Arc::clone(&messages);
        std::thread::spawn(move || {
            let mut message = [0; 4096];
            while let Ok(length) = socket.recv(&mut message) {
                recorded.change(|all| all.push(String::from_utf8_lossy(&message[..length]).into_owned()));
            }
        });
        let daemon = home.try_start(|mut command| {
            command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", watchdog.as_micros().to_string());
            command
        });
        (Self { messages }, daemon.unwrap_or_else(|why| panic!("{why}")))
    }

    /// Waits for a message with all these lines after the first `after`; returns its index.
    #[track_caller]
    fn wait_for(&self, after: usize, lines: &[&str]) -> usize {
        let is_it = |message: &String| lines.iter().all(|wanted| message.lines().any(|line| line.starts_with(wanted)));
        let place = self.messages.wait(PATIENCE, |all| {
            let found = all.iter().skip(after).position(is_it);
            found.map(|place| place + after)
        });
        place.unwrap_or_else(|| panic!("no message {lines:?} after {after}: {:?}", self.messages.look(Clone::clone)))
    }

    fn fed(&self) -> usize {
        self.messages.look(|all| all.iter().filter(|message| message.contains("WATCHDOG=1")).count())
    }
}

#[test]
fn the_manager_hears_of_start_life_reload_and_stop() {
    let home = Home::new();
    let (manager, daemon) = Manager::start(&home, Duration::from_millis(300));
    let ready = manager.wait_for(0, &["READY=1", "STATUS=listening on http://127.0.0.1:"]);
    assert_eq!(ready, 0, "nothing comes before it is ready");
    daemon.subscribe("http://127.0.0.1:9/", json!({"enabled": false}));
    daemon.accept(&numbered("c", 0));
    let alive = manager.wait_for(ready, &["WATCHDOG=1", "STATUS=listening on http"]);
    let follows =
        |all: &Vec<String>| all[alive..].iter().any(|message| message.contains("; 1 waiting, 0 of 2048 senders busy"));
    assert!(manager.messages.wait(PATIENCE, |all| follows(all).then_some(())).is_some(), "the status does not follow");
    daemon.signal("HUP");
    let reloading = manager.wait_for(alive, &["RELOADING=1", "MONOTONIC_USEC="]);
    manager.wait_for(reloading, &["READY=1"]);
    let (_, exit) = daemon.stop();
    manager.wait_for(reloading, &["STOPPING=1"]);
    exit.expect(0);
}

#[test]
fn the_watchdog_is_not_fed_while_the_disk_holds_the_writer_up() {
    if left_out() {
        return;
    }
    if !has_strace() {
        return;
    }
    let home = Home::new();
    let (manager, daemon) = Manager::start(&home, Duration::from_millis(300));
    manager.wait_for(0, &["WATCHDOG=1"]);
    let journal = home.data().join("journal/000001.log");
    let held_up = Duration::from_secs(4);
    let strace = Attached::to(&daemon, &format!("fdatasync:delay_enter={}", held_up.as_micros()), &journal);
    let (before, begun) = (manager.fed(), Instant::now());
    daemon.accept(&numbered("c", 0));
    let (fed, waited) = (manager.fed() - before, begun.elapsed());
    assert!(waited >= held_up, "the sync was not held up: {waited:?}");
    // A mere timer would notify ten times a second.
    assert!(fed <= 5, "the watchdog was fed {fed} times in {waited:?}");
    manager.wait_for(0, &["STATUS=the writer does not answer"]);
    daemon.wait_for_saying("the writer has not answered");
    drop(strace);
    let all = manager.messages.look(Vec::len);
    manager.wait_for(all, &["WATCHDOG=1"]);
}

#[test]
fn a_systemd_socket_refuses_no_connection_during_a_restart() {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port");
    let home = Home::new();
    let daemon = home.start_on(&port);
    assert_eq!(daemon.address, port.local_addr().expect("its address"), "`listen` is not used");
    daemon.wait_for_saying("the port is systemd's");
    daemon.accept(&numbered("c", 0));
    let (home, exit) = daemon.stop();
    exit.expect(0);
    let mut early = TcpStream::connect(port.local_addr().expect("its address")).expect("nobody is refused");
    early.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("the kernel takes it");
    let daemon = home.start_on(&port);
    let mut answer = String::new();
    early.set_read_timeout(Some(PATIENCE)).expect("a limit");
    early.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(daemon.list("/v1/events").len(), 1);
    daemon.stop().1.expect(0);
}

#[test]
fn an_admin_token_that_systemd_hands_over_is_the_one() {
    let home = Home::new();
    let own = format!("hsk_{}", "A".repeat(43));
    let credentials = home.beside("credentials");
    std::fs::create_dir(&credentials).expect("a directory");
    std::fs::write(credentials.join("admin.token"), format!("{own}\n")).expect("the credential");
    // The directory's previous token, for the harness to read.
    home.start().stop().1.expect(0);
    let daemon = home.try_start(|mut command| {
        command.env("CREDENTIALS_DIRECTORY", &credentials);
        command
    });
    let daemon = daemon.unwrap_or_else(|why| panic!("{why}"));
    daemon.api().get("/v1/events").expect_problem(&[401]);
    Client::new(daemon.address, Some(own)).get("/v1/events").expect(200);
    daemon.stop().1.expect(0);
    std::fs::write(credentials.join("admin.token"), "hunter2").expect("the credential");
    let refused = home.try_start(|mut command| {
        command.env("CREDENTIALS_DIRECTORY", &credentials);
        command
    });
    let Err(why) = refused else { panic!("it started with a credential that is no token") };
    assert!(why.contains("credentials/admin.token") && !why.contains("hunter2"), "{why}");
}
