//! Makes missing side files from their segments, in the background, one at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;

use super::key::Kind;
use super::{IndexBuilder, State, identity, write};
use crate::segment::Segment;
use crate::segment::open::OpenSegment;
use crate::shared::Shared;

/// Rows that are read at once.
const BATCH_ROWS: usize = 16_384;

/// Begins, unless it is under way: then what is still missing is made when it is missed again.
pub(super) fn start(shared: &Arc<Shared>, missing: Vec<Arc<Segment>>) {
    if shared.read_only || shared.remaking.swap(true, Ordering::AcqRel) {
        return;
    }
    let shared = Arc::clone(shared);
    tokio::task::spawn_blocking(move || {
        for segment in missing {
            segment.index.remade.store(true, Ordering::Relaxed);
            remake(&shared, &segment);
        }
        shared.remaking.store(false, Ordering::Release);
    });
}

fn remake(shared: &Shared, segment: &Arc<Segment>) {
    let Ok(open) = shared.open_segments.get(segment) else { return };
    match content(segment, &open) {
        Ok(content) => {
            write(&segment.path, &content);
            segment.index.set(State::Unread);
        }
        // A segment that does not read is set aside by whoever wants its rows.
        Err(error) => {
            tracing::warn!(file = %segment.info.file, error = %error, "no filter could be made");
        }
    }
}

/// The content of the side file of a segment, read from its rows.
pub(super) fn content(segment: &Segment, open: &OpenSegment) -> Result<Vec<u8>, ParquetError> {
    let table = segment.info.table;
    let groups = open.footer.metadata().row_groups();
    let schema = open.footer.schema();
    let places = Kind::of_table(table)
        .filter_map(|kind| schema.column_with_name(kind.column()).map(|(place, _)| place));
    let columns = ProjectionMask::roots(open.footer.parquet_schema(), places);
    let mut builder = IndexBuilder::new(table, usize::MAX);
    for group in 0..groups.len() {
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(
            open.file.clone(),
            open.footer.clone(),
        );
        let reader = reader.with_row_groups(vec![group]).with_projection(columns.clone());
        for rows in reader.with_batch_size(BATCH_ROWS).build()? {
            builder.add(&rows?);
        }
        builder.finish_group();
    }
    Ok(builder.finish(identity(&segment.info.sums, segment.info.rows)))
}
