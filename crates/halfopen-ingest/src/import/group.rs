//! What importers make: groups of evidence in a neutral form, and that form as bytes, in which a
//! group travels to a running server.

use std::convert::Infallible;

use crate::settings::Signal;
use crate::wire::{Reader, WireError, Writer};

/// A group is handed on when it holds so many bytes; one item more may make it larger.
pub(crate) const GROUP_BYTES: usize = 2 << 20;
/// Rows of exchanges and changes, and rejects, of one group.
pub(crate) const GROUP_ROWS: usize = 20_000;
/// Bytes of a body of an exchange that are kept.
pub(crate) const EXCHANGE_BODY_BYTES_MAX: usize = 64 << 10;

/// Evidence on its way from an importer to the store.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Group {
    pub(crate) parts: Vec<Part>,
    pub(crate) exchanges: Vec<Exchange>,
    pub(crate) changes: Vec<Change>,
    pub(crate) rejects: Vec<Reject>,
}

/// Telemetry of one signal: an export request in protobuf.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    pub(crate) signal: Signal,
    /// What the source was.
    pub(crate) format: String,
    /// Where in the source it begins.
    pub(crate) place: String,
    pub(crate) body: Vec<u8>,
}

/// A recorded request with its answer.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Exchange {
    pub(crate) exchange_id: String,
    pub(crate) time: i64,
    pub(crate) duration_ns: Option<i64>,
    pub(crate) connection_id: String,
    pub(crate) caller: String,
    pub(crate) service: String,
    pub(crate) protocol: String,
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) status: Option<i64>,
    pub(crate) ended: String,
    pub(crate) request: Message,
    pub(crate) response: Message,
    /// Keys and values in their stored form.
    pub(crate) attributes: Vec<Attribute>,
}

/// One side of an exchange.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Message {
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Option<Vec<u8>>,
    /// Size of the body before any bound.
    pub(crate) bytes: Option<u64>,
}

/// A change to the system. Empty texts are null.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Change {
    pub(crate) time: i64,
    pub(crate) end_time: Option<i64>,
    /// The columns of text, in the order of [`CHANGE_TEXTS`].
    pub(crate) texts: [String; CHANGE_TEXTS.len()],
    pub(crate) files: Vec<String>,
    pub(crate) attributes: Vec<Attribute>,
}

/// Columns of `changes` that hold text.
pub(crate) const CHANGE_TEXTS: [&str; 11] = [
    "change_id",
    "kind",
    "title",
    "service",
    "version",
    "previous_version",
    "instance",
    "environment",
    "commit",
    "author",
    "diff",
];

/// So many of them, from the first, are in every row.
const CHANGE_TEXTS_REQUIRED: usize = 3;

/// A key, the tag of its type, and its value as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Attribute {
    pub(crate) key: String,
    pub(crate) tag: u8,
    pub(crate) text: String,
}

/// Something that could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Reject {
    pub(crate) format: String,
    /// Where in the source it stands.
    pub(crate) place: String,
    pub(crate) reason: String,
    pub(crate) items: u64,
    /// Size of what could not be read.
    pub(crate) raw_bytes: u64,
    /// Its first bytes.
    pub(crate) raw: Vec<u8>,
}

impl Group {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        let rows = self.exchanges.len() + self.changes.len() + self.rejects.len();
        self.parts.is_empty() && rows == 0
    }

    /// The group as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        for part in &self.parts {
            message(&mut out, 1, |out| {
                out.varint(1, part.signal as u64);
                out.bytes(2, part.format.as_bytes());
                out.bytes(3, part.place.as_bytes());
                out.bytes(4, &part.body);
            });
        }
        for exchange in &self.exchanges {
            message(&mut out, 2, |out| write_exchange(exchange, out));
        }
        for change in &self.changes {
            message(&mut out, 3, |out| write_change(change, out));
        }
        for reject in &self.rejects {
            message(&mut out, 4, |out| {
                out.bytes(1, reject.format.as_bytes());
                out.bytes(2, reject.place.as_bytes());
                out.bytes(3, reject.reason.as_bytes());
                out.varint(4, reject.items);
                out.varint(5, reject.raw_bytes);
                out.bytes(6, &reject.raw);
            });
        }
        out.into_bytes()
    }

    /// Reads what [`Group::encode`] wrote.
    ///
    /// # Errors
    /// When the bytes are no group.
    pub fn decode(bytes: &[u8]) -> Result<Group, GroupError> {
        let mut group = Group::default();
        let mut reader = Reader::new(bytes);
        while let Some((field, value)) = reader.next()? {
            let inner = Reader::new(value.bytes(field)?);
            match field {
                1 => group.parts.push(read_part(inner)?),
                2 => group.exchanges.push(read_exchange(inner)?),
                3 => group.changes.push(read_change(inner)?),
                4 => group.rejects.push(read_reject(inner)?),
                _ => {}
            }
        }
        Ok(group)
    }
}

