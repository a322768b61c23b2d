//! What must hold for any bytes whatever in a file of the store. The fuzz targets call it, and so
//! does a test of halfopen-store over the corpus.

use halfopen_store::inspect::{self, LogRead};
use xxhash_rust::xxh3::xxh3_64;

/// What must hold for these bytes.
type Check = fn(&[u8]);

/// Every check by the name of its target and of its folder of the corpus.
pub(crate) const CHECKS: &[(&str, Check)] = &[("wal_file", wal_file), ("filter_file", filter_file)];

const FILE_MAGIC: &[u8] = b"hoWAL\r\n\x01";
const FRAME_MAGIC: &[u8] = b"\xF5hoFrm\r\n";
/// Head of a frame; behind 36 of its bytes is their checksum.
const HEAD_BYTES: usize = 40;
/// Head of a side file, and each entry of its directory.
const FILTER_HEAD_BYTES: usize = 24;
const FILTER_ENTRY_BYTES: usize = 74;

/// Every byte of a log is in a frame, damaged or cut off.
fn log(data: &[u8]) -> LogRead {
    let log = inspect::log(data);
    let begin = if data.starts_with(FILE_MAGIC) { FILE_MAGIC.len() } else { 0 };
    let counted = log.frame_bytes + log.damaged_bytes + log.torn_bytes;
    assert_eq!(counted, data.len() - begin, "{log:?}");
    assert_eq!(inspect::log(data), log, "the same each time");
    log
}

/// A log as it is, and with checksums that fit: what they protect must not be trusted.
fn wal_file(data: &[u8]) {
    let before = log(data);
    log(&with_sums_of_frames(data));
    // Noise in front takes no frame away.
    let noise = [&b"\x00noise\x00"[..], data.strip_prefix(FILE_MAGIC).unwrap_or(data)].concat();
    let noisy = log(&noise);
    assert!(noisy.frames >= before.frames, "{noisy:?} {before:?}");
}

fn number(bytes: &[u8], at: usize) -> usize {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    u32::from_le_bytes(four.unwrap_or_default()) as usize
}

/// The same bytes; where a frame begins and ends within them, its checksums are put right.
fn with_sums_of_frames(data: &[u8]) -> Vec<u8> {
    let mut data = data.to_vec();
    let mut at = if data.starts_with(FILE_MAGIC) { FILE_MAGIC.len() } else { 0 };
    while at + HEAD_BYTES <= data.len() {
        let payload = number(&data, at + 16);
        let end = at + HEAD_BYTES + payload;
        if !data[at..].starts_with(FRAME_MAGIC) || end > data.len() {
            at += 1;
            continue;
        }
        let crc = crc32fast::hash(&data[at + HEAD_BYTES..end]);
        data[at + 32..at + 36].copy_from_slice(&crc.to_le_bytes());
        let crc = crc32fast::hash(&data[at..at + 36]);
        data[at + 36..at + HEAD_BYTES].copy_from_slice(&crc.to_le_bytes());
        at = end;
    }
    data
}

/// A side file as it is, and with a checksum of its directory that fits.
fn filter_file(data: &[u8]) {
    asked(data);
    let mut data = data.to_vec();
    let entries = number(&data, 20).min(4_096);
    let end = FILTER_HEAD_BYTES + entries * FILTER_ENTRY_BYTES;
    if data.len() >= end + 8 {
        let sum = xxh3_64(&data[..end]);
        data[end..end + 8].copy_from_slice(&sum.to_le_bytes());
        asked(&data);
    }
}

/// Row groups that are named are there, in order, each once.
fn asked(data: &[u8]) {
    for id in [&b""[..], b"req-8f2c41", &[0; 16], &[0xff; 16], &data[data.len() / 2..]] {
        let read = inspect::filter(data, id);
        for groups in read.groups.iter().flatten() {
            assert!(groups.iter().all(|group| *group < read.all), "{read:?}");
            assert!(groups.is_sorted_by(|one, other| one < other), "{read:?}");
        }
    }
}
