//! `halfopen store`: the data folder itself: what it takes, whether it is whole, its rows for
//! other tools.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use halfopen_ingest::export::OtlpJson;
use halfopen_model::{Table, TimeRange};
use halfopen_serve::wire::{CheckV1, ExportV1, RebuiltV1, StatsV1};
use halfopen_store::{Store, StoreError};

use crate::cli::WindowArgs;
use crate::show::text::{clean, count, padded, plural, right};
use crate::source::settings_for;
use crate::terminal::STRONG;
use crate::{Failure, Outcome, Session};

const EXAMPLES: &str = "\
Examples:
  halfopen store stats --data ./data
  halfopen store check --data ./data
  halfopen store export --data ./data --table spans --since 1h --out spans.parquet
  halfopen store export --data ./data --table logs --format otlp-json --out logs.jsonl";

/// Flags of `store`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct StoreArgs {
    /// What to do
    #[command(subcommand)]
    act: Act,
}

/// What to do with the folder. No server may hold it.
#[derive(Subcommand, Debug)]
enum Act {
    /// Rows and bytes of each table, and what every file takes
    Stats(FolderArgs),
    /// Read every byte, compare what can be compared; exit 1 when something is wrong
    Check(CheckArgs),
    /// Rows of a table as one file: Parquet, or OTLP as the Collector writes it
    Export(ExportArgs),
}

/// Which folder.
#[derive(Args, Debug)]
struct FolderArgs {
    /// The data folder, which no server may hold
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

/// Flags of `store check`.
#[derive(Args, Debug)]
struct CheckArgs {
    #[command(flatten)]
    folder: FolderArgs,

    /// First make the catalogue again from what the segments say about themselves
    #[arg(long)]
    rebuild: bool,
}

/// Flags of `store export`.
#[derive(Args, Debug)]
struct ExportArgs {
    #[command(flatten)]
    folder: FolderArgs,

    /// spans, logs, metrics, exchanges, changes, faults, findings, ids or rejects
    #[arg(long, value_name = "TABLE", default_value = "spans")]
    table: Table,

    #[command(flatten)]
    window: WindowArgs,

    /// One Parquet file with every column, or lines of OTLP/JSON (spans, logs and metrics), which
    /// a Collector and `halfopen import` read
    #[arg(long, value_enum, default_value_t = Format::Parquet)]
    format: Format,

