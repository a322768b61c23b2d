//! Protobuf as it stands on the wire.

mod read;
mod write;

pub(crate) use read::{Reader, WireError, WireValue};
pub(crate) use write::{Writer, zigzag32};
