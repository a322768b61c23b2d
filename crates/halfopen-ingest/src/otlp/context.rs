//! Resource and scope: decoded once, remembered by the hash of their bytes.

use halfopen_model::ValueType;
use hashbrown::HashTable;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::any_value::{AnyValue, key_value};
use super::keys::{Keys, Owner, Place};
use crate::columns::{Context, KnownValue, raw_key};
use crate::ids::FoundIds;
use crate::otlp::base64_text;
use crate::wire::{Reader, WireError};

/// Contexts remembered between batches. Beyond, all are forgotten: they are quickly read again.
const CONTEXTS_MAX: usize = 1_024;
/// Memory of the contexts remembered between batches.
const CONTEXTS_BYTES_MAX: usize = 16 << 20;

/// Problems of one resource and scope that are told apart; the others look the same.
const PROBLEMS_MAX: usize = 8;
/// Correlation ids of one resource and scope. Every row carries them.
const IDS_MAX: usize = 16;

/// The parts that the items of one `ScopeSpans` (or its like) have in common, as they stand on
/// the wire.
#[derive(Clone, Copy, Default)]
pub(crate) struct ContextParts<'a> {
    pub(crate) resource: &'a [u8],
    pub(crate) resource_schema_url: &'a [u8],
    /// Hash of the two above: a large resource may have many scopes.
    pub(crate) resource_hash: u128,
    pub(crate) scope: &'a [u8],
    pub(crate) scope_schema_url: &'a [u8],
}

impl<'a> ContextParts<'a> {
    /// A resource, still without a scope.
    pub(crate) fn of_resource(resource: &'a [u8], resource_schema_url: &'a [u8]) -> Self {
        let resource_hash = hash_both(xxh3_128(resource), xxh3_128(resource_schema_url));
        ContextParts { resource, resource_schema_url, resource_hash, ..ContextParts::default() }
    }

    fn hash(&self) -> u128 {
        let scope_hash = hash_both(xxh3_128(self.scope), xxh3_128(self.scope_schema_url));
        hash_both(self.resource_hash, scope_hash)
    }
}

fn hash_both(first: u128, second: u128) -> u128 {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&first.to_le_bytes());
    bytes[16..].copy_from_slice(&second.to_le_bytes());
    xxh3_128(&bytes)
}

/// All contexts that the rows of a builder refer to.
#[derive(Default)]
pub(crate) struct Contexts {
    positions: HashTable<u32>,
    contexts: Vec<Context>,
    /// Memory of those that were made since the last batch, and of the others.
    new_bytes: usize,
    old_bytes: usize,
}

impl Contexts {
    pub(crate) fn all(&self) -> &[Context] {
        &self.contexts
    }

    /// Memory of those that were made since the last batch: the others are remembered anyway.
    pub(crate) fn new_bytes(&self) -> usize {
        self.new_bytes
    }

    pub(crate) fn get(&self, position: u32) -> &Context {
        &self.contexts[position as usize]
    }

    /// Forgets contexts that take too much room. No row may refer to one any more.
    pub(crate) fn tidy(&mut self) {
        self.old_bytes += std::mem::take(&mut self.new_bytes);
        if self.contexts.len() > CONTEXTS_MAX || self.old_bytes > CONTEXTS_BYTES_MAX {
            *self = Contexts::default();
        }
    }

    /// The number of the context with these parts.
    pub(crate) fn find(&mut self, parts: &ContextParts<'_>, keys: &mut Keys, depth: usize) -> u32 {
        let hash = parts.hash();
        let contexts = &self.contexts;
        let same = |position: &u32| contexts[*position as usize].hash == hash;
        if let Some(position) = self.positions.find(hash as u64, same) {
            return *position;
        }
        let context = build(parts, hash, keys, depth);
        let position = self.contexts.len() as u32;
        self.new_bytes += context.bytes();
        self.contexts.push(context);
        let contexts = &self.contexts;
        let rehash = |position: &u32| contexts[*position as usize].hash as u64;
        self.positions.insert_unique(hash as u64, position, rehash);
        position
    }
}

/// What is being made of the parts.
struct Building<'b> {
    context: Context,
    keys: &'b mut Keys,
    depth_max: usize,
}

