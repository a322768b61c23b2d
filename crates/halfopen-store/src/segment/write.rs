//! Writes a segment: sorted, in Parquet, with a checksum for each block, durable when it returns.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use halfopen_model::{Table, TimeRange, TraceId, UnixNanos, schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use super::check::Summing;
use super::order::{by_trace, ordered};
use crate::gather::{Pick, Sources};
use crate::hot::HotBatch;

const ROW_GROUP_ROWS: usize = 131_072;
const PAGE_ROWS: usize = 8_192;
/// Rows that are gathered and handed to the Parquet writer at once.
const CHUNK_ROWS: usize = 16_384;
const ZSTD_LEVEL: i32 = 1;

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
}

/// Writes `batches` to `path`. The file is durable, its name is not yet.
pub(crate) fn write_segment(
    origin: &Origin<'_>,
    batches: &[Arc<HotBatch>],
    path: &Path,
) -> Result<WrittenSegment, ParquetError> {
    let (picks, traces) = ordered(origin.table, batches);
    let range = batches.iter().map(|batch| batch.range).reduce(|one, other| TimeRange {
        from: one.from.min(other.from),
        to: one.to.max(other.to),
    });
    let range = range.unwrap_or(TimeRange { from: UnixNanos::MAX, to: UnixNanos::MIN });
    let rows: Vec<_> = batches.iter().map(|batch| &batch.rows).collect();
    let sources = Sources::new(origin.table, &rows)?;
    let properties = properties(origin, &range, batches, &picks);
    let unfinished = path.with_extension("tmp");
    let written = write_file(&unfinished, &sources, &picks, properties);
    let renamed = written.and_then(|sums| {
        fs::rename(&unfinished, path)?;
        Ok(sums)
    });
    if renamed.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    let (sums, bytes) = renamed?;
    let columns = sources.schema().fields().iter().map(|field| field.name().clone()).collect();
    Ok(WrittenSegment { rows: picks.len() as u64, bytes, range, traces, sums, columns })
}

fn write_file(
    path: &Path,
    sources: &Sources,
    picks: &[Pick],
    properties: WriterProperties,
) -> Result<(Vec<u64>, u64), ParquetError> {
    let target = Summing::new(BufWriter::new(File::create(path)?));
    let mut writer = ArrowWriter::try_new(target, Arc::clone(sources.schema()), Some(properties))?;
    for chunk in picks.chunks(CHUNK_ROWS) {
        writer.write(&sources.pick(chunk)?)?;
    }
    let (buffered, sums, bytes) = writer.into_inner()?.finish();
    let file = buffered.into_inner().map_err(|error| error.into_error())?;
    file.sync_all()?;
    Ok((sums, bytes))
}

fn properties(
    origin: &Origin<'_>,
    range: &TimeRange,
    batches: &[Arc<HotBatch>],
    picks: &[Pick],
) -> WriterProperties {
    let table = origin.table;
    let mut builder = WriterProperties::builder()
        .set_created_by(format!("halfopen {}", env!("CARGO_PKG_VERSION")))
        .set_compression(
            ZstdLevel::try_new(ZSTD_LEVEL).map_or(Compression::SNAPPY, Compression::ZSTD),
        )
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_key_value_metadata(Some(about(origin, range, picks.len())));
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
    with_blooms(builder, table, batches, picks).build()
}

/// Bloom filters answer "this trace is not here" without a look at the rows.
fn with_blooms(
    builder: WriterPropertiesBuilder,
    table: Table,
    batches: &[Arc<HotBatch>],
    picks: &[Pick],
) -> WriterPropertiesBuilder {
    let column = match table {
        Table::Ids => "id",
        _ if schema::schema(table).column_with_name("trace_id").is_some() => "trace_id",
        _ => return builder,
    };
    let distinct = match by_trace(table) {
        true => distinct_traces(batches),
        false => picks.len(),
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
fn about(origin: &Origin<'_>, range: &TimeRange, rows: usize) -> Vec<KeyValue> {
    let entry = |key: &str, value: String| KeyValue::new(format!("halfopen.{key}"), value);
    vec![
        entry("table", origin.table.name().to_owned()),
        entry("schema_version", schema::SCHEMA_VERSION.to_string()),
        entry("rows", rows.to_string()),
        entry("time_from_ns", range.from.0.to_string()),
        entry("time_to_ns", range.to.0.to_string()),
        entry("node", origin.node.to_owned()),
        entry("sealed_at_ns", origin.sealed_at.0.to_string()),
    ]
}
