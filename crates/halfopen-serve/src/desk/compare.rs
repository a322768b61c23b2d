//! `trace --compare`: one trace beside its healthy twin and its peers.

use std::collections::HashSet;

use halfopen_model::answer::{Gap, TraceAnswer, TraceComparison};
use halfopen_model::port::{Match, Scan};
use halfopen_model::{ReadEvidence, Table, TimeRange, TraceId};
use halfopen_trace::compare::{
    self, FAR_NS, NEAR_NS, PEERS_MAX, PEERS_MIN, RequestKind, candidates, kind,
};
use halfopen_trace::trace;

use super::find::kept;
use super::why::UNREAD_COLUMNS;
use super::{Desk, DeskError, TraceReply};

/// Spans of one service that are looked through for requests of the same kind.
const CANDIDATE_ROWS_MAX: usize = 200_000;

/// Spans of all peers together.
const PEER_SPANS_MAX: usize = 200_000;

/// What a request of the same kind is recognised by.
const KIND_COLUMNS: [&str; 11] = [
    "trace_id",
    "start_time",
    "service",
    "kind",
    "name",
    "status",
    "attributes",
    "span.http.request.method",
    "span.http.method",
    "span.http.route",
    "duration_ns",
];

/// What a trace is compared with, besides its peers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Beside {
    /// The nearest healthy one of them.
    Peers,
    /// The trace that this text means.
    Trace(String),
}

impl Beside {
    /// Reads `peers`, or takes the text for an id.
    pub fn read(text: &str) -> Beside {
        match text {
            "peers" => Beside::Peers,
            id => Beside::Trace(id.to_owned()),
        }
    }

    /// The text that reads as this.
    pub fn as_text(&self) -> &str {
        match self {
            Beside::Peers => "peers",
            Beside::Trace(id) => id,
        }
    }
}

impl<S: ReadEvidence> Desk<S> {
    /// The trace that `id` means, beside a twin, and beside all requests of the same kind near
    /// it. Where `id` or the twin's id means several traces, or none, the reply is about that one
    /// and has no comparison.
    ///
    /// # Errors
    /// When evidence cannot be read.
    pub async fn compare(&self, id: &str, with: &Beside) -> Result<TraceReply, DeskError> {
        let mut reply = self.trace(id).await?;
        let named = match with {
            Beside::Trace(with) if reply.trace.is_some() => {
                let named = self.trace(with).await?;
                if named.trace.is_none() {
                    return Ok(named);
                }
                named.trace
            }
            _ => None,
        };
        if let Some(trace) = &reply.trace {
            reply.comparison = self.beside_peers(trace, named.as_ref()).await?;
        }
        Ok(reply)
    }

    async fn beside_peers(
        &self,
        trace: &TraceAnswer,
        named: Option<&TraceAnswer>,
    ) -> Result<Option<TraceComparison>, DeskError> {
        let Some(kind) = kind(trace) else { return Ok(None) };
        let mut gaps = Vec::new();
        let around =
            |ns: i64| TimeRange { from: kind.start.shifted(-ns), to: kind.start.shifted(ns) };
        let mut window = around(NEAR_NS);
        let mut ids = self.alike(&kind, window, trace.trace_id, &mut gaps).await?;
        if ids.len() < PEERS_MIN {
            gaps.clear();
            window = around(FAR_NS);
            ids = self.alike(&kind, window, trace.trace_id, &mut gaps).await?;
        }
        let matching = Match::Traces(ids.clone());
        let mut scan = Scan::all(Table::Spans, TimeRange::ALL, PEER_SPANS_MAX);
        (scan.matching, scan.columns) = (matching, Some(columns()));
        let rows = match ids.is_empty() {
            true => Vec::new(),
            false => kept(Table::Spans, PEER_SPANS_MAX, self.evidence.read(scan).await?, &mut gaps),
        };
        let ids: HashSet<TraceId> = ids.into_iter().collect();
        let peers = trace::assemble_all(&ids, &rows);
        let compared = compare::compare(trace, &peers, named, window);
        Ok(compared.map(|mut compared| {
            compared.gaps.extend(gaps);
            compared
        }))
    }

    /// Traces with a request like this one, the nearest in time first.
    async fn alike(
        &self,
        kind: &RequestKind,
        window: TimeRange,
        but: TraceId,
        gaps: &mut Vec<Gap>,
    ) -> Result<Vec<TraceId>, DeskError> {
        let mut scan = Scan::all(Table::Spans, window, CANDIDATE_ROWS_MAX);
        scan.columns = Some(known_columns(&KIND_COLUMNS));
        scan.matching = Match::Text { column: "service".into(), value: kind.service.clone() };
        let rows = self.evidence.read(scan).await?;
        let rows = kept(Table::Spans, CANDIDATE_ROWS_MAX, rows, gaps);
        let mut found: Vec<_> = candidates(kind, &rows).into_iter().collect();
        found.retain(|(trace_id, _)| *trace_id != but);
        found.sort_by_key(|(trace_id, start)| (start.0.abs_diff(kind.start.0), *trace_id));
        if found.len() > PEERS_MAX {
            gaps.push(Gap::Other(format!(
                "of {} requests of this kind the {PEERS_MAX} nearest in time were looked at",
                found.len()
            )));
            found.truncate(PEERS_MAX);
        }
        Ok(found.into_iter().map(|(trace_id, _)| trace_id).collect())
    }
}

/// Those of the columns that the table has; others are in its map of attributes.
fn known_columns(names: &[&str]) -> Vec<String> {
    let schema = halfopen_model::schema::schema(Table::Spans);
    let known = names.iter().filter(|name| schema.field_with_name(name).is_ok());
    known.map(|name| (*name).to_owned()).collect()
}

/// What peers are laid out by.
fn columns() -> Vec<String> {
    let schema = halfopen_model::schema::schema(Table::Spans);
    let names = schema.fields().iter().map(|field| field.name().clone());
    names.filter(|name| !UNREAD_COLUMNS.contains(&name.as_str()) && name != "events").collect()
}
