//! `halfopen trace`: one trace as a waterfall.

use clap::Args;

use crate::cli::SourceArgs;
use crate::show::text::{clean, plural};
use crate::show::timeline;
use crate::show::waterfall::{self, Drawing};
use crate::source::Source;
use crate::{Failure, Outcome, Session};

const EXAMPLES: &str = "\
Examples:
  halfopen trace 7f3a91c2                the trace whose id begins so
  halfopen trace req_8f2c41 --all        the trace of a request, repeated spans not folded
  halfopen trace 7f3a91c2 --ascii        for terminals and tickets without Unicode";

/// Flags of `trace`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct TraceArgs {
    /// A trace id or its beginning (four characters or more), a span id, or the id of a request
    pub id: String,

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
    let reply = source.trace(&args.id).await?;
    let terminal = &mut session.terminal;
    if terminal.is_json() {
        terminal.json(&reply)?;
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
