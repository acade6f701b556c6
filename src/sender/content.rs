//! Decodes a response's body for the log (RFC 9110 section 8.4).
//!
//! Hookswitch never requests an encoding, but some receivers encode anyway; the log keeps readable text. Invariant:
//! the output never exceeds what is kept of a body, whatever the compression ratio.

use std::io::Read;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use crate::core::attempt::Answer;

/// Maximum number of encodings undone.
const LAYERS_MOST: usize = 3;

/// The beginning of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Content {
    /// At most [`Answer::BODY_KEPT`] bytes.
    pub(super) bytes: Vec<u8>,
    /// Whether there was more.
    pub(super) truncated: bool,
    /// What is wrong with the encoding.
    pub(super) note: Option<&'static str>,
}

/// Decodes a body that begins with `bytes` by `encoding` (the value of Content-Encoding); `truncated` if that is not
/// all of it. An unknown encoding is left as it is.
pub(super) fn decoded(encoding: &str, bytes: Vec<u8>, truncated: bool) -> Content {
    let mut content = Content { bytes, truncated, note: None };
    // The last coding listed was applied last.
    for coding in encoding.rsplit(',').map(|coding| coding.trim().to_ascii_lowercase()).take(LAYERS_MOST) {
        let unpacked = match coding.as_str() {
            "" | "identity" => continue,
            _ if content.bytes.is_empty() => return content,
            "gzip" | "x-gzip" => unpack(MultiGzDecoder::new(content.bytes.as_slice())),
            // With zlib's frame as standardised, and without as some send it.
            "deflate" => {
                let framed = unpack(ZlibDecoder::new(content.bytes.as_slice()));
                if framed.bytes.is_empty() { unpack(DeflateDecoder::new(content.bytes.as_slice())) } else { framed }
            }
            _ => return content,
        };
        if unpacked.failed && unpacked.bytes.is_empty() {
            // Kept as received.
            content.note = Some("its body does not match its Content-Encoding");
            return content;
        }
        if unpacked.failed && !content.truncated {
            content.note = Some("its encoded body is not complete");
        }
        content.truncated |= unpacked.more;
        content.bytes = unpacked.bytes;
    }
    content
}

struct Unpacked {
    bytes: Vec<u8>,
    more: bool,
    failed: bool,
}

fn unpack(mut reader: impl Read) -> Unpacked {
    let mut bytes = Vec::new();
    let mut piece = [0; 1024];
    let (mut more, mut failed) = (false, false);
    loop {
        match reader.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => {
                let room = Answer::BODY_KEPT - bytes.len();
                bytes.extend_from_slice(&piece[..count.min(room)]);
                more = count > room;
            }
            Err(_) => failed = true,
        }
        if more || failed {
            break;
        }
    }
    Unpacked { bytes, more, failed }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(text: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn raw(text: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn compressed_bodies_are_readable() {
        let text = b"{\"ok\":true}".repeat(9);
        let twice = [gzip(b"one "), gzip(b"two")].concat();
        for (encoding, packed, wanted) in [
            ("gzip", gzip(&text), text.clone()),
            ("X-GZIP", gzip(&text), text.clone()),
            ("deflate", zlib(&text), text.clone()),
            ("deflate", raw(&text), text.clone()),
            ("deflate, gzip", gzip(&zlib(&text)), text.clone()),
            ("gzip", twice, b"one two".to_vec()),
            ("identity", text.clone(), text.clone()),
            ("", text.clone(), text.clone()),
            ("br", text.clone(), text.clone()),
            ("gzip", Vec::new(), Vec::new()),
        ] {
            assert_eq!(
                decoded(encoding, packed, false),
                Content { bytes: wanted, truncated: false, note: None },
                "{encoding}"
            );
        }
    }

    #[test]
    fn a_little_that_unpacks_to_a_lot_is_cut() {
        let bomb = gzip(&vec![b'a'; 64 << 20]);
        assert!(bomb.len() > Answer::BODY_KEPT);
        for (bytes, truncated) in [(bomb[..Answer::BODY_KEPT].to_vec(), true), (gzip(&vec![b'a'; 1 << 20]), false)] {
            let content = decoded("gzip", bytes, truncated);
            assert_eq!((content.bytes.len(), content.truncated, content.note), (Answer::BODY_KEPT, true, None));
        }
        let layers = decoded("gzip, gzip, gzip, gzip", gzip(&gzip(&gzip(&gzip(b"deep")))), false);
        assert_eq!(layers.bytes, gzip(b"deep"));
    }

    #[test]
    fn broken_bodies_are_shown_as_far_as_they_go_with_a_note() {
        let text: Vec<u8> = (0..4000_u32).flat_map(|n| n.to_string().into_bytes()).collect();
        let packed = gzip(&text);
        let half = decoded("gzip", packed[..packed.len() / 2].to_vec(), false);
        assert!(!half.bytes.is_empty() && text.starts_with(&half.bytes));
        assert_eq!(half.note, Some("its encoded body is not complete"));
        let plain = decoded("gzip", b"not packed at all".to_vec(), false);
        assert_eq!(plain.bytes, b"not packed at all");
        assert_eq!(plain.note, Some("its body does not match its Content-Encoding"));
    }
}
