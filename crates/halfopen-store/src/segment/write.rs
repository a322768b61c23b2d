//! Writes a segment: sorted, in Parquet, with a checksum for each block, durable when it returns;
//! and beside it the filter of its ids.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
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

/// Beyond this a merged segment has no dictionary for a column: rows of a trace lie together, so
/// values that are many are smaller as what they differ in from the one before.
const DICTIONARY_BYTES_COMPACT: usize = 48 * 1024;

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
    /// Begins a segment of at most `rows_max` rows with the columns `schema`.
    pub(crate) fn create(
        origin: Origin<'a>,
        effort: Effort,
        schema: &SchemaRef,
        rows_max: usize,
        path: &'a Path,
    ) -> Result<SegmentWriter<'a>, ParquetError> {
        let unfinished = path.with_extension("tmp");
        let target = Summing::new(BufWriter::new(File::create(&unfinished)?));
        let properties = properties(origin.table, rows_max);
        let (properties, promotion) = match effort {
            Effort::Seal => (compressed(properties, ZSTD_LEVEL), Arc::default()),
            Effort::Compact(promotion) => (compressed(properties, ZSTD_LEVEL_COMPACT), promotion),
        };
        let schema = promotion.schema(schema);
        let properties = match origin.level {
            0 => properties,
            // It was merged: it stays for long.
            _ => without_large_dictionaries(properties, &schema),
        };
        let properties = properties.build();
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
    let mut writer =
        SegmentWriter::create(origin, Effort::Seal, sources.schema(), picks.len(), path)?;
    for chunk in picks.chunks(CHUNK_ROWS) {
        writer.write(&sources.pick(chunk)?)?;
    }
    writer.finish()
}

fn properties(table: Table, rows_max: usize) -> WriterPropertiesBuilder {
    let mut builder = WriterProperties::builder()
        .set_created_by(format!("halfopen {}", env!("CARGO_PKG_VERSION")))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_statistics_enabled(EnabledStatistics::Chunk);
    for name in ["start_time", "time", "end_time", "observed_time", "duration_ns"] {
        // Where rows lie by trace, time leaps from one trace to the next: one leap makes each of
        // 32 differences as wide, and zstd sees more in the plain numbers.
        let leaps = by_trace(table) && name == table.time_column();
        let encoding = if leaps { Encoding::PLAIN } else { Encoding::DELTA_BINARY_PACKED };
        builder = builder
            .set_column_dictionary_enabled(ColumnPath::from(name), false)
            .set_column_encoding(ColumnPath::from(name), encoding);
    }
    for name in ["trace_id", "span_id", "parent_span_id", "id"] {
        builder = builder.set_column_dictionary_enabled(ColumnPath::from(name), false);
    }
    if table == Table::Ids {
        // They lie by id: neighbours begin alike.
        builder = builder.set_column_encoding(ColumnPath::from("id"), Encoding::DELTA_BYTE_ARRAY);
    }
    for name in [table.time_column(), "trace_id", "span_id", "id"] {
        builder =
            builder.set_column_statistics_enabled(ColumnPath::from(name), EnabledStatistics::Page);
    }
    with_blooms(builder, table, rows_max)
}

fn compressed(builder: WriterPropertiesBuilder, level: i32) -> WriterPropertiesBuilder {
    let zstd = ZstdLevel::try_new(level).map_or(Compression::SNAPPY, Compression::ZSTD);
    builder.set_compression(zstd)
}

/// Text of many values is written as what it differs in from the value before.
fn without_large_dictionaries(
    builder: WriterPropertiesBuilder,
    schema: &SchemaRef,
) -> WriterPropertiesBuilder {
    let builder = builder.set_dictionary_page_size_limit(DICTIONARY_BYTES_COMPACT);
    let fields = schema.fields().iter();
    let words = fields.filter(|field| match field.data_type() {
        DataType::Dictionary(_, _) => true,
        // Attributes and ids, not the text of messages.
        DataType::Utf8 => field.name().contains('.') || field.name() == "request_id",
        _ => false,
    });
    words.fold(builder, |builder, field| {
        // Names of columns hold dots: this is one part, no path.
        let column = ColumnPath::new(vec![field.name().clone()]);
        builder.set_column_encoding(column, Encoding::DELTA_BYTE_ARRAY)
    })
}

/// Bloom filters answer "this trace is not here" without a look at the rows, where those of a
/// trace do not lie together: otherwise the bounds of pages say so.
fn with_blooms(
    builder: WriterPropertiesBuilder,
    table: Table,
    rows_max: usize,
) -> WriterPropertiesBuilder {
    let has_traces = schema::schema(table).column_with_name("trace_id").is_some();
    if by_trace(table) || table == Table::Ids || !has_traces {
        return builder;
    }
    let distinct = rows_max.clamp(1, ROW_GROUP_ROWS) as u64;
    builder
        .set_column_bloom_filter_enabled(ColumnPath::from("trace_id"), true)
        .set_column_bloom_filter_max_ndv(ColumnPath::from("trace_id"), distinct)
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
