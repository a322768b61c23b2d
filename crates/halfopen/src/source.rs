//! Where answers come from: a running server, or a data folder that no server holds. Both give
//! the same wire types.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use halfopen_model::{TimeRange, WriteEvidence as _};
use halfopen_serve::config::{Config, Environment, Overrides};
use halfopen_serve::desk::{Beside, Blame, ChangesAsk, Desk, DeskError, MapAsk, MetricAsk, WhyAsk};
use halfopen_serve::reported;
use halfopen_serve::wire::{ChangesV1, FindV1, MapV1, MetricV1, QueryV1, TraceReplyV1, WhyV1};
use halfopen_store::{Store, StoreError};
use serde_json::Value;

use crate::cli::SourceArgs;
use crate::{Failure, Session};

mod access;
mod remote;

use access::Access;
pub(crate) use remote::Remote;

/// Where `serve` listens unless told otherwise.
const URL_DEFAULT: &str = "http://127.0.0.1:7070";
/// Longest wait for a folder to be closed after rows were written into it.
const CLOSE_S_MAX: u64 = 30;
/// The variable that names the server.
const URL_VARIABLE: &str = "HALFOPEN_URL";

/// Where answers come from.
pub enum Source {
    /// A running server.
    Remote(Box<Remote>),
    /// A data folder, opened for reading.
    Local(Box<Desk<Store>>),
}

impl Source {
    /// Chooses by flags, then by `HALFOPEN_URL`, then the default address.
    ///
    /// # Errors
    /// When the address does not read or the folder cannot be opened.
    pub async fn open(args: &SourceArgs, session: &mut Session) -> Result<Source, Failure> {
        if let Some(folder) = &args.data {
            session.terminal.ask_again_with(&[("--data", &folder.to_string_lossy())]);
            return open_folder(folder, session).await;
        }
        Ok(Source::Remote(Box::new(remote(args, session)?)))
    }

    /// Answers SQL.
    ///
    /// # Errors
    /// When the text is no query, or a bound is reached.
    pub async fn query(&self, sql: &str, rows_max: usize) -> Result<QueryV1, Failure> {
        match self {
            Source::Remote(remote) => remote.query(sql, rows_max).await,
            Source::Local(desk) => {
                let answer = desk.query(sql, Some(rows_max)).await;
                answer.map(|answer| QueryV1::from(&answer)).map_err(refusal)
            }
        }
    }

    /// Everything about one id.
    ///
    /// # Errors
    /// When evidence cannot be read.
    pub async fn find(&self, id: &str, range: Option<TimeRange>) -> Result<FindV1, Failure> {
        match self {
            Source::Remote(remote) => remote.find(id, range).await,
            Source::Local(desk) => {
                let answer = desk.find(id, range).await;
                answer.map(|answer| FindV1::from(&answer)).map_err(refusal)
            }
        }
    }

    /// The trace that an id means.
    ///
    /// # Errors
    /// When evidence cannot be read.
    pub async fn trace(&self, id: &str) -> Result<TraceReplyV1, Failure> {
        match self {
            Source::Remote(remote) => remote.trace(id).await,
            Source::Local(desk) => {
                let reply = desk.trace(id).await;
                reply.map(|reply| TraceReplyV1::from(&reply)).map_err(refusal)
            }
        }
    }

    /// The trace that an id means, beside others.
    ///
    /// # Errors
    /// When evidence cannot be read.
    pub async fn compare(&self, id: &str, with: &Beside) -> Result<TraceReplyV1, Failure> {
        match self {
            Source::Remote(remote) => remote.compare(id, with).await,
            Source::Local(desk) => {
                let reply = desk.compare(id, with).await;
                reply.map(|reply| TraceReplyV1::from(&reply)).map_err(refusal)
            }
        }
    }

    /// Why requests fail.
    ///
    /// # Errors
    /// When evidence cannot be read.
    pub async fn why(&self, ask: WhyAsk) -> Result<WhyV1, Failure> {
        match self {
            Source::Remote(remote) => remote.why(&ask).await,
            Source::Local(desk) => {
                let answer = desk.why(ask).await;
                answer.map(|answer| WhyV1::from(&answer)).map_err(refusal)
            }
        }
    }
}

/// The server that the flags name, or `HALFOPEN_URL`, or the default address.
///
/// # Errors
/// When the address does not read.
pub(crate) fn remote(args: &SourceArgs, session: &mut Session) -> Result<Remote, Failure> {
    let variable = || std::env::var(URL_VARIABLE).ok().filter(|url| !url.is_empty());
    let [token_file, ca] = [&args.token_file, &args.ca]
        .map(|path| path.as_ref().map(|path| path.to_string_lossy().into_owned()));
    let flags = [("--url", &args.url), ("--token-file", &token_file), ("--ca", &ca)];
    let given: Vec<(&str, &str)> =
        flags.iter().filter_map(|(flag, value)| Some((*flag, value.as_deref()?))).collect();
    if !given.is_empty() {
        session.terminal.ask_again_with(&given);
    }
    let url = args.url.clone().or_else(variable);
    let access = Access::read(args)?;
    let remote = Remote::new(url.as_deref().unwrap_or(URL_DEFAULT), &access)?;
    if remote.shows_token() {
        session.terminal.note("the token crosses the network unencrypted: use an https URL");
    }
    Ok(remote)
}

