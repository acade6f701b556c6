use super::*;
use crate::cli::table::WIDTH;

/// Runs a command line that needs no daemon.
fn ran(line: &[&str]) -> (Exit, String) {
    let mut out = Vec::new();
    let arguments = ["hookswitch"].iter().chain(line).map(OsString::from).collect();
    let exit = run(arguments, &mut out);
    (exit, String::from_utf8(out).unwrap())
}

/// Every command and subcommand, with its path.
fn commands() -> Vec<(String, clap::Command)> {
    fn walk(path: &str, command: &clap::Command, all: &mut Vec<(String, clap::Command)>) {
        let path = format!("{path} {}", command.get_name());
        all.push((path.clone(), command.clone()));
        command.get_subcommands().for_each(|sub| walk(&path, sub, all));
    }
    let mut root = Cli::command();
    root.build();
    let mut all = Vec::new();
    walk("", &root, &mut all);
    all
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn the_commands_are_the_documented_ones() {
    let commands = commands();
    for wanted in [
        "serve",
        "check-config",
        "demo",
        "listen",
        "test",
        "send",
        "message",
        "conversations",
        "subscription add",
        "subscription list",
        "subscription show",
        "subscription edit",
        "subscription copy",
        "subscription remove",
        "subscription enable",
        "subscription disable",
        "subscription secret",
        "subscription rotate-secret",
        "subscription handshake",
        "log",
        "call",
        "report",
        "status",
        "healthcheck",
        "token create",
        "token list",
        "token revoke",
        "portal-link create",
        "portal-link revoke",
        "session list",
        "session end",
        "backup",
        "restore",
        "verify",
        "event-types",
        "completions",
    ] {
        let path = format!(" hookswitch {wanted}");
        assert!(commands.iter().any(|(other, _)| *other == path), "{wanted}");
    }
}

#[test]
fn help_fits_the_terminal_and_explains_every_option() {
    let mut long: Vec<String> = Vec::new();
    for (path, mut command) in commands().into_iter().filter(|(path, _)| !path.contains("help")) {
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{path}: {} has no help", argument.get_id());
        }
        assert!(command.get_about().is_some(), "{path} has no description");
        let help = format!("{}{}", command.render_help(), command.render_long_help());
        for line in help.lines() {
            long.extend((text::width(line) > WIDTH).then(|| format!("{path}: {line}")));
        }
    }
    assert!(long.is_empty(), "too wide:\n{}", long.join("\n"));
}

#[test]
fn help_and_version_are_done_and_nonsense_is_a_usage_error() {
    for line in [&["--help"][..], &["--version"], &["subscription", "add", "--help"]] {
        assert_eq!(ran(line).0, Exit::Done, "{line:?}");
    }
    let wrong: [&[&str]; 9] = [
        &[],
        &["nonsense"],
        &["serve", "--nonsense"],
        &["send"],
        &["send", "call.new"],
        &["subscription"],
        &["subscription", "add", "http://a", "--company", "acme"],
        &["listen", "--status", "100"],
        &["listen", "--secret", "hunter2"],
    ];
    for line in wrong {
        assert_eq!(ran(line).0, Exit::Usage, "{line:?}");
    }
}

#[test]
fn secrets_of_the_environment_are_not_in_the_help() {
    for (path, command) in commands() {
        for argument in command.get_arguments().filter(|argument| argument.get_id() == "token") {
            assert!(argument.is_hide_env_values_set(), "{path} shows the token");
            assert!(argument.get_default_values().is_empty(), "{path} shows the token");
        }
    }
}

#[test]
fn commands_without_a_daemon_fail_with_1() {
    // Nothing unprivileged listens on port 1 of the loopback, so the kernel refuses.
    let daemon = ["--url", "http://127.0.0.1:1", "--token", "x"];
    let lines: [&[&str]; 9] = [
        &["status"],
        &["log"],
        &["event-types"],
        &["test", "http://127.0.0.1:1/"],
        &["send", "call.new", "--company", "acme"],
        &["subscription", "list"],
        &["token", "list"],
        &["subscription", "secret", "sub_1"],
        &["subscription", "remove", "sub_1", "--yes"],
    ];
    for line in lines {
        let line: Vec<&str> = line.iter().chain(&daemon).copied().collect();
        assert_eq!(ran(&line).0, Exit::Failed, "{line:?}");
    }
}

#[test]
fn a_file_that_is_not_there_is_bad_configuration() {
    for line in [&["check-config", "/nonexistent/hookswitch.toml"][..], &["check-config", "--config", "/nonexistent/x"]]
    {
        let (exit, out) = ran(line);
        assert_eq!((exit, out.as_str()), (Exit::BadConfiguration, ""), "{line:?}");
    }
    assert_eq!(ran(&["check-config", "a", "--config", "b"]).0, Exit::Usage);
}

#[test]
fn completions_name_the_commands() {
    let (exit, out) = ran(&["completions", "bash"]);
    assert_eq!(exit, Exit::Done);
    assert!(out.contains("rotate-secret") && out.contains("event-types"));
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let arguments = ["hookswitch", "completions", "zsh"].map(OsString::from).to_vec();
    assert_eq!(run(arguments, &mut Closed), Exit::Done);
}
