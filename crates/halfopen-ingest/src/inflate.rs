//! Bodies that came compressed.
//!
//! **Invariant:** no more than the bound is ever held, whatever a header promises: a bomb is
//! noticed by what comes out of it.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// The largest window that a zstd frame may ask for (128 MiB is what its own tools accept), as
/// the logarithm to base 2. What senders use is at most 8 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// A source that inflates to more than this is watched for its ratio.
const WATCHED_BYTES_MIN: u64 = 1 << 30;
/// Telemetry inflates ten- to hundredfold; a bomb more than this.
const RATIO_MAX: u64 = 2_000;
/// What is read of a source at once.
const CHUNK_BYTES: usize = 256 << 10;

/// How a body is compressed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip; several members behind each other are one body.
    Gzip,
    /// zstd; several frames behind each other are one body.
    Zstd,
    /// deflate: in a zlib wrapping as HTTP says, or bare as some senders do.
    Deflate,
}

impl Compression {
    /// The compression that a `content-encoding` or `grpc-encoding` names.
    pub fn from_name(name: &str) -> Option<Compression> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Compression::None),
            "gzip" | "x-gzip" => Some(Compression::Gzip),
            "zstd" => Some(Compression::Zstd),
            "deflate" => Some(Compression::Deflate),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Compression::None => "identity",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
            Compression::Deflate => "deflate",
        }
    }
}

/// Why a body could not be inflated.
#[derive(Debug, thiserror::Error)]
pub enum InflateError {
    /// What comes out is larger than the bound.
    #[error("the {compression} body of {body_bytes} bytes holds more than {bytes_max} bytes")]
    TooLarge {
        /// How it is compressed.
        compression: &'static str,
        /// Size of the body.
        body_bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// It is not what it claims to be.
    #[error("could not read the {compression} body of {body_bytes} bytes")]
    Broken {
        /// How it claims to be compressed.
        compression: &'static str,
        /// Size of the body.
        body_bytes: usize,
        /// What the decompressor says.
        #[source]
        source: io::Error,
    },
}

/// Inflates `body`; what comes out has at most `bytes_max` bytes.
///
/// # Errors
/// When more would come out, or when the body cannot be read.
pub fn inflate(
    compression: Compression,
    body: &[u8],
    bytes_max: usize,
) -> Result<Vec<u8>, InflateError> {
    let result = match compression {
        Compression::None => read_bounded(body, bytes_max),
        Compression::Gzip => read_bounded(MultiGzDecoder::new(body), bytes_max),
        Compression::Zstd => inflate_zstd(body, bytes_max),
        Compression::Deflate if has_zlib_header(body) => {
            read_bounded(ZlibDecoder::new(body), bytes_max)
        }
        Compression::Deflate => read_bounded(DeflateDecoder::new(body), bytes_max),
    };
    let (compression, body_bytes) = (compression.name(), body.len());
    match result {
        Ok(Some(inflated)) => Ok(inflated),
        Ok(None) => Err(InflateError::TooLarge { compression, body_bytes, bytes_max }),
        Err(source) => Err(InflateError::Broken { compression, body_bytes, source }),
    }
}

fn inflate_zstd(body: &[u8], bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(body)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    read_bounded(decoder, bytes_max)
}

/// Reads one byte more than the bound, to know whether there is one.
fn read_bounded(source: impl Read, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    let mut inflated = Vec::new();
    source.take((bytes_max as u64).saturating_add(1)).read_to_end(&mut inflated)?;
    Ok((inflated.len() <= bytes_max).then_some(inflated))
}

/// RFC 1950: method 8 in the low bits, and the first two bytes are a multiple of 31.
fn has_zlib_header(body: &[u8]) -> bool {
    match body {
        [first, second, ..] => {
            first & 0x0f == 8 && u16::from_be_bytes([*first, *second]).is_multiple_of(31)
        }
        _ => false,
    }
}

/// A source of any size, inflated as it is read: gzip and zstd are known by their first bytes,
/// anything else is given as it is. Reading fails where it turns out to be a bomb.
///
/// # Errors
/// When the first bytes cannot be read.
pub fn inflating<'s>(source: impl Read + 's) -> io::Result<Box<dyn BufRead + 's>> {
    let packed_bytes = Rc::new(Cell::new(0));
    let counted = Counted { source, bytes: Rc::clone(&packed_bytes) };
    let mut buffered = BufReader::with_capacity(CHUNK_BYTES, counted);
    let head = buffered.fill_buf()?;
    let inflated: Box<dyn Read + 's> = if head.starts_with(b"\x1f\x8b") {
        Box::new(MultiGzDecoder::new(buffered))
    } else if head.starts_with(b"\x28\xb5\x2f\xfd") {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(buffered)?;
        decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
        Box::new(decoder)
    } else {
        return Ok(Box::new(buffered));
    };
    let watched = Watched { source: inflated, bytes: 0, packed_bytes };
    Ok(Box::new(BufReader::with_capacity(CHUNK_BYTES, watched)))
}

