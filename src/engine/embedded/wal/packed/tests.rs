use proptest::prelude::*;

use super::*;

fn header(end: u32) -> Header {
    Header { packed: Some(end), ..Header::new(7, 9).unwrap().0 }
}

/// A compressed segment with `bytes` behind its header.
fn packed(bytes: &[u8]) -> (Shape, Vec<u8>) {
    let header = Header { packed: None, ..header(HEADER + 1) };
    let file = pack_file(&[&header.to_bytes()[..], bytes].concat());
    let shape = Shape::of(Header::read(&file).unwrap()).unwrap();
    (shape, file)
}

/// The content of a segment, or the byte at which it is damaged.
fn read(shape: Shape, file: &[u8]) -> Result<Vec<u8>, u64> {
    let length = file.len() as u64;
    let all = || {
        shape.check(file, length)?;
        let mut bytes = Vec::new();
        for block in 0..shape.blocks() {
            bytes.extend(shape.read(file, block)?);
        }
        Ok(bytes)
    };
    all().map_err(|fault: BlockError| fault.byte)
}

/// Partly compressible bytes: runs of words, and noise.
fn some_bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut noise = seed | 1;
    let mut bytes = Vec::new();
    while bytes.len() < length {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match noise >> 62 {
            0 => bytes.extend_from_slice(&noise.to_le_bytes().repeat(3)),
            1 => bytes.extend_from_slice(&(noise ^ noise << 13).to_le_bytes()),
            _ => bytes.extend_from_slice(b"missed call from the widget "),
        }
    }
    bytes.truncate(length);
    bytes
}

#[test]
fn content_round_trips_at_every_length_around_a_block() {
    let block = BLOCK as usize;
    for length in [1, 2, 100, block - 1, block, block + 1, 2 * block, 2 * block + 77, 5 * block + 1] {
        for bytes in [some_bytes(length, length as u64), vec![0; length]] {
            let (shape, file) = packed(&bytes);
            assert_eq!(shape.end() as usize, HEADER as usize + length);
            assert_eq!(read(shape, &file), Ok(bytes), "{length}");
        }
    }
}

#[test]
fn incompressible_content_is_stored_verbatim() {
    let mut bytes = vec![0; 100_000];
    getrandom::fill(&mut bytes).unwrap();
    let (shape, file) = packed(&bytes);
    assert_eq!(file.len() as u64, u64::from(HEADER) + bytes.len() as u64 + 2 * 2 * ENTRY);
    assert_eq!(read(shape, &file), Ok(bytes));
}

/// Whether verify would find no fault in header, blocks and tables.
fn is_sound(shape: Shape, file: &[u8]) -> bool {
    let length = file.len() as u64;
    let tables = || (0..shape.blocks()).all(|block| shape.tables_agree(file, length, block).is_ok());
    Header::read(file).is_ok_and(|header| Shape::of(header) == Some(shape)) && read(shape, file).is_ok() && tables()
}

#[test]
fn every_flipped_byte_is_detected_and_located() {
    let bytes = some_bytes(BLOCK as usize + 3_000, 5);
    let (shape, file) = packed(&bytes);
    assert!(is_sound(shape, &file));
    let first = u32::try_from(shape.byte_of(&file[..], 1)).unwrap() as usize;
    // All bytes of the header, the tables and the short block, and many of the first block.
    let dense = (0..2_000).chain(first..file.len());
    for byte in dense.chain((2_000..first).step_by(7)) {
        let mut bent = file.clone();
        bent[byte] ^= 1 << (byte % 8);
        assert!(!is_sound(shape, &bent), "byte {byte}");
        let wanted = shape.byte_of(&file[..], u32::from(byte >= first));
        if byte >= shape.first() as usize && byte < file.len() - shape.table() as usize {
            assert_eq!(read(shape, &bent), Err(wanted), "byte {byte}");
        }
        // One flipped byte leaves the other block readable, and one in a table leaves both.
        let length = bent.len() as u64;
        let left = [0, 1].map(|block| shape.read_lenient(&bent[..], length, block).is_ok());
        let in_table = byte < shape.first() as usize || byte >= file.len() - shape.table() as usize;
        assert!(left == [true; 2] || (!in_table && left == [byte >= first, byte < first]), "byte {byte}: {left:?}");
    }
}

#[test]
fn a_truncated_or_extended_segment_is_damaged() {
    let (shape, file) = packed(&some_bytes(BLOCK as usize + 500, 3));
    for length in 0..file.len() {
        assert!(read(shape, &file[..length]).is_err(), "{length}");
    }
    assert!(read(shape, &[&file[..], b"x"].concat()).is_err());
}

