//! The side file of a segment: a directory with a checksum, then the fingerprints of each kind
//! and row group, each with a checksum of its own.
//!
//! ```text
//! "hofilt01"  identity u64  groups u32  entries u32
//! entry: kind u8, made u8 (bit 0: there is a filter; bits 1-6: lengths of beginnings that are
//!        not filed, the shortest first; bit 7: whole ids are not), group u32, keys u32,
//!        segment_length u32, first_places u32, seed u64, at u64, sum u64, first 16 bytes,
//!        last 16 bytes
//! xxh3 of all of it u64
//! fingerprints, by kind and row group
//! ```
//!
//! Numbers are little endian. The file is made from its segment and can be made again, so it is
//! not synced: a file that a crash left half written does not fit its checksums.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::fuse::Shape;
use super::key::{Bound, Kind};
use crate::segment::SegmentInfo;

const MAGIC: &[u8; 8] = b"hofilt01";
const HEAD_BYTES: usize = 8 + 8 + 4 + 4;
const ENTRY_BYTES: usize = 1 + 1 + 4 + 4 + 4 + 4 + 8 + 8 + 8 + 16 + 16;
const SUM_BYTES: usize = 8;
/// A segment of some hundred million rows has as many entries.
const ENTRIES_MAX: usize = 4_096;
/// Read at once: the directory and, in most files, the filters of trace ids behind it.
const FIRST_READ_BYTES: u64 = 32 * 1024;

/// A filter in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    /// The row group.
    pub(super) group: u32,
    /// Keys that are filed.
    pub(super) keys: u32,
    /// Which lengths of beginnings are not, a bit for each, and whether whole ids are not: others
    /// tell as much.
    pub(super) left_out: u8,
    /// Bounds of the values; of no meaning without keys.
    pub(super) first: Bound,
    pub(super) last: Bound,
    /// `None` when there are no keys, or no filter could be made of them.
    pub(super) shape: Option<Shape>,
    /// Where its fingerprints begin in the file.
    pub(super) at: u64,
    pub(super) sum: u64,
}

/// What a side file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directory {
    /// Row groups of the segment.
    pub(super) groups: u32,
    /// By kind and row group.
    pub(super) entries: Vec<Entry>,
}

/// The fingerprints of one kind, as they lie in the file.
#[derive(Debug)]
pub(super) struct Prints {
    pub(super) at: u64,
    pub(super) bytes: Vec<u8>,
}

/// Tells a segment from all others, also from one that had its name before.
pub(crate) fn identity(sums: &[u64], rows: u64) -> u64 {
    let numbers = sums.iter().chain([&rows]);
    xxh3_64(&numbers.flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>())
}

/// Where the side file of a segment lies: beside it.
pub(crate) fn path_of(segment: &Path) -> PathBuf {
    segment.with_extension(EXTENSION)
}

/// How the names of side files end.
pub(crate) const EXTENSION: &str = "filter";
/// How the names of side files that are being written end.
pub(crate) const UNFINISHED: &str = "filter-tmp";

/// The content of a side file.
pub(super) fn encode(identity: u64, groups: u32, filters: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let head = HEAD_BYTES + filters.len() * ENTRY_BYTES + SUM_BYTES;
    let prints: usize = filters.iter().map(|(_, prints)| prints.len()).sum();
    let mut bytes = Vec::with_capacity(head + prints);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&identity.to_le_bytes());
    bytes.extend_from_slice(&groups.to_le_bytes());
    bytes.extend_from_slice(&(filters.len() as u32).to_le_bytes());
    let mut at = head as u64;
    for (entry, prints) in filters {
        let shape = entry.shape.unwrap_or(Shape { seed: 0, segment_length: 0, first_places: 0 });
        let made = u8::from(entry.shape.is_some()) | entry.left_out << 1;
        bytes.extend_from_slice(&[entry.kind as u8, made]);
        for number in [entry.group, entry.keys, shape.segment_length, shape.first_places] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for number in [shape.seed, at, xxh3_64(prints)] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&entry.first);
        bytes.extend_from_slice(&entry.last);
        at += prints.len() as u64;
    }
    let sum = xxh3_64(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    filters.iter().for_each(|(_, prints)| bytes.extend_from_slice(prints));
    bytes
}

/// Takes numbers from the front.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn small(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn large(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

impl Entry {
    fn read(reader: &mut Reader<'_>) -> Option<Entry> {
        let [kind, made] = reader.take()?;
        let kind = Kind::ALL.into_iter().find(|known| *known as u8 == kind)?;
        let (group, keys) = (reader.small()?, reader.small()?);
        let (segment_length, first_places) = (reader.small()?, reader.small()?);
        let (seed, at, sum) = (reader.large()?, reader.large()?, reader.large()?);
        let shape = Shape { seed, segment_length, first_places };
        let (is_made, left_out) = (made & 1 == 1, made >> 1);
        if is_made && !shape.is_sound() {
            return None;
        }
        let shape = is_made.then_some(shape);
        Some(Entry {
            kind,
            group,
            keys,
            left_out,
            first: reader.take()?,
            last: reader.take()?,
            shape,
            at,
            sum,
        })
    }

