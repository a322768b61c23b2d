//! Folds attributes that hold for the same requests into one: pod, instance and host of one
//! machine are one fact, and the most telling name says it.

use super::Explanation;

/// Sets are the same when no more than this share of what is in either of them is not in both: a
/// few spans more or less (a retry, a lost span) make no second fact...
const ODD_SHARE_MAX: f64 = 0.02;

/// ...nor does one request, where there are at least so many: a share of few is less than one.
const ODD_ONE_MIN: u64 = 10;

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
    let common = a.set.common(&b.set);
    let either = a.set.count() + b.set.count() - common;
    is_same(common, either)
}

/// Whether two sets are one fact, by how many are in both and in either.
fn is_same(common: u64, either: u64) -> bool {
    let odd = either - common;
    odd as f64 <= ODD_SHARE_MAX * either as f64 || (odd == 1 && either >= ODD_ONE_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bits::Bits;
    use crate::difference::significance::Sides;

    /// A value that these of 400 requests carry; the first 100 of them fail.
    fn value(item: usize, members: impl IntoIterator<Item = usize>) -> Explanation {
        let set = Bits::of(400, members);
        let failing = set.common(&Bits::of(400, 0..100));
        let sides = Sides {
            failing,
            failing_total: 100,
            healthy: set.count() - failing,
            healthy_total: 300,
        };
        let (parts, same_as) = (vec![item], Vec::new());
        let near = sides;
        Explanation {
            parts,
            same_as,
            set,
            sides,
            near,
            p_value: 0.0,
            follows: false,
            implied: false,
        }
    }

    #[test]
    fn pod_host_and_instance_are_one_fact_though_a_few_rows_are_missing() {
        // Host, pod without its last request, instance of two more, another pod.
        let all = vec![
            value(0, 0..100),
            value(1, 0..99),
            value(2, 0..102),
            value(3, (0..100).filter(|n| n % 20 != 0)),
        ];
        let folded = fold(all, &|item| std::cmp::Reverse(item));
        let told: Vec<_> = folded.iter().map(|e| (e.parts[0], e.same_as.clone())).collect();
        // The one with the lowest rank speaks for the three; five in a hundred are another fact.
        assert_eq!(told, [(2, vec![1, 0]), (3, vec![])]);
    }

    #[test]
    fn one_request_of_ten_may_lack_it_and_one_of_nine_may_not() {
        assert!(is_same(9, 10) && is_same(98, 100) && is_same(49, 50) && is_same(3, 3));
        assert!(!is_same(8, 9) && !is_same(97, 100) && !is_same(48, 50) && !is_same(0, 1));
    }
}