    /// The file, which must not be there
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// What an exported file holds.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    /// One Parquet file
    Parquet,
    /// An export request in each line
    OtlpJson,
}

/// Does it.
pub(crate) async fn run(args: StoreArgs, session: &mut Session) -> Result<Outcome, Failure> {
    match args.act {
        Act::Stats(folder) => stats(&folder.data, session).await,
        Act::Check(args) => check(&args, session).await,
        Act::Export(args) => export(&args, session).await,
    }
}

fn failure(folder: &Path, error: &StoreError) -> Failure {
    let failure = Failure::environment(format!("could not read \"{}\"", folder.display()));
    let failure = failure.cause(error);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

async fn open(folder: &Path, session: &mut Session) -> Result<Store, Failure> {
    let config = settings_for(folder)?.store;
    let opened = Store::open_read_only(config, Arc::clone(&session.clock)).await;
    let (store, report) = opened.map_err(|error| failure(folder, &error))?;
    for note in &report.notes {
        session.terminal.note(clean(note));
    }
    Ok(store)
}

async fn stats(folder: &Path, session: &mut Session) -> Result<Outcome, Failure> {
    let store = open(folder, session).await?;
    let sizes = halfopen_store::sizes(folder).map_err(|error| failure(folder, &error))?;
    let stats = StatsV1::new(&store.stats(), &sizes);
    if session.terminal.is_json() {
        session.terminal.json(&stats)?;
        return Ok(Outcome::Clean);
    }
    let head = ["table", "hot rows", "rows", "segments", "bytes", "bytes/row"];
    let mut lines = vec![head.map(str::to_owned)];
    lines.extend(stats.tables.iter().map(|table| {
        [
            table.table.to_owned(),
            count(table.hot_rows as f64),
            count(table.sealed_rows as f64),
            count(table.segments as f64),
            count(table.bytes as f64),
            table.bytes_per_row.map_or("-".to_owned(), |bytes| format!("{bytes:.1}")),
        ]
    }));
    show(session, &lines)?;
    session.terminal.line("")?;
    let mut lines = vec![["files of", "files", "bytes"].map(str::to_owned)];
    lines.extend(
        stats
            .files
            .iter()
            .map(|size| [size.part.clone(), count(size.files as f64), count(size.bytes as f64)]),
    );
    lines.push(["all".to_owned(), String::new(), count(stats.bytes as f64)]);
    show(session, &lines)?;
    Ok(Outcome::Clean)
}

/// A table whose first column is text and whose others are numbers.
fn show<const N: usize>(session: &mut Session, lines: &[[String; N]]) -> Result<(), Failure> {
    let width = |place: usize| lines.iter().map(|line| line[place].len()).max().unwrap_or(0);
    for (number, line) in lines.iter().enumerate() {
        let cells = line.iter().enumerate().map(|(place, cell)| match place {
            0 => padded(cell, width(place)),
            _ => right(cell, width(place)),
        });
        let cells = cells.collect::<Vec<_>>().join("  ");
        match number {
            0 => session.terminal.line(format_args!("{STRONG}{}{STRONG:#}", cells.trim_end()))?,
            _ => session.terminal.line(cells.trim_end())?,
        }
    }
    Ok(())
}

async fn check(args: &CheckArgs, session: &mut Session) -> Result<Outcome, Failure> {
    let folder = &args.folder.data;
    let config = settings_for(folder)?.store;
    let rebuilt = match args.rebuild {
        true => Some(halfopen_store::rebuild(&config).await),
        false => None,
    };
    let rebuilt = rebuilt.transpose().map_err(|error| failure(folder, &error))?;
    let report = halfopen_store::check(config, Arc::clone(&session.clock)).await;
    let report = report.map_err(|error| match error {
        StoreError::Catalogue { .. } => failure(folder, &error)
            .hint("--rebuild makes it again from what the segments say about themselves"),
        error => failure(folder, &error),
    })?;
    let mut answer = CheckV1::from(&report);
    answer.rebuilt = rebuilt.as_ref().map(RebuiltV1::from);
    let outcome = if answer.problems.is_empty() { Outcome::Clean } else { Outcome::Notable };
    if session.terminal.is_json() {
        session.terminal.json(&answer)?;
        return Ok(outcome);
    }
    if let Some(rebuilt) = &answer.rebuilt {
        let segments = plural(rebuilt.segments as usize, "segment", "segments");
        let rows = count(rebuilt.rows as f64);
        session.terminal.line(format_args!("catalogue made again: {segments}, {rows} rows"))?;
        for left in &rebuilt.left_out {
            session.terminal.line(format_args!("left out {}: {}", left.file, clean(&left.what)))?;
        }
    }
    for problem in &answer.problems {
        session.terminal.line(format_args!("{}: {}", problem.file, clean(&problem.what)))?;
    }
    let segments = plural(answer.segments as usize, "segment", "segments");
    let (rows, log) = (count(answer.rows as f64), count(answer.log_rows as f64));
    let found = match answer.problems.len() {
        0 => "nothing is wrong".to_owned(),
        problems => plural(problems, "problem", "problems"),
    };
    session
        .terminal
        .line(format_args!("{segments} with {rows} rows, {log} rows in the log: {found}"))?;
    Ok(outcome)
}

async fn export(args: &ExportArgs, session: &mut Session) -> Result<Outcome, Failure> {
    let range = args.window.range(session.clock.now())?.unwrap_or(TimeRange::ALL);
    if args.out.exists() {
        let fact = format!("\"{}\" is there already", args.out.display());
        return Err(Failure::usage(fact).hint("name another file with --out"));
    }
    let folder = args.out.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let fact = format!("there is no folder \"{}\" to write to", folder.display());
        return Err(Failure::usage(fact).hint("make it, or name another file with --out"));
    }
    let otlp = match args.format {
        Format::Parquet => None,
        Format::OtlpJson => {
            let hint = "--format parquet takes every table";
            let otlp = OtlpJson::of(args.table);
            Some(otlp.map_err(|error| Failure::usage(error.to_string()).hint(hint))?)
        }
    };
    let folder = &args.folder.data;
    let store = open(folder, session).await?;
    let exported = match otlp {
        None => store.export(args.table, range, &args.out).await,
        Some(otlp) => {
            let form = move |rows: &_, out: &mut _| otlp.write(rows, out);
            store.export_as(args.table, range, &args.out, form).await
        }
    };
    let answer = ExportV1::from(&exported.map_err(|error| failure(folder, &error))?);
    if session.terminal.is_json() {
        session.terminal.json(&answer)?;
        return Ok(Outcome::Clean);
    }
    let (rows, bytes) = (count(answer.rows as f64), count(answer.bytes as f64));
    let file = args.out.display();
    session.terminal.line(format_args!("{rows} rows of {}, {bytes} bytes: {file}", args.table))?;
    for unread in &answer.unread {
        session.terminal.note(format_args!("not looked at: {}", clean(unread)));
    }
    Ok(Outcome::Clean)
}
