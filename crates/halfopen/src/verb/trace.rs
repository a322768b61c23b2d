//! `halfopen trace`: one trace as a waterfall.

use clap::Args;
use halfopen_serve::desk::Beside;

use crate::cli::SourceArgs;
use crate::show::compare;
use crate::show::text::{clean, plural};
use crate::show::timeline;
use crate::show::waterfall::{self, Drawing};
use crate::source::Source;
use crate::{Failure, Outcome, Session};

const EXAMPLES: &str = "\
Examples:
  halfopen trace 7f3a91c2                the trace whose id begins so
  halfopen trace req_8f2c41 --all        the trace of a request, repeated spans not folded
  halfopen trace 7f3a91c2 --compare      beside its healthy twin and all requests like it
  halfopen trace 7f3a91c2 --compare=81d0 beside the trace that is named
  halfopen trace 7f3a91c2 --ascii        for terminals and tickets without Unicode";

/// Flags of `trace`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct TraceArgs {
    /// A trace id or its beginning (four characters or more), a span id, or the id of a request
    pub id: String,

    /// What is unlike in healthy requests of the same kind near it: calls that vanish, multiply,
    /// fail or take longer, and attributes; with ID, beside that trace
    #[arg(
        long,
        value_name = "ID",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "peers"
    )]
    pub compare: Option<String>,

    /// Show every span: do not fold siblings of one name
    #[arg(long)]
    pub all: bool,

    /// Draw with ASCII characters only
    #[arg(long)]
    pub ascii: bool,

    /// Show no more spans than this
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub spans_max: usize,

    #[command(flatten)]
    source: SourceArgs,
}

/// Asks and draws.
pub(crate) async fn run(args: TraceArgs, session: &mut Session) -> Result<Outcome, Failure> {
    let source = Source::open(&args.source, session).await?;
    let reply = match &args.compare {
        None => source.trace(&args.id).await?,
        Some(with) => source.compare(&args.id, &Beside::read(with)).await?,
    };
    let terminal = &mut session.terminal;
    if terminal.is_json() {
        terminal.json(&reply)?;
    } else if let Some(comparison) = &reply.comparison {
        compare::show(terminal, comparison, args.all)?;
    } else if let Some(trace) = &reply.trace {
        let drawing = Drawing { all: args.all, ascii: args.ascii, spans_max: args.spans_max };
        waterfall::show(terminal, trace, drawing)?;
    } else if reply.candidates.is_empty() {
        terminal.note(format_args!("no trace is \"{}\" or carries it", clean(&reply.id)));
        terminal.note(
            "hint: four characters of a trace id are enough; any other id goes to `halfopen find`",
        );
    } else {
        let fit = plural(reply.candidates.len(), "trace or id fits", "traces or ids fit");
        terminal.note(format_args!("{fit} \"{}\": choose one", clean(&reply.id)));
        timeline::candidates(terminal, &reply.candidates, args.all)?;
    }
    Ok(if reply.trace.is_some() { Outcome::Clean } else { Outcome::Notable })
}
