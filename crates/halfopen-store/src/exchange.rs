//! An exchange of segments whose answer may be lost on the way.
//!
//! **Invariant:** whoever made an exchange learns whether it was made before any file is deleted.
//! A file that the catalogue may name stays.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::MutexGuard;

use crate::catalogue::Exchange;
use crate::error::StoreError;
use crate::shared::{Keeping, Shared};

/// Between two questions to a catalogue that was out of reach: from, and at most.
const ASK_AGAIN_MIN: Duration = Duration::from_millis(250);
const ASK_AGAIN_MAX: Duration = Duration::from_secs(4);

/// What became of an exchange.
pub(crate) enum Made {
    Yes,
    /// Nothing of it.
    No(StoreError),
}

/// Makes an exchange that lets at least one segment go. Where the answer is lost the catalogue is
/// asked until it says whether it was made; others may use the catalogue meanwhile.
///
/// # Errors
/// When the store ends before that is known: the next start reads it from the catalogue.
pub(crate) async fn make<'a>(
    shared: &'a Shared,
    mut keeping: MutexGuard<'a, Keeping>,
    exchange: &Exchange<'_>,
) -> Result<(Made, MutexGuard<'a, Keeping>), StoreError> {
    let closed = || StoreError::NotWritable("closed");
    let catalogue = keeping.catalogue.as_mut().ok_or_else(closed)?;
    let Err(error) = catalogue.exchange(exchange).await else { return Ok((Made::Yes, keeping)) };
    // Without a session nothing was begun.
    let Some(first) = exchange.gone.first().filter(|_| !error.is_out_of_reach()) else {
        return Ok((Made::No(error), keeping));
    };
    let mut wait = ASK_AGAIN_MIN;
    loop {
        let catalogue = keeping.catalogue.as_mut().ok_or_else(closed)?;
        match catalogue.has_let_go(*first).await {
            Ok(true) => return Ok((Made::Yes, keeping)),
            Ok(false) => return Ok((Made::No(error), keeping)),
            Err(_) if shared.stopping.load(Ordering::Relaxed) => return Err(error),
            Err(_) => {}
        }
        drop(keeping);
        tokio::time::sleep(wait).await;
        wait = (2 * wait).min(ASK_AGAIN_MAX);
        keeping = shared.keeping.lock().await;
    }
}
