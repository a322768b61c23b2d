//! A data folder with a known story: from 14:02:10 on, payment 2.3.1 fails for orders with gift
//! cards. Beside it stand traces in which everything is wrong that can be.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, DictionaryArray, RecordBatch, StringArray, TimestampNanosecondArray};
use arrow::datatypes::Int32Type;
use halfopen_ingest::{Arrival, Encoding, EvidenceBuilder, IngestSettings, Signal};
use halfopen_model::{Batch, Clock, Table, UnixNanos, WriteEvidence as _};
use halfopen_store::{Store, StoreConfig};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;

/// 2026-11-20T14:00:00Z
const BASE_NS: u64 = 1_795_183_200_000_000_000;
const MS: u64 = 1_000_000;
/// The second at which payment 2.3.1 takes its first request.
const BROKEN_FROM: u64 = 130;
/// One request per second.
const REQUESTS: u64 = 900;

struct Standing;

impl Clock for Standing {
    fn now(&self) -> UnixNanos {
        UnixNanos((BASE_NS + REQUESTS * 1_000 * MS) as i64)
    }
}

/// Fills a new folder and closes it.
pub(crate) async fn fill(folder: &Path) {
    let (store, _) = Store::open(StoreConfig::in_folder(folder), Arc::new(Standing))
        .await
        .expect("an empty folder opens");
    let mut builder = EvidenceBuilder::new(IngestSettings::default());
    let arrival = Arrival { sender: "127.0.0.1:9", at: Standing.now() };
    let mut decode = |signal, body: &[u8]| {
        builder.decode(signal, Encoding::Protobuf, body, &arrival);
    };
    let mut spans: Vec<ResourceSpans> = (0..REQUESTS).flat_map(request).collect();
    spans.extend(odd_spans());
    spans.extend(queue_spans());
    let request = ExportTraceServiceRequest { resource_spans: spans };
    decode(Signal::Traces, &request.encode_to_vec());
    let request = ExportLogsServiceRequest { resource_logs: logs() };
    decode(Signal::Logs, &request.encode_to_vec());
    decode(Signal::Traces, b"\xffthis is no telemetry");
    let mut batches = builder.finish();
    batches.push(changes());
    store.write(batches).await.expect("the rows fit");
    store.close(Duration::from_secs(30)).await;
}

