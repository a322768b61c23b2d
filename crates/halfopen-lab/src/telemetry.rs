//! The telemetry of one instance: its resource, and providers of the official SDK that send
//! traces, logs and metrics by OTLP over gRPC, as any service out there would.

use std::time::Duration;

use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::metrics::{Histogram, Meter, MeterProvider as _, UpDownCounter};
use opentelemetry::trace::{SpanContext, TracerProvider as _};
use opentelemetry::{InstrumentationScope, Key, KeyValue};
use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{
    BatchConfigBuilder as LogBatches, BatchLogProcessor, SdkLogger, SdkLoggerProvider,
};
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder as SpanBatches, BatchSpanProcessor, SdkTracer, SdkTracerProvider,
};

use crate::{LabError, WallClock};

/// The instrumentation scope of all telemetry of the shop.
const SCOPE: &str = "halfopen-lab";
/// Batches leave this often: short, so that a look at the store shows the present.
const EXPORT_DELAY_MS: u64 = 500;
/// Metrics are read and sent this often.
const METRICS_INTERVAL_MS: u64 = 5_000;
/// The receiver is on the same machine; one that needs longer is in trouble.
const EXPORT_TIMEOUT_MS: u64 = 10_000;
/// Some seconds of spans of the busiest instance: a receiver that stalls for a moment costs none.
const QUEUE_SPANS_MAX: usize = 16_384;
/// Bounds of the histograms of durations in seconds, as the semantic conventions advise.
const DURATION_BOUNDS_S: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Who an instance is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Identity {
    /// `service.name`.
    pub(crate) service: &'static str,
    /// `service.version`.
    pub(crate) version: String,
    /// `vcs.ref.head.revision`: the commit that the version was built from.
    pub(crate) commit: String,
    /// `k8s.pod.name`.
    pub(crate) pod: String,
    /// `service.instance.id`.
    pub(crate) instance: String,
    /// `host.name`: pods of different services share a host.
    pub(crate) host: String,
    /// `cloud.region`.
    pub(crate) region: &'static str,
    /// `cloud.availability_zone`.
    pub(crate) zone: &'static str,
    /// The attribute with the hash of its configuration, and the hash, where it has one.
    pub(crate) config: Option<(&'static str, String)>,
}

impl Identity {
    fn resource(&self) -> Resource {
        let attributes = [
            ("service.namespace", "shop"),
            ("service.version", self.version.as_str()),
            ("service.instance.id", &self.instance),
            ("deployment.environment.name", "lab"),
            ("vcs.ref.head.revision", &self.commit),
            ("k8s.namespace.name", "shop"),
            ("k8s.deployment.name", self.service),
            ("k8s.pod.name", &self.pod),
            ("host.name", &self.host),
            ("cloud.region", self.region),
            ("cloud.availability_zone", self.zone),
        ];
        let config = self.config.iter().map(|(key, hash)| (*key, hash.as_str()));
        let attributes = attributes.into_iter().chain(config);
        let attributes = attributes.map(|(key, value)| KeyValue::new(key, value.to_owned()));
        Resource::builder().with_service_name(self.service).with_attributes(attributes).build()
    }
}

/// A histogram of durations; one that is never used is never sent.
fn seconds(meter: &Meter, name: &'static str) -> Histogram<f64> {
    let bounds = DURATION_BOUNDS_S.to_vec();
    meter.f64_histogram(name).with_unit("s").with_boundaries(bounds).build()
}

/// The three signals of one instance.
pub(crate) struct Telemetry {
    pub(crate) tracer: SdkTracer,
    /// `http.server.request.duration`
    pub(crate) http_durations: Histogram<f64>,
    /// `rpc.server.call.duration`
    pub(crate) rpc_durations: Histogram<f64>,
    /// `http.server.active_requests`.
    pub(crate) active: UpDownCounter<i64>,
    logger: SdkLogger,
    clock: WallClock,
    providers: Providers,
}

#[derive(Clone)]
struct Providers {
    traces: SdkTracerProvider,
    logs: SdkLoggerProvider,
    metrics: SdkMeterProvider,
}

impl Telemetry {
    /// Telemetry that goes to the OTLP/gRPC receiver at `endpoint` (`http://127.0.0.1:4317`).
    pub(crate) fn start(
        identity: &Identity,
        endpoint: &str,
        clock: WallClock,
    ) -> Result<Telemetry, LabError> {
        let providers = Providers::new(identity, endpoint)
            .map_err(|source| LabError::Telemetry { service: identity.service, source })?;
        let scope = InstrumentationScope::builder(SCOPE).with_version(env!("CARGO_PKG_VERSION"));
        let meter = providers.metrics.meter(SCOPE);
        Ok(Telemetry {
            tracer: providers.traces.tracer_with_scope(scope.build()),
            http_durations: seconds(&meter, "http.server.request.duration"),
            rpc_durations: seconds(&meter, "rpc.server.call.duration"),
            active: meter
                .i64_up_down_counter("http.server.active_requests")
                .with_unit("{request}")
                .build(),
            logger: providers.logs.logger(SCOPE),
            clock,
            providers,
        })
    }

    /// A log record that belongs to a span.
    pub(crate) fn log<I>(&self, span: &SpanContext, severity: Severity, body: String, fields: I)
    where
        I: IntoIterator<Item = (Key, AnyValue)>,
    {
        let mut record = self.logger.create_log_record();
        record.set_timestamp((self.clock)());
        record.set_severity_number(severity);
        record.set_severity_text(severity.name());
        record.set_body(AnyValue::from(body));
        record.set_trace_context(span.trace_id(), span.span_id(), Some(span.trace_flags()));
        record.add_attributes(fields);
        self.logger.emit(record);
    }

    /// Sends what is waiting; says what could not be sent.
    pub(crate) async fn flush(&self) -> Vec<String> {
        let providers = self.providers.clone();
        in_background(move || {
            [
                ("traces", providers.traces.force_flush()),
                ("logs", providers.logs.force_flush()),
                ("metrics", providers.metrics.force_flush()),
            ]
        })
        .await
    }

    /// Sends what is waiting and ends the threads of the SDK; says what could not be sent.
    pub(crate) async fn stop(&self) -> Vec<String> {
        let providers = self.providers.clone();
        in_background(move || {
            [
                ("traces", providers.traces.shutdown()),
                ("logs", providers.logs.shutdown()),
                ("metrics", providers.metrics.shutdown()),
            ]
        })
        .await
    }
}

type Sent = [(&'static str, opentelemetry_sdk::error::OTelSdkResult); 3];

/// The SDK blocks while it sends, so it does that on a thread of its own.
async fn in_background(send: impl FnOnce() -> Sent + Send + 'static) -> Vec<String> {
    match tokio::task::spawn_blocking(send).await {
        Ok(sent) => sent
            .into_iter()
            .filter_map(|(signal, result)| result.err().map(|error| format!("{signal}: {error}")))
            .collect(),
        Err(_) => vec!["the telemetry SDK panicked while it was sending".to_owned()],
    }
}

impl Providers {
    fn new(
        identity: &Identity,
        endpoint: &str,
    ) -> Result<Providers, opentelemetry_otlp::ExporterBuildError> {
        let (delay, timeout) =
            (Duration::from_millis(EXPORT_DELAY_MS), Duration::from_millis(EXPORT_TIMEOUT_MS));
        let resource = identity.resource();
        let spans =
            SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(timeout);
        let span_batches =
            SpanBatches::default().with_scheduled_delay(delay).with_max_queue_size(QUEUE_SPANS_MAX);
        let traces = BatchSpanProcessor::builder(spans.build()?)
            .with_batch_config(span_batches.build())
            .build();
        let logs =
            LogExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(timeout);
        let log_batches =
            LogBatches::default().with_scheduled_delay(delay).with_max_queue_size(QUEUE_SPANS_MAX);
        let logs = BatchLogProcessor::builder(logs.build()?)
            .with_batch_config(log_batches.build())
            .build();
        let metrics =
            MetricExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(timeout);
        let metrics = PeriodicReader::builder(metrics.build()?)
            .with_interval(Duration::from_millis(METRICS_INTERVAL_MS))
            .build();
        Ok(Providers {
            traces: SdkTracerProvider::builder()
                .with_resource(resource.clone())
                .with_span_processor(traces)
                .build(),
            logs: SdkLoggerProvider::builder()
                .with_resource(resource.clone())
                .with_log_processor(logs)
                .build(),
            metrics: SdkMeterProvider::builder()
                .with_resource(resource)
                .with_reader(metrics)
                .build(),
        })
    }
}
