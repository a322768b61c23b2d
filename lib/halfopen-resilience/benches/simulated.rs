//! Figures of several hosts on a paused clock, each beside its target.

#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "the hosts are those of the tests; figures are what this is for"
)]

#[path = "../tests/simulation/deadline.rs"]
mod deadline;
#[path = "../tests/simulation/herd.rs"]
mod herd;
#[path = "../tests/simulation/network.rs"]
mod network;
#[path = "../tests/simulation/retry_storm.rs"]
mod retry_storm;

use tower::{Layer, ServiceExt};

fn paused<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without IO can be built");
    runtime.block_on(work)
}

/// A row of the table.
fn report(what: &str, measured: &str, target: &str, reached: bool, beside: &str) {
    let reached = if reached { "yes" } else { "no" };
    println!("| {what} | {measured} | {target} | {reached} | {beside} |");
}

fn storm() {
    let (network, all) = retry_storm::protected(3);
    let client = all[2].layer(network.client("b"));
    let _ = paused(client.oneshot(network::get("/")));
    let calls = network.arrived("leaf");
    let network = paused(retry_storm::unprotected());
    let without = network.arrived("leaf");
    let what = "calls at the leaf: 3 layers of 3 tries, all failing, budget 3";
    report(what, &calls.to_string(), "<= 4", calls <= 4, &format!("{without} without the budget"));
}

fn hang() {
    let (work, waited) = paused(deadline::protected());
    let (last_ms, waited_ms) = (work.last().as_millis(), waited.as_millis());
    let what = "last work of 4 hops, the leaf hangs, the client waits 1000 ms";
    let beside = format!("the client heard after {waited_ms} ms");
    report(what, &format!("{last_ms} ms"), "<= 1050 ms", last_ms <= 1_050, &beside);
}

fn herd() {
    let peak = |settings| {
        let (arrivals, closed) = paused(herd::outage(settings));
        (arrivals.peak_after(herd::OUTAGE.end), closed)
    };
    let ((with, closed), (without, _)) = (peak(herd::usual()), peak(herd::fixed()));
    let most = 2 * herd::STEADY_PER_SLOT;
    let what = "200 breakers recover: peak arrivals per 100 ms";
    let measured = format!("{with} ({closed} closed)");
    let beside = format!("{without} without jitter and ramp");
    report(what, &measured, &format!("<= {most}"), with <= most, &beside);
}

fn main() {
    println!("| measure | measured | target | reached | beside |");
    println!("|---|---|---|---|---|");
    storm();
    hang();
    herd();
}
