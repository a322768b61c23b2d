//! When requests began to fail: the change point of the failing rate.
//!
//! Requests in order of time are a row of yes and no; the most probable split into two segments
//! of one rate each is found exactly, in one pass. Its significance comes from the limit law of
//! the largest likelihood ratio (E. Gombay and L. Horváth, "On the rate of approximations for
//! maximum likelihood tests in change-point models", J. Multivariate Analysis 56, 1996), so no
//! permutation is needed; the interval from the law of the likelihood ratio around a change
//! point, P(LR <= x) = (1 - exp(-x/2))^2 (B. E. Hansen, Econometrica 68, 2000; the same limit as
//! Y.-C. Yao, Annals of Statistics 15, 1987).

/// A larger chance than this that nothing changed, and there is no onset: a wrong onset misleads
/// everything that follows, a missing one only costs precision.
const P_VALUE_MAX: f64 = 1e-3;

/// The 95 % point of the law of the likelihood ratio around a change point (Hansen, table I).
const RATIO_95: f64 = 7.35;

/// The rate must at least double: a smaller rise is the mix of requests, not an event.
const RISE_MIN: f64 = 2.0;

/// Failing requests after the onset that are needed to speak of one.
const FAILING_MIN: u64 = 5;

/// A burst shorter than this share of the window is a spike and not the beginning of anything.
const SPIKE_SHARE_MAX: f64 = 0.01;

/// Requests, by time: when, and whether it failed.
pub(crate) type Outcomes = [(i64, bool)];

/// A change point, by numbers of requests in order of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Change {
    /// Number of the first request after it.
    pub(crate) first: usize,
    /// First and last place where it may as well be.
    pub(crate) earliest: usize,
    pub(crate) latest: usize,
}

/// What became of the failing rate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Course {
    /// No change that stands out.
    Steady,
    /// It rose and fell again within a moment.
    Spike {
        /// Number of the first request in it.
        first: usize,
        /// Number of the first request after it.
        end: usize,
    },
    /// It rose; perhaps it fell again.
    Rose {
        /// The rise.
        rise: Change,
        /// Number of the first request after the fall.
        end: Option<usize>,
    },
}

/// Finds the course of the failing rate over `window_ns`.
pub(crate) fn course(outcomes: &Outcomes, window_ns: i64) -> Course {
    let risen = change(outcomes, 0, outcomes.len(), Direction::Up);
    let gain = risen.map_or(0.0, |(_, gain)| gain);
    let penalty = 2.0 * (outcomes.len().max(2) as f64).ln();
    let (rise, end) = match (burst(outcomes), risen) {
        // A stretch with two ends must explain more than one with one end: each costs ln n.
        (Some((first, end, more)), _) if more > gain + penalty => {
            let rise = change(outcomes, 0, end, Direction::Up);
            let rough = Change { first, earliest: first, latest: first };
            (rise.map_or(rough, |(rise, _)| rise), Some(end))
        }
        (_, Some((rise, _))) => {
            let fall = change(outcomes, rise.first, outcomes.len(), Direction::Down);
            (rise, fall.map(|(fall, _)| fall.first))
        }
        _ => return Course::Steady,
    };
    let failing = outcomes[rise.first..end.unwrap_or(outcomes.len())].iter().filter(|o| o.1);
    if (failing.count() as u64) < FAILING_MIN {
        return Course::Steady;
    }
    match end {
        Some(end) if is_spike(outcomes, rise.first, end, window_ns) => {
            Course::Spike { first: rise.first, end }
        }
        end => Course::Rose { rise, end },
    }
}

/// First guesses of how much more often requests fail inside a burst.
const BURST_RATIOS: [f64; 4] = [3.0, 10.0, 30.0, 100.0];

/// Rounds after which a burst no longer moves.
const BURST_ROUNDS: usize = 6;

/// The most probable stretch with a higher rate than all around it, with its likelihood ratio
/// (the epidemic alternative of B. Levin and J. Kline, Statistics in Medicine 4, 1985). For two
/// given rates it is the stretch with the largest sum of log ratios, found in one pass (J.
/// Bentley, CACM 27, 1984); the rates are then taken from the stretch, until nothing moves.
fn burst(outcomes: &Outcomes) -> Option<(usize, usize, f64)> {
    let failed = outcomes.iter().enumerate().filter(|(_, outcome)| outcome.1);
    let failed: Vec<usize> = failed.map(|(index, _)| index).collect();
    let (total, failing) = (outcomes.len(), failed.len());
    if failing < FAILING_MIN as usize || failing == total {
        return None;
    }
    let whole = likelihood(failing, total);
    let overall = rate(failing, total);
    let mut best: Option<(usize, usize, f64)> = None;
    for ratio in BURST_RATIOS {
        let (mut outside, mut inside) = (overall / 2.0, (overall * ratio).min(0.99));
        let mut last = (0, 0);
        for _ in 0..BURST_ROUNDS {
            if inside <= outside {
                break;
            }
            let (first, end) = densest(&failed, outside, inside);
            if (first, end) == last || first == end {
                break;
            }
            last = (first, end);
            let below = |end: usize| failed.partition_point(|index| *index < end);
            let within = below(end) - below(first);
            let around = (failing - within, total - (end - first));
            inside = (rate(within, end - first)).clamp(1e-9, 1.0 - 1e-9);
            outside = rate(around.0, around.1).clamp(1e-9, 1.0 - 1e-9);
            let split = likelihood(within, end - first) + likelihood(around.0, around.1);
            let gain = 2.0 * (split - whole);
            let rises = inside >= outside * RISE_MIN && end < total;
            if rises && best.is_none_or(|(_, _, known)| gain > known) {
                best = Some((first, end, gain));
            }
        }
    }
    best.filter(|(_, _, gain)| p_value(*gain, total) * total as f64 <= P_VALUE_MAX)
}

