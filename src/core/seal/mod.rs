//! Sealing: secrets are encrypted, so that readers of the disk or a backup do not get them.
//!
//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha, section 2) with random 24-byte nonces, passed in by the caller. A
//! sealed value is bound to its subject `about` (the associated data), and opens only with it. Several keys may open,
//! one seals: that allows key rotation. Keys are identified by their [`Fingerprint`]; neither a key nor a sealed
//! value is shown.

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
/// Hashed before a key for its fingerprint.
const FINGERPRINT: &[u8] = b"hookswitch key fingerprint v1\0";
/// The beginning of a line that names a lost key.
const LOST: &str = "lost ";

/// Identifies a key without revealing it: the first 8 bytes of a SHA-256. Shown as 16 hexadecimal digits.
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

    /// Parses 16 hexadecimal digits; `None` for anything else.
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

/// A key: 32 bytes, wiped from memory when dropped.
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

/// A sealed value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The key used.
    pub key: Fingerprint,
    /// The nonce.
    pub nonce: [u8; NONCE],
    /// The ciphertext, and the tag of 16 bytes.
    pub text: Vec<u8>,
}

/// Why a value does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unopened {
    /// There is no key with this fingerprint.
    NoKey(Fingerprint),
    /// The key with this fingerprint is declared lost.
    Lost(Fingerprint),
    /// The key exists, but the value was modified or has another subject.
    Damaged,
}

/// A fault of a key file. Never shows its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadKeys {
    /// The line, from 1; `None` for the text as a whole.
    pub line: Option<usize>,
    /// What is wrong, as a sentence without its subject.
    pub fault: String,
}

/// The keys: the first seals, all open. Without keys nothing is sealed.
#[derive(Debug, Default)]
pub struct Keyring {
    keys: Vec<Key>,
    lost: Vec<Fingerprint>,
    from: String,
}

impl Keyring {
    /// Parses a key file: one key per line, 32 bytes in base64. Empty lines and lines that begin with `#` are
    /// ignored; `lost` and a fingerprint declares a key lost. `from` is the file, for messages.
    ///
    /// # Errors
    /// A line is none of these or a duplicate, or there is no key.
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
                return Err(bad("repeats the key of an earlier line"));
            }
            ring.keys.push(key);
        }
        if let Some(both) = ring.lost.iter().find(|lost| ring.key(**lost).is_some()) {
            return Err(BadKeys { line: None, fault: format!("has key {both} and declares it lost") });
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

    /// The sealing key, if there is one.
    pub fn sealing(&self) -> Option<Fingerprint> {
        self.keys.first().map(|key| key.fingerprint)
    }

    /// The fingerprints of the keys, the sealing one first.
    pub fn fingerprints(&self) -> impl Iterator<Item = Fingerprint> {
        self.keys.iter().map(|key| key.fingerprint)
    }

    /// Whether there is such a key, or it is declared lost.
    pub fn answers_for(&self, key: Fingerprint) -> bool {
        self.key(key).is_some() || self.lost.contains(&key)
    }

    fn key(&self, fingerprint: Fingerprint) -> Option<&Key> {
        self.keys.iter().find(|key| key.fingerprint == fingerprint)
    }

    /// Seals `text` with the subject `about`; `None` without keys. A nonce must never be reused: pass random bytes.
    pub fn seal(&self, nonce: [u8; NONCE], about: &[u8], text: &[u8]) -> Option<Sealed> {
        let key = self.keys.first()?;
        let sealed = key.cipher().encrypt(&nonce.into(), Payload { msg: text, aad: about });
        let text = sealed.expect("what is shorter than 256 GiB can be sealed");
        Some(Sealed { key: key.fingerprint, nonce, text })
    }

    /// Opens a value sealed with the subject `about`.
    ///
    /// # Errors
    /// Why it does not open.
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
