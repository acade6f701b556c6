//! What a power cut leaves of a [`Disk`]: everything durable, and a random part of the rest.
//!
//! A file's volatile bytes reach the disk in pages of 4 KiB, each as after any of the changes made to it, in any
//! order among pages; a page may be torn between sectors of 512 bytes. A length may be there without its bytes, which
//! then read as zeros, and bytes only within the length. Names may be there in any combination.

use std::fmt;
use std::path::Path;

use crate::disk::{Change, Directory, Disk, File, Kind, Names, ROOT, apply, apply_naming};
use crate::random::Random;

const PAGE: usize = 4096;
const SECTOR: usize = 512;

/// What a cut leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Left {
    /// Nothing volatile.
    Durable,
    /// Everything, as after a kill.
    Everything,
    /// Any pages, any names.
    Some,
    /// Everything but the end of the last write.
    Torn,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Durable => "only what is durable",
            Self::Everything => "everything",
            Self::Some => "some pages and names",
            Self::Torn => "a torn last write",
        })
    }
}

/// Writes the remains into the directory `to`, which exists and is empty.
pub(crate) fn write(disk: &Disk, left: Left, random: &mut Random, to: &Path) {
    let last = last_write(disk);
    // A random preference for old or new pages, the same for the whole image.
    let favour = [1, 5, 9][random.below(3)];
    let mut open = vec![(ROOT, to.to_owned())];
    while let Some((node, path)) = open.pop() {
        let inode = &disk.inodes[node];
        match &inode.kind {
            Kind::Directory(directory) => {
                for (name, node) in names(directory, left, random) {
                    let path = path.join(name);
                    if matches!(disk.inodes[node].kind, Kind::Directory(_)) {
                        std::fs::create_dir(&path).expect("a new directory");
                    }
                    open.push((node, path));
                }
            }
            Kind::File(file) => {
                let bytes = match left {
                    Left::Durable => file.durable.clone(),
                    Left::Everything => whole(file),
                    Left::Torn if last.is_some_and(|(torn, _)| torn == node) => torn(file, random),
                    Left::Torn => whole(file),
                    Left::Some => some(file, random, favour),
                };
                std::fs::write(&path, bytes).expect("a new file");
            }
        }
        if node != ROOT {
            set_mode(&path, inode.mode);
        }
    }
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a file of the test");
}

/// The file with the latest volatile write.
fn last_write(disk: &Disk) -> Option<(usize, usize)> {
    let files = disk.inodes.iter().enumerate().filter_map(|(node, inode)| match &inode.kind {
        Kind::File(file) => match file.volatile.last() {
            Some((order, Change::Write { .. })) => Some((node, *order)),
            _ => None,
        },
        Kind::Directory(_) => None,
    });
    files.max_by_key(|(_, order)| *order)
}

fn names(directory: &Directory, left: Left, random: &mut Random) -> Names {
    let mut names = directory.durable.clone();
    let all = directory.volatile.len();
    // Most file systems keep the order of names; some do not.
    let (reach, any) = match left {
        Left::Durable => (0, false),
        Left::Everything | Left::Torn => (all, false),
        Left::Some if random.once_in(2) => (random.below(all + 1), false),
        Left::Some => (all, true),
    };
    for (_, naming) in &directory.volatile[..reach] {
        if !any || random.once_in(2) {
            apply_naming(&mut names, naming);
        }
    }
    names
}

fn whole(file: &File) -> Vec<u8> {
    let mut content = file.durable.clone();
    file.volatile.iter().for_each(|(_, change)| apply(&mut content, change));
    content
}

/// The file with a part of its last write: whole pages, then sectors of one page. The rest is as before, or, where
/// there was nothing, missing or zeros.
fn torn(file: &File, random: &mut Random) -> Vec<u8> {
    let Some(((_, Change::Write { at, bytes }), before)) = file.volatile.split_last() else { return whole(file) };
    let mut content = file.durable.clone();
    before.iter().for_each(|(_, change)| apply(&mut content, change));
    let (first, end) = (at / PAGE, at + bytes.len());
    let pages = end.div_ceil(PAGE) - first;
    let page = first + random.below(pages);
    let reach = (page * PAGE + random.below(PAGE / SECTOR) * SECTOR).clamp(*at, end);
    apply(&mut content, &Change::Write { at: *at, bytes: bytes[..reach - at].to_vec() });
    if random.once_in(2) && content.len() < end {
        content.resize(end, 0);
    }
    content
}

/// The file with each page as at some time since it was durable. `favour` of ten pages are in their last state.
fn some(file: &File, random: &mut Random, favour: usize) -> Vec<u8> {
    if file.volatile.is_empty() {
        return file.durable.clone();
    }
    let mut content = file.durable.clone();
    let mut lengths = vec![content.len()];
    let mut longest = content.len();
    for (_, change) in &file.volatile {
        let length = match change {
            Change::Write { at, bytes } => lengths[lengths.len() - 1].max(at + bytes.len()),
            Change::Length(length) => *length,
        };
        lengths.push(length);
        longest = longest.max(length);
    }
    content.resize(longest, 0);
    let mut reached = file.durable.len();
    for page in 0..longest.div_ceil(PAGE) {
        let start = page * PAGE;
        let touching: Vec<usize> =
            (0..file.volatile.len()).filter(|at| touches(&file.volatile[*at].1, start)).collect();
        if touching.is_empty() {
            continue;
        }
        let all = touching.len();
        let sectors = if random.once_in(10) { SECTOR } else { PAGE };
        let mut from = start;
        while from < (start + PAGE).min(longest) {
            let until = (from + sectors).min(longest);
            let versions = if random.below(10) < favour { all } else { random.below(all + 1) };
            for at in &touching[..versions] {
                reached = reached.max(part(&mut content[from..until], from, &file.volatile[*at].1));
            }
            from = until;
        }
    }
    let length = match random.below(4) {
        0 => lengths[lengths.len() - 1],
        1 => lengths[random.below(lengths.len())],
        _ => reached,
    };
    content.truncate(length);
    content.resize(length, 0);
    content
}

/// Whether a change affects the page that begins at `start`.
fn touches(change: &Change, start: usize) -> bool {
    match change {
        Change::Write { at, bytes } => *at < start + PAGE && at + bytes.len() > start,
        Change::Length(length) => *length < start + PAGE,
    }
}

/// Applies a change to the part of a file that begins at `from`; returns up to where it wrote.
fn part(content: &mut [u8], from: usize, change: &Change) -> usize {
    match change {
        Change::Write { at, bytes } => {
            let start = (*at).max(from);
            let end = (at + bytes.len()).min(from + content.len());
            if start >= end {
                return 0;
            }
            content[start - from..end - from].copy_from_slice(&bytes[start - at..end - at]);
            end
        }
        Change::Length(length) => {
            let keep = length.saturating_sub(from).min(content.len());
            content[keep..].fill(0);
            0
        }
    }
}
