//! Looks at everything in a folder, and makes a lost catalogue again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use halfopen_model::Clock;

use crate::config::StoreConfig;
use crate::crash::Crash;
use crate::error::StoreError;
use crate::open;
use crate::report::OpenReport;
use crate::segment::Segment;
use crate::segment::verify::verify;
use crate::shared::Shared;

mod rebuild;

pub use rebuild::{RebuildReport, rebuild};

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Segments that were read whole.
    pub segments: u64,
    /// Their rows.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Frames of the write-ahead log that were read.
    pub log_frames: u64,
    /// Their rows.
    pub log_rows: u64,
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
    /// How long it took.
    pub took: Duration,
}

/// Something that is wrong in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, from the folder on.
    pub file: String,
    /// What is wrong with it.
    pub what: String,
}

/// Reads every byte of a folder that no other process holds, and compares what can be compared.
/// Nothing is changed.
///
/// # Errors
/// When the folder of `config` is not there, is held by another process, or its catalogue cannot
/// be read.
pub async fn check(config: StoreConfig, clock: Arc<dyn Clock>) -> Result<CheckReport, StoreError> {
    let begin = Instant::now();
    let opened = open::open(config, clock, true, Crash::default()).await?;
    let mut report = CheckReport {
        log_frames: opened.report.replayed_frames,
        log_rows: opened.report.replayed_rows,
        ..CheckReport::default()
    };
    let mut add = |file: &str, what: String| {
        report.problems.push(Problem { file: file.to_owned(), what });
    };
    let shared = Arc::new(opened.shared);
    if let Some(what) = catalogue_problem(&shared).await? {
        add("catalogue", what);
    }
    if opened.report.damaged_frames > 0 || opened.report.torn_bytes > 0 {
        let OpenReport { damaged_frames, torn_bytes, .. } = &opened.report;
        let what = format!("{damaged_frames} damaged frames, {torn_bytes} bytes of a torn end");
        add("wal", what);
    }
    let view = shared.view();
    for lost in view.lost.iter().flat_map(|list| list.iter()) {
        add(&lost.info.file, format!("{} rows are set aside: {}", lost.info.rows, lost.reason));
    }
    let segments: Vec<Arc<Segment>> =
        view.segments.iter().flat_map(|list| list.iter().cloned()).collect();
    for note in opened.report.notes.iter().filter(|note| note.ends_with(open::UNOWNED)) {
        let file = note.strip_suffix(open::UNOWNED).unwrap_or(note);
        add(file.trim(), open::UNOWNED.trim().to_owned());
    }
    for segment in segments {
        let info = segment.info.clone();
        let found = tokio::task::spawn_blocking(move || verify(&segment)).await;
        let found = found.map_err(|_| StoreError::Gone { thread: "checker" })?;
        report.segments += 1;
        report.rows += info.rows;
        report.bytes += info.bytes;
        let problems = found.into_iter().map(|what| Problem { file: info.file.clone(), what });
        report.problems.extend(problems);
    }
    shared.unlock();
    report.took = begin.elapsed();
    Ok(report)
}

async fn catalogue_problem(shared: &Shared) -> Result<Option<String>, StoreError> {
    match &mut shared.keeping.lock().await.catalogue {
        None => Ok(Some("it is missing".to_owned())),
        Some(catalogue) => catalogue.problem().await,
    }
}
