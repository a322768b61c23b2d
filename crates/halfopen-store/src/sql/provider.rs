//! A table for the engine: the segments that may hold wanted rows, and the hot rows.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{ArrayRef, BooleanArray, FixedSizeBinaryArray, TimestampNanosecondArray};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::datasource::TableProvider;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetAccessPlan;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;
use halfopen_model::{Table, TraceId, UnixNanos, schema};

use super::adapter::JoiningAdapters;
use super::cut;
use super::hot::HotScan;
use super::many::{MANY_SEGMENTS, ManySegments};
use super::segments::{SegmentReaders, SegmentRef};
use super::session::segments_url;
use super::wanted;
use crate::index::{self, Candidate, Groups};
use crate::segment::{Segment, SegmentInfo};
use crate::shared::{Shared, View};

/// Rows of these columns lie together in few pages: looking at them first pays.
const KEY_COLUMNS: [&str; 3] = ["trace_id", "span_id", "id"];

/// Segments that are excluded together: of 50,000 some 400 bounds are compared, and then those of
/// few segments.
const STRETCH_SEGMENTS: usize = 128;

/// A table in one view.
pub(super) struct EvidenceTable {
    table: Table,
    schema: SchemaRef,
    view: Arc<View>,
    shared: Arc<Shared>,
    scanned: AtomicBool,
    /// Whether it was asked for rows whose retention is over.
    expired: AtomicBool,
}

impl std::fmt::Debug for EvidenceTable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("EvidenceTable").field("table", &self.table).finish_non_exhaustive()
    }
}

impl EvidenceTable {
    pub(super) fn new(table: Table, view: Arc<View>, shared: Arc<Shared>) -> EvidenceTable {
        let schema = schema::schema(table);
        let (scanned, expired) = (AtomicBool::new(false), AtomicBool::new(false));
        EvidenceTable { table, schema, view, shared, scanned, expired }
    }

    pub(super) fn table(&self) -> Table {
        self.table
    }

    /// Whether a query read it.
    pub(super) fn was_scanned(&self) -> bool {
        self.scanned.load(Ordering::Relaxed)
    }

    /// What retention took from a query, in words.
    pub(super) fn expired(&self) -> Option<String> {
        let cut = self.view.cuts[self.table as usize]?;
        self.expired.load(Ordering::Relaxed).then(|| cut.words(self.table))
    }

    /// Segments in which the catalogue does not exclude a match.
    fn segments(&self, predicate: &Arc<dyn PhysicalExpr>) -> Result<Vec<Arc<Segment>>> {
        let segments = &self.view.segments[self.table as usize];
        let pruning = PruningPredicateBuilder::new()
            .with_file_schema(Arc::clone(&self.schema))
            .try_build(Arc::clone(predicate))?;
        let time_column = self.table.time_column();
        // Of many segments first whole stretches are excluded: those of one time lie together.
        let stretches: Vec<&[Arc<Segment>]> = segments.chunks(STRETCH_SEGMENTS).collect();
        let extents = stretches.iter().filter_map(|stretch| Extent::of_all(stretch)).collect();
        let kept = pruning.prune(&Bounds { time_column, extents })?;
        let kept = stretches.into_iter().zip(kept).filter(|(_, kept)| *kept);
        let segments: Vec<&Arc<Segment>> = kept.flat_map(|(stretch, _)| stretch).collect();
        let extents = segments.iter().map(|segment| Extent::of(segment)).collect();
        let kept = pruning.prune(&Bounds { time_column, extents })?;
        let kept = segments.into_iter().zip(kept).filter(|(_, kept)| *kept);
        Ok(kept.map(|(segment, _)| Arc::clone(segment)).collect())
    }

    /// Those of them that may hold the ids that `predicate` asks for.
    async fn chosen(&self, predicate: Option<&Arc<dyn PhysicalExpr>>) -> Result<Chosen> {
        let Some(predicate) = predicate else {
            return Ok(Chosen::All(Arc::clone(&self.view.segments[self.table as usize])));
        };
        let segments = self.segments(predicate)?;
        let probe = wanted::probe(self.table, predicate);
        Ok(Chosen::Some(index::keep(&self.shared, segments, probe).await))
    }

    async fn scan_segments(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        predicate: Option<&Arc<dyn PhysicalExpr>>,
        by_key: bool,
        limit: Option<usize>,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let chosen = self.chosen(predicate).await?;
        if chosen.len() == 0 {
            return Ok(None);
        }
        let readers = SegmentReaders::new(Arc::clone(&self.shared));
        let mut source = ParquetSource::new(Arc::clone(&self.schema))
            .with_table_parquet_options(state.table_options().parquet.clone())
            .with_parquet_file_reader_factory(Arc::new(readers))
            .with_pushdown_filters(by_key);
        if let Some(predicate) = predicate {
            source = source.with_predicate(Arc::clone(predicate));
        }
        let partitions = state.config().target_partitions().min(chosen.len());
        let is_late = chosen.len() >= MANY_SEGMENTS;
        let files = match is_late {
            true => vec![FileGroup::default(); partitions],
            false => files(&chosen, partitions),
        };
        let config = FileScanConfigBuilder::new(segments_url(), Arc::new(source))
            .with_file_groups(files)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .with_expr_adapter(Some(Arc::new(JoiningAdapters)))
            .build();
        Ok(Some(match is_late {
            true => DataSourceExec::from_data_source(ManySegments::new(config, chosen)),
            false => DataSourceExec::from_data_source(config),
        }))
    }
}

