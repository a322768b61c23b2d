//! Answers on their way to whoever asked: those that are not read in time cost memory, so the
//! connection is told how old the oldest one is.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::Instant;

/// An answer is handed over in pieces of this size: what was handed over counts as delivered.
const PIECE_BYTES: usize = 64 << 10;

/// Answers of one connection that are not delivered yet.
#[derive(Default)]
pub(super) struct Deliveries {
    under_way: Mutex<UnderWay>,
    first: Notify,
}

#[derive(Default)]
struct UnderWay {
    begun: BTreeMap<u64, Instant>,
    next: u64,
}

impl Deliveries {
    /// Watches an answer until it was handed over or given up.
    pub(super) fn watch(self: &Arc<Deliveries>, body: Body) -> Body {
        if http_body::Body::is_end_stream(&body) {
            return body;
        }
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let number = under_way.next;
        under_way.next += 1;
        under_way.begun.insert(number, Instant::now());
        if under_way.begun.len() == 1 {
            self.first.notify_one();
        }
        drop(under_way);
        let delivery = Delivery { deliveries: Arc::clone(self), number };
        Body::new(Delivered { body, rest: Bytes::new(), _delivery: delivery })
    }

    /// Since when the oldest one is under way.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.begun.first_key_value().map(|(_, begun)| *begun)
    }

    /// Waits until one begins while there is none.
    pub(super) async fn begun(&self) {
        self.first.notified().await;
    }
}

/// Under way until it is dropped.
struct Delivery {
    deliveries: Arc<Deliveries>,
    number: u64,
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let mut under_way =
            self.deliveries.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.begun.remove(&self.number);
    }
}

/// An answer in pieces. It says that it has ended only when it is asked for more: so HTTP/2 keeps
/// it until the piece before has left, and a peer that gives no room for it is noticed.
struct Delivered {
    body: Body,
    rest: Bytes,
    _delivery: Delivery,
}

impl http_body::Body for Delivered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let polled = Pin::new(&mut self.body).poll_frame(context);
            let Poll::Ready(Some(Ok(frame))) = polled else { return polled };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            }
        }
        let length = self.rest.len().min(PIECE_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Body as _;
    use http_body_util::BodyExt as _;

    #[tokio::test]
    async fn an_answer_is_under_way_until_its_last_piece_was_taken() {
        let deliveries = Arc::new(Deliveries::default());
        let bytes = vec![7; PIECE_BYTES + 1];
        let mut body = deliveries.watch(Body::from(bytes.clone()));
        deliveries.begun().await;
        assert_eq!(body.size_hint().exact(), Some(bytes.len() as u64));
        let begun = deliveries.oldest();
        assert!(begun.is_some());
        let mut taken = Vec::new();
        for length in [PIECE_BYTES, 1] {
            let frame = body.frame().await.expect("a piece").expect("memory does not fail");
            let data = frame.into_data().expect("data");
            assert_eq!((data.len(), deliveries.oldest()), (length, begun));
            taken.extend_from_slice(&data);
        }
        assert!(body.frame().await.is_none() && taken == bytes);
        drop(body);
        assert_eq!(deliveries.oldest(), None);
    }

    #[tokio::test]
    async fn nothing_is_under_way_where_there_is_no_body() {
        let deliveries = Arc::new(Deliveries::default());
        let body = deliveries.watch(Body::empty());
        assert!(body.is_end_stream() && deliveries.oldest().is_none());
    }
}
