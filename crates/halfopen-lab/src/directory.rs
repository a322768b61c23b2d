//! Who listens where: the name service and the balancer of the shop in one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::RwLock;

use tonic::transport::{Channel, Endpoint};

use crate::chance::digest;

/// The port under which services know each other; the directory knows the real one.
pub(crate) const SERVICE_PORT: u16 = 8080;

/// One instance that takes calls.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// A connection for gRPC, made when it is first used.
    pub(crate) channel: Channel,
}

impl Target {
    pub(crate) fn new(address: SocketAddr) -> Target {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .expect("an address of a socket makes a valid URI");
        Target { address, channel: endpoint.connect_lazy() }
    }
}

/// The instances of every service.
///
/// **Invariant:** which slot of a service takes a request depends on the request's id alone, so
/// that a seed fails the same requests however fast the machine is.
#[derive(Default, Debug)]
pub(crate) struct Directory {
    slots: RwLock<BTreeMap<&'static str, Vec<Target>>>,
}

impl Directory {
    /// Adds a slot with an instance, or puts another instance into a slot that is there: from now
    /// on that one takes the calls. Gives back the instance that was there.
    pub(crate) fn put(&self, service: &'static str, slot: usize, new: Target) -> Option<Target> {
        let mut slots = self.slots.write().expect("nobody panics while holding this lock");
        let targets = slots.entry(service).or_default();
        match targets.get_mut(slot) {
            Some(old) => Some(std::mem::replace(old, new)),
            None => {
                targets.push(new);
                None
            }
        }
    }

    /// The instance of `service` that takes this request.
    pub(crate) fn pick(&self, service: &str, request_id: &str) -> Option<Target> {
        let slots = self.slots.read().expect("nobody panics while holding this lock");
        let targets = slots.get(service).filter(|targets| !targets.is_empty())?;
        Some(targets[slot_of(service, request_id, targets.len())].clone())
    }
}

/// The slot among `slots` (not 0) that takes a request.
pub(crate) fn slot_of(service: &str, request_id: &str, slots: usize) -> usize {
    (digest(&[service, request_id]) % slots as u64) as usize
}