    fn bytes(&self) -> usize {
        self.shape.map_or(0, |shape| shape.bytes())
    }
}

impl Directory {
    /// The filters of a kind.
    pub(super) fn of(&self, kind: Kind) -> &[Entry] {
        let begin = self.entries.partition_point(|entry| entry.kind < kind);
        let end = self.entries.partition_point(|entry| entry.kind <= kind);
        &self.entries[begin..end]
    }

    /// Where the fingerprints of a kind lie; `None` when that is nowhere.
    fn place(&self, kind: Kind) -> Option<Range<u64>> {
        let mut entries = self.of(kind).iter().filter(|entry| entry.shape.is_some());
        let Some(first) = entries.next() else { return Some(0..0) };
        let last = entries.next_back().unwrap_or(first);
        let end = last.at.checked_add(last.bytes() as u64)?;
        (first.at <= end).then_some(first.at..end)
    }

    /// Whether entries are where they are looked for.
    fn is_sound(&self) -> bool {
        self.entries.is_sorted_by_key(|entry| (entry.kind, entry.group))
            && self.entries.iter().all(|entry| entry.group < self.groups)
    }

    fn read(bytes: &[u8], identity: u64) -> Option<Directory> {
        let mut reader = Reader(bytes);
        let (magic, found) = (reader.take::<8>()?, reader.large()?);
        if &magic != MAGIC || found != identity {
            return None;
        }
        let (groups, count) = (reader.small()?, reader.small()? as usize);
        let end = HEAD_BYTES + count.min(ENTRIES_MAX) * ENTRY_BYTES;
        let (content, sum) = (bytes.get(..end)?, bytes.get(end..end + SUM_BYTES)?);
        if count > ENTRIES_MAX || xxh3_64(content).to_le_bytes() != *sum {
            return None;
        }
        let entries = (0..count).map(|_| Entry::read(&mut reader)).collect::<Option<_>>()?;
        let directory = Directory { groups, entries };
        directory.is_sound().then_some(directory)
    }
}

/// What was read of a side file: the directory and the fingerprints that were wanted.
pub(super) type Content = (Directory, Prints);

/// Reads the directory and the fingerprints of `kind`; `None` when the file is missing, belongs to
/// another segment, or is damaged.
pub(super) fn read(info: &SegmentInfo, path: &Path, kind: Kind) -> Option<Content> {
    let file = File::open(path_of(path)).ok()?;
    let length = file.metadata().ok()?.len();
    let read_at = |bytes: &mut [u8], at| file.read_exact_at(bytes, at);
    content(identity(&info.sums, info.rows), kind, length, read_at)
}

/// The same of whatever has this length and is read so.
pub(super) fn content(
    identity: u64,
    kind: Kind,
    length: u64,
    read_at: impl Fn(&mut [u8], u64) -> io::Result<()>,
) -> Option<Content> {
    let read = |place: Range<u64>| {
        let within = place.start <= place.end && place.end <= length;
        let mut bytes = vec![0; within.then_some(place.end - place.start)? as usize];
        read_at(&mut bytes, place.start).ok()?;
        Some(bytes)
    };
    let mut bytes = read(0..length.min(FIRST_READ_BYTES))?;
    let entries = u32::from_le_bytes(*bytes.get(20..)?.first_chunk()?) as usize;
    let head = HEAD_BYTES + entries.min(ENTRIES_MAX) * ENTRY_BYTES + SUM_BYTES;
    if head > bytes.len() {
        bytes = read(0..head as u64)?;
    }
    let directory = Directory::read(&bytes, identity)?;
    let place = directory.place(kind)?;
    let prints = match bytes.get(place.start as usize..place.end as usize) {
        Some(prints) => prints.to_vec(),
        None => read(place.clone())?,
    };
    let prints = Prints { at: place.start, bytes: prints };
    let whole = |entry: &Entry| match entry.shape {
        Some(_) => prints.of(entry).is_some_and(|bytes| xxh3_64(bytes) == entry.sum),
        None => true,
    };
    let is_whole = directory.of(kind).iter().all(whole);
    is_whole.then_some((directory, prints))
}

impl Prints {
    /// The fingerprints of one filter.
    pub(super) fn of(&self, entry: &Entry) -> Option<&[u8]> {
        let begin = entry.at.checked_sub(self.at)? as usize;
        self.bytes.get(begin..begin.checked_add(entry.bytes())?)
    }
}