fn mixed(mut value: u64) -> u64 {
    value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Ids that look random and are the same in every run.
fn trace_of(number: u64) -> Vec<u8> {
    [mixed(number).to_be_bytes(), mixed(number ^ u64::MAX).to_be_bytes()].concat()
}

fn text(value: &str) -> Value {
    Value::StringValue(value.into())
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

fn resource(service: &str, more: &[(&str, &str)]) -> Resource {
    let name = [("service.name", service)];
    let pairs = name.iter().chain(more).map(|(key, value)| pair(key, text(value)));
    Resource { attributes: pairs.collect(), ..Resource::default() }
}

/// One span: number in the trace, number of the parent (0 for none), begin and end in
/// milliseconds from the begin of the trace.
struct Made {
    number: u64,
    parent: u64,
    name: &'static str,
    kind: SpanKind,
    ms: (u64, u64),
    failed: Option<&'static str>,
    attributes: Vec<KeyValue>,
}

fn span(trace_id: &[u8], begin_ns: u64, made: Made) -> Span {
    let id = |number: u64| match number {
        0 => Vec::new(),
        number => (0xa000 + number).to_be_bytes().to_vec(),
    };
    let status = made.failed.map(|message| Status { code: 2, message: message.into() });
    Span {
        trace_id: trace_id.to_vec(),
        span_id: id(made.number),
        parent_span_id: id(made.parent),
        name: made.name.into(),
        kind: made.kind as i32,
        start_time_unix_nano: begin_ns + made.ms.0 * MS,
        end_time_unix_nano: begin_ns + made.ms.1 * MS,
        attributes: made.attributes,
        status,
        ..Span::default()
    }
}

fn of_service(resource: Resource, spans: Vec<Span>) -> ResourceSpans {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() }
}

fn fails(number: u64) -> bool {
    number >= BROKEN_FROM && number.is_multiple_of(10)
}

/// One checkout.
fn request(number: u64) -> Vec<ResourceSpans> {
    let (trace_id, begin) = (trace_of(number), BASE_NS + number * 1_000 * MS);
    let failed = fails(number);
    let new = number >= BROKEN_FROM && number.is_multiple_of(2);
    let (version, pod) = if new { ("2.3.1", "payment-b") } else { ("2.3.0", "payment-a") };
    let gift_card = number.is_multiple_of(5);
    let length = if failed { 2_060 } else { 90 + number % 7 };
    let request_id = format!("req_{number:04}");
    let status = Value::IntValue(if failed { 502 } else { 200 });
    let server = vec![
        pair("http.request.method", text("POST")),
        pair("http.route", text("/checkout")),
        pair("http.response.status_code", status.clone()),
        pair("x-request-id", text(&request_id)),
    ];
    let charge = vec![
        pair("http.request.method", text("POST")),
        pair("http.route", text("/charge")),
        pair("http.response.status_code", status),
        pair("order.gift_card", Value::BoolValue(gift_card)),
        pair("x-request-id", text(&format!("{request_id}_1"))),
    ];
    let mut call = vec![
        pair("http.request.method", text("POST")),
        pair("service.peer.name", text("card-gateway")),
    ];
    if failed {
        call.push(pair("error.type", text("timeout")));
    }
    let why = |message| failed.then_some(message);
    let make = |number, parent, name, kind, ms, failed, attributes| {
        span(&trace_id, begin, Made { number, parent, name, kind, ms, failed, attributes })
    };
    let payment = resource("payment", &[("service.version", version), ("k8s.pod.name", pod)]);
    vec![
        of_service(
            resource("gateway", &[("service.version", "5.1.0")]),
            vec![make(1, 0, "POST /checkout", SpanKind::Server, (0, length), why(""), server)],
        ),
        of_service(
            resource("stock", &[]),
            vec![make(2, 1, "reserve", SpanKind::Server, (3, 11), None, Vec::new())],
        ),
        of_service(
            payment,
            vec![
                make(3, 1, "POST /charge", SpanKind::Server, (12, length - 8), why(""), charge),
                make(
                    4,
                    3,
                    "POST",
                    SpanKind::Client,
                    (15, length - 12),
                    why("card-gateway gave no answer within 2 s"),
                    call,
                ),
            ],
        ),
    ]
}

/// Traces outside of the story: one in which everything is wrong, and one with many alike spans.
pub(crate) fn odd_spans() -> Vec<ResourceSpans> {
    let odd = [vec![0xde, 0xad], vec![0; 14]].concat();
    let begin = BASE_NS - 3_600_000 * MS;
    let make = |number, parent, name, ms, failed| {
        let (kind, attributes) = (SpanKind::Internal, Vec::new());
        span(&odd, begin, Made { number, parent, name, kind, ms, failed, attributes })
    };
    let mut unended = make(4, 1, "stream", (40, 0), None);
    unended.end_time_unix_nano = 0;
    let mut raised = make(3, 1, "evil \u{1b}[2J\nname", (20, 60), Some("line one\nline two"));
    let message = pair("exception.message", text("no such table: \u{7}orders"));
    raised.events.push(Event {
        time_unix_nano: begin + 30 * MS,
        name: "exception".into(),
        attributes: vec![pair("exception.type", text("SqlError")), message],
        ..Event::default()
    });
    raised.links.push(Link { trace_id: trace_of(7), span_id: vec![1; 8], ..Link::default() });
    let root = make(1, 0, "root", (50, 100), None);
    let other_root = make(2, 0, "second root", (10, 90), None);
    let twin = make(2, 1, "same id", (12, 80), None);
    let cycle = [make(7, 8, "hen", (5, 6), None), make(8, 7, "egg", (6, 7), None)];
    let orphan = make(9, 99, "orphan", (70, 75), None);
    let mut rows = vec![
        of_service(resource("alpha", &[]), vec![root, other_root, orphan]),
        of_service(resource("beta", &[]), [vec![raised, unended, twin], cycle.into()].concat()),
    ];
    let many = [vec![0xbe, 0xef], vec![1; 14]].concat();
    let kind = SpanKind::Client;
    let page = Made {
        number: 1,
        parent: 0,
        name: "GET /orders",
        kind: SpanKind::Server,
        ms: (0, 500),
        failed: None,
        attributes: Vec::new(),
    };
    let mut spans = vec![span(&many, begin, page)];
    for row in 0..40 {
        let (ms, attributes) = ((row * 12, row * 12 + 10), Vec::new());
        let (number, name) = (row + 2, "SELECT order_line");
        spans.push(span(
            &many,
            begin,
            Made { number, parent: 1, name, kind, ms, failed: None, attributes },
        ));
    }
    rows.push(of_service(resource("orders", &[]), spans));
    rows
}

/// An order whose mail goes through a queue: two messages, two consumers, one of which has a clock
/// that is behind. Links lead from the consumers to the senders.
fn queue_spans() -> Vec<ResourceSpans> {
    let begin = BASE_NS - 7_200_000 * MS;
    let trace = |first: u8| [vec![first, 0xfe], vec![0x51; 14]].concat();
    let make = |trace_id: &[u8], number, parent, name, kind, ms| {
        let attributes = Vec::new();
        span(trace_id, begin, Made { number, parent, name, kind, ms, failed: None, attributes })
    };
    let order = trace(0xca);
    let mut server = make(&order, 1, 0, "POST /orders", SpanKind::Server, (0, 40));
    server.attributes = vec![pair("x-request-id", text("order-7701"))];
    let mail = make(&order, 2, 1, "send mail", SpanKind::Producer, (10, 15));
    let invoice = make(&order, 3, 1, "send invoice", SpanKind::Producer, (20, 30));
    let link = |number: u64| Link {
        trace_id: order.clone(),
        span_id: (0xa000 + number).to_be_bytes().to_vec(),
        ..Link::default()
    };
    let (mail_taken, invoice_taken) = (trace(0xcb), trace(0xcc));
    let mut take = make(&mail_taken, 1, 0, "process mail", SpanKind::Consumer, (1_515, 1_600));
    take.links = vec![link(2)];
    let smtp = make(&mail_taken, 2, 1, "SMTP", SpanKind::Client, (1_520, 1_590));
    let mut print = make(&invoice_taken, 1, 0, "process invoice", SpanKind::Consumer, (26, 60));
    print.links = vec![link(3)];
    vec![
        of_service(resource("orders", &[]), vec![server, mail, invoice]),
        of_service(resource("mailer", &[]), vec![take, smtp]),
        of_service(resource("printer", &[]), vec![print]),
    ]
}

fn logs() -> Vec<ResourceLogs> {
    let record = |at_ns, trace_id: Vec<u8>, span_id: Vec<u8>, severity, body: &str| LogRecord {
        time_unix_nano: at_ns,
        trace_id,
        span_id,
        severity_number: severity,
        body: Some(AnyValue { value: Some(text(body)) }),
        ..LogRecord::default()
    };
    let payment: Vec<LogRecord> = (0..REQUESTS)
        .filter(|number| fails(*number))
        .map(|number| {
            let at = BASE_NS + number * 1_000 * MS + 2_040 * MS;
            let span_id = 0xa003_u64.to_be_bytes().to_vec();
            record(at, trace_of(number), span_id, 17, "giving up: card-gateway is silent")
        })
        .collect();
    let mut job = record(BASE_NS + 5_000 * MS, Vec::new(), Vec::new(), 9, "nightly job began");
    job.attributes = vec![pair("x-request-id", text("job-2026/11"))];
    let alone = [vec![0xc0, 0xde], vec![2; 14]].concat();
    let alone = record(BASE_NS, alone, vec![3; 8], 13, "only logs carry this trace");
    let of = |service, log_records| ResourceLogs {
        resource: Some(resource(service, &[])),
        scope_logs: vec![ScopeLogs { log_records, ..ScopeLogs::default() }],
        ..ResourceLogs::default()
    };
    vec![of("payment", payment), of("cron", vec![job, alone])]
}

fn changes() -> Batch {
    let at = (BASE_NS + 115_000 * MS) as i64;
    let word = |word: &str| -> ArrayRef {
        Arc::new([Some(word)].into_iter().collect::<DictionaryArray<Int32Type>>())
    };
    let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
    let schema = halfopen_model::schema::schema(Table::Changes);
    let attributes = schema.field_with_name("attributes").expect("a column").data_type().clone();
    let attributes = arrow::array::new_null_array(&attributes, 1);
    let attributes = arrow::array::make_array(
        attributes.to_data().into_builder().nulls(None).build().expect("an empty map"),
    );
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("change_id", text("deploy-17")),
        ("time", Arc::new(TimestampNanosecondArray::from(vec![at]).with_timezone("UTC"))),
        ("kind", word("deploy")),
        ("service", word("payment")),
        ("version", word("2.3.1")),
        ("previous_version", word("2.3.0")),
        ("title", text("payment 2.3.1")),
        ("source", word("api")),
        ("attributes", attributes),
    ];
    let rows = RecordBatch::try_from_iter(columns).expect("columns of one length");
    Batch { table: Table::Changes, rows, fingerprints: vec![17] }
}
