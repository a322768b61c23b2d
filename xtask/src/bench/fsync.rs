//! What the disk itself needs, so that figures can be stated relative to it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// A file that grows, as a log does.
pub(super) struct Probe {
    file: File,
    block: Vec<u8>,
}

impl Probe {
    /// Begins a file in `folder`; every append has `bytes`.
    pub(super) fn begin(folder: &Path, bytes: usize) -> Result<Probe, String> {
        let path = folder.join("fsync.probe");
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(|error| error.to_string())?;
        Ok(Probe { file, block: vec![0x5a; bytes] })
    }

    /// How long one append with its fsync takes now.
    pub(super) fn append(&mut self) -> Result<Duration, String> {
        let began = Instant::now();
        self.file.write_all(&self.block).map_err(|error| error.to_string())?;
        self.file.sync_data().map_err(|error| error.to_string())?;
        Ok(began.elapsed())
    }
}
