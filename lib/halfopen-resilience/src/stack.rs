//! Stacks: all layers in the right order, or a reason why not.
//!
//! ```text
//! client, outermost first            server
//! begin     context and deadline     admit      context, deadline, refusals
//! retry     budgets                  limit      load shedding
//! hedge                              bulkhead   queue
//! bulkhead  queue                    deliver    the handler
//! limit     load shedding
//! breaker
//! timeout   of one attempt
//! send      the wire
//! ```

mod order;

pub use order::{OrderError, Piece, check_order};

use crate::admit::{AdmitLayer, AdmitService, DeliverLayer, DeliverService};
use crate::begin::{BeginLayer, BeginService};
use crate::breaker::{Breaker, BreakerLayer, BreakerService, BreakerSettings};
use crate::bulkhead::{Bulkhead, BulkheadLayer, BulkheadService, BulkheadSettings};
use crate::hedge::{HedgeLayer, HedgeService, HedgeSettings};
use crate::limit::{Limit, LimitLayer, LimitService, LimitSettings};
use crate::retry::{RetryLayer, RetryService, RetrySettings};
use crate::send::{SendLayer, SendService};
use crate::telemetry::{Meter, Observer};
use crate::timeout::{AttemptTimeout, TimeoutLayer, TimeoutService};
use crate::{Chance, Reserve};
use std::sync::Arc;
use std::time::Duration;
use tower_layer::Layer;

mod check;

pub use check::StackError;

/// The beginning of every stack.
#[derive(Debug)]
pub struct Stack(());

impl Stack {
    /// A stack for calls to `peer`: a deadline of 10 s, attempts of at most 3 s, three attempts,
    /// a breaker and a bulkhead of 64 places, until told otherwise.
    pub fn client<P>(peer: &str, protocol: P) -> ClientStack<P> {
        ClientStack {
            peer: peer.to_owned(),
            protocol,
            settings: ClientSettings {
                deadline: Duration::from_secs(10),
                connect_timeout: None,
                timeout: AttemptTimeout::Fixed(Duration::from_secs(3)),
                reserve: Reserve::default(),
                retry: RetrySettings::default(),
                breaker: Some(BreakerSettings::default()),
                bulkhead: Some(BulkheadSettings::default()),
                limit: None,
                hedge: None,
            },
            intended: Vec::new(),
            observer: None,
            chance: None,
        }
    }

    /// A stack for the service called `name`: no work longer than 30 s, an adaptive limit.
    pub fn server(name: &str) -> ServerStack {
        ServerStack {
            name: name.to_owned(),
            longest: Duration::from_secs(30),
            limit: Some(LimitSettings::default()),
            bulkhead: None,
            observer: None,
            chance: None,
        }
    }
}

/// A call is slow that needs more than this share of the timeout of an attempt.
const SLOW_SHARE: f64 = 2.0 / 3.0;

/// What a client's stack is made of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClientSettings {
    deadline: Duration,
    connect_timeout: Option<Duration>,
    timeout: AttemptTimeout,
    reserve: Reserve,
    retry: RetrySettings,
    breaker: Option<BreakerSettings>,
    bulkhead: Option<BulkheadSettings>,
    limit: Option<LimitSettings>,
    hedge: Option<HedgeSettings>,
}

/// The layers of a client, before they are checked.
#[must_use = "`build` makes the layers"]
pub struct ClientStack<P> {
    peer: String,
    protocol: P,
    settings: ClientSettings,
    intended: Vec<Piece>,
    observer: Option<Arc<dyn Observer>>,
    chance: Option<Chance>,
}

