//! Reads the rows of a segment that a scan wants: row groups and pages that cannot hold one are
//! passed over by their bounds and bloom filters, columns are read for matching rows only.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use halfopen_model::schema::ATTRIBUTES;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{
    ArrowPredicateFn, ParquetRecordBatchReaderBuilder, RowFilter, RowSelection, RowSelector,
};
use parquet::errors::ParquetError;

use super::join::Joint;
use super::open::{CheckedFile, OpenSegment};
use crate::matcher::Matcher;

/// Rows of a batch: a sixteenth of a row group, so that what is done once for each column of a
/// batch costs little; with four times as many a read was not faster.
const BATCH_ROWS: usize = 8_192;
/// With more keys than this a filter hardly excludes anything.
const BLOOM_KEYS_MAX: usize = 64;

/// A function of bounds, first and last: whether anything between those at a place may match.
trait BoundTest: Fn(&ArrayRef, &ArrayRef, usize) -> bool {}

impl<F: Fn(&ArrayRef, &ArrayRef, usize) -> bool> BoundTest for F {}

/// What a scan wants of a segment.
pub(crate) struct Wanted<'a> {
    pub(crate) matcher: &'a Matcher,
    /// The columns of its batches.
    pub(crate) schema: &'a SchemaRef,
    /// The row groups that may hold matching rows, where a filter told.
    pub(crate) groups: Option<Vec<usize>>,
}

/// Gives batches of matching rows to `take` until it returns `false`.
pub(crate) fn scan(
    open: &OpenSegment,
    wanted: Wanted<'_>,
    take: &mut dyn FnMut(RecordBatch) -> bool,
) -> Result<(), ParquetError> {
    let Wanted { matcher, schema: wanted, groups } = wanted;
    let key = matcher.key_column();
    let missing = |name: &str| open.footer.schema().column_with_name(name).is_none();
    if key.is_some_and(missing) {
        return Ok(());
    }
    let is_filtered = groups.is_some();
    let all = 0..open.footer.metadata().num_row_groups();
    let mut groups = groups.unwrap_or_else(|| all.collect());
    keep_groups(open, matcher, &mut groups)?;
    if !is_filtered {
        keep_by_bloom(open, matcher, &mut groups)?;
    }
    if groups.is_empty() {
        return Ok(());
    }
    // Where every row is wanted, no time is read to find that out.
    let all_match = matches_all(open, matcher, &groups)?;
    let selection = if all_match { None } else { select_pages(open, matcher, &groups)? };
    let file = open.file.clone();
    let mut builder: ParquetRecordBatchReaderBuilder<CheckedFile> =
        ParquetRecordBatchReaderBuilder::new_with_metadata(file, open.footer.clone());
    if let Some(selection) = selection {
        builder = builder.with_row_selection(selection);
    }
    let columns: Vec<&str> = wanted.fields().iter().map(|field| field.name().as_str()).collect();
    let joint = Joint::of(open.footer.schema());
    let joined = columns.contains(&ATTRIBUTES);
    let promoted = joint.columns().filter(|_| joined);
    let projection = projection(open, &columns.iter().copied().chain(promoted).collect::<Vec<_>>());
    if !all_match {
        let test = matcher.clone();
        let read = self::projection(open, &matcher.columns());
        let filter = ArrowPredicateFn::new(read, move |rows| Ok(test.mask(&rows)));
        builder = builder.with_row_filter(RowFilter::new(vec![Box::new(filter)]));
    }
    let builder = builder.with_row_groups(groups).with_projection(projection);
    let mut completing = Completing { schema: wanted, nulls: HashMap::new() };
    for rows in builder.with_batch_size(BATCH_ROWS).build()? {
        let rows = if joined { joint.join(&rows?)? } else { rows? };
        if !take(completing.complete(&rows)?) {
            break;
        }
    }
    Ok(())
}

/// Gives batches the columns that a file does not have: all batches share one array of nulls.
struct Completing<'a> {
    schema: &'a SchemaRef,
    nulls: HashMap<DataType, ArrayRef>,
}

impl Completing<'_> {
    fn complete(&mut self, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let count = rows.num_rows();
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for field in self.schema.fields() {
            if let Some(column) = rows.column_by_name(field.name()) {
                columns.push(Arc::clone(column));
                continue;
            }
            let nulls = self.nulls.entry(field.data_type().clone());
            let nulls = nulls.or_insert_with(|| new_null_array(field.data_type(), count));
            if nulls.len() < count {
                *nulls = new_null_array(field.data_type(), count);
            }
            columns.push(nulls.slice(0, count));
        }
        // Without columns there are still rows to count.
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        RecordBatch::try_new_with_options(Arc::clone(self.schema), columns, &options)
    }
}

