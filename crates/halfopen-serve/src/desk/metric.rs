//! `why --metric`: points of the metrics in the window, its edges and the time before; for a
//! level also who calls whom.

use halfopen_measure::{
    BEFORE_NS, EDGE_NS, EDGES_METRIC, LevelEvidence, MetricEvidence, MetricQuestion, counts, levels,
};
use halfopen_model::answer::{Gap, MetricAnswer};
use halfopen_model::batch::Cells;
use halfopen_model::port::{Match, Rows, Scan};
use halfopen_model::time::SECOND_NS;
use halfopen_model::{ReadEvidence, Table, TimeRange, UnixNanos};

use arrow::array::RecordBatch;

use super::find::kept;
use super::{Desk, DeskError, WhyBaseline};

/// Points of one metric that are read for one question: a thousand series for half a day, one a
/// minute.
const POINTS_MAX: usize = 720_000;

/// Points of calls between services that are read.
const EDGES_MAX: usize = 50_000;

/// A level is compared with a day: it is usual for levels to change with the hour.
const LEVEL_BEFORE_NS: i64 = 24 * 3_600 * SECOND_NS;

/// What a level is in the metrics of OpenTelemetry.
const LEVEL_KIND: &str = "gauge";

/// Columns that say what was measured; histograms are not counted.
const UNREAD_COLUMNS: [&str; 6] =
    ["exemplars", "buckets", "bounds", "positive_buckets", "negative_buckets", "quantiles"];

/// What is asked.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct MetricAsk {
    /// The metric that counts failing ones, or a level.
    pub metric: String,
    /// The metric that counts all of them; for a level, how much is asked for.
    pub total: Option<String>,
    /// Only series of this service; for a level, the service that shows it.
    pub service: Option<String>,
    /// The time; `None` for the last 15 minutes.
    pub window: Option<TimeRange>,
    /// What to compare with; `None` for the time before.
    pub baseline: Option<WhyBaseline>,
}

impl<S: ReadEvidence> Desk<S> {
    /// Where does this metric come from? Counts where all of them are counted too; a level where
    /// nothing is, or where the metric is a gauge and a service is named.
    ///
    /// # Errors
    /// When evidence cannot be read.
    pub async fn why_metric(&self, ask: MetricAsk) -> Result<MetricAnswer, DeskError> {
        let now = self.clock.now();
        let window = ask.window.unwrap_or_else(|| super::why::last_minutes(now));
        let is_level = ask.total.is_none()
            || ask.service.is_some() && self.is_gauge(&ask.metric, window).await?;
        let day = TimeRange { from: window.from.shifted(-LEVEL_BEFORE_NS), to: window.from };
        let mut gaps = Vec::new();
        let service = ask.service.as_deref();
        let baseline = self.baseline(ask.baseline, window, service, &mut gaps).await?;
        let question = MetricQuestion {
            baseline: baseline.or(is_level.then_some(day)),
            metric: ask.metric,
            total: ask.total,
            service: ask.service,
            window,
        };
        let evidence = self.metric_evidence(&question, &mut gaps).await?;
        let is_asked =
            |rows: &RecordBatch| Cells::new(rows).text("name", 0) == Some(question.metric.as_str());
        let has_points = evidence.points.iter().any(is_asked);
        let mut answer = match is_level {
            false => counts(&question, &evidence),
            true => {
                let edges = self.edges(window).await?;
                let points = evidence.points;
                levels(&question, &LevelEvidence { points, edges })
            }
        };
        answer.gaps.extend(gaps);
        if !has_points {
            answer.gaps.push(self.no_points(&question.metric, now).await?);
        }
        halfopen_chain::of_metric(&mut answer);
        Ok(answer)
    }

    async fn metric_evidence(
        &self,
        question: &MetricQuestion,
        gaps: &mut Vec<Gap>,
    ) -> Result<MetricEvidence, DeskError> {
        let mut evidence = MetricEvidence::default();
        let window = question.window;
        let mut ranges =
            vec![TimeRange { from: window.from.shifted(-EDGE_NS), to: window.to.shifted(EDGE_NS) }];
        match question.baseline {
            Some(baseline) => ranges.push(baseline),
            None => ranges[0].from = window.from.shifted(-before_ns(window)),
        }
        for range in disjoint(ranges) {
            for name in [Some(&question.metric), question.total.as_ref()].into_iter().flatten() {
                let rows = self.points(name, range, POINTS_MAX).await?;
                evidence.truncated = evidence.truncated.or(rows.truncated.then_some(POINTS_MAX));
                let rows = Rows { truncated: false, ..rows };
                evidence.points.extend(kept(Table::Metrics, POINTS_MAX, rows, gaps));
            }
        }
        Ok(evidence)
    }

    async fn is_gauge(&self, name: &str, window: TimeRange) -> Result<bool, DeskError> {
        let found = self.points(name, window, 1).await?;
        let kind = found.batches.first().and_then(|rows| Cells::new(rows).text("kind", 0));
        Ok(kind == Some(LEVEL_KIND))
    }

    /// Who calls whom: of the window, or of any time where the window does not say.
    async fn edges(&self, window: TimeRange) -> Result<Vec<RecordBatch>, DeskError> {
        let near = self.points(EDGES_METRIC, window, EDGES_MAX).await?;
        if !near.is_empty() {
            return Ok(near.batches);
        }
        Ok(self.points(EDGES_METRIC, TimeRange::ALL, EDGES_MAX).await?.batches)
    }

    async fn points(
        &self,
        name: &str,
        range: TimeRange,
        rows_max: usize,
    ) -> Result<Rows, DeskError> {
        let mut scan = Scan::all(Table::Metrics, range, rows_max);
        scan.matching = Match::Text { column: "name".to_owned(), value: name.to_owned() };
        let schema = halfopen_model::schema::schema(Table::Metrics);
        let names = schema.fields().iter().map(|field| field.name().clone());
        let read = names.filter(|name| !UNREAD_COLUMNS.contains(&name.as_str()));
        scan.columns = Some(read.collect());
        Ok(self.evidence.read(scan).await?)
    }

    /// Whether a metric is not of that time or not known at all.
    async fn no_points(&self, name: &str, now: UnixNanos) -> Result<Gap, DeskError> {
        let range = TimeRange { from: UnixNanos(0), to: now };
        let mut scan = Scan::all(Table::Metrics, range, 1);
        scan.matching = Match::Text { column: "name".to_owned(), value: name.to_owned() };
        scan.columns = Some(vec![Table::Metrics.time_column().into()]);
        let is_known = !self.evidence.read(scan).await?.is_empty();
        Ok(Gap::Other(match is_known {
            true => format!("no point of {name} is of that time"),
            false => format!(
                "no metric has the name {name}: \
                 select name, count(*) from metrics group by name lists them"
            ),
        }))
    }
}

/// How much time before a window is read: longer windows are compared with longer times.
fn before_ns(window: TimeRange) -> i64 {
    window.length_ns().saturating_mul(2).max(BEFORE_NS)
}

/// Ranges that overlap become one: no point is read twice.
fn disjoint(mut ranges: Vec<TimeRange>) -> Vec<TimeRange> {
    ranges.sort_by_key(|range| range.from);
    let mut found: Vec<TimeRange> = Vec::new();
    for range in ranges {
        match found.last_mut() {
            Some(last) if range.from <= last.to => last.to = last.to.max(range.to),
            _ => found.push(range),
        }
    }
    found
}