#[test]
fn a_block_is_written_only_within_the_layout() {
    let dir = tempfile::tempdir().unwrap();
    let file = || File::create(dir.path().join("packed")).unwrap();
    assert!(Packing::begin(file(), Header::new(1, 1).unwrap().0).is_err(), "not compressed");
    let begin = || Packing::begin(file(), header(HEADER + 10)).unwrap();
    assert!(begin().finish().is_err(), "a block is missing");
    assert!(begin().block(&[]).is_err() && begin().block(&[0; 11]).is_err());
    let mut packing = begin();
    packing.block(&[1; 10]).unwrap();
    assert!(packing.block(&[1]).is_err(), "there is no further block");
    packing.finish().unwrap();
}

/// A hostile file: the given blocks, with valid checksums.
fn made(end: u32, blocks: &[&[u8]]) -> (Shape, Vec<u8>) {
    let (mut table, mut behind) = (Vec::new(), 0u32);
    for block in blocks {
        behind += u32_of(block.len());
        table.extend_from_slice(&behind.to_le_bytes());
        table.extend_from_slice(&crc32fast::hash(block).to_le_bytes());
    }
    let file = [&header(end).to_bytes()[..], &table, &blocks.concat(), &table].concat();
    (Shape::of(header(end)).unwrap(), file)
}

#[test]
fn a_block_never_decompresses_to_more_than_its_range() {
    let bomb = zstd::bulk::compress(&vec![0; 1 << 30], 1).unwrap();
    assert!(bomb.len() < BLOCK as usize, "{}", bomb.len());
    let mut two = zstd::bulk::compress(&[0; BLOCK as usize], 1).unwrap();
    two.extend_from_within(..);
    let short = zstd::bulk::compress(&[0; BLOCK as usize - 1], 1).unwrap();
    for (name, block) in [("a bomb", &bomb[..]), ("two frames", &two), ("too short", &short), ("none", b"garbage")] {
        let (shape, file) = made(HEADER + BLOCK, &[block]);
        assert_eq!(read(shape, &file), Err(u64::from(HEADER) + ENTRY), "{name}");
        assert_eq!(shape.unpack(0, block.to_vec()), None, "{name}");
    }
}

#[test]
fn a_file_that_claims_to_be_huge_is_refused() {
    // 4 GiB of nothing, of which the table alone would take half a megabyte.
    let shape = Shape::of(header(u32::MAX)).unwrap();
    let file = header(u32::MAX).to_bytes();
    assert_eq!(shape.check(&file[..], file.len() as u64).unwrap_err().byte, 1024 + u64::from(shape.blocks() - 1) * 8);
    assert!(shape.read(&file[..], 0).is_err() && shape.read(&file[..], shape.blocks() - 1).is_err());
    assert_eq!(shape.offsets_of(shape.blocks()).len(), 0, "there is no such block");
    // Entries that go backwards, are empty, or exceed their range.
    for (begin, end) in [(5u32, 4u32), (5, 5), (0, BLOCK + 1), (0, u32::MAX)] {
        let (shape, mut file) = made(HEADER + 2 * BLOCK, &[b"1", b"2"]);
        file[1024..1028].copy_from_slice(&begin.to_le_bytes());
        file[1032..1036].copy_from_slice(&end.to_le_bytes());
        assert_eq!(shape.read(&file[..], 1).unwrap_err().byte, 1032, "{begin} {end}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_round_trip(length in 1usize..200_000, seed in any::<u64>()) {
        let bytes = some_bytes(length, seed);
        let (shape, file) = packed(&bytes);
        prop_assert_eq!(read(shape, &file), Ok(bytes));
    }

    /// Reading any file ends and does no harm.
    #[test]
    fn any_file_can_be_read(
        end in 1025u32..400_000,
        file in proptest::collection::vec(any::<u8>(), 0..4_000),
        small in any::<bool>(),
    ) {
        let mut bytes = header(end).to_bytes();
        // Small numbers, so that more of them are accepted.
        bytes.extend(file.iter().enumerate().map(|(at, byte)| if small && at % 4 > 1 { 0 } else { *byte }));
        let shape = Shape::of(header(end)).unwrap();
        drop(read(shape, &bytes));
        for block in 0..shape.blocks() {
            drop(shape.read_lenient(&bytes[..], bytes.len() as u64, block));
            drop(shape.tables_agree(&bytes[..], bytes.len() as u64, block));
        }
    }
}
