//! Attributes that have a column of their own: dictionary columns for text, 64-bit columns for
//! integers. Everything else goes into the map column `attributes`.
//!
//! The names are those of the OpenTelemetry semantic conventions v1.44.0; values that come under
//! an old name ([`crate::names::RENAMED`]) go into the column of the current one. A value whose
//! type is not the one listed stays in the map, so no value is ever converted; only the number
//! of a gRPC status gets its name.

use std::fmt;

/// Where an attribute was set; its prefix in column names and map keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Scope {
    /// On the resource: `resource.`
    Resource,
    /// On the instrumentation scope: `scope.`
    Instrumentation,
    /// On a span: `span.`
    Span,
    /// On a log record: `log.`
    Log,
    /// On a point of a metric: `metric.`
    Metric,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Scope; 5] =
        [Scope::Resource, Scope::Instrumentation, Scope::Span, Scope::Log, Scope::Metric];

    /// The prefix, with its point.
    pub fn prefix(self) -> &'static str {
        match self {
            Scope::Resource => "resource.",
            Scope::Instrumentation => "scope.",
            Scope::Span => "span.",
            Scope::Log => "log.",
            Scope::Metric => "metric.",
        }
    }

    /// Takes a column name or map key apart: `span.http.route` is `http.route` on a span.
    pub fn split(name: &str) -> Option<(Scope, &str)> {
        Scope::ALL
            .into_iter()
            .find_map(|scope| name.strip_prefix(scope.prefix()).map(|key| (scope, key)))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.prefix().trim_end_matches('.'))
    }
}

/// The type of a well-known attribute.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KnownType {
    /// Text in a dictionary column.
    Word,
    /// A 64-bit integer.
    Int,
}

/// The attribute of the resource that names a service; stored in the column `service`.
pub const SERVICE_NAME: &str = "service.name";

/// Attributes of the resource with a column, in every table of telemetry.
pub const RESOURCE: &[(&str, KnownType)] = &[
    ("service.namespace", KnownType::Word),
    ("service.version", KnownType::Word),
    ("service.instance.id", KnownType::Word),
    ("cloud.account.id", KnownType::Word),
    ("cloud.availability_zone", KnownType::Word),
    ("cloud.provider", KnownType::Word),
    ("cloud.region", KnownType::Word),
    ("container.id", KnownType::Word),
    ("container.image.name", KnownType::Word),
    ("deployment.environment.name", KnownType::Word),
    ("deployment.id", KnownType::Word),
    ("host.arch", KnownType::Word),
    ("host.id", KnownType::Word),
    ("host.name", KnownType::Word),
    ("k8s.cluster.name", KnownType::Word),
    ("k8s.container.name", KnownType::Word),
    ("k8s.deployment.name", KnownType::Word),
    ("k8s.namespace.name", KnownType::Word),
    ("k8s.node.name", KnownType::Word),
    ("k8s.pod.name", KnownType::Word),
    ("k8s.pod.uid", KnownType::Word),
    ("os.type", KnownType::Word),
    ("process.executable.name", KnownType::Word),
    ("process.pid", KnownType::Int),
    ("process.runtime.name", KnownType::Word),
    ("process.runtime.version", KnownType::Word),
    ("telemetry.sdk.language", KnownType::Word),
    ("telemetry.sdk.name", KnownType::Word),
    ("telemetry.sdk.version", KnownType::Word),
    ("vcs.ref.head.revision", KnownType::Word),
];

/// Attributes of spans with a column.
pub const SPAN: &[(&str, KnownType)] = &[
    ("client.address", KnownType::Word),
    ("code.function.name", KnownType::Word),
    ("db.collection.name", KnownType::Word),
    ("db.namespace", KnownType::Word),
    ("db.operation.name", KnownType::Word),
    ("db.query.summary", KnownType::Word),
    ("db.query.text", KnownType::Word),
    ("db.response.status_code", KnownType::Word),
    ("db.system.name", KnownType::Word),
    ("enduser.id", KnownType::Word),
    ("error.type", KnownType::Word),
    ("http.request.method", KnownType::Word),
    ("http.request.resend_count", KnownType::Int),
    ("http.response.status_code", KnownType::Int),
    ("http.route", KnownType::Word),
    ("messaging.consumer.group.name", KnownType::Word),
    ("messaging.destination.name", KnownType::Word),
    ("messaging.operation.name", KnownType::Word),
    ("messaging.operation.type", KnownType::Word),
    ("messaging.system", KnownType::Word),
    ("network.peer.address", KnownType::Word),
    ("network.peer.port", KnownType::Int),
    ("network.protocol.name", KnownType::Word),
    ("network.protocol.version", KnownType::Word),
    ("rpc.method", KnownType::Word),
    ("rpc.service", KnownType::Word),
    ("rpc.status_code", KnownType::Word),
    ("rpc.system.name", KnownType::Word),
    ("server.address", KnownType::Word),
    ("server.port", KnownType::Int),
    ("service.peer.name", KnownType::Word),
    ("session.id", KnownType::Word),
    ("thread.id", KnownType::Int),
    ("url.full", KnownType::Word),
    ("url.path", KnownType::Word),
    ("url.scheme", KnownType::Word),
    ("user.id", KnownType::Word),
    ("user_agent.original", KnownType::Word),
];

/// Attributes of log records with a column.
pub const LOG: &[(&str, KnownType)] = &[
    ("code.file.path", KnownType::Word),
    ("code.function.name", KnownType::Word),
    ("code.line.number", KnownType::Int),
    ("error.type", KnownType::Word),
    ("exception.message", KnownType::Word),
    ("exception.type", KnownType::Word),
    ("http.response.status_code", KnownType::Int),
    ("http.route", KnownType::Word),
    ("session.id", KnownType::Word),
    ("thread.id", KnownType::Int),
    ("user.id", KnownType::Word),
];

/// Attributes of metric points with a column.
pub const METRIC: &[(&str, KnownType)] = &[
    ("db.client.connection.pool.name", KnownType::Word),
    ("db.client.connection.state", KnownType::Word),
    ("error.type", KnownType::Word),
    ("http.request.method", KnownType::Word),
    ("http.response.status_code", KnownType::Int),
    ("http.route", KnownType::Word),
    ("network.protocol.version", KnownType::Word),
    ("rpc.method", KnownType::Word),
    ("rpc.status_code", KnownType::Word),
    ("server.address", KnownType::Word),
    ("server.port", KnownType::Int),
    ("url.scheme", KnownType::Word),
];

/// The attributes of `scope` that have a column.
pub fn known(scope: Scope) -> &'static [(&'static str, KnownType)] {
    match scope {
        Scope::Resource => RESOURCE,
        Scope::Instrumentation => &[],
        Scope::Span => SPAN,
        Scope::Log => LOG,
        Scope::Metric => METRIC,
    }
}
