//! `halfopen demo`: a small shop of real services fails in a known way, and `why` is asked.
//!
//! Everything that it starts ends with it: services, server, load and, unless `--data` names
//! one, the data folder.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use halfopen_lab::{LoadReport, SCENARIOS, Scenario};

use crate::{Failure, Outcome, Session};

mod ask;
mod check;
mod show;
mod stage;

use super::serve::Signals;
use check::Check;
use stage::Stage;

const EXAMPLES: &str = "\
Examples:
  halfopen demo                          what can be shown
  halfopen demo gift-card                a new version fails, for some orders only
  halfopen demo cascading-timeout        callers give up before their callees
  halfopen demo gift-card --seed 42      another victim, other words, another moment
  halfopen demo gift-card --keep         leave all of it running, to look around";

/// The run that is shown when no other is asked for. Any seed will do.
const SEED_DEFAULT: u64 = 16_666;
/// How often the progress of a run is told.
const PROGRESS_S: u64 = 5;

/// Flags of `demo`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct DemoArgs {
    /// What goes wrong; without it, the list of what can
    #[arg(value_parser = PossibleValuesParser::new(SCENARIOS.iter().map(|s| s.name)))]
    pub scenario: Option<String>,

    /// Chooses victim, words, customers and moment; the same seed makes the same run
    #[arg(long, value_name = "N", default_value_t = SEED_DEFAULT)]
    pub seed: u64,

    /// Leave server, shop and load running afterwards, until Ctrl-C
    #[arg(long)]
    pub keep: bool,

    /// Keep the data in this folder [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Runs a scenario, or lists them.
pub(crate) async fn run(args: DemoArgs, session: &mut Session) -> Result<Outcome, Failure> {
    let Some(scenario) = args.scenario.as_deref().and_then(Scenario::named) else {
        show::list(session)?;
        return Ok(Outcome::Clean);
    };
    // Asked for before anything runs: from then on a signal means an orderly end.
    let mut signals = Signals::new()?;
    let mut stage = Stage::set(scenario, args.seed, args.data.as_deref(), session).await?;
    show::opening(&stage, session);
    let performed = tokio::select! {
        performed = perform(&mut stage, args.keep, session) => performed.map(Some),
        _ = signals.next() => Ok(None),
    };
    if args.keep && matches!(performed, Ok(Some(_))) {
        show::invitation(&stage, session);
        signals.next().await;
    }
    show::warnings(&stage.clear().await, session);
    match performed? {
        Some(check) if check.is_named() => Ok(Outcome::Clean),
        Some(_) | None => Ok(Outcome::Notable),
    }
}

/// Lets the shop run as planned, asks `why`, and compares the answer with the truth.
async fn perform(stage: &mut Stage, keep: bool, session: &mut Session) -> Result<Check, Failure> {
    let mut told = LoadReport::default();
    stage.open();
    loop {
        tokio::select! {
            () = stage.planned_end() => break,
            () = tokio::time::sleep(Duration::from_secs(PROGRESS_S)) => {
                let report = stage.report();
                show::progress(&told, &report, session);
                told = report;
            }
        }
    }
    if !keep {
        stage.close().await;
    }
    let report = stage.report();
    show::progress(&told, &report, session);
    show::warnings(&report.trouble, session);
    show::warnings(&stage.flush().await, session);
    let question = stage.question(session.clock.now());
    show::question(&question, session);
    let answer = question.ask(session).await?;
    let truth = stage.truth();
    let check = Check::new(truth, check::began(&report.rolled, truth), &answer);
    show::result(stage, &report, &answer, &check, session)?;
    Ok(check)
}
