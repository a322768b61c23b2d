//! The bytes of one write: a head with checksums, the fingerprints, and Arrow IPC in LZ4.
//!
//! ```text
//! magic 8 | sequence u64 | payload length u32 | IPC length u32 | rows u32 | parts u32
//!         | CRC-32 of the payload u32 | CRC-32 of the head before it u32
//! parts:  table u32 | rows u32 | fingerprints u32 | IPC length u32
//! fingerprints of all parts, 16 bytes each
//! LZ4 block: the IPC streams of all parts, one after the other
//! ```
//! All numbers are little-endian. The magic lets a reader find the next frame behind a damaged one.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::StreamWriter;
use halfopen_model::{Fingerprint, Table};

/// Begins every frame; no text and no length of ours looks like it.
pub(crate) const MAGIC: [u8; 8] = *b"\xF5hoFrm\r\n";
/// Length of the head.
pub(crate) const HEAD_BYTES: usize = 40;
const PART_BYTES: usize = 16;
/// A length beyond this was never written by us.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 1 << 30;
/// One byte of LZ4 stands for so many at most.
const LZ4_RATIO_MAX: usize = 255;
/// IPC messages begin at multiples of this, so that arrays can be used where they lie.
const ALIGNMENT_BYTES: usize = 64;

/// Rows of one table with their fingerprints: one for each row, or none.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) table: Table,
    pub(crate) rows: RecordBatch,
    pub(crate) fingerprints: Vec<Fingerprint>,
}

/// A frame that lacks its sequence number only.
pub(crate) struct Frame {
    bytes: Vec<u8>,
}

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadFrame {
    /// They end before the frame does.
    Short,
    /// No frame begins here.
    NoHead,
    /// A checksum differs.
    Checksum,
    /// The checksums fit, the content does not read: written by a later version.
    Content,
}

/// What a head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) sequence: u64,
    pub(crate) payload_bytes: usize,
    ipc_bytes: usize,
    pub(crate) rows: u32,
    parts: usize,
    payload_crc: u32,
}

impl Frame {
    /// Writes down `parts`.
    pub(crate) fn encode(parts: &[Part]) -> Result<Frame, ArrowError> {
        let mut ipc = Vec::new();
        let mut bytes = vec![0; HEAD_BYTES];
        let mut rows = 0;
        for part in parts {
            let begin = ipc.len();
            let mut writer = StreamWriter::try_new(&mut ipc, part.rows.schema_ref())?;
            writer.write(&part.rows)?;
            writer.finish()?;
            drop(writer);
            ipc.resize(ipc.len().next_multiple_of(ALIGNMENT_BYTES), 0);
            let part_rows = part.rows.num_rows() as u32;
            rows += part_rows;
            let fingerprints = part.fingerprints.len() as u32;
            for number in [part.table as u32, part_rows, fingerprints, (ipc.len() - begin) as u32] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
        }
        for fingerprint in parts.iter().flat_map(|part| &part.fingerprints) {
            bytes.extend_from_slice(&fingerprint.to_le_bytes());
        }
        compress(&ipc, &mut bytes)?;
        let payload = bytes.len() - HEAD_BYTES;
        if payload > PAYLOAD_BYTES_MAX || ipc.len() > PAYLOAD_BYTES_MAX {
            return Err(ArrowError::InvalidArgumentError("the write is too large".to_owned()));
        }
        let crc = crc32fast::hash(&bytes[HEAD_BYTES..]);
        bytes[..8].copy_from_slice(&MAGIC);
        let numbers = [payload as u32, ipc.len() as u32, rows, parts.len() as u32, crc];
        for (place, number) in bytes[16..36].chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        Ok(Frame { bytes })
    }

    /// Size on disk.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The whole frame under this number.
    pub(crate) fn seal(&mut self, sequence: u64) -> &[u8] {
        self.bytes[8..16].copy_from_slice(&sequence.to_le_bytes());
        let crc = crc32fast::hash(&self.bytes[..36]);
        self.bytes[36..HEAD_BYTES].copy_from_slice(&crc.to_le_bytes());
        &self.bytes
    }
}

fn compress(ipc: &[u8], bytes: &mut Vec<u8>) -> Result<(), ArrowError> {
    let begin = bytes.len();
    bytes.resize(begin + lz4_flex::block::get_maximum_output_size(ipc.len()), 0);
    let written = lz4_flex::block::compress_into(ipc, &mut bytes[begin..])
        .map_err(|error| ArrowError::ExternalError(Box::new(error)))?;
    bytes.truncate(begin + written);
    Ok(())
}

