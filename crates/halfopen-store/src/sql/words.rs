//! Grouping by columns of words, such as `GROUP BY service`: the words of a batch are told apart
//! once each, its rows by their codes. The engine itself compares the text of each row.
//!
//! Only the first half of an aggregation is replaced, which reads the rows. Its second half gets
//! the same columns as from the engine's own.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, exec_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, InputOrderMode,
    PlanProperties, ReplaceChildrenOptions,
};
use futures::{StreamExt, stream};
use halfopen_model::schema::word_type;

use groups::{COLUMNS_MAX, WordGroups};

mod groups;

/// With more groups than this what there is goes on to the second half, and it begins again.
const GROUPS_MAX: usize = 65_536;

/// Uses [`GroupWords`] wherever it can.
#[derive(Debug)]
pub(super) struct GroupByWords;

impl PhysicalOptimizerRule for GroupByWords {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let changed = plan.transform_up(|plan| match GroupWords::of(&plan)? {
            Some(own) => Ok(Transformed::yes(Arc::new(own) as Arc<dyn ExecutionPlan>)),
            None => Ok(Transformed::no(plan)),
        });
        changed.data()
    }

    fn name(&self) -> &str {
        "group_by_words"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The first half of an aggregation by words.
#[derive(Debug)]
struct GroupWords {
    /// The engine's own, which knows what is asked for.
    whole: Arc<dyn ExecutionPlan>,
    metrics: ExecutionPlanMetricsSet,
}

impl GroupWords {
    /// In the place of `plan`; `None` where that is nothing of this kind.
    fn of(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<GroupWords>> {
        let Some(aggregate) = plan.downcast_ref::<AggregateExec>() else { return Ok(None) };
        let by = aggregate.group_expr();
        let plain = *aggregate.mode() == AggregateMode::Partial
            && *aggregate.input_order_mode() == InputOrderMode::Linear
            && aggregate.limit_options().is_none()
            && by.is_single()
            && (1..=COLUMNS_MAX).contains(&by.expr().len());
        if !plain {
            return Ok(None);
        }
        let input = aggregate.input_schema();
        for (column, _) in by.expr() {
            if column.data_type(&input)? != word_type() {
                return Ok(None);
            }
        }
        let known = aggregate.aggr_expr().iter().all(|function| {
            function.groups_accumulator_supported() && function.order_bys().is_empty()
        });
        let metrics = ExecutionPlanMetricsSet::new();
        Ok(known.then(|| GroupWords { whole: Arc::clone(plan), metrics }))
    }

    fn aggregate(&self) -> Result<&AggregateExec> {
        match self.whole.downcast_ref::<AggregateExec>() {
            Some(aggregate) => Ok(aggregate),
            None => exec_err!("an aggregation became something else"),
        }
    }
}

impl DisplayAs for GroupWords {
    fn fmt_as(&self, form: DisplayFormatType, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (form, self.whole.downcast_ref::<AggregateExec>()) {
            (DisplayFormatType::TreeRender, _) | (_, None) => Ok(()),
            (_, Some(aggregate)) => {
                write!(to, "GroupWords: ")?;
                aggregate.fmt_as(form, to)
            }
        }
    }
}

impl ExecutionPlan for GroupWords {
    fn name(&self) -> &str {
        "GroupWords"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.whole.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.whole.children()
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let whole = Arc::clone(&self.whole).replace_children(children, options)?;
        match GroupWords::of(&whole)? {
            Some(own) => Ok(Arc::new(own)),
            None => Ok(whole),
        }
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, options)
    }

    fn apply_expressions(
        &self,
        act: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.whole.apply_expressions(act)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let aggregate = self.aggregate()?;
        let input = aggregate.input().execute(partition, Arc::clone(&context))?;
        let memory = MemoryConsumer::new("GroupWords").register(context.memory_pool());
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let grouping = Grouping::new(aggregate, memory, metrics)?;
        let schema = self.schema();
        let batches = stream::try_unfold(Some((input, grouping)), |state| async {
            let Some((mut input, mut grouping)) = state else { return Ok(None) };
            while let Some(rows) = input.next().await {
                grouping.take(&rows?)?;
                if grouping.groups.len() >= GROUPS_MAX {
                    let full = grouping.emit()?;
                    return Ok(Some((full, Some((input, grouping)))));
                }
            }
            match grouping.groups.len() {
                0 => Ok(None),
                _ => Ok(Some((grouping.emit()?, None))),
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }
}

/// One function over the groups.
struct Function {
    arguments: Vec<Arc<dyn PhysicalExpr>>,
    filter: Option<Arc<dyn PhysicalExpr>>,
    accumulator: Box<dyn GroupsAccumulator>,
}

/// The groups of one partition.
struct Grouping {
    columns: Vec<Arc<dyn PhysicalExpr>>,
    groups: WordGroups,
    functions: Vec<Function>,
    /// Of what comes out.
    schema: SchemaRef,
    memory: MemoryReservation,
    metrics: BaselineMetrics,
    /// The group of each row of a batch.
    places: Vec<usize>,
}

impl Grouping {
    fn new(
        aggregate: &AggregateExec,
        memory: MemoryReservation,
        metrics: BaselineMetrics,
    ) -> Result<Grouping> {
        let columns = aggregate.group_expr().input_exprs();
        let functions = aggregate.aggr_expr().iter().zip(aggregate.filter_expr());
        let functions = functions.map(|(function, filter)| {
            Ok(Function {
                arguments: function.expressions(),
                filter: filter.clone(),
                accumulator: function.create_groups_accumulator()?,
            })
        });
        Ok(Grouping {
            groups: WordGroups::new(columns.len()),
            columns,
            functions: functions.collect::<Result<_>>()?,
            schema: aggregate.schema(),
            memory,
            metrics,
            places: Vec::new(),
        })
    }

    fn take(&mut self, rows: &RecordBatch) -> Result<()> {
        let _timer = self.metrics.elapsed_compute().timer();
        let evaluated = |expr: &Arc<dyn PhysicalExpr>| -> Result<ArrayRef> {
            expr.evaluate(rows)?.into_array(rows.num_rows())
        };
        let words: Vec<ArrayRef> = self.columns.iter().map(evaluated).collect::<Result<_>>()?;
        self.groups.find(&words, &mut self.places)?;
        for function in &mut self.functions {
            let arguments: Vec<ArrayRef> =
                function.arguments.iter().map(evaluated).collect::<Result<_>>()?;
            let filter = function.filter.as_ref().map(evaluated).transpose()?;
            let filter: Option<&BooleanArray> = filter.as_ref().map(|filter| filter.as_boolean());
            let groups = self.groups.len();
            function.accumulator.update_batch(&arguments, &self.places, filter, groups)?;
        }
        self.memory.try_resize(self.bytes())
    }

    fn bytes(&self) -> usize {
        let functions = self.functions.iter().map(|function| function.accumulator.size());
        functions.sum::<usize>() + self.groups.bytes() + self.places.capacity() * size_of::<usize>()
    }

    /// All groups and what was found for them; it begins again with none.
    fn emit(&mut self) -> Result<RecordBatch> {
        let mut columns = self.groups.take();
        for function in &mut self.functions {
            columns.extend(function.accumulator.state(EmitTo::All)?);
        }
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        self.metrics.record_output(rows.num_rows());
        self.memory.try_resize(self.bytes())?;
        Ok(rows)
    }
}
