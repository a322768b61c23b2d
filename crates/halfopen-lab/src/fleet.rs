//! Which instances the shop consists of: versions, pods, hosts and zones, from the seed.

use crate::behaviour::Behaviour;
use crate::chance::Chance;
use crate::service::{MORE_SERVICES, SERVICES, Service};
use crate::telemetry::Identity;

/// Hosts that the pods share. Fewer than pods, so that a host never names a single pod.
const HOSTS: usize = 5;
/// The region of the shop.
const REGION: &str = "eu-west-1";
const ZONES: [&str; 3] = ["eu-west-1a", "eu-west-1b", "eu-west-1c"];

/// An instance to be: one place of a service behind the balancer.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Slot {
    /// Its place among the instances of its service.
    pub(crate) place: usize,
    pub(crate) identity: Identity,
    pub(crate) behaviour: Behaviour,
}

/// A version number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Version {
    major: u64,
    minor: u64,
    patch: u64,
}

impl Version {
    fn drawn(chance: &mut Chance) -> Version {
        let [major, minor, patch] = [(1, 4), (0, 12), (0, 9)].map(|(l, h)| chance.between(l, h));
        Version { major, minor, patch }
    }

    /// The next version with new features.
    pub(crate) fn next_minor(self) -> Version {
        Version { minor: self.minor + 1, patch: 0, ..self }
    }

    /// The next version with mended faults.
    pub(crate) fn next_patch(self) -> Version {
        Version { patch: self.patch + 1, ..self }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// All instances at the start, and what is needed to make more.
#[derive(Clone, Debug)]
pub(crate) struct Fleet {
    pub(crate) slots: Vec<Slot>,
    versions: Vec<(&'static str, Version)>,
    chance: Chance,
}

impl Fleet {
    /// The fleet of this seed: two or three instances of each service, all of one version.
    pub(crate) fn of_seed(seed: u64) -> Fleet {
        let chance = Chance::new(seed, "fleet");
        let mut fleet = Fleet { slots: Vec::new(), versions: Vec::new(), chance };
        SERVICES.iter().for_each(|service| fleet.add(service));
        fleet
    }

    /// The same with the services that only some scenarios need.
    pub(crate) fn with_more(mut self) -> Fleet {
        MORE_SERVICES.iter().for_each(|service| self.add(service));
        self
    }

    fn add(&mut self, service: &Service) {
        let version = Version::drawn(&mut self.chance);
        self.versions.push((service.name, version));
        let replica_set = self.chance.label(9);
        let commit = self.chance.hex(40);
        for place in 0..self.chance.between(2, 3) as usize {
            let identity = self.pod(service.name, version, &commit, &replica_set);
            self.slots.push(Slot { place, identity, behaviour: Behaviour::default() });
        }
    }

    /// Gives each service a configuration, whose hash its pods tell under this name.
    pub(crate) fn configure(&mut self, attribute: &'static str) {
        for (service, _) in self.versions.clone() {
            let hash = self.chance.hex(12);
            let slots = self.slots.iter_mut().filter(|slot| slot.identity.service == service);
            slots.for_each(|slot| slot.identity.config = Some((attribute, hash.clone())));
        }
    }

    /// How many instances a service has.
    pub(crate) fn places(&self, service: &str) -> usize {
        self.slots.iter().filter(|slot| slot.identity.service == service).count()
    }

    /// An instance of the same version with another configuration in one place of a service.
    pub(crate) fn reconfigured(&mut self, service: &str, behaviour: Behaviour) -> Slot {
        let places = self.places(service) as u64;
        let place = self.chance.below(places) as usize;
        let (replica_set, hash) = (self.chance.label(9), self.chance.hex(12));
        let version = self.version(service);
        let here = |slot: &&Slot| slot.identity.service == service && slot.place == place;
        let old = self.slots.iter().find(here).expect("every place has a slot").identity.clone();
        let config = old.config.map(|(attribute, _)| (attribute, hash));
        let new = self.pod(old.service, version, &old.commit, &replica_set);
        Slot { place, identity: Identity { config, ..new }, behaviour }
    }

    /// The version that a service has at the start.
    pub(crate) fn version(&self, service: &str) -> Version {
        let found = self.versions.iter().find(|(name, _)| *name == service);
        found.map(|(_, version)| *version).expect("every service of the shop has a version")
    }

    /// An instance of another version in one place of a service.
    pub(crate) fn replacement(
        &mut self,
        service: &'static str,
        version: Version,
        behaviour: Behaviour,
    ) -> Slot {
        let place = self.chance.below(self.places(service) as u64) as usize;
        let (replica_set, commit) = (self.chance.label(9), self.chance.hex(40));
        let new = self.pod(service, version, &commit, &replica_set);
        // A new version keeps the configuration.
        let of_service = |slot: &&Slot| slot.identity.service == service;
        let config = self.slots.iter().find(of_service).and_then(|s| s.identity.config.clone());
        let identity = Identity { config, ..new };
        Slot { place, identity, behaviour }
    }

    fn pod(
        &mut self,
        service: &'static str,
        version: Version,
        commit: &str,
        replica_set: &str,
    ) -> Identity {
        let chance = &mut self.chance;
        let host = chance.below(HOSTS as u64) as usize;
        let hex = chance.hex(32);
        Identity {
            service,
            version: version.to_string(),
            commit: commit.to_owned(),
            pod: format!("{service}-{replica_set}-{}", chance.label(5)),
            instance: [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"),
            host: format!("node-{}", host + 1),
            region: REGION,
            zone: ZONES[host % ZONES.len()],
            config: None,
        }
    }
}
