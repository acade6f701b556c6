//! Parses strace's output: which system calls were made, in which order they began and ended, with every byte
//! written.
//!
//! Knows the text format of `strace -f -xx` (6.x) and nothing about files. Texts are all `\x` escapes, so they
//! contain neither quotes nor brackets. A call overtaken by another thread's takes two lines, `<unfinished ...>` and
//! `resumed`.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

/// Where a name is resolved: in an open directory, or from the root.
pub(crate) type From = Option<i32>;

/// The effect of a system call on files, or data sent to a peer.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    Open { from: From, path: PathBuf, create: bool, truncate: bool, append: bool, mode: u32 },
    Close { fd: i32 },
    Duplicate { fd: i32 },
    Write { fd: i32, at: Option<u64>, bytes: Vec<u8> },
    Copy { source: i32, target: i32 },
    Sync { fd: i32, data_only: bool },
    SetLength { fd: i32, length: u64 },
    SetMode { fd: i32, mode: u32 },
    Rename { old: PathBuf, new: PathBuf },
    Remove { from: From, path: PathBuf },
    MakeDir { from: From, path: PathBuf, mode: u32 },
    Send { bytes: Vec<u8> },
}

/// A call and its result: `None` if the process ended before.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) deed: Deed,
    pub(crate) result: Option<i64>,
}

/// One position in the order of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Begin(usize),
    End(usize),
}

/// The calls of a process, and their order. A cut may follow any moment.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    pub(crate) calls: Vec<Call>,
    pub(crate) moments: Vec<Moment>,
}

/// The calls to record, for `strace -e trace=`. Those unknown to [`deed`] are listed to be refused: nothing the model
/// would miss may happen unnoticed.
pub(crate) const TRACED: &str = "open,creat,openat,openat2,close,dup,dup2,dup3,fcntl,write,pwrite64,writev,pwritev,pwritev2,\
    copy_file_range,sendfile,splice,fsync,fdatasync,sync,syncfs,sync_file_range,msync,ftruncate,truncate,fallocate,fchmod,\
    rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,link,linkat,symlink,symlinkat,sendto,sendmsg";

impl Trace {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut trace = Self::default();
        let mut open: HashMap<&str, (usize, &str)> = HashMap::new();
        for line in text.lines() {
            let (process, rest) = line.split_once(' ').ok_or_else(|| strange(line))?;
            let rest = rest.trim_start();
            // `???`: the process was killed at the entry of a call, before strace could read which.
            if ["+++", "---", "???", "<... ???"].iter().any(|sign| rest.starts_with(sign)) {
                continue;
            }
            if let Some(begun) = rest.strip_suffix("<unfinished ...>") {
                open.insert(process, (trace.reserve(), begun));
            } else if rest.starts_with("<... ") {
                let (index, begun) = open.remove(process).ok_or_else(|| strange(line))?;
                let ended = rest.split_once(" resumed>").ok_or_else(|| strange(line))?.1;
                trace.calls[index] = call(&format!("{begun}{ended}"))?;
                trace.moments.push(Moment::End(index));
            } else {
                let index = trace.reserve();
                trace.calls[index] = call(rest)?;
                trace.moments.push(Moment::End(index));
            }
        }
        for (index, begun) in open.into_values() {
            trace.calls[index] = call(begun)?;
        }
        Ok(trace)
    }

    fn reserve(&mut self) -> usize {
        let index = self.calls.len();
        self.calls.push(Call { deed: Deed::Send { bytes: Vec::new() }, result: None });
        self.moments.push(Moment::Begin(index));
        index
    }
}

fn strange(line: &str) -> String {
    format!("strace wrote a line that is not understood: {}", line.chars().take(200).collect::<String>())
}

/// The arguments of a call: words verbatim, texts decoded.
#[derive(Default)]
struct Arguments {
    words: Vec<String>,
    texts: Vec<Vec<u8>>,
}

impl Arguments {
    fn number(&self, index: usize) -> Option<i64> {
        let word = self.words.get(index)?;
        match word.strip_prefix('0').filter(|octal| !octal.is_empty()) {
            Some(octal) => i64::from_str_radix(octal, 8).ok(),
            None => word.parse().ok(),
        }
    }

    fn fd(&self, index: usize) -> Option<i32> {
        self.number(index).and_then(|number| i32::try_from(number).ok())
    }

    fn from(&self, index: usize) -> From {
        self.fd(index)
    }

    fn path(&mut self, index: usize) -> Option<PathBuf> {
        self.texts.get_mut(index).map(|text| OsString::from_vec(std::mem::take(text)).into())
    }

    fn mode(&self, index: usize) -> u32 {
        self.number(index).and_then(|mode| u32::try_from(mode).ok()).unwrap_or(0)
    }

    fn joined(self) -> Vec<u8> {
        self.texts.concat()
    }

    fn says(&self, index: usize, flag: &str) -> bool {
        self.words.get(index).is_some_and(|word| word.split('|').any(|set| set == flag))
    }
}

/// Parses `name(arguments) = result`; what follows the arguments may be missing.
fn call(text: &str) -> Result<Call, String> {
    let (name, rest) = text.split_once('(').ok_or_else(|| strange(text))?;
    let (arguments, result) = arguments(rest).ok_or_else(|| strange(text))?;
    let deed = deed(name, arguments).ok_or_else(|| strange(text))?;
    Ok(Call { deed, result })
}

