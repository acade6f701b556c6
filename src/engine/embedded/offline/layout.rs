//! Writing a new data directory that becomes a valid store only when it is complete.
//!
//! Until then the file `unfinished` exists, and the daemon refuses the directory. `FORMAT` is written last, after the
//! directory was opened once as every start will open it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::core::seal::Fingerprint;
use crate::engine::embedded::backup::TOKEN;
use crate::engine::embedded::frame::Salt;
use crate::engine::embedded::kv::stored_key::{POSITION, prefix};
use crate::engine::embedded::offline::archive::Section;
use crate::engine::embedded::offline::refused::Refused;
use crate::engine::embedded::open::{self, RESTORE_MARKER, UNFINISHED};
use crate::engine::embedded::position::CheckpointPosition;
use crate::engine::embedded::wal::{self, Header, Packing};
use crate::engine::embedded::{durable, marker};
use crate::model::error::u32_of;
use crate::model::key::ValueKind;
use crate::model::record;

/// What an empty directory may contain.
const ALLOWED: [&str; 2] = ["lock", "lost+found"];
const CACHE_BYTES: u64 = 64 << 20;

/// Checks that `dir` does not exist or is empty.
///
/// # Errors
/// It contains something, which is named.
pub fn check_empty(dir: &Path) -> Result<(), Refused> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Refused::Failed(format!("{}: {error}", dir.display()))),
    };
    for entry in entries {
        let name = entry.map_err(|error| Refused::Failed(format!("{}: {error}", dir.display())))?.file_name();
        if !ALLOWED.iter().any(|allowed| name == *allowed) {
            return Err(Refused::Failed(format!(
                "{} is not empty: it holds {}. Nothing was changed in it; name a new or an empty directory",
                dir.display(),
                Path::new(&name).display()
            )));
        }
    }
    Ok(())
}

/// A segment that is being written.
enum Body {
    Plain(File),
    Packed(Packing),
}

/// How many bytes of pairs go into one batch: sled writes larger ones as several buffers.
const BATCH_BYTES: usize = 128 << 10;

/// A data directory that is being written.
pub(crate) struct Layout {
    dir: PathBuf,
    db: sled::Db,
    batch: sled::Batch,
    batch_bytes: usize,
    /// The current segment, with its number and length.
    file: Option<(u32, Body, u64)>,
    /// The salt of the current segment, if new frames are bound to it.
    salt: Option<Salt>,
    position: Option<CheckpointPosition>,
}

impl Layout {
    /// Begins in `dir`, which is empty or does not exist.
    pub(crate) fn begin(dir: &Path) -> Result<Self, Refused> {
        check_empty(dir)?;
        let make = || -> io::Result<()> {
            DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
            durable::replace_file(&dir.join(UNFINISHED), RESTORE_MARKER)?;
            fs::create_dir(dir.join("state"))?;
            fs::create_dir(dir.join("journal"))
        };
        make().map_err(|error| failed(dir, &error))?;
        let db = open::database(&dir.join("state"), CACHE_BYTES).map_err(Refused::Failed)?;
        let dir = dir.to_owned();
        Ok(Self { dir, db, batch: sled::Batch::default(), batch_bytes: 0, file: None, salt: None, position: None })
    }

    /// Writes a section of a backup.
    pub(crate) fn section(&mut self, section: Section<'_>) -> Result<(), Refused> {
        match section {
            Section::About(about) => about.sealed.as_deref().map_or(Ok(()), |key| {
                let key = Fingerprint::parse(key);
                self.sealed(key.ok_or_else(|| Refused::Damaged("it has an invalid key fingerprint".to_owned()))?)
            }),
            Section::Token(text) => self.token(text),
            Section::Pairs(pairs) => pairs.into_iter().try_for_each(|(key, value)| self.pair(key, value)),
            // Verbatim, under the same salts: frames keep their segments and offsets.
            Section::File(header) => self.file(header),
            Section::Frames(bytes) => self.frames(bytes),
            Section::Block(bytes) => self.block(bytes),
        }
    }

    /// Records the key that secrets are sealed with.
    pub(crate) fn sealed(&self, key: Fingerprint) -> Result<(), Refused> {
        marker::mark(&self.dir, key).map_err(|error| failed(&self.dir, &error))
    }

