//! What can go wrong. Messages name the object and what was tried; causes are sources.

use std::io;
use std::path::PathBuf;

/// Why the store could not be opened, sealed or kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the folder.
    #[error("the data folder \"{}\" is in use{}", folder.display(), holder(by))]
    Locked {
        /// The folder.
        folder: PathBuf,
        /// Who holds it, as far as it left word.
        by: Option<String>,
    },
    /// The folder was written by a later version.
    #[error(
        "the data folder \"{}\" has format {found}, this halfopen reads up to {known}",
        folder.display()
    )]
    NewerFormat {
        /// The folder.
        folder: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that is known here.
        known: u32,
    },
    /// The folder holds something else.
    #[error("\"{}\" is no data folder of halfopen: {reason}", folder.display())]
    NotOurs {
        /// The folder.
        folder: PathBuf,
        /// What was found.
        reason: String,
    },
    /// There is no folder to read.
    #[error("there is no data folder \"{}\"", folder.display())]
    Missing {
        /// The folder.
        folder: PathBuf,
    },
    /// A setting that cannot work.
    #[error("the setting {name} cannot be {value}: {reason}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// Why not.
        reason: &'static str,
    },
    /// A file could not be used.
    #[error("could not {what} \"{}\"", path.display())]
    File {
        /// What was tried: "open", "write", ...
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The catalogue failed.
    #[error("could not {what} the catalogue")]
    Catalogue {
        /// What was tried.
        what: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The catalogue is on a server, and nobody said on which.
    #[error("the catalogue of the data folder \"{}\" is in PostgreSQL", folder.display())]
    CatalogueElsewhere {
        /// The folder.
        folder: PathBuf,
    },
    /// The database of the catalogue could not be used.
    #[error("could not use the catalogue in PostgreSQL at {place}: {reason}")]
    Database {
        /// Host, port and name of the database.
        place: String,
        /// Why not, in words.
        reason: String,
        /// What to do about it.
        hint: String,
        /// What the server or the network said.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A segment could not be written.
    #[error("could not write a segment of {table}")]
    Segment {
        /// The table.
        table: halfopen_model::Table,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A thread of the store is gone.
    #[error("the {thread} of the store has ended")]
    Gone {
        /// Which.
        thread: &'static str,
    },
    /// The store is closed, or was opened for reading only.
    #[error("the store is {0}")]
    NotWritable(&'static str),
}

fn holder(by: &Option<String>) -> String {
    by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default()
}

impl StoreError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            StoreError::Locked { .. } => {
                "a running server holds it: ask that server with --url, or stop it first".to_owned()
            }
            StoreError::NewerFormat { .. } => "use a newer halfopen for this folder".to_owned(),
            StoreError::NotOurs { .. } => "name an empty or a new folder with --data".to_owned(),
            StoreError::Missing { .. } => {
                "name the folder of a server with --data, or ask a running one with --url"
                    .to_owned()
            }
            StoreError::CatalogueElsewhere { .. } => {
                "name the server in store.catalogue of the settings or in \
                 HALFOPEN_STORE_CATALOGUE: postgres://USER@HOST:PORT/DATABASE"
                    .to_owned()
            }
            StoreError::Database { hint, .. } => hint.clone(),
            StoreError::Setting { name, .. } => format!(
                "set store.{name} in the configuration file, or HALFOPEN_STORE_{}",
                name.to_uppercase()
            ),
            _ => return None,
        })
    }

    /// Whether the catalogue could not even be asked.
    pub(crate) fn is_out_of_reach(&self) -> bool {
        matches!(self, StoreError::Database { .. })
    }

    pub(crate) fn file(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.into();
        move |source| StoreError::File { what, path, source }
    }
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The text is no query, or names what is not there.
    #[error("{reason}")]
    Invalid {
        /// What is wrong, in one sentence.
        reason: String,
        /// What to write instead, where that can be told.
        hint: Option<String>,
    },
    /// The statement would change something or reach outside the tables.
    #[error("only reading is allowed here: {reason}")]
    ReadOnly {
        /// What was asked for.
        reason: String,
    },
    /// A bound on time or memory was reached.
    #[error("the query was stopped: {reason}")]
    Bound {
        /// Which bound.
        reason: String,
        /// What to do about it.
        hint: String,
    },
    /// The store failed.
    #[error("the query failed: {reason}")]
    Failed {
        /// The cause.
        reason: String,
    },
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

impl QueryError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&str> {
        match self {
            QueryError::Invalid { hint, .. } => hint.as_deref(),
            QueryError::ReadOnly { .. } => Some("begin with SELECT, WITH, EXPLAIN or SHOW TABLES"),
            QueryError::Bound { hint, .. } => Some(hint),
            QueryError::Failed { .. } | QueryError::Closed => None,
        }
    }
}
