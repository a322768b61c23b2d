//! Reads protobuf messages field by field, without copying and without trust.

/// Reads the fields of one message.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

/// The value of a field, by its wire type.
#[derive(Clone, Copy, Debug)]
pub(crate) enum WireValue<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// Why bytes are no protobuf message, or not the expected one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("it ends inside a number")]
    Cut,
    #[error("a number has more than 64 bits")]
    Long,
    #[error("a field has the number 0 or one above 536870911")]
    FieldNumber,
    #[error("field {field} has the wire type {wire_type}, which protobuf 3 does not use")]
    WireType { field: u32, wire_type: u8 },
    #[error("field {field} claims {claimed} bytes, {present} are left")]
    Torn { field: u32, claimed: u64, present: usize },
    #[error("field {field} has another type than OTLP gives it")]
    Mismatch { field: u32 },
}

/// Bytes of the longest 64-bit number.
const VARINT_BYTES_MAX: usize = 10;
/// The largest number of a field.
const FIELD_MAX: u64 = (1 << 29) - 1;

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) fn new(message: &'a [u8]) -> Reader<'a> {
        Reader { rest: message }
    }

    /// What was not read yet. After [`WireError::Torn`]: what is there of the torn field.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next field with its number; `None` at the end. Always inlined: half of all time would
    /// go into handing its result over.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Result<Option<(u32, WireValue<'a>)>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 || number > FIELD_MAX {
            return Err(WireError::FieldNumber);
        }
        let field = number as u32;
        let value = match tag & 7 {
            0 => WireValue::Varint(self.varint()?),
            1 => WireValue::Fixed64(u64::from_le_bytes(self.fixed(field)?)),
            2 => WireValue::Bytes(self.bytes(field)?),
            5 => WireValue::Fixed32(u32::from_le_bytes(self.fixed(field)?)),
            wire_type => return Err(WireError::WireType { field, wire_type: wire_type as u8 }),
        };
        Ok(Some((field, value)))
    }

    /// A number without a tag, as packed fields hold them.
    #[inline(always)]
    pub(crate) fn varint(&mut self) -> Result<u64, WireError> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0_u64;
        for (index, byte) in self.rest.iter().take(VARINT_BYTES_MAX).enumerate() {
            if index == VARINT_BYTES_MAX - 1 && *byte > 1 {
                return Err(WireError::Long);
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(WireError::Cut)
    }

    #[inline]
    fn fixed<const N: usize>(&mut self, field: u32) -> Result<[u8; N], WireError> {
        let present = self.rest.len();
        let Some((value, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(WireError::Torn { field, claimed: N as u64, present });
        };
        self.rest = rest;
        Ok(*value)
    }

    #[inline(always)]
    fn bytes(&mut self, field: u32) -> Result<&'a [u8], WireError> {
        let claimed = self.varint()?;
        let present = self.rest.len();
        match usize::try_from(claimed) {
            Ok(length) if length <= present => {
                let (value, rest) = self.rest.split_at(length);
                self.rest = rest;
                Ok(value)
            }
            _ => Err(WireError::Torn { field, claimed, present }),
        }
    }
}

impl<'a> WireValue<'a> {
    #[inline]
    pub(crate) fn bytes(self, field: u32) -> Result<&'a [u8], WireError> {
        match self {
            WireValue::Bytes(bytes) => Ok(bytes),
            _ => Err(WireError::Mismatch { field }),
        }
    }

    #[inline]
    pub(crate) fn varint(self, field: u32) -> Result<u64, WireError> {
        match self {
            WireValue::Varint(value) => Ok(value),
            _ => Err(WireError::Mismatch { field }),
        }
    }

    #[inline]
    pub(crate) fn fixed64(self, field: u32) -> Result<u64, WireError> {
        match self {
            WireValue::Fixed64(value) => Ok(value),
            _ => Err(WireError::Mismatch { field }),
        }
    }

    #[inline]
    pub(crate) fn fixed32(self, field: u32) -> Result<u32, WireError> {
        match self {
            WireValue::Fixed32(value) => Ok(value),
            _ => Err(WireError::Mismatch { field }),
        }
    }

    /// A float of eight bytes.
    #[inline]
    pub(crate) fn double(self, field: u32) -> Result<f64, WireError> {
        self.fixed64(field).map(f64::from_bits)
    }

    /// A signed number in the form that keeps small ones short (`sint32`).
    pub(crate) fn zigzag(self, field: u32) -> Result<i64, WireError> {
        let value = self.varint(field)? as u32;
        Ok(i64::from((value >> 1) as i32 ^ -((value & 1) as i32)))
    }

    /// Numbers of eight bytes: one alone, or many packed.
    pub(crate) fn each_fixed64(
        self,
        field: u32,
        mut take: impl FnMut(u64),
    ) -> Result<(), WireError> {
        let WireValue::Bytes(packed) = self else {
            take(self.fixed64(field)?);
            return Ok(());
        };
        let (numbers, rest) = packed.as_chunks::<8>();
        numbers.iter().for_each(|number| take(u64::from_le_bytes(*number)));
        if rest.is_empty() { Ok(()) } else { Err(WireError::Cut) }
    }

    /// Numbers of variable size: one alone, or many packed.
    pub(crate) fn each_varint(
        self,
        field: u32,
        mut take: impl FnMut(u64),
    ) -> Result<(), WireError> {
        let WireValue::Bytes(packed) = self else {
            take(self.varint(field)?);
            return Ok(());
        };
        let mut numbers = Reader::new(packed);
        while !numbers.rest.is_empty() {
            take(numbers.varint()?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Writer, zigzag32};

    fn fields(message: &[u8]) -> Result<Vec<(u32, String)>, WireError> {
        let mut reader = Reader::new(message);
        let mut found = Vec::new();
        while let Some((number, value)) = reader.next()? {
            found.push((number, format!("{value:?}")));
        }
        Ok(found)
    }

    #[test]
    fn what_the_writer_writes_is_read_again() {
        let mut writer = Writer::new();
        writer.varint(1, u64::MAX);
        writer.fixed64(2, 7);
        writer.bytes(3, b"ab");
        writer.fixed32(500_000, 9);
        writer.varint(5, 0);
        writer.varint_always(6, zigzag32(-3));
        let bytes = writer.into_bytes();
        let expected = [
            (1, "Varint(18446744073709551615)"),
            (2, "Fixed64(7)"),
            (3, "Bytes([97, 98])"),
            (500_000, "Fixed32(9)"),
            (6, "Varint(5)"),
        ];
        let expected: Vec<_> = expected.map(|(number, value)| (number, value.to_owned())).into();
        assert_eq!(fields(&bytes), Ok(expected));
        assert_eq!(WireValue::Varint(5).zigzag(6), Ok(-3));
    }

    #[test]
    fn what_is_no_message_says_why() {
        assert_eq!(fields(b"\x80"), Err(WireError::Cut));
        assert_eq!(fields(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), Err(WireError::Long));
        assert_eq!(fields(b"\x00\x01"), Err(WireError::FieldNumber));
        let group = WireError::WireType { field: 1, wire_type: 3 };
        assert_eq!(fields(b"\x0b"), Err(group));
        let torn = WireError::Torn { field: 1, claimed: 5, present: 2 };
        assert_eq!(fields(b"\x0a\x05ab"), Err(torn));
        let huge = b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        let torn = WireError::Torn { field: 1, claimed: u64::MAX, present: 0 };
        assert_eq!(fields(huge), Err(torn));
    }
}
