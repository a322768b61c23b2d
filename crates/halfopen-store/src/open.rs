//! Opening a folder: catalogue, WAL, leftovers of a crash. Segments are not read for it.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use halfopen_model::{Clock, Table};

use crate::catalogue::{self, Catalogue, Content, State as SegmentState};
use crate::config::StoreConfig;
use crate::crash::{Crash, CrashPoint};
use crate::error::StoreError;
use crate::folder::{FORMAT, Folder};
use crate::hot::{Generation, HotBatch};
use crate::index;
use crate::intake::Intake;
use crate::merges;
use crate::report::OpenReport;
use crate::retain::is_entry;
use crate::seen::{Seen, mark};
use crate::segment::Segment;
use crate::segment::write::WRITE_BYTES;
use crate::shared::{Keeping, Lost, Parts, PerTable, Shared, State};
use crate::wal::file::WalFiles;
use crate::wal::frame::Part;
use crate::wal::replay::{Reading, Replay};

/// Smallest sensible bound: room to seal, and some large requests of senders with their frames.
const HOT_BYTES_MIN: usize = 64 * 1024 * 1024;
const _: () = assert!(HOT_BYTES_MIN >= 2 * WRITE_BYTES);

/// An opened folder.
pub(crate) struct Opened {
    pub(crate) shared: Shared,
    pub(crate) next_sequence: u64,
    pub(crate) report: OpenReport,
}

/// Opens the folder of `config`.
pub(crate) async fn open(
    config: StoreConfig,
    clock: Arc<dyn Clock>,
    read_only: bool,
    crash: Crash,
) -> Result<Opened, StoreError> {
    let begin = Instant::now();
    check(&config)?;
    let (folder, lock) = match read_only {
        true => Folder::existing(&config.folder)?,
        false => Folder::create(&config.folder)?,
    };
    let mut report = OpenReport::default();
    let mut catalogue = catalogue::open(&folder, &config, read_only).await?;
    if !read_only && folder.format()? < FORMAT {
        // The catalogue was upgraded when it was opened; everything else stays as it is.
        crash.at(CrashPoint::UpgradeHalf);
        folder.upgraded()?;
    }
    let content = match &mut catalogue {
        Some(catalogue) => catalogue.content().await?,
        None => Content::default(),
    };
    let (sealed, snapshot, cuts) = (content.wal_sealed, content.snapshot, content.cuts);
    let ids = content.segments.iter().map(|(info, _)| info.id);
    let ids = ids.chain(content.leftovers.iter().map(|(id, _)| *id));
    let next_segment_id = ids.map(|id| id + 1).max().unwrap_or(1);
    let mut keeping = catalogue.as_mut().filter(|_| !read_only);
    let left: Vec<String> = content.leftovers.iter().map(|(_, file)| file.clone()).collect();
    sweep(&folder, &content.leftovers, keeping.as_deref_mut(), &mut report).await?;
    let files = list_segments(&folder)?;
    let (segments, lost) = serve_present(&folder, content, &files, keeping, &mut report).await?;
    let mut seen = Seen::new();
    let (active, replay) = replay(&folder, sealed, read_only, &mut seen, &mut report)?;
    let known = segments.iter().flat_map(|list| list.iter().map(|s| s.info.file.clone()));
    let lost_files = lost.iter().flat_map(|list| list.iter().map(|l| l.info.file.clone()));
    let known: HashSet<String> = known.chain(lost_files).chain(left).collect();
    let orphans = Orphans { known: &known, sealed, replay: &replay, read_only };
    let last_file = orphans.clear(&folder, &files, &mut report);
    if !read_only {
        Table::ALL.into_iter().for_each(|table| index::tidy(&folder.segments(table)));
    }
    let state = State { active, sealing: None, segments, lost, cuts, sealed, snapshot };
    let shared = Shared::new(Parts {
        config,
        clock,
        folder,
        lock,
        read_only,
        intake: Intake::new(seen),
        wal_files: WalFiles::new(replay.files),
        crash,
        keeping: Keeping { catalogue, pending: None, next_segment_id },
        state,
    });
    shared
        .counters
        .damaged_frames
        .store(report.damaged_frames, std::sync::atomic::Ordering::Relaxed);
    report.took = begin.elapsed();
    let next_sequence = replay.last_sequence.max(last_file).max(sealed) + 1;
    Ok(Opened { shared, next_sequence, report })
}

