//! Frames: how a record stands in a journal file, to the byte.
//!
//! ```text
//! offset  bytes  what
//!      0      4  "HSwF"
//!      4      4  length of the payload
//!      8      4  CRC-32 (ISO-HDLC) of bytes 12 to the end of the payload
//!     12      1  version of the payload's record (1)
//!     13      1  kind of the record
//!     14      1  1 if the next frame belongs to the same step, else 0
//!     15      1  0
//!     16      8  number of the group commit that wrote it
//!     24     16  id of the event or log entry in it; 0 if it has none
//!     40         payload: the record in bincode 2, standard configuration
//! ```
//! All numbers little-endian. Knows bytes only, no files and no records. What it hands out has
//! passed its checksum.

/// Bytes ahead of the payload.
pub(super) const HEADER: usize = 40;
const MAGIC: [u8; 4] = *b"HSwF";
/// The largest payload: a posted body of 64 MiB and what surrounds it.
const MAX_PAYLOAD: usize = 80 << 20;

/// The part of a frame that is not its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) version: u8,
    pub(super) kind: u8,
    /// Whether the next frame belongs to the same step.
    pub(super) continues: bool,
    /// The number of the group commit that wrote it.
    pub(super) batch: u64,
    /// Id bits of what is in it; 0 if it has none.
    pub(super) id: u128,
}

/// Why there is no frame at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoFrame {
    /// The bytes end before the frame does; this many are needed.
    Short(usize),
    /// It is not a frame, or its checksum does not fit.
    Bad,
}

/// Appends a frame to `out`.
pub(super) fn encode(out: &mut Vec<u8>, head: Head, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&[head.version, head.kind, u8::from(head.continues), 0]);
    out.extend_from_slice(&head.batch.to_le_bytes());
    out.extend_from_slice(&head.id.to_le_bytes());
    payload(out);
    let length = u32::try_from(out.len() - start - HEADER).unwrap_or(u32::MAX);
    out[start + 4..start + 8].copy_from_slice(&length.to_le_bytes());
    let crc = crc32fast::hash(&out[start + 12..]);
    out[start + 8..start + 12].copy_from_slice(&crc.to_le_bytes());
}

/// The header and the whole length of the frame that `bytes` begin with, without its checksum.
pub(super) fn peek(bytes: &[u8]) -> Result<(Head, usize), NoFrame> {
    let header = bytes.first_chunk::<HEADER>().ok_or(NoFrame::Short(HEADER))?;
    let length = u32::from_le_bytes(part(header, 4)) as usize;
    if header[..4] != MAGIC || length > MAX_PAYLOAD {
        return Err(NoFrame::Bad);
    }
    let head = Head {
        version: header[12],
        kind: header[13],
        continues: header[14] == 1,
        batch: u64::from_le_bytes(part(header, 16)),
        id: u128::from_le_bytes(part(header, 24)),
    };
    Ok((head, HEADER + length))
}

/// The frame that `bytes` begin with: header, payload, and its whole length.
pub(super) fn decode(bytes: &[u8]) -> Result<(Head, &[u8], usize), NoFrame> {
    let (head, length) = peek(bytes)?;
    let frame = bytes.get(..length).ok_or(NoFrame::Short(length))?;
    let crc = u32::from_le_bytes(part(frame, 8));
    if crc32fast::hash(&frame[12..]) != crc {
        return Err(NoFrame::Bad);
    }
    Ok((head, &frame[HEADER..], length))
}

/// The first place in `bytes` where a whole frame stands for which `wanted` holds.
pub(super) fn find(bytes: &[u8], wanted: impl Fn(Head) -> bool) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes[from..].windows(MAGIC.len()).position(|window| window == MAGIC) {
        let place = from + at;
        if decode(&bytes[place..]).is_ok_and(|(head, ..)| wanted(head)) {
            return Some(place);
        }
        from = place + 1;
    }
    None
}

/// How many of these bytes, the last of a journal file, somebody may have written: what follows is room, made of zeros.
pub(super) fn written(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

fn part<const N: usize>(bytes: &[u8], from: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[from..from + N]);
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(batch: u64) -> Vec<u8> {
        let mut out = Vec::new();
        let head = Head { version: 1, kind: 2, continues: false, batch, id: 77 };
        encode(&mut out, head, |out| out.extend_from_slice(b"hello"));
        out
    }

    #[test]
    fn a_frame_reads_back_and_no_single_flipped_bit_does() {
        let frame = sample(9);
        let (head, payload, length) = decode(&frame).unwrap();
        assert_eq!((head.batch, head.id, payload, length), (9, 77, &b"hello"[..], frame.len()));
        for bit in 0..frame.len() * 8 {
            let mut bent = frame.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bent).is_err(), "bit {bit}");
        }
        for cut in 0..frame.len() {
            assert!(matches!(decode(&frame[..cut]), Err(NoFrame::Short(_))), "cut at {cut}");
        }
    }

    #[test]
    fn a_later_frame_is_found_behind_rubbish() {
        let mut bytes = b"HSwF rubbish HSw".to_vec();
        let place = bytes.len();
        bytes.extend(sample(3));
        assert_eq!(find(&bytes, |head| head.batch == 3), Some(place));
        assert_eq!(find(&bytes, |head| head.batch > 3), None);
    }
}
