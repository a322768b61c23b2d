//! The HTTP API: health, metrics, questions, and changes that others report.
//!
//! **Invariant:** without tokens only loopback names are answered (`Host`, `Origin`): a page from
//! elsewhere can neither read nor write evidence through a browser.
//!
//! **Invariant:** questions are bounded in size, time and number, and so is the memory of answers
//! that nobody reads.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use halfopen_ingest::IngestSettings;
use halfopen_model::{Batch, Clock, UnixNanos};
use halfopen_store::Store;
use http::{HeaderValue, Method, StatusCode, header};
use hyper::body::Incoming;
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;

use crate::body::{self, BodyBudget, BodyError, Framing};
use crate::config::ServeConfig;
use crate::desk::Desk;
use crate::guard::audit::Port;
use crate::guard::{Denied, Guard, Scope};
use crate::intake::{Intake, NotTaken};
use crate::life::Addresses;
use crate::listen::{Handler, Phase};
use crate::meter::{Meter, Question};
use crate::wire::{ErrorV1, TakenV1};

mod change_rows;
mod changes;
mod error;
mod imports;
pub(crate) mod origin;
mod page;
mod prometheus;
mod questions;
mod refusals;
mod room;

pub(crate) use changes::{CHANGES_MAX, DIFF_BYTES_MAX};
use error::ApiError;
use room::AnswerRoom;

/// Changes in the form of the API, as rows.
pub(crate) fn read_changes(body: &[u8], now: UnixNanos) -> Result<(Batch, TakenV1), ErrorV1> {
    changes::read(body, now).map_err(|error| ErrorV1 {
        fact: error.fact,
        detail: error.detail,
        hint: error.hint,
    })
}

/// What the routes work with.
pub(crate) struct Api {
    pub(crate) store: Store,
    pub(crate) desk: Desk<Store>,
    pub(crate) intake: Arc<Intake<Store>>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) budget: BodyBudget,
    pub(crate) addresses: Addresses,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) guard: Arc<Guard>,
    questions: Semaphore,
    answers: AnswerRoom,
    imports: imports::Imports,
    ingest: IngestSettings,
    limits: ServeConfig,
}

/// What an [`Api`] is made of.
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) desk: Desk<Store>,
    pub(crate) intake: Arc<Intake<Store>>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) budget: BodyBudget,
    pub(crate) addresses: Addresses,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) ingest: IngestSettings,
}

impl Api {
    pub(crate) fn new(parts: Parts, limits: ServeConfig) -> Arc<Api> {
        let Parts { store, desk, intake, meter, clock, .. } = parts;
        let Parts { budget, addresses, phase, guard, ingest, .. } = parts;
        let questions = Semaphore::new(limits.questions_max);
        Arc::new(Api {
            store,
            desk,
            intake,
            meter,
            clock,
            budget,
            addresses,
            phase,
            guard,
            questions,
            answers: AnswerRoom::new(room::ANSWERS_BYTES_MAX),
            imports: imports::Imports::default(),
            ingest,
            limits,
        })
    }

    fn is_ready(&self) -> bool {
        *self.phase.borrow() == Phase::Serving
    }

    async fn body(&self, request: Request) -> Result<Bytes, ApiError> {
        let setting = "serve.question_bytes_max";
        self.body_within(self.limits.question_bytes_max, setting, request).await
    }

    /// A body that holds telemetry.
    async fn large_body(&self, request: Request) -> Result<Bytes, ApiError> {
        let setting = "serve.message_bytes_max";
        self.body_within(self.limits.message_bytes_max, setting, request).await
    }