/// Why bytes are no group.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GroupError {
    /// They are no protobuf message.
    #[error("the group cannot be read: {0}")]
    Wire(String),
    /// A part names a signal that there is not.
    #[error("the group names the signal {0}, there are 0 to 2")]
    Signal(u64),
    /// A row lacks what every row of its table has.
    #[error("the group holds a row of {table} without {column}")]
    Missing {
        /// The table.
        table: &'static str,
        /// What is missing.
        column: &'static str,
    },
}

impl From<WireError> for GroupError {
    fn from(error: WireError) -> GroupError {
        GroupError::Wire(error.to_string())
    }
}

/// A message inside another one, whose fields cannot fail to be written.
pub(crate) fn message(out: &mut Writer, field: u32, fill: impl FnOnce(&mut Writer)) {
    let filled = out.message(field, |out| {
        fill(out);
        Ok::<(), Infallible>(())
    });
    match filled {
        Ok(()) => {}
        Err(never) => match never {},
    }
}

fn write_attributes(attributes: &[Attribute], field: u32, out: &mut Writer) {
    for attribute in attributes {
        message(out, field, |out| {
            out.bytes(1, attribute.key.as_bytes());
            out.varint(2, u64::from(attribute.tag));
            out.bytes(3, attribute.text.as_bytes());
        });
    }
}

fn write_exchange(exchange: &Exchange, out: &mut Writer) {
    let texts = [
        &exchange.exchange_id,
        &exchange.connection_id,
        &exchange.caller,
        &exchange.service,
        &exchange.protocol,
        &exchange.method,
        &exchange.url,
        &exchange.ended,
    ];
    for (field, text) in (1..).zip(texts) {
        out.bytes(field, text.as_bytes());
    }
    out.fixed64(20, exchange.time as u64);
    if let Some(duration_ns) = exchange.duration_ns {
        out.fixed64_always(21, duration_ns as u64);
    }
    if let Some(status) = exchange.status {
        out.fixed64_always(22, status as u64);
    }
    for (field, side) in [(23, &exchange.request), (24, &exchange.response)] {
        message(out, field, |out| write_side(side, out));
    }
    write_attributes(&exchange.attributes, 25, out);
}

fn write_side(side: &Message, out: &mut Writer) {
    for (name, value) in &side.headers {
        message(out, 1, |out| {
            out.bytes(1, name.as_bytes());
            out.bytes(2, value);
        });
    }
    if let Some(body) = &side.body {
        out.bytes_always(2, body);
    }
    if let Some(bytes) = side.bytes {
        out.varint_always(3, bytes);
    }
}

