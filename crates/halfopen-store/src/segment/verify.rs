//! Reads a whole segment and compares it with what the catalogue says about it.

use std::sync::Arc;

use halfopen_model::schema;
use parquet::errors::ParquetError;

use super::Segment;
use super::open::OpenSegment;
use crate::compact::input::{Input, Key};
use crate::hot::time_range;
use crate::segment::write::trace_bounds;

/// Bytes that are read at once for their checksums.
const READ_BYTES: u64 = 1024 * 1024;

/// What is wrong with a segment, one sentence each.
pub(crate) fn verify(segment: &Arc<Segment>) -> Vec<String> {
    let open = match OpenSegment::open(segment) {
        Ok(open) => open,
        Err(damage) => return vec![damage.reason],
    };
    for begin in (0..segment.info.bytes).step_by(READ_BYTES as usize) {
        if let Err(damage) = open.file.read(begin..begin + READ_BYTES) {
            return vec![damage.reason];
        }
    }
    let mut wrong = footer(segment, &open);
    match rows(segment, &open) {
        Ok(found) => wrong.extend(found),
        Err(error) => wrong.push(format!("its rows do not read: {error}")),
    }
    wrong
}

fn footer(segment: &Segment, open: &OpenSegment) -> Vec<String> {
    let mut wrong = Vec::new();
    let info = &segment.info;
    let rows = open.footer.metadata().file_metadata().num_rows();
    if rows != info.rows as i64 {
        wrong.push(format!("it has {rows} rows, the catalogue says {}", info.rows));
    }
    let fields = open.footer.schema().fields().iter();
    if !fields.map(|field| field.name()).eq(info.columns.iter()) {
        wrong.push("its columns are not those that the catalogue says".to_owned());
    }
    wrong
}

fn rows(segment: &Segment, open: &OpenSegment) -> Result<Vec<String>, ParquetError> {
    let info = &segment.info;
    let mut wrong = Vec::new();
    let mut input = Input::open(info.table, open, &schema::schema(info.table))?;
    let mut last: Option<Key> = None;
    let (mut unsorted, mut outside, mut count) = (0_u64, 0_u64, 0_u64);
    while input.advance()? {
        let rows = input.rows();
        count += rows.num_rows() as u64;
        let range = time_range(info.table, rows);
        let mut is_outside = range.from < info.range.from || range.to > info.range.to;
        if let Some((first, behind)) = trace_bounds(rows) {
            let within = |(from, to)| from <= first && behind <= to;
            is_outside |= !info.traces.is_some_and(within);
        }
        outside += u64::from(is_outside);
        for row in 0..rows.num_rows() {
            let key = input.key(row);
            unsorted += u64::from(last.as_ref().is_some_and(|last| *last > key));
            last = Some(key);
        }
    }
    if count != info.rows {
        wrong.push(format!("{count} rows read, the catalogue says {}", info.rows));
    }
    if outside > 0 {
        wrong.push("rows lie outside the times or traces that the catalogue says".to_owned());
    }
    if unsorted > 0 {
        wrong.push(format!("{unsorted} rows are not in the order of the segment"));
    }
    Ok(wrong)
}
