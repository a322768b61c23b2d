//! Where groups go: into a folder that no server holds, or to a running server.

use std::sync::Arc;
use std::time::Duration;

use halfopen_ingest::IngestSettings;
use halfopen_ingest::import::Group;
use halfopen_serve::import::{ImportSession, Taken};
use halfopen_store::Store;

use super::sources::Source;
use crate::cli::SourceArgs;
use crate::source::{Remote, remote, settings_for};
use crate::{Failure, Session};

/// How long closing may take: all rows are moved into segments.
const CLOSE_S_MAX: u64 = 60;

/// Where groups go.
pub(super) enum Destination {
    /// A data folder, opened for writing.
    Folder(Box<Folder>),
    /// A running server, and the name of this import there.
    Server(Box<Remote>, String),
}

/// A data folder.
pub(super) struct Folder {
    store: Store,
    session: ImportSession<Store>,
    notes: Vec<String>,
}

impl Destination {
    pub(super) async fn open(
        args: &SourceArgs,
        session: &mut Session,
    ) -> Result<Destination, Failure> {
        let Some(folder) = &args.data else {
            let now = session.clock.now().0;
            let name = format!("{}-{now}", std::process::id());
            return Ok(Destination::Server(Box::new(remote(args, session)?), name));
        };
        session.terminal.ask_again_with(&[("--data", &folder.to_string_lossy())]);
        let settings = settings_for(folder)?.store;
        let opened = Store::open(settings, Arc::clone(&session.clock)).await;
        let (store, report) = opened.map_err(|error| {
            let fact = format!("could not open \"{}\"", folder.display());
            let hint = error.hint();
            let failure = Failure::environment(fact).cause(&error);
            hint.into_iter().fold(failure, Failure::hint)
        })?;
        let importing = ImportSession::new(store.clone(), IngestSettings::default());
        let folder = Folder { store, session: importing, notes: report.notes };
        Ok(Destination::Folder(Box::new(folder)))
    }

    /// Has a group written.
    pub(super) async fn take(&mut self, group: &Group, source: &Source) -> Result<Taken, Failure> {
        match self {
            Destination::Folder(folder) => {
                let taken = folder.session.take(group, &source.name, source.at).await;
                taken.map_err(|error| {
                    let fact = format!("the import stopped in \"{}\"", source.name);
                    Failure::environment(fact)
                        .cause(&error)
                        .hint("import it again: what was kept so far is not kept twice")
                })
            }
            Destination::Server(server, name) => {
                let taken = server.import(name, &source.name, source.at, group.encode()).await?;
                Ok(Taken::from(&taken))
            }
        }
    }

    /// What was odd about the folder, in words.
    pub(super) fn notes(&self) -> Vec<String> {
        match self {
            Destination::Folder(folder) => folder.notes.clone(),
            Destination::Server(_, _) => Vec::new(),
        }
    }

    /// Leaves the folder in order.
    pub(super) async fn close(&mut self, session: &mut Session) {
        if let Destination::Folder(folder) = self {
            let report = folder.store.close(Duration::from_secs(CLOSE_S_MAX)).await;
            for note in report.notes {
                session.terminal.note(note);
            }
        }
    }
}
