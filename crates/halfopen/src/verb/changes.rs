//! `halfopen changes`: what was changed, and telling of a change.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use halfopen_serve::desk::ChangesAsk;
use halfopen_serve::reported::{self, CHANGES_PER_REQUEST_MAX, Defaults};
use serde_json::{Value, json};

use crate::cli::{SourceArgs, WindowArgs};
use crate::show::changes;
use crate::show::text::plural;
use crate::source::Source;
use crate::{Failure, Outcome, Session};

const EXAMPLES: &str = "\
Examples:
  halfopen changes --since 2h                        what was told and what telemetry shows
  halfopen changes add --kind flag --service checkout --title \"new-tax on for 10 %\"
  halfopen changes add --service payment --version 2.3.1 --commit 4f2a91c --at 14:02
  git log -p --format='%H%x09%cI%x09%an%x09%s' > log
  halfopen changes import log --service payment      commits as changes; FILE may be -
  kubectl get events -A -o json | halfopen changes import -";

/// More bytes than this are no list of changes.
const IMPORT_BYTES_MAX: u64 = 256 << 20;
/// Bytes of a diff that are read; more is refused.
const DIFF_BYTES_MAX: u64 = 256 << 10;
/// Lines that could not be read, of which this many are told.
const UNREAD_SHOWN: usize = 5;

/// Flags of `changes`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct ChangesArgs {
    #[command(subcommand)]
    action: Option<Action>,

    /// Only changes of this service
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,

    /// Only changes of this kind: deploy, config, flag, scale, restart, ...
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,

    /// Show instances, files and commits of each
    #[arg(long)]
    pub all: bool,

    #[command(flatten)]
    window: WindowArgs,

    #[command(flatten)]
    source: SourceArgs,
}

/// What to do with changes.
#[derive(Subcommand, Debug)]
enum Action {
    /// Tell of one change
    Add(Box<AddArgs>),
    /// Tell of changes that somebody else wrote down
    Import(ImportArgs),
}

/// Flags of `changes add`.
#[derive(Args, Debug)]
struct AddArgs {
    /// deploy, config, flag, scale, schema, certificate, restart, fault_begin, fault_end or other
    #[arg(long, default_value = "deploy")]
    kind: String,
    /// What was changed
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// One line for people
    #[arg(long)]
    title: Option<String>,
    /// The version after it
    #[arg(long)]
    version: Option<String>,
    /// The version before it
    #[arg(long, value_name = "VERSION")]
    previous_version: Option<String>,
    /// The one instance that was changed
    #[arg(long)]
    instance: Option<String>,
    /// Environment
    #[arg(long)]
    environment: Option<String>,
    /// Commit
    #[arg(long, value_name = "SHA")]
    commit: Option<String>,
    /// Team or tool
    #[arg(long)]
    author: Option<String>,
    /// A page about it
    #[arg(long, value_name = "ADDRESS")]
    page: Option<String>,
    /// When: 2026-11-20T14:02:10Z, 14:02 or 10m (ago), in UTC [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// A path that was touched; may be given several times
    #[arg(long = "file", value_name = "PATH")]
    files: Vec<String>,
    /// A file that holds the diff
    #[arg(long, value_name = "FILE")]
    diff: Option<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
}

/// Flags of `changes import`.
#[derive(Args, Debug)]
struct ImportArgs {
    /// JSON of our own form, of GitHub, GitLab or Kubernetes, or `git log`; `-` for stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The service, where the file does not say
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// The kind, where the file does not say [default: deploy]
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// The environment, where the file does not say
    #[arg(long)]
    environment: Option<String>,
    #[command(flatten)]
    source: SourceArgs,
}

/// Lists, tells of one, or tells of many.
pub(crate) async fn run(args: ChangesArgs, session: &mut Session) -> Result<Outcome, Failure> {
    match args.action {
        Some(Action::Add(add)) => self::add(*add, session).await,
        Some(Action::Import(import)) => self::import(import, session).await,
        None => list(args, session).await,
    }
}

