//! `why`: the window, the spans in it, what changed before.

use arrow::array::RecordBatch;
use halfopen_explain::why::{self, EDGE_NS, LOSS_METRICS, WhyEvidence, WhyQuestion};
use halfopen_model::answer::{Gap, Scope, SlowRule, WhyAnswer};
use halfopen_model::port::{Match, Rows, Scan};
use halfopen_model::time::{SECOND_NS, show_duration};
use halfopen_model::{ReadEvidence, Table, TimeRange, TraceId, UnixNanos};

use super::find::kept;
use super::suspects::Beside;
use super::{Desk, DeskError, WhyBaseline, baseline};

/// What is looked at when nothing is said: long enough for an onset to lie inside, short enough
/// to be about the trouble of now.
const WINDOW_NS_DEFAULT: i64 = 15 * 60 * SECOND_NS;
/// A deploy of this morning may fail at noon.
const CHANGES_BEFORE_NS: i64 = 6 * 3_600 * SECOND_NS;
/// Changes that are looked at.
const CHANGES_MAX: usize = 10_000;
/// Points of counters of losses that are read; a service sends some ten of them a minute.
const POINTS_MAX: usize = 20_000;
/// Rejects that are counted; more are told as "at least".
const REJECTS_MAX: usize = 10_000;
/// Parts of the traces that are tried when there are too many spans: one in 4, 16, ...
const PARTS: [u32; 4] = [4, 16, 64, 256];

/// What a new store answers.
const NO_SPAN: &str = "no span is known yet: point an OTLP exporter at the server";

/// What is asked.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct WhyAsk {
    /// Which requests.
    pub scope: Scope,
    /// The time; `None` for the last 15 minutes that hold data.
    pub window: Option<TimeRange>,
    /// What to compare with; `None` for healthy requests of the window.
    pub baseline: Option<WhyBaseline>,
    /// Ask about slow requests in place of failing ones.
    pub slow: Option<SlowRule>,
}

/// Columns that say nothing about a failure and are large.
pub(super) const UNREAD_COLUMNS: [&str; 5] =
    ["links", "trace_state", "scope_version", "resource_schema_url", "scope_schema_url"];

impl<S: ReadEvidence> Desk<S> {
    /// Why do these requests fail?
    ///
    /// # Errors
    /// When evidence cannot be read.
    pub async fn why(&self, ask: WhyAsk) -> Result<WhyAnswer, DeskError> {
        let now = self.clock.now();
        let mut gaps = Vec::new();
        let window = match ask.window {
            Some(window) => window,
            None => self.latest_window(now, &mut gaps).await?,
        };
        let mut evidence = WhyEvidence::default();
        let (spans, truncated) = self.spans_in(window, &mut gaps).await?;
        (evidence.spans, evidence.truncated) = (spans, truncated);
        if ask.window.is_some() && evidence.spans.is_empty() && evidence.truncated.is_none() {
            gaps.push(self.nothing_in_window(now).await?);
        }
        let before = TimeRange { from: window.from.shifted(-CHANGES_BEFORE_NS), to: window.to };
        let changes = self.rows(Table::Changes, Match::All, Some(before), CHANGES_MAX).await?;
        evidence.changes = kept(Table::Changes, CHANGES_MAX, changes, &mut gaps);
        for prefix in LOSS_METRICS {
            let names = Match::TextPrefix { column: "name".to_owned(), prefix: prefix.to_owned() };
            let rows = self.rows(Table::Metrics, names, Some(edged(window)), POINTS_MAX).await?;
            evidence.metrics.extend(kept(Table::Metrics, POINTS_MAX, rows, &mut gaps));
        }
        evidence.rejects = self.rejects_in(window).await?;
        let (scope, slow) = (ask.scope, ask.slow);
        let mut question = WhyQuestion { scope, window, baseline: None, slow, now };
        let (mut answer, mut beside) =
            self.answer(&mut question, ask.baseline, &mut evidence, &mut gaps).await?;
        if answer.suspects.is_none() {
            answer.suspects =
                self.against_before(&question, &mut evidence, &mut beside, &mut gaps).await?;
        }
        let (changes, beside) = (&evidence.changes, &mut beside);
        answer.change = self.judged_changes(window, changes, beside, &mut gaps).await?;
        answer.gaps.extend(gaps);
        answer.gaps.extend(answer.suspects.as_ref().and_then(why::unread_statements));
        halfopen_chain::of_requests(&mut answer);
        Ok(answer)
    }

