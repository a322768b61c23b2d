//! Rows of a range, for other tools: as one plain Parquet file, or batch by batch for any other
//! form.

use std::fs::File;
use std::io::Write;
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

/// Where the rows go.
type Take<'t> = &'t mut dyn FnMut(&RecordBatch) -> Result<(), ParquetError>;

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
        let path = path.to_owned();
        self.exporting(table, move |shared, view| parquet(shared, view, table, range, &path)).await
    }

    /// Writes the rows of a table in a range to a file in a form of the caller's: `form` appends
    /// the bytes of each batch, which has all columns of the schema.
    ///
    /// # Errors
    /// When the file cannot be written, or a segment cannot be read.
    pub async fn export_as(
        &self,
        table: Table,
        range: TimeRange,
        path: &Path,
        form: impl Fn(&RecordBatch, &mut Vec<u8>) + Send + 'static,
    ) -> Result<ExportReport, StoreError> {
        let path = path.to_owned();
        let work =
            move |shared: &Shared, view: &View| formed(shared, view, table, range, &path, &form);
        self.exporting(table, work).await
    }

    async fn exporting(
        &self,
        table: Table,
        work: impl FnOnce(&Shared, &View) -> Result<ExportReport, ParquetError> + Send + 'static,
    ) -> Result<ExportReport, StoreError> {
        let shared = Arc::clone(&self.inner.shared);
        let exported = tokio::task::spawn_blocking(move || {
            let view = shared.view();
            work(&shared, &view)
                .map_err(|source| StoreError::Segment { table, source: Box::new(source) })
        });
        exported.await.map_err(|_| StoreError::Gone { thread: "export" })?
    }
}

fn parquet(
    shared: &Shared,
    view: &View,
    table: Table,
    range: TimeRange,
    path: &Path,
) -> Result<ExportReport, ParquetError> {
    let level = ZstdLevel::try_new(ZSTD_LEVEL).map_or(Compression::SNAPPY, Compression::ZSTD);
    let properties = WriterProperties::builder().set_compression(level).build();
    let file = File::create(path)?;
    let mut writer = ArrowWriter::try_new(file, schema::schema(table), Some(properties))?;
    let mut report = walk(shared, view, table, range, &mut |rows| writer.write(rows))?;
    let file = writer.into_inner()?;
    file.sync_all()?;
    report.bytes = file.metadata()?.len();
    Ok(report)
}

fn formed(
    shared: &Shared,
    view: &View,
    table: Table,
    range: TimeRange,
    path: &Path,
    form: &dyn Fn(&RecordBatch, &mut Vec<u8>),
) -> Result<ExportReport, ParquetError> {
    let mut file = File::create(path)?;
    let mut bytes = Vec::new();
    let mut report = walk(shared, view, table, range, &mut |rows| {
        bytes.clear();
        form(rows, &mut bytes);
        Ok(file.write_all(&bytes)?)
    })?;
    file.sync_all()?;
    report.bytes = file.metadata()?.len();
    Ok(report)
}

/// Hands over the rows, sealed ones first; what could not be read is in the report.
fn walk(
    shared: &Shared,
    view: &View,
    table: Table,
    range: TimeRange,
    take: Take<'_>,
) -> Result<ExportReport, ParquetError> {
    let whole = schema::schema(table);
    let matcher = Matcher::new(&Scan::all(table, range, usize::MAX));
    let mut report = ExportReport::default();
    let mut take = |rows: &RecordBatch| -> Result<(), ParquetError> {
        report.rows += rows.num_rows() as u64;
        take(rows)
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
    let lost = view.lost[table as usize].iter().filter(|lost| range.overlaps(&lost.info.range));
    report.unread = lost.map(|lost| lost.words()).collect();
    Ok(report)
}
