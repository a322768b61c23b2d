//! Reading the body of a request: bounded in size, in time, and in what all bodies together hold.
//!
//! **Invariant:** bytes of a body are in memory only while a permit for as many is held, of all
//! bodies and of those of its sender.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::guard::Caller;
use crate::guard::audit::Reason;
use crate::guard::limits::Sender;

/// The header in front of a gRPC message: a flag and four bytes of length.
pub(crate) const GRPC_HEADER_BYTES: usize = 5;

/// A body that is refused is still read to its end up to here, because a sender that is cut off
/// while it writes sees a broken pipe in place of the answer.
const DRAIN_BYTES_MAX: usize = 64 << 20;

/// A body that nobody may send is read up to here and for so long, for the same reason.
const DISCARD_BYTES_MAX: usize = 1 << 20;
const DISCARD_MAX: Duration = Duration::from_secs(2);

/// What all bodies together may hold, and whose body it is.
#[derive(Clone, Debug)]
pub(crate) struct BodyBudget {
    permits: Arc<Semaphore>,
    bytes_max: usize,
    caller: Option<Arc<Caller>>,
}

impl BodyBudget {
    pub(crate) fn new(bytes_max: usize) -> BodyBudget {
        BodyBudget { permits: Arc::new(Semaphore::new(bytes_max)), bytes_max, caller: None }
    }

    /// The same room, for the body of one request.
    pub(crate) fn of(&self, extensions: &http::Extensions) -> BodyBudget {
        BodyBudget { caller: extensions.get().cloned(), ..self.clone() }
    }

    /// Bytes held at the moment.
    pub(crate) fn held(&self) -> usize {
        self.bytes_max.saturating_sub(self.permits.available_permits())
    }

    fn take(&self, bytes: usize) -> Result<Room, BodyError> {
        let sender = self.sender().cloned();
        if sender.as_ref().is_some_and(|sender| !sender.hold(bytes)) {
            self.refused(Reason::Bodies);
            return Err(BodyError::Share);
        }
        let count = u32::try_from(bytes).ok();
        let permits = Arc::clone(&self.permits);
        match count.and_then(|count| permits.try_acquire_many_owned(count).ok()) {
            Some(permit) => Ok(Room { permit, sender }),
            None => {
                sender.inspect(|sender| sender.release(bytes));
                Err(BodyError::NoRoom)
            }
        }
    }

    fn sender(&self) -> Option<&Arc<Sender>> {
        self.caller.as_ref()?.sender()
    }

    fn charge(&self, bytes: usize) {
        if let Some(sender) = self.sender() {
            sender.charge(bytes, Instant::now());
        }
    }

    fn refused(&self, reason: Reason) {
        if let Some(caller) = &self.caller {
            caller.refused(reason);
        }
    }
}

/// Room for bytes in memory.
#[derive(Debug)]
struct Room {
    permit: OwnedSemaphorePermit,
    sender: Option<Arc<Sender>>,
}

impl Room {
    fn bytes(&self) -> usize {
        self.permit.num_permits()
    }

    /// More of the same sender.
    fn add(&mut self, mut more: Room) {
        if let Some(permit) = more.permit.split(more.bytes()) {
            self.permit.merge(permit);
        }
        // Its bytes are given back together with ours.
        more.sender = None;
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(sender) = &self.sender {
            sender.release(self.bytes());
        }
    }
}

/// A body in memory, with the permit for its bytes.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) bytes: Bytes,
    _room: Room,
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
    #[error("the bodies of this sender fill the part that one sender may fill")]
    Share,
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
    tokio::time::timeout(time_max, reading).await.unwrap_or_else(|_| {
        budget.refused(Reason::SlowBody);
        Err(slow)
    })
}

/// Reads a body that is not wanted, within tight bounds.
pub(crate) async fn discard<B>(mut body: B)
where
    B: Body<Data = Bytes> + Unpin,
{
    let _ = tokio::time::timeout(DISCARD_MAX, drain(&mut body, DISCARD_BYTES_MAX, |_| ())).await;
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
        Err(refused @ (BodyError::TooLarge { .. } | BodyError::NoRoom | BodyError::Share)) => {
            drain(&mut body, DRAIN_BYTES_MAX, |bytes| budget.charge(bytes)).await;
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
    let mut room = budget.take(0)?;
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
        budget.charge(data.len());
        let length = whole.len() + only.as_ref().map_or(0, Bytes::len) + data.len();
        if length > bytes_max {
            return Err(BodyError::TooLarge { limit: bytes_max });
        }
        let wanted = length.max(expected.filter(|bytes| *bytes <= bytes_max).unwrap_or(0));
        if wanted > room.bytes() {
            room.add(budget.take(wanted - room.bytes())?);
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
    Ok(Held { bytes, _room: room })
}

/// Header and message, as the header says; `None` while it is not there yet.
fn grpc_length(start: &[u8]) -> Option<usize> {
    let length = start.get(1..GRPC_HEADER_BYTES)?;
    let message = u32::from_be_bytes(length.try_into().ok()?);
    Some(GRPC_HEADER_BYTES + message as usize)
}

async fn drain<B>(body: &mut B, bytes_max: usize, charge: impl Fn(usize))
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut drained = 0;
    while drained < bytes_max {
        let Some(Ok(frame)) = body.frame().await else { return };
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        charge(bytes);
        drained += bytes;
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
