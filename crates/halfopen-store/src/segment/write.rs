//! Writes a segment: sorted, in Parquet, with a checksum for each block, durable when it returns;
//! and beside it the filter of its ids.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use halfopen_model::{Table, TimeRange, TraceId, UnixNanos, schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use super::check::Summing;
use super::order::{by_trace, ordered};
use super::promote::{PARTLY, Promotion};
use crate::gather::Sources;
use crate::hot::{HotBatch, time_range};
use crate::index::{self, IndexBuilder};

pub(crate) const ROW_GROUP_ROWS: usize = 131_072;
const PAGE_ROWS: usize = 8_192;
/// Rows that are gathered and handed to the Parquet writer at once.
pub(crate) const CHUNK_ROWS: usize = 16_384;
const ZSTD_LEVEL: i32 = 1;
/// Merging writes once what is then read for long.
const ZSTD_LEVEL_COMPACT: i32 = 6;

/// In the footer: how often rows were merged.
pub(crate) const LEVEL: &str = "halfopen.level";

/// Memory of writing beside that of sorting: a row group in its encoded form, and a chunk.
pub(crate) const WRITE_BYTES: usize = 32 * 1024 * 1024;

/// A segment that was written.
#[derive(Debug)]
pub(crate) struct WrittenSegment {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) range: TimeRange,
    pub(crate) traces: Option<(TraceId, TraceId)>,
    pub(crate) sums: Vec<u64>,
    pub(crate) columns: Vec<String>,
}

/// Who writes, and what of.
pub(crate) struct Origin<'a> {
    pub(crate) table: Table,
    pub(crate) node: &'a str,
    pub(crate) sealed_at: UnixNanos,
    /// How often its rows were merged at most.
    pub(crate) level: u32,
}

/// How much effort the writer makes.
pub(crate) enum Effort {
    /// Rows wait to leave memory.
    Seal,
    /// Nobody waits, and the file stays for long: it is compressed well, and frequent attributes
    /// get columns of their own.
    Compact(Arc<Promotion>),
}

/// Writes one segment. Every segment goes through here, however its rows came together: rows
/// arrive in the order of the segment, with the columns of its table.
pub(crate) struct SegmentWriter<'a> {
    origin: Origin<'a>,
    path: &'a Path,
    unfinished: PathBuf,
    /// `None` once it is finished.
    writer: Option<ArrowWriter<Summing<BufWriter<File>>>>,
    promotion: Arc<Promotion>,
    /// Whether some value of a promoted key is in the map.
    partly: Vec<bool>,
    /// The columns of the file.
    schema: SchemaRef,
    index: IndexBuilder,
    columns: Vec<String>,
    rows: u64,
    range: TimeRange,
    traces: Option<(TraceId, TraceId)>,
}

impl<'a> SegmentWriter<'a> {
    /// Begins a segment of rows with the columns `schema`, of which a row group has at most
    /// `distinct` different keys.
    pub(crate) fn create(
        origin: Origin<'a>,
        effort: Effort,
        schema: &SchemaRef,
        distinct: usize,
        path: &'a Path,
    ) -> Result<SegmentWriter<'a>, ParquetError> {
        let unfinished = path.with_extension("tmp");
        let target = Summing::new(BufWriter::new(File::create(&unfinished)?));
        let (level, promotion) = match effort {
            Effort::Seal => (ZSTD_LEVEL, Arc::default()),
            Effort::Compact(promotion) => (ZSTD_LEVEL_COMPACT, promotion),
        };
        let schema = promotion.schema(schema);
        let properties = properties(origin.table, level, distinct);
        let writer = ArrowWriter::try_new(target, Arc::clone(&schema), Some(properties))?;
        Ok(SegmentWriter {
            columns: schema.fields().iter().map(|field| field.name().clone()).collect(),
            partly: vec![false; promotion.len()],
            promotion,
            schema,
            index: IndexBuilder::new(origin.table, ROW_GROUP_ROWS),
            origin,
            path,
            unfinished,
            writer: Some(writer),
            rows: 0,
            range: TimeRange { from: UnixNanos::MAX, to: UnixNanos::MIN },
            traces: None,
        })
    }

    /// Takes rows that come behind all that came before.
    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<(), ParquetError> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        writer.write(&self.promotion.split(rows, &self.schema, &mut self.partly)?)?;
        self.index.add(rows);
        self.rows += rows.num_rows() as u64;
        let range = time_range(self.origin.table, rows);
        self.range.from = self.range.from.min(range.from);
        self.range.to = self.range.to.max(range.to);
        if let Some((first, last)) = trace_bounds(rows) {
            let (before, behind) = self.traces.unwrap_or((first, last));
            self.traces = Some((before.min(first), behind.max(last)));
        }
        Ok(())
    }

    /// Rows that it has so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Ends the file. It is durable, its name is not yet.
    pub(crate) fn finish(mut self) -> Result<WrittenSegment, ParquetError> {
        let closed = || ParquetError::General("the segment is finished already".to_owned());
        let mut writer = self.writer.take().ok_or_else(closed)?;
        for entry in about(&self.origin, &self.range, self.rows) {
            writer.append_key_value_metadata(entry);
        }
        let partly = self.partly.iter().enumerate().filter(|(_, partly)| **partly);
        let partly: Vec<&str> = partly.map(|(place, _)| self.promotion.key(place)).collect();
        if !partly.is_empty() {
            writer.append_key_value_metadata(KeyValue::new(PARTLY.to_owned(), partly.join("\n")));
        }
        let written = close(writer, &self.unfinished, self.path);
        let (sums, bytes) = written.inspect_err(|_| {
            let _ = fs::remove_file(&self.unfinished);
        })?;
        index::write(self.path, &self.index.finish(index::identity(&sums, self.rows)));
        Ok(WrittenSegment {
            rows: self.rows,
            bytes,
            range: self.range,
            traces: self.traces,
            sums,
            columns: std::mem::take(&mut self.columns),
        })
    }
}

