//! The command line of halfopen: one file per verb, what they print, and their exit codes.
//!
//! | module | holds |
//! |---|---|
//! | [`cli`] | the verbs and the flags that several of them share |
//! | [`verb`] | one file per verb: its flags, what it asks, how it shows the answer |
//! | [`source`] | where answers come from: a running server, or a folder that no server holds |
//! | `show` | how answers look on a terminal |
//! | [`terminal`] | data on stdout, everything else on stderr, colours, width |
//! | [`failure`] | what a user reads when a verb could not do its work |
//!
//! **Invariant:** data goes to stdout, everything else to stderr; both through [`Terminal`].
//!
//! **Invariant:** no analysis happens here. A verb asks, and shows the wire form of the answer,
//! so that a folder and a server give the same output.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use halfopen_model::Clock;

pub mod cli;
mod clock;
pub mod failure;
mod show;
pub mod source;
pub mod terminal;
pub mod verb;

pub use clock::SystemClock;
pub use failure::Failure;
pub use terminal::Terminal;

/// How a verb ended that did its work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Exit code 0.
    Clean,
    /// Exit code 1: `why` found something; `find` or `trace` found nothing.
    Notable,
}

impl Outcome {
    /// The exit code.
    pub fn exit_code(self) -> ExitCode {
        match self {
            Outcome::Clean => ExitCode::SUCCESS,
            Outcome::Notable => ExitCode::from(1),
        }
    }
}

/// What every verb is given.
pub struct Session {
    /// Where output goes.
    pub terminal: Terminal,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// The stack of a worker. Planning a long SQL expression recurses, and in a build without
/// optimisation each step takes several KiB.
const WORKER_STACK_BYTES: usize = 8 << 20;

/// Runs one command line, program name first.
///
/// # Errors
/// When the verb could not do its work; the failure knows what to print and its exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Result<Outcome, Failure> {
    let cli = match cli::Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return Failure::of_arguments(&error),
    };
    let clock: Arc<dyn Clock> = match &cli.now {
        Some(now) => Arc::new(clock::FixedClock::read(now)?),
        None => Arc::new(SystemClock),
    };
    let mut session = Session { terminal: Terminal::new(cli.json), clock };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(WORKER_STACK_BYTES)
        .build()
        .map_err(|error| Failure::environment("could not start the runtime").cause(&error))?;
    let outcome = runtime.block_on(verb::run(cli.verb, &mut session))?;
    session.terminal.flush()?;
    Ok(outcome)
}
