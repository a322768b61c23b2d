//! Whether a query asks for rows whose retention is over.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, TimestampNanosecondArray};
use arrow::datatypes::SchemaRef;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use halfopen_model::{TimeRange, UnixNanos};

/// The times of rows that went, for pruning.
struct Gone {
    time_column: &'static str,
    range: TimeRange,
}

/// Whether `predicate` may want rows of this range.
pub(super) fn may_want(
    predicate: Option<&Arc<dyn PhysicalExpr>>,
    schema: &SchemaRef,
    time_column: &'static str,
    range: TimeRange,
) -> Result<bool> {
    let Some(predicate) = predicate else { return Ok(true) };
    let pruning = PruningPredicateBuilder::new()
        .with_file_schema(Arc::clone(schema))
        .try_build(Arc::clone(predicate))?;
    Ok(pruning.prune(&Gone { time_column, range })?.contains(&true))
}

impl Gone {
    fn time(&self, column: &Column, time: UnixNanos) -> Option<ArrayRef> {
        let times = TimestampNanosecondArray::from_iter_values([time.0]).with_timezone("UTC");
        (column.name == self.time_column).then(|| Arc::new(times) as ArrayRef)
    }
}

impl PruningStatistics for Gone {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.time(column, self.range.from)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.time(column, self.range.to.shifted(-1))
    }

    fn num_containers(&self) -> usize {
        1
    }

    fn null_counts(&self, _column: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        None
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