fn number(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(four)
}

impl Head {
    /// Reads the head at the beginning of `bytes`.
    pub(crate) fn read(bytes: &[u8]) -> Result<Head, BadFrame> {
        let known = bytes.len().min(MAGIC.len());
        if bytes[..known] != MAGIC[..known] {
            return Err(BadFrame::NoHead);
        }
        if bytes.len() < HEAD_BYTES {
            return Err(BadFrame::Short);
        }
        if crc32fast::hash(&bytes[..36]) != number(bytes, 36) {
            return Err(BadFrame::Checksum);
        }
        let mut sequence = [0; 8];
        sequence.copy_from_slice(&bytes[8..16]);
        let head = Head {
            sequence: u64::from_le_bytes(sequence),
            payload_bytes: number(bytes, 16) as usize,
            ipc_bytes: number(bytes, 20) as usize,
            rows: number(bytes, 24),
            parts: number(bytes, 28) as usize,
            payload_crc: number(bytes, 32),
        };
        if head.payload_bytes.max(head.ipc_bytes) > PAYLOAD_BYTES_MAX {
            return Err(BadFrame::Content);
        }
        Ok(head)
    }

    /// Length of the whole frame.
    pub(crate) fn frame_bytes(&self) -> usize {
        HEAD_BYTES + self.payload_bytes
    }

    /// Whether the bytes behind the head are those that were written.
    pub(crate) fn check(&self, payload: &[u8]) -> Result<(), BadFrame> {
        if payload.len() < self.payload_bytes {
            return Err(BadFrame::Short);
        }
        match crc32fast::hash(&payload[..self.payload_bytes]) == self.payload_crc {
            true => Ok(()),
            false => Err(BadFrame::Checksum),
        }
    }

    /// Reads the parts out of a payload that was checked.
    pub(crate) fn parts(&self, payload: &[u8]) -> Result<Vec<Part>, BadFrame> {
        let table_end = self.parts.checked_mul(PART_BYTES).ok_or(BadFrame::Content)?;
        let table = payload.get(..table_end).ok_or(BadFrame::Content)?;
        let mut lengths = Vec::new();
        for part in table.chunks_exact(PART_BYTES) {
            let name = Table::ALL.get(number(part, 0) as usize).ok_or(BadFrame::Content)?;
            lengths.push((*name, number(part, 8) as usize, number(part, 12) as usize));
        }
        let count: usize = lengths.iter().map(|(_, count, _)| count).sum();
        let marks_end = table_end + count * size_of::<Fingerprint>();
        let marks = payload.get(table_end..marks_end).ok_or(BadFrame::Content)?;
        let mut marks = marks.as_chunks::<16>().0.iter().map(|mark| u128::from_le_bytes(*mark));
        let packed = payload.get(marks_end..self.payload_bytes).ok_or(BadFrame::Content)?;
        if self.ipc_bytes / LZ4_RATIO_MAX > packed.len() {
            return Err(BadFrame::Content);
        }
        let mut ipc = vec![0; self.ipc_bytes];
        let unpacked = lz4_flex::block::decompress_into(packed, &mut ipc);
        if unpacked.ok() != Some(self.ipc_bytes) {
            return Err(BadFrame::Content);
        }
        let ipc = Buffer::from_vec(ipc);
        let mut begin = 0;
        let mut parts = Vec::with_capacity(lengths.len());
        for (table, count, length) in lengths {
            if begin + length > ipc.len() {
                return Err(BadFrame::Content);
            }
            let rows = decode(ipc.slice_with_length(begin, length))?;
            begin += length;
            parts.push(Part { table, rows, fingerprints: marks.by_ref().take(count).collect() });
        }
        Ok(parts)
    }
}

fn decode(mut stream: Buffer) -> Result<RecordBatch, BadFrame> {
    // Of what it does not know, a type of a later version for example, the decoder panics.
    let rows = catch_unwind(AssertUnwindSafe(|| StreamDecoder::new().decode(&mut stream)));
    rows.ok().and_then(Result::ok).flatten().ok_or(BadFrame::Content)
}

#[cfg(test)]
mod tests;
