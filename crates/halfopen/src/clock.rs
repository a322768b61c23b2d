//! The clocks of the binary.

use halfopen_model::time::parse_time;
use halfopen_model::{Clock, UnixNanos};

use crate::Failure;

/// The clock of the machine.
#[derive(Clone, Copy, Default, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixNanos {
        // The one place that reads the system's clock: everything else is given a `Clock`.
        #[allow(clippy::disallowed_methods)]
        let now = std::time::SystemTime::now();
        let since_epoch = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        UnixNanos(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX))
    }
}

/// A clock that stands still, for `--now`: the answer of yesterday can be had again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FixedClock(UnixNanos);

impl FixedClock {
    /// Reads the time at which the clock stands.
    pub(crate) fn read(text: &str) -> Result<FixedClock, Failure> {
        let time = parse_time(text, SystemClock.now());
        time.map(FixedClock).map_err(|error| Failure::usage(error.to_string()))
    }
}

impl Clock for FixedClock {
    fn now(&self) -> UnixNanos {
        self.0
    }
}
