//! The server: takes telemetry in, answers questions over HTTP, and connects the rooms to the
//! store.
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | settings of every room: file, environment, flags |
//! | [`life`] | starting, and stopping without loss |
//! | `guard` | tokens, TLS, bounds of one sender, the record of refusals |
//! | `listen`, `body` | connections and bodies, bounded in number, size, time and memory |
//! | `otlp` | OTLP over gRPC and HTTP |
//! | `intake` | exports become groups of rows, groups become durable, then they are acknowledged |
//! | [`import`] | rows that others wrote, each kept once however often it is imported |
//! | [`desk`] | which rows a question needs, and who analyses them |
//! | [`wire`] | the versioned JSON forms of questions and answers |
//! | `api` | the routes over HTTP: health, metrics, questions, changes |
//! | [`reported`] | changes as pipelines, repositories and clusters write them down |
//! | `meter` | what the server counts about itself |
//!
//! **Invariant:** an export is acknowledged only after all of its rows are durable.
//!
//! **Invariant:** whatever arrives, memory stays bounded: connections, bodies, rows that wait and
//! questions each have a bound, and reaching it is an answer that says so.
//!
//! **Invariant:** without tokens only loopback addresses are listened on; with tokens nothing but
//! health is answered without one.

mod api;
mod body;
pub mod config;
pub mod desk;
mod guard;
pub mod import;
mod intake;
pub mod life;
mod listen;
mod meter;
mod otlp;
pub mod reported;
pub mod task;
pub mod wire;

pub use config::Config;
pub use guard::{PLAIN_ANSWER, Scope, TlsError, TokenEntry};
pub use life::{Addresses, Receivers, ServeError, Server, StopReport, start};
