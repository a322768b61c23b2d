//! Every event as OpenTelemetry metrics, with whatever version of OpenTelemetry you use: this is
//! all the glue there is. For spans and span events use `tracing-opentelemetry`.

use halfopen_resilience::protocol::Http;
use halfopen_resilience::stack::Stack;
use halfopen_resilience::telemetry::{Event, Observer, Value};
use opentelemetry::metrics::{Counter, Histogram};
use opentelemetry::{KeyValue, global};
use std::error::Error;
use std::sync::Arc;

struct Metrics {
    events: Counter<u64>,
    durations: Histogram<f64>,
}

impl Metrics {
    fn new() -> Metrics {
        let meter = global::meter("halfopen-resilience");
        Metrics {
            events: meter.u64_counter("halfopen.events").build(),
            durations: meter.f64_histogram("halfopen.duration").with_unit("s").build(),
        }
    }
}

impl Observer for Metrics {
    fn on(&self, peer: &str, event: &Event<'_>) {
        let mut labels = vec![
            KeyValue::new("halfopen.event", event.name().as_str()),
            KeyValue::new("halfopen.peer", peer.to_owned()),
        ];
        let mut duration = None;
        event.attributes(&mut |key, value| match value {
            Value::Text(text) => labels.push(KeyValue::new(key, text.to_owned())),
            Value::Measure(seconds) if key == "halfopen.duration" => duration = Some(seconds),
            // Numbers would make a series each: they are for spans, not for labels.
            Value::Measure(_) | Value::Count(_) => {}
        });
        self.events.add(1, &labels);
        if let Some(seconds) = duration {
            self.durations.record(seconds, &labels);
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // `global::set_meter_provider(..)` comes first in real life.
    let layers = Stack::client("payments", Http).observer(Arc::new(Metrics::new())).build()?;
    assert_eq!(layers.meter().peer().as_ref(), "payments");
    Ok(())
}
