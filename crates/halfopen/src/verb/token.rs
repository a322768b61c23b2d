//! `halfopen token`: tokens for a server that others reach.

use clap::{Args, Subcommand};
use halfopen_serve::{Scope, TokenEntry};
use serde_json::json;

use crate::{Failure, Outcome, Session};

const EXAMPLES: &str = "\
Examples:
  halfopen token new collector --scope write > collector.token
  halfopen token new grafana --scope read
  halfopen token new operator --scope admin";

/// Flags of `token`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES, after_help = "More: docs/security.md")]
pub struct TokenArgs {
    /// What to do
    #[command(subcommand)]
    act: Act,
}

/// What to do.
#[derive(Subcommand, Debug)]
enum Act {
    /// Print a new token, and on stderr the entry that lets it in; the server keeps only its hash
    New(NewArgs),
}

/// Flags of `token new`.
#[derive(Args, Debug)]
struct NewArgs {
    /// Who will bear it, as logs and limits name it
    name: String,

    /// What it opens: read (ask), write (send telemetry, imports and changes) or admin
    /// (everything); may be given more than once
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    scopes: Vec<Scope>,
}

/// Does it.
pub(crate) fn run(args: TokenArgs, session: &mut Session) -> Result<Outcome, Failure> {
    let Act::New(NewArgs { name, scopes }) = args.act;
    let made = TokenEntry::generate(&name, &scopes);
    let (token, entry) = made.map_err(|problem| {
        Failure::usage(format!("could not make a token for \"{name}\"")).detail(problem)
    })?;
    if session.terminal.is_json() {
        session.terminal.json(&json!({ "v": 1, "token": token, "entry": entry.to_string() }))?;
        return Ok(Outcome::Clean);
    }
    session.terminal.line(&token)?;
    session.terminal.note(format!(
        "\nThe token is shown this once. The server lets it in with this entry in its settings:\
         \n\n  [serve]\n  tokens = [\"{entry}\"]\n\n\
         or in its environment, several separated by commas:\n\n  \
         HALFOPEN_SERVE_TOKENS=\"{entry}\""
    ));
    Ok(Outcome::Clean)
}
