//! Folds attributes that hold for the same requests into one: pod, instance and host of one
//! machine are one fact, and the most telling name says it.

use super::Explanation;

/// Sets are the same when they share this much of what is in either of them: a few spans more
/// or less (a retry, a lost span) make no second fact.
const SAME_SHARE_MIN: f64 = 0.98;

/// Only so many of the best are compared with each other.
const COMPARED_MAX: usize = 256;

/// The facts, the best first, each under its most telling name.
pub(super) fn fold<R: Ord>(
    mut found: Vec<Explanation>,
    rank: &dyn Fn(usize) -> R,
) -> Vec<Explanation> {
    found.sort_by(|a, b| b.score().total_cmp(&a.score()).then(a.parts.cmp(&b.parts)));
    found.truncate(COMPARED_MAX);
    let mut groups: Vec<Vec<Explanation>> = Vec::new();
    for explanation in found {
        match groups.iter_mut().find(|group| same(&group[0], &explanation)) {
            Some(group) => group.push(explanation),
            None => groups.push(vec![explanation]),
        }
    }
    let fold_one = |mut group: Vec<Explanation>| {
        group.sort_by_cached_key(|e| (e.follows, rank(e.parts[0]), e.parts[0]));
        let others = group.iter().skip(1).map(|other| other.parts[0]).collect();
        let mut first = group.swap_remove(0);
        first.same_as = others;
        first
    };
    groups.into_iter().map(fold_one).collect()
}

fn same(a: &Explanation, b: &Explanation) -> bool {
    let common = a.set.common(&b.set) as f64;
    let either = (a.set.count() + b.set.count()) as f64 - common;
    common >= SAME_SHARE_MIN * either
}
