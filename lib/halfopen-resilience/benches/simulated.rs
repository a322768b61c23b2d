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

fn main() {
    let (network, all) = retry_storm::protected(3);
    let client = all[2].layer(network.client("b"));
    let _ = paused(client.oneshot(network::get("/")));
    let calls = network.arrived("leaf");
    println!("calls at the leaf, 3 x 3 retries, budget 3 | {calls} | <= 4 (27 without)");

    let (work, waited) = paused(deadline::protected());
    let last = work.last().as_millis();
    let waited = waited.as_millis();
    println!(
        "last work of 4 hops, deadline 1000 ms      | {last} ms (client {waited} ms) | <= 1050 ms"
    );

    let twice = 2 * herd::STEADY_PER_SLOT;
    for (name, settings) in [("with", herd::usual()), ("without", herd::fixed())] {
        let (arrivals, closed) = paused(herd::outage(settings));
        let peak = arrivals.peak_after(herd::OUTAGE.end);
        println!(
            "200 breakers recover, {name} jitter and ramp: peak per 100 ms, {closed} closed \
             | {peak} | <= {twice} with"
        );
    }
}
