//! What a person reads who looks at the API with a browser, and the same for scripts.

use serde::Serialize;

use super::Api;
use crate::life::Addresses;

/// The page at `/`.
pub(super) fn page(addresses: &Addresses) -> String {
    let Addresses { otlp_grpc, otlp_http, http, .. } = addresses;
    let scheme = addresses.scheme();
    format!(
        "\
halfopen {version}: from a failing request to its cause.

Send telemetry here, from any OpenTelemetry SDK or collector:
  OTEL_EXPORTER_OTLP_PROTOCOL=grpc           OTEL_EXPORTER_OTLP_ENDPOINT={scheme}://{otlp_grpc}
  OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf  OTEL_EXPORTER_OTLP_ENDPOINT={scheme}://{otlp_http}

Ask, in a terminal:
  halfopen why --since 15m --url {scheme}://{http}
  halfopen find ANY-ID --url {scheme}://{http}
  halfopen trace TRACE-ID --url {scheme}://{http}
  halfopen map --since 15m --url {scheme}://{http}
  halfopen query \"select service, count(*) from spans group by service\" --url {scheme}://{http}

Ask over HTTP (JSON):
  POST /api/v1/query            {{\"sql\": \"select ...\"}}
  GET  /api/v1/find?id=ANY-ID
  GET  /api/v1/traces/TRACE-ID
  GET  /api/v1/why?service=...&from=15m
  GET  /api/v1/why-metric?metric=...&total=...&since=15m
  GET  /api/v1/map?since=15m    /api/v1/map.svg?since=15m
  GET  /api/v1/changes?since=6h&service=...
  POST /api/v1/changes          {{\"kind\": \"deploy\", \"service\": \"...\", \"version\": \"...\"}}
  POST /api/v1/import           what `halfopen import --url` sends
  GET  /api/v1/status   /api/v1/refusals
  GET  /healthz   /readyz   /metrics
",
        version = env!("CARGO_PKG_VERSION"),
    )
}

/// `GET /api/v1/status`.
#[derive(Serialize)]
pub(super) struct StatusV1 {
    v: u32,
    version: &'static str,
    ready: bool,
    started: String,
    otlp_grpc: String,
    otlp_http: String,
    http: String,
    memory_bytes: Option<u64>,
    hot_bytes: u64,
    wal_bytes: u64,
    damaged_segments: u64,
    tables: Vec<TableV1>,
}

#[derive(Serialize)]
struct TableV1 {
    table: &'static str,
    hot_rows: u64,
    sealed_rows: u64,
    segments: u64,
    segment_bytes: u64,
}

pub(super) fn status(api: &Api) -> StatusV1 {
    let stats = api.store.stats();
    let table = |table: &halfopen_store::TableStats| TableV1 {
        table: table.table.name(),
        hot_rows: table.hot_rows,
        sealed_rows: table.sealed_rows,
        segments: table.segments,
        segment_bytes: table.segment_bytes,
    };
    StatusV1 {
        v: 1,
        version: env!("CARGO_PKG_VERSION"),
        ready: api.is_ready(),
        started: api.meter.started.to_rfc3339(),
        otlp_grpc: api.addresses.otlp_grpc.to_string(),
        otlp_http: api.addresses.otlp_http.to_string(),
        http: api.addresses.http.to_string(),
        memory_bytes: crate::life::memory_bytes(),
        hot_bytes: stats.hot_bytes,
        wal_bytes: stats.wal_bytes,
        damaged_segments: stats.damaged_segments,
        tables: stats.tables.iter().map(table).collect(),
    }
}
