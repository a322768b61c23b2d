//! One trace beside others of the same kind: what is called there and not here, what takes
//! longer, what fails, which attributes differ.
//!
//! All traces are laid over each other as one tree of calls: a call is a service, a name and the
//! calls above it. Repetitions of a call below one caller are one call with a count.
//!
//! **Invariant:** a peer that failed is no measure of what is usual; it is counted apart.

mod attributes;
mod kind;
mod overlay;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;

use halfopen_model::answer::{
    ComparedCall, Gap, Oddity, Spread, TraceAnswer, TraceComparison, Twin,
};
use halfopen_model::request;
use halfopen_model::time::SECOND_NS;
use halfopen_model::{TimeRange, TraceId};

pub use kind::{RequestKind, candidates, kind};
use overlay::Overlay;

/// Peers are looked for so far around the request at first...
pub const NEAR_NS: i64 = 60 * SECOND_NS;

/// ...and so far where there are few.
pub const FAR_NS: i64 = 15 * 60 * SECOND_NS;

/// Of more peers the nearest in time are taken.
pub const PEERS_MAX: usize = 200;

/// With fewer peers than this it is not known what is usual.
pub const PEERS_MIN: usize = 5;

/// Calls of all traces together that are told apart.
const CALLS_MAX: usize = 5_000;

/// What at most this share of the peers shows is rare; what all but this share show is usual.
const RARE_SHARE: f64 = 0.05;

/// A call is slower when it takes so many times the median of the peers...
const SLOWER_TIMES: f64 = 1.5;

/// ...and adds this share of what the request takes longer, or of what it takes.
const SLOWER_SHARE: f64 = 0.1;

/// Calls that lose this share of the most lose the same.
const SAME_SHARE: f64 = 0.95;

/// Less than this is noise of schedulers and clocks.
const TINY_NS: i64 = 1_000_000;

/// Compares a trace with its peers, of which `named` stands beside it; without one the nearest
/// healthy peer does. `window` is where peers were looked for. `None` for a trace without spans.
pub fn compare(
    trace: &TraceAnswer,
    peers: &[TraceAnswer],
    named: Option<&TraceAnswer>,
    window: TimeRange,
) -> Option<TraceComparison> {
    let own = kind(trace)?;
    let alike = |peer: &&TraceAnswer| {
        peer.trace_id != trace.trace_id && kind(peer).is_some_and(|kind| kind.is_same(&own))
    };
    let (failed, mut healthy): (Vec<&TraceAnswer>, Vec<&TraceAnswer>) =
        peers.iter().filter(alike).partition(|peer| kind(peer).is_some_and(|kind| kind.failed));
    healthy.sort_by_key(|peer| (begin(peer).abs_diff(own.start.0), peer.trace_id));
    // Behind one name (`/*` of a gateway) may stand many kinds of requests: those that go to the
    // same place first are the better measure, where there are enough of them.
    let hop = kind::first_hop(trace);
    let same_way: Vec<&TraceAnswer> =
        healthy.iter().copied().filter(|peer| kind::first_hop(peer) == hop).collect();
    let another_way = match same_way.len() {
        same if same >= PEERS_MIN => std::mem::replace(&mut healthy, same_way).len() - same,
        _ => 0,
    };
    let slow = leave_out_slow(&mut healthy, own.took_ns);
    let twin = named.or(healthy.first().copied());
    let overlay = Overlay::lay(trace, twin, &healthy, CALLS_MAX);
    let peers_took = spread(healthy.iter().filter_map(|peer| kind(peer)?.took_ns).collect());
    let mut calls = overlay.calls(&healthy);
    let longer_ns = own.took_ns.zip(peers_took).map(|(took, usual)| (took, took - usual.median_ns));
    for call in &mut calls {
        call.odd = oddities(call, healthy.len() as u64, longer_ns.unwrap_or((0, 0)));
    }
    let mut comparison = TraceComparison {
        trace_id: trace.trace_id,
        service: own.service,
        operation: own.operation,
        start: own.start,
        took_ns: own.took_ns,
        failed: own.failed,
        twin: twin.and_then(|twin| {
            let request = kind(twin)?;
            let (start, took_ns) = (request.start, request.took_ns);
            Some(Twin { trace_id: twin.trace_id, start, took_ns, named: named.is_some() })
        }),
        peers: healthy.len() as u64,
        peers_failed: failed.len() as u64,
        peers_another_way: another_way as u64,
        peers_slow: slow as u64,
        window,
        peers_took,
        telling: telling(&calls, own.failed),
        calls,
        attributes: attributes::differing(trace, &healthy),
        gaps: gaps(trace, healthy.len(), overlay.cut),
        next: Vec::new(),
    };
    comparison.next = next(&comparison);
    Some(comparison)
}

