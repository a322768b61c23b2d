//! What attributes are called and what that says: which follow from the failure itself, which
//! only number things, and which name a value best.

/// Attributes whose name begins with one of these tell of the failure itself, so they follow
/// from the selection of failing requests.
const FOLLOWS_PREFIX: &[&str] = &["error", "exception", "otel.status", "status"];

/// So do those with one of these.
const FOLLOWS: &[&str] = &[
    "db.response.status_code",
    "grpc.error_message",
    "grpc.error_name",
    "http.error_message",
    "http.error_name",
    "http.request.resend_count",
    "http.resend_count",
    "http.response.body.size",
    "http.response_content_length",
    "http.status_text",
    "rpc.grpc.status_code",
    "rpc.response.status_code",
    "rpc.status_code",
];

/// Parts of a name that tell of a failure, between points, underscores and hyphens.
const FOLLOWS_PART: &[&str] =
    &["error", "errors", "exception", "failed", "failure", "stacktrace", "retries", "retry"];

/// Attributes that number things: no value of theirs is the reason of anything.
const NUMBERS: &[&str] = &[
    "client.port",
    "code.line.number",
    "code.lineno",
    "net.host.port",
    "net.peer.port",
    "net.sock.host.port",
    "net.sock.peer.port",
    "network.local.port",
    "network.peer.port",
    "process.parent_pid",
    "thread.id",
    "thread.name",
];

/// Names that begin with one of these describe a call: what was called, how and over what.
const DESCRIBES_CALL_PREFIX: &[&str] = &[
    "client.",
    "code.",
    "db.",
    "http.",
    "messaging.",
    "net.",
    "network.",
    "peer.",
    "rpc.",
    "server.",
    "service.peer.",
    "url.",
];

/// Splits `span.http.route` into its key without the scope.
fn key(attribute: &str) -> &str {
    ["span.", "resource.", "scope."]
        .iter()
        .find_map(|prefix| attribute.strip_prefix(prefix))
        .unwrap_or(attribute)
}

fn parts(key: &str) -> impl Iterator<Item = &str> {
    key.split(['.', '_', '-'])
}

/// Whether an attribute is no explanation: it follows from the failure or only numbers things.
pub(crate) fn is_left_out(attribute: &str) -> bool {
    let key = key(attribute);
    FOLLOWS_PREFIX.iter().any(|prefix| key.starts_with(prefix))
        || FOLLOWS.contains(&key)
        || NUMBERS.contains(&key)
        || key.starts_with("tailsampling.")
        || halfopen_model::names::correlation_name(key).is_some_and(|_| key != "session.id")
        || parts(key).any(|part| FOLLOWS_PART.contains(&part))
}

/// Whether an attribute is an outcome: left out where the span that carries it failed, an
/// observation elsewhere (a rate limiter that answers 429 has not failed itself).
pub(crate) fn is_outcome(attribute: &str) -> bool {
    matches!(key(attribute), "http.response.status_code" | "http.status_code")
}

/// Whether an attribute of a span describes a call and no property of who makes it.
pub(crate) fn describes_call(attribute: &str) -> bool {
    let of_span = attribute.strip_prefix("span.");
    of_span.is_some_and(|key| DESCRIBES_CALL_PREFIX.iter().any(|prefix| key.starts_with(prefix)))
}

/// How telling a name is, 0 the most: of attributes that hold for the same requests, the one
/// with the lowest rank is shown.
pub(crate) fn rank(attribute: &str, value: &str) -> u8 {
    let key = key(attribute);
    let opaque = if looks_opaque(value) { 8 } else { 0 };
    let has = |wanted: &[&str]| parts(key).any(|part| wanted.contains(&part));
    let by_name = match key {
        "service.version" => 0,
        "deployment.id" | "container.image.name" | "vcs.ref.head.revision" => 9,
        "service.instance.id" => 4,
        "k8s.pod.name" => 3,
        "host.name" | "k8s.node.name" => 5,
        "host.id" | "container.id" | "k8s.pod.uid" | "process.pid" => 12,
        "name" => 7,
        "calls" => 8,
        _ if has(&["flag", "feature", "experiment", "variant"]) => 1,
        _ if has(&["tenant", "customer", "account", "shop"]) => 2,
        _ if has(&["region", "zone", "datacenter", "cluster"]) => 5,
        _ if attribute.starts_with("span.") => match key {
            "http.route" | "rpc.method" | "messaging.destination.name" => 6,
            _ if key.starts_with("http.") || key.starts_with("url.") => 9,
            _ if key.starts_with("network.") || key.starts_with("server.") => 10,
            _ if key.starts_with("code.") || key.starts_with("thread.") => 11,
            _ => 2,
        },
        _ if key.starts_with("telemetry.") || key.starts_with("process.") => 12,
        _ => 9,
    };
    // Of an old name and the current one the current one is shown.
    by_name + opaque + u8::from(halfopen_model::names::current(key) != key)
}

/// Whether an attribute of a resource says which build or place runs: it changes with a deploy.
pub(crate) fn is_deployed(attribute: &str) -> bool {
    attribute.starts_with("resource.")
}

/// Hexadecimal of some length, with or without hyphens: made by a machine for machines.
fn looks_opaque(value: &str) -> bool {
    let digits = value.bytes().filter(u8::is_ascii_hexdigit).count();
    let hyphens = value.bytes().filter(|byte| *byte == b'-').count();
    digits >= 16 && digits + hyphens == value.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_from_the_failure_is_no_explanation() {
        for name in [
            "span.error.type",
            "span.exception.message",
            "span.http.request.resend_count",
            "span.rpc.status_code",
            "span.x-request-id",
            "span.thread.id",
            "span.app.error_code",
        ] {
            assert!(is_left_out(name), "{name}");
        }
        for name in [
            "span.app.gift_card",
            "resource.service.version",
            "span.http.route",
            "span.terror.level",
            "name",
        ] {
            assert!(!is_left_out(name), "{name}");
        }
    }

    #[test]
    fn the_telling_name_goes_first() {
        let order = [
            ("resource.service.version", "2.3.0"),
            ("span.feature_flag.key", "new-cart"),
            ("span.app.gift_card", "true"),
            ("resource.k8s.pod.name", "payment-7c9-x2"),
            ("resource.service.instance.id", "payment-1"),
            ("resource.host.name", "node-4"),
            ("resource.host.id", "627cc493-f310-47de-96bd-71410b7dec09"),
        ];
        let ranks: Vec<_> = order.iter().map(|(name, value)| rank(name, value)).collect();
        assert!(ranks.is_sorted(), "{ranks:?}");
    }
}
