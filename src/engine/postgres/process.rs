//! Which process of which machine a daemon is, so that another daemon of the same machine can tell that it has ended.
//!
//! The identity is the machine's boot, its namespace of processes, the number of the process and the time of its start
//! (`/proc`, see proc(5)). What always holds: a process that may still run is never said to have ended.

use std::fs;

/// The number of this process and its start, in a boot and a namespace. Empty if the kernel does not say.
pub(super) fn identity() -> String {
    let identity = || Some(format!("{}/{}", place()?, number_and_start(std::process::id())?));
    identity().unwrap_or_default()
}

/// Whether a process ran on this machine and has ended.
pub(super) fn has_ended(identity: &str) -> bool {
    let Some((its_place, of_process)) = identity.rsplit_once('/') else { return false };
    let Some((number, _)) = of_process.split_once(':') else { return false };
    let Ok(number) = number.parse() else { return false };
    place().is_some_and(|place| place == its_place) && number_and_start(number).as_deref() != Some(of_process)
}

/// The boot and the namespace of processes.
fn place() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{}/{}", boot.trim(), namespace.to_str()?))
}

/// The number of a process and when it started, in ticks since the boot; `None` if there is none, or it has ended and
/// was not waited for.
fn number_and_start(number: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    // The second field is a name in parentheses that may have anything in it; the third is the state.
    let mut behind = stat.rsplit_once(')')?.1.split_whitespace();
    let state = behind.next()?;
    let start = behind.nth(18)?;
    (!matches!(state, "Z" | "X")).then(|| format!("{number}:{start}"))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_has_ended_once_it_was_killed_and_not_before() {
        assert!(!has_ended(&identity()), "this one");
        let mut other = Command::new("sleep").arg("1000").stdout(Stdio::null()).spawn().unwrap();
        let its = format!("{}/{}", place().unwrap(), number_and_start(other.id()).unwrap());
        assert!(!has_ended(&its));
        other.kill().unwrap();
        other.wait().unwrap();
        assert!(has_ended(&its));
    }

    #[test]
    fn nothing_is_said_of_a_process_elsewhere_or_unknown() {
        let elsewhere = "another-boot/pid:[1]/1:1";
        for identity in [elsewhere, "", "x", "a/b", "a/b:c"] {
            assert!(!has_ended(identity), "{identity:?}");
        }
        let reused = identity().rsplit_once(':').unwrap().0.to_owned() + ":1";
        assert!(has_ended(&reused), "a process that has the number of an earlier one");
    }
}
