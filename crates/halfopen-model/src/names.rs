//! Names under which the same thing is known: correlation ids, and attributes that the semantic
//! conventions renamed.

/// Attributes whose value identifies a request or a piece of work across services; compared
/// without regard to case and with `_` for `-`. Names of headers of requests, responses and
/// messages are found behind [`HEADER_PREFIXES`].
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
    "message_id",
    "conversation_id",
    "nats_msg_id",
    "ce_id",
    "cloudevents.event_id",
    "faas.invocation_id",
    "x_amzn_requestid",
    "x_ms_client_request_id",
    "halfopen.idempotency.key",
    "idempotency_key",
    "x_idempotency_key",
    "session.id",
    "trace_id",
    "traceid",
    "x_trace_id",
    "traceparent",
    "b3",
    "uber_trace_id",
    "span_id",
    "spanid",
    "x_b3_spanid",
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

/// The name under which `ids` has the trace that a span is linked to: who has the trace of a
/// message finds the traces of its consumers by it.
pub const SPAN_LINK: &str = "span_link";

/// Prefixes in front of the name of a header, as instrumentations record those of calls and of
/// messages.
pub const HEADER_PREFIXES: &[&str] = &[
    "http.request.header.",
    "http.response.header.",
    "rpc.request.metadata.",
    "rpc.response.metadata.",
    "rpc.grpc.request.metadata.",
    "rpc.grpc.response.metadata.",
    "rpc.connect_rpc.request.metadata.",
    "rpc.connect_rpc.response.metadata.",
    "messaging.header.",
    "messaging.headers.",
    "messaging.message.header.",
    "messaging.message.headers.",
    "messaging.kafka.header.",
    "messaging.kafka.headers.",
    "messaging.kafka.message.header.",
    "messaging.rabbitmq.header.",
    "messaging.rabbitmq.message.header.",
    "messaging.amqp.header.",
    "messaging.nats.header.",
    "messaging.nats.message.header.",
];

/// Old names of attributes and the current ones (one to one, same values), semantic conventions
/// v1.44.0. Values that come under an old name are stored under the current one; whoever asks for
/// one name finds both. Names whose meaning was split or joined are no aliases: `http.target`
/// (path and query), `http.host` (address and port), `rpc.service` (part of `rpc.method` now).
pub const RENAMED: &[(&str, &str)] = &[
    ("code.filepath", "code.file.path"),
    ("code.function", "code.function.name"),
    ("code.lineno", "code.line.number"),
    ("db.cassandra.table", "db.collection.name"),
    ("db.mongodb.collection", "db.collection.name"),
    ("db.name", "db.namespace"),
    ("db.operation", "db.operation.name"),
    ("db.sql.table", "db.collection.name"),
    ("db.statement", "db.query.text"),
    ("db.system", "db.system.name"),
    ("deployment.environment", "deployment.environment.name"),
    ("feature_flag.provider_name", "feature_flag.provider.name"),
    ("feature_flag.variant", "feature_flag.result.variant"),
    ("http.client_ip", "client.address"),
    ("http.flavor", "network.protocol.version"),
    ("http.method", "http.request.method"),
    ("http.request_content_length", "http.request.body.size"),
    ("http.resend_count", "http.request.resend_count"),
    ("http.response_content_length", "http.response.body.size"),
    ("http.scheme", "url.scheme"),
    ("http.status_code", "http.response.status_code"),
    ("http.url", "url.full"),
    ("http.user_agent", "user_agent.original"),
    ("messaging.client_id", "messaging.client.id"),
    ("messaging.conversation_id", "messaging.message.conversation_id"),
    ("messaging.destination", "messaging.destination.name"),
    ("messaging.kafka.consumer.group", "messaging.consumer.group.name"),
    ("messaging.kafka.consumer_group", "messaging.consumer.group.name"),
    ("messaging.kafka.message.offset", "messaging.kafka.offset"),
    ("messaging.kafka.message_key", "messaging.kafka.message.key"),
    ("messaging.message_id", "messaging.message.id"),
    ("messaging.operation", "messaging.operation.type"),
    ("net.peer.name", "server.address"),
    ("net.peer.port", "server.port"),
    ("net.protocol.name", "network.protocol.name"),
    ("net.protocol.version", "network.protocol.version"),
    ("net.sock.peer.addr", "network.peer.address"),
    ("net.sock.peer.port", "network.peer.port"),
    ("peer.service", "service.peer.name"),
    ("rpc.response.status_code", "rpc.status_code"),
    ("rpc.system", "rpc.system.name"),
];

/// The old name of [`GRPC_STATUS`]; its values are numbers, which [`grpc_code`] names.
pub const GRPC_STATUS_NUMBER: &str = "rpc.grpc.status_code";
/// The gRPC status of a call, by name.
pub const GRPC_STATUS: &str = "rpc.status_code";

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
    if name == GRPC_STATUS_NUMBER {
        return GRPC_STATUS;
    }
    RENAMED.iter().find(|(old, _)| *old == name).map_or(name, |(_, new)| new)
}

/// Old names under which values of an attribute come that are the same in both; `name` is the
/// current one.
pub fn old(name: &str) -> impl Iterator<Item = &'static str> {
    RENAMED.iter().filter(move |(_, new)| *new == name).map(|(old, _)| *old)
}

/// The name of a gRPC status code.
pub fn grpc_code(number: i64) -> Option<&'static str> {
    GRPC_CODES.get(usize::try_from(number).ok()?).copied()
}

/// The name of a header without what stands before it; other names as they are.
pub fn header_name(name: &str) -> &str {
    HEADER_PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}

/// Whether an attribute of this name carries a correlation id; gives the name to file it under
/// (headers without their prefix).
pub fn correlation_name(name: &str) -> Option<&str> {
    let bare = header_name(name);
    CORRELATION_IDS.iter().any(|id| same_name(id, bare)).then_some(bare)
}

/// The rank of a name among the names of request ids, 0 the preferred one.
pub fn request_id_rank(name: &str) -> Option<usize> {
    let bare = header_name(name);
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
        assert_eq!(current("rpc.grpc.status_code"), "rpc.status_code");
        let old: Vec<_> = old("db.collection.name").collect();
        assert_eq!(old, ["db.cassandra.table", "db.mongodb.collection", "db.sql.table"]);
        for (old, new) in RENAMED {
            assert_eq!(current(new), *new, "{new} is current");
            assert_ne!(old, new);
        }
        assert!(RENAMED.is_sorted_by(|a, b| a.0 < b.0), "each old name once");
    }

    #[test]
    fn numbers_of_grpc_codes_have_names() {
        assert_eq!(grpc_code(4), Some("DEADLINE_EXCEEDED"));
        assert_eq!((grpc_code(17), grpc_code(-1)), (None, None));
    }
}
