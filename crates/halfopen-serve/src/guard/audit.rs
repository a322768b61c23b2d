//! Refusals, as an operator looks at them: counted by reason and port, the last ones kept, each
//! kind logged at most once in a while.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use halfopen_model::{Clock, UnixNanos};
use tokio::time::Instant;
use tracing::warn;

use crate::meter::Counter;

/// Refusals that are kept to be looked at.
const RECENT_MAX: usize = 256;
/// One line for each reason in so much time; it says how many were left out.
const LOG_PAUSE: Duration = Duration::from_secs(10);

/// The ports of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Port {
    OtlpGrpc,
    OtlpHttp,
    Http,
}

impl Port {
    pub(crate) const ALL: [Port; 3] = [Port::OtlpGrpc, Port::OtlpHttp, Port::Http];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Port::OtlpGrpc => "otlp_grpc",
            Port::OtlpHttp => "otlp_http",
            Port::Http => "http",
        }
    }
}

/// Why a request was refused or a connection cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reason {
    /// It came without a token.
    NoToken,
    /// Its token is not known here.
    WrongToken,
    /// Its token does not open this.
    Scope,
    /// A web page of another machine caused it.
    Foreign,
    /// Its sender has as many connections as one may have.
    Connections,
    /// Its sender has as many requests under way as one may have.
    Requests,
    /// Its sender sent more bytes than one may send.
    Bytes,
    /// Its sender's bodies fill the part of memory that one sender may fill.
    Bodies,
    /// Its body did not arrive in time.
    SlowBody,
    /// Its answer was not read in time.
    SlowReader,
    /// No TLS handshake came about.
    Handshake,
    /// It spoke without TLS to a port that speaks TLS.
    NotTls,
}

impl Reason {
    pub(crate) const ALL: [Reason; 12] = [
        Reason::NoToken,
        Reason::WrongToken,
        Reason::Scope,
        Reason::Foreign,
        Reason::Connections,
        Reason::Requests,
        Reason::Bytes,
        Reason::Bodies,
        Reason::SlowBody,
        Reason::SlowReader,
        Reason::Handshake,
        Reason::NotTls,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Reason::NoToken => "no_token",
            Reason::WrongToken => "wrong_token",
            Reason::Scope => "scope",
            Reason::Foreign => "foreign",
            Reason::Connections => "connections",
            Reason::Requests => "requests",
            Reason::Bytes => "bytes",
            Reason::Bodies => "bodies",
            Reason::SlowBody => "slow_body",
            Reason::SlowReader => "slow_reader",
            Reason::Handshake => "handshake",
            Reason::NotTls => "not_tls",
        }
    }
}

/// One refusal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refused {
    pub(crate) at: UnixNanos,
    pub(crate) port: Port,
    pub(crate) reason: Reason,
    pub(crate) peer: SocketAddr,
    /// The name of the token, where it is known.
    pub(crate) token: Option<Arc<str>>,
}

/// When a reason was logged, and what was left out since.
#[derive(Clone, Copy, Debug, Default)]
struct Logged {
    at: Option<Instant>,
    left_out: u64,
}

/// Counts refusals and keeps the last ones.
pub(crate) struct Audit {
    clock: Arc<dyn Clock>,
    counts: [[Counter; Reason::ALL.len()]; Port::ALL.len()],
    recent: Mutex<VecDeque<Refused>>,
    logged: Mutex<[Logged; Reason::ALL.len()]>,
}

impl Audit {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Audit {
        Audit {
            clock,
            counts: Default::default(),
            recent: Mutex::default(),
            logged: Mutex::default(),
        }
    }

    /// Notes a refusal.
    pub(crate) fn refused(
        &self,
        port: Port,
        reason: Reason,
        peer: SocketAddr,
        token: Option<&Arc<str>>,
    ) {
        self.counts[port as usize][reason as usize].add(1);
        if let Some(left_out) = self.may_log(reason, Instant::now()) {
            let (port, reason) = (port.name(), reason.name());
            warn!(%peer, token = token.map(|name| &**name), port, reason, left_out, "refused");
        }
        let at = self.clock.now();
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() == RECENT_MAX {
            recent.pop_front();
        }
        recent.push_back(Refused { at, port, reason, peer, token: token.cloned() });
    }

    /// Whether a line may be written now; if so, how many were not since the last one.
    fn may_log(&self, reason: Reason, now: Instant) -> Option<u64> {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = &mut logged[reason as usize];
        if entry.at.is_some_and(|at| now.saturating_duration_since(at) < LOG_PAUSE) {
            entry.left_out += 1;
            return None;
        }
        entry.at = Some(now);
        Some(std::mem::take(&mut entry.left_out))
    }

    pub(crate) fn count(&self, port: Port, reason: Reason) -> u64 {
        self.counts[port as usize][reason as usize].get()
    }

    /// The last refusals, the newest first.
    pub(crate) fn recent(&self) -> Vec<Refused> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct StillClock;

    impl Clock for StillClock {
        fn now(&self) -> UnixNanos {
            UnixNanos(7)
        }
    }

    fn peer(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], port))
    }

    #[test]
    fn every_refusal_is_counted_the_last_are_kept_and_few_are_logged() {
        let audit = Audit::new(Arc::new(StillClock));
        let name: Arc<str> = "ci".into();
        for port in 1..=1_000 {
            audit.refused(Port::Http, Reason::Scope, peer(port), Some(&name));
        }
        assert_eq!(audit.count(Port::Http, Reason::Scope), 1_000);
        assert_eq!(audit.count(Port::OtlpHttp, Reason::Scope), 0);
        let recent = audit.recent();
        assert_eq!((recent.len(), recent[0].peer, recent[255].peer), (256, peer(1_000), peer(745)));
        assert_eq!((recent[0].at, recent[0].token.as_deref()), (UnixNanos(7), Some("ci")));
        let now = Instant::now();
        assert_eq!(audit.may_log(Reason::Bytes, now), Some(0));
        assert_eq!(audit.may_log(Reason::Bytes, now + LOG_PAUSE / 2), None);
        assert_eq!(audit.may_log(Reason::Bytes, now + LOG_PAUSE), Some(1));
    }
}