/// The segments that a query reads.
#[derive(Debug)]
pub(super) enum Chosen {
    /// All of the view.
    All(Arc<Vec<Arc<Segment>>>),
    /// Some, or some row groups of them.
    Some(Vec<Candidate>),
}

impl Chosen {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Chosen::All(segments) => segments.len(),
            Chosen::Some(candidates) => candidates.len(),
        }
    }
}

/// The files of a scan, in groups.
pub(super) fn files(chosen: &Chosen, groups: usize) -> Vec<FileGroup> {
    let mut files: Vec<FileGroup> = vec![FileGroup::default(); groups];
    let mut take = |number: usize, segment: &Arc<Segment>, wanted: Option<&Groups>| {
        let file = PartitionedFile::new(segment.info.file.clone(), segment.info.bytes);
        let file = file.with_extension(SegmentRef(Arc::clone(segment)));
        let file = match wanted {
            Some(wanted) => file.with_extension(access(wanted)),
            None => file,
        };
        files[number % groups].push(file);
    };
    match chosen {
        Chosen::All(segments) => {
            let all = segments.iter().enumerate();
            all.for_each(|(number, segment)| take(number, segment, None));
        }
        Chosen::Some(candidates) => {
            for (number, Candidate { segment, groups }) in candidates.iter().enumerate() {
                take(number, segment, groups.as_ref());
            }
        }
    }
    files
}

#[async_trait]
impl TableProvider for EvidenceTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        // They are tested again above: here they only exclude what is cheap to exclude.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.scanned.store(true, Ordering::Relaxed);
        let limit = limit.filter(|_| filters.is_empty());
        let filter = conjunction(filters.to_vec());
        let whole = DFSchema::try_from(Arc::clone(&self.schema))?;
        let predicate =
            filter.clone().map(|filter| state.create_physical_expr(filter, &whole)).transpose()?;
        if let Some(cut) = self.view.cuts[self.table as usize] {
            let time = self.table.time_column();
            if cut::may_want(predicate.as_ref(), &self.schema, time, cut.range)? {
                self.expired.store(true, Ordering::Relaxed);
            }
        }
        let by_key = filter.as_ref().is_some_and(|filter| {
            filter.column_refs().iter().any(|column| KEY_COLUMNS.contains(&column.name.as_str()))
        });
        let projected = match projection {
            Some(places) => Arc::new(self.schema.project(places)?),
            None => Arc::clone(&self.schema),
        };
        let segments = self.scan_segments(state, projection, predicate.as_ref(), by_key, limit);
        let segments = segments.await?;
        let hot = HotScan {
            batches: self.view.hot[self.table as usize].clone(),
            projected: Arc::clone(&projected),
            filter,
            partitions: state.config().target_partitions(),
            limit,
        };
        let hot = hot.plan(state, &self.schema)?;
        let mut plans: Vec<_> = segments.into_iter().chain(hot).collect();
        match plans.len() {
            0 => Ok(Arc::new(EmptyExec::new(projected))),
            1 => Ok(plans.remove(0)),
            _ => UnionExec::try_new(plans),
        }
    }
}

/// Reads some row groups only.
fn access(groups: &Groups) -> ParquetAccessPlan {
    let mut plan = ParquetAccessPlan::new_none(groups.all);
    groups.some.iter().for_each(|group| plan.scan(*group));
    plan
}

/// Where the rows of a segment, or of several, lie.
struct Extent {
    from: UnixNanos,
    to: UnixNanos,
    /// `None` when it is not known.
    traces: Option<(TraceId, TraceId)>,
}

impl Extent {
    fn of(segment: &Segment) -> Extent {
        let SegmentInfo { range, traces, .. } = &segment.info;
        Extent { from: range.from, to: range.to, traces: *traces }
    }

    /// `None` for none.
    fn of_all(segments: &[Arc<Segment>]) -> Option<Extent> {
        let both = |one: (TraceId, TraceId), other: (TraceId, TraceId)| {
            (one.0.min(other.0), one.1.max(other.1))
        };
        segments.iter().map(|segment| Extent::of(segment)).reduce(|one, other| Extent {
            from: one.from.min(other.from),
            to: one.to.max(other.to),
            traces: one.traces.zip(other.traces).map(|(one, other)| both(one, other)),
        })
    }
}

/// What the catalogue knows about segments, for pruning.
struct Bounds {
    time_column: &'static str,
    extents: Vec<Extent>,
}

impl Bounds {
    fn times(&self, time: impl Fn(&Extent) -> UnixNanos) -> Option<ArrayRef> {
        let times = self.extents.iter().map(|extent| time(extent).0);
        Some(Arc::new(TimestampNanosecondArray::from_iter_values(times).with_timezone("UTC")))
    }

    fn traces(&self, trace: impl Fn((TraceId, TraceId)) -> TraceId) -> Option<ArrayRef> {
        let ids = self.extents.iter().map(|extent| extent.traces.map(|ids| trace(ids).0));
        let ids = FixedSizeBinaryArray::try_from_sparse_iter_with_size(ids, 16).ok()?;
        Some(Arc::new(ids))
    }
}

impl PruningStatistics for Bounds {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        match column.name.as_str() {
            name if name == self.time_column => self.times(|extent| extent.from),
            "trace_id" => self.traces(|(first, _)| first),
            _ => None,
        }
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        match column.name.as_str() {
            name if name == self.time_column => self.times(|extent| extent.to.shifted(-1)),
            "trace_id" => self.traces(|(_, last)| last),
            _ => None,
        }
    }

    fn num_containers(&self) -> usize {
        self.extents.len()
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

/// An error of ours on its way through the engine.
pub(super) fn external(
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> DataFusionError {
    DataFusionError::External(error.into())
}
