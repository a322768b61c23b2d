//! What a server refused and cut.

use serde::{Deserialize, Serialize};

use super::{TimeV1, Version};

/// The answer of `GET /api/v1/refusals`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RefusalsV1 {
    /// Version.
    pub v: Version,
    /// How often each reason was met on each port since the start; what never happened is left
    /// out.
    pub counts: Vec<RefusedV1>,
    /// The last ones, the newest first; at most 256.
    pub recent: Vec<RefusalV1>,
}

/// How often something was refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RefusedV1 {
    /// `otlp_grpc`, `otlp_http` or `http`.
    pub port: String,
    /// Why; docs/security.md lists the reasons.
    pub reason: String,
    /// How often.
    pub count: u64,
}

/// One refusal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RefusalV1 {
    /// When.
    pub time: TimeV1,
    /// `otlp_grpc`, `otlp_http` or `http`.
    pub port: String,
    /// Why.
    pub reason: String,
    /// Address and port of the other side.
    pub peer: String,
    /// The name of its token, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}
