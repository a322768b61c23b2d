//! Room for answers: they lie in memory until they are read, also those of connections that do
//! not read.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::busy;

/// All answers that are not read yet: eight of the largest.
pub(super) const ANSWERS_BYTES_MAX: usize = 256 << 20;
/// Answers up to here are not counted: connections and their streams are.
const SMALL_BYTES_MAX: u64 = 64 << 10;
/// What an answer of JSON lines counts for, whose length is not known ahead.
const UNKNOWN_BYTES: u64 = 16 << 20;

/// The bound on answers that are not read yet.
pub(super) struct AnswerRoom {
    permits: Arc<Semaphore>,
    bytes_max: usize,
}

impl AnswerRoom {
    pub(super) fn new(bytes_max: usize) -> AnswerRoom {
        AnswerRoom { permits: Arc::new(Semaphore::new(bytes_max)), bytes_max }
    }

    /// Bytes held at the moment.
    pub(super) fn held(&self) -> usize {
        self.bytes_max.saturating_sub(self.permits.available_permits())
    }

    /// Keeps the room of an answer taken until it is read, or refuses it. One that is larger than
    /// all of the room passes when it is alone.
    pub(super) fn keep(&self, response: Response) -> Response {
        let hint = http_body::Body::size_hint(response.body());
        let bytes = hint.exact().unwrap_or(UNKNOWN_BYTES);
        if bytes <= SMALL_BYTES_MAX {
            return response;
        }
        let count = usize::try_from(bytes).unwrap_or(usize::MAX).min(self.bytes_max);
        let permits = Arc::clone(&self.permits);
        let permit =
            u32::try_from(count).ok().and_then(|count| permits.try_acquire_many_owned(count).ok());
        match permit {
            Some(permit) => response.map(|body| Body::new(Kept { body, _permit: permit })),
            None => busy("answers that nobody has read yet fill their bound")
                .hint("read answers as they come, ask for less, or ask again")
                .into_response(),
        }
    }
}

/// An answer with its room.
struct Kept {
    body: Body,
    _permit: OwnedSemaphorePermit,
}

impl http_body::Body for Kept {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(bytes: usize) -> Response {
        Response::new(Body::from(vec![b'x'; bytes]))
    }

    #[test]
    fn answers_that_are_not_read_are_bounded() {
        let room = AnswerRoom::new(1 << 20);
        let one = room.keep(answer(600 << 10));
        assert_eq!((one.status().as_u16(), room.held()), (200, 600 << 10));
        let two = room.keep(answer(600 << 10));
        assert_eq!((two.status().as_u16(), two.headers().contains_key("retry-after")), (429, true));
        assert_eq!(room.keep(answer(10)).status(), 200, "small ones are not counted");
        drop(one);
        assert_eq!(room.held(), 0);
        let alone = room.keep(answer(5 << 20));
        assert_eq!((alone.status().as_u16(), room.held()), (200, 1 << 20));
        assert_eq!(room.keep(answer(600 << 10)).status(), 429);
    }
}
