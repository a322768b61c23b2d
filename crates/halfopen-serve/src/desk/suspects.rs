//! What `why` reads beside spans: logs and metrics of a time and of the one it is compared with.

use halfopen_explain::why::{self, WhyEvidence, WhyQuestion};
use halfopen_model::answer::{Gap, Suspects};
use halfopen_model::port::{Rows, Scan};
use halfopen_model::time::SECOND_NS;
use halfopen_model::{ReadEvidence, Table, TimeRange};

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

impl<S: ReadEvidence> Desk<S> {
    /// Rows of some columns; those that the table does not have are left out.
    async fn some_columns(
        &self,
        table: Table,
        columns: &[&str],
        range: TimeRange,
        rows_max: usize,
    ) -> Result<Rows, DeskError> {
        let schema = halfopen_model::schema::schema(table);
        let known = |name: &&&str| schema.field_with_name(name).is_ok();
        let mut scan = Scan::all(table, range, rows_max);
        scan.columns = Some(columns.iter().filter(known).map(|name| (*name).into()).collect());
        Ok(self.evidence.read(scan).await?)
    }

    async fn records(&self, range: TimeRange) -> Result<Rows, DeskError> {
        self.some_columns(Table::Logs, &LOG_COLUMNS, range, RECORDS_MAX).await
    }

    /// Reads logs and points of a window, of its baseline and of the time before into `evidence`.
    pub(super) async fn beside(
        &self,
        window: TimeRange,
        baseline: Option<TimeRange>,
        evidence: &mut WhyEvidence,
        gaps: &mut Vec<Gap>,
    ) -> Result<(), DeskError> {
        for range in std::iter::once(super::why::edged(window)).chain(baseline) {
            let rows = self.records(range).await?;
            evidence.logs.extend(kept(Table::Logs, RECORDS_MAX, rows, gaps));
        }
        let before = TimeRange { from: window.from.shifted(-POINTS_BEFORE_NS), to: window.to };
        let apart = baseline.filter(|range| range.to < before.from || range.from > before.to);
        for range in std::iter::once(before).chain(apart) {
            let rows = self.some_columns(Table::Metrics, &POINT_COLUMNS, range, POINTS_MAX).await?;
            evidence.points.extend(kept(Table::Metrics, POINTS_MAX, rows, gaps));
        }
        Ok(())
    }

    /// What stands out against the time before the window, where the answer had nothing else to
    /// compare with. `None` when nothing was sent in that time.
    pub(super) async fn against_before(
        &self,
        question: &WhyQuestion,
        evidence: &mut WhyEvidence,
        gaps: &mut Vec<Gap>,
    ) -> Result<Option<Suspects>, DeskError> {
        let before = why::time_before(question.window);
        let (spans, truncated) = self.spans_in(before, gaps).await?;
        if spans.is_empty() || evidence.spans.is_empty() {
            return Ok(None);
        }
        evidence.baseline_spans = spans;
        evidence.truncated = evidence.truncated.or(truncated);
        let rows = self.records(before).await?;
        evidence.logs.extend(kept(Table::Logs, RECORDS_MAX, rows, gaps));
        Ok(Some(why::suspects(question, evidence, before)))
    }
}
