//! The verbs, and the flags that several of them share.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use halfopen_model::time::{parse_duration_ns, parse_time};
use halfopen_model::{TimeRange, UnixNanos};

use crate::Failure;
use crate::verb;

const EXAMPLES: &str = "\
Examples:
  halfopen serve                         take telemetry in on 127.0.0.1:4317 and :4318
  halfopen why --since 15m               why do requests fail?
  halfopen find req_8f2c41               everything about one id";

/// From a failing request to its cause in two minutes.
#[derive(Parser, Debug)]
#[command(name = "halfopen", version, before_help = EXAMPLES)]
pub struct Cli {
    /// Print JSON with a version field instead of text
    #[arg(long, global = true)]
    pub json: bool,

    /// Answer as if it were this time
    #[arg(long, global = true, value_name = "TIME", hide = true)]
    pub now: Option<String>,

    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Take telemetry in and answer questions
    Serve(verb::serve::ServeArgs),
    /// Read what other tools wrote: traces, logs, metrics, requests, changes
    Import(verb::import::ImportArgs),
    /// Ask in SQL
    Query(verb::query::QueryArgs),
    /// Everything about one id, over all services
    Find(verb::find::FindArgs),
    /// One trace as a waterfall
    Trace(verb::trace::TraceArgs),
    /// Why do requests fail?
    Why(verb::why::WhyArgs),
    /// Who calls whom, how often, how well and how fast
    Map(verb::map::MapArgs),
    /// What was changed, told by somebody or seen in telemetry
    Changes(Box<verb::changes::ChangesArgs>),
    /// The data folder: what it takes, whether it is whole, its rows for other tools
    Store(verb::store::StoreArgs),
    /// Make a token for a server that others reach
    Token(verb::token::TokenArgs),
    /// A small shop of real services fails, and `why` is asked
    Demo(verb::demo::DemoArgs),
}

/// Where answers come from.
#[derive(Args, Clone, Debug, Default)]
pub struct SourceArgs {
    /// Ask this running server [default: $HALFOPEN_URL, else http://127.0.0.1:7070]
    #[arg(long, value_name = "URL", conflicts_with = "data")]
    pub url: Option<String>,

    /// Open this data folder, which no server may hold
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Read the server's token from this file [default: $HALFOPEN_TOKEN]
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    pub token_file: Option<PathBuf>,

    /// Trust the certificates in this PEM file, for a server with an https URL [default:
    /// $HALFOPEN_CA, else the public authorities]
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    pub ca: Option<PathBuf>,
}

/// Which time to look at.
#[derive(Args, Clone, Debug)]
pub struct WindowArgs {
    /// From this long ago: 90s, 15m, 2h, 1d
    #[arg(long, value_name = "DURATION", conflicts_with = "from", allow_hyphen_values = true)]
    pub since: Option<String>,

    /// From this time: 2026-11-20T14:02:10Z, 14:02, 14:02:10 or 10m (ago), in UTC
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,

    /// Up to this time
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
}

impl WindowArgs {
    /// Whether nothing was said about the time.
    pub fn is_open(&self) -> bool {
        self.since.is_none() && self.from.is_none() && self.to.is_none()
    }

    /// The range that was asked for; `None` when nothing was said.
    ///
    /// # Errors
    /// When a time does not read, or the range runs backwards.
    pub fn range(&self, now: UnixNanos) -> Result<Option<TimeRange>, Failure> {
        let usage = |error: halfopen_model::time::TimeError| Failure::usage(error.to_string());
        if self.is_open() {
            return Ok(None);
        }
        let to = self.to.as_deref().map(|text| parse_time(text, now)).transpose().map_err(usage)?;
        let from = match (&self.since, &self.from) {
            (Some(since), _) => {
                now.shifted(parse_duration_ns(since).map_err(usage)?.saturating_neg())
            }
            (None, Some(from)) => parse_time(from, now).map_err(usage)?,
            (None, None) => {
                return Err(Failure::usage(
                    "--to says where the time ends, nothing where it begins",
                )
                .hint("add --from TIME, for example --from 1h"));
            }
        };
        let range = TimeRange { from, to: to.unwrap_or(now) };
        if range.to <= range.from {
            let fact = match range.to == range.from {
                true => format!("no time lies between the beginning and the end, {}", range.to),
                false => format!("the time ends ({}) before it begins ({})", range.to, range.from),
            };
            return Err(
                Failure::usage(fact).hint("times without a date are of the last 24 hours, in UTC")
            );
        }
        Ok(Some(range))
    }
}
