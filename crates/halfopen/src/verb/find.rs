//! `halfopen find`: everything about one id.

use clap::Args;
use halfopen_serve::wire::FindV1;
use halfopen_trace::find::PREFIX_CHARS_MIN;

use crate::cli::{SourceArgs, WindowArgs};
use crate::show::text::{clean, plural};
use crate::show::timeline;
use crate::source::Source;
use crate::{Failure, Outcome, Session, Terminal};

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

    /// Show every id and every entry
    #[arg(long)]
    pub all: bool,

    #[command(flatten)]
    window: WindowArgs,

    #[command(flatten)]
    source: SourceArgs,
}

/// Asks and shows the timeline.
pub(crate) async fn run(args: FindArgs, session: &mut Session) -> Result<Outcome, Failure> {
    let range = args.window.range(session.clock.now())?;
    let source = Source::open(&args.source, session).await?;
    let answer = source.find(&args.id, range).await?;
    let found = !matches!(answer.matched.as_str(), "nothing" | "ambiguous");
    let terminal = &mut session.terminal;
    if terminal.is_json() {
        terminal.json(&answer)?;
    } else if found {
        timeline::show(terminal, &answer, args.all)?;
    } else {
        not_found(terminal, &answer, &args)?;
    }
    Ok(if found { Outcome::Clean } else { Outcome::Notable })
}

fn not_found(terminal: &mut Terminal, answer: &FindV1, args: &FindArgs) -> Result<(), Failure> {
    let id = clean(&answer.id).into_owned();
    if answer.matched == "ambiguous" {
        terminal.note(format_args!(
            "{} begin with \"{id}\": choose one",
            plural(answer.ids.len(), "id", "ids")
        ));
        return timeline::candidates(terminal, &answer.ids, args.all);
    }
    terminal.note(format_args!("nothing carries \"{id}\""));
    for gap in &answer.gaps {
        terminal.note(format_args!("  {}", clean(&gap.text)));
    }
    let hint = if answer.id.chars().count() < PREFIX_CHARS_MIN {
        "the beginning of an id needs four characters or more"
    } else if args.window.is_open() {
        "an id is found by its beginning too; attributes that carry ids are set with \
         `ingest.id_names`"
    } else {
        "leave --since, --from and --to away to look at all of time"
    };
    terminal.note(format_args!("hint: {hint}"));
    Ok(())
}
