//! How the services of the shop protect themselves and each other: one stack for what comes in,
//! one for each service that is called. What the stacks decide stands in the spans.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use halfopen_resilience::body::WholeBody;
use halfopen_resilience::breaker::BreakerSettings;
use halfopen_resilience::bulkhead::BulkheadSettings;
use halfopen_resilience::protocol::{Badness, Http, Judged, Verdict};
use halfopen_resilience::retry::RetrySettings;
use halfopen_resilience::stack::{ClientService, ServerLayers};
use halfopen_resilience::telemetry::{Event, Observer, Value};
use halfopen_resilience::timeout::AttemptTimeout;
use halfopen_resilience::{Chance, Stack};
use http::Response;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};
use tower::Layer as _;

use crate::behaviour::Behaviour;
use crate::chance::digest;
use crate::pool::WAREHOUSE;
use crate::service;
use crate::telemetry::Identity;
use crate::wire::{Wire, WireError};

/// A service of the shop works no longer on a request, even if its caller would wait.
const WORK_MS_MAX: u64 = 20_000;
/// What one instance works on at a time, and what may wait for that. An adaptive limit would take
/// the load of the machine, which all services share, for the load of one of them.
const PLACES: BulkheadSettings = BulkheadSettings {
    calls_max: 128,
    queue_max: 128,
    queue_time: Duration::from_millis(WORK_MS_MAX / 10),
};
/// Calls of one instance to one service at a time, and what may wait for that.
const CALLS: BulkheadSettings =
    BulkheadSettings { calls_max: 64, queue_max: 64, queue_time: Duration::from_millis(1_500) };

type Judge = fn(Result<&Response<WholeBody>, &WireError>, Verdict) -> Verdict;

/// The protected way to one service.
pub(crate) type Client = ClientService<Wire, Judged<Http, Judge>>;

/// The protected ways to all services.
pub(crate) struct Clients(BTreeMap<&'static str, Client>);

impl Clients {
    /// For the instance `identity`, whose attempts go over `wire`.
    pub(crate) fn new(
        identity: &Identity,
        behaviour: &Behaviour,
        wire: impl Fn(&'static str) -> Wire,
    ) -> Clients {
        let chance = Chance::seeded(digest(&[&identity.instance, "jitter"]));
        let client = |peer: &'static str| {
            let counts = behaviour.counting.patience().filter(|_| peer == WAREHOUSE);
            // A count that does not come in time is not asked for again: the last one is taken.
            let retry = counts.map_or_else(RetrySettings::default, |_| RetrySettings::never());
            let patience = counts.unwrap_or(behaviour.patience);
            let stack = Stack::client(peer, Judged::new(Http, judge as Judge))
                .deadline(patience.call())
                .timeout(AttemptTimeout::Fixed(patience.attempt()))
                .connect_timeout(behaviour.connect())
                .retry(retry)
                .bulkhead(BulkheadSettings {
                    queue_time: CALLS.queue_time.min(patience.call() / 2),
                    ..CALLS
                })
                .breaker(patience.shared.then(BreakerSettings::default))
                .observer(Arc::new(SpanEvents))
                .chance(chance.clone());
            let layers = stack.build().expect("the settings of the shop fit together");
            (peer, layers.layer(wire(peer)))
        };
        Clients(service::all().map(|service| client(service.name)).collect())
    }

    /// The way to `peer`.
    pub(crate) fn to(&self, peer: &'static str) -> Client {
        self.0.get(peer).expect("services call services of the shop").clone()
    }
}

/// In this shop 500 is an exception that nobody caught: the next try would throw it again.
fn judge(result: Result<&Response<WholeBody>, &WireError>, verdict: Verdict) -> Verdict {
    match result {
        Ok(answer) if answer.status() == http::StatusCode::INTERNAL_SERVER_ERROR => {
            Verdict::Bad(Badness::lasting("500"))
        }
        _ => verdict,
    }
}

/// What stands before the handlers of an instance.
pub(crate) fn server(identity: &Identity) -> ServerLayers {
    let stack = Stack::server(identity.service)
        .longest(Duration::from_millis(WORK_MS_MAX))
        .limit(None)
        .bulkhead(PLACES)
        .observer(Arc::new(SpanEvents))
        .chance(Chance::seeded(digest(&[&identity.instance, "ids"])));
    stack.build().expect("the settings of the shop fit together")
}

/// Makes an event of the current span of every decision. How long calls and attempts took is
/// what the spans say themselves.
struct SpanEvents;

impl Observer for SpanEvents {
    fn on(&self, peer: &str, event: &Event<'_>) {
        if matches!(event, Event::CallEnded { .. } | Event::AttemptEnded { .. }) {
            return;
        }
        let mut attributes = vec![KeyValue::new("halfopen.peer", peer.to_owned())];
        event.attributes(&mut |key, value| attributes.push(attribute(key, value)));
        Context::current().span().add_event(event.name().as_str(), attributes);
    }
}

/// An attribute of the library as one of the SDK.
pub(crate) fn attribute(key: &'static str, value: Value<'_>) -> KeyValue {
    match value {
        Value::Text(text) => KeyValue::new(key, text.to_owned()),
        Value::Count(count) => KeyValue::new(key, i64::try_from(count).unwrap_or(i64::MAX)),
        Value::Measure(measure) => KeyValue::new(key, measure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::{Directory, Target};
    use http::Request;
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tower::ServiceExt as _;

    /// Where every connection is closed at once; counts them.
    async fn slammed_door() -> (Arc<Directory>, Arc<AtomicU32>) {
        let door = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let door = door.expect("a free port");
        let directory = Arc::new(Directory::default());
        directory.put("pricing", 0, Target::new(door.local_addr().expect("it is bound")));
        let count = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&count);
        tokio::spawn(async move {
            while let Ok((connection, _)) = door.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                drop(connection);
            }
        });
        (directory, count)
    }

    fn client(directory: &Arc<Directory>) -> Client {
        let identity = Identity {
            service: "cart",
            version: "1.0.0".to_owned(),
            commit: String::new(),
            pod: "cart-1".to_owned(),
            instance: "1".to_owned(),
            host: "node-1".to_owned(),
            region: "eu-west-1",
            zone: "eu-west-1a",
            config: None,
        };
        let tracer = SdkTracerProvider::builder().build().tracer("test");
        let behaviour = Behaviour::default();
        let http = crate::wire::http_client(behaviour.connect());
        let clients = Clients::new(&identity, &behaviour, |peer| Wire {
            peer,
            directory: Arc::clone(directory),
            http: http.clone(),
            tracer: tracer.clone(),
            tells_deadline: true,
        });
        clients.to("pricing")
    }

    #[tokio::test]
    async fn a_question_is_asked_again_when_the_connection_breaks_and_an_order_is_not() {
        let (directory, connections) = slammed_door().await;
        let request = |method| {
            let request = Request::builder().method(method).uri("/prices/sku-0001");
            request.body(WholeBody::default()).expect("a request")
        };
        let asked = client(&directory).oneshot(request("GET")).await;
        assert!(asked.is_err());
        assert_eq!(connections.swap(0, Ordering::SeqCst), 3);
        let ordered = client(&directory).oneshot(request("POST")).await;
        assert!(ordered.is_err());
        assert_eq!(connections.load(Ordering::SeqCst), 1);
    }
}
