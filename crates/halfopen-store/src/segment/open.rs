//! Reading a segment's file: every block is checked before its first use; open files and their
//! footers are kept for the next reader, a bounded number of them.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::ParquetError;
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::reader::{ChunkReader, Length};

use super::{Damage, Segment, SegmentInfo};

/// Files that are kept open. The system allows 1,024 of all kinds by default.
const OPEN_FILES_MAX: usize = 256;
/// Memory of the footers that are kept; one of a large segment takes about 1 MB.
const FOOTER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A file whose content is checked as it is read.
#[derive(Clone, Debug)]
pub(crate) struct CheckedFile {
    file: Arc<File>,
    segment: Arc<Segment>,
}

/// A segment that is open: its file and its footer.
#[derive(Clone, Debug)]
pub(crate) struct OpenSegment {
    pub(crate) file: CheckedFile,
    pub(crate) footer: ArrowReaderMetadata,
}

impl CheckedFile {
    fn open(segment: &Arc<Segment>) -> Result<CheckedFile, Damage> {
        let failed = |error: io::Error| {
            let lasting = error.kind() == io::ErrorKind::NotFound;
            let reason = format!("its file cannot be opened: {error}");
            condemn(segment, Damage { reason, lasting })
        };
        let file = File::open(&segment.path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        if bytes != segment.info.bytes {
            let reason = format!("its file has {bytes} of {} bytes", segment.info.bytes);
            return Err(condemn(segment, Damage { reason, lasting: true }));
        }
        Ok(CheckedFile { file: Arc::new(file), segment: Arc::clone(segment) })
    }

    /// The bytes in `wanted`.
    pub(crate) fn read(&self, wanted: Range<u64>) -> Result<Bytes, Damage> {
        let segment = &self.segment;
        let wanted = wanted.start.min(segment.info.bytes)..wanted.end.min(segment.info.bytes);
        let place = segment.blocks.to_read(&wanted, segment.info.bytes);
        let mut bytes = vec![0; (place.end - place.start) as usize];
        self.file.read_exact_at(&mut bytes, place.start).map_err(|error| {
            let reason = format!("the disk does not give its bytes: {error}");
            condemn(segment, Damage { reason, lasting: false })
        })?;
        if place != wanted {
            segment.blocks.check(place.start, &bytes).map_err(|at| {
                let reason = format!("the checksum of its block at byte {at} differs");
                condemn(segment, Damage { reason, lasting: true })
            })?;
        }
        let begin = (wanted.start - place.start) as usize;
        Ok(Bytes::from(bytes).slice(begin..begin + (wanted.end - wanted.start) as usize))
    }
}

fn condemn(segment: &Segment, damage: Damage) -> Damage {
    segment.condemn(damage.clone());
    damage
}

impl Length for CheckedFile {
    fn len(&self) -> u64 {
        self.segment.info.bytes
    }
}

/// Reads on from a place.
pub(crate) struct From {
    file: CheckedFile,
    at: u64,
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = self.at..self.at + buffer.len() as u64;
        let bytes = self.file.read(wanted).map_err(io::Error::other)?;
        buffer[..bytes.len()].copy_from_slice(&bytes);
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }
}

impl ChunkReader for CheckedFile {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(BufReader::new(From { file: self.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let bytes = self.read(start..start + length as u64);
        let bytes = bytes.map_err(|damage| ParquetError::External(Box::new(damage)))?;
        match bytes.len() == length {
            true => Ok(bytes),
            false => Err(ParquetError::EOF("the segment ends too early".to_owned())),
        }
    }
}

impl OpenSegment {
    pub(crate) fn open(segment: &Arc<Segment>) -> Result<OpenSegment, Damage> {
        let file = CheckedFile::open(segment)?;
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let footer = ArrowReaderMetadata::load(&file, options).map_err(|error| {
            let reason = format!("its footer does not read: {error}");
            condemn(segment, Damage { reason, lasting: true })
        })?;
        Ok(OpenSegment { file, footer })
    }

    /// What the catalogue knows about it.
    pub(crate) fn info(&self) -> &SegmentInfo {
        &self.file.segment.info
    }

    fn footer_bytes(&self) -> usize {
        self.footer.metadata().memory_size()
    }
}

/// Segments that are open.
#[derive(Debug, Default)]
pub(crate) struct OpenSegments {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    segments: HashMap<i64, (OpenSegment, u64)>,
    footer_bytes: usize,
    uses: u64,
}

impl OpenSegments {
    /// Opens a segment, or finds it open.
    pub(crate) fn get(&self, segment: &Arc<Segment>) -> Result<OpenSegment, Damage> {
        if let Some(damage) = segment.damage() {
            return Err(damage.clone());
        }
        if let Some(open) = self.change(|kept| kept.find(segment.info.id)) {
            return Ok(open);
        }
        let open = OpenSegment::open(segment)?;
        self.change(|kept| kept.add(segment.info.id, open.clone()));
        Ok(open)
    }

    /// Lets go of a segment.
    pub(crate) fn forget(&self, id: i64) {
        self.change(|kept| kept.remove(id));
    }

    fn change<T>(&self, act: impl FnOnce(&mut Kept) -> T) -> T {
        act(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Kept {
    fn find(&mut self, id: i64) -> Option<OpenSegment> {
        self.uses += 1;
        let (open, used) = self.segments.get_mut(&id)?;
        *used = self.uses;
        Some(open.clone())
    }

    fn add(&mut self, id: i64, open: OpenSegment) {
        self.remove(id);
        self.footer_bytes += open.footer_bytes();
        self.segments.insert(id, (open, self.uses));
        while self.segments.len() > OPEN_FILES_MAX
            || (self.footer_bytes > FOOTER_BYTES_MAX && self.segments.len() > 1)
        {
            let oldest = self.segments.iter().min_by_key(|(_, (_, used))| *used);
            let Some(oldest) = oldest.map(|(id, _)| *id) else { break };
            self.remove(oldest);
        }
    }

    fn remove(&mut self, id: i64) {
        if let Some((open, _)) = self.segments.remove(&id) {
            self.footer_bytes -= open.footer_bytes();
        }
    }
}
