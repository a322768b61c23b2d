//! `find`: ids first, then the rows of the traces that carry them.

use halfopen_model::answer::{FindAnswer, Gap};
use halfopen_model::port::{Match, Rows, Scan};
use halfopen_model::{ReadEvidence, Table, TimeRange, TraceId};
use halfopen_trace::find::{
    self, Choice, FIND_CHANGES_BEFORE_NS, FIND_ENTRIES_MAX, FIND_ID_ROWS_MAX, FindEvidence, IdRows,
    LINK_HOPS_MAX, Lookup, Question,
};
use halfopen_trace::trace::{TRACE_LOGS_MAX, TRACE_SPANS_MAX};

use super::{Desk, DeskError, or_all};

/// Rows that tell which traces begin with some digits. More would list more candidates than
/// anybody reads.
const TRACE_ROWS_MAX: usize = 10_000;
/// Changes in the time of one timeline.
const CHANGES_MAX: usize = 1_000;
/// Spans of all traces of one timeline together.
const SPANS_MAX: usize = TRACE_SPANS_MAX;
/// Ids for which log records without a trace are looked up one by one.
const LONE_IDS_MAX: usize = 20;

impl<S: ReadEvidence> Desk<S> {
    /// Everything about one id; in `range` only, when one is given.
    ///
    /// # Errors
    /// When evidence cannot be read.
    pub async fn find(&self, id: &str, range: Option<TimeRange>) -> Result<FindAnswer, DeskError> {
        let question = Question::read(id);
        let found = self.look_up(&question, or_all(range)).await?;
        let mut choice = find::choose(&question, &found);
        let evidence = self.evidence_of(&mut choice, range).await?;
        Ok(find::assemble(&question, choice, evidence))
    }

    /// What the text may stand for.
    pub(super) async fn look_up(
        &self,
        question: &Question,
        range: TimeRange,
    ) -> Result<IdRows, DeskError> {
        let mut found = IdRows::default();
        if question.text.is_empty() {
            return Ok(found);
        }
        self.look_up_ids(question.lookups(), range, &mut found).await?;
        if found.ids_truncated && question.may_be_prefix() {
            // Too much begins with the text; its own children must still be found.
            self.look_up_ids(question.child_lookups(), range, &mut found).await?;
        }
        if let Some(trace_id) = question.trace {
            found.of_traces = self.rows_of(Match::Traces(vec![trace_id]), range).await?;
        }
        if let Some(span_id) = question.span {
            found.of_span = self.rows_of(Match::Span(span_id), range).await?;
        }
        let nothing_yet = found.of_span.is_empty() && !holds(&found, &question.text);
        if let Some((first, last)) = question.trace_range.filter(|_| nothing_yet) {
            found.of_traces = self.rows_of(Match::TraceRange(first, last), range).await?;
        }
        Ok(found)
    }

    async fn look_up_ids(
        &self,
        lookups: Vec<Lookup>,
        range: TimeRange,
        found: &mut IdRows,
    ) -> Result<(), DeskError> {
        for lookup in lookups {
            let mut scan = Scan::all(Table::Ids, range, FIND_ID_ROWS_MAX);
            let column = "id".to_owned();
            scan.matching = match lookup {
                Lookup::Exact(value) => Match::Text { column, value },
                Lookup::Prefix(prefix) => Match::TextPrefix { column, prefix },
            };
            let rows = self.evidence.read(scan).await?;
            found.ids_truncated |= rows.truncated;
            found.ids.extend(rows.batches);
        }
        Ok(())
    }

    /// Trace ids and times of the spans and log records that match.
    async fn rows_of(
        &self,
        matching: Match,
        range: TimeRange,
    ) -> Result<Vec<(Table, arrow::array::RecordBatch)>, DeskError> {
        let mut found = Vec::new();
        for table in [Table::Spans, Table::Logs] {
            let mut scan = Scan::all(table, range, TRACE_ROWS_MAX);
            scan.matching = matching.clone();
            scan.columns = Some(vec!["trace_id".into(), table.time_column().into()]);
            let rows = self.evidence.read(scan).await?;
            let batches = rows.batches.into_iter().filter(|batch| batch.num_rows() > 0);
            found.extend(batches.map(|batch| (table, batch)));
        }
        Ok(found)
    }

