//! Files of the store, read from bytes alone: for checks that hold for any bytes whatever.

use std::io;

use crate::index;
pub use crate::wal::replay::LogRead;

/// Reads a file of the write-ahead log.
pub fn log(bytes: &[u8]) -> LogRead {
    LogRead::of(bytes)
}

/// What a side file says of one id, in each kind of ids.
#[derive(Debug, PartialEq, Eq)]
pub struct FilterRead {
    /// The row groups that may hold it; `None` where the file says nothing.
    pub groups: Vec<Option<Vec<usize>>>,
    /// How many row groups there are.
    pub all: usize,
}

/// Reads a side file, as the one of the segment that it says it belongs to.
pub fn filter(bytes: &[u8], id: &[u8]) -> FilterRead {
    let read_at = |to: &mut [u8], at: u64| {
        let from = bytes.get(at as usize..).and_then(|rest| rest.get(..to.len()));
        let from = from.ok_or(io::ErrorKind::UnexpectedEof)?;
        to.copy_from_slice(from);
        Ok(())
    };
    let (groups, all) = index::ask_bytes(bytes, id, read_at);
    FilterRead { groups, all }
}