fn build(parts: &ContextParts<'_>, hash: u128, keys: &mut Keys, depth_max: usize) -> Context {
    let context = Context { hash, ..Context::default() };
    let mut building = Building { context, keys, depth_max };
    if let Err(error) = building.resource(parts.resource) {
        building.problem(format!("the resource: {error}"));
    }
    if let Err(error) = building.scope(parts.scope) {
        building.problem(format!("the scope: {error}"));
    }
    let mut context = building.context;
    context.resource_schema_url = context.text("resource_schema_url", parts.resource_schema_url);
    context.scope_schema_url = context.text("scope_schema_url", parts.scope_schema_url);
    context
}

impl Building<'_> {
    fn resource(&mut self, message: &[u8]) -> Result<(), WireError> {
        let mut reader = Reader::new(message);
        while let Some((field, value)) = reader.next()? {
            match field {
                1 => self.attribute(Owner::Resource, value.bytes(field)?),
                2 => self.dropped("resource_dropped_attributes", value.varint(field)?),
                _ => {}
            }
        }
        Ok(())
    }

    fn scope(&mut self, message: &[u8]) -> Result<(), WireError> {
        let mut reader = Reader::new(message);
        while let Some((field, value)) = reader.next()? {
            match field {
                1 => {
                    let name = value.bytes(field)?;
                    self.add_to_series(b"name", name);
                    self.context.scope_name = self.context.text("scope_name", name);
                }
                2 => {
                    let version = value.bytes(field)?;
                    self.add_to_series(b"version", version);
                    self.context.scope_version = self.context.text("scope_version", version);
                }
                3 => self.attribute(Owner::Instrumentation, value.bytes(field)?),
                4 => self.dropped("scope_dropped_attributes", value.varint(field)?),
                _ => {}
            }
        }
        Ok(())
    }

    fn problem(&mut self, problem: String) {
        if self.context.problems.len() < PROBLEMS_MAX {
            self.context.problems.push(problem);
        }
    }

    fn add_to_series(&mut self, kind: &[u8], bytes: &[u8]) {
        let hash = xxh3_64(kind).wrapping_mul(3) ^ xxh3_64(bytes);
        self.context.series = self.context.series.wrapping_add(xxh3_64(&hash.to_le_bytes()));
    }

    fn dropped(&mut self, name: &str, count: u64) {
        if count > 0 {
            let entries = &mut self.context.entries;
            entries.push_stored(&raw_key(name), ValueType::Int, &count.to_string());
        }
    }

    /// Adds an attribute; one that is broken is reported and the others are kept.
    fn attribute(&mut self, owner: Owner, message: &[u8]) {
        let kind: &[u8] = if owner == Owner::Resource { b"resource" } else { b"scope" };
        self.add_to_series(kind, message);
        if let Err(error) = self.try_attribute(owner, message) {
            let whose = String::from_utf8_lossy(kind);
            self.problem(format!("an attribute of the {whose}: {error}"));
        }
    }

    fn try_attribute(&mut self, owner: Owner, message: &[u8]) -> Result<(), WireError> {
        let (key, value) = key_value(message)?;
        let info = self.keys.info(owner, key);
        if let Some(name) = &info.id {
            let mut found = FoundIds::default();
            found.add_value(name, value);
            let owned = |(id, value): (&str, &str)| (id.to_owned(), name.rank, value.to_owned());
            let room = IDS_MAX - self.context.ids.len();
            self.context.ids.extend(found.each().map(owned).take(room));
        }
        let context = &mut self.context;
        match (info.place, value) {
            (Place::Service, AnyValue::Text(text)) if context.service.is_none() => {
                if let Ok(text) = str::from_utf8(text) {
                    context.service = Some(text.to_owned());
                } else {
                    let original = base64_text(text);
                    let key = raw_key("service");
                    context.entries.push_stored(&key, ValueType::BrokenText, &original);
                    context.service = Some(String::from_utf8_lossy(text).into_owned());
                }
                return Ok(());
            }
            (Place::Column(position), _) if !context.known.iter().any(|(p, _)| *p == position) => {
                if let Some(known) = known_value(position, value) {
                    context.known.push((position, known));
                    return Ok(());
                }
            }
            _ => {}
        }
        context.entries.push(&info.prefixed, value, self.depth_max)
    }
}

/// The value in the type of its column, if it has that type.
fn known_value(position: usize, value: AnyValue<'_>) -> Option<KnownValue> {
    use halfopen_model::known::{KnownType, RESOURCE};
    match (RESOURCE[position].1, value) {
        (KnownType::Word, AnyValue::Text(text)) => {
            str::from_utf8(text).ok().map(|text| KnownValue::Word(text.to_owned()))
        }
        (KnownType::Int, AnyValue::Int(value)) => Some(KnownValue::Int(value)),
        _ => None,
    }
}
