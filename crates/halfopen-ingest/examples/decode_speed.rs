//! Prints how many spans one core decodes into Arrow batches in a second.

use std::time::{Duration, Instant};

use halfopen_ingest::{Arrival, Encoding, EvidenceBuilder, IngestSettings, Signal, sample};
use halfopen_model::UnixNanos;

/// How long is measured.
const MEASURE: Duration = Duration::from_secs(3);

/// Time on a processor so far, where the system tells: others may be at work on this machine.
fn cpu_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

#[expect(clippy::print_stdout, reason = "its output is what this example is for")]
fn main() {
    for (spans, requests_per_batch) in [(512, 1), (512, 16), (8_192, 1)] {
        let bodies: Vec<Vec<u8>> = (0..16).map(|seed| sample::traces(seed, spans, 12)).collect();
        let mut builder = EvidenceBuilder::new(IngestSettings::default());
        let arrival = Arrival { sender: "127.0.0.1:9", at: UnixNanos(1) };
        let (mut decoded, mut batches) = (0_u64, 0);
        let started = Instant::now();
        let cpu_before = cpu_time();
        while started.elapsed() < MEASURE {
            for body in bodies.iter().cycle().take(requests_per_batch) {
                let outcome = builder.decode(Signal::Traces, Encoding::Protobuf, body, &arrival);
                decoded += outcome.accepted;
            }
            batches += builder.finish().len();
        }
        let wall = started.elapsed();
        let cpu = cpu_time().zip(cpu_before).map_or(wall, |(after, before)| after - before);
        let per_second = decoded as f64 / cpu.as_secs_f64();
        let bytes = bodies[0].len() / spans;
        println!(
            "{requests_per_batch:2} x {spans} spans per batch: {per_second:.0} spans/s of CPU \
             ({bytes} bytes each, {batches} batches)"
        );
    }
}
