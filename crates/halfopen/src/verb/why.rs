//! `halfopen why`: what failing requests have in common that healthy ones have not.

use clap::Args;

use crate::cli::{SourceArgs, WindowArgs};
use crate::source::Source;
use crate::{Failure, Outcome, Session};

const EXAMPLES: &str = "\
Examples:
  halfopen why                                   what fails now
  halfopen why checkout \"POST /checkout\" --since 1h
  halfopen why --from 14:00 --to 14:20 --baseline 13:00..13:20";

/// Flags of `why`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct WhyArgs {
    /// Only requests to this service
    pub service: Option<String>,

    /// Only requests for this operation: `POST /checkout`, or the name of a span
    pub operation: Option<String>,

    #[command(flatten)]
    window: WindowArgs,

    /// Compare with the requests of this time instead of with healthy ones of the same time
    #[arg(long, value_name = "FROM..TO")]
    pub baseline: Option<String>,

    #[command(flatten)]
    source: SourceArgs,
}

/// Asks and shows the causes.
pub(crate) async fn run(args: WhyArgs, session: &mut Session) -> Result<Outcome, Failure> {
    args.window.range(session.clock.now())?;
    Source::open(&args.source, session).await?;
    Ok(Outcome::Clean)
}