impl Source {
    /// Where a metric comes from.
    ///
    /// # Errors
    /// When evidence cannot be read.
    pub async fn why_metric(&self, ask: MetricAsk) -> Result<MetricV1, Failure> {
        match self {
            Source::Remote(remote) => remote.why_metric(&ask).await,
            Source::Local(desk) => {
                let answer = desk.why_metric(ask).await;
                answer.map(|answer| MetricV1::from(&answer)).map_err(refusal)
            }
        }
    }

    /// Who calls whom.
    ///
    /// # Errors
    /// When evidence cannot be read.
    pub async fn map(&self, ask: MapAsk) -> Result<MapV1, Failure> {
        match self {
            Source::Remote(remote) => remote.map(&ask).await,
            Source::Local(desk) => {
                let answer = desk.map(ask).await;
                answer.map(|answer| MapV1::from(&answer)).map_err(refusal)
            }
        }
    }

    /// What was changed.
    ///
    /// # Errors
    /// When evidence cannot be read.
    pub async fn changes(&self, ask: ChangesAsk) -> Result<ChangesV1, Failure> {
        match self {
            Source::Remote(remote) => remote.changes(&ask).await,
            Source::Local(desk) => {
                let answer = desk.changes(ask).await;
                answer.map(|answer| ChangesV1::from(&answer)).map_err(refusal)
            }
        }
    }

    /// Tells of changes, in the form that `POST /api/v1/changes` takes; gives their ids.
    ///
    /// # Errors
    /// When one of them makes no sense, or they could not be kept.
    pub async fn tell(
        args: &SourceArgs,
        session: &mut Session,
        changes: &[Value],
    ) -> Result<Vec<String>, Failure> {
        let body = serde_json::to_vec(changes)
            .map_err(|error| Failure::usage("the changes cannot be sent").cause(&error))?;
        if let Some(folder) = &args.data {
            return tell_folder(folder, session, &body).await;
        }
        match Source::open(args, session).await? {
            Source::Remote(remote) => Ok(remote.tell(body).await?.change_ids),
            Source::Local(_) => Ok(Vec::new()),
        }
    }

    /// The same as a picture (SVG).
    ///
    /// # Errors
    /// When evidence cannot be read.
    pub async fn map_svg(&self, ask: MapAsk) -> Result<String, Failure> {
        match self {
            Source::Remote(remote) => remote.map_svg(&ask).await,
            Source::Local(desk) => desk.map_svg(ask).await.map_err(refusal),
        }
    }
}

/// Writes changes into a folder that no server holds.
async fn tell_folder(
    folder: &Path,
    session: &mut Session,
    body: &[u8],
) -> Result<Vec<String>, Failure> {
    let (batch, taken) = reported::rows(body, session.clock.now()).map_err(|error| {
        let failure = error.detail.into_iter().fold(Failure::usage(error.fact), Failure::detail);
        error.hint.into_iter().fold(failure, Failure::hint)
    })?;
    let settings = settings_for(folder)?.store;
    let opened = Store::open(settings, Arc::clone(&session.clock)).await;
    let (store, report) = opened.map_err(|error| not_opened(folder, &error))?;
    for note in &report.notes {
        session.terminal.note(note);
    }
    let written = store.write(vec![batch]).await;
    store.close(Duration::from_secs(CLOSE_S_MAX)).await;
    written.map_err(|error| {
        Failure::environment("the changes could not be kept").detail(error.to_string())
    })?;
    Ok(taken.change_ids)
}

fn not_opened(folder: &Path, error: &StoreError) -> Failure {
    let failure = Failure::environment(format!("could not open \"{}\"", folder.display()));
    let failure = failure.cause(error);
    let hint = match error {
        StoreError::NotOurs { .. } => Some(
            "name the data folder of a server with --data, or ask a running one with --url"
                .to_owned(),
        ),
        error => error.hint(),
    };
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The same settings, and so the same bounds and the same place of the catalogue, as for a server
/// on this machine.
///
/// # Errors
/// When they do not read.
pub(crate) fn settings_for(folder: &Path) -> Result<Config, Failure> {
    let mut overrides = Overrides::default();
    overrides.set("store", "folder", folder.display().to_string());
    let config = Config::load(None, &Environment::of_process(), &overrides);
    config.map_err(|error| crate::verb::serve::of_config(&error))
}

async fn open_folder(folder: &Path, session: &mut Session) -> Result<Source, Failure> {
    let config = settings_for(folder)?;
    let settings = config.desk();
    let opened = Store::open_read_only(config.store, Arc::clone(&session.clock)).await;
    let (store, report) = opened.map_err(|error| not_opened(folder, &error))?;
    for note in &report.notes {
        session.terminal.note(note);
    }
    Ok(Source::Local(Box::new(Desk::new(store, Arc::clone(&session.clock), settings))))
}

fn refusal(error: DeskError) -> Failure {
    let failure = match error.blame() {
        Blame::Question | Blame::Bound => Failure::usage(error.to_string()),
        Blame::Store => Failure::environment(error.to_string()),
    };
    let failure = match std::error::Error::source(&error) {
        Some(cause) => failure.cause(cause),
        None => failure,
    };
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
