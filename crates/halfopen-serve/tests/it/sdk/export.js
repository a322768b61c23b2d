// Exports ROWS spans, log records and points with the SDK of OpenTelemetry.
const { SeverityNumber } = require('@opentelemetry/api-logs');
const { BatchLogRecordProcessor, LoggerProvider } = require('@opentelemetry/sdk-logs');
const { MeterProvider, PeriodicExportingMetricReader } = require('@opentelemetry/sdk-metrics');
const { BasicTracerProvider, BatchSpanProcessor } = require('@opentelemetry/sdk-trace-base');
const { resourceFromAttributes } = require('@opentelemetry/resources');

const rows = Number(process.env.ROWS);
const grpc = process.env.PROTOCOL === 'grpc';
const url = process.env.ENDPOINT;
// Three encodings in one run: gRPC, protobuf and JSON over HTTP.
const load = (signal, encoding) =>
  require(`@opentelemetry/exporter-${signal}-otlp-${grpc ? 'grpc' : encoding}`);
const options = (path) => ({ url: grpc ? url : url + path });

const resource = resourceFromAttributes({ 'service.name': 'node-client' });
const spans = new (load('trace', 'proto').OTLPTraceExporter)(options('/v1/traces'));
const records = new (load('logs', 'http').OTLPLogExporter)(options('/v1/logs'));
const points = new (load('metrics', 'http').OTLPMetricExporter)(options('/v1/metrics'));

const tracing = new BasicTracerProvider({
  resource,
  spanProcessors: [new BatchSpanProcessor(spans)],
});
const logs = new LoggerProvider({
  resource,
  processors: [new BatchLogRecordProcessor({ exporter: records })],
});
const reader = new PeriodicExportingMetricReader({
  exporter: points,
  exportIntervalMillis: 3600000,
});
const metering = new MeterProvider({ resource, readers: [reader] });

const tracer = tracing.getTracer('client');
const logger = logs.getLogger('client');
const counter = metering.getMeter('client').createCounter('orders');
for (let number = 0; number < rows; number++) {
  const span = tracer.startSpan('order', { attributes: { n: number } });
  logger.emit({ severityNumber: SeverityNumber.INFO, body: `order ${number}` });
  counter.add(1, { n: number });
  span.end();
}

(async () => {
  await tracing.forceFlush();
  await logs.forceFlush();
  await metering.forceFlush();
  // A last collection on shutdown would send the same points again.
  await tracing.shutdown();
  await logs.shutdown();
  process.exit(0);
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
