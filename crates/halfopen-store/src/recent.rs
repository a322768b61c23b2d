//! Fingerprints of rows that were sealed lately, kept beside the segments: a sender that repeats
//! itself across a restart makes no second row. Files are removed when their time is over.

use std::fs;
use std::path::{Path, PathBuf};

use halfopen_model::{Fingerprint, UnixNanos};

use crate::folder::write_whole;
use crate::seen::SEEN_ROWS_MAX;

const MAGIC: [u8; 8] = *b"hoSeen\r\n";
const MARK_BYTES: usize = size_of::<Fingerprint>();
const CRC_BYTES: usize = 4;

/// A file that is there.
#[derive(Debug)]
struct RecentFile {
    path: PathBuf,
    sealed_at: UnixNanos,
    rows: usize,
}

/// Writes the marks of a generation.
pub(crate) fn write(
    folder: &Path,
    sequence: u64,
    sealed_at: UnixNanos,
    marks: impl Iterator<Item = Fingerprint>,
) -> std::io::Result<()> {
    let mut bytes = MAGIC.to_vec();
    marks.for_each(|mark| bytes.extend_from_slice(&mark.to_le_bytes()));
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    write_whole(&folder.join(format!("{sequence:020}-{}.seen", sealed_at.0)), &bytes)
}

/// Removes files that are older than `since`, and those that the newer ones leave no room for.
pub(crate) fn prune(folder: &Path, since: UnixNanos) {
    let mut room = SEEN_ROWS_MAX;
    for file in newest_first(folder) {
        if file.sealed_at < since || room == 0 {
            // It stays for the next time, when it cannot be removed now.
            let _ = fs::remove_file(&file.path);
        }
        room = room.saturating_sub(file.rows);
    }
}

/// The marks of files since `since`, the newest first; a damaged file has none.
pub(crate) fn load(folder: &Path, since: UnixNanos) -> Vec<Fingerprint> {
    let mut marks = Vec::new();
    for file in newest_first(folder) {
        if file.sealed_at >= since && marks.len() < SEEN_ROWS_MAX {
            marks.extend(read(&file.path).unwrap_or_default());
        }
    }
    marks.truncate(SEEN_ROWS_MAX);
    marks
}

/// The last frame of the log whose fingerprints are kept.
pub(crate) fn last_sequence(folder: &Path) -> Option<u64> {
    let newest = newest_first(folder).into_iter().next()?;
    newest.path.file_name()?.to_str()?.split_once('-')?.0.parse().ok()
}

fn newest_first(folder: &Path) -> Vec<RecentFile> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<RecentFile> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let (_, sealed_at) = name.strip_suffix(".seen")?.split_once('-')?;
            let bytes = entry.metadata().ok()?.len() as usize;
            Some(RecentFile {
                path: entry.path(),
                sealed_at: UnixNanos(sealed_at.parse().ok()?),
                rows: bytes.saturating_sub(MAGIC.len() + CRC_BYTES) / MARK_BYTES,
            })
        })
        .collect();
    files.sort_by(|one, other| other.path.cmp(&one.path));
    files
}

fn read(path: &Path) -> Option<Vec<Fingerprint>> {
    let bytes = fs::read(path).ok()?;
    let (content, crc) = bytes.split_last_chunk::<CRC_BYTES>()?;
    let whole = crc32fast::hash(content) == u32::from_le_bytes(*crc);
    let marks = content.strip_prefix(&MAGIC).filter(|_| whole)?;
    Some(marks.as_chunks::<MARK_BYTES>().0.iter().map(|m| u128::from_le_bytes(*m)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_come_back_until_their_time_is_over_and_a_damaged_file_has_none() {
        let folder = tempfile::tempdir().expect("a folder");
        for (sequence, at) in [(9, 90), (10, 100), (11, 110)] {
            let marks = [sequence as u128, 7].into_iter();
            write(folder.path(), sequence, UnixNanos(at), marks).expect("a file");
        }
        assert_eq!(load(folder.path(), UnixNanos(100)), [11, 7, 10, 7]);
        prune(folder.path(), UnixNanos(100));
        assert_eq!(load(folder.path(), UnixNanos::MIN).len(), 4);
        let path = folder.path().join("00000000000000000011-110.seen");
        let mut bytes = fs::read(&path).expect("a file");
        bytes[10] ^= 1;
        fs::write(&path, bytes).expect("a file");
        assert_eq!(load(folder.path(), UnixNanos::MIN), [10, 7]);
    }
}