fn write_change(change: &Change, out: &mut Writer) {
    for (field, text) in (1..).zip(&change.texts) {
        out.bytes(field, text.as_bytes());
    }
    out.fixed64(20, change.time as u64);
    if let Some(end) = change.end_time {
        out.fixed64_always(21, end as u64);
    }
    for file in &change.files {
        out.bytes_always(22, file.as_bytes());
    }
    write_attributes(&change.attributes, 23, out);
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn read_part(mut reader: Reader<'_>) -> Result<Part, GroupError> {
    let (mut signal, mut format, mut place) = (0, String::new(), String::new());
    let mut body = Vec::new();
    while let Some((field, value)) = reader.next()? {
        match field {
            1 => signal = value.varint(field)?,
            2 => format = text(value.bytes(field)?),
            3 => place = text(value.bytes(field)?),
            4 => body = value.bytes(field)?.to_vec(),
            _ => {}
        }
    }
    let known = Signal::ALL.into_iter().find(|known| *known as u64 == signal);
    Ok(Part { signal: known.ok_or(GroupError::Signal(signal))?, format, place, body })
}

fn read_attribute(mut reader: Reader<'_>) -> Result<Attribute, GroupError> {
    let mut attribute = Attribute { key: String::new(), tag: 0, text: String::new() };
    while let Some((field, value)) = reader.next()? {
        match field {
            1 => attribute.key = text(value.bytes(field)?),
            2 => attribute.tag = value.varint(field)? as u8,
            3 => attribute.text = text(value.bytes(field)?),
            _ => {}
        }
    }
    Ok(attribute)
}

fn read_exchange(mut reader: Reader<'_>) -> Result<Exchange, GroupError> {
    let mut exchange = Exchange::default();
    while let Some((field, value)) = reader.next()? {
        match field {
            1 => exchange.exchange_id = text(value.bytes(field)?),
            2 => exchange.connection_id = text(value.bytes(field)?),
            3 => exchange.caller = text(value.bytes(field)?),
            4 => exchange.service = text(value.bytes(field)?),
            5 => exchange.protocol = text(value.bytes(field)?),
            6 => exchange.method = text(value.bytes(field)?),
            7 => exchange.url = text(value.bytes(field)?),
            8 => exchange.ended = text(value.bytes(field)?),
            20 => exchange.time = value.fixed64(field)? as i64,
            21 => exchange.duration_ns = Some(value.fixed64(field)? as i64),
            22 => exchange.status = Some(value.fixed64(field)? as i64),
            23 => exchange.request = read_side(Reader::new(value.bytes(field)?))?,
            24 => exchange.response = read_side(Reader::new(value.bytes(field)?))?,
            25 => exchange.attributes.push(read_attribute(Reader::new(value.bytes(field)?))?),
            _ => {}
        }
    }
    let Exchange { exchange_id, protocol, ended, .. } = &exchange;
    let required = [("exchange_id", exchange_id), ("protocol", protocol), ("ended", ended)];
    present("exchanges", required.into_iter())?;
    Ok(exchange)
}

fn read_side(mut reader: Reader<'_>) -> Result<Message, GroupError> {
    let mut side = Message::default();
    while let Some((field, value)) = reader.next()? {
        match field {
            1 => {
                let mut header = (String::new(), Vec::new());
                let mut inner = Reader::new(value.bytes(field)?);
                while let Some((field, value)) = inner.next()? {
                    match field {
                        1 => header.0 = text(value.bytes(field)?),
                        2 => header.1 = value.bytes(field)?.to_vec(),
                        _ => {}
                    }
                }
                side.headers.push(header);
            }
            2 => side.body = Some(value.bytes(field)?.to_vec()),
            3 => side.bytes = Some(value.varint(field)?),
            _ => {}
        }
    }
    Ok(side)
}

fn read_change(mut reader: Reader<'_>) -> Result<Change, GroupError> {
    let mut change = Change::default();
    while let Some((field, value)) = reader.next()? {
        match field {
            1..=11 => change.texts[field as usize - 1] = text(value.bytes(field)?),
            20 => change.time = value.fixed64(field)? as i64,
            21 => change.end_time = Some(value.fixed64(field)? as i64),
            22 => change.files.push(text(value.bytes(field)?)),
            23 => change.attributes.push(read_attribute(Reader::new(value.bytes(field)?))?),
            _ => {}
        }
    }
    let names = CHANGE_TEXTS.into_iter().zip(&change.texts);
    present("changes", names.take(CHANGE_TEXTS_REQUIRED))?;
    Ok(change)
}

/// Texts that no row goes without.
fn present<'a>(
    table: &'static str,
    mut texts: impl Iterator<Item = (&'static str, &'a String)>,
) -> Result<(), GroupError> {
    match texts.find(|(_, text)| text.is_empty()) {
        Some((column, _)) => Err(GroupError::Missing { table, column }),
        None => Ok(()),
    }
}

fn read_reject(mut reader: Reader<'_>) -> Result<Reject, GroupError> {
    let [mut format, mut place, mut reason] = [const { String::new() }; 3];
    let (mut items, mut raw_bytes, mut raw) = (0, 0, Vec::new());
    while let Some((field, value)) = reader.next()? {
        match field {
            1 => format = text(value.bytes(field)?),
            2 => place = text(value.bytes(field)?),
            3 => reason = text(value.bytes(field)?),
            4 => items = value.varint(field)?,
            5 => raw_bytes = value.varint(field)?,
            6 => raw = value.bytes(field)?.to_vec(),
            _ => {}
        }
    }
    Ok(Reject { format, place, reason, items, raw_bytes, raw })
}

#[cfg(test)]
mod tests;
