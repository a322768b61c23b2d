//! The answers of `store check`, `store stats` and `store export`.

use halfopen_store::{CheckReport, ExportReport, PartSize, RebuildReport, StoreStats};
use serde::Serialize;

use super::Version;

/// What a check found.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CheckV1 {
    /// Version.
    pub v: Version,
    /// Segments that were read whole.
    pub segments: u64,
    /// Their rows.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rows in the write-ahead log.
    pub log_rows: u64,
    /// Everything that is wrong.
    pub problems: Vec<FileProblemV1>,
    /// What making the catalogue again did, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rebuilt: Option<RebuiltV1>,
}

/// Something that is wrong with a file.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FileProblemV1 {
    /// The file, from the data folder on.
    pub file: String,
    /// What is wrong.
    pub what: String,
}

/// A catalogue that was made again.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct RebuiltV1 {
    /// Segments in it.
    pub segments: u64,
    /// Their rows.
    pub rows: u64,
    /// Files that are not in it.
    pub left_out: Vec<FileProblemV1>,
}

impl From<&CheckReport> for CheckV1 {
    fn from(report: &CheckReport) -> CheckV1 {
        let problem = |problem: &halfopen_store::Problem| FileProblemV1 {
            file: problem.file.clone(),
            what: problem.what.clone(),
        };
        CheckV1 {
            v: Version::THIS,
            segments: report.segments,
            rows: report.rows,
            bytes: report.bytes,
            log_rows: report.log_rows,
            problems: report.problems.iter().map(problem).collect(),
            rebuilt: None,
        }
    }
}

impl From<&RebuildReport> for RebuiltV1 {
    fn from(report: &RebuildReport) -> RebuiltV1 {
        let left_out = report.left_out.iter();
        let left_out =
            left_out.map(|(file, what)| FileProblemV1 { file: file.clone(), what: what.clone() });
        RebuiltV1 { segments: report.segments, rows: report.rows, left_out: left_out.collect() }
    }
}

/// What a folder holds and takes.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct StatsV1 {
    /// Version.
    pub v: Version,
    /// Tables with rows.
    pub tables: Vec<TableStatsV1>,
    /// Every file of the folder, by kind.
    pub files: Vec<PartSizeV1>,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// One table.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TableStatsV1 {
    /// Its name.
    pub table: &'static str,
    /// Rows in the write-ahead log only.
    pub hot_rows: u64,
    /// Rows in segments.
    pub sealed_rows: u64,
    /// Segments.
    pub segments: u64,
    /// Their bytes, with side files.
    pub bytes: u64,
    /// Bytes for each row in segments.
    pub bytes_per_row: Option<f64>,
}

/// Files of one kind.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PartSizeV1 {
    /// What they are.
    pub part: String,
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl StatsV1 {
    /// Of the numbers of a store and the sizes of its files.
    pub fn new(stats: &StoreStats, sizes: &[PartSize]) -> StatsV1 {
        let tables = stats.tables.iter().filter(|table| table.hot_rows + table.sealed_rows > 0);
        let tables = tables.map(|table| {
            let own = format!("segments/{}", table.table);
            let files = sizes.iter().filter(|size| {
                size.part.strip_prefix(&own).is_some_and(|r| r.is_empty() || r.starts_with(' '))
            });
            let bytes: u64 = files.map(|size| size.bytes).sum();
            TableStatsV1 {
                table: table.table.name(),
                hot_rows: table.hot_rows,
                sealed_rows: table.sealed_rows,
                segments: table.segments,
                bytes,
                bytes_per_row: (table.sealed_rows > 0)
                    .then(|| (bytes as f64 / table.sealed_rows as f64 * 10.0).round() / 10.0),
            }
        });
        let part = |size: &PartSize| PartSizeV1 {
            part: size.part.clone(),
            files: size.files,
            bytes: size.bytes,
        };
        StatsV1 {
            v: Version::THIS,
            tables: tables.collect(),
            files: sizes.iter().map(part).collect(),
            bytes: sizes.iter().map(|size| size.bytes).sum(),
        }
    }
}

/// Rows that were written to a file.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ExportV1 {
    /// Version.
    pub v: Version,
    /// Rows.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// What could not be looked at, in words.
    pub unread: Vec<String>,
}

impl From<&ExportReport> for ExportV1 {
    fn from(report: &ExportReport) -> ExportV1 {
        ExportV1 {
            v: Version::THIS,
            rows: report.rows,
            bytes: report.bytes,
            unread: report.unread.clone(),
        }
    }
}
