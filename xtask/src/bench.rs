//! `cargo xtask bench`: each promised figure beside its target, and beside a peer or a baseline
//! that is measured in the same run.
//!
//! Machines are noisy: figures are medians of several rounds, and a figure that depends on the
//! disk stands beside the disk's own.

use std::time::Duration;

mod client;
mod decode;
mod difference;
mod fsync;
mod lookup;
mod merge;
mod planning;
mod quantiles;
mod replay;
mod resilience;
mod server;
mod size;
mod why;

/// What is measured here allocates as the product does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One measured figure.
struct Figure {
    /// What was measured.
    what: String,
    /// The figure with its unit.
    measured: String,
    /// What it should be.
    target: String,
    /// Whether it is.
    reached: bool,
    /// The peer or baseline of the same run.
    beside: String,
}

type Bench = fn() -> Result<Vec<Figure>, String>;

const BENCHES: [(&str, Bench); 15] = [
    ("decode", decode::decode),
    ("grpc", server::throughput),
    ("guarded", server::guarded),
    ("latency", server::latency),
    ("start", server::start),
    ("memory", server::memory),
    ("resilience", resilience::figures),
    ("lookup", lookup::lookup),
    ("size", size::size),
    ("merge", merge::merge),
    ("why", why::why),
    ("replay", replay::replay),
    ("planning", planning::planning),
    ("quantiles", quantiles::quantiles),
    ("difference", difference::difference),
];

/// Runs the benches whose names are given, or all of them.
pub(crate) fn run(names: &[String]) -> Result<String, String> {
    // `--spans N` is for the benches of lookups, quantiles and the difference: they read it.
    let is_option = |at: usize| names[at] == lookup::SPANS_FLAG;
    let is_name = |at: &usize| !is_option(*at) && (*at == 0 || !is_option(*at - 1));
    let names: Vec<String> = (0..names.len()).filter(is_name).map(|at| names[at].clone()).collect();
    let known = || BENCHES.map(|(name, _)| name).join(", ");
    if let Some(name) = names.iter().find(|name| BENCHES.iter().all(|(known, _)| known != name)) {
        return Err(format!("there is no bench \"{name}\"; there are: {}", known()));
    }
    let profile = if cfg!(debug_assertions) { "dev (engine unoptimised)" } else { "release" };
    let mut lines = vec![format!("profile: {profile}, {} cores", cores())];
    lines.push("| measure | measured | target | reached | beside |".to_owned());
    lines.push("|---|---|---|---|---|".to_owned());
    for (name, bench) in BENCHES {
        if !names.is_empty() && !names.iter().any(|wanted| wanted == name) {
            continue;
        }
        for figure in bench().map_err(|error| format!("bench {name}: {error}"))? {
            let Figure { what, measured, target, reached, beside } = figure;
            let reached = if reached { "yes" } else { "no" };
            lines.push(format!("| {what} | {measured} | {target} | {reached} | {beside} |"));
        }
    }
    Ok(lines.join("\n"))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The value below which `share` of the sorted values lie.
fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn millis(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1e3)
}

fn thousands(count: f64) -> String {
    let digits = format!("{count:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
