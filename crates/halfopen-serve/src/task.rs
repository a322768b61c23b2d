//! Tasks with a name. Nothing else in this crate starts one, so that a log line or a dump can say
//! which task it was.

use std::future::Future;

use tokio::task::JoinHandle;
use tracing::{Instrument, error_span};

/// Starts `future` as a task; its log lines carry the name.
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(future.instrument(error_span!("task", name)))
}

/// Lets hyper start the tasks of its HTTP/2 streams here too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamTasks;

impl<F> hyper::rt::Executor<F> for StreamTasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        tokio::spawn(future);
    }
}
