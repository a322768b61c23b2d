//! How long a service waits for others, and what it does when nobody waits for it any more.

use std::time::Duration;

/// The longest a call takes, all attempts together.
const CALL_MS_MAX: u64 = 15_000;
/// The longest an attempt takes: far above every delay of the shop, also on a busy machine, so
/// that a slow laptop is not taken for a slow service.
const ATTEMPT_MS_MAX: u64 = 12_000;
/// The longest it takes to connect; all of the shop is on one machine.
const CONNECT_MS_MAX: u64 = 3_000;
const _: () = assert!(CONNECT_MS_MAX < ATTEMPT_MS_MAX && ATTEMPT_MS_MAX < CALL_MS_MAX);
/// Without a second attempt a call ends soon after the first: what is kept for the way back.
const ONE_ATTEMPT: (u64, u64) = (11, 10);

/// How long a service waits for an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Patience {
    /// The longest an attempt takes.
    pub(crate) attempt_ms: u64,
    /// The longest a call takes, all attempts together.
    pub(crate) call_ms: u64,
    /// Whether time is shared: a call says how long its answer is waited for, work ends when
    /// nobody waits for it any more, and who does not answer is left alone for a while.
    pub(crate) shared: bool,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { attempt_ms: ATTEMPT_MS_MAX, call_ms: CALL_MS_MAX, shared: true }
    }
}

impl Patience {
    /// One attempt, which ends after this time.
    pub(crate) fn once(attempt_ms: u64, shared: bool) -> Patience {
        let (more, than) = ONE_ATTEMPT;
        Patience { attempt_ms, call_ms: attempt_ms * more / than, shared }
    }

    /// The longest an attempt takes.
    pub(crate) fn attempt(self) -> Duration {
        Duration::from_millis(self.attempt_ms)
    }

    /// The longest a call takes.
    pub(crate) fn call(self) -> Duration {
        Duration::from_millis(self.call_ms)
    }

    /// The longest it takes to connect.
    pub(crate) fn connect(self) -> Duration {
        Duration::from_millis(CONNECT_MS_MAX.min(self.attempt_ms / 2))
    }
}
