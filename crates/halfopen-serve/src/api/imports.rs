//! `POST /api/v1/import`: groups of an import that runs elsewhere.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, Request, State};
use halfopen_ingest::import::Group;
use halfopen_model::time::parse_time;
use halfopen_store::Store;
use http::StatusCode;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::error::ApiError;
use super::{Answer, Api, busy, json};
use crate::import::{ImportError, ImportSession};
use crate::meter::Question;
use crate::wire::ImportTakenV1;

/// What a session knows of the store is thrown away when it was silent for so long: meanwhile
/// others may have written the same rows.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Where a group comes from.
#[derive(Deserialize)]
pub(super) struct Parameters {
    /// Tells the groups of one import from those of another.
    session: String,
    /// The file.
    source: String,
    /// When things without a time of their own happened.
    at: Option<String>,
}

/// The import that sent the last group.
#[derive(Default)]
pub(crate) struct Imports(Mutex<Option<Running>>);

struct Running {
    name: String,
    heard: Instant,
    session: ImportSession<Store>,
}

pub(super) async fn take(
    State(api): State<Arc<Api>>,
    Query(parameters): Query<Parameters>,
    request: Request,
) -> Answer {
    let now = api.clock.now();
    let at = parameters.at.as_deref().map(|text| parse_time(text, now)).transpose();
    let at = at.map_err(|error| ApiError::wrong(error.to_string()))?.unwrap_or(now);
    let body = api.large_body(request).await?;
    let group = Group::decode(&body).map_err(|error| {
        ApiError::wrong(error.to_string()).hint("send what `halfopen import` sends")
    })?;
    if !api.is_ready() {
        let fact = "the server is stopping";
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, fact));
    }
    let taken = api.ask(Question::Import, async {
        let mut running = api.imports.0.lock().await;
        let fits = |known: &Running| {
            known.name == parameters.session && known.heard.elapsed() < SILENCE_MAX
        };
        let mut current = running.take().filter(fits).unwrap_or_else(|| Running {
            name: parameters.session.clone(),
            heard: Instant::now(),
            session: ImportSession::new(api.store.clone(), api.ingest.clone()),
        });
        let taken = current.session.take(&group, &parameters.source, at).await.map_err(refused)?;
        // After an error the session is gone: the next group begins a new one.
        current.heard = Instant::now();
        *running = Some(current);
        Ok(taken)
    });
    json(&ImportTakenV1::from(&taken.await?))
}

fn refused(error: ImportError) -> ApiError {
    let fact = crate::otlp::with_causes(&error);
    match error {
        ImportError::Write(ref refusal) => match crate::intake::retry_after(refusal) {
            Some(after) => busy(fact).retry_after(after.as_secs().max(1)),
            None => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, fact),
        },
        _ => ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, fact),
    }
}
