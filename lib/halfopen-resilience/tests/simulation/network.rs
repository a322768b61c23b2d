//! A network of hosts in one process. A host works on by itself when its caller is gone, as a
//! real one does; links lose requests or answers, refuse, or take time.

use halfopen_resilience::body::WholeBody;
use http::{Request, Response, StatusCode};
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Future, pending};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

pub(crate) type Req = Request<WholeBody>;
pub(crate) type Res = Response<WholeBody>;
pub(crate) type Host = BoxCloneSyncService<Req, Res, Infallible>;

/// What happens to a call on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Arrives,
    /// The host never sees it, the caller never hears of it.
    RequestLost,
    /// The host does the work, the caller never hears of it.
    AnswerLost,
    /// Nobody listens.
    Refused,
}

#[derive(Clone)]
struct Link {
    latency: Duration,
    /// One for each call; the last one stays.
    fates: Vec<Fate>,
}

#[derive(Clone, Default)]
pub(crate) struct Network(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    hosts: HashMap<String, Host>,
    links: HashMap<String, Link>,
    calls: HashMap<String, u32>,
}

#[derive(Debug)]
pub(crate) struct ConnectionRefused;

impl std::fmt::Display for ConnectionRefused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("connection refused")
    }
}

impl std::error::Error for ConnectionRefused {}

impl Network {
    pub(crate) fn host<S>(&self, name: &str, service: S)
    where
        S: Service<Req, Response = Res, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        let service = BoxCloneSyncService::new(service);
        self.0.lock().unwrap().hosts.insert(name.to_owned(), service);
    }

    /// From now on calls to `name` have these fates in turn; the last one stays.
    pub(crate) fn fates(&self, name: &str, fates: &[Fate]) {
        let latency = Duration::from_millis(1);
        let link = Link { latency, fates: fates.to_vec() };
        self.0.lock().unwrap().links.insert(name.to_owned(), link);
    }

    /// How many calls reached `name`.
    pub(crate) fn arrived(&self, name: &str) -> u32 {
        self.0.lock().unwrap().calls.get(name).copied().unwrap_or(0)
    }

    /// A plain client for `name`.
    pub(crate) fn client(
        &self,
        name: &'static str,
    ) -> impl Service<Req, Response = Res, Error = ConnectionRefused, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static {
        let network = self.clone();
        tower::service_fn(move |request: Req| network.clone().carry(name, request))
    }

    async fn carry(self, name: &'static str, request: Req) -> Result<Res, ConnectionRefused> {
        let (host, latency, fate) = self.route(name);
        if fate == Fate::Refused {
            return Err(ConnectionRefused);
        }
        tokio::time::sleep(latency).await;
        if fate == Fate::RequestLost {
            return pending().await;
        }
        let work = tokio::spawn(async move { host.oneshot(request).await });
        let answer = work.await.map_err(|_| ConnectionRefused)?.map_err(|e| match e {})?;
        tokio::time::sleep(latency).await;
        if fate == Fate::AnswerLost {
            return pending().await;
        }
        Ok(answer)
    }

    fn route(&self, name: &str) -> (Host, Duration, Fate) {
        let mut state = self.0.lock().unwrap();
        let host = state.hosts[name].clone();
        let fallback = Link { latency: Duration::from_millis(1), fates: vec![Fate::Arrives] };
        let link = state.links.entry(name.to_owned()).or_insert(fallback);
        let fate = link.fates[0];
        if link.fates.len() > 1 {
            link.fates.remove(0);
        }
        let latency = link.latency;
        if matches!(fate, Fate::Arrives | Fate::AnswerLost) {
            *state.calls.entry(name.to_owned()).or_default() += 1;
        }
        (host, latency, fate)
    }
}

/// A host made of a function.
pub(crate) fn handler<F, W>(work: F) -> Host
where
    F: Fn(Req) -> W + Clone + Send + Sync + 'static,
    W: Future<Output = Res> + Send + 'static,
{
    BoxCloneSyncService::new(tower::service_fn(move |request: Req| {
        let work = work(request);
        async move { Ok::<_, Infallible>(work.await) }
    }))
}

pub(crate) fn get(path: &str) -> Req {
    Request::get(path).body(WholeBody::default()).unwrap()
}

pub(crate) fn post(path: &str) -> Req {
    Request::post(path).body(WholeBody::default()).unwrap()
}

pub(crate) fn status(code: u16) -> Res {
    let mut response = Response::new(WholeBody::default());
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}

/// What a caller makes of an answer that it may not have.
pub(crate) fn pass_on<E>(result: Result<Res, E>) -> Res {
    match result {
        Ok(answer) => status(answer.status().as_u16()),
        Err(_) => status(502),
    }
}
