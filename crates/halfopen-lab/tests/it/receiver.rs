//! A receiver of OTLP over gRPC that keeps everything.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{
    LogsService, LogsServiceServer,
};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// What was received.
#[derive(Clone, Default)]
pub(crate) struct Receiver(Arc<Mutex<Received>>);

#[derive(Default)]
struct Received {
    traces: Vec<ExportTraceServiceRequest>,
    logs: Vec<ExportLogsServiceRequest>,
    metrics: Vec<ExportMetricsServiceRequest>,
}

/// A span with the service that it ran in.
pub(crate) struct Seen {
    pub(crate) resource: Vec<KeyValue>,
    pub(crate) span: Span,
}

impl Receiver {
    /// Listens on a free port; gives the endpoint too. Ends with the runtime of the test.
    pub(crate) async fn start() -> (Receiver, String) {
        let receiver = Receiver::default();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
        let server = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(receiver.clone()))
            .add_service(LogsServiceServer::new(receiver.clone()))
            .add_service(MetricsServiceServer::new(receiver.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(server);
        (receiver, endpoint)
    }

    pub(crate) fn spans(&self) -> Vec<Seen> {
        let received = self.0.lock().expect("no test panics here");
        let of_resources = received.traces.iter().flat_map(|request| &request.resource_spans);
        of_resources
            .flat_map(|spans| {
                let resource = spans.resource.clone().unwrap_or_default().attributes;
                let found = spans.scope_spans.iter().flat_map(|scope| &scope.spans);
                found.map(move |span| Seen { resource: resource.clone(), span: span.clone() })
            })
            .collect()
    }

    /// Severity text, body, trace id and request id of every log record.
    pub(crate) fn logs(&self) -> Vec<(String, String, Vec<u8>, String)> {
        let received = self.0.lock().expect("no test panics here");
        let of_resources = received.logs.iter().flat_map(|request| &request.resource_logs);
        of_resources
            .flat_map(|logs| logs.scope_logs.iter().flat_map(|scope| &scope.log_records))
            .map(|record| {
                let severity = record.severity_text.clone();
                let body = record.body.clone().map(|body| show(&body)).unwrap_or_default();
                let request_id = text(&record.attributes, "request_id").unwrap_or_default();
                (severity, body, record.trace_id.clone(), request_id)
            })
            .collect()
    }

    /// Names of metrics.
    pub(crate) fn metrics(&self) -> Vec<String> {
        let received = self.0.lock().expect("no test panics here");
        let of_resources = received.metrics.iter().flat_map(|request| &request.resource_metrics);
        of_resources
            .flat_map(|metrics| metrics.scope_metrics.iter().flat_map(|scope| &scope.metrics))
            .map(|metric| metric.name.clone())
            .collect()
    }
}

impl Seen {
    pub(crate) fn service(&self) -> String {
        text(&self.resource, "service.name").expect("every resource names its service")
    }

    pub(crate) fn get(&self, key: &str) -> Option<String> {
        text(&self.span.attributes, key)
    }
}

/// The value of an attribute, as text.
pub(crate) fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.as_ref().map(show)
}

fn show(value: &AnyValue) -> String {
    match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        Some(Value::ArrayValue(list)) => list.values.iter().map(show).collect::<Vec<_>>().join(","),
        other => format!("{other:?}"),
    }
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().expect("no test panics here").traces.push(request.into_inner());
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.0.lock().expect("no test panics here").logs.push(request.into_inner());
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.0.lock().expect("no test panics here").metrics.push(request.into_inner());
        Ok(Response::new(Default::default()))
    }
}
