//! Where answers come from: a running server, or a data folder that no server holds. Both give
//! the same wire types.

use std::path::Path;
use std::sync::Arc;

use halfopen_model::TimeRange;
use halfopen_serve::config::{Config, Environment, Overrides};
use halfopen_serve::desk::{Blame, Desk, DeskError, WhyAsk};
use halfopen_serve::wire::{FindV1, QueryV1, TraceReplyV1, WhyV1};
use halfopen_store::{Store, StoreError};

use crate::cli::SourceArgs;
use crate::{Failure, Session};

mod remote;

pub(crate) use remote::Remote;

/// Where `serve` listens unless told otherwise.
const URL_DEFAULT: &str = "http://127.0.0.1:7070";
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
            session.terminal.ask_again_with("--data", &folder.to_string_lossy());
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
    if let Some(url) = &args.url {
        session.terminal.ask_again_with("--url", url);
    }
    let url = args.url.clone().or_else(variable);
    Remote::new(url.as_deref().unwrap_or(URL_DEFAULT))
}

async fn open_folder(folder: &Path, session: &mut Session) -> Result<Source, Failure> {
    // The same settings, and so the same bounds, as for a server on this machine.
    let mut overrides = Overrides::default();
    overrides.set("store", "folder", folder.display().to_string());
    let config = Config::load(None, &Environment::of_process(), &overrides);
    let config = config.map_err(|error| crate::verb::serve::of_config(&error))?;
    let settings = config.desk();
    let opened = Store::open_read_only(config.store, Arc::clone(&session.clock)).await;
    let (store, report) = opened.map_err(|error| {
        let failure = Failure::environment(format!("could not open \"{}\"", folder.display()));
        let hint = match &error {
            StoreError::NotOurs { .. } => Some(
                "name the data folder of a server with --data, or ask a running one with --url"
                    .to_owned(),
            ),
            error => error.hint(),
        };
        let failure = failure.cause(&error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })?;
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
