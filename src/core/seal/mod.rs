//! Sealing: secrets encrypted, so that whoever reads the disk or a backup does not read them.
//!
//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha, section 2) with random nonces of 24 bytes, which are handed in. What
//! is sealed is bound to what it is `about` (the associated data), so that it opens nowhere else. Several keys may
//! open, one seals: that is how a key is exchanged. A key is spoken of by its [`Fingerprint`]; nothing here shows the
//! key itself, or what was sealed.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Bytes of a nonce.
pub const NONCE: usize = 24;
/// Bytes of a key.
const KEY: usize = 32;
/// What is hashed ahead of a key for its fingerprint.
const FINGERPRINT: &[u8] = b"hookswitch key fingerprint v1\0";
/// How a line begins that names a key which is lost.
const LOST: &str = "lost ";

/// Names a key without giving it away: the first 8 bytes of a SHA-256. Shown as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 8]);

impl Fingerprint {
    /// The fingerprint with these bytes.
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn bytes(self) -> [u8; 8] {
        self.0
    }

    /// Reads 16 hexadecimal digits; `None` if it is something else.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bits = u64::from_str_radix(text, 16).ok().filter(|_| digits)?;
        Some(Self(bits.to_be_bytes()))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A key: 32 bytes. Wiped from memory when it is dropped.
struct Key {
    bytes: Zeroizing<[u8; KEY]>,
    fingerprint: Fingerprint,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[key {}]", self.fingerprint)
    }
}

impl Key {
    fn new(bytes: Zeroizing<[u8; KEY]>) -> Self {
        let hash = Sha256::new().chain_update(FINGERPRINT).chain_update(bytes.as_slice()).finalize();
        let mut fingerprint = [0; 8];
        fingerprint.copy_from_slice(&hash[..8]);
        Self { bytes, fingerprint: Fingerprint(fingerprint) }
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        let bytes: &[u8; KEY] = &self.bytes;
        XChaCha20Poly1305::new(bytes.into())
    }
}

/// Something sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The key that it was sealed with.
    pub key: Fingerprint,
    /// The nonce.
    pub nonce: [u8; NONCE],
    /// What was sealed, encrypted, and the tag of 16 bytes.
    pub text: Vec<u8>,
}

/// Why something does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unopened {
    /// There is no key with this fingerprint.
    NoKey(Fingerprint),
    /// The key with this fingerprint is said to be lost.
    Lost(Fingerprint),
    /// The key is there: it was changed since, or was sealed about something else.
    Damaged,
}

/// What is wrong with the text of a key file. Never shows what stands in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadKeys {
    /// The line, from 1; `None` if it is the text as a whole.
    pub line: Option<usize>,
    /// What is wrong, as a sentence without its subject.
    pub fault: String,
}

/// The keys: the first seals, all of them open. Without any nothing is sealed.
#[derive(Debug, Default)]
pub struct Keyring {
    keys: Vec<Key>,
    lost: Vec<Fingerprint>,
    from: String,
}

impl Keyring {
    /// Reads the text of a key file: a key a line, 32 bytes in base64. Empty lines and such that begin with `#` say
    /// nothing; `lost` and a fingerprint is of a key that nobody has any more. `from` is where it was read, for
    /// messages.
    ///
    /// # Errors
    /// A line is none of these, stands twice, or there is no key.
    pub fn parse(from: impl Into<String>, text: &str) -> Result<Self, BadKeys> {
        let mut ring = Self { from: from.into(), ..Self::default() };
        for (number, line) in text.lines().enumerate() {
            let bad = |fault: &str| BadKeys { line: Some(number + 1), fault: fault.to_owned() };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(lost) = line.strip_prefix(LOST) {
                let lost = Fingerprint::parse(lost.trim());
                ring.lost.push(lost.ok_or_else(|| bad("has no fingerprint (16 hexadecimal digits) behind `lost`"))?);
                continue;
            }
            let decoded = STANDARD.decode(line).map(Zeroizing::new);
            let decoded = decoded.map_err(|_| bad("is not the base64 of a key"))?;
            let bytes: [u8; KEY] = decoded
                .as_slice()
                .try_into()
                .map_err(|_| bad(&format!("has the base64 of {} bytes, and a key has {KEY}", decoded.len())))?;
            let key = Key::new(Zeroizing::new(bytes));
            if ring.key(key.fingerprint).is_some() {
                return Err(bad("has a key that stands on a line before, too"));
            }
            ring.keys.push(key);
        }
        if let Some(both) = ring.lost.iter().find(|lost| ring.key(**lost).is_some()) {
            return Err(BadKeys { line: None, fault: format!("has key {both} and says that it is lost") });
        }
        if ring.keys.is_empty() {
            return Err(BadKeys { line: None, fault: "has no key".to_owned() });
        }
        Ok(ring)
    }

    /// Where the keys were read.
    pub fn from(&self) -> &str {
        &self.from
    }

    /// The key that seals, if there is one.
    pub fn sealing(&self) -> Option<Fingerprint> {
        self.keys.first().map(|key| key.fingerprint)
    }

    /// The fingerprints of the keys, that of the one that seals first.
    pub fn fingerprints(&self) -> impl Iterator<Item = Fingerprint> {
        self.keys.iter().map(|key| key.fingerprint)
    }

    /// Whether there is such a key, or it is said to be lost.
    pub fn answers_for(&self, key: Fingerprint) -> bool {
        self.key(key).is_some() || self.lost.contains(&key)
    }

    fn key(&self, fingerprint: Fingerprint) -> Option<&Key> {
        self.keys.iter().find(|key| key.fingerprint == fingerprint)
    }

    /// Seals `text`, which is `about` something; `None` if there is no key. No nonce may be used twice: random bytes.
    pub fn seal(&self, nonce: [u8; NONCE], about: &[u8], text: &[u8]) -> Option<Sealed> {
        let key = self.keys.first()?;
        let sealed = key.cipher().encrypt(&nonce.into(), Payload { msg: text, aad: about });
        let text = sealed.expect("what is shorter than 256 GiB can be sealed");
        Some(Sealed { key: key.fingerprint, nonce, text })
    }

    /// Opens what was sealed `about` this.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub fn open(&self, about: &[u8], sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let Some(key) = self.key(sealed.key) else {
            let lost = self.lost.contains(&sealed.key);
            return Err(if lost { Unopened::Lost(sealed.key) } else { Unopened::NoKey(sealed.key) });
        };
        let opened = key.cipher().decrypt(&sealed.nonce.into(), Payload { msg: &sealed.text, aad: about });
        opened.map(Zeroizing::new).map_err(|_| Unopened::Damaged)
    }
}

#[cfg(test)]
mod tests;
