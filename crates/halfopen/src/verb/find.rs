//! `halfopen find`: everything about one id.

use clap::Args;

use crate::cli::{SourceArgs, WindowArgs};
use crate::source::Source;
use crate::{Failure, Outcome, Session};

const EXAMPLES: &str = "\
Examples:
  halfopen find req_8f2c41               a request id, with what was made out of it (req_8f2c41_1)
  halfopen find 4bf92f3577b34da6         a span id, a trace id, or the beginning of one
  halfopen find order-1001 --since 2h    only what happened in the last two hours";

/// Flags of `find`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct FindArgs {
    /// Any id: of a request, trace, span, message, session; or its first four characters or more
    pub id: String,

    #[command(flatten)]
    window: WindowArgs,

    #[command(flatten)]
    source: SourceArgs,
}

/// Asks and shows the timeline.
pub(crate) async fn run(args: FindArgs, session: &mut Session) -> Result<Outcome, Failure> {
    args.window.range(session.clock.now())?;
    Source::open(&args.source, session).await?;
    Ok(Outcome::Clean)
}
