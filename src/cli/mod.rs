//! The command line: arguments in, HTTP to the daemon, text and an exit status out.
//!
//! One file per command. Commands use the public API of a running daemon, like any customer ([`client`]); only
//! [`starting`] knows the modules that make a daemon, and only `backup`, [`restore`] and [`verify`] read a store, one
//! that is not in use ([`crate::store::offline`]). Results go to standard output, everything else to standard error.
//!
//! Invariants: no header value is printed; a token or signing secret only by the commands whose purpose it is;
//! untrusted text is made safe for the terminal first.

mod audit;
mod backup;
mod call;
mod certificate;
mod choice;
mod client;
mod connection;
mod conversations;
mod delivery;
mod demo;
mod doctor;
mod event;
mod event_types;
mod exit;
mod following;
mod format;
mod healthcheck;
mod listen;
mod listing;
mod log;
mod man;
mod message;
mod moving;
mod portal_link;
mod probe;
mod progress;
mod receiver;
mod report;
mod restore;
mod screen;
mod secret_file;
mod send;
mod serve;
mod session;
mod starting;
mod status;
mod store;
mod subscription;
mod table;
mod text;
mod time;
mod token;
mod verify;

use std::ffi::OsString;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use clap::{CommandFactory, Parser, Subcommand};

pub use exit::Exit;
use exit::{Failure, note};

/// The values of `[store] engine` that this program knows.
#[cfg(feature = "postgres")]
macro_rules! engines {
    () => {
        "embedded, postgres"
    };
}
#[cfg(not(feature = "postgres"))]
macro_rules! engines {
    () => {
        "embedded"
    };
}

const EXAMPLES: &str = "\
Try it, without anything installed:
  hookswitch demo

Set it up:
  hookswitch serve --data-dir /var/lib/hookswitch
  hookswitch subscription add https://www.acme.example/hook --company acme \\
      --events call.missed,call.finished
  hookswitch send call.missed --company acme
  hookswitch log --follow

Exit status: 0 done, 1 failed, 2 usage, 70 bug, 74 store failed,
78 bad configuration.";

/// What `--version` says: of which commit this program is, and which engines are in it.
const LONG_VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("BUILT_FROM"), ")\nengines: ", engines!());

/// Delivers the events of a call and SMS platform to webhooks.
#[derive(Debug, Parser)]
#[command(name = "hookswitch", version, long_version = LONG_VERSION, after_help = EXAMPLES)]
struct Cli {
    /// When colours are shown: auto, always or never
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t, hide_possible_values = true)]
    #[arg(hide_default_value = true)]
    color: screen::Color,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    CheckConfig(serve::CheckConfig),
    Demo(demo::Demo),
    Listen(listen::Listen),
    Test(probe::Test),
    Send(send::Send),
    Message(message::Message),
    Subscription(Box<subscription::Subscription>),
    Log(Box<log::Log>),
    Event(event::Event),
    Delivery(delivery::Delivery),
    Audit(audit::Audit),
    Call(call::Call),
    Conversations(conversations::Conversations),
    Report(report::Report),
    Status(status::Status),
    Doctor(doctor::Doctor),
    Healthcheck(healthcheck::Healthcheck),
    Token(token::Token),
    PortalLink(portal_link::PortalLink),
    Session(session::Session),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Verify(verify::Verify),
    Move(moving::Move),
    Store(store::Store),
    EventTypes(event_types::EventTypes),
    Completions(Completions),
    Man(man::Man),
}

/// Print the completions of a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  hookswitch completions bash > /etc/bash_completion.d/hookswitch")]
struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

/// The definition of the command line, against which the commands in the documents are checked.
pub fn definition() -> clap::Command {
    Cli::command()
}

/// Runs the process's arguments. A panic is reported as a bug.
pub fn main() -> Exit {
    let arguments = std::env::args_os().collect();
    // Not locked: `serve` and `demo` have threads that write as well.
    let ran = catch_unwind(AssertUnwindSafe(|| run(arguments, &mut io::stdout())));
    ran.unwrap_or(Exit::Bug)
}

/// Runs one command line, including the program's name; results are written to `out`.
fn run(mut arguments: Vec<OsString>, out: &mut dyn Write) -> Exit {
    drop_help_of_help(&mut arguments);
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(answer) => return print_clap(&answer),
    };
    screen::observe(cli.color);
    match cli.command.run(out).and_then(|exit| Ok(out.flush().map(|()| exit)?)) {
        Ok(exit) => exit,
        Err(Failure { exit, message }) => {
            if !message.is_empty() {
                note(&message);
            }
            exit
        }
    }
}

/// Takes `--help` away behind `help`, which clap does not know there.
fn drop_help_of_help(arguments: &mut Vec<OsString>) {
    if let [.., help, of_help] = arguments.as_slice()
        && help == "help"
        && (of_help == "--help" || of_help == "-h")
    {
        arguments.pop();
    }
}

/// Prints help and version to standard output, usage errors to standard error.
fn print_clap(answer: &clap::Error) -> Exit {
    // If that fails, nothing can be reported.
    drop(answer.print());
    if answer.use_stderr() { Exit::Usage } else { Exit::Done }
}

impl Command {
    fn run(self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let done = |result: Result<(), Failure>| result.map(|()| Exit::Done);
        match self {
            Self::Serve(command) => done(command.run()),
            Self::CheckConfig(command) => done(command.run(out)),
            Self::Demo(command) => command.run(out),
            Self::Listen(command) => done(command.run(out)),
            Self::Test(command) => command.run(out),
            Self::Send(command) => done(command.run(out)),
            Self::Message(command) => done(command.run(out)),
            Self::Subscription(command) => done(command.run(out)),
            Self::Log(command) => done(command.run(out)),
            Self::Event(command) => done(command.run(out)),
            Self::Delivery(command) => done(command.run(out)),
            Self::Audit(command) => done(command.run(out)),
            Self::Call(command) => done(command.run(out)),
            Self::Conversations(command) => done(command.run(out)),
            Self::Report(command) => done(command.run(out)),
            Self::Status(command) => command.run(out),
            Self::Doctor(command) => command.run(out),
            Self::Healthcheck(command) => done(command.run(out)),
            Self::Token(command) => done(command.run(out)),
            Self::PortalLink(command) => done(command.run(out)),
            Self::Session(command) => done(command.run(out)),
            Self::Backup(command) => done(command.run(out)),
            Self::Restore(command) => done(command.run(out)),
            Self::Verify(command) => command.run(out),
            Self::Move(command) => done(command.run(out)),
            Self::Store(command) => done(command.run(out)),
            Self::EventTypes(command) => done(command.run(out)),
            Self::Completions(command) => done(command.run(out)),
            Self::Man(command) => done(command.run(Cli::command(), out)),
        }
    }
}

impl Completions {
    fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        // Buffered: clap_complete panics when its writer fails.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "hookswitch", &mut script);
        Ok(out.write_all(&script)?)
    }
}

#[cfg(test)]
mod tests;
