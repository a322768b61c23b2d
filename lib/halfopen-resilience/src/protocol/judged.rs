//! A protocol whose answers mean something else to somebody.

use super::{Protocol, Verdict};
use crate::wire::Outgoing;
use tokio::time::Instant;

/// A protocol as it is, but for what results mean: `judge` gets each result with the verdict of
/// the protocol beneath, and has the last word.
///
/// ```
/// use halfopen_resilience::Stack;
/// use halfopen_resilience::protocol::{Badness, Http, Judged, Verdict};
/// use http::Response;
///
/// /// In this shop 500 is an exception that nobody caught, which the next try would throw again.
/// fn judge<C, E>(result: Result<&Response<C>, &E>, verdict: Verdict) -> Verdict {
///     match result {
///         Ok(answer) if answer.status() == 500 => Verdict::Bad(Badness::lasting("500")),
///         _ => verdict,
///     }
/// }
///
/// type Judge = fn(Result<&Response<String>, &std::io::Error>, Verdict) -> Verdict;
/// let stack = Stack::client("orders", Judged::new(Http, judge as Judge));
/// # drop(stack);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Judged<P, F> {
    protocol: P,
    judge: F,
}

impl<P, F> Judged<P, F> {
    /// `protocol`, with `judge` to say what results mean.
    pub fn new(protocol: P, judge: F) -> Judged<P, F> {
        Judged { protocol, judge }
    }
}

impl<P, F, R, A, E> Protocol<R, A, E> for Judged<P, F>
where
    P: Protocol<R, A, E>,
    F: Fn(Result<&A, &E>, Verdict) -> Verdict + Clone,
{
    fn judge(&self, result: Result<&A, &E>) -> Verdict {
        (self.judge)(result, self.protocol.judge(result))
    }

    fn copy(&self, request: &R) -> Option<R> {
        self.protocol.copy(request)
    }

    fn is_repeatable(&self, request: &R) -> bool {
        self.protocol.is_repeatable(request)
    }

    fn write(&self, outgoing: &Outgoing<'_>, request: &mut R, now: Instant) {
        self.protocol.write(outgoing, request, now);
    }

    fn returned(&self, answer: &A) -> Option<u32> {
        self.protocol.returned(answer)
    }

    fn route(&self, request: &R) -> &'static str {
        self.protocol.route(request)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Badness, Http};
    use super::*;
    use http::{Request, Response};
    use std::convert::Infallible;

    type Judge = fn(Result<&Response<()>, &Infallible>, Verdict) -> Verdict;

    fn judge(result: Result<&Response<()>, &Infallible>, verdict: Verdict) -> Verdict {
        match result {
            Ok(answer) if answer.status() == 500 => Verdict::Bad(Badness::lasting("500")),
            _ => verdict,
        }
    }

    #[test]
    fn it_has_the_last_word_and_changes_nothing_else() {
        let judged = Judged::new(Http, judge as Judge);
        let verdict = |status: u16| {
            let mut answer = Response::new(());
            *answer.status_mut() = http::StatusCode::from_u16(status).unwrap();
            Protocol::<Request<()>, _, _>::judge(&judged, Ok(&answer))
        };
        assert_eq!(verdict(500), Verdict::Bad(Badness::lasting("500")));
        assert_eq!(verdict(502), Verdict::Bad(Badness::retryable("502")));
        assert_eq!(verdict(404), Verdict::Good);
        let post = Request::post("/").body(()).unwrap();
        let repeatable = |request: &Request<()>| {
            Protocol::<_, Response<()>, Infallible>::is_repeatable(&judged, request)
        };
        assert!(!repeatable(&post));
        assert!(repeatable(&Request::new(())));
    }
}
