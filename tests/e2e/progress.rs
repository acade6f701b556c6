//! Bars and counts of long commands: on a terminal, and nowhere else.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::json;

use crate::daemon::{Daemon, Home, hookswitch, run};
use crate::engine::left_out;
use crate::platform::event;
use crate::postgres::cluster;
use crate::receiver::Receiver;
use crate::terminal::AtTerminal;

fn command<const N: usize>(arguments: [&dyn AsRef<std::ffi::OsStr>; N]) -> Command {
    let mut command = hookswitch();
    command.args(arguments.map(AsRef::as_ref));
    command
}

/// `command` again, with one more argument.
fn with(command: &Command, argument: &str) -> Command {
    let mut more = hookswitch();
    more.args(command.get_args().map(OsString::from).collect::<Vec<_>>()).arg(argument);
    more
}

/// At a terminal the command shows `wanted`, and takes it away again.
#[track_caller]
fn shows(command: Command, wanted: &[&str]) {
    let shown = AtTerminal::start(command).wait();
    assert_eq!(shown.status.code(), Some(0), "{shown:?}");
    for wanted in wanted {
        assert!(shown.text.contains(wanted), "{wanted:?} in {shown:?}");
    }
    shown.expect_cleared();
}

/// In a pipe the command shows nothing that only a terminal understands.
#[track_caller]
fn is_plain(command: Command) {
    let exit = run(command).expect(0);
    for text in [&exit.stdout, &exit.stderr] {
        assert!(!text.contains(['\u{1b}', '\r']), "{exit:?}");
        assert!(!["reading", "receiving", "writing"].iter().any(|doing| text.contains(doing)), "{exit:?}");
    }
    assert_eq!(exit.stderr, "", "{exit:?}");
}

/// With `--json` the command shows nothing at a terminal either.
#[track_caller]
fn is_silent_for_programs(command: &Command) {
    let shown = AtTerminal::start(with(command, "--json")).wait();
    assert_eq!((shown.status.code(), shown.text.as_str()), (Some(0), ""));
}

fn filled() -> Daemon {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    daemon.subscribe(&receiver.url("/"), json!({}));
    for number in 0..5 {
        daemon.accept(&event("call.missed", &format!("c{number}")));
    }
    daemon.wait_for_list("/v1/log", 5);
    daemon
}

#[test]
fn backup_restore_verify_and_salvage_show_how_far_they_are_on_a_terminal_alone() {
    if left_out() {
        return;
    }
    let daemon = filled();
    let (file, data) = (daemon.home().beside("backup"), daemon.home().data());
    let url = format!("http://{}", daemon.address);
    let backup = || command([&"backup", &file, &"--force", &"--url", &url, &"--data-dir", &data]);
    shows(backup(), &["receiving: ", "%  reading the backup: "]);
    is_plain(backup());
    is_silent_for_programs(&backup());

    let into = Home::new();
    let restore = |name: &str| command([&"restore", &file, &"--data-dir", &into.beside(name)]);
    shows(restore("shown"), &["reading the backup: 0 bytes of ", "%  restoring: 0 bytes of "]);
    is_plain(restore("plain"));
    is_silent_for_programs(&restore("silent"));

    let of_file = || command([&"verify", &file]);
    shows(of_file(), &["%  reading the backup: 0 bytes of "]);
    is_plain(of_file());
    is_silent_for_programs(&of_file());

    let (home, _) = daemon.stop();
    let verify = || command([&"verify", &"--data-dir", &home.data()]);
    shows(verify(), &["reading the state", "%  reading the journal: 0 bytes of "]);
    is_plain(verify());
    is_silent_for_programs(&verify());

    let salvage =
        |name: &str| command([&"verify", &"--salvage", &"--data-dir", &home.data(), &"--into", &into.beside(name)]);
    shows(salvage("saved"), &["reading the journal: 0 bytes of ", "writing the state"]);
    is_plain(salvage("saved in a pipe"));
    is_silent_for_programs(&salvage("saved for a program"));
}

#[test]
fn a_long_log_is_counted_while_it_is_read_on_a_terminal_alone() {
    let daemon = filled();
    let (url, data) = (format!("http://{}", daemon.address), daemon.home().data());
    let log = |limit: &str, output: &str| {
        command([&"log", &"-n", &limit, &"-o", &output, &"--url", &url, &"--data-dir", &data])
    };
    shows(log("1000", "csv"), &["reading: 5 entries"]);
    is_plain(log("1000", "csv"));
    for (limit, output) in [("1000", "json"), ("50", "csv")] {
        let shown = AtTerminal::start(log(limit, output)).wait();
        assert_eq!((shown.status.code(), shown.text.as_str()), (Some(0), ""), "{limit} {output}");
    }
}

#[test]
fn a_move_shows_how_far_it_is_on_a_terminal_alone() {
    if left_out() {
        return;
    }
    let Some(cluster) = cluster() else { return };
    let (home, _) = filled().stop();
    let into = Home::new();
    let to = cluster.url();
    let forth = |schema: &str| command([&"move", &"--from", &home.data(), &"--to", &to, &"--schema", &schema]);
    shows(
        forth("shown"),
        &["reading the journal: 0 bytes of ", "moving the journal: 0 bytes of ", "writing the state"],
    );
    is_plain(forth("plain"));
    is_silent_for_programs(&forth("silent"));
    let back = |name: &str| command([&"move", &"--from", &to, &"--schema", &"shown", &"--to", &into.beside(name)]);
    shows(back("shown"), &["reading the state", "moving the records", "reading the journal: 0 bytes of "]);
    is_plain(back("plain"));
    is_silent_for_programs(&back("silent"));
}

#[test]
fn an_interrupt_leaves_the_terminal_clean() {
    // Opening it waits until somebody writes to it, which nobody does.
    let home = Home::new();
    let pipe: &Path = &home.beside("pipe");
    mkfifo(pipe, Mode::S_IRWXU).expect("a named pipe");
    let verify = AtTerminal::start(command([&"verify", &pipe]));
    verify.wait_for("working");
    verify.interrupt();
    let shown = verify.wait();
    assert_eq!(shown.status.code(), Some(130), "{shown:?}");
    shown.expect_cleared();
}