impl<P: Clone> ClientStack<P> {
    /// The longest a call may take, all attempts together.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = deadline;
        self
    }

    /// The longest an attempt may take.
    pub fn timeout(mut self, timeout: AttemptTimeout) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// What the connector beneath is set to, so that it can be checked against the rest.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connect_timeout = Some(timeout);
        self
    }

    /// What is kept of the remaining time for the way back.
    pub fn reserve(mut self, reserve: Reserve) -> Self {
        self.settings.retry.reserve = reserve.clone();
        self.settings.reserve = reserve;
        self
    }

    /// Retries; [`RetrySettings::never`] for none.
    pub fn retry(mut self, retry: RetrySettings) -> Self {
        self.settings.retry = retry;
        self
    }

    /// The breaker, or none.
    pub fn breaker(mut self, breaker: impl Into<Option<BreakerSettings>>) -> Self {
        self.settings.breaker = breaker.into();
        self
    }

    /// The bulkhead, or none.
    pub fn bulkhead(mut self, bulkhead: impl Into<Option<BulkheadSettings>>) -> Self {
        self.settings.bulkhead = bulkhead.into();
        self
    }

    /// The adaptive limit, or none.
    pub fn limit(mut self, limit: impl Into<Option<LimitSettings>>) -> Self {
        self.settings.limit = limit.into();
        self
    }

    /// Hedging, or none.
    pub fn hedge(mut self, hedge: impl Into<Option<HedgeSettings>>) -> Self {
        self.settings.hedge = hedge.into();
        self
    }

    /// Says in which order, outermost first, its author believes the layers to be. The stack has
    /// its own order; a belief that would go wrong is refused when built, with its reason.
    pub fn in_order(mut self, pieces: &[Piece]) -> Self {
        self.intended = pieces.to_vec();
        self
    }

    /// Who gets every event.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Where chance comes from; a test gives a seeded one.
    pub fn chance(mut self, chance: Chance) -> Self {
        self.chance = Some(chance);
        self
    }

    /// Checks the settings against each other and makes the layers.
    pub fn build(self) -> Result<ClientLayers<P>, StackError> {
        check_order(&self.intended)?;
        check::client(&self.peer, &self.settings)?;
        let meter = meter(&self.peer, self.observer);
        let chance = self.chance.unwrap_or_else(Chance::of_this_process);
        let ClientSettings { deadline, timeout, reserve, retry, .. } = self.settings;
        let ClientSettings { breaker, bulkhead, limit, hedge, .. } = self.settings;
        let protocol = self.protocol;
        let of = |mut settings: BreakerSettings| {
            settings.slow.get_or_insert(timeout.longest().mul_f64(SLOW_SHARE));
            Breaker::new(settings, meter.clone(), chance.clone())
        };
        let breaker = breaker.map(of);
        let bulkhead = bulkhead.map(|settings| Bulkhead::new(settings, meter.clone()));
        let limit = limit.map(|settings| Limit::new(settings, meter.clone()));
        Ok(ClientLayers {
            begin: BeginLayer {
                deadline,
                shared_grant: hedge.is_some().then_some(retry.grant),
                meter: meter.clone(),
                chance: chance.clone(),
            },
            retry: RetryLayer::sharing(
                hedge.is_some(),
                retry,
                protocol.clone(),
                meter.clone(),
                chance,
            ),
            hedge: HedgeLayer::new(hedge, protocol.clone(), meter.clone()),
            bulkhead_layer: BulkheadLayer::new(bulkhead.clone()),
            limit_layer: LimitLayer::new(limit.clone()),
            breaker_layer: BreakerLayer::new(breaker.clone(), protocol.clone()),
            timeout: TimeoutLayer::new(timeout, reserve, protocol.clone(), meter.clone()),
            send: SendLayer::new(protocol, meter.clone()),
            meter,
            breaker,
            bulkhead,
            limit,
        })
    }
}

fn meter(name: &str, observer: Option<Arc<dyn Observer>>) -> Meter {
    match observer {
        Some(observer) => Meter::observed(name, observer),
        None => Meter::new(name),
    }
}

/// The layers of a client. Everything made from one value shares breaker, budgets and places.
#[derive(Clone, Debug)]
pub struct ClientLayers<P> {
    begin: BeginLayer,
    retry: RetryLayer<P>,
    hedge: HedgeLayer<P>,
    bulkhead_layer: BulkheadLayer,
    limit_layer: LimitLayer,
    breaker_layer: BreakerLayer<P>,
    timeout: TimeoutLayer<P>,
    send: SendLayer<P>,
    meter: Meter,
    breaker: Option<Breaker>,
    bulkhead: Option<Bulkhead>,
    limit: Option<Limit>,
}

