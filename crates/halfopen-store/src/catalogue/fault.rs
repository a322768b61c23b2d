//! What can go wrong between us and a database, and what is said of it.

use std::time::Duration;

use crate::error::StoreError;

/// Why a statement was not done.
#[derive(Debug)]
pub(super) enum Fault {
    /// The database, or the way to it.
    Sql(sqlx::Error),
    /// No answer came within the time.
    Late(Duration),
    /// The catalogue is not as we left it.
    Stale,
    /// The database could not be used at all, in words.
    Unusable(StoreError),
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Fault {
        Fault::Sql(error)
    }
}

impl Fault {
    /// The error of a caller who tried `what`.
    pub(super) fn while_trying(self, what: &'static str) -> StoreError {
        match self {
            Fault::Sql(error) => StoreError::Catalogue { what, source: bare(error) },
            Fault::Late(max) => {
                let source = format!("no answer came within {max:?}").into();
                StoreError::Catalogue { what, source }
            }
            Fault::Stale => {
                let source = "somebody else has changed it".into();
                StoreError::Catalogue { what, source }
            }
            Fault::Unusable(error) => error,
        }
    }

    /// Whether the connection is of no more use: what was begun on it may be done or not.
    pub(super) fn ends_connection(&self) -> bool {
        match self {
            Fault::Sql(sqlx::Error::Database(said)) => {
                let code = said.code().unwrap_or_default();
                // Shut down, crashed, cut off for idling inside a transaction, connection lost.
                code.starts_with("57P") || code.starts_with("08") || code == "25P03"
            }
            Fault::Sql(_) | Fault::Late(_) => true,
            Fault::Stale | Fault::Unusable(_) => false,
        }
    }
}

/// The cause itself: `sqlx::Error` repeats it in its own words.
pub(super) fn bare(error: sqlx::Error) -> Box<dyn std::error::Error + Send + Sync> {
    match error {
        sqlx::Error::Io(cause) => Box::new(cause),
        sqlx::Error::Tls(cause) | sqlx::Error::Configuration(cause) => cause,
        sqlx::Error::Database(said) => said.message().into(),
        error => Box::new(error),
    }
}

/// What is said of a server that would not let us in: the reason and what to do.
pub(super) fn refusal(error: &sqlx::Error, user: &str, database: &str) -> (String, String) {
    if let Some((reason, hint)) = untrusted(error) {
        return (reason.to_owned(), hint.to_owned());
    }
    let said = match error {
        sqlx::Error::Database(said) => said,
        sqlx::Error::Tls(_) => {
            let hint = "see whether the server has ssl = on; what sslmode asks for is in \
                docs/store.md";
            return ("TLS could not be agreed on".to_owned(), hint.to_owned());
        }
        sqlx::Error::Configuration(_) => {
            let hint = "write store.catalogue as postgres://USER@HOST:PORT/DATABASE";
            return ("the address does not read".to_owned(), hint.to_owned());
        }
        _ => {
            let hint = "see whether PostgreSQL runs there; then start again";
            return ("nobody answers there".to_owned(), hint.to_owned());
        }
    };
    match said.code().unwrap_or_default().as_ref() {
        "28000" if said.message().contains("no encryption") => (
            format!("the server lets the user \"{user}\" in over TLS only"),
            "set sslmode=verify-full in store.catalogue".to_owned(),
        ),
        "28P01" | "28000" => (
            format!("the user \"{user}\" is not let in"),
            "give the password in PGPASSWORD, in ~/.pgpass or in store.catalogue".to_owned(),
        ),
        "3D000" => (
            format!("there is no database \"{database}\""),
            format!("make it: createdb --owner {user} {database}"),
        ),
        "42501" => (
            format!("the user \"{user}\" may not do that"),
            format!("GRANT CREATE ON DATABASE \"{database}\" TO \"{user}\""),
        ),
        "57P03" => (
            "the server is starting or stopping".to_owned(),
            "start again when it takes connections".to_owned(),
        ),
        "53300" => (
            "the server has no connection to spare".to_owned(),
            "raise max_connections of PostgreSQL, or close what is not needed".to_owned(),
        ),
        _ => ("it refuses".to_owned(), "see the log of PostgreSQL".to_owned()),
    }
}

/// What is said of a server whose certificate was refused; `None` when that is not the reason.
fn untrusted(error: &sqlx::Error) -> Option<(&'static str, &'static str)> {
    // The library of TLS is behind the one of the database, so there are only its words.
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        words.push_str(&next.to_string());
        cause = next.source();
    }
    words.contains("invalid peer certificate").then_some(())?;
    let says = |word: &str| words.contains(word);
    Some(if says("UnknownIssuer") {
        let hint = "name the authority with sslrootcert=FILE in store.catalogue";
        ("the certificate of the server is of an authority that is not trusted", hint)
    } else if says("not valid for") || says("NotValidForName") {
        let hint = "write the host in store.catalogue as the certificate has it";
        ("the certificate of the server is for another name", hint)
    } else if says("xpired") || says("NotValidYet") {
        let hint = "renew the certificate of PostgreSQL, and see that both clocks are right";
        ("the certificate of the server is out of its time", hint)
    } else {
        ("the certificate of the server cannot be used", "see what the server has as ssl_cert_file")
    })
}
