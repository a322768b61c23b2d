//! `trace`: the one trace that a text means, with all its spans and log records.

use halfopen_model::answer::{Candidate, Matched};
use halfopen_model::port::Match;
use halfopen_model::{ReadEvidence, Table, TimeRange, TraceId};
use halfopen_trace::find::{self, Question};
use halfopen_trace::trace::{self, TRACE_LOGS_MAX, TRACE_SPANS_MAX};

use super::find::{kept, only_trace};
use super::{Desk, DeskError, TraceReply};

impl<S: ReadEvidence> Desk<S> {
    /// The trace that `id` means: a trace id or its beginning, a span id, or any other id that
    /// one trace only carries. Where several are meant they are listed.
    ///
    /// # Errors
    /// When evidence cannot be read.
    pub async fn trace(&self, id: &str) -> Result<TraceReply, DeskError> {
        let question = Question::read(id);
        let found = self.look_up(&question, TimeRange::ALL).await?;
        let choice = find::choose(&question, &found);
        let id = question.text.clone();
        // A whole trace id means that trace, also where its rows mention others.
        let asked = question.trace.filter(|_| choice.matched == Matched::Trace);
        let Some(trace_id) = asked.or_else(|| only_trace(&choice)) else {
            let candidates = match choice.traces.len() {
                0 => choice.ids,
                _ => choice.traces.iter().map(|trace_id| a_trace(*trace_id, &choice)).collect(),
            };
            return Ok(TraceReply { id, trace: None, comparison: None, candidates });
        };
        let trace = self.whole_trace(trace_id).await?;
        Ok(TraceReply { id, trace, comparison: None, candidates: Vec::new() })
    }

    async fn whole_trace(
        &self,
        trace_id: TraceId,
    ) -> Result<Option<halfopen_model::answer::TraceAnswer>, DeskError> {
        let mut gaps = Vec::new();
        let matching = Match::Traces(vec![trace_id]);
        let spans = self.rows(Table::Spans, matching.clone(), None, TRACE_SPANS_MAX).await?;
        let spans = kept(Table::Spans, TRACE_SPANS_MAX, spans, &mut gaps);
        let logs = self.rows(Table::Logs, matching, None, TRACE_LOGS_MAX).await?;
        let logs = kept(Table::Logs, TRACE_LOGS_MAX, logs, &mut gaps);
        let answer = trace::assemble(trace_id, &spans, &logs);
        Ok(answer.map(|mut answer| {
            answer.gaps.extend(gaps);
            answer
        }))
    }
}

/// One of several traces that carry an id.
fn a_trace(trace_id: TraceId, choice: &find::Choice) -> Candidate {
    let rows = || choice.carried.iter().filter(|row| row.trace_id == Some(trace_id));
    let mut services: Vec<String> = Vec::new();
    for row in rows() {
        if !row.service.is_empty() && !services.contains(&row.service) {
            services.push(row.service.clone());
        }
    }
    Candidate {
        id: trace_id.to_string(),
        name: "trace".into(),
        parent: None,
        depth: 0,
        rows: Some(rows().count() as u64).filter(|rows| *rows > 0),
        first: rows().map(|row| row.time).min().unwrap_or(choice.range.from),
        last: rows().map(|row| row.time).max().unwrap_or(choice.range.to),
        services,
        traces: vec![trace_id],
    }
}