    async fn body_within(
        &self,
        bytes_max: usize,
        setting: &str,
        request: Request,
    ) -> Result<Bytes, ApiError> {
        let time_max = self.limits.body_max();
        let budget = self.budget.of(request.extensions());
        let body = request.into_body();
        let held = body::read(body, Framing::Plain, bytes_max, time_max, &budget).await;
        held.map(|held| held.bytes.clone()).map_err(|error| match error {
            BodyError::TooLarge { limit } => {
                let fact = format!("the request is larger than {limit} bytes");
                ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, fact)
                    .hint(format!("raise {setting}, or send less at a time"))
            }
            BodyError::NoRoom => busy("too much is being received"),
            BodyError::Share => busy(error.to_string()),
            BodyError::Slow { .. } => ApiError::new(StatusCode::REQUEST_TIMEOUT, error.to_string()),
            BodyError::Broken(_) => ApiError::wrong(error.to_string()),
        })
    }

    /// Answers a question within the bounds on number and time, and counts it.
    async fn ask<T>(
        &self,
        question: Question,
        answer: impl Future<Output = Result<T, ApiError>> + Send,
    ) -> Result<T, ApiError> {
        let Ok(_room) = self.questions.try_acquire() else {
            let most = self.limits.questions_max;
            let fact = format!("{most} questions are being answered, and no more at a time");
            return Err(busy(fact).hint("ask again, or raise serve.questions_max"));
        };
        let begun = tokio::time::Instant::now();
        let meter = self.meter.question(question);
        let time_max = self.limits.question_max();
        let result = tokio::time::timeout(time_max, answer).await.unwrap_or_else(|_| {
            let fact = format!("no answer was found within {} s", time_max.as_secs());
            Err(ApiError::new(StatusCode::GATEWAY_TIMEOUT, fact)
                .hint("ask about a shorter time, or raise serve.question_seconds_max"))
        });
        meter.took.observe(begun.elapsed());
        meter.failed.add(u64::from(result.is_err()));
        result
    }
}

fn busy(fact: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, fact).retry_after(1)
}

/// The handler of the port.
#[derive(Clone)]
pub(crate) struct ApiPort {
    api: Arc<Api>,
    router: Router,
    time_max: Duration,
    has_tokens: bool,
}

impl ApiPort {
    pub(crate) fn new(api: Arc<Api>) -> ApiPort {
        // A question has its own bound; this one is for everything around it.
        let time_max = api.limits.question_max() + api.limits.body_max();
        let has_tokens = api.guard.has_tokens();
        let router = Router::new()
            .route("/", get(root))
            .route("/healthz", get(health))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .route("/api/v1/status", get(status))
            .route("/api/v1/refusals", get(refusals::list))
            .route("/api/v1/changes", post(take_changes).get(questions::changes))
            .route("/api/v1/import", post(imports::take))
            .route("/api/v1/query", post(questions::query))
            .route("/api/v1/find", get(questions::find))
            .route("/api/v1/traces/{id}", get(questions::trace))
            .route("/api/v1/why", get(questions::why))
            .route("/api/v1/why-metric", get(questions::why_metric))
            .route("/api/v1/map", get(questions::map))
            .route("/api/v1/map.svg", get(questions::map_svg))
            .method_not_allowed_fallback(wrong_method)
            .fallback(nowhere)
            .with_state(Arc::clone(&api));
        ApiPort { api, router, time_max, has_tokens }
    }
}

/// What a request needs. What is not listed here is for the operator alone unless it only reads,
/// so that a new route is not open by mistake.
fn need(method: &Method, path: &str) -> Option<Scope> {
    match (method, path) {
        (_, "/healthz" | "/readyz") => None,
        (_, "/api/v1/refusals") => Some(Scope::Admin),
        (&Method::POST, "/api/v1/changes" | "/api/v1/import") => Some(Scope::Write),
        (&Method::POST, "/api/v1/query") => Some(Scope::Read),
        (&Method::GET | &Method::HEAD, _) => Some(Scope::Read),
        _ => Some(Scope::Admin),
    }
}

impl Handler for ApiPort {
    const PORT: Port = Port::Http;

    fn need(request: &http::Request<Incoming>) -> Option<Scope> {
        need(request.method(), request.uri().path())
    }

    fn refuse(&self, _: &http::Request<Incoming>, denied: &Denied) -> Response {
        ApiError::new(denied.status(), denied.fact()).hint(denied.hint()).into_response()
    }

