"""Exports ROWS spans, log records and points with the SDK of OpenTelemetry."""

import logging
import os

from opentelemetry import metrics, trace
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

endpoint, rows = os.environ["ENDPOINT"], int(os.environ["ROWS"])
insecure = endpoint.startswith("http://")
if os.environ["PROTOCOL"] == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    spans = OTLPSpanExporter(endpoint=endpoint, insecure=insecure)
    records = OTLPLogExporter(endpoint=endpoint, insecure=insecure)
    points = OTLPMetricExporter(endpoint=endpoint, insecure=insecure)
else:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    spans = OTLPSpanExporter(endpoint=endpoint + "/v1/traces", compression=Compression.Gzip)
    records = OTLPLogExporter(endpoint=endpoint + "/v1/logs")
    points = OTLPMetricExporter(endpoint=endpoint + "/v1/metrics")

resource = Resource.create({"service.name": "python-client"})
tracing = TracerProvider(resource=resource)
tracing.add_span_processor(BatchSpanProcessor(spans))
logs = LoggerProvider(resource=resource)
logs.add_log_record_processor(BatchLogRecordProcessor(records))
reader = PeriodicExportingMetricReader(points, export_interval_millis=3_600_000)
# A last collection at the exit would send the same points again.
metering = MeterProvider(resource=resource, metric_readers=[reader], shutdown_on_exit=False)

logger = logging.getLogger("client")
logger.setLevel(logging.INFO)
logger.propagate = False
logger.addHandler(LoggingHandler(logger_provider=logs))
counter = metering.get_meter("client").create_counter("orders")
for number in range(rows):
    with tracing.get_tracer("client").start_as_current_span("order", attributes={"n": number}):
        logger.info("order %d", number)
    counter.add(1, {"n": number})

assert tracing.force_flush(60_000)
assert logs.force_flush(60_000)
assert metering.force_flush(60_000)
tracing.shutdown()
logs.shutdown()
