//! `halfopen import`: what other tools wrote becomes evidence.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use halfopen_ingest::import::{Format, ImportSettings, Mapping, Pattern};
use halfopen_serve::import::Taken;
use halfopen_serve::wire::{ImportSourceV1, ImportTakenV1, ImportV1, Version};

use crate::cli::SourceArgs;
use crate::{Failure, Outcome, Session};

mod destination;
mod progress;
mod reading;
mod show;
mod sources;

use destination::Destination;
use progress::Progress;
use reading::{Read, Reading};
use sources::Source;

const EXAMPLES: &str = "\
Examples:
  halfopen import traces.json            Jaeger, Zipkin or OTLP, as its content shows
  halfopen import ./evidence --data ./incident-17
                                         every file of a folder, into a folder of its own
  zcat spans.json.gz | halfopen import - --format otlp-json-lines";

/// Sources that a report lists.
const SOURCES_LISTED_MAX: usize = 100;

const PATTERN_HELP: &str = "Take lines apart by this regular expression; its named groups are \
    fields: (?<time>..) (?<level>..) (?<message>..), others become attributes";

/// Flags of `import`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES, after_help = "Formats: docs/import.md")]
pub struct ImportArgs {
    /// A file, a folder (all files below it, by name), or - for standard input; gzip and zstd are
    /// inflated
    #[arg(value_name = "PATH|-")]
    path: PathBuf,

    /// Read it as this, whatever it looks like: otlp-json, jaeger, ...
    #[arg(long, value_name = "NAME", value_parser = read_format)]
    format: Option<Format>,

    /// Take lines apart by this regular expression.
    #[arg(long, value_name = "REGEX", conflicts_with = "format", help = PATTERN_HELP)]
    pattern: Option<String>,

    /// Read tables (CSV, JSON) as this file says, whose columns are which fields: docs/import.md
    #[arg(long, value_name = "FILE", conflicts_with_all = ["format", "pattern"])]
    mapping: Option<PathBuf>,

    /// The service of things that name none
    #[arg(long, value_name = "NAME")]
    service: Option<String>,

    #[command(flatten)]
    source: SourceArgs,
}

fn read_format(name: &str) -> Result<Format, String> {
    Format::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = Format::ALL.into_iter().map(Format::name).collect();
        format!("there are {}", names.join(", "))
    })
}

fn read_mapping(path: &Path) -> Result<Mapping, Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::environment(format!("could not read \"{shown}\"")).cause(&error)
    })?;
    Mapping::parse(&text).map_err(|error| {
        Failure::usage(format!("the mapping \"{shown}\" cannot be used"))
            .detail(error.to_string())
            .hint("docs/import.md lists the keys, docs/import holds examples")
    })
}

/// What was read so far.
#[derive(Default)]
struct Report {
    sources: Vec<ImportSourceV1>,
    sources_more: u64,
    /// Sources whose format is not known.
    unknown: u64,
    bytes: u64,
    taken: Taken,
}

/// Reads every source and shows what became of it.
pub(crate) async fn run(args: ImportArgs, session: &mut Session) -> Result<Outcome, Failure> {
    let pattern = args.pattern.as_deref().map(Pattern::new).transpose().map_err(|error| {
        Failure::usage("the pattern cannot be used")
            .detail(error.to_string())
            .hint("for example --pattern '^(?<time>[^ ]+) (?<level>[A-Z]+) (?<message>.*)'")
    })?;
    let format = args.format.or(pattern.as_ref().map(|_| Format::Pattern));
    let mapping = args.mapping.as_deref().map(read_mapping).transpose()?.map(Arc::new);
    let service = args.service.clone();
    let settings = ImportSettings { service, pattern, mapping, ..ImportSettings::default() };
    let sources = sources::list(&args.path, &*session.clock)?;
    let mut destination = Destination::open(&args.source, session).await?;
    let mut report = Report::default();
    let mut progress = Progress::new(sources.iter().map(|source| source.bytes).sum());
    let mut result = Ok(());
    for source in &sources {
        let is_only = sources.len() == 1;
        result = one(
            (source, is_only),
            (format, &settings),
            &mut destination,
            &mut report,
            &mut progress,
        )
        .await;
        if result.is_err() {
            break;
        }
    }
    progress.clear();
    destination.close(session).await;
    result?;
    let is_clean = report.unknown == 0 && report.taken.rejected.is_empty();
    let document = finished(report, &destination, session);
    if session.terminal.is_json() {
        session.terminal.json(&document)?;
    } else {
        show::show(&mut session.terminal, &document)?;
    }
    Ok(if is_clean { Outcome::Clean } else { Outcome::Notable })
}

async fn one(
    (source, is_only): (&Source, bool),
    (format, settings): (Option<Format>, &ImportSettings),
    destination: &mut Destination,
    report: &mut Report,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let mut reading = Reading::start(source, format, settings, is_only);
    while let Some(group) = reading.next().await {
        let taken = destination.take(&group, source).await?;
        report.taken.add(&taken);
        progress.show(report.bytes + reading.bytes(), &report.taken);
    }
    report.bytes += reading.bytes();
    let (format, problem) = match reading.finish().await? {
        Read::As(format) => (Some(format.name().to_owned()), None),
        Read::Nothing(why) => (None, Some(why.to_owned())),
        Read::Unknown(why) => {
            report.unknown += 1;
            (None, Some(why))
        }
    };
    if report.sources.len() < SOURCES_LISTED_MAX {
        report.sources.push(ImportSourceV1 { source: source.name.clone(), format, problem });
    } else {
        report.sources_more += 1;
    }
    Ok(())
}

fn finished(report: Report, destination: &Destination, session: &Session) -> ImportV1 {
    let Report { sources, sources_more, bytes, mut taken, .. } = report;
    taken.rejected.sort_by_key(|rejected| std::cmp::Reverse(rejected.count));
    taken.notes.extend(destination.notes());
    let next = show::next(&taken, &session.terminal);
    let ImportTakenV1 { tables, rejected, notes, .. } = ImportTakenV1::from(&taken);
    ImportV1 { v: Version::THIS, sources, sources_more, bytes, tables, rejected, notes, next }
}
