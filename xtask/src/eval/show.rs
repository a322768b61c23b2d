//! The table for people and the document for scripts.

use halfopen_model::answer::Share;
use serde_json::{Value, json};

use super::labels::Kind;
use super::measure::{DEPTHS, Outcome, SetResult, show};
use super::options::Options;

/// One line for each set, and below it the cases in which the cause was not first.
pub(super) fn table(options: &Options, results: &[SetResult]) -> String {
    let mut lines = Vec::new();
    if options.onset_shift_ns != 0 {
        let seconds = options.onset_shift_ns as f64 / 1e9;
        let what = if options.end_stays { "the begin of the time" } else { "the time" };
        lines.push(format!("{what} that is asked about is wrong by {seconds} s"));
    }
    lines.push(
        "| set | cases | AC@1 | AC@3 | AC@5 | random | quiet windows kept quiet | s per case \
         (median, longest) |"
            .to_owned(),
    );
    lines.push("|---|---|---|---|---|---|---|---|".to_owned());
    lines.extend(results.iter().map(row));
    for result in results {
        lines.push(format!("\n{}: first in {}", result.name, share(result.accuracy(1))));
        lines.push(format!("  named for sure in {}", share(result.sure())));
        if result.quiet.begun > 0 {
            let begun = result.quiet.begun;
            lines.push(format!(
                "  {begun} quiet windows left out: the labelled cause shows already"
            ));
        }
        if result.kind == Kind::Commit {
            lines.push(format!("  decoys named first: {}", result.decoys()));
        }
        let missed = |outcome: &&Outcome| outcome.ranks().iter().all(|rank| *rank != Some(1));
        lines.extend(result.outcomes.iter().filter(missed).map(missed_line));
        if options.scramble {
            lines.extend(moved(result));
        }
        let quiet = result.quiet.examples.iter();
        lines.extend(quiet.map(|example| format!("  not kept quiet: {example}")));
    }
    lines.join("\n")
}

fn row(result: &SetResult) -> String {
    let [one, three, five] = DEPTHS.map(|depth| share(result.accuracy(depth)));
    let random = DEPTHS.map(|depth| format!("{:.3}", result.random(depth))).join(" ");
    let quiet = match result.quiet.windows {
        0 => "-".to_owned(),
        _ => share(result.kept_quiet()),
    };
    let (name, cases, (median, longest)) = (&result.name, result.outcomes.len(), result.seconds());
    format!(
        "| {name} | {cases} | {one} | {three} | {five} | {random} | {quiet} | {median:.3}, \
         {longest:.3} |"
    )
}

/// `.674 [.525, .795] (29 of 43)`
fn share(share: Share) -> String {
    let (low, high) = share.interval();
    let (count, total) = (share.count, share.total);
    format!("{:.3} [{low:.3}, {high:.3}] ({count} of {total})", share.ratio())
}

fn missed_line(outcome: &Outcome) -> String {
    let first: Vec<&str> = outcome.ranking.iter().take(3).map(String::as_str).collect();
    let ranks = show(&outcome.ranks());
    format!("  {}: {} at {ranks}; first: {}", outcome.case, outcome.truth.join(", "), {
        if first.is_empty() { "nothing".to_owned() } else { first.join(", ") }
    })
}

fn moved(result: &SetResult) -> Vec<String> {
    let moved = result.outcomes.iter().filter_map(|outcome| {
        outcome.moved.as_ref().map(|moved| format!("  scrambled, {}: rank {moved}", outcome.case))
    });
    let moved: Vec<String> = moved.collect();
    match moved.is_empty() {
        true => vec!["  scrambled: no rank changed".to_owned()],
        false => moved,
    }
}

/// All of it as one document.
pub(super) fn json(options: &Options, results: &[SetResult]) -> String {
    let document = json!({
        "v": 1,
        "onset_shift_ns": options.onset_shift_ns,
        "end_stays": options.end_stays,
        "scramble": options.scramble,
        "seed": options.seed,
        "sets": results.iter().map(set_json).collect::<Vec<_>>(),
    });
    format!("{document:#}")
}

fn set_json(result: &SetResult) -> Value {
    let share = |share: Share| {
        let (low, high) = share.interval();
        json!({
            "count": share.count, "total": share.total, "ratio": share.ratio(),
            "interval": [low, high],
        })
    };
    let accuracy = DEPTHS.map(|depth| share(result.accuracy(depth)));
    let (median, longest) = result.seconds();
    json!({
        "set": result.name,
        "at": DEPTHS,
        "accuracy": accuracy,
        "random": DEPTHS.map(|depth| result.random(depth)),
        "sure": share(result.sure()),
        "decoys": result.decoys(),
        "quiet": { "kept": share(result.kept_quiet()), "not_kept": result.quiet.examples,
                   "begun": result.quiet.begun, "seconds": result.quiet.took.as_secs_f64() },
        "seconds": { "median": median, "longest": longest },
        "cases": result.outcomes.iter().map(case_json).collect::<Vec<_>>(),
    })
}

fn case_json(outcome: &Outcome) -> Value {
    json!({
        "case": outcome.case,
        "truth": outcome.truth,
        "ranks": outcome.ranks(),
        "ranking": outcome.ranking,
        "candidates": outcome.candidates,
        "verdict": outcome.is_verdict,
        "seconds": outcome.took.as_secs_f64(),
        "moved": outcome.moved,
    })
}
