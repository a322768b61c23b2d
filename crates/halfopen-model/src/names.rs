//! Names under which the same thing is known: correlation ids, and attributes that the semantic
//! conventions renamed.

/// Attributes whose value identifies a request or a piece of work across services; compared
/// without regard to case and with `_` for `-`. Names of request and response headers are found
/// behind `http.request.header.`, `http.response.header.` and `rpc.request.metadata.`.
pub const CORRELATION_IDS: &[&str] = &[
    "halfopen.request.id",
    "request_id",
    "request.id",
    "requestid",
    "x_request_id",
    "correlation_id",
    "correlation.id",
    "correlationid",
    "x_correlation_id",
    "x_amzn_trace_id",
    "x_b3_traceid",
    "x_cloud_trace_context",
    "halfopen.request.parent_id",
    "messaging.message.conversation_id",
    "messaging.message.id",
    "halfopen.idempotency.key",
    "idempotency_key",
    "x_idempotency_key",
    "session.id",
    "trace_id",
    "traceid",
    "traceparent",
    "cicd.pipeline.run.id",
];

/// Of those, the names whose value is the id of the request itself, the preferred one first.
pub const REQUEST_IDS: &[&str] = &[
    "halfopen.request.id",
    "x_request_id",
    "request_id",
    "request.id",
    "requestid",
    "x_correlation_id",
    "correlation_id",
    "correlation.id",
    "correlationid",
];

/// Prefixes in front of the name of a header.
pub const HEADER_PREFIXES: &[&str] =
    &["http.request.header.", "http.response.header.", "rpc.request.metadata."];

/// Old names of attributes and the current ones (one to one, same values), semantic conventions
/// v1.44.0.
pub const RENAMED: &[(&str, &str)] = &[
    ("http.method", "http.request.method"),
    ("http.status_code", "http.response.status_code"),
    ("http.url", "url.full"),
    ("http.scheme", "url.scheme"),
    ("http.user_agent", "user_agent.original"),
    ("http.resend_count", "http.request.resend_count"),
    ("net.peer.name", "server.address"),
    ("net.peer.port", "server.port"),
    ("net.sock.peer.addr", "network.peer.address"),
    ("net.sock.peer.port", "network.peer.port"),
    ("db.system", "db.system.name"),
    ("db.name", "db.namespace"),
    ("db.operation", "db.operation.name"),
    ("db.statement", "db.query.text"),
    ("db.sql.table", "db.collection.name"),
    ("rpc.system", "rpc.system.name"),
    ("peer.service", "service.peer.name"),
    ("deployment.environment", "deployment.environment.name"),
    ("messaging.destination", "messaging.destination.name"),
    ("messaging.operation", "messaging.operation.type"),
    ("code.function", "code.function.name"),
    ("code.filepath", "code.file.path"),
    ("code.lineno", "code.line.number"),
];

/// gRPC status codes by number (grpc/doc/statuscodes.md), for `rpc.grpc.status_code`.
pub const GRPC_CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The current name of an attribute.
pub fn current(name: &str) -> &str {
    RENAMED.iter().find(|(old, _)| *old == name).map_or(name, |(_, new)| new)
}

/// Whether an attribute of this name carries a correlation id; gives the name to file it under
/// (headers without their prefix).
pub fn correlation_name(name: &str) -> Option<&str> {
    let bare = HEADER_PREFIXES.iter().find_map(|p| name.strip_prefix(p)).unwrap_or(name);
    CORRELATION_IDS.iter().any(|id| same_name(id, bare)).then_some(bare)
}

/// The rank of a name among the names of request ids, 0 the preferred one.
pub fn request_id_rank(name: &str) -> Option<usize> {
    let bare = HEADER_PREFIXES.iter().find_map(|p| name.strip_prefix(p)).unwrap_or(name);
    REQUEST_IDS.iter().position(|id| same_name(id, bare))
}

/// Whether a name is `known`, which is in lower case with `_`: case does not matter, nor does `-`
/// for `_`.
pub fn same_name(known: &str, name: &str) -> bool {
    let fold = |byte: u8| if byte == b'-' { b'_' } else { byte.to_ascii_lowercase() };
    known.len() == name.len() && known.bytes().zip(name.bytes()).all(|(a, b)| fold(a) == fold(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_spellings_lead_to_one_name() {
        assert_eq!(correlation_name("X-Request-ID"), Some("X-Request-ID"));
        assert_eq!(correlation_name("http.request.header.x-request-id"), Some("x-request-id"));
        assert_eq!(correlation_name("http.route"), None);
        assert_eq!(request_id_rank("halfopen.request.id"), Some(0));
        assert_eq!(request_id_rank("http.request.header.X-Request-Id"), Some(1));
        assert_eq!(request_id_rank("session.id"), None);
    }

    #[test]
    fn renamed_attributes_have_one_current_name() {
        assert_eq!(current("http.status_code"), "http.response.status_code");
        assert_eq!(current("http.route"), "http.route");
    }
}