fn arguments(text: &str) -> Option<(Arguments, Option<i64>)> {
    let mut found = Arguments::default();
    let mut word = String::new();
    let mut depth = 0;
    let mut at = 0;
    while let Some(next) = text[at..].find(['"', ',', ')', '(', '[', ']', '{', '}']) {
        word += text[at..at + next].trim();
        at += next + 1;
        match text.as_bytes()[at - 1] {
            b'"' => {
                let length = text[at..].find('"')?;
                found.texts.push(unescaped(&text[at..at + length])?);
                at += length + 1;
                if text[at..].starts_with("...") {
                    return None; // Cut short: a longer `-s` is needed.
                }
            }
            b',' if depth == 0 => found.words.push(std::mem::take(&mut word)),
            b',' => {}
            b'(' | b'[' | b'{' => depth += 1,
            b')' if depth == 0 => {
                found.words.push(word);
                let result = text[at..].trim_start().strip_prefix("= ").and_then(|rest| rest.split(' ').next());
                return Some((found, result.and_then(|result| result.parse().ok())));
            }
            _ => depth -= 1,
        }
    }
    found.words.push(word + text[at..].trim());
    Some((found, None))
}

/// The bytes of `\x41\x42`.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks_exact(4);
    pairs.map(|escape| Some(digit(escape[2])? << 4 | digit(escape[3])?)).collect()
}

/// An open call whose flags are in the argument `flags`.
fn opened(from: Option<i32>, arguments: &mut Arguments, flags: usize) -> Option<Deed> {
    Some(Deed::Open {
        from,
        path: arguments.path(0)?,
        create: arguments.says(flags, "O_CREAT"),
        truncate: arguments.says(flags, "O_TRUNC"),
        append: arguments.says(flags, "O_APPEND"),
        mode: arguments.mode(flags + 1),
    })
}

/// The effect of a call; `None` for one that the model does not know.
fn deed(name: &str, mut arguments: Arguments) -> Option<Deed> {
    let fd = arguments.fd(0);
    Some(match name {
        "openat" => opened(arguments.from(0), &mut arguments, 2)?,
        // jemalloc's, of /proc, with the older call.
        "open" => opened(None, &mut arguments, 1)?,
        "close" => Deed::Close { fd: fd? },
        "dup" => Deed::Duplicate { fd: fd? },
        "fcntl" if arguments.words.get(1).is_some_and(|command| command.starts_with("F_DUPFD")) => {
            Deed::Duplicate { fd: fd? }
        }
        "fcntl" => Deed::Send { bytes: Vec::new() },
        "write" | "writev" => Deed::Write { fd: fd?, at: None, bytes: arguments.joined() },
        "pwrite64" => Deed::Write {
            fd: fd?,
            at: arguments.number(3).and_then(|at| u64::try_from(at).ok()),
            bytes: arguments.joined(),
        },
        "copy_file_range" if arguments.words.get(1)? == "NULL" && arguments.words.get(3)? == "NULL" => {
            Deed::Copy { source: fd?, target: arguments.fd(2)? }
        }
        "fsync" => Deed::Sync { fd: fd?, data_only: false },
        "fdatasync" => Deed::Sync { fd: fd?, data_only: true },
        // It guarantees nothing.
        "sync_file_range" => Deed::Send { bytes: Vec::new() },
        "ftruncate" => Deed::SetLength { fd: fd?, length: u64::try_from(arguments.number(1)?).ok()? },
        "fchmod" => Deed::SetMode { fd: fd?, mode: arguments.mode(1) },
        "rename" => Deed::Rename { old: arguments.path(0)?, new: arguments.path(1)? },
        "unlink" | "rmdir" => Deed::Remove { from: None, path: arguments.path(0)? },
        "unlinkat" => Deed::Remove { from: arguments.from(0), path: arguments.path(0)? },
        "mkdir" => Deed::MakeDir { from: None, path: arguments.path(0)?, mode: arguments.mode(1) },
        "mkdirat" => Deed::MakeDir { from: arguments.from(0), path: arguments.path(0)?, mode: arguments.mode(2) },
        "sendto" | "sendmsg" => Deed::Send { bytes: arguments.joined() },
        _ => return None,
    })
}

#[test]
fn calls_are_read_with_their_bytes_and_their_order() {
    let text = r#"7  openat(AT_FDCWD, "\x2f\x61", O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0600) = 5
8  fdatasync(5 <unfinished ...>
7  pwrite64(5, "\x41\x22", 2, 4096) = 2
8  <... fdatasync resumed>)              = 0
7  writev(9, [{iov_base="\x48", iov_len=1}, {iov_base="\x54\x54", iov_len=2}], 2) = 3
7  unlinkat(5, "\x62", AT_REMOVEDIR) = -1 ENOENT (No such file or directory)
7  write(5, "\x43" <unfinished ...>
8 +++ killed by SIGKILL +++
"#;
    let trace = Trace::parse(text).unwrap();
    let shown: Vec<String> = trace.calls.iter().map(|call| format!("{:?} {:?}", call.deed, call.result)).collect();
    let wanted = [
        r#"Open { from: None, path: "/a", create: true, truncate: true, append: false, mode: 384 } Some(5)"#,
        "Sync { fd: 5, data_only: true } Some(0)",
        "Write { fd: 5, at: Some(4096), bytes: [65, 34] } Some(2)",
        "Write { fd: 9, at: None, bytes: [72, 84, 84] } Some(3)",
        r#"Remove { from: Some(5), path: "b" } Some(-1)"#,
        "Write { fd: 5, at: None, bytes: [67] } None",
    ];
    assert_eq!(shown, wanted);
    use Moment::{Begin, End};
    assert_eq!(trace.moments[..8], [Begin(0), End(0), Begin(1), Begin(2), End(2), End(1), Begin(3), End(3)]);
    assert!(Trace::parse("7  pwritev2(5, ...) = 3\n").is_err(), "a call that the model does not know is refused");
    assert!(Trace::parse("7  write(5, \"\\x41\"..., 9) = 9\n").is_err(), "bytes that are missing are noticed");
}
