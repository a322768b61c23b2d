//! Checksums over blocks of a file. Every byte of a segment is checked before its first use in a
//! process, and only the blocks that are used: a lookup does not read the whole file for it.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Small against a column chunk, so that a page costs few others; large against its checksum.
pub(crate) const BLOCK_BYTES: usize = 64 * 1024;

const WORD_BITS: usize = 64;

/// The checksums of a file, and which blocks were found whole.
#[derive(Debug)]
pub(crate) struct Blocks {
    sums: Vec<u64>,
    whole: Vec<AtomicU64>,
}

impl Blocks {
    pub(crate) fn new(sums: Vec<u64>) -> Blocks {
        let words = sums.len().div_ceil(WORD_BITS);
        Blocks { sums, whole: (0..words).map(|_| AtomicU64::new(0)).collect() }
    }

    fn is_whole(&self, block: usize) -> bool {
        let word = self.whole.get(block / WORD_BITS).map(|word| word.load(Ordering::Relaxed));
        word.is_some_and(|word| word & (1 << (block % WORD_BITS)) != 0)
    }

    /// The bytes to read in order to use `wanted`: that alone when its blocks are known to be
    /// whole, otherwise all of them.
    pub(crate) fn to_read(&self, wanted: &Range<u64>, file_bytes: u64) -> Range<u64> {
        let first = (wanted.start / BLOCK_BYTES as u64) as usize;
        let behind = wanted.end.div_ceil(BLOCK_BYTES as u64) as usize;
        if (first..behind).all(|block| self.is_whole(block)) {
            return wanted.clone();
        }
        let begin = (first * BLOCK_BYTES) as u64;
        begin..((behind * BLOCK_BYTES) as u64).min(file_bytes)
    }

    /// Checks bytes that begin at the block boundary `at`; the place of the first wrong block.
    pub(crate) fn check(&self, at: u64, bytes: &[u8]) -> Result<(), u64> {
        let first = (at / BLOCK_BYTES as u64) as usize;
        for (block, content) in (first..).zip(bytes.chunks(BLOCK_BYTES)) {
            if self.is_whole(block) {
                continue;
            }
            if self.sums.get(block) != Some(&xxh3_64(content)) {
                return Err((block * BLOCK_BYTES) as u64);
            }
            self.whole[block / WORD_BITS].fetch_or(1 << (block % WORD_BITS), Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Writes through and takes the checksum of each block on the way.
pub(crate) struct Summing<W> {
    inner: W,
    current: Xxh3,
    filled: usize,
    sums: Vec<u64>,
    bytes: u64,
}

impl<W: Write> Summing<W> {
    pub(crate) fn new(inner: W) -> Summing<W> {
        Summing { inner, current: Xxh3::new(), filled: 0, sums: Vec::new(), bytes: 0 }
    }

    /// What was written to, the checksums, and the length.
    pub(crate) fn finish(mut self) -> (W, Vec<u64>, u64) {
        if self.filled > 0 {
            self.sums.push(self.current.digest());
        }
        (self.inner, self.sums, self.bytes)
    }

    fn sum(&mut self, mut bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.filled));
            self.current.update(now);
            self.filled += now.len();
            bytes = later;
            if self.filled == BLOCK_BYTES {
                self.sums.push(self.current.digest());
                self.current.reset();
                self.filled = 0;
            }
        }
    }
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sum(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summed(bytes: &[u8]) -> (Vec<u64>, u64) {
        let mut writer = Summing::new(Vec::new());
        for piece in bytes.chunks(50_001) {
            writer.write_all(piece).expect("a vector takes everything");
        }
        let (_, sums, length) = writer.finish();
        (sums, length)
    }

    #[test]
    fn each_block_is_checked_once_and_a_wrong_one_is_named() {
        let mut bytes: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
        let (sums, length) = summed(&bytes);
        assert_eq!((sums.len(), length), (4, 200_000));
        let blocks = Blocks::new(sums);
        let wanted = 65_000..70_000;
        assert_eq!(blocks.to_read(&wanted, length), 0..131_072);
        assert_eq!(blocks.check(0, &bytes[..131_072]), Ok(()));
        assert_eq!(blocks.to_read(&wanted, length), wanted);
        assert_eq!(blocks.to_read(&(199_000..200_000), length), 196_608..200_000);
        bytes[199_999] ^= 1;
        assert_eq!(blocks.check(196_608, &bytes[196_608..]), Err(196_608));
        assert_eq!(blocks.check(131_072, &bytes[131_072..196_608]), Ok(()));
    }
}
