//! The import of a set into stores of its own, through the same code as `halfopen import`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead, Read as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use halfopen_ingest::IngestSettings;
use halfopen_ingest::import::{Format, Group, HEAD_BYTES, ImportSettings, detect, read};
use halfopen_ingest::inflate::inflating;
use halfopen_model::batch::Cells;
use halfopen_model::port::{Match, Scan};
use halfopen_model::time::SECOND_NS;
use halfopen_model::{Clock, ReadEvidence as _, Table, TimeRange, UnixNanos};
use halfopen_serve::desk::{Desk, DeskSettings};
use halfopen_serve::import::{ImportSession, Taken};
use halfopen_store::{Store, StoreConfig};
use tempfile::TempDir;

use super::labels::{Evidence, Set};

/// Rows of a table that are read to count who could be the cause.
const ROWS_MAX: usize = 5_000_000;
/// Things without a time of their own, as the edges of a call graph, happened then.
const TIMELESS: UnixNanos = UnixNanos(1_000_000_000 * SECOND_NS);
/// Now: after everything that is asked about.
pub(super) const NOW: UnixNanos = UnixNanos(1_900_000_000 * SECOND_NS);

/// The time of an evaluation.
pub(super) struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> UnixNanos {
        NOW
    }
}

/// A store with evidence, and a desk over it.
pub(super) struct Stored {
    pub(super) store: Store,
    pub(super) desk: Desk<Store>,
    /// First and behind the last time of the rows of each source: spans, else metrics.
    times: BTreeMap<String, TimeRange>,
    _folder: TempDir,
}

impl Stored {
    /// An empty store in a folder that goes away with it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) async fn empty() -> Result<Stored, String> {
        let folder = TempDir::new().map_err(|error| error.to_string())?;
        let config = StoreConfig::in_folder(folder.path());
        let opened = Store::open(config, Arc::new(Fixed)).await;
        let (store, _) = opened.map_err(|error| error.to_string())?;
        let desk = Desk::new(store.clone(), Arc::new(Fixed), DeskSettings::default());
        Ok(Stored { store, desk, times: BTreeMap::new(), _folder: folder })
    }

    /// A store with the files of one piece of evidence.
    ///
    /// # Errors
    /// When a file cannot be read or its rows are not taken.
    pub(super) async fn import(set: &Set, evidence: &Evidence) -> Result<Stored, String> {
        let mut stored = Stored::empty().await?;
        let mut session = ImportSession::new(stored.store.clone(), IngestSettings::default());
        for path in files(&set.folder, evidence)? {
            let name = path.strip_prefix(&set.folder).unwrap_or(&path).to_string_lossy();
            let name = name.strip_prefix(evidence.root.as_str()).unwrap_or(&name).to_owned();
            let settings = ImportSettings {
                mapping: Some(Arc::clone(&set.mapping)),
                source: name.clone(),
                at: TIMELESS,
                ..ImportSettings::default()
            };
            let wrong = |why: String| format!("could not import \"{name}\" of {}: {why}", set.name);
            for group in groups(&path, &settings).map_err(wrong)? {
                let taken = session.take(&group, &name, TIMELESS).await;
                let taken = taken.map_err(|error| wrong(error.to_string()))?;
                stored.note(&name, &taken);
            }
        }
        Ok(stored)
    }

    fn note(&mut self, name: &str, taken: &Taken) {
        let times = |table| taken.tables.get(&table).and_then(|counts| counts.times);
        let Some((first, last)) = times(Table::Spans).or(times(Table::Metrics)) else { return };
        let range =
            self.times.entry(name.to_owned()).or_insert(TimeRange { from: first, to: last });
        range.from = range.from.min(first);
        range.to = range.to.max(last.shifted(1));
    }

    /// From the first to the last row of the sources whose name begins so.
    pub(super) fn times_of(&self, beginning: &str) -> Option<TimeRange> {
        let of = self.times.iter().filter(|(name, _)| name.starts_with(beginning));
        of.map(|(_, range)| *range).reduce(|one, other| TimeRange {
            from: one.from.min(other.from),
            to: one.to.max(other.to),
        })
    }

    /// All rows of a table.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) async fn rows(
        &self,
        table: Table,
        range: TimeRange,
        columns: Option<&[&str]>,
    ) -> Result<Vec<arrow::array::RecordBatch>, String> {
        let columns = columns.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        let scan = Scan { columns, matching: Match::All, ..Scan::all(table, range, ROWS_MAX) };
        let rows = self.store.read(scan).await.map_err(|error| error.to_string())?;
        Ok(rows.batches)
    }

    /// The different texts of a column.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) async fn texts(
        &self,
        table: Table,
        column: &str,
        range: TimeRange,
    ) -> Result<BTreeSet<String>, String> {
        let mut found = BTreeSet::new();
        for rows in self.rows(table, range, Some(&[column])).await? {
            let cells = Cells::new(&rows);
            let texts = (0..cells.len()).filter_map(|row| cells.text(column, row));
            found.extend(texts.map(str::to_owned));
        }
        Ok(found)
    }

    /// Lets go of the folder.
    pub(super) async fn close(self) {
        self.store.close(Duration::from_secs(60)).await;
    }
}

/// The files of a piece of evidence, by name.
fn files(folder: &Path, evidence: &Evidence) -> Result<Vec<PathBuf>, String> {
    let (mut folders, mut found) = (vec![folder.to_owned()], Vec::new());
    while let Some(inside) = folders.pop() {
        let entries = fs::read_dir(&inside).map_err(|error| error.to_string())?;
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
            let wanted = |beginning: &String| name.starts_with(beginning.as_str());
            match path.is_dir() {
                true => folders.push(path),
                false if evidence.beginnings.iter().any(wanted) => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The evidence of a file; none where the mapping leaves it out or no format fits, as with a
/// folder that is imported.
fn groups(path: &Path, settings: &ImportSettings) -> Result<Vec<Group>, String> {
    let mapping = settings.mapping.as_ref();
    if mapping.is_some_and(|mapping| mapping.ignores(&settings.source)) {
        return Ok(Vec::new());
    }
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut inflated = inflating(file).map_err(|error| error.to_string())?;
    let mut head = Vec::new();
    let format = match mapping.is_some_and(|mapping| mapping.takes(&settings.source)) {
        true => Some(Format::Mapped),
        false => {
            let taken = (&mut inflated).take(HEAD_BYTES as u64).read_to_end(&mut head);
            taken.map_err(|error| error.to_string())?;
            detect(&head).unwrap_or_default()
        }
    };
    let Some(format) = format else { return Ok(Vec::new()) };
    let mut whole: Box<dyn BufRead> = Box::new(head.as_slice().chain(inflated));
    let mut groups = Vec::new();
    let _ = read(format, settings, &mut *whole, &mut |group| {
        groups.push(group);
        ControlFlow::Continue(())
    });
    Ok(groups)
}
