//! The model: the running system's view of a directory, what is durable, and what is in progress.
//!
//! Knows system calls and nothing about the daemon. A change of a file's bytes or length is volatile until a sync of
//! that file that began after the change has succeeded; a change of names is volatile until such a sync of the
//! directory. Syncing a file does not make its name durable, nor that of its directory (some file systems are
//! kinder).

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};

use crate::trace::{Call, Deed, From, Moment, Trace};

/// The number of a file or directory.
pub(crate) type Node = usize;

/// A change of a file that a cut may undo.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Length(usize),
}

/// A change of names in a directory that a cut may undo.
#[derive(Debug, Clone)]
pub(crate) enum Naming {
    Link(String, Node),
    Unlink(String),
    /// Within the directory, atomically.
    Rename(String, String, Node),
}

/// The names in a directory.
pub(crate) type Names = BTreeMap<String, Node>;

#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) durable: Vec<u8>,
    /// With their index in the order of all changes.
    pub(crate) volatile: Vec<(usize, Change)>,
    live: Vec<u8>,
    /// Its current or last name.
    name: String,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Directory {
    pub(crate) durable: Names,
    pub(crate) volatile: Vec<(usize, Naming)>,
    live: Names,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    File(File),
    Directory(Directory),
}

#[derive(Debug, Clone)]
pub(crate) struct Inode {
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
}

/// Syncs to be ignored, to verify that the checks notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Discount {
    Nothing,
    /// sled's `sync_file_range`, replaced by `fdatasync` of `state/db`.
    Sled,
    /// `fdatasync` of the journal.
    Journal,
    /// Syncs of directories.
    Names,
}

#[derive(Debug)]
struct Description {
    node: Node,
    position: usize,
    append: bool,
}

/// The directory below `root` as made by the calls.
#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    pub(crate) inodes: Vec<Inode>,
    descriptions: Vec<Description>,
    open: HashMap<i32, usize>,
    /// Syncs in progress, with the changes they cover.
    syncing: HashMap<usize, usize>,
    changes: usize,
    discount: Discount,
}

/// The node of the root.
pub(crate) const ROOT: Node = 0;

impl Disk {
    /// The content of `base`, all durable, as if it were at `root`.
    pub(crate) fn found(base: &Path, root: &Path, discount: Discount) -> Self {
        let mut disk = Self {
            root: root.to_owned(),
            inodes: Vec::new(),
            descriptions: Vec::new(),
            open: HashMap::new(),
            syncing: HashMap::new(),
            changes: 0,
            discount,
        };
        disk.take_in(base);
        disk
    }

    fn take_in(&mut self, path: &Path) -> Node {
        use std::os::unix::fs::PermissionsExt as _;
        let metadata = std::fs::metadata(path).expect("a file of the test");
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let node = self.inodes.len();
        let mode = metadata.permissions().mode() & 0o777;
        if metadata.is_dir() {
            self.inodes.push(Inode { kind: Kind::Directory(Directory::default()), mode });
            let entries = std::fs::read_dir(path).expect("a directory of the test").flatten();
            let names: Names = entries
                .map(|entry| (entry.file_name().to_string_lossy().into_owned(), self.take_in(&entry.path())))
                .collect();
            self.inodes[node].kind =
                Kind::Directory(Directory { durable: names.clone(), volatile: Vec::new(), live: names });
        } else {
            let durable = std::fs::read(path).expect("a file of the test");
            let file = File { live: durable.clone(), durable, volatile: Vec::new(), name };
            self.inodes.push(Inode { kind: Kind::File(file), mode });
        }
        node
    }

    /// Advances by one moment.
    pub(crate) fn step(&mut self, trace: &Trace, moment: Moment) {
        match moment {
            Moment::Begin(index) => {
                if let Deed::Sync { .. } = trace.calls[index].deed {
                    self.syncing.insert(index, self.changes);
                }
                if let Deed::Close { fd } = trace.calls[index].deed {
                    // The number may be reused before the call is seen to have ended.
                    self.open.remove(&fd);
                }
            }
            Moment::End(index) => {
                let Call { deed, result } = &trace.calls[index];
                if let Some(result) = result.filter(|result| *result >= 0) {
                    self.done(index, deed, usize::try_from(result).unwrap_or(0));
                }
            }
        }
    }

