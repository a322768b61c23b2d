//! Bodies that can be sent again: a retry needs the whole body, a stream is gone once sent.

use bytes::{Buf, Bytes};
use http::Request;
use http_body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

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

    /// All its bytes in one piece; without a copy when they came in one.
    pub fn to_bytes(&self) -> Bytes {
        match self.parts.front() {
            None => Bytes::new(),
            Some(only) if self.parts.len() == 1 => only.clone(),
            Some(_) => self.parts.iter().flatten().copied().collect(),
        }
    }

    /// What came after the bytes: for gRPC, the status of an answer that has a body.
    pub fn trailers(&self) -> Option<&http::HeaderMap> {
        self.trailers.as_ref()
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

/// Holds the bodies of requests, so that what is beneath may send them again: between a client
/// that streams its bodies (a tonic client) and a stack with retries.
#[derive(Clone, Debug)]
pub struct HoldBodyLayer {
    bytes_max: usize,
}

impl HoldBodyLayer {
    /// Bodies up to `bytes_max`; a larger one is an error.
    pub fn new(bytes_max: usize) -> HoldBodyLayer {
        HoldBodyLayer { bytes_max }
    }
}

impl<S> Layer<S> for HoldBodyLayer {
    type Service = HoldBody<S>;

    fn layer(&self, inner: S) -> HoldBody<S> {
        HoldBody { inner, bytes_max: self.bytes_max }
    }
}

/// A client whose bodies are held.
#[derive(Clone, Debug)]
pub struct HoldBody<S> {
    inner: S,
    bytes_max: usize,
}

/// Why a call with a held body failed.
#[derive(Debug, thiserror::Error)]
pub enum HoldBodyError<B, E> {
    /// Its body could not be held.
    #[error("the request was not sent")]
    Body(#[source] WholeBodyError<B>),
    /// What is beneath failed.
    #[error(transparent)]
    Call(E),
}

impl<S, B> Service<Request<B>> for HoldBody<S>
where
    S: Service<Request<WholeBody>> + Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Send,
{
    type Response = S::Response;
    type Error = HoldBodyError<B::Error, S::Error>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(HoldBodyError::Call)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let bytes_max = self.bytes_max;
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = WholeBody::read(body, bytes_max).await.map_err(HoldBodyError::Body)?;
            let request = Request::from_parts(head, body);
            inner.call(request).await.map_err(HoldBodyError::Call)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    fn whole(frames: Vec<Frame<Bytes>>, bytes_max: usize) -> Option<WholeBody> {
        let mut parts = WholeBody::default();
        for frame in frames {
            match frame.into_data() {
                Ok(data) => parts.parts.push_back(data),
                Err(frame) => parts.trailers = frame.into_trailers().ok(),
            }
        }
        let read = std::pin::pin!(WholeBody::read(parts, bytes_max));
        match read.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(read) => read.ok(),
            Poll::Pending => None,
        }
    }

    #[test]
    fn parts_and_trailers_of_an_answer_can_be_looked_at() {
        let status = http::HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            http::HeaderValue::from_static("13"),
        )]);
        let parts = [&b"one "[..], b"two"].map(|part| Frame::data(Bytes::from_static(part)));
        let frames = parts.into_iter().chain([Frame::trailers(status)]).collect();
        let body = whole(frames, 7).expect("seven bytes fit into seven");
        assert_eq!(body.to_bytes(), "one two");
        assert_eq!(body.trailers().map(|trailers| &trailers["grpc-status"]).unwrap(), "13");
        assert_eq!(body.clone().to_bytes(), body.to_bytes(), "looking takes nothing away");
        assert_eq!(WholeBody::default().to_bytes(), "");
    }

    #[test]
    fn a_body_beyond_its_bound_is_not_held() {
        assert!(whole(vec![Frame::data(Bytes::from_static(b"12345678"))], 7).is_none());
    }
}