    /// Asks, once what to compare with is known: two versions that serve in the window, or another
    /// time, which becomes part of the question.
    async fn answer(
        &self,
        question: &mut WhyQuestion,
        asked: Option<WhyBaseline>,
        evidence: &mut WhyEvidence,
        gaps: &mut Vec<Gap>,
    ) -> Result<(WhyAnswer, Beside), DeskError> {
        let (window, service) = (question.window, question.scope.service.as_deref());
        let change = match asked {
            Some(WhyBaseline::VersionBefore) => self.version_change(window, service, gaps).await?,
            _ => None,
        };
        let baseline = match &change {
            Some(change) => Some(baseline::before(change, window)),
            None if asked == Some(WhyBaseline::VersionBefore) => None,
            None => self.baseline(asked, window, service, gaps).await?,
        };
        let beside = self.beside(window, baseline, evidence, gaps).await?;
        if let Some(change) = &change {
            match why::why_beside(question, evidence, change) {
                Ok(answer) => return Ok((answer, beside)),
                Err(served) => gaps.push(baseline::not_beside(change, served)),
            }
        }
        question.baseline = baseline;
        if let Some(baseline) = baseline {
            let (spans, truncated) = self.spans_in(baseline, gaps).await?;
            evidence.baseline_spans = spans;
            evidence.truncated = evidence.truncated.or(truncated);
        }
        Ok((why::why(question, evidence), beside))
    }

    /// The last 15 minutes; where nothing came in them, the 15 minutes up to the last span.
    pub(super) async fn latest_window(
        &self,
        now: UnixNanos,
        gaps: &mut Vec<Gap>,
    ) -> Result<TimeRange, DeskError> {
        let recent = last_minutes(now);
        if self.holds_spans(recent).await? {
            return Ok(recent);
        }
        let Some(latest) = self.latest_span(now).await? else {
            gaps.push(Gap::Other(NO_SPAN.to_owned()));
            return Ok(recent);
        };
        let ago = show_duration(now.since(latest));
        gaps.push(Gap::Other(format!(
            "no span is of the last 15 min; this is about the 15 min up to the last one, {ago} ago"
        )));
        Ok(TimeRange { from: latest.shifted(-WINDOW_NS_DEFAULT), to: latest })
    }

    pub(super) async fn nothing_in_window(&self, now: UnixNanos) -> Result<Gap, DeskError> {
        let text = match self.latest_span(now).await? {
            Some(latest) => format!("no span is of that time; the last one began before {latest}"),
            None => NO_SPAN.to_owned(),
        };
        Ok(Gap::Other(text))
    }

    async fn holds_spans(&self, range: TimeRange) -> Result<bool, DeskError> {
        let mut scan = Scan::all(Table::Spans, range, 1);
        scan.columns = Some(vec![Table::Spans.time_column().into()]);
        Ok(!self.evidence.read(scan).await?.is_empty())
    }

    /// A moment, whole in seconds, up to a second or two after the begin of the last span before
    /// `now`.
    async fn latest_span(&self, now: UnixNanos) -> Result<Option<UnixNanos>, DeskError> {
        let mut reach_ns = WINDOW_NS_DEFAULT;
        let mut range = TimeRange { from: UnixNanos(0), to: now };
        if !self.holds_spans(range).await? {
            return Ok(None);
        }
        // Double the reach until something is found, then halve what is left.
        while reach_ns < now.0 {
            let near = TimeRange { from: now.shifted(-reach_ns), to: now };
            if self.holds_spans(near).await? {
                range.from = near.from;
                break;
            }
            range.to = near.from;
            reach_ns = reach_ns.saturating_mul(4);
        }
        while range.length_ns() > SECOND_NS {
            let middle = range.from.shifted(range.length_ns() / 2);
            if self.holds_spans(TimeRange { from: middle, to: range.to }).await? {
                range.from = middle;
            } else {
                range.to = middle;
            }
        }
        let second = range.to.0.div_euclid(SECOND_NS).saturating_add(1);
        Ok(Some(UnixNanos(second.saturating_mul(SECOND_NS))))
    }

