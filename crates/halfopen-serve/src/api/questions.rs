//! The questions: SQL, find, trace, why, map, changes.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use halfopen_model::answer::{Scope, SlowRule};
use halfopen_model::time::{parse_duration_ns, parse_time};
use halfopen_model::{TimeRange, UnixNanos};
use http::{HeaderMap, StatusCode, Uri, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use super::{Answer, Api, json, text};
use crate::desk::{Beside, Blame, ChangesAsk, DeskError, MapAsk, MetricAsk, WhyAsk, WhyBaseline};
use crate::meter::Question;
use crate::wire::{
    ChangesV1, FindV1, MapV1, MetricV1, ProblemV1, QueryQuestionV1, QueryV1, TraceReplyV1, WhyV1,
    row_json,
};

/// Who asks for JSON lines.
const LINES: &str = "application/x-ndjson";

/// Rows that are written into one piece of an answer of JSON lines.
const LINES_ROWS: usize = 512;

/// `POST /api/v1/query`: one document, or a line for each row where the caller accepts lines.
pub(super) async fn query(State(api): State<Arc<Api>>, request: Request) -> Answer {
    let lines = accepts_lines(request.headers());
    let body = api.body(request).await?;
    let asked: QueryQuestionV1 = serde_json::from_slice(&body).map_err(|error| {
        ApiError::wrong("the body is no question")
            .detail(error.to_string())
            .hint("send {\"sql\": \"select count(*) from spans\"}")
    })?;
    let answer = api
        .ask(Question::Query, async {
            let answer = api.desk.query(&asked.sql, asked.rows_max).await.map_err(refused)?;
            // Thousands of rows with attributes take a while to become JSON.
            tokio::task::spawn_blocking(move || QueryV1::from(&answer)).await.map_err(|error| {
                let fact = "the answer could not be written";
                ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, fact).detail(error.to_string())
            })
        })
        .await?;
    if lines { Ok(in_lines(answer)) } else { json(&answer) }
}

fn accepts_lines(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains(LINES))
}