    /// Writes the admin token.
    pub(crate) fn token(&self, text: &[u8]) -> Result<(), Refused> {
        let path = self.dir.join(TOKEN);
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(text)?;
            file.sync_all()
        };
        write().map_err(|error| failed(&path, &error))
    }

    /// Writes a pair of the state.
    pub(crate) fn pair(&mut self, key: &[u8], value: &[u8]) -> Result<(), Refused> {
        if key == POSITION {
            self.position = record::decode(value);
            return Ok(());
        }
        if key == prefix(ValueKind::Counted) {
            // The counts may be of another moment than the rest: the first start counts again.
            return Ok(());
        }
        self.batch.insert(key, value);
        self.batch_bytes += key.len() + value.len();
        if self.batch_bytes >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Refused> {
        self.batch_bytes = 0;
        let written = self.db.apply_batch(std::mem::take(&mut self.batch)).and_then(|()| self.db.flush());
        written.map(drop).map_err(|error| Refused::Failed(format!("{}: {error}", self.dir.join("state").display())))
    }

    /// Begins segment `number`, for [new records](Self::records).
    pub(crate) fn new_file(&mut self, number: u32) -> Result<(), Refused> {
        let (header, salt) = Header::new(number, 0).map_err(|error| failed(&self.dir, &error))?;
        self.file(header)?;
        self.salt = Some(salt);
        Ok(())
    }

    /// Appends frames, newly encoded or copied from another segment, to the current new segment. Each counts as a group
    /// commit, because everything is synced before it is used.
    pub(crate) fn records(&mut self, bytes: &mut [u8]) -> Result<(), Refused> {
        let (_, place) = self.position();
        let mut at = 0;
        while at < bytes.len() {
            let place = place + u32_of(at);
            let length = self.salt.and_then(|salt| salt.bind(&mut bytes[at..], place, place));
            at += length.ok_or_else(|| Refused::Failed("records cannot be written to a copied segment".to_owned()))?;
        }
        self.frames(bytes)
    }

    /// Begins the segment with this header.
    fn file(&mut self, header: Header) -> Result<(), Refused> {
        self.end_file()?;
        self.salt = None;
        let path = wal::file_path(&self.dir.join("journal"), header.number);
        let create = || -> io::Result<Body> {
            let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
            if header.packed.is_some() {
                return Packing::begin(file, header).map(Body::Packed);
            }
            file.write_all(&header.to_bytes())?;
            Ok(Body::Plain(file))
        };
        self.file = Some((header.number, create().map_err(|error| failed(&path, &error))?, u64::from(header.end())));
        Ok(())
    }

    /// Appends frames, unchanged, to the current segment.
    fn frames(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let Some((number, Body::Plain(file), length)) = &mut self.file else {
            return Err(Refused::Damaged("frames precede the first WAL segment".to_owned()));
        };
        *length += bytes.len() as u64;
        let written = file.write_all(bytes);
        written.map_err(|error| failed(&wal::file_path(&self.dir.join("journal"), *number), &error))
    }

    /// Appends a block, unchanged, to the current compressed segment.
    fn block(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let Some((number, Body::Packed(packing), _)) = &mut self.file else {
            return Err(Refused::Damaged("a block does not belong to a compressed WAL segment".to_owned()));
        };
        let written = packing.block(bytes);
        written.map_err(|error| failed(&wal::file_path(&self.dir.join("journal"), *number), &error))
    }

    fn end_file(&mut self) -> Result<(), Refused> {
        let synced = match self.file.take() {
            Some((_, Body::Plain(file), _)) => file.sync_all(),
            Some((_, Body::Packed(packing), _)) => packing.finish(),
            None => Ok(()),
        };
        synced.map_err(|error| failed(&self.dir.join("journal"), &error))
    }

    /// The position of the next frame.
    pub(crate) fn position(&self) -> (u32, u32) {
        let length = |length: u64| u32::try_from(length).unwrap_or(u32::MAX);
        self.file.as_ref().map_or((1, 0), |(number, _, bytes)| (*number, length(*bytes)))
    }

    /// Sets the checkpoint position of the state.
    pub(crate) const fn set_applied(&mut self, position: CheckpointPosition) {
        self.position = Some(position);
    }

    /// Completes the directory: from here on it is a store.
    pub(crate) fn finish(mut self) -> Result<(), Refused> {
        self.end_file()?;
        let path = self.dir.join("journal");
        let numbers = wal::numbers_in(&path).map_err(|error| Refused::Failed(error.to_string()))?;
        let noted = numbers.first().map_or(Ok(()), |first| wal::note_first(&path, *first));
        noted.and_then(|()| durable::sync_dir(&path)).map_err(|error| failed(&path, &error))?;
        let position = self
            .position
            .ok_or_else(|| Refused::Damaged("it does not record the checkpoint position of its state".to_owned()))?;
        self.batch.insert(POSITION, record::encode(&position));
        self.flush()?;
        let Self { dir, db, .. } = self;
        drop(db);
        open::complete(&dir, CACHE_BYTES).map_err(|error| Refused::Failed(error.to_string()))
    }
}

fn failed(path: &Path, error: &io::Error) -> Refused {
    Refused::Failed(format!("{}: {error}; what was written is not a store: remove it and begin again", path.display()))
}
