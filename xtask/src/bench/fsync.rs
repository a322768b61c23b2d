//! What the disk itself needs, so that figures can be stated relative to it.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Appends `bytes` and calls fsync, `rounds` times; the sorted times of each append with fsync.
pub(super) fn times(folder: &Path, bytes: usize, rounds: usize) -> Result<Vec<Duration>, String> {
    let path = folder.join("fsync.probe");
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let mut file = file.map_err(|error| error.to_string())?;
    let block = vec![0x5a; bytes];
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let began = Instant::now();
        file.write_all(&block).map_err(|error| error.to_string())?;
        file.sync_data().map_err(|error| error.to_string())?;
        times.push(began.elapsed());
    }
    std::fs::remove_file(&path).map_err(|error| error.to_string())?;
    times.sort();
    Ok(times)
}