/// Counts what is read.
struct Counted<R> {
    source: R,
    bytes: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(into)?;
        self.bytes.set(self.bytes.get() + read as u64);
        Ok(read)
    }
}

/// Compares what comes out with what went in.
struct Watched<'s> {
    source: Box<dyn Read + 's>,
    bytes: u64,
    packed_bytes: Rc<Cell<u64>>,
}

impl Read for Watched<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(into)?;
        self.bytes += read as u64;
        let bytes_max = self.packed_bytes.get().saturating_mul(RATIO_MAX);
        if self.bytes > WATCHED_BYTES_MIN && self.bytes > bytes_max {
            let reason = format!("it inflates to more than {RATIO_MAX} times its size");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression as Level;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use std::io::Write;

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Level::default());
        encoder.write_all(body).expect("to memory");
        encoder.finish().expect("to memory")
    }

    fn check(compression: Compression, packed: &[u8], expected: &[u8]) {
        let inflated = inflate(compression, packed, expected.len()).expect("within the bound");
        assert_eq!(inflated, expected);
        let refused = inflate(compression, packed, expected.len() - 1);
        assert!(matches!(refused, Err(InflateError::TooLarge { .. })), "{compression:?}");
    }

    #[test]
    fn each_compression_is_read_up_to_the_bound_and_not_a_byte_further() {
        let body = b"half-open ".repeat(1_000);
        let mut zlib = ZlibEncoder::new(Vec::new(), Level::fast());
        zlib.write_all(&body).expect("to memory");
        let mut bare = DeflateEncoder::new(Vec::new(), Level::fast());
        bare.write_all(&body).expect("to memory");
        check(Compression::None, &body, &body);
        check(Compression::Gzip, &gzip(&body), &body);
        check(Compression::Zstd, &zstd::encode_all(&body[..], 3).expect("to memory"), &body);
        check(Compression::Deflate, &zlib.finish().expect("to memory"), &body);
        check(Compression::Deflate, &bare.finish().expect("to memory"), &body);
    }

    #[test]
    fn members_behind_each_other_are_one_body() {
        let two = [gzip(b"half-"), gzip(b"open")].concat();
        check(Compression::Gzip, &two, b"half-open");
        let frame = |part: &[u8]| zstd::encode_all(part, 1).expect("to memory");
        check(Compression::Zstd, &[frame(b"half-"), frame(b"open")].concat(), b"half-open");
    }

    #[test]
    fn a_bomb_is_refused_with_its_bound() {
        let bomb = gzip(&vec![0; 64 << 20]);
        let error = inflate(Compression::Gzip, &bomb, 1 << 20).expect_err("64 MiB of zeros");
        let expected = format!("the gzip body of {} bytes holds more than 1048576", bomb.len());
        assert!(error.to_string().starts_with(&expected), "{error}");
        let nested = zstd::encode_all(&vec![0; 64 << 20][..], 19).expect("to memory");
        let error = inflate(Compression::Zstd, &nested, 1 << 20).expect_err("64 MiB of zeros");
        assert!(!error.to_string().is_empty());
    }

    #[test]
    fn what_is_cut_short_or_no_such_format_is_an_error() {
        let whole = gzip(b"half-open");
        for compression in [Compression::Gzip, Compression::Zstd, Compression::Deflate] {
            for body in [&whole[..whole.len() - 4], b"\xff\xff not packed", b"\x78"] {
                let result = inflate(compression, body, 1_000);
                assert!(matches!(result, Err(InflateError::Broken { .. })), "{compression:?}");
            }
        }
    }

    #[test]
    fn a_source_is_inflated_as_it_is_read_and_breaks_where_it_is_cut() {
        let body = b"half-open ".repeat(100_000);
        let packed = [body.clone(), gzip(&body), zstd::encode_all(&body[..], 3).expect("packed")];
        for packed in packed {
            let mut read = Vec::new();
            inflating(&packed[..]).expect("a head").read_to_end(&mut read).expect("whole");
            assert_eq!(read, body);
        }
        let whole = gzip(&body);
        let mut read = Vec::new();
        let cut = inflating(&whole[..whole.len() / 2]).expect("a head").read_to_end(&mut read);
        assert!(cut.is_err() && !read.is_empty());
    }

    /// Gives zeros for ever, as a bomb does.
    struct Endless;

    impl Read for Endless {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            into.fill(0);
            Ok(into.len())
        }
    }

    #[test]
    fn a_source_that_inflates_without_end_is_stopped() {
        let packed_bytes = Rc::new(Cell::new(1_000));
        let mut watched = Watched { source: Box::new(Endless), bytes: 0, packed_bytes };
        let read = io::copy(&mut watched, &mut io::sink());
        assert_eq!(read.map_err(|error| error.kind()), Err(io::ErrorKind::InvalidData));
        assert!(watched.bytes < 2 * WATCHED_BYTES_MIN);
    }
}