    /// The process has ended: its descriptors are closed. Calls in progress may have been executed nevertheless;
    /// `seen` is what was really there afterwards.
    ///
    /// # Errors
    /// The model differs from what was there: it has missed something.
    pub(crate) fn process_ended(&mut self, trace: &Trace, seen: &BTreeMap<PathBuf, Vec<u8>>) -> Result<(), String> {
        for (index, call) in trace.calls.iter().enumerate().filter(|(_, call)| call.result.is_none()) {
            if let Some(result) = self.was_done(&call.deed, seen) {
                self.done(index, &call.deed, result);
            }
        }
        self.open.clear();
        self.syncing.clear();
        self.differs_from(seen)
            .map_or(Ok(()), |difference| Err(format!("the model of the disk is wrong: {difference}")))
    }

    /// The result of a call that the process did not live to see, if `seen` shows that it was executed.
    fn was_done(&self, deed: &Deed, seen: &BTreeMap<PathBuf, Vec<u8>>) -> Option<usize> {
        let was_done = match deed {
            // There is no descriptor of it any more.
            Deed::Open { path, create: true, .. } => seen.get(path).is_some_and(Vec::is_empty),
            Deed::Write { fd, at, bytes } => {
                let description = self.described(*fd)?;
                let at = at.map_or(description.position, |at| usize::try_from(at).unwrap_or(usize::MAX));
                let there = seen.get(&self.path_of(description.node)?)?.get(at..)?;
                // A kill may interrupt it half-way.
                let count = there.iter().zip(bytes).take_while(|(there, byte)| there == byte).count();
                return (count > 0).then_some(count);
            }
            Deed::SetLength { fd, length } => {
                let path = self.path_of(self.described(*fd)?.node)?;
                seen.get(&path).is_some_and(|seen| seen.len() as u64 == *length)
            }
            Deed::Rename { old: gone, .. } | Deed::Remove { path: gone, .. } => {
                gone.is_absolute() && !seen.keys().any(|path| path.starts_with(gone))
            }
            _ => false,
        };
        was_done.then_some(usize::MAX)
    }

    fn described(&self, fd: i32) -> Option<&Description> {
        self.open.get(&fd).map(|open| &self.descriptions[*open])
    }

    fn path_of(&self, node: Node) -> Option<PathBuf> {
        self.live_files().into_iter().find(|(_, file)| *file == node).map(|(path, _)| path)
    }

    fn differs_from(&self, seen: &BTreeMap<PathBuf, Vec<u8>>) -> Option<String> {
        let files = self.live_files();
        if let Some(missed) = seen.keys().find(|path| !files.contains_key(*path)) {
            return Some(format!("{} is there, and the calls did not make it", missed.display()));
        }
        for (path, node) in &files {
            let Kind::File(file) = &self.inodes[*node].kind else { continue };
            // The lock is not compared: it only identifies the process.
            let same = path.ends_with("lock") || seen.get(path).is_some_and(|seen| *seen == file.live);
            if !same {
                let lengths = (seen.get(path).map(Vec::len), file.live.len());
                return Some(format!("{} is not as the calls left it (lengths {lengths:?})", path.display()));
            }
        }
        None
    }

    /// Every file visible to the running system.
    fn live_files(&self) -> BTreeMap<PathBuf, Node> {
        let mut found = BTreeMap::new();
        let mut left = vec![(self.root.clone(), ROOT)];
        while let Some((path, node)) = left.pop() {
            match &self.inodes[node].kind {
                Kind::Directory(directory) => {
                    left.extend(directory.live.iter().map(|(name, node)| (path.join(name), *node)));
                }
                Kind::File(_) => {
                    found.insert(path, node);
                }
            }
        }
        found
    }

    /// Whether a cut now has only one possible result.
    pub(crate) fn is_settled(&self) -> bool {
        self.inodes.iter().all(|inode| match &inode.kind {
            Kind::File(file) => file.volatile.is_empty(),
            Kind::Directory(directory) => directory.volatile.is_empty(),
        })
    }

