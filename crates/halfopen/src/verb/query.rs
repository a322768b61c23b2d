//! `halfopen query`: SQL over the tables of evidence.

use clap::Args;
use halfopen_serve::wire::{QueryV1, row_json};

use crate::cli::SourceArgs;
use crate::show::table;
use crate::show::text::{clean, plural};
use crate::source::Source;
use crate::{Failure, Outcome, Session};

const EXAMPLES: &str = "\
Examples:
  halfopen query \"select service, count(*) from spans group by service\"
  halfopen query --json \"select * from rejects\" | jq .reason
  halfopen query --data ./data \"select name, max(duration_ns) from spans group by name\"";

/// More rows than a screen shows; who wants them in a file says how many.
const ROWS_MAX_DEFAULT: usize = 1_000;

/// Flags of `query`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct QueryArgs {
    /// One SELECT over spans, logs, metrics, exchanges, changes, faults, findings, ids, rejects
    pub sql: String,

    /// No more rows than this
    #[arg(long, value_name = "N", default_value_t = ROWS_MAX_DEFAULT)]
    pub rows_max: usize,

    #[command(flatten)]
    source: SourceArgs,
}

/// Asks and shows the rows.
pub(crate) async fn run(args: QueryArgs, session: &mut Session) -> Result<Outcome, Failure> {
    let source = Source::open(&args.source, session).await?;
    let answer = source.query(&args.sql, args.rows_max).await?;
    let mut cut_cells = 0;
    if session.terminal.is_json() {
        for row in &answer.rows {
            session.terminal.json(&row_json(&answer.columns, row))?;
        }
    } else if !answer.columns.is_empty() {
        cut_cells = table::show(&mut session.terminal, &answer)?;
    }
    session.terminal.note(closing(&answer, cut_cells));
    for unread in &answer.unread {
        session.terminal.note(format_args!("not looked at: {}", clean(unread)));
    }
    Ok(Outcome::Clean)
}

fn closing(answer: &QueryV1, cut_cells: usize) -> String {
    let rows = plural(answer.rows.len(), "row", "rows");
    let more = if answer.truncated { ", there are more: raise --rows-max" } else { "" };
    let cut = match cut_cells {
        0 => String::new(),
        cells => format!(", {} cut: --json has them whole", plural(cells, "cell", "cells")),
    };
    format!("{rows}{more}{cut}")
}
