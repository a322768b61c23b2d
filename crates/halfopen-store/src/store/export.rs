//! Rows of a range as one plain Parquet file, for other tools.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::filter_record_batch;
use halfopen_model::batch::conform;
use halfopen_model::port::Scan;
use halfopen_model::{Table, TimeRange, schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::Store;
use crate::error::StoreError;
use crate::matcher::Matcher;
use crate::report::ExportReport;
use crate::segment::scan::{Wanted, scan};
use crate::shared::{Shared, View};

/// Compressed as segments are that stay.
const ZSTD_LEVEL: i32 = 6;

impl Store {
    /// Writes the rows of a table in a range to a Parquet file with all columns of its schema;
    /// segment by segment, so that memory stays small.
    ///
    /// # Errors
    /// When the file cannot be written, or a segment cannot be read.
    pub async fn export(
        &self,
        table: Table,
        range: TimeRange,
        path: &Path,
    ) -> Result<ExportReport, StoreError> {
        let shared = Arc::clone(&self.inner.shared);
        let path = path.to_owned();
        let exported = tokio::task::spawn_blocking(move || {
            let view = shared.view();
            export(&shared, &view, table, range, &path)
                .map_err(|source| StoreError::Segment { table, source: Box::new(source) })
        });
        exported.await.map_err(|_| StoreError::Gone { thread: "export" })?
    }
}

fn export(
    shared: &Shared,
    view: &View,
    table: Table,
    range: TimeRange,
    path: &Path,
) -> Result<ExportReport, ParquetError> {
    let whole = schema::schema(table);
    let level = ZstdLevel::try_new(ZSTD_LEVEL).map_or(Compression::SNAPPY, Compression::ZSTD);
    let properties = WriterProperties::builder().set_compression(level).build();
    let file = File::create(path)?;
    let mut writer = ArrowWriter::try_new(file, Arc::clone(&whole), Some(properties))?;
    let matcher = Matcher::new(&Scan::all(table, range, usize::MAX));
    let mut report = ExportReport::default();
    let mut take = |rows: &RecordBatch| -> Result<(), ParquetError> {
        report.rows += rows.num_rows() as u64;
        writer.write(rows)
    };
    for segment in view.segments[table as usize].iter() {
        if !range.overlaps(&segment.info.range) {
            continue;
        }
        let open = shared.open_segments.get(segment);
        let open = open.map_err(|damage| ParquetError::External(Box::new(damage)))?;
        let mut failed = None;
        let wanted = Wanted { matcher: &matcher, schema: &whole, groups: None };
        scan(&open, wanted, &mut |rows| match take(&rows) {
            Ok(()) => true,
            Err(error) => {
                failed = Some(error);
                false
            }
        })?;
        failed.map_or(Ok(()), Err)?;
    }
    for batch in &view.hot[table as usize] {
        let rows = filter_record_batch(&batch.rows, &matcher.mask(&batch.rows))?;
        take(&conform(&rows, &whole)?)?;
    }
    let file = writer.into_inner()?;
    file.sync_all()?;
    report.bytes = file.metadata()?.len();
    let lost = view.lost[table as usize].iter().filter(|lost| range.overlaps(&lost.info.range));
    report.unread = lost.map(|lost| lost.words()).collect();
    Ok(report)
}
