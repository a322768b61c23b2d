//! The house's own tool: `cargo xtask VERB`.

use std::process::ExitCode;

mod bench;
mod eval;
mod schema;
mod tidy;
mod tree;

const USAGE: &str = "\
usage: cargo xtask VERB

  lint      the house rules: edges between crates, lengths, names, paths
  bench     measure every promised figure beside its target   [NAME ...] [--spans N]
  eval      how often `why` names the cause of labelled incidents   [--data DIR] [--set NAME]
            [--onset-shift 60s] [--scramble] [--quiet N] [--seed N] [--no-demos] [--json]
  schema    write docs/schema.md from the code
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let outcome = match arguments.next().as_deref() {
        Some("lint") => tidy::lint(),
        Some("bench") => bench::run(&arguments.collect::<Vec<_>>()),
        Some("eval") => eval::run(&arguments.collect::<Vec<_>>()),
        Some("schema") => schema::write(),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(said) => {
            tree::say(&said);
            ExitCode::SUCCESS
        }
        Err(trouble) => {
            tree::complain(&trouble);
            ExitCode::FAILURE
        }
    }
}
