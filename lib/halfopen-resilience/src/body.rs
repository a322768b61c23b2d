//! Bodies that can be sent again: a retry needs the whole body, a stream is gone once sent.

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A body held in memory, so that a request can be sent again. Cloning shares the bytes.
#[derive(Clone, Debug, Default)]
pub struct WholeBody {
    parts: VecDeque<Bytes>,
    trailers: Option<http::HeaderMap>,
}

/// Why a body could not be held.
#[derive(Debug, thiserror::Error)]
pub enum WholeBodyError<E> {
    /// It is larger than allowed.
    #[error("the body is larger than {bytes_max} bytes, too large to be held for a retry")]
    TooLarge {
        /// What is allowed.
        bytes_max: usize,
    },
    /// Reading it failed.
    #[error("the body could not be read to its end")]
    Read(#[source] E),
}

impl WholeBody {
    /// Reads `body` to its end.
    pub async fn read<B: Body>(
        body: B,
        bytes_max: usize,
    ) -> Result<WholeBody, WholeBodyError<B::Error>> {
        let mut body = std::pin::pin!(body);
        let mut whole = WholeBody::default();
        let mut length = 0usize;
        while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            let frame = frame.map_err(WholeBodyError::Read)?;
            match frame.into_data() {
                Ok(mut data) => {
                    length = length.saturating_add(data.remaining());
                    if length > bytes_max {
                        return Err(WholeBodyError::TooLarge { bytes_max });
                    }
                    whole.parts.push_back(data.copy_to_bytes(data.remaining()));
                }
                Err(frame) => whole.trailers = frame.into_trailers().ok(),
            }
        }
        Ok(whole)
    }
}

impl From<Bytes> for WholeBody {
    fn from(bytes: Bytes) -> WholeBody {
        let parts = if bytes.is_empty() { VecDeque::new() } else { VecDeque::from([bytes]) };
        WholeBody { parts, trailers: None }
    }
}

impl Body for WholeBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let data = self.parts.pop_front().map(Frame::data);
        let frame = data.or_else(|| self.trailers.take().map(Frame::trailers));
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.parts.is_empty() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.parts.iter().map(|part| part.len() as u64).sum())
    }
}
