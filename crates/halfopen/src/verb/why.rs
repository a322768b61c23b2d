//! `halfopen why`: what failing requests have in common that healthy ones have not.

use clap::Args;
use halfopen_model::answer::Scope;
use halfopen_model::time::{TimeError, parse_range};
use halfopen_serve::desk::WhyAsk;

use crate::cli::{SourceArgs, WindowArgs};
use crate::show::{causes, suspects};
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
    #[arg(value_name = "SERVICE")]
    pub of_service: Option<String>,

    /// Only requests for this operation: `POST /checkout`, or the name of a span
    #[arg(value_name = "OPERATION")]
    pub of_operation: Option<String>,

    /// The same as SERVICE
    #[arg(long, value_name = "NAME", conflicts_with = "of_service")]
    pub service: Option<String>,

    /// The same as OPERATION
    #[arg(long, value_name = "NAME", conflicts_with = "of_operation")]
    pub operation: Option<String>,

    #[command(flatten)]
    window: WindowArgs,

    /// Compare with the requests of this time instead of with healthy ones of the same time
    #[arg(long, value_name = "FROM..TO")]
    pub baseline: Option<String>,

    /// Show every cause and condition, and what was ruled out
    #[arg(long)]
    pub all: bool,

    #[command(flatten)]
    source: SourceArgs,
}

/// Asks and shows the causes.
pub(crate) async fn run(args: WhyArgs, session: &mut Session) -> Result<Outcome, Failure> {
    let now = session.clock.now();
    let window = args.window.range(now)?;
    let usage = |error: TimeError| Failure::usage(error.to_string());
    let baseline = args.baseline.as_deref().map(|text| parse_range(text, now));
    let baseline = baseline.transpose().map_err(usage)?;
    let source = Source::open(&args.source, session).await?;
    let scope = Scope {
        service: args.of_service.or(args.service),
        operation: args.of_operation.or(args.operation),
    };
    let answer = source.why(WhyAsk { scope, window, baseline }).await?;
    if session.terminal.is_json() {
        session.terminal.json(&answer)?;
    } else {
        causes::show(&mut session.terminal, &answer, args.all)?;
    }
    // Silence is no success: a service that sent nothing is not clean.
    let found = answer.suspects.as_ref().is_some_and(|s| s.list.iter().any(suspects::is_suspect));
    let clean = answer.verdict == "healthy" && !found;
    Ok(if clean { Outcome::Clean } else { Outcome::Notable })
}