/// Leaves peers out that are slow, where the request itself is; gives their number. They are no
/// measure of what is usual.
fn leave_out_slow(healthy: &mut Vec<&TraceAnswer>, took_ns: Option<i64>) -> usize {
    let took = |peer: &TraceAnswer| kind(peer).and_then(|kind| kind.took_ns);
    let mut times: Vec<i64> = healthy.iter().filter_map(|peer| took(peer)).collect();
    times.sort_unstable();
    let Some(usual) = request::usual(&times) else { return 0 };
    let is_slow = |took: Option<i64>| took.is_none_or(|took| took > usual.limit_ns);
    let all = healthy.len();
    if is_slow(took_ns) {
        healthy.retain(|peer| !is_slow(took(peer)));
    }
    all - healthy.len()
}

fn begin(trace: &TraceAnswer) -> i64 {
    kind(trace).map_or(trace.start, |kind| kind.start).0
}

/// Median and 95th percentile (nearest rank); `None` of nothing.
fn spread(mut times: Vec<i64>) -> Option<Spread> {
    times.sort_unstable();
    let at = |share: f64| times.get(((times.len() as f64 * share).ceil() as usize).max(1) - 1);
    Some(Spread { median_ns: *at(0.5)?, p95_ns: *at(0.95)? })
}

/// In what a call is unlike that of the peers. `took` is what the request took, and how much
/// longer than usual that is.
fn oddities(call: &ComparedCall, peers: u64, (took_ns, longer_ns): (i64, i64)) -> Vec<Oddity> {
    if peers == 0 {
        return Vec::new();
    }
    let share = |count: u64, of: u64| count as f64 / of.max(1) as f64;
    let Some(here) = call.here else {
        let usual = share(call.peers_with, peers) >= 1.0 - RARE_SHARE;
        return if usual { vec![Oddity::NotHere] } else { Vec::new() };
    };
    let mut odd = Vec::new();
    if share(call.peers_with, peers) <= RARE_SHARE {
        odd.push(Oddity::OnlyHere);
    } else if here.count >= call.peers_count.max(1) * 2 {
        odd.push(Oddity::More);
    } else if here.count * 2 <= call.peers_count {
        odd.push(Oddity::Fewer);
    }
    if here.failed > 0 && share(call.peers_failed, call.peers_with) <= RARE_SHARE {
        odd.push(Oddity::Fails);
    }
    if let Some((duration, own)) = call.peers_duration.zip(call.peers_self) {
        let by_ns = here.duration_ns - duration.median_ns;
        let floor_ns = (longer_ns.max(took_ns / 2) as f64 * SLOWER_SHARE) as i64;
        if here.duration_ns > duration.p95_ns
            && here.duration_ns as f64 >= duration.median_ns as f64 * SLOWER_TIMES
            && by_ns >= floor_ns.max(TINY_NS)
        {
            let own_ns = (here.self_ns - own.median_ns).max(0);
            odd.push(Oddity::Slower { by_ns, own_ns });
        }
    }
    odd
}

/// The call that tells most: of a request that failed the deepest call that fails only here;
/// else the one that loses most time by itself; else one that is missing or new.
fn telling(calls: &[ComparedCall], failed: bool) -> Option<usize> {
    let has = |index: &usize, odd: Oddity| calls[*index].odd.contains(&odd);
    let all = || 0..calls.len();
    let fails = all().filter(|index| has(index, Oddity::Fails));
    if let Some(deepest) = fails.max_by_key(|index| (calls[*index].depth, Reverse(*index)))
        && failed
    {
        return Some(deepest);
    }
    let lost = |index: &usize| {
        let call = &calls[*index];
        let new = call.odd.iter().find_map(|odd| match odd {
            Oddity::Slower { own_ns, .. } => Some(*own_ns),
            Oddity::OnlyHere | Oddity::More => call.here.map(|here| here.self_ns),
            _ => None,
        });
        new.unwrap_or(0)
    };
    let most = all().map(|index| lost(&index)).max().unwrap_or(0).max(TINY_NS);
    // A span that waits beside the call that it made loses the same time: the later one tells.
    let slowest = all().rfind(|index| lost(index) as f64 >= most as f64 * SAME_SHARE);
    let missing = || all().find(|index| has(index, Oddity::NotHere));
    let new = || all().find(|index| !calls[*index].odd.is_empty());
    slowest.or_else(missing).or_else(new)
}

fn gaps(trace: &TraceAnswer, peers: usize, cut: bool) -> Vec<Gap> {
    let mut gaps: Vec<Gap> = trace.gaps.clone();
    if peers < PEERS_MIN {
        let those = match peers {
            0 => "no healthy request".to_owned(),
            1 => "one healthy request".to_owned(),
            peers => format!("{peers} healthy requests"),
        };
        gaps.push(Gap::Other(format!("{those} of this kind near it: what is usual is not known")));
    }
    if cut {
        gaps.push(Gap::Other(format!(
            "more than {CALLS_MAX} different calls: the rest is left out"
        )));
    }
    gaps
}

fn next(comparison: &TraceComparison) -> Vec<String> {
    let trace = |trace_id: TraceId| format!("halfopen trace {trace_id}");
    let twin = comparison.twin.as_ref().map(|twin| trace(twin.trace_id));
    [trace(comparison.trace_id)].into_iter().chain(twin).collect()
}
