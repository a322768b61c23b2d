//! A scan of many segments. The engine copies a scan with its list of files in each of its steps
//! of optimisation; here the list is shared, and files are made of it when the plan runs.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, config::ConfigOptions};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig};
use datafusion::datasource::source::{DataSource, OpenArgs};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{
    EquivalenceProperties, LexOrdering, Partitioning, PhysicalExpr, PhysicalSortExpr,
};
use datafusion::physical_plan::execution_plan::SchedulingType;
use datafusion::physical_plan::filter_pushdown::FilterPushdownPropagation;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, SortOrderPushdownResult};

use super::provider::{Chosen, external, files};

/// From here on files are made late. So many are cut evenly for all partitions without looking at
/// their sizes.
pub(super) const MANY_SEGMENTS: usize = 64;

/// The scan: `config` says everything but the files.
#[derive(Clone, Debug)]
pub(super) struct ManySegments {
    config: FileScanConfig,
    chosen: Arc<Chosen>,
}

/// What the partitions of one run share.
struct Running {
    config: FileScanConfig,
    state: Option<Arc<dyn Any + Send + Sync>>,
}

impl ManySegments {
    /// `config` has as many groups of files as there are to be partitions, all of them empty.
    pub(super) fn new(config: FileScanConfig, chosen: Chosen) -> ManySegments {
        ManySegments { config, chosen: Arc::new(chosen) }
    }

    /// The scan with its files.
    fn with_files(&self) -> FileScanConfig {
        let mut config = self.config.clone();
        config.file_groups = files(&self.chosen, self.config.file_groups.len());
        config
    }

    /// The same segments, of what the engine has made of the rest.
    fn of(&self, changed: &Arc<dyn DataSource>) -> Result<Arc<dyn DataSource>> {
        let config = changed.downcast_ref::<FileScanConfig>();
        let config = config.ok_or_else(|| external("a scan became something else"))?.clone();
        Ok(Arc::new(ManySegments { config, chosen: Arc::clone(&self.chosen) }))
    }
}

impl DataSource for ManySegments {
    fn open(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.with_files().open(partition, context)
    }

    fn open_with_args(&self, args: OpenArgs) -> Result<SendableRecordBatchStream> {
        let state = args.sibling_state.clone();
        match state.as_ref().and_then(|state| state.downcast_ref::<Running>()) {
            Some(running) => {
                running.config.open_with_args(args.with_shared_state(running.state.clone()))
            }
            None => self.open(args.partition, args.context),
        }
    }

    fn create_sibling_state(&self, options: &ConfigOptions) -> Option<Arc<dyn Any + Send + Sync>> {
        let config = self.with_files();
        let state = config.create_sibling_state(options);
        Some(Arc::new(Running { config, state }))
    }

    fn fmt_as(&self, form: DisplayFormatType, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match form {
            DisplayFormatType::TreeRender => writeln!(to, "segments={}", self.chosen.len())?,
            _ => write!(to, "segments={}, ", self.chosen.len())?,
        }
        self.config.fmt_as(form, to)
    }

    /// Partitions take the next file where another has not begun with it: nothing is to be cut.
    fn repartitioned(
        &self,
        partitions: usize,
        _: usize,
        _: Option<LexOrdering>,
    ) -> Result<Option<Arc<dyn DataSource>>> {
        let mut config = self.config.clone();
        config.file_groups = vec![FileGroup::default(); partitions];
        Ok(Some(Arc::new(ManySegments { config, chosen: Arc::clone(&self.chosen) })))
    }

    fn output_partitioning(&self) -> Partitioning {
        self.config.output_partitioning()
    }

    fn eq_properties(&self) -> EquivalenceProperties {
        self.config.eq_properties()
    }

    fn scheduling_type(&self) -> SchedulingType {
        self.config.scheduling_type()
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        self.config.partition_statistics(partition)
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn DataSource>> {
        self.config.with_fetch(limit).and_then(|changed| self.of(&changed).ok())
    }

    fn fetch(&self) -> Option<usize> {
        self.config.fetch()
    }

    fn metrics(&self) -> ExecutionPlanMetricsSet {
        self.config.metrics()
    }

    fn try_swapping_with_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> Result<Option<Arc<dyn DataSource>>> {
        let changed = self.config.try_swapping_with_projection(projection)?;
        changed.map(|changed| self.of(&changed)).transpose()
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        options: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn DataSource>>> {
        let FilterPushdownPropagation { filters, updated_node } =
            self.config.try_pushdown_filters(filters, options)?;
        let updated_node = updated_node.map(|changed| self.of(&changed)).transpose()?;
        Ok(FilterPushdownPropagation { filters, updated_node })
    }

    /// Row groups may be read in a better order; that rows are in order nobody can say who does
    /// not see the files.
    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
    ) -> Result<SortOrderPushdownResult<Arc<dyn DataSource>>> {
        match self.config.try_pushdown_sort(order)? {
            SortOrderPushdownResult::Inexact { inner } => {
                Ok(SortOrderPushdownResult::Inexact { inner: self.of(&inner)? })
            }
            _ => Ok(SortOrderPushdownResult::Unsupported),
        }
    }

    fn with_preserve_order(&self, preserve: bool) -> Option<Arc<dyn DataSource>> {
        self.config.with_preserve_order(preserve).and_then(|changed| self.of(&changed).ok())
    }

    fn apply_expressions(
        &self,
        act: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.config.apply_expressions(act)
    }
}
