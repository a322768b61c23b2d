//! `halfopen why`: what failing requests have in common that healthy ones have not.

use clap::Args;
use halfopen_model::answer::{Scope, SlowRule};
use halfopen_model::time::TimeError;
use halfopen_serve::desk::{MetricAsk, WhyAsk, WhyBaseline};

use crate::cli::{SourceArgs, WindowArgs};
use crate::show::{causes, chain, measure, suspects};
use crate::source::Source;
use crate::{Failure, Outcome, Session};

const EXAMPLES: &str = "\
Examples:
  halfopen why                                   what fails now
  halfopen why checkout \"POST /checkout\" --since 1h
  halfopen why --from 14:00 --to 14:20 --baseline 13:00..13:20
  halfopen why gateway --slow                    which requests are slow, and where time is lost
  halfopen why --metric requests.failed --total requests --from 14:00 --to 14:05
  halfopen why gateway --metric latency.p99 --total requests --since 20m";

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

    /// Where does this metric come from? Counts of failing ones with --total, by attribute; a level
    /// (latency, availability) of SERVICE, along the calls between services
    #[arg(long, value_name = "NAME", conflicts_with_all = ["of_operation", "operation"])]
    pub metric: Option<String>,

    /// The metric that counts all of them, failing and not; for a level: how much is asked for
    #[arg(long, value_name = "NAME", requires = "metric")]
    pub total: Option<String>,

    /// Compare with the requests of this time instead of with healthy ones of the same time: a
    /// range, "yesterday", "-24h"; "version" compares those that the last new version of a service
    /// served with those that the one before it served in the same window, or with the time before
    /// it came where one of them served too few
    #[arg(long, value_name = "FROM..TO", allow_hyphen_values = true)]
    pub baseline: Option<String>,

    /// Ask about slow requests in place of failing ones: those that take longer than their
    /// operation usually does, or than LIMIT (800ms, 2s)
    #[arg(
        long,
        value_name = "LIMIT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "unusual",
        conflicts_with = "metric"
    )]
    pub slow: Option<String>,

    /// Show every cause and condition, and what was ruled out
    #[arg(long)]
    pub all: bool,

    /// Show one hop of the chain: its evidence, the query that counts it again, and what would
    /// refute it (0 is the symptom)
    #[arg(long, value_name = "N", conflicts_with = "all")]
    pub hop: Option<usize>,

    #[command(flatten)]
    source: SourceArgs,
}

/// Asks and shows the causes.
pub(crate) async fn run(args: WhyArgs, session: &mut Session) -> Result<Outcome, Failure> {
    let now = session.clock.now();
    let window = args.window.range(now)?;
    let usage = |error: TimeError| Failure::usage(error.to_string());
    let baseline = args.baseline.as_deref().map(|text| WhyBaseline::read(text, now));
    let baseline = baseline.transpose().map_err(usage)?;
    let slow = args.slow.as_deref().map(SlowRule::read).transpose().map_err(usage)?;
    let source = Source::open(&args.source, session).await?;
    let service = args.of_service.or(args.service);
    if let Some(metric) = args.metric {
        let ask = MetricAsk { metric, total: args.total, service, window, baseline };
        return of_metric(&source, ask, args.all, args.hop, session).await;
    }
    let scope = Scope { service, operation: args.of_operation.or(args.operation) };
    let answer = source.why(WhyAsk { scope, window, baseline, slow }).await?;
    match args.hop {
        _ if session.terminal.is_json() => session.terminal.json(&answer)?,
        Some(hop) => chain::one(&mut session.terminal, &answer.chain, hop)?,
        None => causes::show(&mut session.terminal, &answer, args.all)?,
    }
    // Silence is no success: a service that sent nothing is not clean.
    let found = answer.suspects.as_ref().is_some_and(|s| s.list.iter().any(suspects::is_suspect));
    let clean = answer.verdict == "healthy" && !found;
    Ok(if clean { Outcome::Clean } else { Outcome::Notable })
}

/// Asks where a metric comes from.
async fn of_metric(
    source: &Source,
    ask: MetricAsk,
    all: bool,
    hop: Option<usize>,
    session: &mut Session,
) -> Result<Outcome, Failure> {
    if ask.total.is_none() && ask.service.is_none() {
        return Err(Failure::usage("--metric needs --total, or a service that shows its level")
            .hint("add --total NAME (counts all, failing or not), or name the service"));
    }
    let answer = source.why_metric(ask).await?;
    match hop {
        _ if session.terminal.is_json() => session.terminal.json(&answer)?,
        Some(hop) => chain::one(&mut session.terminal, &answer.chain, hop)?,
        None => measure::show(&mut session.terminal, &answer, all)?,
    }
    Ok(if answer.verdict == "healthy" { Outcome::Clean } else { Outcome::Notable })
}
