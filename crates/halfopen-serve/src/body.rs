//! Reading the body of a request: bounded in size, in time, and in what all bodies together hold.
//!
//! **Invariant:** bytes of a body are in memory only while a permit for as many is held.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The header in front of a gRPC message: a flag and four bytes of length.
pub(crate) const GRPC_HEADER_BYTES: usize = 5;

/// A body that is refused is still read to its end up to here, because a sender that is cut off
/// while it writes sees a broken pipe in place of the answer.
const DRAIN_BYTES_MAX: usize = 64 << 20;

/// What all bodies together may hold.
#[derive(Clone, Debug)]
pub(crate) struct BodyBudget {
    permits: Arc<Semaphore>,
    bytes_max: usize,
}

impl BodyBudget {
    pub(crate) fn new(bytes_max: usize) -> BodyBudget {
        BodyBudget { permits: Arc::new(Semaphore::new(bytes_max)), bytes_max }
    }

    /// Bytes held at the moment.
    pub(crate) fn held(&self) -> usize {
        self.bytes_max.saturating_sub(self.permits.available_permits())
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, BodyError> {
        let count = u32::try_from(bytes).map_err(|_| BodyError::NoRoom)?;
        let permits = Arc::clone(&self.permits);
        permits.try_acquire_many_owned(count).map_err(|_| BodyError::NoRoom)
    }
}

/// A body in memory, with the permit for its bytes.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) bytes: Bytes,
    _permit: OwnedSemaphorePermit,
}

impl Held {
    /// The same permit over a part of the bytes.
    pub(crate) fn without_first(mut self, count: usize) -> Held {
        self.bytes.advance(count);
        self
    }
}

/// Why a body could not be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the body is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the bodies that are being received fill their bound")]
    NoRoom,
    #[error("the body did not arrive within {seconds} s")]
    Slow { seconds: u64 },
    #[error("the body broke off: {0}")]
    Broken(String),
}

/// How the length of a body is known before its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Framing {
    /// By its `content-length`, if at all.
    Plain,
    /// By the header in front of its message.
    Grpc,
}

/// Reads a whole body.
pub(crate) async fn read<B>(
    body: B,
    framing: Framing,
    bytes_max: usize,
    time_max: Duration,
    budget: &BodyBudget,
) -> Result<Held, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let reading = read_or_drain(body, framing, bytes_max, budget);
    let slow = BodyError::Slow { seconds: time_max.as_secs() };
    tokio::time::timeout(time_max, reading).await.unwrap_or(Err(slow))
}

async fn read_or_drain<B>(
    mut body: B,
    framing: Framing,
    bytes_max: usize,
    budget: &BodyBudget,
) -> Result<Held, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    match collect(&mut body, framing, bytes_max, budget).await {
        Err(refused @ (BodyError::TooLarge { .. } | BodyError::NoRoom)) => {
            drain(&mut body).await;
            Err(refused)
        }
        other => other,
    }
}

async fn collect<B>(
    body: &mut B,
    framing: Framing,
    bytes_max: usize,
    budget: &BodyBudget,
) -> Result<Held, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let mut permit = budget.take(0)?;
    let mut expected = body.size_hint().exact().map(|bytes| bytes as usize);
    let mut whole = BytesMut::new();
    let mut only: Option<Bytes> = None;
    loop {
        if expected.is_some_and(|bytes| bytes > bytes_max) {
            return Err(BodyError::TooLarge { limit: bytes_max });
        }
        let Some(frame) = body.frame().await else { break };
        let frame = frame.map_err(|error| BodyError::Broken(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        let length = whole.len() + only.as_ref().map_or(0, Bytes::len) + data.len();
        if length > bytes_max {
            return Err(BodyError::TooLarge { limit: bytes_max });
        }
        let wanted = length.max(expected.filter(|bytes| *bytes <= bytes_max).unwrap_or(0));
        if wanted > permit.num_permits() {
            permit.merge(budget.take(wanted - permit.num_permits())?);
        }
        if only.is_none() && whole.is_empty() {
            only = Some(data);
        } else {
            whole.reserve(wanted.saturating_sub(whole.len()).max(data.len()));
            whole.extend_from_slice(&only.take().unwrap_or_default());
            whole.extend_from_slice(&data);
        }
        if expected.is_none() && framing == Framing::Grpc {
            expected = grpc_length(only.as_deref().unwrap_or(&whole));
        }
    }
    let bytes = only.unwrap_or_else(|| whole.freeze());
    Ok(Held { bytes, _permit: permit })
}

/// Header and message, as the header says; `None` while it is not there yet.
fn grpc_length(start: &[u8]) -> Option<usize> {
    let length = start.get(1..GRPC_HEADER_BYTES)?;
    let message = u32::from_be_bytes(length.try_into().ok()?);
    Some(GRPC_HEADER_BYTES + message as usize)
}

async fn drain<B>(body: &mut B)
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut drained = 0;
    while drained < DRAIN_BYTES_MAX {
        match body.frame().await {
            Some(Ok(frame)) => drained += frame.data_ref().map_or(0, Bytes::len),
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};

    const SECOND: Duration = Duration::from_secs(1);

    fn frames(parts: &[&'static [u8]]) -> impl Body<Data = Bytes, Error = std::io::Error> + Unpin {
        let parts: Vec<_> =
            parts.iter().map(|part| Ok(Frame::data(Bytes::from_static(part)))).collect();
        StreamBody::new(stream::iter(parts))
    }

    #[tokio::test]
    async fn a_body_in_parts_arrives_whole_and_gives_its_room_back() {
        let budget = BodyBudget::new(64);
        let body = frames(&[b"half", b"", b"open"]);
        let held = read(body, Framing::Plain, 64, SECOND, &budget).await.expect("a small body");
        assert_eq!((&held.bytes[..], budget.held()), (&b"halfopen"[..], 8));
        assert_eq!(held.without_first(4).bytes, "open");
        assert_eq!(budget.held(), 0);
    }

    #[tokio::test]
    async fn what_is_too_large_is_known_from_its_header() {
        let budget = BodyBudget::new(64);
        let body = frames(&[b"\0\0\0\x01", b"\0..."]);
        let refused = read(body, Framing::Grpc, 32, SECOND, &budget).await.map(|held| held.bytes);
        assert_eq!(refused, Err(BodyError::TooLarge { limit: 32 }));
        let body = Full::new(Bytes::from_static(&[b'x'; 33]));
        let refused = read(body, Framing::Plain, 32, SECOND, &budget).await.map(|held| held.bytes);
        assert_eq!(refused, Err(BodyError::TooLarge { limit: 32 }));
    }

    #[tokio::test]
    async fn all_bodies_together_are_bounded() {
        let budget = BodyBudget::new(10);
        let one = read(frames(&[b"sixsix"]), Framing::Plain, 64, SECOND, &budget).await;
        let two = read(frames(&[b"sixsix"]), Framing::Plain, 64, SECOND, &budget).await;
        assert_eq!(two.map(|held| held.bytes), Err(BodyError::NoRoom));
        drop(one);
        assert!(read(frames(&[b"sixsix"]), Framing::Plain, 64, SECOND, &budget).await.is_ok());
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_slow() {
        let body = StreamBody::new(stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
        let soon = Duration::from_millis(5);
        let refused = read(body, Framing::Plain, 64, soon, &BodyBudget::new(64)).await;
        assert_eq!(refused.map(|held| held.bytes), Err(BodyError::Slow { seconds: 0 }));
    }
}