    /// The path of the file behind a descriptor, for choosing cuts.
    pub(crate) fn name_of(&self, fd: i32) -> Option<&str> {
        let node = self.descriptions[*self.open.get(&fd)?].node;
        match &self.inodes[node].kind {
            Kind::File(file) => Some(&file.name),
            Kind::Directory(_) => Some("/"),
        }
    }

    fn done(&mut self, index: usize, deed: &Deed, result: usize) {
        match deed {
            Deed::Open { from, path, create, truncate, append, mode } => {
                self.opened(*from, path, (*create, *truncate, *append), *mode, result);
            }
            Deed::Close { .. } | Deed::Send { .. } => {}
            Deed::Duplicate { fd } => {
                if let Some(open) = self.open.get(fd).copied() {
                    self.open.insert(i32::try_from(result).unwrap_or(-1), open);
                }
            }
            Deed::Write { fd, at, bytes } => self.written(*fd, *at, &bytes[..result.min(bytes.len())]),
            Deed::Copy { source, target } => self.copied(*source, *target, result),
            Deed::Sync { fd, data_only } => self.synced(index, *fd, *data_only),
            Deed::SetLength { fd, length } => {
                let length = usize::try_from(*length).unwrap_or(usize::MAX);
                if let Some(open) = self.open.get(fd) {
                    self.change(self.descriptions[*open].node, Change::Length(length));
                }
            }
            Deed::SetMode { fd, mode } => {
                if let Some(open) = self.open.get(fd) {
                    let node = self.descriptions[*open].node;
                    self.inodes[node].mode = *mode & 0o777;
                }
            }
            Deed::Rename { old, new } => self.renamed(old, new),
            Deed::Remove { from, path } => {
                if let Some((parent, name)) = self.place(*from, path) {
                    self.rename(parent, Naming::Unlink(name));
                }
            }
            Deed::MakeDir { from, path, mode } => {
                if let Some((parent, name)) = self.place(*from, path) {
                    let kind = Kind::Directory(Directory::default());
                    let node = self.make(Inode { kind, mode: *mode & 0o755 });
                    self.rename(parent, Naming::Link(name, node));
                }
            }
        }
    }

    fn make(&mut self, inode: Inode) -> Node {
        self.inodes.push(inode);
        self.inodes.len() - 1
    }

    /// The directory and name of a path; `None` if it lies outside.
    fn place(&self, from: From, path: &Path) -> Option<(Node, String)> {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let parent = self.node(from, path.parent()?)?;
        Some((parent, name))
    }

    fn node(&self, from: From, path: &Path) -> Option<Node> {
        let (start, rest) = if path.is_absolute() {
            (ROOT, path.strip_prefix(&self.root).ok()?)
        } else {
            (self.descriptions[*self.open.get(&from?)?].node, path)
        };
        rest.components().try_fold(start, |node, component| match (component, &self.inodes[node].kind) {
            (Component::CurDir, _) => Some(node),
            (Component::Normal(name), Kind::Directory(directory)) => directory.live.get(name.to_str()?).copied(),
            _ => None,
        })
    }

    fn opened(
        &mut self,
        from: From,
        path: &Path,
        (create, truncate, append): (bool, bool, bool),
        mode: u32,
        fd: usize,
    ) {
        let fd = i32::try_from(fd).unwrap_or(-1);
        self.open.remove(&fd);
        let node = match self.node(from, path) {
            Some(node) => node,
            None if create => {
                let Some((parent, name)) = self.place(from, path) else { return };
                let file = File { durable: Vec::new(), volatile: Vec::new(), live: Vec::new(), name: name.clone() };
                let node = self.make(Inode { kind: Kind::File(file), mode: mode & 0o755 });
                self.rename(parent, Naming::Link(name, node));
                node
            }
            None => return,
        };
        if truncate && matches!(&self.inodes[node].kind, Kind::File(file) if !file.live.is_empty()) {
            self.change(node, Change::Length(0));
        }
        self.open.insert(fd, self.descriptions.len());
        self.descriptions.push(Description { node, position: 0, append });
    }

