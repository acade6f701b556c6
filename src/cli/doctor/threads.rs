//! Whether the sender threads fit the limits of the control group, the kernel, and memory mappings.
//! and by the parts of memory that each needs.

use std::fs;
use std::path::{Path, PathBuf};

use super::check::Check;
use super::disk::Holder;
use crate::config::Config;

/// Threads of a daemon besides its senders.
const OWN: u64 = 64;
/// Memory mappings (`vm.max_map_count`) per thread: its stack, its signal stack, and their guard pages.
const MAPS_EACH: u64 = 4;
/// Memory mappings of everything else.
const MAPS_OWN: u64 = 4_096;

/// A limit, and how to raise it.
#[derive(Debug, PartialEq, Eq)]
struct Limit {
    /// The number of threads it allows.
    threads: u64,
    name: String,
    advice: &'static str,
}

/// Whether the limits allow the maximum number of senders.
pub(super) fn check(config: &Config, holder: Holder) -> Check {
    const NAME: &str = "threads";
    let needed = u64::try_from(config.senders.threads).unwrap_or(u64::MAX).saturating_add(OWN);
    let own = PathBuf::from("/proc/self/cgroup");
    let (subject, groups) = match holder {
        Holder::Daemon { pid: Some(pid), .. } => ("the daemon", PathBuf::from(format!("/proc/{pid}/cgroup"))),
        _ => ("a daemon started from here", own),
    };
    let limits = limits(Path::new("/proc/sys"), Path::new("/sys/fs/cgroup"), &groups);
    let Some(lowest) = limits.into_iter().min_by_key(|limit| limit.threads) else {
        return Check::ok(NAME, format!("up to {needed} are needed; no limit is known"));
    };
    let message = format!("{subject} may have {} ({}); up to {needed} are needed", lowest.threads, lowest.name);
    if lowest.threads >= needed {
        return Check::ok(NAME, message);
    }
    Check::warn(NAME, message, format!("{}, or lower `threads` in [senders]", lowest.advice))
}

/// The thread limits of a process whose control groups are listed in `groups`.
fn limits(kernel: &Path, control: &Path, groups: &Path) -> Vec<Limit> {
    let mut limits = Vec::new();
    for (file, advice) in
        [("kernel/threads-max", "raise it with `sysctl`"), ("kernel/pid_max", "raise it with `sysctl`")]
    {
        if let Some(threads) = number(&kernel.join(file)) {
            limits.push(Limit { threads, name: file.replace('/', "."), advice });
        }
    }
    if let Some(maps) = number(&kernel.join("vm/max_map_count")) {
        let (threads, name) = (maps.saturating_sub(MAPS_OWN) / MAPS_EACH, format!("vm.max_map_count {maps}"));
        limits.push(Limit { threads, name, advice: "raise it with `sysctl`" });
    }
    let groups = fs::read_to_string(groups).unwrap_or_default();
    if let Some(path) = groups.lines().find_map(|line| line.strip_prefix("0::/")) {
        // A group's limit applies to its descendants.
        for group in control.join(path).ancestors().take_while(|group| group.starts_with(control)) {
            if let Some(threads) = number(&group.join("pids.max")) {
                let advice = "raise it (`TasksMax=` in the unit or of its slice)";
                limits.push(Limit { threads, name: group.join("pids.max").display().to_string(), advice });
            }
        }
    }
    limits
}

/// The number in a file; `None` if it does not exist or contains `max`.
fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_found_and_given_in_threads() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("sys/kernel/threads-max", "192729\n");
        write("sys/vm/max_map_count", "65530\n");
        write("cg/system.slice/pids.max", "4915\n");
        write("cg/system.slice/hookswitch.service/pids.max", "max\n");
        write("groups", "0::/system.slice/hookswitch.service\n");
        let at = |path: &str| dir.path().join(path);
        let found = limits(&at("sys"), &at("cg"), &at("groups"));
        let threads: Vec<u64> = found.iter().map(|limit| limit.threads).collect();
        assert_eq!(threads, [192_729, (65_530 - MAPS_OWN) / MAPS_EACH, 4_915]);
        assert!(found[2].name.ends_with("system.slice/pids.max") && found[2].advice.contains("TasksMax"));
        assert_eq!(limits(&at("none"), &at("none"), &at("none")), []);
    }
}
