//! Columns of what happened to the system and of what was found out about it.

use super::{Column, Form};

const fn required(name: &'static str, form: Form, about: &'static str) -> Column {
    Column { name, form, required: true, about }
}

const fn optional(name: &'static str, form: Form, about: &'static str) -> Column {
    Column { name, form, required: false, about }
}

const ATTRIBUTES: Column =
    required(super::ATTRIBUTES, Form::Attributes, "What else is known, keys without prefix");

/// One row is one recorded request with its answer, or how it ended without one.
pub(super) const EXCHANGES: &[Column] = &[
    required("exchange_id", Form::Text, "Unique; later rooms refer to it"),
    required("time", Form::Time, "When the first byte of the request was seen"),
    optional("duration_ns", Form::Nanos, "To the last byte of the answer, in nanoseconds"),
    optional("trace_id", Form::TraceId, "From `traceparent`"),
    optional("span_id", Form::SpanId, "The caller's span, from `traceparent`"),
    optional("request_id", Form::Text, "The id of the request"),
    optional("connection_id", Form::Text, "The connection that carried it"),
    optional("caller", Form::Word, "The service that asked, where known"),
    optional("service", Form::Word, "The service that was asked"),
    required("protocol", Form::Word, "http/1.1, h2, grpc, tcp, ..."),
    optional("method", Form::Word, "Method of the request"),
    optional("url", Form::Text, "Whole address, secrets redacted"),
    optional("status", Form::Int, "HTTP status of the answer; null when there was none"),
    required(
        "ended",
        Form::Word,
        "complete, timeout, reset, refused, cancelled or unfinished: how it ended",
    ),
    optional("request_headers", Form::Headers, "In order, secrets redacted"),
    optional("request_body", Form::Bytes, "Bounded; null when not recorded"),
    optional("request_bytes", Form::Count, "Size before any bound"),
    optional("response_headers", Form::Headers, "In order, secrets redacted"),
    optional("response_body", Form::Bytes, "Bounded; null when not recorded"),
    optional("response_bytes", Form::Count, "Size before any bound"),
    optional("truncated", Form::Bool, "Whether a body was longer than its bound"),
    ATTRIBUTES,
];

/// One row is one change to the system.
pub(super) const CHANGES: &[Column] = &[
    required("change_id", Form::Text, "Unique; the sender's own where it gave one"),
    required("time", Form::Time, "When it took effect"),
    optional("end_time", Form::Time, "When it was complete, for a roll-out"),
    required(
        "kind",
        Form::Word,
        "deploy, config, flag, scale, schema, certificate, restart, fault_begin, fault_end, other",
    ),
    optional("service", Form::Word, "What was changed"),
    optional("version", Form::Word, "Version after the change"),
    optional("previous_version", Form::Word, "Version before it"),
    optional("instance", Form::Word, "One instance, where only that one changed"),
    optional("environment", Form::Word, "Environment"),
    required("title", Form::Text, "One line for people"),
    optional("commit", Form::Text, "Commit"),
    optional("author", Form::Text, "Team or tool; shown, never blamed"),
    optional("files", Form::Texts, "Paths that the change touched"),
    optional("diff", Form::Text, "The diff, bounded"),
    required("source", Form::Word, "telemetry, api or import: how halfopen learned of it"),
    ATTRIBUTES,
];

/// One row is one injected fault.
pub(super) const FAULTS: &[Column] = &[
    required("fault_id", Form::Text, "Unique"),
    optional("experiment", Form::Text, "The experiment it belongs to"),
    required("time", Form::Time, "When it began"),
    optional("end_time", Form::Time, "When it was undone"),
    required("lease_until", Form::Time, "When it ends by itself"),
    required("kind", Form::Word, "From the catalogue of faults"),
    required("target", Form::Text, "What it hits"),
    optional("service", Form::Word, "The service it hits"),
    required("undo_state", Form::Word, "pending, undone or failed"),
    optional("trace_id", Form::TraceId, "The request it hit"),
    optional("request_id", Form::Text, "The request it hit"),
    ATTRIBUTES,
];

/// One row is one statement with its evidence.
pub(super) const FINDINGS: &[Column] = &[
    required("finding_id", Form::Text, "Unique"),
    required("time", Form::Time, "When it was found"),
    required("kind", Form::Word, "Kind of statement"),
    required("subject", Form::Text, "What it is about: a service, an edge, an attribute"),
    required("statement", Form::Text, "One sentence"),
    required("strength", Form::Word, "strong, likely or weak"),
    required("window_from", Form::Time, "First moment it speaks about"),
    required("window_to", Form::Time, "First moment after that"),
    required("failing_count", Form::Count, "Failing requests that show it"),
    required("failing_total", Form::Count, "Failing requests looked at"),
    required("healthy_count", Form::Count, "Healthy requests that show it"),
    required("healthy_total", Form::Count, "Healthy requests looked at"),
    optional("p_value", Form::Double, "Chance to see this by accident, corrected for many tests"),
    optional("evidence", Form::Evidence, "What it rests on"),
    optional("ruled_out", Form::Texts, "What was looked at and excluded, with the reason"),
    optional("investigation", Form::Text, "The investigation it belongs to"),
    ATTRIBUTES,
];

/// One row is one correlation id that was seen.
pub(super) const IDS: &[Column] = &[
    required("id", Form::Text, "The id as it was written"),
    required("name", Form::Word, "The name it was found under, for example x-request-id"),
    optional("trace_id", Form::TraceId, "The trace that carried it"),
    optional("span_id", Form::SpanId, "The span that carried it"),
    required("table", Form::Word, "The table that holds the row"),
    required("time", Form::Time, "Time of that row"),
    optional("service", Form::Word, "The service that sent it"),
];

/// One row is one thing that could not be read.
pub(super) const REJECTS: &[Column] = &[
    required("time", Form::Time, "When it arrived"),
    required("format", Form::Word, "What it was meant to be, for example otlp/protobuf traces"),
    optional("sender", Form::Text, "Address of the sender"),
    required("reason", Form::Text, "Why it could not be read, and where"),
    required("items", Form::Count, "Spans, records or points lost by it, where countable"),
    required("raw_bytes", Form::Count, "Size of what was refused"),
    required("raw", Form::Bytes, "Its first bytes (bounded)"),
];
