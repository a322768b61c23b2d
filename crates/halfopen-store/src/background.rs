//! Work in threads of its own: sealing and tidying. Work that can wait stands back where others
//! need the processor: a sender that waits for its acknowledgement, and a query, go first.

use tokio::sync::oneshot;

/// Whether work can wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Haste {
    /// It stands back.
    Idle,
    /// It makes room that senders will need soon.
    Pressing,
}

/// How far such a thread stands back: `nice` goes from -20 to 19, everything else runs at 0.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Runs `work` in a thread of its own. `None` when it panicked or no thread could be made.
pub(crate) async fn run<T: Send + 'static>(
    name: &str,
    haste: Haste,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (done, result) = oneshot::channel();
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        if haste == Haste::Idle {
            stand_back();
        }
        // Who asked may be gone; the work is done all the same.
        let _ = done.send(work());
    });
    if let Err(error) = thread {
        tracing::error!(error = %error, thread = name, "a thread could not be made");
        return None;
    }
    result.await.ok()
}

/// On Linux a priority belongs to a thread; elsewhere it would hold back the whole process.
fn stand_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(error = %error, "a background thread keeps its priority");
    }
}

#[cfg(test)]
mod tests {
    use super::{Haste, run};

    #[tokio::test]
    async fn work_is_done_and_a_panic_is_an_answer() {
        assert_eq!(run("test", Haste::Idle, || 7).await, Some(7));
        let broken: Option<()> = run("test", Haste::Idle, || panic!("as it should")).await;
        assert_eq!(broken, None);
    }
}
