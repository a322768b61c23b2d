//! Who may do what, and how much of it: tokens, TLS, bounds of one sender, and the record of what
//! was refused.
//!
//! **Invariant:** where tokens are configured, nothing but health is answered without one, on any
//! port. Where none are, only loopback addresses are listened on.
//!
//! **Invariant:** a token is never logged, kept or echoed; only its hash is known here.
//!
//! **Invariant:** every refusal is counted, and the last ones can be looked at.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use halfopen_model::Clock;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::time::Instant;

use crate::config::ServeConfig;

pub(crate) mod audit;
mod known_tokens;
pub(crate) mod limits;
pub(crate) mod tls;
mod tokens;

use audit::{Audit, Port, Reason};
pub(crate) use known_tokens::KnownTokens;
use limits::{Bounds, Counted, Sender, Senders};
use tls::Tls;
pub use tls::{PLAIN_ANSWER, TlsError};
pub(crate) use tokens::Tokens;
pub use tokens::{Scope, TokenEntry};

/// Guards every port of a server.
pub(crate) struct Guard {
    tokens: KnownTokens,
    senders: Senders,
    tls: Option<Tls>,
    pub(crate) audit: Audit,
    /// What a sender at a bound is told to wait at least.
    retry_after: Duration,
}

impl Guard {
    /// # Errors
    /// When certificate or key cannot be used.
    pub(crate) fn new(
        config: &ServeConfig,
        tokens: KnownTokens,
        clock: Arc<dyn Clock>,
    ) -> Result<Guard, TlsError> {
        let load = |(certificate, key)| Tls::load(certificate, key);
        Ok(Guard {
            tokens,
            tls: config.tls().map(load).transpose()?,
            senders: Senders::new(Bounds::of(config), Instant::now()),
            audit: Audit::new(clock),
            retry_after: config.retry_after(),
        })
    }

    /// Whether tokens are asked for.
    pub(crate) fn has_tokens(&self) -> bool {
        self.tokens.are_asked_for()
    }

    /// Reads files again that have changed: of the certificate, of tokens.
    pub(crate) fn refresh(&self) {
        if let Some(tls) = &self.tls {
            tls.refresh();
        }
        self.tokens.refresh();
    }

    /// Certificate and key, where the ports speak TLS.
    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// Senders that are told apart at the moment.
    pub(crate) fn senders(&self) -> usize {
        self.senders.count()
    }

    /// Who sends a request, and whether it may.
    fn sender(
        &self,
        headers: &HeaderMap,
        need: Scope,
        peer: SocketAddr,
    ) -> Result<Option<Arc<Sender>>, NotLetIn> {
        let now = Instant::now();
        if !self.has_tokens() {
            return Ok(self.senders.at(peer, now));
        }
        let presented = bearer(headers).ok_or((Reason::NoToken, None))?;
        let tokens = self.tokens.now();
        let known = tokens.bearer(presented).ok_or((Reason::WrongToken, None))?;
        let sender = self.senders.named(known.name(), now);
        if !known.may(need) {
            return Err((Reason::Scope, Some(known.name().into())));
        }
        Ok(Some(sender))
    }
}

/// Why somebody is not let in, and the name of the token where it is known.
type NotLetIn = (Reason, Option<Arc<str>>);

/// The token in `authorization: Bearer TOKEN`.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(b"bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// One connection, and whom it counts for: the address it comes from until a request on it brings
/// a token, then the bearer of that.
pub(crate) struct Connection {
    guard: Arc<Guard>,
    port: Port,
    peer: SocketAddr,
    counted: Mutex<Option<Counted>>,
}

impl Connection {
    /// `None` when its address has as many connections as one may have.
    pub(crate) fn open(guard: &Arc<Guard>, port: Port, peer: SocketAddr) -> Option<Connection> {
        let counted = match guard.senders.at(peer, Instant::now()) {
            None => None,
            Some(sender) => {
                let counted = sender.connect();
                if counted.is_none() {
                    guard.audit.refused(port, Reason::Connections, peer, None);
                    return None;
                }
                counted
            }
        };
        Some(Connection { guard: Arc::clone(guard), port, peer, counted: Mutex::new(counted) })
    }

    /// Notes that the connection was cut, or its request refused.
    pub(crate) fn refused(&self, reason: Reason) {
        self.guard.audit.refused(self.port, reason, self.peer, None);
    }

    /// Lets a request in that needs `need`, or says why not. What needs nothing is open to all.
    pub(crate) fn admit(
        &self,
        headers: &HeaderMap,
        need: Option<Scope>,
    ) -> Result<Admitted, Denied> {
        let Some(need) = need else { return Ok(self.admitted(None, None)) };
        let sender = self
            .guard
            .sender(headers, need, self.peer)
            .map_err(|(reason, token)| self.denied(reason, token.as_ref(), need, Duration::ZERO))?;
        let Some(sender) = sender else { return Ok(self.admitted(None, None)) };
        self.count_for(&sender)
            .map_err(|reason| self.denied(reason, sender.token(), need, Duration::ZERO))?;
        let request = sender
            .begin(Instant::now())
            .map_err(|(reason, wait)| self.denied(reason, sender.token(), need, wait))?;
        Ok(self.admitted(Some(sender), Some(request)))
    }