    /// The spans of a window and its edges. Where there are more than the bound, whole traces are
    /// left out, evenly, so that every trace that is looked at is complete.
    pub(super) async fn spans_in(
        &self,
        window: TimeRange,
        gaps: &mut Vec<Gap>,
    ) -> Result<(Vec<RecordBatch>, Option<usize>), DeskError> {
        self.columns_in(window, &read_columns(), gaps).await
    }

    /// The same for some columns.
    pub(super) async fn columns_in(
        &self,
        window: TimeRange,
        columns: &[String],
        gaps: &mut Vec<Gap>,
    ) -> Result<(Vec<RecordBatch>, Option<usize>), DeskError> {
        let rows_max = self.settings.why_spans_max;
        let range = edged(window);
        let mut whole = self.part_of(range, 1, columns).await?;
        if !whole.truncated {
            return Ok((kept(Table::Spans, rows_max, whole, gaps), None));
        }
        for parts in PARTS {
            let rows = self.part_of(range, parts, columns).await?;
            if rows.is_empty() {
                break; // ids are not spread evenly: no part of them is fair
            }
            if !rows.truncated {
                gaps.push(Gap::Other(format!(
                    "more than {rows_max} spans: one in {parts} traces was looked at, counts are \
                     of those"
                )));
                return Ok((kept(Table::Spans, rows_max, rows, gaps), None));
            }
        }
        whole.truncated = false; // `why` itself tells of it
        Ok((kept(Table::Spans, rows_max, whole, gaps), Some(rows_max)))
    }

    async fn part_of(
        &self,
        range: TimeRange,
        parts: u32,
        columns: &[String],
    ) -> Result<Rows, DeskError> {
        let mut scan = Scan::all(Table::Spans, range, self.settings.why_spans_max);
        scan.columns = Some(columns.to_vec());
        if parts > 1 {
            let (first, last) = one_part(parts);
            scan.matching = Match::TraceRange(first, last);
        }
        Ok(self.evidence.read(scan).await?)
    }

    async fn rejects_in(&self, window: TimeRange) -> Result<u64, DeskError> {
        let mut scan = Scan::all(Table::Rejects, window, REJECTS_MAX);
        scan.columns = Some(vec![Table::Rejects.time_column().into()]);
        Ok(self.evidence.read(scan).await?.len() as u64)
    }
}

/// What is looked at when nothing is said.
pub(super) fn last_minutes(now: UnixNanos) -> TimeRange {
    TimeRange { from: now.shifted(-WINDOW_NS_DEFAULT), to: now }
}

/// A window with its edges.
pub(super) fn edged(window: TimeRange) -> TimeRange {
    TimeRange { from: window.from.shifted(-EDGE_NS), to: window.to.shifted(EDGE_NS) }
}

fn read_columns() -> Vec<String> {
    let schema = halfopen_model::schema::schema(Table::Spans);
    let names = schema.fields().iter().map(|field| field.name().clone());
    names.filter(|name| !UNREAD_COLUMNS.contains(&name.as_str())).collect()
}

/// One of `parts` equal parts of all trace ids. Ids are random in their last bytes always, in
/// their first bytes where the sender follows W3C Trace Context; the part is cut by the first.
fn one_part(parts: u32) -> (TraceId, TraceId) {
    let width = u32::MAX / parts;
    let mut last = [0xff; halfopen_model::id::TRACE_ID_BYTES];
    last[..4].copy_from_slice(&width.to_be_bytes());
    (TraceId([0; halfopen_model::id::TRACE_ID_BYTES]), TraceId(last))
}
