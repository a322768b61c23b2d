//! What `why` reads beside spans: logs and metrics of a time and of the one it is compared with.
//!
//! **Invariant:** no record and no point of the window, or of the time before it, is read twice:
//! suspects and the judgement of changes look at the same rows.

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampNanosecondType;
use halfopen_explain::why::{self, WhyEvidence, WhyQuestion};
use halfopen_model::answer::{Gap, Suspects};
use halfopen_model::port::{Rows, Scan};
use halfopen_model::time::SECOND_NS;
use halfopen_model::{ReadEvidence, Table, TimeRange, UnixNanos};

use super::find::kept;
use super::{Desk, DeskError};

/// Log records of one time that are mined for statements: two hundred in a second, for a quarter
/// of an hour.
const RECORDS_MAX: usize = 200_000;

/// Points of metrics of one time that are compared.
const POINTS_MAX: usize = 200_000;

/// Points come once or twice a minute: so much of the time before is read to know their spread.
const POINTS_BEFORE_NS: i64 = 30 * 60 * SECOND_NS;

/// Columns of logs that statements are mined from.
const LOG_COLUMNS: [&str; 6] =
    ["time", "trace_id", "span_id", "service", "severity_number", "body"];

/// Columns of metrics that levels and counters are read from, and what names their owner.
const POINT_COLUMNS: [&str; 18] = [
    "series",
    "time",
    "service",
    "name",
    "unit",
    "kind",
    "temporality",
    "monotonic",
    "value_int",
    "value_double",
    "attributes",
    "resource.service.instance.id",
    "resource.k8s.pod.name",
    "resource.host.name",
    "resource.k8s.deployment.name",
    "resource.k8s.container.name",
    "resource.container.name",
    "resource.k8s.node.name",
];

/// Rows of one table that were read, from a time on.
pub(super) struct Read {
    table: Table,
    from: UnixNanos,
    rows: Vec<RecordBatch>,
}

impl Read {
    /// Those of a time.
    fn within(&self, range: TimeRange) -> Vec<RecordBatch> {
        let rows = self.rows.iter().map(|rows| within(self.table, rows, range));
        rows.filter(|rows| rows.num_rows() > 0).collect()
    }
}

/// Logs and metrics that were read for the window, its edges and the time before.
pub(super) struct Beside {
    pub(super) logs: Read,
    pub(super) points: Read,
}

impl<S: ReadEvidence> Desk<S> {
    /// Reads logs and points of a window, of its baseline and of the time before into `evidence`.
    pub(super) async fn beside(
        &self,
        window: TimeRange,
        baseline: Option<TimeRange>,
        evidence: &mut WhyEvidence,
        gaps: &mut Vec<Gap>,
    ) -> Result<Beside, DeskError> {
        let edged = super::why::edged(window);
        let rows = self.of_time(Table::Logs, edged, gaps).await?;
        let logs = Read { table: Table::Logs, from: edged.from, rows };
        let before = TimeRange { from: window.from.shifted(-POINTS_BEFORE_NS), to: window.to };
        let rows = self.of_time(Table::Metrics, before, gaps).await?;
        let points = Read { table: Table::Metrics, from: before.from, rows };
        evidence.logs.clone_from(&logs.rows);
        evidence.points.clone_from(&points.rows);
        if let Some(baseline) = baseline {
            evidence.logs.extend(self.of_time(Table::Logs, baseline, gaps).await?);
            if baseline.to < before.from || baseline.from > before.to {
                evidence.points.extend(self.of_time(Table::Metrics, baseline, gaps).await?);
            }
        }
        Ok(Beside { logs, points })
    }

    /// Rows of `range`, which ends where the window ends: what was not read yet is read now.
    pub(super) async fn up_to_its_end(
        &self,
        read: &mut Read,
        range: TimeRange,
        gaps: &mut Vec<Gap>,
    ) -> Result<Vec<RecordBatch>, DeskError> {
        if range.from < read.from {
            let earlier = TimeRange { from: range.from, to: read.from };
            read.rows.extend(self.of_time(read.table, earlier, gaps).await?);
            read.from = range.from;
        }
        Ok(read.within(range))
    }

    /// Rows of a time, with the columns that are looked at and no more than their bound.
    async fn of_time(
        &self,
        table: Table,
        range: TimeRange,
        gaps: &mut Vec<Gap>,
    ) -> Result<Vec<RecordBatch>, DeskError> {
        let (columns, rows_max): (&[&str], usize) = match table {
            Table::Logs => (&LOG_COLUMNS, RECORDS_MAX),
            _ => (&POINT_COLUMNS, POINTS_MAX),
        };
        let schema = halfopen_model::schema::schema(table);
        let known = |name: &&&str| schema.field_with_name(name).is_ok();
        let mut scan = Scan::all(table, range, rows_max);
        scan.columns = Some(columns.iter().filter(known).map(|name| (*name).into()).collect());
        let rows: Rows = self.evidence.read(scan).await?;
        Ok(kept(table, rows_max, rows, gaps))
    }

    /// What stands out against the time before the window, where the answer had nothing else to
    /// compare with. `None` when nothing was sent in that time, and no instance is unlike its
    /// siblings.
    pub(super) async fn against_before(
        &self,
        question: &WhyQuestion,
        evidence: &mut WhyEvidence,
        beside: &mut Beside,
        gaps: &mut Vec<Gap>,
    ) -> Result<Option<Suspects>, DeskError> {
        let before = why::time_before(question.window);
        let (spans, truncated) = self.spans_in(before, gaps).await?;
        if evidence.spans.is_empty() {
            return Ok(None);
        }
        let is_known = !spans.is_empty();
        evidence.baseline_spans = spans;
        evidence.truncated = evidence.truncated.or(truncated);
        let to = super::why::edged(question.window).to;
        let with_before = TimeRange { from: before.from, to };
        evidence.logs = self.up_to_its_end(&mut beside.logs, with_before, gaps).await?;
        let found = why::suspects(question, evidence, before);
        Ok(Some(found).filter(|found| is_known || !found.list.is_empty()))
    }
}

/// Rows of a time: all of them where each lies inside, else a copy.
fn within(table: Table, rows: &RecordBatch, range: TimeRange) -> RecordBatch {
    let times = rows.column_by_name(table.time_column());
    let Some(times) = times.and_then(|c| c.as_primitive_opt::<TimestampNanosecondType>()) else {
        return rows.clone();
    };
    let inside = |row: usize| times.is_valid(row) && range.contains(UnixNanos(times.value(row)));
    let mask: BooleanArray = (0..rows.num_rows()).map(|row| Some(inside(row))).collect();
    if mask.true_count() == rows.num_rows() {
        return rows.clone();
    }
    // A mask of as many rows fits.
    filter_record_batch(rows, &mask).unwrap_or_else(|_| rows.slice(0, 0))
}
