//! `cargo xtask eval`: how often `why` names the cause of labelled incidents first.
//!
//! A folder of sets is read as people would: files through the normal import into a store, the
//! question through the desk, which also stands behind `halfopen why`. Labels are read here and
//! nowhere else; nothing below this module knows that there are sets.
//!
//! | module | holds |
//! |---|---|
//! | `options` | what was asked for |
//! | `labels`, `forms` | sets, cases, their questions and true causes |
//! | `evidence` | the import into stores, and who could be the cause |
//! | `demos`, `naming` | recorded runs of the demos as sets, and what a cause has to name there |
//! | `ask` | a question at the desk, and the answer as a ranking |
//! | `quiet` | windows in which nothing happened |
//! | `scramble` | the same evidence under other names, in another order, at another time |
//! | `measure`, `show` | accuracy at 1, 3, 5 with intervals; the table and the JSON |

use std::path::{Path, PathBuf};

mod ask;
mod chance;
mod demos;
mod evidence;
mod forms;
mod labels;
mod measure;
mod naming;
mod options;
mod quiet;
mod scramble;
mod show;
#[cfg(test)]
mod tests;

use evidence::Stored;
use labels::Set;
use measure::{Outcome, SetResult};
use options::Options;

/// Where the data lies when nothing is said: beside the checkout.
const DATA_DEFAULT: &str = "../shared/data/rca";

/// Reads the arguments, evaluates, and says what came out.
pub(crate) fn run(arguments: &[String]) -> Result<String, String> {
    let options = Options::read(arguments)?;
    let mut folders = Vec::new();
    if options.wants_data() {
        folders.push(data(&options)?);
    }
    if options.wants_demos() {
        folders.push(demos::recorded(options.set.as_deref())?);
    }
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let mut results = Vec::new();
    for folder in folders {
        results.extend(runtime.block_on(evaluate(&folder, &options))?);
    }
    Ok(if options.json { show::json(&options, &results) } else { show::table(&options, &results) })
}

fn data(options: &Options) -> Result<PathBuf, String> {
    let folder = match &options.data {
        Some(folder) => folder.clone(),
        None => crate::tree::root().join(DATA_DEFAULT),
    };
    if folder.is_dir() {
        return Ok(folder);
    }
    Err(format!(
        "there is no folder \"{}\" with labelled incidents\n\
         hint: name one with --data DIR; each folder in it holds labels.json and its cases",
        folder.display()
    ))
}

/// Every set of the folder, or the one that was asked for.
async fn evaluate(folder: &Path, options: &Options) -> Result<Vec<SetResult>, String> {
    let sets = labels::sets(folder, options.set.as_deref())?;
    let mut results = Vec::new();
    for set in sets {
        crate::tree::complain(&format!("{}: {} cases", set.name, set.cases.len()));
        results.push(one_set(&set, options).await?);
    }
    Ok(results)
}

async fn one_set(set: &Set, options: &Options) -> Result<SetResult, String> {
    let mut result = SetResult::new(set);
    let quiet_per_store = quiet::share(options.quiet, set.evidence.len());
    for (number, evidence) in set.evidence.iter().enumerate() {
        let stored = Stored::import(set, evidence).await?;
        let scrambled = match options.scramble {
            true => Some(scramble::scrambled(&stored, options.seed).await?),
            false => None,
        };
        for case in set.cases.iter().filter(|case| case.evidence == number) {
            let question = case.question.placed(&stored)?;
            let question = question.shifted(options.onset_shift_ns, options.end_stays);
            let asked = ask::ask(&stored, set.kind, &question, &case.truth).await?;
            let mut outcome = Outcome::of(case, asked);
            if let Some((other, names)) = &scrambled {
                let (question, truth) = names.rename(set.kind, &question, &case.truth);
                let again = ask::ask(other, set.kind, &question, &truth).await?;
                outcome.compare(set.kind, names, &case.truth, &again);
            }
            result.outcomes.push(outcome);
        }
        let windows = quiet::windows(set, number, &stored, quiet_per_store(number), options.seed)?;
        for window in windows {
            let asked = ask::ask(&stored, set.kind, &window.question, &[]).await?;
            result.quiet.add(&window, &asked);
        }
        stored.close().await;
    }
    Ok(result)
}
