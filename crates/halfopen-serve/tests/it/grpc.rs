//! OTLP over gRPC.

use crate::client::{TRACES, call, framed, get};
use crate::fixture::{config, receivers, rows};
use flate2::Compression as Level;
use flate2::write::{GzEncoder, ZlibEncoder};
use halfopen_ingest::sample;
use halfopen_model::Table;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client as metrics_client;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric, number_data_point,
};
use prost::Message;
use std::io::Write;
use tonic::codec::CompressionEncoding;

#[tokio::test]
async fn the_client_of_tonic_exports_all_three_signals() {
    let (ports, evidence) = receivers(&config()).await;
    let url = format!("http://{}", ports.otlp_grpc);
    let request = ExportTraceServiceRequest::decode(&*sample::traces(7, 20, 3)).expect("a sample");
    let mut traces = TraceServiceClient::connect(url.clone())
        .await
        .expect("a port")
        .send_compressed(CompressionEncoding::Zstd);
    let answer = traces.export(request).await.expect("spans are taken").into_inner();
    assert_eq!(answer.partial_success, None);

    let record = LogRecord { time_unix_nano: 1, ..LogRecord::default() };
    let scope = ScopeLogs { log_records: vec![record], ..ScopeLogs::default() };
    let resource = ResourceLogs { scope_logs: vec![scope], ..ResourceLogs::default() };
    let mut logs = LogsServiceClient::connect(url.clone())
        .await
        .expect("a port")
        .send_compressed(CompressionEncoding::Gzip);
    logs.export(ExportLogsServiceRequest { resource_logs: vec![resource] })
        .await
        .expect("records are taken");

    let point = NumberDataPoint {
        time_unix_nano: 1,
        value: Some(number_data_point::Value::AsInt(3)),
        ..NumberDataPoint::default()
    };
    let metric = Metric {
        name: "queue.length".into(),
        data: Some(metric::Data::Gauge(Gauge { data_points: vec![point] })),
        ..Metric::default()
    };
    let scope = ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() };
    let resource = ResourceMetrics { scope_metrics: vec![scope], ..ResourceMetrics::default() };
    let mut metrics = metrics_client::MetricsServiceClient::connect(url).await.expect("a port");
    metrics
        .export(ExportMetricsServiceRequest { resource_metrics: vec![resource] })
        .await
        .expect("points are taken");

    let found = [Table::Spans, Table::Logs, Table::Metrics].map(|table| rows(&evidence, table));
    assert_eq!(found, [20, 1, 1]);
}

#[tokio::test]
async fn every_compression_is_taken_large_and_small() {
    let (ports, evidence) = receivers(&config()).await;
    let mut expected = 0;
    for (seed, spans) in [(1, 1), (2, 2_000)] {
        let body = sample::traces(seed, spans, 12);
        let mut gzip = GzEncoder::new(Vec::new(), Level::fast());
        gzip.write_all(&body).expect("to memory");
        let mut zlib = ZlibEncoder::new(Vec::new(), Level::fast());
        zlib.write_all(&sample::traces(seed + 10, spans, 12)).expect("to memory");
        let zstd = zstd::encode_all(&*sample::traces(seed + 20, spans, 12), 1).expect("to memory");
        for (encoding, flag, message) in [
            ("gzip", 1, gzip.finish().expect("to memory")),
            ("deflate", 1, zlib.finish().expect("to memory")),
            ("zstd", 1, zstd),
            ("identity", 0, sample::traces(seed + 30, spans, 12)),
            ("gzip", 0, sample::traces(seed + 40, spans, 12)),
        ] {
            let called = call(ports.otlp_grpc, TRACES, encoding, &framed(flag, &message)).await;
            assert_eq!((called.code, called.message.as_str()), (0, ""), "{encoding}");
            assert_eq!(called.body, framed(0, b""), "nothing was rejected");
            expected += spans;
        }
    }
    assert_eq!(rows(&evidence, Table::Spans), expected);
}

#[tokio::test]
async fn identical_exports_are_kept_once() {
    let (ports, evidence) = receivers(&config()).await;
    let message = framed(0, &sample::traces(3, 10, 2));
    for _ in 0..3 {
        assert_eq!(call(ports.otlp_grpc, TRACES, "identity", &message).await.code, 0);
    }
    assert_eq!(rows(&evidence, Table::Spans), 10);
}

#[tokio::test]
async fn what_is_no_export_is_refused_for_good() {
    let (ports, evidence) = receivers(&config()).await;
    let good = sample::traces(1, 1, 1);
    let check = async |path: &str, encoding: &str, frames: &[u8], code: i32, part: &str| {
        let called = call(ports.otlp_grpc, path, encoding, frames).await;
        assert_eq!(called.code, code, "{called:?}");
        assert!(called.message.contains(part), "{called:?}");
        let status = called.status.expect("details");
        assert_eq!(status.retry_after_seconds(), None, "it would never be taken");
    };
    check("/some.Service/Export", "identity", &framed(0, &good), 12, "no method").await;
    check(TRACES, "br", &framed(1, &good), 12, "grpc-encoding is not known").await;
    check(TRACES, "identity", b"\0\0", 3, "only 2 came").await;
    check(TRACES, "identity", &framed(0, &good)[..20], 3, "the message should have").await;
    check(TRACES, "identity", &framed(7, &good), 3, "this one has 7").await;
    check(TRACES, "gzip", &framed(1, &good), 3, "could not be decompressed").await;
    check(TRACES, "identity", &framed(0, b"\x07\xff\xff"), 3, "").await;
    assert_eq!(rows(&evidence, Table::Spans), 0);
    assert_eq!(rows(&evidence, Table::Rejects), 2, "what arrived whole and was not readable");
}

#[tokio::test]
async fn a_browser_at_the_port_reads_what_it_is() {
    let (ports, _) = receivers(&config()).await;
    let reply = get(&format!("http://{}/", ports.otlp_grpc)).await;
    assert_eq!(reply.status, 200);
    assert!(reply.text().contains(&format!("http://{}", ports.otlp_grpc)), "{}", reply.text());
    assert_eq!(get(&format!("http://{}/v1/traces", ports.otlp_grpc)).await.status, 404);
}