impl<P> ClientLayers<P> {
    /// The counters.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// The breaker, if there is one.
    pub fn breaker(&self) -> Option<&Breaker> {
        self.breaker.as_ref()
    }

    /// The bulkhead, if there is one.
    pub fn bulkhead(&self) -> Option<&Bulkhead> {
        self.bulkhead.as_ref()
    }

    /// The adaptive limit, if there is one.
    pub fn limit(&self) -> Option<&Limit> {
        self.limit.as_ref()
    }
}

/// A protected client.
pub type ClientService<S, P> = BeginService<RetryService<HedgeService<Guarded<S, P>, P>, P>>;

/// One attempt, guarded.
pub type Guarded<S, P> =
    BulkheadService<LimitService<BreakerService<TimeoutService<SendService<S, P>, P>, P>>>;

impl<S: Clone, P: Clone> Layer<S> for ClientLayers<P> {
    type Service = ClientService<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        let attempt = self.timeout.layer(self.send.layer(inner));
        let limited = self.limit_layer.layer(self.breaker_layer.layer(attempt));
        let guarded = self.bulkhead_layer.layer(limited);
        self.begin.layer(self.retry.layer(self.hedge.layer(guarded)))
    }
}

/// The layers of a server, before they are made.
#[must_use = "`build` makes the layers"]
pub struct ServerStack {
    name: String,
    longest: Duration,
    limit: Option<LimitSettings>,
    bulkhead: Option<BulkheadSettings>,
    observer: Option<Arc<dyn Observer>>,
    chance: Option<Chance>,
}

impl ServerStack {
    /// No work takes longer, whatever the asker allows.
    pub fn longest(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// The adaptive limit, or none.
    pub fn limit(mut self, limit: impl Into<Option<LimitSettings>>) -> Self {
        self.limit = limit.into();
        self
    }

    /// The bulkhead, or none.
    pub fn bulkhead(mut self, bulkhead: impl Into<Option<BulkheadSettings>>) -> Self {
        self.bulkhead = bulkhead.into();
        self
    }

    /// Who gets every event.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Where chance comes from; a test gives a seeded one.
    pub fn chance(mut self, chance: Chance) -> Self {
        self.chance = Some(chance);
        self
    }

    /// Checks the settings and makes the layers.
    pub fn build(self) -> Result<ServerLayers, StackError> {
        check::server(&self.name, self.longest, self.bulkhead.as_ref())?;
        let meter = meter(&self.name, self.observer);
        let chance = self.chance.unwrap_or_else(Chance::of_this_process);
        let limit = self.limit.map(|settings| Limit::new(settings, meter.clone()));
        let bulkhead = self.bulkhead.map(|settings| Bulkhead::new(settings, meter.clone()));
        Ok(ServerLayers {
            admit: AdmitLayer { longest: self.longest, meter: meter.clone(), chance },
            limit: LimitLayer::new(limit),
            bulkhead: BulkheadLayer::new(bulkhead),
            deliver: DeliverLayer::new(meter.clone()),
            meter,
        })
    }
}

/// The layers of a server.
#[derive(Clone, Debug)]
pub struct ServerLayers {
    admit: AdmitLayer,
    limit: LimitLayer,
    bulkhead: BulkheadLayer,
    deliver: DeliverLayer,
    meter: Meter,
}

impl ServerLayers {
    /// The counters.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }
}

/// A protected server.
pub type ServerService<S> = AdmitService<LimitService<BulkheadService<DeliverService<S>>>>;

impl<S> Layer<S> for ServerLayers {
    type Service = ServerService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let delivered = self.bulkhead.layer(self.deliver.layer(inner));
        self.admit.layer(self.limit.layer(delivered))
    }
}

#[cfg(test)]
mod tests;
