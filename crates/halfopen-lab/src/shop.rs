//! The shop as it runs: its instances, and new versions that take the place of old ones.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::act::Node;
use crate::directory::{Directory, Target};
use crate::fleet::Slot;
use crate::frame::Listening;
use crate::pool::Connections;
use crate::protect::{self, Clients};
use crate::scenario::Plan;
use crate::service::{self, EDGE};
use crate::telemetry::Telemetry;
use crate::vocabulary::Vocabulary;
use crate::wire::{self, Wire};
use crate::{LabError, WallClock};

/// What an instance may still finish when it is stopped; far above the longest request.
const DRAIN_MS: u64 = 5_000;

/// Work that nobody waits for is waited for so long, before questions are asked about it.
const SETTLE_MS: u64 = 2_500;

/// Where telemetry goes, and what time it is.
#[derive(Clone)]
pub struct ShopSettings {
    /// The OTLP/gRPC receiver, `http://127.0.0.1:4317`.
    pub otlp_endpoint: String,
    /// Tells the time.
    pub clock: WallClock,
}

impl std::fmt::Debug for ShopSettings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ShopSettings").field("otlp_endpoint", &self.otlp_endpoint).finish()
    }
}

/// One instance, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Running {
    /// The service.
    pub service: &'static str,
    /// Its version.
    pub version: String,
    /// Its pod.
    pub pod: String,
    /// Where it listens.
    pub address: SocketAddr,
}

/// A new version that appeared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rolled {
    /// The instance.
    pub instance: Running,
    /// From when on it took requests.
    pub at: SystemTime,
}

/// The shop.
pub struct Shop {
    plan: Plan,
    settings: ShopSettings,
    vocabulary: Arc<Vocabulary>,
    pub(crate) directory: Arc<Directory>,
    instances: Mutex<Vec<Arc<Instance>>>,
}

struct Instance {
    place: usize,
    node: Arc<Node>,
    address: SocketAddr,
    listening: Mutex<Option<Listening>>,
}

impl Shop {
    /// Starts all services of the plan.
    pub async fn start(plan: Plan, settings: ShopSettings) -> Result<Shop, LabError> {
        let vocabulary = Arc::new(plan.vocabulary.clone());
        let shop = Shop {
            plan,
            settings,
            vocabulary,
            directory: Arc::default(),
            instances: Mutex::default(),
        };
        for slot in shop.plan.fleet.slots.clone() {
            shop.add(&slot).await?;
        }
        Ok(shop)
    }

    /// The plan that the shop follows.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where customers call.
    pub fn edge(&self) -> Option<SocketAddr> {
        self.directory.pick(EDGE, "").map(|target| target.address)
    }

    /// The instances that run now, the edge first.
    pub fn instances(&self) -> Vec<Running> {
        self.all().iter().map(|instance| instance.describe()).collect()
    }

    /// Waits until the work is done that nobody waits for any more, for a bounded time.
    pub async fn settle(&self) {
        let settled = self.all().into_iter().map(async |instance| {
            let mut unattended = instance.node.unattended.subscribe();
            // An error means that nobody works any more.
            let _ = unattended.wait_for(|under_way| *under_way == 0).await;
        });
        let settled = futures::future::join_all(settled);
        let _ = tokio::time::timeout(Duration::from_millis(SETTLE_MS), settled).await;
    }

    /// Sends all telemetry that waits; says what could not be sent.
    pub async fn flush(&self) -> Vec<String> {
        let instances = self.all();
        let flushed =
            instances.iter().map(|instance| named(instance, instance.node.telemetry.flush()));
        futures::future::join_all(flushed).await.concat()
    }

    /// Stops all services and sends what is left; says what could not be sent.
    pub async fn stop(&self) -> Vec<String> {
        let instances = std::mem::take(&mut *self.lock());
        futures::future::join_all(instances.iter().map(stop)).await.concat()
    }

    /// Puts an instance of another version into its place. The old one finishes what it has
    /// begun and goes.
    pub(crate) async fn replace(&self, slot: &Slot) -> Result<Rolled, LabError> {
        let instance = self.add(slot).await?;
        let old = self.take_old(&instance);
        let rolled = Rolled { instance: instance.describe(), at: (self.settings.clock)() };
        if let Some(old) = old {
            stop(&old).await;
        }
        Ok(rolled)
    }

    async fn add(&self, slot: &Slot) -> Result<Arc<Instance>, LabError> {
        let identity = &slot.identity;
        let service = service::all().find(|service| service.name == identity.service);
        let service = service.expect("the fleet is made of the services of the shop");
        let endpoint = &self.settings.otlp_endpoint;
        let telemetry = Telemetry::start(identity, endpoint, Arc::clone(&self.settings.clock))?;
        let http = wire::http_client(slot.behaviour.connect());
        let clients = Clients::new(identity, &slot.behaviour, |peer| Wire {
            peer,
            directory: Arc::clone(&self.directory),
            http: http.clone(),
            tracer: telemetry.tracer.clone(),
            tells_deadline: slot.behaviour.patience.shared,
        });
        let node = Arc::new(Node {
            identity: identity.clone(),
            behaviour: slot.behaviour.clone(),
            telemetry,
            vocabulary: Arc::clone(&self.vocabulary),
            server: protect::server(identity),
            clients,
            connections: Connections::default(),
            unattended: watch::Sender::default(),
        });
        let listening = Listening::start(service.name, (service.routes)(&node)).await?;
        let address = listening.address;
        let instance = Arc::new(Instance {
            place: slot.place,
            node,
            address,
            listening: Mutex::new(Some(listening)),
        });
        self.lock().push(Arc::clone(&instance));
        self.directory.put(service.name, slot.place, Target::new(address));
        Ok(instance)
    }

    fn take_old(&self, new: &Arc<Instance>) -> Option<Arc<Instance>> {
        let mut instances = self.lock();
        let old = instances.iter().position(|instance| {
            instance.node.identity.service == new.node.identity.service
                && instance.place == new.place
                && !Arc::ptr_eq(instance, new)
        })?;
        Some(instances.remove(old))
    }

    fn all(&self) -> Vec<Arc<Instance>> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Instance>>> {
        self.instances.lock().expect("nobody panics while holding this lock")
    }
}

impl Instance {
    fn describe(&self) -> Running {
        let identity = &self.node.identity;
        Running {
            service: identity.service,
            version: identity.version.clone(),
            pod: identity.pod.clone(),
            address: self.address,
        }
    }
}

async fn stop(instance: &Arc<Instance>) -> Vec<String> {
    let listening =
        instance.listening.lock().expect("nobody panics while holding this lock").take();
    if let Some(listening) = listening {
        listening.stop(Duration::from_millis(DRAIN_MS)).await;
    }
    named(instance, instance.node.telemetry.stop()).await
}

async fn named(instance: &Instance, sent: impl Future<Output = Vec<String>>) -> Vec<String> {
    let pod = &instance.node.identity.pod;
    sent.await.into_iter().map(|trouble| format!("{pod}: {trouble}")).collect()
}