/// Rows as objects, one per line. What an answer says beside its rows stands in headers.
fn in_lines(answer: QueryV1) -> Response {
    let (truncated, unread) = (answer.truncated, answer.unread.len());
    let QueryV1 { columns, rows, .. } = answer;
    let mut rows = rows.into_iter().peekable();
    let pieces = std::iter::from_fn(move || {
        rows.peek()?;
        let mut piece = Vec::new();
        for row in rows.by_ref().take(LINES_ROWS) {
            // Writing JSON values into memory cannot fail.
            let _ = serde_json::to_writer(&mut piece, &row_json(&columns, &row));
            piece.push(b'\n');
        }
        Some(Ok::<_, Infallible>(Bytes::from(piece)))
    });
    let mut response = text(LINES, Body::from_stream(stream::iter(pieces)));
    let headers = response.headers_mut();
    headers.insert("halfopen-truncated", u64::from(truncated).into());
    headers.insert("halfopen-unread", unread.into());
    response
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FindParams {
    id: String,
    since: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

/// `GET /api/v1/find?id=...`.
pub(super) async fn find(State(api): State<Arc<Api>>, uri: Uri) -> Answer {
    let asked: FindParams = params(&uri, "/api/v1/find?id=ANY-ID&since=15m")?;
    let now = api.clock.now();
    let range = range(&asked.since, &asked.from, &asked.to, now)?;
    let found = async { api.desk.find(&asked.id, range).await.map_err(refused) };
    json(&FindV1::from(&api.ask(Question::Find, found).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TraceParams {
    compare: Option<String>,
}

/// `GET /api/v1/traces/{id}`, with `?compare=peers` or `?compare=ID` beside others.
pub(super) async fn trace(State(api): State<Arc<Api>>, Path(id): Path<String>, uri: Uri) -> Answer {
    let asked: TraceParams = params(&uri, "/api/v1/traces/7f3a91c2?compare=peers")?;
    let found = async {
        let reply = match asked.compare.as_deref() {
            None => api.desk.trace(&id).await,
            Some(with) => api.desk.compare(&id, &Beside::read(with)).await,
        };
        reply.map_err(refused)
    };
    json(&TraceReplyV1::from(&api.ask(Question::Trace, found).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WhyParams {
    service: Option<String>,
    operation: Option<String>,
    since: Option<String>,
    from: Option<String>,
    to: Option<String>,
    baseline: Option<String>,
    baseline_from: Option<String>,
    baseline_to: Option<String>,
    slow: Option<String>,
}

/// `GET /api/v1/why`.
pub(super) async fn why(State(api): State<Arc<Api>>, uri: Uri) -> Answer {
    let asked: WhyParams = params(&uri, "/api/v1/why?service=checkout&since=15m")?;
    let now = api.clock.now();
    let window = range(&asked.since, &asked.from, &asked.to, now)?;
    let baseline = baseline(&asked.baseline, (&asked.baseline_from, &asked.baseline_to), now)?;
    let scope = Scope { service: asked.service, operation: asked.operation };
    let slow = asked.slow.as_deref().map(SlowRule::read).transpose().map_err(|error| {
        ApiError::wrong(error.to_string())
            .hint("or unusual: longer than its operation usually takes")
    })?;
    let ask = WhyAsk { scope, window, baseline, slow };
    let answered = async { api.desk.why(ask).await.map_err(refused) };
    json(&WhyV1::from(&api.ask(Question::Why, answered).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MetricParams {
    metric: String,
    total: Option<String>,
    service: Option<String>,
    since: Option<String>,
    from: Option<String>,
    to: Option<String>,
    baseline: Option<String>,
    baseline_from: Option<String>,
    baseline_to: Option<String>,
}

/// `GET /api/v1/why-metric`: where a metric comes from.
pub(super) async fn why_metric(State(api): State<Arc<Api>>, uri: Uri) -> Answer {
    let example = "/api/v1/why-metric?metric=requests.failed&total=requests&since=15m";
    let asked: MetricParams = params(&uri, example)?;
    let now = api.clock.now();
    let window = range(&asked.since, &asked.from, &asked.to, now)?;
    let baseline = baseline(&asked.baseline, (&asked.baseline_from, &asked.baseline_to), now)?;
    let (metric, total, service) = (asked.metric, asked.total, asked.service);
    let ask = MetricAsk { metric, total, service, window, baseline };
    let answered = async { api.desk.why_metric(ask).await.map_err(refused) };
    json(&MetricV1::from(&api.ask(Question::Why, answered).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WindowParams {
    since: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

fn map_ask(uri: &Uri, now: UnixNanos) -> Result<MapAsk, ApiError> {
    let asked: WindowParams = params(uri, "/api/v1/map?since=15m")?;
    Ok(MapAsk { window: range(&asked.since, &asked.from, &asked.to, now)? })
}

/// `GET /api/v1/map`.
pub(super) async fn map(State(api): State<Arc<Api>>, uri: Uri) -> Answer {
    let ask = map_ask(&uri, api.clock.now())?;
    let answered = async { api.desk.map(ask).await.map_err(refused) };
    json(&MapV1::from(&api.ask(Question::Map, answered).await?))
}

/// `GET /api/v1/map.svg`: the same as a picture.
pub(super) async fn map_svg(State(api): State<Arc<Api>>, uri: Uri) -> Answer {
    let ask = map_ask(&uri, api.clock.now())?;
    let answered = async { api.desk.map_svg(ask).await.map_err(refused) };
    Ok(text("image/svg+xml", api.ask(Question::Map, answered).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangesParams {
    since: Option<String>,
    from: Option<String>,
    to: Option<String>,
    service: Option<String>,
    kind: Option<String>,
}

/// `GET /api/v1/changes`: told and seen.
pub(super) async fn changes(State(api): State<Arc<Api>>, uri: Uri) -> Answer {
    let asked: ChangesParams = params(&uri, "/api/v1/changes?since=6h&service=checkout")?;
    let window = range(&asked.since, &asked.from, &asked.to, api.clock.now())?;
    let ask = ChangesAsk { window, service: asked.service, kind: asked.kind };
    let answered = async { api.desk.changes(ask).await.map_err(refused) };
    json(&ChangesV1::from(&api.ask(Question::Changes, answered).await?))
}

fn params<T: DeserializeOwned>(uri: &Uri, example: &str) -> Result<T, ApiError> {
    let read = Query::try_from_uri(uri).map(|Query(params)| params);
    read.map_err(|rejection| {
        ApiError::wrong("the parameters cannot be read")
            .detail(rejection.body_text())
            .hint(format!("ask for example {example}"))
    })
}

/// What to compare with; `None` when nothing is said.
fn baseline(
    text: &Option<String>,
    ends: (&Option<String>, &Option<String>),
    now: UnixNanos,
) -> Result<Option<WhyBaseline>, ApiError> {
    match (text, ends) {
        (None, (None, None)) => Ok(None),
        (Some(text), (None, None)) => {
            let read = WhyBaseline::read(text, now);
            read.map(Some).map_err(|error| {
                ApiError::wrong(error.to_string()).hint("or version, yesterday, -24h")
            })
        }
        (None, (from @ Some(_), to @ Some(_))) => {
            Ok(range(&None, from, to, now)?.map(WhyBaseline::Range))
        }
        _ => Err(ApiError::wrong("a baseline has two ends: baseline_from, baseline_to")
            .hint("or one text: baseline=version, yesterday, -24h or FROM..TO")),
    }
}

/// The time that is asked about; `None` when nothing is said.
fn range(
    since: &Option<String>,
    from: &Option<String>,
    to: &Option<String>,
    now: UnixNanos,
) -> Result<Option<TimeRange>, ApiError> {
    let wrong = |error: halfopen_model::time::TimeError| ApiError::wrong(error.to_string());
    if since.is_none() && from.is_none() && to.is_none() {
        return Ok(None);
    }
    let to = to.as_deref().map_or(Ok(now), |text| parse_time(text, now)).map_err(wrong)?;
    let from = match (since, from) {
        (Some(_), Some(_)) => return Err(ApiError::wrong("since and from exclude each other")),
        (Some(since), None) => now.shifted(-parse_duration_ns(since).map_err(wrong)?),
        (None, Some(from)) => parse_time(from, now).map_err(wrong)?,
        (None, None) => UnixNanos::MIN,
    };
    if to <= from {
        return Err(ApiError::wrong("the time ends before it begins")
            .detail(format!("from {from} to {to}"))
            .hint("times without a date are of the last 24 hours, in UTC"));
    }
    Ok(Some(TimeRange { from, to }))
}

fn refused(error: DeskError) -> ApiError {
    let status = match error.blame() {
        Blame::Question => StatusCode::BAD_REQUEST,
        Blame::Bound => StatusCode::UNPROCESSABLE_ENTITY,
        Blame::Store => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let problem = ProblemV1::from(&error).error;
    let mut refusal = ApiError::new(status, problem.fact);
    (refusal.detail, refusal.hint) = (problem.detail, problem.hint);
    refusal
}