/// Whether all rows of row groups match, by their bounds.
fn matches_all(
    open: &OpenSegment,
    matcher: &Matcher,
    groups: &[usize],
) -> Result<bool, ParquetError> {
    let converter = converter(open, matcher.time_column())?;
    let metadata = open.footer.metadata();
    let first = converter.row_group_mins(metadata.row_groups())?;
    let last = converter.row_group_maxes(metadata.row_groups())?;
    let nulls = converter.row_group_null_counts(metadata.row_groups())?;
    let whole = |group: &usize| nulls.is_valid(*group) && nulls.value(*group) == 0;
    Ok(groups.iter().all(|group| whole(group) && matcher.takes_all(&first, &last, *group)))
}

fn projection(open: &OpenSegment, columns: &[&str]) -> ProjectionMask {
    let present = columns.iter().filter_map(|name| open.footer.schema().column_with_name(name));
    ProjectionMask::roots(open.footer.parquet_schema(), present.map(|(place, _)| place))
}

fn converter<'a>(
    open: &'a OpenSegment,
    column: &str,
) -> Result<StatisticsConverter<'a>, ParquetError> {
    StatisticsConverter::try_new(column, open.footer.schema(), open.footer.parquet_schema())
}

/// The tests to make, by column.
fn tests(matcher: &Matcher) -> Vec<(&str, Box<dyn BoundTest + '_>)> {
    let mut tests: Vec<(&str, Box<dyn BoundTest + '_>)> = Vec::new();
    if let Some(key) = matcher.key_column() {
        tests.push((key, Box::new(|first, last, place| matcher.may_match_key(first, last, place))));
    }
    let time = matcher.columns()[0];
    tests.push((time, Box::new(|first, last, place| matcher.may_match_time(first, last, place))));
    tests
}

fn keep_groups(
    open: &OpenSegment,
    matcher: &Matcher,
    groups: &mut Vec<usize>,
) -> Result<(), ParquetError> {
    for (column, may_match) in tests(matcher) {
        let converter = converter(open, column)?;
        let metadata = open.footer.metadata();
        let first = converter.row_group_mins(metadata.row_groups())?;
        let last = converter.row_group_maxes(metadata.row_groups())?;
        groups.retain(|group| may_match(&first, &last, *group));
    }
    Ok(())
}

fn keep_by_bloom(
    open: &OpenSegment,
    matcher: &Matcher,
    groups: &mut Vec<usize>,
) -> Result<(), ParquetError> {
    let Some(keys) = matcher.exact_keys().filter(|keys| keys.len() <= BLOOM_KEYS_MAX) else {
        return Ok(());
    };
    let Some(leaf) = matcher.key_column().and_then(|name| leaf(open, name)) else { return Ok(()) };
    let (file, footer) = (open.file.clone(), open.footer.clone());
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer);
    let mut kept = Vec::new();
    for group in groups.drain(..) {
        let bloom = builder.get_row_group_column_bloom_filter(group, leaf)?;
        if bloom.is_none_or(|bloom| keys.iter().any(|key| bloom.check(*key))) {
            kept.push(group);
        }
    }
    *groups = kept;
    Ok(())
}

/// The place of a column among the leaves of the file.
fn leaf(open: &OpenSegment, column: &str) -> Option<usize> {
    converter(open, column).ok()?.parquet_column_index()
}

/// Rows of the pages that may hold a match; `None` when pages have no bounds.
fn select_pages(
    open: &OpenSegment,
    matcher: &Matcher,
    groups: &[usize],
) -> Result<Option<RowSelection>, ParquetError> {
    let mut selection: Option<RowSelection> = None;
    for (column, may_match) in tests(matcher) {
        let Some(pages) = pages_of(open, column, groups, &*may_match)? else { continue };
        selection = Some(match selection {
            Some(before) => before.intersection(&pages),
            None => pages,
        });
    }
    Ok(selection)
}

fn pages_of(
    open: &OpenSegment,
    column: &str,
    groups: &[usize],
    may_match: &dyn BoundTest,
) -> Result<Option<RowSelection>, ParquetError> {
    let metadata = open.footer.metadata();
    let (Some(bounds), Some(offsets)) = (metadata.column_index(), metadata.offset_index()) else {
        return Ok(None);
    };
    let converter = converter(open, column)?;
    let first = converter.data_page_mins(bounds, offsets, groups)?;
    let last = converter.data_page_maxes(bounds, offsets, groups)?;
    let counts = converter.data_page_row_counts(offsets, metadata.row_groups(), groups)?;
    let Some(counts) = counts.filter(|counts| counts.len() == first.len()) else {
        return Ok(None);
    };
    let selectors = counts.values().iter().enumerate().map(|(page, count)| {
        let rows = *count as usize;
        if may_match(&first, &last, page) {
            RowSelector::select(rows)
        } else {
            RowSelector::skip(rows)
        }
    });
    Ok(Some(RowSelection::from(selectors.collect::<Vec<_>>())))
}
