//! How far an import is: one line on stderr, only where somebody can see it.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use halfopen_serve::import::Taken;

/// Before this nobody wonders.
const BEGIN: Duration = Duration::from_millis(500);
/// Between two lines.
const STEP: Duration = Duration::from_millis(200);
const MEGABYTE: f64 = 1e6;

/// The line.
pub(super) struct Progress {
    is_seen: bool,
    begun: Instant,
    shown: Option<Instant>,
    bytes: u64,
}

impl Progress {
    /// Of an import of so many bytes; 0 where that is not known.
    pub(super) fn new(bytes: u64) -> Progress {
        let is_seen =
            std::io::stderr().is_terminal() && std::env::var_os("HALFOPEN_NO_PROGRESS").is_none();
        Progress { is_seen, begun: Instant::now(), shown: None, bytes }
    }

    /// Shows where it is, if it is time to.
    pub(super) fn show(&mut self, read: u64, taken: &Taken) {
        let since = self.shown.map_or(self.begun, |shown| shown + STEP - BEGIN);
        if !self.is_seen || since.elapsed() < BEGIN {
            return;
        }
        self.shown = Some(Instant::now());
        let read = read as f64 / MEGABYTE;
        let speed = read / self.begun.elapsed().as_secs_f64();
        let rows: u64 = taken.tables.values().map(|rows| rows.kept).sum();
        let whole = match self.bytes {
            0 => String::new(),
            bytes => format!(" of {:.1}", bytes as f64 / MEGABYTE),
        };
        let line = format!("{read:.1}{whole} MB, {rows} rows, {speed:.1} MB/s");
        // A stderr that is gone takes nothing from the import.
        let _ = write!(anstream::stderr(), "\r\x1b[K{line}");
    }

    /// Takes the line away.
    pub(super) fn clear(&mut self) {
        if self.shown.take().is_some() {
            let _ = write!(anstream::stderr(), "\r\x1b[K");
        }
    }
}
