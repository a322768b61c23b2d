//! Hot rows for the engine: brought into the form of the schema piece by piece, as they are asked
//! for, and after the filter where there is one.

use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::stream;
use halfopen_model::batch::conform;

use crate::hot::HotBatch;

/// Rows that are brought into form at once.
const PIECE_ROWS: usize = 8_192;

/// A scan of hot rows.
pub(super) struct HotScan {
    pub(super) batches: Vec<Arc<HotBatch>>,
    pub(super) projected: SchemaRef,
    pub(super) filter: Option<Expr>,
    pub(super) partitions: usize,
    pub(super) limit: Option<usize>,
}

/// The filter, over the columns that it looks at.
struct Test {
    columns: SchemaRef,
    predicate: Arc<dyn PhysicalExpr>,
}

impl HotScan {
    /// The plan; `None` when there are no hot rows.
    pub(super) fn plan(
        self,
        state: &dyn Session,
        whole: &SchemaRef,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if self.batches.is_empty() {
            return Ok(None);
        }
        let test = self.filter.map(|filter| Test::new(state, whole, filter)).transpose()?;
        let test = test.map(Arc::new);
        let count = self.partitions.min(self.batches.len());
        let mut parts: Vec<Vec<Arc<HotBatch>>> = vec![Vec::new(); count];
        for (number, batch) in self.batches.into_iter().enumerate() {
            parts[number % count].push(batch);
        }
        let partitions = parts.into_iter().map(|batches| -> Arc<dyn PartitionStream> {
            let (schema, test) = (Arc::clone(&self.projected), test.clone());
            Arc::new(HotPartition { batches, schema, test })
        });
        let plan = StreamingTableExec::try_new(
            Arc::clone(&self.projected),
            partitions.collect(),
            None,
            [],
            false,
            self.limit,
        )?;
        Ok(Some(Arc::new(plan)))
    }
}

impl Test {
    fn new(state: &dyn Session, whole: &SchemaRef, filter: Expr) -> Result<Test> {
        let names = filter.column_refs();
        let wanted = |name: &str| names.iter().any(|column| column.name == name);
        let fields = whole.fields().iter().filter(|field| wanted(field.name())).cloned();
        let columns: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let schema = DFSchema::try_from(Arc::clone(&columns))?;
        Ok(Test { predicate: state.create_physical_expr(filter, &schema)?, columns })
    }

    fn keep(&self, rows: RecordBatch) -> Result<RecordBatch> {
        let looked_at = conform(&rows, &self.columns)?;
        let mask = self.predicate.evaluate(&looked_at)?.into_array(rows.num_rows())?;
        match mask.as_boolean_opt() {
            Some(mask) => Ok(filter_record_batch(&rows, mask)?),
            None => Ok(rows),
        }
    }
}

struct HotPartition {
    batches: Vec<Arc<HotBatch>>,
    schema: SchemaRef,
    test: Option<Arc<Test>>,
}

impl fmt::Debug for HotPartition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HotPartition").field("batches", &self.batches.len()).finish()
    }
}

impl PartitionStream for HotPartition {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (schema, test) = (Arc::clone(&self.schema), self.test.clone());
        let pieces = self.batches.clone().into_iter().flat_map(|batch| {
            (0..batch.rows.num_rows()).step_by(PIECE_ROWS).map(move |begin| {
                let rows = (batch.rows.num_rows() - begin).min(PIECE_ROWS);
                batch.rows.slice(begin, rows)
            })
        });
        let formed = pieces.map(move |rows| {
            let rows = match &test {
                Some(test) => test.keep(rows)?,
                None => rows,
            };
            Ok(conform(&rows, &schema)?)
        });
        let stream = stream::iter(formed);
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream))
    }
}