    fn written(&mut self, fd: i32, at: Option<u64>, bytes: &[u8]) {
        let Some(open) = self.open.get(&fd).copied() else { return };
        let Description { node, position, append } = self.descriptions[open];
        let Kind::File(file) = &self.inodes[node].kind else { return };
        let from = match at {
            Some(at) => usize::try_from(at).unwrap_or(usize::MAX),
            None if append => file.live.len(),
            None => position,
        };
        if at.is_none() {
            self.descriptions[open].position = from + bytes.len();
        }
        self.change(node, Change::Write { at: from, bytes: bytes.to_vec() });
    }

    fn copied(&mut self, source: i32, target: i32, count: usize) {
        let Some(open) = self.open.get(&source).copied() else { return };
        let Description { node, position, .. } = self.descriptions[open];
        let Kind::File(file) = &self.inodes[node].kind else { return };
        let bytes = file.live[position..position + count].to_vec();
        self.descriptions[open].position += count;
        self.written(target, None, &bytes);
    }

    fn change(&mut self, node: Node, change: Change) {
        let order = self.next_change();
        if let Kind::File(file) = &mut self.inodes[node].kind {
            apply(&mut file.live, &change);
            file.volatile.push((order, change));
        }
    }

    fn renamed(&mut self, old: &Path, new: &Path) {
        let (Some((parent, from)), Some((other, to))) = (self.place(None, old), self.place(None, new)) else { return };
        let Some(node) = self.node(None, old) else { return };
        if parent == other {
            self.rename(parent, Naming::Rename(from, to.clone(), node));
        } else {
            self.rename(other, Naming::Link(to.clone(), node));
            self.rename(parent, Naming::Unlink(from));
        }
        if let Kind::File(file) = &mut self.inodes[node].kind {
            file.name = to;
        }
    }

    fn rename(&mut self, parent: Node, naming: Naming) {
        let order = self.next_change();
        if let Kind::Directory(directory) = &mut self.inodes[parent].kind {
            apply_naming(&mut directory.live, &naming);
            directory.volatile.push((order, naming));
        }
    }

    const fn next_change(&mut self) -> usize {
        self.changes += 1;
        self.changes
    }

    fn synced(&mut self, index: usize, fd: i32, data_only: bool) {
        let reach = self.syncing.remove(&index).unwrap_or(0);
        let Some(open) = self.open.get(&fd) else { return };
        let node = self.descriptions[*open].node;
        match &mut self.inodes[node].kind {
            Kind::File(file) => {
                let sled = self.discount == Discount::Sled && file.name == "db";
                let journal = self.discount == Discount::Journal && file.name.ends_with(".log");
                if data_only && (sled || journal) {
                    return;
                }
                let File { durable, volatile, .. } = file;
                volatile.iter().filter(|(order, _)| *order <= reach).for_each(|(_, change)| apply(durable, change));
                volatile.retain(|(order, _)| *order > reach);
            }
            Kind::Directory(_) if self.discount == Discount::Names => {}
            Kind::Directory(directory) => {
                let Directory { durable, volatile, .. } = directory;
                volatile
                    .iter()
                    .filter(|(order, _)| *order <= reach)
                    .for_each(|(_, naming)| apply_naming(durable, naming));
                volatile.retain(|(order, _)| *order > reach);
            }
        }
    }
}

/// Applies a change of a file's bytes.
pub(crate) fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { at, bytes } => {
            let end = at + bytes.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[*at..end].copy_from_slice(bytes);
        }
        Change::Length(length) => content.resize(*length, 0),
    }
}

/// Applies a change of names.
pub(crate) fn apply_naming(names: &mut Names, naming: &Naming) {
    match naming {
        Naming::Link(name, node) => {
            names.insert(name.clone(), *node);
        }
        Naming::Unlink(name) => {
            names.remove(name);
        }
        Naming::Rename(old, new, node) => {
            if names.get(old) == Some(node) {
                names.remove(old);
            }
            names.insert(new.clone(), *node);
        }
    }
}

#[cfg(test)]
mod tests;
