//! Files of segments that are not served any more. They stay until the longest query is over and
//! no reader of ours holds them; readers of other programs have that long as well.

use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::crash::CrashPoint;
use crate::index;
use crate::merges;
use crate::segment::Segment;
use crate::shared::Shared;
use crate::{recent, seal};

/// A segment that was let go.
#[derive(Debug)]
pub(crate) struct Leaving {
    id: i64,
    file: String,
    bytes: u64,
    since: Instant,
    readers: Weak<Segment>,
}

/// Takes note of segments that the catalogue has let go.
pub(crate) fn later(shared: &Shared, segments: &[Arc<Segment>]) {
    let mut leaving = shared.leaving.lock().unwrap_or_else(PoisonError::into_inner);
    leaving.extend(segments.iter().map(|segment| Leaving {
        id: segment.info.id,
        file: segment.info.file.clone(),
        bytes: segment.info.bytes,
        since: Instant::now(),
        readers: Arc::downgrade(segment),
    }));
}

/// Files that wait for their deletion, and their bytes.
pub(crate) fn waiting(shared: &Shared) -> (u64, u64) {
    let leaving = shared.leaving.lock().unwrap_or_else(PoisonError::into_inner);
    (leaving.len() as u64, leaving.iter().map(|one| one.bytes).sum())
}

/// Deletes files that left at least `after` ago and that nobody reads; how many.
pub(crate) async fn delete(shared: &Shared, after: Duration) -> u64 {
    recent::prune(&shared.folder.path("seen"), seal::remembered_since(shared));
    let due = due(shared, after);
    if due.is_empty() {
        return 0;
    }
    let mut keeping = shared.keeping.lock().await;
    let mut deleted = Vec::new();
    for one in due {
        let path = shared.folder.path(&one.file);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(file = %one.file, error = %error, "segment was not deleted");
            }
            _ => {
                let _ = std::fs::remove_file(index::path_of(&path));
                deleted.push(one.id);
            }
        }
        shared.crash.at(CrashPoint::FileDeleted);
    }
    merges::tidy(&shared.folder);
    if let Some(catalogue) = &mut keeping.catalogue
        && let Err(error) = catalogue.forget(&deleted).await
    {
        // The next start finds that the files are gone.
        tracing::warn!(error = &error as &dyn std::error::Error, "deleted segments stay listed");
    }
    deleted.len() as u64
}

fn due(shared: &Shared, after: Duration) -> Vec<Leaving> {
    let mut leaving = shared.leaving.lock().unwrap_or_else(PoisonError::into_inner);
    let is_due = |one: &mut Leaving| {
        // Open files are kept for the next reader, and there is none.
        shared.open_segments.forget(one.id);
        one.since.elapsed() >= after && one.readers.strong_count() == 0
    };
    leaving.extract_if(.., is_due).collect()
}
