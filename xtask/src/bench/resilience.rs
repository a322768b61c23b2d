//! The figures of `lib/halfopen-resilience`. Its own benches measure them beside bare tower and
//! tower-resilience, in the profile for benches; here their tables become ours.

use std::process::Command;

use super::Figure;
use crate::tree;

/// What runs: the happy path by the clock, then several hosts on a paused one.
const BENCHES: [&[&str]; 2] =
    [&["--bench", "happy_path"], &["--features", "paused-clock", "--bench", "simulated"]];

/// Every figure of the library that has a target.
pub(super) fn figures() -> Result<Vec<Figure>, String> {
    let mut figures = Vec::new();
    for arguments in BENCHES {
        let rows = figures_in(&table(arguments)?);
        if rows.is_empty() {
            return Err(format!("cargo bench {} printed no figure", arguments.join(" ")));
        }
        figures.extend(rows);
    }
    Ok(figures)
}

fn table(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(tree::root())
        .args(["bench", "--quiet", "--package", "halfopen-resilience"])
        .args(arguments)
        .output()
        .map_err(|error| format!("could not start cargo: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The rows that have a target: `| what | measured | target | yes or no | beside |`.
fn figures_in(table: &str) -> Vec<Figure> {
    let rows = table.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
        let [what, measured, target, reached @ ("yes" | "no"), beside, ""] = cells[..] else {
            return None;
        };
        let [what, measured, target, beside] = [what, measured, target, beside].map(str::to_owned);
        Some(Figure { what, measured, target, reached: reached == "yes", beside })
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_with_a_target_are_figures() {
        let table = "\
            | measure | measured | target | reached | beside |\n\
            |---|---|---|---|---|\n\
            | a call | 290 ns | <= 300 ns | yes | bare 2 ns |\n\
            | in all | 900 ns | - | - | |\n\
            | encode | 61 ns | <= 60 ns | no |  |\n\
            warning: something else | with | bars | yes | in it |\n";
        let shown: Vec<_> = figures_in(table)
            .into_iter()
            .map(|figure| format!("{} {} {}", figure.what, figure.measured, figure.reached))
            .collect();
        assert_eq!(shown, ["a call 290 ns true", "encode 61 ns false"]);
    }
}
