//! A deadline that is not propagated: hops work on for somebody who left long ago.

use crate::network::{Network, Req, get, handler, pass_on, status};
use halfopen_resilience::call::{CallError, RefusalReason, TimeoutKind};
use halfopen_resilience::protocol::Http;
use halfopen_resilience::retry::RetrySettings;
use halfopen_resilience::stack::Stack;
use halfopen_resilience::timeout::AttemptTimeout;
use halfopen_resilience::{Chance, RequestContext};
use std::future::{Future, pending};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

const MS: fn(u64) -> Duration = Duration::from_millis;
/// Four hops: the leaf hangs.
const HOPS: [(&str, Option<&str>); 4] =
    [("leaf", None), ("c", Some("leaf")), ("b", Some("c")), ("a", Some("b"))];

/// When each hop was last seen working.
#[derive(Clone, Default)]
pub(crate) struct Work(Arc<Mutex<Vec<(&'static str, Duration)>>>);

impl Work {
    /// Works a little every 5 ms while waiting for `next`.
    async fn until<T>(
        self,
        host: &'static str,
        start: Instant,
        next: impl Future<Output = T>,
    ) -> T {
        let mut next = std::pin::pin!(next);
        loop {
            self.0.lock().unwrap().push((host, start.elapsed()));
            if let Ok(answer) = tokio::time::timeout(MS(5), next.as_mut()).await {
                return answer;
            }
        }
    }

    pub(crate) fn last(&self) -> Duration {
        self.0.lock().unwrap().iter().map(|(_, at)| *at).max().unwrap()
    }

    fn hosts(&self) -> usize {
        let mut hosts: Vec<_> = self.0.lock().unwrap().iter().map(|(host, _)| *host).collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts.len()
    }
}

#[tokio::test(start_paused = true)]
async fn without_it_hops_work_for_nobody() {
    let (network, work, start) = (Network::default(), Work::default(), Instant::now());
    for (host, next) in HOPS {
        let (client, work) = (next.map(|next| network.client(next)), work.clone());
        network.host(
            host,
            handler(move |_| {
                let (client, work) = (client.clone(), work.clone());
                work.until(host, start, async move {
                    let call = async {
                        match client {
                            Some(client) => client.oneshot(get("/")).await.ok(),
                            None => pending().await,
                        }
                    };
                    pass_on(tokio::time::timeout(MS(30_000), call).await.ok().flatten().ok_or(()))
                })
            }),
        );
    }
    let call = network.client("a").oneshot(get("/"));
    assert!(tokio::time::timeout(MS(1_000), call).await.is_err());
    tokio::time::sleep(MS(60_000)).await;
    assert!(work.last() > MS(29_000), "{:?}", work.last());
}

/// The same hops with the layers; how long they worked when the client waits a second.
pub(crate) async fn protected() -> (Work, Duration) {
    let (network, work, start) = (Network::default(), Work::default(), Instant::now());
    for (host, next) in HOPS {
        let client = next.map(|next| client(&network, next, MS(30_000)));
        let work = work.clone();
        let hop = handler(move |_: Req| {
            let (client, work) = (client.clone(), work.clone());
            work.until(host, start, async move {
                match client {
                    Some(client) => pass_on(client.oneshot(get("/")).await),
                    None => pending().await,
                }
            })
        });
        let server = Stack::server(host).chance(Chance::seeded(1)).build().unwrap();
        network.host(host, server.layer(hop));
    }
    let answer = client(&network, "a", MS(1_000)).oneshot(get("/")).await;
    let waited = start.elapsed();
    assert!(!answer.is_ok_and(|answer| answer.status().is_success()));
    tokio::time::sleep(MS(60_000)).await;
    (work, waited)
}

type Client = tower::util::BoxCloneSyncService<
    Req,
    crate::network::Res,
    CallError<crate::network::ConnectionRefused>,
>;

fn client(network: &Network, peer: &'static str, deadline: Duration) -> Client {
    let stack = Stack::client(peer, Http)
        .deadline(deadline)
        .timeout(AttemptTimeout::Fixed(deadline - MS(1)))
        .breaker(None)
        .retry(RetrySettings::never())
        .chance(Chance::seeded(1));
    Client::new(stack.build().unwrap().layer(network.client(peer)))
}

#[tokio::test(start_paused = true)]
async fn with_it_no_hop_works_later_than_the_asker_waits() {
    let (work, waited) = protected().await;
    assert_eq!(work.hosts(), 4, "every hop was reached");
    assert!(waited <= MS(1_000), "{waited:?}");
    assert!(work.last() <= MS(1_050), "{:?}", work.last());
}

#[tokio::test(start_paused = true)]
async fn spent_work_is_refused_before_it_begins() {
    let network = Network::default();
    let began = Arc::new(Mutex::new(0));
    let seen = began.clone();
    let work = handler(move |_| {
        *seen.lock().unwrap() += 1;
        async { status(200) }
    });
    network.host("a", Stack::server("a").build().unwrap().layer(work));
    let spent = |value: &str| {
        let mut request = get("/");
        request.headers_mut().insert("halfopen-context", value.parse().unwrap());
        network.client("a").oneshot(request)
    };
    let answer = spent("d=0;a=1;b=1").await.unwrap();
    assert_eq!(answer.status(), 504);
    assert_eq!(answer.headers()["halfopen-refused"], "deadline_spent");
    assert_eq!(answer.headers()["halfopen-returned"], "1");
    assert_eq!(*began.lock().unwrap(), 0);
    assert_eq!(spent("d=10;a=1;b=1").await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_grpc_call_gets_a_grpc_status() {
    let network = Network::default();
    let hang = handler(|_| pending());
    network.host("a", Stack::server("a").build().unwrap().layer(hang));
    let mut request = crate::network::post("/pay.Pay/Charge");
    request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    request.headers_mut().insert("grpc-timeout", "80m".parse().unwrap());
    let start = Instant::now();
    let answer = network.client("a").oneshot(request).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["grpc-status"]),
        (200, &"4".parse().unwrap())
    );
    assert!(start.elapsed() < MS(90));
}

#[tokio::test(start_paused = true)]
async fn a_client_of_a_spent_request_does_not_call() {
    let network = Network::default();
    network.host("a", handler(|_| async { status(200) }));
    let context = RequestContext::begin(&Chance::seeded(1)).until(Instant::now());
    let call = client(&network, "a", MS(1_000)).oneshot(get("/"));
    let refused = context.scope(call).await.unwrap_err();
    assert_eq!(refused.refusal().map(|r| r.reason), Some(RefusalReason::DeadlineSpent));
    assert_eq!(network.arrived("a"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_peer_ends_the_attempt_first() {
    let network = Network::default();
    network.host("a", handler(|_| pending()));
    let layers = Stack::client("a", Http).chance(Chance::seeded(1)).build().unwrap();
    let error = layers.layer(network.client("a")).oneshot(get("/")).await.unwrap_err();
    let CallError::TimedOut { kind, .. } = error else { unreachable!("{error}") };
    assert_eq!(kind, TimeoutKind::Attempt);
}