async fn list(args: ChangesArgs, session: &mut Session) -> Result<Outcome, Failure> {
    let window = args.window.range(session.clock.now())?;
    let source = Source::open(&args.source, session).await?;
    let ask = ChangesAsk { window, service: args.service, kind: args.kind };
    let answer = source.changes(ask).await?;
    if session.terminal.is_json() {
        session.terminal.json(&answer)?;
    } else {
        changes::show(&mut session.terminal, &answer, args.all)?;
    }
    Ok(Outcome::Clean)
}

async fn add(args: AddArgs, session: &mut Session) -> Result<Outcome, Failure> {
    let diff = match &args.diff {
        Some(file) => Some(read(file, DIFF_BYTES_MAX)?),
        None => None,
    };
    let mut change = json!({
        "kind": args.kind,
        "service": args.service,
        "title": args.title,
        "version": args.version,
        "previous_version": args.previous_version,
        "instance": args.instance,
        "environment": args.environment,
        "commit": args.commit,
        "author": args.author,
        "url": args.page,
        "time": args.at,
        "files": args.files,
        "diff": diff,
    });
    if let Value::Object(fields) = &mut change {
        fields.retain(|_, value| !value.is_null());
    }
    let ids = Source::tell(&args.source, session, &[change]).await?;
    if session.terminal.is_json() {
        session.terminal.json(&json!({"v": 1, "change_ids": ids}))?;
    } else {
        ids.iter().try_for_each(|id| session.terminal.line(id))?;
    }
    Ok(Outcome::Clean)
}

async fn import(args: ImportArgs, session: &mut Session) -> Result<Outcome, Failure> {
    let text = read(&args.file, IMPORT_BYTES_MAX)?;
    let (service, kind, environment) = (args.service, args.kind, args.environment);
    let defaults = Defaults { service, kind, environment };
    let reported = reported::read(&text, &defaults).map_err(|why| {
        let name = args.file.display();
        Failure::usage(format!("\"{name}\" tells of no changes")).detail(why).hint(
            "it reads JSON (lines) of POST /api/v1/changes, deployments of GitHub and GitLab, \
             events of Kubernetes, and git log --name-only --format='%H%x09%cI%x09%an%x09%s'",
        )
    })?;
    let mut ids = Vec::new();
    for some in reported.changes.chunks(CHANGES_PER_REQUEST_MAX) {
        ids.extend(Source::tell(&args.source, session, some).await?);
    }
    let unread = reported.unread.len();
    for (line, why) in reported.unread.iter().take(UNREAD_SHOWN) {
        session.terminal.note(format_args!("line {line}: {why}"));
    }
    if session.terminal.is_json() {
        let passed_over = reported.passed_over;
        let document = json!({
            "v": 1,
            "format": reported.format,
            "change_ids": ids,
            "passed_over": passed_over,
            "unread": unread,
        });
        session.terminal.json(&document)?;
    } else {
        let kept = plural(ids.len(), "change", "changes");
        let passed_over = reported.passed_over;
        let format = reported.format;
        session.terminal.line(format_args!(
            "{kept} from {format}; {passed_over} passed over, {unread} not read"
        ))?;
    }
    Ok(if unread > 0 { Outcome::Notable } else { Outcome::Clean })
}

/// The text of a file, or of stdin.
fn read(file: &Path, bytes_max: u64) -> Result<String, Failure> {
    let unread = |error: &std::io::Error| {
        Failure::environment(format!("could not read \"{}\"", file.display())).cause(error)
    };
    let mut bytes = Vec::new();
    let mut taken =
        |source: &mut dyn std::io::Read| source.take(bytes_max + 1).read_to_end(&mut bytes);
    let read = match file.as_os_str() == "-" {
        true => taken(&mut std::io::stdin().lock()),
        false => std::fs::File::open(file).and_then(|mut file| taken(&mut file)),
    };
    read.map_err(|error| unread(&error))?;
    if bytes.len() as u64 > bytes_max {
        let name = file.display();
        return Err(Failure::usage(format!("\"{name}\" is larger than {bytes_max} bytes")));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
