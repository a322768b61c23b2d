//! Writes protobuf messages, field by field. Fields with their default value are left out, as
//! every encoder of protobuf 3 does, so that equal messages have equal bytes.

/// A message that is being written.
#[derive(Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

/// Bits of a wire type in a tag.
const TYPE_BITS: u32 = 3;
const TYPE_VARINT: u64 = 0;
const TYPE_FIXED64: u64 = 1;
const TYPE_BYTES: u64 = 2;
const TYPE_FIXED32: u64 = 5;

impl Writer {
    pub(crate) fn new() -> Writer {
        Writer::default()
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Bytes written so far.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Fields that were written elsewhere.
    pub(crate) fn append(&mut self, fields: &[u8]) {
        self.bytes.extend_from_slice(fields);
    }

    /// An integer; 0 is left out.
    pub(crate) fn varint(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.varint_always(field, value);
        }
    }

    /// An integer, also when it is 0 (members of a `oneof`).
    pub(crate) fn varint_always(&mut self, field: u32, value: u64) {
        self.tag(field, TYPE_VARINT);
        self.raw_varint(value);
    }

    /// Eight bytes; 0 is left out.
    pub(crate) fn fixed64(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.fixed64_always(field, value);
        }
    }

    /// Eight bytes, also when they are 0.
    pub(crate) fn fixed64_always(&mut self, field: u32, value: u64) {
        self.tag(field, TYPE_FIXED64);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Four bytes; 0 is left out.
    pub(crate) fn fixed32(&mut self, field: u32, value: u32) {
        if value != 0 {
            self.tag(field, TYPE_FIXED32);
            self.bytes.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// Bytes or text; empty ones are left out.
    pub(crate) fn bytes(&mut self, field: u32, value: &[u8]) {
        if !value.is_empty() {
            self.bytes_always(field, value);
        }
    }

    /// Bytes or text, also when empty.
    pub(crate) fn bytes_always(&mut self, field: u32, value: &[u8]) {
        self.tag(field, TYPE_BYTES);
        self.raw_varint(value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    /// A message inside this one, also when it is empty. `fill` may fail; what it wrote is taken
    /// back then.
    pub(crate) fn message<E>(
        &mut self,
        field: u32,
        fill: impl FnOnce(&mut Writer) -> Result<(), E>,
    ) -> Result<(), E> {
        let before = self.bytes.len();
        self.tag(field, TYPE_BYTES);
        let start = self.bytes.len();
        if let Err(error) = fill(self) {
            self.bytes.truncate(before);
            return Err(error);
        }
        let length = (self.bytes.len() - start) as u64;
        let mut prefix = Writer::new();
        prefix.raw_varint(length);
        self.bytes.splice(start..start, prefix.bytes);
        Ok(())
    }

    fn tag(&mut self, field: u32, wire_type: u64) {
        self.raw_varint(u64::from(field) << TYPE_BITS | wire_type);
    }

    fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

/// The signed form of protobuf's `sint32`: small numbers of either sign are short.
pub(crate) fn zigzag32(value: i32) -> u64 {
    u64::from(((value << 1) ^ (value >> 31)) as u32)
}