    async fn handle(&self, request: http::Request<Incoming>, _: SocketAddr) -> Response {
        let foreign = origin::foreign_host(request.uri(), request.headers())
            .or_else(|| origin::foreign_origin(request.headers()));
        if let Some(foreign) = foreign.filter(|_| !self.has_tokens) {
            origin::refused(request.extensions());
            return ApiError::new(StatusCode::FORBIDDEN, format!("{foreign} is not this machine"))
                .detail("requests that a web page of another machine may have caused are refused")
                .hint("use http://127.0.0.1 or http://localhost")
                .into_response();
        }
        let answer = self.router.clone().oneshot(request.map(Body::new));
        match tokio::time::timeout(self.time_max, answer).await {
            Ok(Ok(response)) => self.api.answers.keep(response),
            Ok(Err(never)) => match never {},
            Err(_) => {
                let fact = format!("no answer was ready after {} s", self.time_max.as_secs());
                ApiError::new(StatusCode::GATEWAY_TIMEOUT, fact).into_response()
            }
        }
    }
}

type Answer = Result<Response, ApiError>;

fn text(content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    let value = HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, value);
    response
}

fn json(value: &impl serde::Serialize) -> Answer {
    let body = serde_json::to_vec(value).map_err(|error| {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be written")
            .detail(error.to_string())
    })?;
    Ok(text("application/json", body))
}

async fn root(State(api): State<Arc<Api>>) -> Response {
    text("text/plain; charset=utf-8", page::page(&api.addresses))
}

async fn health() -> Response {
    text("text/plain; charset=utf-8", "ok\n")
}

async fn ready(State(api): State<Arc<Api>>) -> Answer {
    if api.is_ready() {
        return Ok(text("text/plain; charset=utf-8", "ready\n"));
    }
    Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping"))
}

async fn metrics(State(api): State<Arc<Api>>) -> Response {
    let now = prometheus::Now {
        store: api.store.stats(),
        waiting_bytes: api.intake.waiting_bytes(),
        bodies_bytes: api.budget.held(),
        answers_bytes: api.answers.held(),
        memory_bytes: crate::life::memory_bytes(),
        ready: api.is_ready(),
    };
    let page = prometheus::page(&api.meter, &api.guard, &now);
    text("text/plain; version=0.0.4; charset=utf-8", page)
}

async fn status(State(api): State<Arc<Api>>) -> Answer {
    json(&page::status(&api))
}

async fn take_changes(State(api): State<Arc<Api>>, request: Request) -> Answer {
    let body = api.body(request).await?;
    let (batch, taken) = changes::read(&body, api.clock.now())?;
    let written = async { api.intake.write(vec![batch]).await.map_err(not_taken) };
    api.ask(Question::Changes, written).await?;
    json(&taken)
}

fn not_taken(error: NotTaken) -> ApiError {
    let fact = error.to_string();
    match error {
        NotTaken::Full { .. } | NotTaken::Lost => busy(fact),
        NotTaken::Store(ref refusal) => match crate::intake::retry_after(refusal) {
            Some(after) => busy(fact).retry_after(after.as_secs().max(1)),
            None => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, fact),
        },
        _ => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, fact),
    }
}

async fn wrong_method(request: Request) -> ApiError {
    let fact = format!("{} is not for {}", request.uri().path(), request.method());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, fact).hint("GET / lists what there is")
}

async fn nowhere(request: Request) -> ApiError {
    let fact = format!("there is nothing at {}", request.uri().path());
    ApiError::new(StatusCode::NOT_FOUND, fact).hint("GET / lists what there is")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_thought_of_is_not_open() {
        let cases = [
            (Method::GET, "/healthz", None),
            (Method::GET, "/", Some(Scope::Read)),
            (Method::GET, "/metrics", Some(Scope::Read)),
            (Method::POST, "/api/v1/query", Some(Scope::Read)),
            (Method::POST, "/api/v1/changes", Some(Scope::Write)),
            (Method::GET, "/api/v1/changes", Some(Scope::Read)),
            (Method::GET, "/api/v1/refusals", Some(Scope::Admin)),
            (Method::DELETE, "/api/v1/changes", Some(Scope::Admin)),
            (Method::POST, "/api/v1/added/later", Some(Scope::Admin)),
            (Method::POST, "/api/v1/query/", Some(Scope::Admin)),
        ];
        for (method, path, expected) in cases {
            assert_eq!(need(&method, path), expected, "{method} {path}");
        }
    }
}
