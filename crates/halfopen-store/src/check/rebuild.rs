//! A catalogue made again from what the segments say about themselves.

use std::collections::HashSet;
use std::fs;

use halfopen_model::{Table, UnixNanos};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use xxhash_rust::xxh3::xxh3_64;

use crate::catalogue::Making;
use crate::config::StoreConfig;
use crate::error::StoreError;
use crate::folder::{FORMAT, Folder};
use crate::hot::time_range;
use crate::merges::Merges;
use crate::segment::SegmentInfo;
use crate::segment::check::BLOCK_BYTES;
use crate::segment::write::{LEVEL, trace_bounds};
use crate::{open, recent};

/// What a rebuilding did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RebuildReport {
    /// Segments that are in the new catalogue.
    pub segments: u64,
    /// Their rows.
    pub rows: u64,
    /// Files that are not, with the reason.
    pub left_out: Vec<(String, String)>,
}

/// Makes the catalogue of the folder of `config` again, in the place that the settings name. What
/// was there of it as a file is kept in `damaged/`, a schema of a server stays as it is.
///
/// # Errors
/// When another process holds the folder, or it cannot be read or written.
pub async fn rebuild(config: &StoreConfig) -> Result<RebuildReport, StoreError> {
    let (folder, _lock) = Folder::existing(&config.folder)?;
    if folder.format()? < FORMAT {
        folder.upgraded()?;
    }
    let (found, sealed) = {
        let path = folder.path("");
        let reading = tokio::task::spawn_blocking(move || read_all(&Folder::at(&path)));
        reading.await.map_err(|_| StoreError::Gone { thread: "reader of segments" })??
    };
    // Not the catalogue of the folder until it is whole: a crash leaves no half of one.
    let mut making = Making::begin(&folder, config).await?;
    let mut report = RebuildReport::default();
    let mut infos = Vec::new();
    for (file, read) in found {
        match read {
            Ok((info, node)) => {
                report.segments += 1;
                report.rows += info.rows;
                infos.push((info, node));
            }
            Err(reason) => report.left_out.push((file, reason)),
        }
    }
    infos.sort_by_key(|(info, _)| (info.sealed_at, info.file.clone()));
    for (number, (info, node)) in infos.into_iter().enumerate() {
        let info = SegmentInfo { id: number as i64 + 1, ..info };
        making.catalogue.commit(&[info], &node, sealed, number as u64 + 1).await?;
    }
    making.finish(&folder).await?.close().await?;
    Ok(report)
}

type Found = Vec<(String, Result<(SegmentInfo, String), String>)>;

/// What each file says about itself, and the last frame of the log that is in segments.
fn read_all(folder: &Folder) -> Result<(Found, u64), StoreError> {
    let mut files: Vec<String> = open::list_segments(folder)?.into_iter().collect();
    files.retain(|file| file.ends_with(".parquet"));
    files.sort();
    let sequences = files.iter().filter_map(|file| open::sequence_of(file));
    let sealed = sequences.chain(recent::last_sequence(&folder.path("seen"))).max();
    let mut found: Found = files
        .into_iter()
        .map(|file| {
            let read = read_one(folder, &file);
            (file, read)
        })
        .collect();
    let whole = found.iter().filter(|(_, read)| read.is_ok()).map(|(file, _)| file.clone());
    let superseded = Merges::read(folder).superseded(&whole.collect());
    leave_out(&mut found, &superseded);
    Ok((found, sealed.unwrap_or_default()))
}

fn leave_out(found: &mut Found, superseded: &HashSet<String>) {
    for (file, read) in found {
        if superseded.contains(file) {
            *read = Err("its rows are in another segment as well".to_owned());
        }
    }
}

fn read_one(folder: &Folder, file: &str) -> Result<(SegmentInfo, String), String> {
    let path = folder.path(file);
    let bytes = fs::read(&path).map_err(|error| format!("it cannot be read: {error}"))?;
    let sums = bytes.chunks(BLOCK_BYTES).map(xxh3_64).collect();
    let bytes = bytes::Bytes::from(bytes);
    let length = bytes.len() as u64;
    let unreadable = |error: parquet::errors::ParquetError| format!("it does not read: {error}");
    let footer = ArrowReaderMetadata::load(&bytes, Default::default()).map_err(unreadable)?;
    let entries = footer.metadata().file_metadata().key_value_metadata();
    let say = |key: &str| -> Option<&str> {
        let entry = entries?.iter().find(|entry| entry.key == key)?;
        entry.value.as_deref()
    };
    let missing = || "its footer is not that of a segment".to_owned();
    let number = |key: &str| say(key).and_then(|text| text.parse::<i64>().ok());
    let table: Table = say("halfopen.table").and_then(|t| t.parse().ok()).ok_or_else(missing)?;
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::new_with_metadata(
        bytes,
        footer.clone(),
    );
    let mut info = SegmentInfo {
        id: 0,
        table,
        file: file.to_owned(),
        rows: 0,
        bytes: length,
        range: halfopen_model::TimeRange { from: UnixNanos::MAX, to: UnixNanos::MIN },
        traces: None,
        sums,
        schema_version: number("halfopen.schema_version").ok_or_else(missing)? as u32,
        columns: footer.schema().fields().iter().map(|field| field.name().clone()).collect(),
        sealed_at: UnixNanos(number("halfopen.sealed_at_ns").ok_or_else(missing)?),
        level: number(LEVEL).unwrap_or_default() as u32,
    };
    for rows in reader.build().map_err(unreadable)? {
        let rows = rows.map_err(|error| format!("its rows do not read: {error}"))?;
        info.rows += rows.num_rows() as u64;
        let range = time_range(table, &rows);
        info.range.from = info.range.from.min(range.from);
        info.range.to = info.range.to.max(range.to);
        if let Some((first, last)) = trace_bounds(&rows) {
            let (before, behind) = info.traces.unwrap_or((first, last));
            info.traces = Some((before.min(first), behind.max(last)));
        }
    }
    let node = say("halfopen.node").unwrap_or("node-1").to_owned();
    match number("halfopen.rows") == Some(info.rows as i64) {
        true => Ok((info, node)),
        false => Err(format!("it holds {} rows and not as many as it says", info.rows)),
    }
}