    fn count_for(&self, sender: &Arc<Sender>) -> Result<(), Reason> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if !counted.as_ref().is_some_and(|counted| counted.is_of(sender)) {
            *counted = Some(sender.connect().ok_or(Reason::Connections)?);
        }
        Ok(())
    }

    fn admitted(&self, sender: Option<Arc<Sender>>, request: Option<Counted>) -> Admitted {
        let guard = Arc::clone(&self.guard);
        let caller = Caller { guard, port: self.port, peer: self.peer, sender };
        Admitted { caller: Arc::new(caller), _request: request }
    }

    fn denied(
        &self,
        reason: Reason,
        token: Option<&Arc<str>>,
        need: Scope,
        wait: Duration,
    ) -> Denied {
        self.guard.audit.refused(self.port, reason, self.peer, token);
        Denied { reason, need, wait: wait.max(self.guard.retry_after) }
    }
}

/// A request that was let in; it counts for its sender until this is dropped.
pub(crate) struct Admitted {
    pub(crate) caller: Arc<Caller>,
    _request: Option<Counted>,
}

/// Whose request it is; travels in the extensions of the request.
pub(crate) struct Caller {
    guard: Arc<Guard>,
    port: Port,
    peer: SocketAddr,
    sender: Option<Arc<Sender>>,
}

impl Caller {
    /// The sender whose bounds count, if it has any.
    pub(crate) fn sender(&self) -> Option<&Arc<Sender>> {
        self.sender.as_ref()
    }

    /// Notes that the request was refused after it had been let in.
    pub(crate) fn refused(&self, reason: Reason) {
        let token = self.sender.as_ref().and_then(|sender| sender.token());
        self.guard.audit.refused(self.port, reason, self.peer, token);
    }
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} on {}", self.peer, self.port.name())
    }
}

/// Why a request was not let in. Each port says it in its own words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Denied {
    pub(crate) reason: Reason,
    need: Scope,
    wait: Duration,
}

impl Denied {
    pub(crate) fn status(&self) -> StatusCode {
        match self.reason {
            Reason::NoToken | Reason::WrongToken => StatusCode::UNAUTHORIZED,
            Reason::Scope => StatusCode::FORBIDDEN,
            _ => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    /// When the sender may come back.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        (self.status() == StatusCode::TOO_MANY_REQUESTS).then_some(self.wait)
    }

    /// What the sender reads.
    pub(crate) fn fact(&self) -> String {
        match self.reason {
            Reason::NoToken => "a token is needed here, and none came".to_owned(),
            Reason::WrongToken => "the token is not known here".to_owned(),
            Reason::Scope => format!("the token does not have the scope {}", self.need.name()),
            Reason::Connections => "this sender has too many connections".to_owned(),
            Reason::Requests => "this sender has too many requests under way".to_owned(),
            _ => "this sender has sent more bytes than one may send at a time".to_owned(),
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> &'static str {
        match self.reason {
            Reason::NoToken | Reason::WrongToken => {
                "send the header authorization: Bearer TOKEN; halfopen's own verbs take \
                 HALFOPEN_TOKEN or --token-file"
            }
            Reason::Scope => "ask the operator for a token with that scope",
            Reason::Connections => "close some, or raise serve.sender_connections_max",
            Reason::Requests => "send fewer at a time, or raise serve.sender_requests_max",
            _ => "come back later, or raise serve.sender_bytes_per_second_max",
        }
    }

    /// `WWW-Authenticate`, as RFC 6750 wants it.
    pub(crate) fn challenge(&self) -> Option<HeaderValue> {
        let text = match self.reason {
            Reason::NoToken => "Bearer realm=\"halfopen\"",
            Reason::WrongToken => "Bearer realm=\"halfopen\", error=\"invalid_token\"",
            Reason::Scope => "Bearer realm=\"halfopen\", error=\"insufficient_scope\"",
            _ => return None,
        };
        Some(HeaderValue::from_static(text))
    }

    /// Puts the headers of the refusal on an answer.
    pub(crate) fn mark<B>(&self, response: &mut http::Response<B>) {
        let headers = response.headers_mut();
        if let Some(challenge) = self.challenge() {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(after) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, whole_seconds(after));
        }
    }
}

/// Whole seconds, never 0: a sender that comes back at once finds the same bound.
pub(crate) fn whole_seconds(after: Duration) -> HeaderValue {
    HeaderValue::from(after.as_secs_f64().ceil().max(1.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_is_read_as_clients_write_it() {
        let token = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(text));
            bearer(&headers).map(|token| String::from_utf8_lossy(token).into_owned())
        };
        assert_eq!(token("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(token("bearer  abc ").as_deref(), Some("abc"));
        assert_eq!(token("Basic YTpi"), None);
        assert_eq!(token("Bearer"), None);
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