/// Removes files that the catalogue has let go, and those of a merge that was interrupted.
async fn sweep(
    folder: &Folder,
    leftovers: &[(i64, String)],
    catalogue: Option<&mut Catalogue>,
    report: &mut OpenReport,
) -> Result<(), StoreError> {
    let Some(catalogue) = catalogue.filter(|_| !leftovers.is_empty()) else { return Ok(()) };
    for (_, file) in leftovers {
        let path = folder.path(file);
        report.orphans += u64::from(fs::remove_file(&path).is_ok());
        let _ = fs::remove_file(path.with_extension("tmp"));
    }
    merges::tidy(folder);
    let ids: Vec<i64> = leftovers.iter().map(|(id, _)| *id).collect();
    catalogue.forget(&ids).await
}

fn check(config: &StoreConfig) -> Result<(), StoreError> {
    let refuse = |name, value: String, reason| Err(StoreError::Setting { name, value, reason });
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if config.node.is_empty() || !config.node.chars().all(plain) {
        return refuse("node", config.node.clone(), "it may hold letters, digits, - and _ only");
    }
    if !config.catalogue.is_known() {
        // Not as it was written: it may hold a password.
        let reason = "it takes postgres://USER@HOST:PORT/DATABASE, or nothing for a file";
        return refuse("catalogue", "what it is".to_owned(), reason);
    }
    if config.hot_bytes_max < HOT_BYTES_MIN {
        return refuse(
            "hot_bytes_max",
            config.hot_bytes_max.to_string(),
            "at least 64 MiB are needed",
        );
    }
    if let Some(entry) = config.retention_table_days.iter().find(|entry| !is_entry(entry)) {
        let reason = "it takes a table and a number of days, such as metrics=90";
        return refuse("retention_table_days", entry.clone(), reason);
    }
    let numbers = [
        ("wal_bytes_max", config.wal_bytes_max),
        ("seal_rows", config.seal_rows as u64),
        ("compact_rows", config.compact_rows as u64),
        ("compact_bytes", config.compact_bytes),
        ("seal_bytes", config.seal_bytes as u64),
        ("query_memory_bytes_max", config.query_memory_bytes_max as u64),
        ("query_seconds_max", config.query_seconds_max),
        ("query_rows_max", config.query_rows_max as u64),
    ];
    match numbers.into_iter().find(|(_, value)| *value == 0) {
        Some((name, _)) => refuse(name, "0".to_owned(), "it must be larger"),
        None => Ok(()),
    }
}

/// The files in the folders of segments, as the catalogue names them; side files are left out.
pub(crate) fn list_segments(folder: &Folder) -> Result<HashSet<String>, StoreError> {
    let mut files = HashSet::new();
    for table in Table::ALL {
        let path = folder.segments(table);
        let Ok(entries) = fs::read_dir(&path) else { continue };
        for entry in entries {
            let entry = entry.map_err(StoreError::file("list", &path))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.ends_with(index::EXTENSION) && !name.ends_with(index::UNFINISHED) {
                files.insert(format!("segments/{table}/{name}"));
            }
        }
    }
    Ok(files)
}

type Served = PerTable<Arc<Vec<Arc<Segment>>>>;

