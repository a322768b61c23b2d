//! Accuracy at 1, 3 and 5, with what random choice would reach.

use std::collections::BTreeSet;
use std::time::Duration;

use halfopen_model::answer::Share;

use super::ask::Asked;
use super::labels::{Case, Kind, Set};
use super::quiet::Window;
use super::scramble::Names;

/// Depths at which accuracy is measured.
pub(super) const DEPTHS: [usize; 3] = [1, 3, 5];
/// Quiet windows with a verdict that are listed.
const LISTED_MAX: usize = 20;

/// What came out of a set.
pub(super) struct SetResult {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) quiet: Quiet,
}

/// Windows in which nothing happened.
#[derive(Default)]
pub(super) struct Quiet {
    pub(super) windows: u64,
    pub(super) verdicts: u64,
    /// Windows that were left out: the incident that follows shows already.
    pub(super) begun: u64,
    /// The first of those with a verdict: window and what was named.
    pub(super) examples: Vec<String>,
    pub(super) took: Duration,
}

/// What came out of a case.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) case: String,
    pub(super) truth: Vec<String>,
    pub(super) ranking: Vec<String>,
    pub(super) candidates: usize,
    pub(super) is_verdict: bool,
    pub(super) took: Duration,
    /// Whether a decoy was named first.
    pub(super) is_decoy: bool,
    /// Rank of the true causes under other names, where it is another.
    pub(super) moved: Option<String>,
}

impl SetResult {
    pub(super) fn new(set: &Set) -> SetResult {
        let (name, outcomes) = (set.name.clone(), Vec::new());
        SetResult { name, kind: set.kind, outcomes, quiet: Quiet::default() }
    }

    /// Accuracy at a depth, summed over the cases: true causes among the first, of as many as
    /// there could be.
    pub(super) fn accuracy(&self, depth: usize) -> Share {
        let hits = self.outcomes.iter().map(|outcome| outcome.accuracy(depth)).sum();
        Share::new(hits, self.outcomes.len() as f64)
    }

    /// What choosing among the same candidates at random reaches, on average.
    pub(super) fn random(&self, depth: usize) -> f64 {
        let sum: f64 = self.outcomes.iter().map(|outcome| outcome.random(depth)).sum();
        sum / (self.outcomes.len().max(1)) as f64
    }

    /// Quiet windows without a verdict.
    pub(super) fn kept_quiet(&self) -> Share {
        let Quiet { windows, verdicts, .. } = self.quiet;
        Share::new((windows - verdicts) as f64, windows as f64)
    }

    /// Cases in which a cause was named for sure.
    pub(super) fn sure(&self) -> Share {
        let sure = self.outcomes.iter().filter(|outcome| outcome.is_verdict).count();
        Share::new(sure as f64, self.outcomes.len() as f64)
    }

    /// Cases in which a decoy was named first.
    pub(super) fn decoys(&self) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.is_decoy).count()
    }

    /// Median and longest time of a case, in seconds.
    pub(super) fn seconds(&self) -> (f64, f64) {
        let mut all: Vec<f64> = self.outcomes.iter().map(|o| o.took.as_secs_f64()).collect();
        all.sort_by(f64::total_cmp);
        let last = all.last().copied().unwrap_or_default();
        (all.get(all.len() / 2).copied().unwrap_or_default(), last)
    }
}

impl Outcome {
    pub(super) fn of(case: &Case, asked: Asked) -> Outcome {
        let is_decoy = asked.ranking.first().is_some_and(|first| case.decoys.contains(first));
        Outcome {
            case: case.name.clone(),
            truth: case.truth.clone(),
            candidates: asked.candidates.len(),
            ranking: asked.ranking,
            is_verdict: asked.is_verdict,
            took: asked.took,
            is_decoy,
            moved: None,
        }
    }

    /// True causes among the first, of as many as there could be: a case with two causes is
    /// whole at depth 3 only when both are there.
    fn accuracy(&self, depth: usize) -> f64 {
        let first: BTreeSet<&String> = self.ranking.iter().take(depth).collect();
        let hits = self.truth.iter().filter(|cause| first.contains(cause)).count();
        hits as f64 / depth.min(self.truth.len()).max(1) as f64
    }

    fn random(&self, depth: usize) -> f64 {
        let (candidates, causes) = (self.candidates.max(1) as f64, self.truth.len() as f64);
        let hits = (depth as f64).min(candidates) * causes / candidates;
        (hits / (depth as f64).min(causes).max(1.0)).min(1.0)
    }

    /// Rank of each true cause, from 1.
    pub(super) fn ranks(&self) -> Vec<Option<usize>> {
        ranks(&self.ranking, &self.truth)
    }

    /// Notes where a true cause stands elsewhere under other names.
    pub(super) fn compare(&mut self, kind: Kind, names: &Names, truth: &[String], again: &Asked) {
        let renamed: Vec<String> = truth.iter().map(|name| names.candidate(kind, name)).collect();
        let (before, after) = (self.ranks(), ranks(&again.ranking, &renamed));
        if before != after {
            self.moved = Some(format!("{} became {}", show(&before), show(&after)));
        }
    }
}

fn ranks(ranking: &[String], truth: &[String]) -> Vec<Option<usize>> {
    let rank = |cause: &String| ranking.iter().position(|name| name == cause).map(|at| at + 1);
    truth.iter().map(rank).collect()
}

/// Ranks as a text; `-` for a cause that is not named.
pub(super) fn show(ranks: &[Option<usize>]) -> String {
    let texts = ranks.iter().map(|rank| rank.map_or("-".to_owned(), |rank| rank.to_string()));
    texts.collect::<Vec<_>>().join("+")
}

impl Quiet {
    /// Counts a window. One in which the incident that follows shows already is not quiet: real
    /// incidents flare up before somebody labels their worst minute.
    pub(super) fn add(&mut self, window: &Window, asked: &Asked) {
        let parts = |name: &String| name.split(" & ").map(str::to_owned).collect::<BTreeSet<_>>();
        let first = asked.ranking.first().map(parts).unwrap_or_default();
        let is_same = |cause: &String| !parts(cause).is_disjoint(&first);
        self.took += asked.took;
        if asked.is_verdict && window.truth.iter().any(is_same) {
            self.begun += 1;
            return;
        }
        self.windows += 1;
        if asked.is_verdict {
            self.verdicts += 1;
            if self.examples.len() < LISTED_MAX {
                let first = asked.ranking.first().map_or("", String::as_str);
                let range = window.question.window.range();
                self.examples.push(format!("{}..{}: {first}", range.from, range.to));
            }
        }
    }
}
