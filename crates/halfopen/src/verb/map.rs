//! `halfopen map`: who calls whom.

use std::path::PathBuf;

use clap::Args;
use halfopen_serve::desk::MapAsk;

use crate::cli::{SourceArgs, WindowArgs};
use crate::show::graph;
use crate::source::Source;
use crate::{Failure, Outcome, Session};

const EXAMPLES: &str = "\
Examples:
  halfopen map                           the last 15 minutes: edges, most failing calls first
  halfopen map --from 14:00 --to 14:20   computed from the spans of that time
  halfopen map --since 1h --svg map.svg  the same as a picture";

/// Flags of `map`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct MapArgs {
    #[command(flatten)]
    window: WindowArgs,

    /// Write the map as a picture into this file; `-` for stdout
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub svg: Option<PathBuf>,

    /// Show every edge
    #[arg(long)]
    pub all: bool,

    #[command(flatten)]
    source: SourceArgs,
}

/// Asks and shows the map.
pub(crate) async fn run(args: MapArgs, session: &mut Session) -> Result<Outcome, Failure> {
    let ask = MapAsk { window: args.window.range(session.clock.now())? };
    let source = Source::open(&args.source, session).await?;
    let terminal = &mut session.terminal;
    if let Some(file) = &args.svg {
        let picture = source.map_svg(ask).await?;
        if file.as_os_str() == "-" {
            terminal.line(picture.trim_end())?;
            return Ok(Outcome::Clean);
        }
        std::fs::write(file, picture).map_err(|error| {
            Failure::environment(format!("could not write \"{}\"", file.display())).cause(&error)
        })?;
        terminal.note(format_args!("the map is in {}", file.display()));
        return Ok(Outcome::Clean);
    }
    let answer = source.map(ask).await?;
    if terminal.is_json() {
        terminal.json(&answer)?;
    } else {
        graph::show(terminal, &answer, args.all)?;
    }
    Ok(Outcome::Clean)
}