impl Drop for SegmentWriter<'_> {
    fn drop(&mut self) {
        if self.writer.is_some() {
            let _ = fs::remove_file(&self.unfinished);
        }
    }
}

fn close(
    writer: ArrowWriter<Summing<BufWriter<File>>>,
    unfinished: &Path,
    path: &Path,
) -> Result<(Vec<u64>, u64), ParquetError> {
    let (buffered, sums, bytes) = writer.into_inner()?.finish();
    let file = buffered.into_inner().map_err(|error| error.into_error())?;
    file.sync_all()?;
    fs::rename(unfinished, path)?;
    Ok((sums, bytes))
}

/// The first and the last trace id of rows.
pub(crate) fn trace_bounds(rows: &RecordBatch) -> Option<(TraceId, TraceId)> {
    let ids = rows.column_by_name("trace_id")?.as_fixed_size_binary_opt()?;
    let ids = ids.iter().flatten().filter_map(|id| id.try_into().ok()).map(TraceId);
    ids.fold(None, |bounds, id| {
        let (first, last) = bounds.unwrap_or((id, id));
        Some((first.min(id), last.max(id)))
    })
}

/// Writes `batches` to `path`. The file is durable, its name is not yet.
pub(crate) fn write_segment(
    origin: Origin<'_>,
    batches: &[Arc<HotBatch>],
    path: &Path,
) -> Result<WrittenSegment, ParquetError> {
    let picks = ordered(origin.table, batches);
    let rows: Vec<_> = batches.iter().map(|batch| &batch.rows).collect();
    let sources = Sources::new(origin.table, &rows)?;
    let distinct = match by_trace(origin.table) {
        true => distinct_traces(batches),
        false => picks.len(),
    };
    let mut writer = SegmentWriter::create(origin, Effort::Seal, sources.schema(), distinct, path)?;
    for chunk in picks.chunks(CHUNK_ROWS) {
        writer.write(&sources.pick(chunk)?)?;
    }
    writer.finish()
}

fn properties(table: Table, level: i32, distinct: usize) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_created_by(format!("halfopen {}", env!("CARGO_PKG_VERSION")))
        .set_compression(ZstdLevel::try_new(level).map_or(Compression::SNAPPY, Compression::ZSTD))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_statistics_enabled(EnabledStatistics::Chunk);
    for name in ["start_time", "time", "end_time", "observed_time", "duration_ns"] {
        builder = builder
            .set_column_dictionary_enabled(ColumnPath::from(name), false)
            .set_column_encoding(ColumnPath::from(name), Encoding::DELTA_BINARY_PACKED);
    }
    for name in ["trace_id", "span_id", "parent_span_id", "id"] {
        builder = builder.set_column_dictionary_enabled(ColumnPath::from(name), false);
    }
    for name in [table.time_column(), "trace_id", "span_id", "id"] {
        builder =
            builder.set_column_statistics_enabled(ColumnPath::from(name), EnabledStatistics::Page);
    }
    with_blooms(builder, table, distinct).build()
}

/// Bloom filters answer "this trace is not here" without a look at the rows.
fn with_blooms(
    builder: WriterPropertiesBuilder,
    table: Table,
    distinct: usize,
) -> WriterPropertiesBuilder {
    let column = match table {
        Table::Ids => "id",
        _ if schema::schema(table).column_with_name("trace_id").is_some() => "trace_id",
        _ => return builder,
    };
    builder
        .set_column_bloom_filter_enabled(ColumnPath::from(column), true)
        .set_column_bloom_filter_max_ndv(
            ColumnPath::from(column),
            distinct.clamp(1, ROW_GROUP_ROWS) as u64,
        )
}

fn distinct_traces(batches: &[Arc<HotBatch>]) -> usize {
    let mut traces: HashSet<&[u8]> = HashSet::new();
    for batch in batches {
        let ids = batch.rows.column_by_name("trace_id").and_then(|c| c.as_fixed_size_binary_opt());
        let Some(ids) = ids else { continue };
        traces.extend((0..ids.len()).filter(|row| ids.is_valid(*row)).map(|row| ids.value(row)));
    }
    traces.len()
}

/// What the footer says about the segment, for whoever finds the file alone.
fn about(origin: &Origin<'_>, range: &TimeRange, rows: u64) -> Vec<KeyValue> {
    let entry = |key: &str, value: String| KeyValue::new(format!("halfopen.{key}"), value);
    vec![
        entry("table", origin.table.name().to_owned()),
        entry("schema_version", schema::SCHEMA_VERSION.to_string()),
        entry("rows", rows.to_string()),
        entry("time_from_ns", range.from.0.to_string()),
        entry("time_to_ns", range.to.0.to_string()),
        entry("node", origin.node.to_owned()),
        entry("sealed_at_ns", origin.sealed_at.0.to_string()),
        KeyValue::new(LEVEL.to_owned(), origin.level.to_string()),
    ]
}
