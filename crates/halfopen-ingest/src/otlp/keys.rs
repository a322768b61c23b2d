//! Keys of attributes, looked up once and remembered: where the value goes, and what it means.

use halfopen_model::known::{SERVICE_NAME, Scope, known};
use halfopen_model::names;
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use crate::ids::{IdName, IdNames};
use crate::weight::WeightKind;

/// Keys remembered for one scope. Applications use some hundreds; one that makes them up without
/// end costs a little time, not memory.
const KEYS_MAX: usize = 16_384;
/// Bytes of all keys remembered for one scope.
const KEYS_BYTES_MAX: usize = 4 << 20;

/// Where a value goes when its type is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// The map.
    Map,
    /// The column of this well-known attribute of the scope.
    Column(usize),
    /// The same, for the number of a gRPC status, whose name goes there.
    GrpcCode(usize),
    /// The column `service`.
    Service,
}

/// What is known about a key.
pub(crate) struct KeyInfo {
    /// As it stands on the wire.
    raw: Box<[u8]>,
    /// With the prefix of its scope, as the map has it.
    pub(crate) prefixed: String,
    pub(crate) place: Place,
    /// Set when values of this key are correlation ids.
    pub(crate) id: Option<IdName>,
    /// Set when values of this key tell how much was sampled.
    pub(crate) weight: Option<WeightKind>,
}

/// The keys of one scope.
pub(crate) struct KeyTable {
    scope: Scope,
    prefix: &'static str,
    positions: HashTable<u32>,
    keys: Vec<KeyInfo>,
    bytes: usize,
}

/// The keys of all scopes.
pub(crate) struct Keys {
    names: IdNames,
    resource: KeyTable,
    instrumentation: KeyTable,
    span: KeyTable,
    log: KeyTable,
    metric: KeyTable,
    metadata: KeyTable,
    part: KeyTable,
}

/// Whose attribute a key is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Resource,
    Instrumentation,
    Span,
    Log,
    Metric,
    /// A metric itself, not one of its points.
    Metadata,
    /// An event, a link or an exemplar: keys have no prefix.
    Part,
}

impl Keys {
    pub(crate) fn new(names: IdNames) -> Keys {
        let table = |scope: Scope| KeyTable::new(scope, scope.prefix());
        Keys {
            names,
            resource: table(Scope::Resource),
            instrumentation: table(Scope::Instrumentation),
            span: table(Scope::Span),
            log: table(Scope::Log),
            metric: table(Scope::Metric),
            // Neither has columns of its own, like the instrumentation scope.
            metadata: KeyTable::new(Scope::Instrumentation, "metric.metadata."),
            part: KeyTable::new(Scope::Instrumentation, ""),
        }
    }

    pub(crate) fn names(&self) -> &IdNames {
        &self.names
    }

    #[inline]
    pub(crate) fn info(&mut self, owner: Owner, key: &[u8]) -> &KeyInfo {
        let table = match owner {
            Owner::Resource => &mut self.resource,
            Owner::Instrumentation => &mut self.instrumentation,
            Owner::Span => &mut self.span,
            Owner::Log => &mut self.log,
            Owner::Metric => &mut self.metric,
            Owner::Metadata => &mut self.metadata,
            Owner::Part => &mut self.part,
        };
        table.info(key, &self.names)
    }
}

impl KeyTable {
    fn new(scope: Scope, prefix: &'static str) -> KeyTable {
        let (positions, keys) = (HashTable::new(), Vec::new());
        KeyTable { scope, prefix, positions, keys, bytes: 0 }
    }

    #[inline]
    fn info(&mut self, key: &[u8], names: &IdNames) -> &KeyInfo {
        let hash = xxh3_64(key);
        let keys = &self.keys;
        let same = |position: &u32| *keys[*position as usize].raw == *key;
        let position = match self.positions.find(hash, same) {
            Some(position) => *position as usize,
            None => self.insert(hash, key, names),
        };
        &self.keys[position]
    }

    #[cold]
    fn insert(&mut self, hash: u64, key: &[u8], id_names: &IdNames) -> usize {
        if self.keys.len() >= KEYS_MAX || self.bytes >= KEYS_BYTES_MAX {
            *self = KeyTable::new(self.scope, self.prefix);
        }
        let text = String::from_utf8_lossy(key);
        // Events, links and exemplars have their own names.
        let is_part = self.prefix.is_empty();
        let current = if is_part { &*text } else { names::current(&text) };
        let column = known(self.scope).iter().position(|(name, _)| *name == current);
        let place = match column {
            Some(position) if text == names::GRPC_STATUS_NUMBER => Place::GrpcCode(position),
            Some(position) => Place::Column(position),
            None if self.scope == Scope::Resource && text == SERVICE_NAME => Place::Service,
            None => Place::Map,
        };
        // Ids of events and links are often those of other requests: they lead here, but they
        // are not the id of this one.
        let id = id_names.find(names::current(&text)).map(|id| match is_part {
            true => IdName { rank: None, ..id },
            false => id,
        });
        let info = KeyInfo {
            raw: key.into(),
            prefixed: format!("{}{}", self.prefix, map_name(&text, current, place)),
            place,
            id,
            weight: WeightKind::of(&text),
        };
        let position = self.keys.len();
        self.bytes += key.len() * 2 + size_of::<KeyInfo>();
        self.keys.push(info);
        let keys = &self.keys;
        let rehash = |position: &u32| xxh3_64(&keys[*position as usize].raw);
        self.positions.insert_unique(hash, position as u32, rehash);
        position
    }
}

/// The name in the map. A value that comes under an old name and does not fit the column of the
/// current one keeps the name that it had; so does the number of a gRPC status.
fn map_name<'a>(name: &'a str, current: &'a str, place: Place) -> &'a str {
    match place {
        Place::Map if name != names::GRPC_STATUS_NUMBER => current,
        _ => name,
    }
}
