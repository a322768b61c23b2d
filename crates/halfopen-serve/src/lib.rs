//! The server: it takes telemetry in, keeps it through the store, and answers questions.

pub mod desk;
pub mod wire;
