//! Every event as OpenTelemetry metrics and every decision as a span event, with whatever version
//! of OpenTelemetry you use: this is all the glue there is. Whoever traces with `tracing` needs
//! none of it for spans, `tracing-opentelemetry` makes span events of the same decisions.

use halfopen_resilience::protocol::Http;
use halfopen_resilience::stack::Stack;
use halfopen_resilience::telemetry::{Event, Observer, Value};
use opentelemetry::metrics::{Counter, Histogram};
use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, KeyValue, global};
use std::error::Error;
use std::sync::Arc;

struct Telemetry {
    events: Counter<u64>,
    durations: Histogram<f64>,
}

impl Telemetry {
    fn new() -> Telemetry {
        let meter = global::meter("halfopen-resilience");
        Telemetry {
            events: meter.u64_counter("halfopen.events").build(),
            durations: meter.f64_histogram("halfopen.duration").with_unit("s").build(),
        }
    }
}

impl Observer for Telemetry {
    fn on(&self, peer: &str, event: &Event<'_>) {
        let peer = KeyValue::new("halfopen.peer", peer.to_owned());
        let mut labels = vec![KeyValue::new("halfopen.event", event.name().as_str()), peer.clone()];
        let mut attributes = vec![peer];
        let mut duration = None;
        event.attributes(&mut |key, value| match value {
            Value::Text(text) => {
                labels.push(KeyValue::new(key, text.to_owned()));
                attributes.push(KeyValue::new(key, text.to_owned()));
            }
            // Numbers would make a series each: they are for spans, not for labels.
            Value::Count(count) => attributes.push(KeyValue::new(key, count as i64)),
            Value::Measure(seconds) if key == "halfopen.duration" => duration = Some(seconds),
            Value::Measure(measure) => attributes.push(KeyValue::new(key, measure)),
        });
        self.events.add(1, &labels);
        match duration {
            Some(seconds) => self.durations.record(seconds, &labels),
            // The span whose context is attached while the call is polled: `FutureExt`.
            None => Context::current().span().add_event(event.name().as_str(), attributes),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // `global::set_meter_provider(..)` comes first in real life.
    let layers = Stack::client("payments", Http).observer(Arc::new(Telemetry::new())).build()?;
    assert_eq!(layers.meter().peer().as_ref(), "payments");
    Ok(())
}