/// The stretch with the largest log likelihood ratio of rate `inside` against a lower rate
/// `outside`, by the numbers of `failed` requests: it begins and ends with one of them.
fn densest(failed: &[usize], outside: f64, inside: f64) -> (usize, usize) {
    let (of_failed, of_fine) = ((inside / outside).ln(), ((1.0 - inside) / (1.0 - outside)).ln());
    let (mut sum, mut begin, mut next, mut best) = (0.0_f64, 0, 0, (0.0, 0, 0));
    for index in failed {
        sum += of_fine * (index - next) as f64;
        if sum <= 0.0 {
            (sum, begin) = (0.0, *index);
        }
        sum += of_failed;
        next = index + 1;
        if sum > best.0 {
            best = (sum, begin, next);
        }
    }
    (best.1, best.2)
}

fn is_spike(outcomes: &Outcomes, first: usize, end: usize, window_ns: i64) -> bool {
    let length_ns = outcomes[end - 1].0.saturating_sub(outcomes[first].0);
    (length_ns as f64) < SPIKE_SHARE_MAX * window_ns as f64
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

/// The most probable change in this direction among requests `from..to`, where it stands out.
fn change(
    outcomes: &Outcomes,
    from: usize,
    to: usize,
    direction: Direction,
) -> Option<(Change, f64)> {
    let part = &outcomes[from..to];
    let (total, failing) = (part.len(), part.iter().filter(|outcome| outcome.1).count());
    if total < 4 || failing == 0 || failing == total {
        return None;
    }
    let whole = likelihood(failing, total);
    let (mut gains, mut before) = (Vec::with_capacity(total), 0);
    for (index, outcome) in part.iter().enumerate() {
        let rates = (rate(before, index), rate(failing - before, total - index));
        let fits = match direction {
            Direction::Up => rates.1 >= rates.0 * RISE_MIN && rates.1 > 0.0,
            Direction::Down => rates.0 >= rates.1 * RISE_MIN && rates.0 > 0.0,
        };
        let split = || likelihood(before, index) + likelihood(failing - before, total - index);
        gains.push(if fits && index > 0 { (split() - whole) * 2.0 } else { 0.0 });
        before += usize::from(outcome.1);
    }
    let best = (1..total).max_by(|a, b| gains[*a].total_cmp(&gains[*b]).then(b.cmp(a)))?;
    if p_value(gains[best], total) > P_VALUE_MAX {
        return None;
    }
    let near = |index: &usize| gains[best] - gains[*index] <= RATIO_95 && gains[*index] > 0.0;
    let earliest = (1..=best).find(near).unwrap_or(best);
    let latest = (best..total).rev().find(near).unwrap_or(best);
    let change = Change { first: from + best, earliest: from + earliest, latest: from + latest };
    Some((change, gains[best]))
}

fn rate(count: usize, total: usize) -> f64 {
    if total == 0 { 0.0 } else { count as f64 / total as f64 }
}

/// The largest log likelihood of `count` failing among `total`.
fn likelihood(count: usize, total: usize) -> f64 {
    let part = |count: usize| {
        if count == 0 { 0.0 } else { count as f64 * (count as f64 / total as f64).ln() }
    };
    part(count) + part(total - count)
}

/// The chance of a likelihood ratio this large somewhere among `total` requests of one rate.
fn p_value(ratio: f64, total: usize) -> f64 {
    let n = total as f64;
    let x = ratio.max(0.0).sqrt();
    let trim = (n.ln().powf(1.5) / n).min(0.25);
    let span = ((1.0 - trim).powi(2) / trim.powi(2)).ln();
    if x < 1.0 {
        return 1.0;
    }
    let tail = x * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    (tail * (span - span / (x * x) + 4.0 / (x * x))).clamp(0.0, 1.0)
}

/// The moment of a change and how far it may lie from there: between the last request before and
/// the first after it, out to the ends of its interval.
pub(crate) fn moment(outcomes: &Outcomes, change: &Change) -> (i64, i64) {
    let at = outcomes[change.first].0;
    let early = outcomes[change.earliest.saturating_sub(1)].0;
    let late = outcomes[change.latest].0;
    (at, at.saturating_sub(early).max(late.saturating_sub(at)))
}

#[cfg(test)]
#[path = "../tests/unit/onset.rs"]
mod tests;