    /// The rows of what was chosen; traces that are linked to the chosen ones join them.
    async fn evidence_of(
        &self,
        choice: &mut Choice,
        range: Option<TimeRange>,
    ) -> Result<FindEvidence, DeskError> {
        let mut evidence = FindEvidence::default();
        if !choice.traces.is_empty() {
            let chosen = choice.traces.clone();
            self.spans_of(&chosen, range, &mut evidence).await?;
            self.follow_up(choice, chosen.clone(), range, &mut evidence).await?;
            self.follow_down(choice, chosen, range, &mut evidence).await?;
            let of_traces = Match::Traces(choice.traces.clone());
            let logs = self.rows(Table::Logs, of_traces, range, TRACE_LOGS_MAX).await?;
            evidence.logs = kept(Table::Logs, TRACE_LOGS_MAX, logs, &mut evidence.gaps);
        }
        for id in lone_ids(choice) {
            let by_id = Match::Text { column: "request_id".into(), value: id };
            let logs = self.rows(Table::Logs, by_id, range, FIND_ENTRIES_MAX).await?;
            evidence.logs.extend(kept(Table::Logs, FIND_ENTRIES_MAX, logs, &mut evidence.gaps));
        }
        if choice.range.from < choice.range.to {
            let from = choice.range.from.shifted(-FIND_CHANGES_BEFORE_NS);
            let near = TimeRange { from, to: choice.range.to.shifted(FIND_CHANGES_BEFORE_NS) };
            let changes = self.rows(Table::Changes, Match::All, Some(near), CHANGES_MAX).await?;
            evidence.changes = kept(Table::Changes, CHANGES_MAX, changes, &mut evidence.gaps);
        }
        Ok(evidence)
    }

    async fn spans_of(
        &self,
        traces: &[TraceId],
        range: Option<TimeRange>,
        evidence: &mut FindEvidence,
    ) -> Result<(), DeskError> {
        let spans = self.rows(Table::Spans, Match::Traces(traces.to_vec()), range, SPANS_MAX);
        let spans = kept(Table::Spans, SPANS_MAX, spans.await?, &mut evidence.gaps);
        evidence.spans.extend(spans);
        Ok(())
    }

    /// Adds the traces that sent what the spans of `from` took, and those before them.
    async fn follow_up(
        &self,
        choice: &mut Choice,
        mut from: Vec<TraceId>,
        range: Option<TimeRange>,
        evidence: &mut FindEvidence,
    ) -> Result<(), DeskError> {
        for _ in 0..LINK_HOPS_MAX {
            let linked = find::linked_to(&evidence.spans, &from);
            from = choice.join(linked);
            if from.is_empty() {
                break;
            }
            self.spans_of(&from, range, evidence).await?;
        }
        Ok(())
    }

    /// Adds the traces that took what the spans of `from` sent, and those behind them.
    async fn follow_down(
        &self,
        choice: &mut Choice,
        mut from: Vec<TraceId>,
        range: Option<TimeRange>,
        evidence: &mut FindEvidence,
    ) -> Result<(), DeskError> {
        for _ in 0..LINK_HOPS_MAX {
            let mut linked = Vec::new();
            for trace_id in &from {
                let mut scan = Scan::all(Table::Ids, or_all(range), FIND_ID_ROWS_MAX);
                let column = "id".to_owned();
                scan.matching = Match::Text { column, value: trace_id.to_string() };
                let rows = self.evidence.read(scan).await?;
                linked.extend(find::linked_from(&rows.batches));
            }
            from = choice.join(linked);
            if from.is_empty() {
                break;
            }
            self.spans_of(&from, range, evidence).await?;
        }
        Ok(())
    }

    pub(super) async fn rows(
        &self,
        table: Table,
        matching: Match,
        range: Option<TimeRange>,
        rows_max: usize,
    ) -> Result<Rows, DeskError> {
        let mut scan = Scan::all(table, or_all(range), rows_max);
        scan.matching = matching;
        Ok(self.evidence.read(scan).await?)
    }
}

/// The batches; what was cut or could not be read becomes a gap.
pub(super) fn kept(
    table: Table,
    rows_max: usize,
    rows: Rows,
    gaps: &mut Vec<Gap>,
) -> Vec<arrow::array::RecordBatch> {
    if rows.truncated {
        gaps.push(Gap::Truncated { table, rows_max });
    }
    for unread in rows.unread {
        let gap = Gap::Other(unread);
        if !gaps.contains(&gap) {
            gaps.push(gap);
        }
    }
    rows.batches
}

fn holds(found: &IdRows, text: &str) -> bool {
    found.ids.iter().any(|batch| {
        let cells = halfopen_model::batch::Cells::new(batch);
        (0..cells.len()).any(|row| cells.text("id", row) == Some(text))
    })
}

/// Ids that log records without a trace carry.
fn lone_ids(choice: &Choice) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for row in &choice.carried {
        let is_lone = row.trace_id.is_none() && row.table == Some(Table::Logs);
        if is_lone && !ids.contains(&row.id) && ids.len() < LONE_IDS_MAX {
            ids.push(row.id.clone());
        }
    }
    ids
}

/// Used by `trace`, which asks for one trace.
pub(super) fn only_trace(choice: &Choice) -> Option<TraceId> {
    match choice.traces.as_slice() {
        [trace_id] => Some(*trace_id),
        _ => None,
    }
}
