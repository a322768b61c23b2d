//! One file per verb: its flags, what it asks, how it shows the answer.

use crate::cli::Verb;
use crate::{Failure, Outcome, Session};

pub mod changes;
pub mod demo;
pub mod find;
pub mod import;
pub mod map;
pub mod query;
pub mod serve;
pub mod store;
pub mod token;
pub mod trace;
pub mod why;

/// Runs one verb.
///
/// # Errors
/// When the verb could not do its work.
pub async fn run(verb: Verb, session: &mut Session) -> Result<Outcome, Failure> {
    match verb {
        Verb::Serve(args) => serve::run(args, session).await,
        Verb::Import(args) => import::run(args, session).await,
        Verb::Query(args) => query::run(args, session).await,
        Verb::Store(args) => store::run(args, session).await,
        Verb::Find(args) => find::run(args, session).await,
        Verb::Trace(args) => trace::run(args, session).await,
        Verb::Why(args) => why::run(args, session).await,
        Verb::Map(args) => map::run(args, session).await,
        Verb::Changes(args) => changes::run(*args, session).await,
        Verb::Token(args) => token::run(args, session),
        Verb::Demo(args) => demo::run(args, session).await,
    }
}