async fn serve_present(
    folder: &Folder,
    content: Content,
    files: &HashSet<String>,
    mut catalogue: Option<&mut Catalogue>,
    report: &mut OpenReport,
) -> Result<(Served, PerTable<Arc<Vec<Lost>>>), StoreError> {
    let mut segments: PerTable<Vec<Arc<Segment>>> = Default::default();
    let mut lost: PerTable<Vec<Lost>> = Default::default();
    for (info, state) in content.segments {
        let reason = match state {
            SegmentState::Leftover => continue,
            SegmentState::Damaged(reason) => Some(reason),
            SegmentState::Served if files.contains(&info.file) => None,
            SegmentState::Served => {
                let reason = "its file is missing".to_owned();
                if let Some(catalogue) = &mut catalogue {
                    catalogue.set_damaged(info.id, &reason).await?;
                }
                Some(reason)
            }
        };
        let place = info.table as usize;
        match reason {
            None => {
                report.segments += 1;
                report.segment_rows += info.rows;
                report.segment_bytes += info.bytes;
                let path = folder.path(&info.file);
                segments[place].push(Arc::new(Segment::new(info, path)));
            }
            Some(reason) => {
                let gone = Lost { info, reason };
                report.damaged_segments += 1;
                report.notes.push(gone.words());
                lost[place].push(gone);
            }
        }
    }
    Ok((segments.map(Arc::new), lost.map(Arc::new)))
}

fn replay(
    folder: &Folder,
    sealed: u64,
    read_only: bool,
    seen: &mut Seen,
    report: &mut OpenReport,
) -> Result<(Generation, Replay), StoreError> {
    let wal = folder.path("wal");
    let damaged = folder.path("damaged");
    let mut active = Generation::default();
    if read_only && !wal.exists() {
        return Ok((active, Replay { last_sequence: sealed, ..Replay::default() }));
    }
    let reading =
        Reading { folder: &wal, damaged: (!read_only).then_some(damaged.as_path()), sealed };
    let mut rows = 0;
    let replay = reading.replay(|sequence, parts| {
        active.last_sequence = sequence;
        for part in parts {
            if let Some(part) = only_new(part, seen) {
                rows += part.rows.num_rows() as u64;
                let batch = HotBatch::new(part.table, part.rows, part.fingerprints);
                active.push(part.table, batch);
            }
        }
    })?;
    report.replayed_rows = rows;
    report.replayed_frames = replay.frames;
    report.replayed_bytes = replay.bytes;
    report.torn_bytes = replay.torn_bytes;
    report.damaged_frames = replay.damaged;
    report.notes.extend(replay.notes.iter().cloned());
    Ok((active, replay))
}

/// After a failed write the same rows may be in the log twice.
fn only_new(part: Part, seen: &mut Seen) -> Option<Part> {
    let marks = part.fingerprints.iter().map(|f| mark(part.table, *f));
    let new: Vec<bool> = marks.map(|mark| seen.insert(mark)).collect();
    if !new.contains(&false) {
        return Some(part);
    }
    let kept = part.fingerprints.iter().zip(&new).filter(|(_, new)| **new).map(|(f, _)| *f);
    let fingerprints = kept.collect::<Vec<_>>();
    let rows = arrow::compute::filter_record_batch(&part.rows, &new.into()).ok()?;
    (rows.num_rows() > 0).then_some(Part { table: part.table, rows, fingerprints })
}

/// What is said of a file that the catalogue does not know.
pub(crate) const UNOWNED: &str = " is not in the catalogue; it is not served";

/// Files in the folders of segments that the catalogue does not know.
struct Orphans<'a> {
    known: &'a HashSet<String>,
    sealed: u64,
    replay: &'a Replay,
    read_only: bool,
}

impl Orphans<'_> {
    /// Removes what an interrupted seal left behind: unfinished files, and segments whose rows
    /// came back from the WAL. Anything else stays where it is. The highest frame number that a
    /// file name holds.
    fn clear(&self, folder: &Folder, files: &HashSet<String>, report: &mut OpenReport) -> u64 {
        let mut last = 0;
        for file in files {
            let sequence = sequence_of(file).unwrap_or_default();
            last = last.max(sequence);
            if self.known.contains(file) {
                continue;
            }
            let back = self.replay.first_sequence == self.sealed + 1
                && (self.sealed + 1..=self.replay.last_sequence).contains(&sequence);
            if !back && !file.ends_with(".tmp") {
                report.notes.push(format!("{file}{UNOWNED}"));
            } else if !self.read_only && fs::remove_file(folder.path(file)).is_ok() {
                report.orphans += 1;
            }
        }
        last
    }
}

pub(crate) fn sequence_of(file: &str) -> Option<u64> {
    Path::new(file).file_name()?.to_str()?.split('-').nth(1)?.parse().ok()
}
