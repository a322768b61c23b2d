//! A made-up system whose telemetry never says ERROR: spans, lines and points of two times, with
//! or without something that is wrong in the second. Everything comes from the seed.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, FixedSizeBinaryArray, Float64Array, RecordBatch, StringArray,
    TimestampNanosecondArray, UInt32Array, UInt64Array,
};
use arrow::datatypes::Int32Type;
use halfopen_explain::why::{WhyEvidence, WhyQuestion, suspects};
use halfopen_model::answer::{Scope, Strength, Suspect, Suspects};
use halfopen_model::time::SECOND_NS;
use halfopen_model::{TimeRange, UnixNanos};

use crate::shop::rows::{Span, Value, batches};
use crate::shop::{BEGIN_NS, Dice};

/// Caller, service, operation, usual own time in milliseconds.
pub(crate) const SERVICES: [(usize, &str, &str, f64); 5] = [
    (0, "gateway", "GET /order", 2.0),
    (0, "orders", "POST /orders", 5.0),
    (1, "stock", "GET /stock", 3.0),
    (1, "payment", "POST /pay", 10.0),
    (3, "ledger", "PUT /entry", 4.0),
];

pub(crate) const GATEWAY: usize = 0;
pub(crate) const ORDERS: usize = 1;
pub(crate) const STOCK: usize = 2;
pub(crate) const PAYMENT: usize = 3;
pub(crate) const LEDGER: usize = 4;

const MS: f64 = 1e6;
const ERA_NS: i64 = 180 * SECOND_NS;
const ERROR: u32 = 17;
const INFO: u32 = 9;

/// What happens in one request.
pub(crate) struct Plan {
    /// Own time of each service, in milliseconds.
    pub(crate) own: [f64; 5],
    /// Time between its caller and each service, in milliseconds.
    pub(crate) gap: [f64; 5],
    /// Whether each service is called.
    pub(crate) called: [bool; 5],
    /// How often each service is called, where it is.
    pub(crate) times: [usize; 5],
    /// Whether the span of each service has status error.
    pub(crate) failed: [bool; 5],
    /// Severity and text of lines, by service.
    pub(crate) lines: Vec<(usize, u32, String)>,
    /// 0 to 1.
    pub(crate) luck: f64,
    /// The pod of each service that takes it.
    pub(crate) pod: [usize; 5],
}

impl Plan {
    pub(crate) fn error(&mut self, service: usize, text: &str) {
        self.lines.push((service, ERROR, text.to_owned()));
    }

    pub(crate) fn info(&mut self, service: usize, text: &str) {
        self.lines.push((service, INFO, text.to_owned()));
    }
}

/// One point of a metric: service, name, seconds since the begin, value. A service beyond the five
/// is a pod: 10 for each pod more.
pub(crate) type Point = (usize, &'static str, i64, f64);

pub(crate) struct Mart {
    pub(crate) seed: u64,
    /// Requests in each of the two times.
    pub(crate) requests: [usize; 2],
    /// What happens in the second time...
    pub(crate) wrong: Box<dyn Fn(&mut Plan)>,
    /// ...and in both.
    pub(crate) always: Box<dyn Fn(&mut Plan)>,
    /// Pods of each service; 0 for spans that tell of none.
    pub(crate) pods: usize,
    /// The attributes of a span, by service, pod, and whether it is of the second time.
    pub(crate) named: fn(usize, usize, bool) -> Vec<(&'static str, Value)>,
    pub(crate) points: Vec<Point>,
    /// Rows of `changes`.
    pub(crate) told: Vec<RecordBatch>,
    /// Whether spans tell their kinds, and callers have spans of their calls.
    pub(crate) linked_logs: bool,
}

impl Mart {
    pub(crate) fn new(seed: u64, wrong: impl Fn(&mut Plan) + 'static) -> Mart {
        let requests = [60, 60];
        Mart {
            seed,
            requests,
            wrong: Box::new(wrong),
            always: Box::new(|_| ()),
            pods: 0,
            named: |service, pod, _| vec![("resource.service.instance.id", pod_name(service, pod))],
            points: Vec::new(),
            told: Vec::new(),
            linked_logs: true,
        }
    }

    /// Spans of both times, lines and points.
    pub(crate) fn rows(&self) -> (Vec<Span>, RecordBatch, RecordBatch) {
        let mut told = Told::default();
        let mut dice = Dice(self.seed);
        // Dice of their own: all else is the same with and without pods.
        let mut balancer = Dice(!self.seed);
        for (era, requests) in self.requests.iter().enumerate() {
            for number in 0..*requests {
                let step = ERA_NS / *requests as i64;
                let at = BEGIN_NS + era as i64 * ERA_NS + number as i64 * step;
                let mut plan = plan(&mut dice);
                plan.pod = plan.pod.map(|_| balancer.below(self.pods.max(1)));
                (self.always)(&mut plan);
                if era == 1 {
                    (self.wrong)(&mut plan);
                }
                let first = told.spans.len();
                told.request(&plan, &mut dice, at);
                for span in told.spans[first..].iter_mut().filter(|_| self.pods > 0) {
                    let service = SERVICES.iter().position(|known| known.1 == span.service);
                    let service = service.expect("one of ours");
                    span.attributes = (self.named)(service, plan.pod[service], era == 1);
                }
            }
        }
        (told.spans, logs(&told.lines, self.linked_logs), points(&self.points))
    }

    pub(crate) fn find(&self) -> Suspects {
        self.find_in(self.rows().0)
    }

    /// The same with other spans.
    pub(crate) fn find_in(&self, spans: Vec<Span>) -> Suspects {
        let (_, logs, points) = self.rows();
        let before = range(0);
        let split = BEGIN_NS + ERA_NS;
        let (old, new): (Vec<Span>, Vec<Span>) =
            spans.into_iter().partition(|span| span.start < split);
        let evidence = WhyEvidence {
            spans: batches(&new, 500),
            baseline_spans: batches(&old, 500),
            logs: vec![logs],
            points: vec![points],
            changes: self.told.clone(),
            ..WhyEvidence::default()
        };
        let window = range(1);
        let now = window.to.shifted(60 * SECOND_NS);
        let question =
            WhyQuestion { scope: Scope::default(), window, baseline: None, slow: None, now };
        suspects(&question, &evidence, before)
    }

    /// Those that are suspect, not only possible.
    pub(crate) fn suspected(&self) -> Vec<Suspect> {
        let is_suspect = |suspect: &Suspect| suspect.strength >= Strength::Likely;
        self.find().list.into_iter().filter(is_suspect).collect()
    }
}

pub(crate) fn pod_name(service: usize, pod: usize) -> Value {
    Value::Text(format!("{}-{pod}", SERVICES[service].1))
}

pub(crate) fn range(era: i64) -> TimeRange {
    let from = UnixNanos(BEGIN_NS + era * ERA_NS);
    TimeRange { from, to: from.shifted(ERA_NS) }
}

fn plan(dice: &mut Dice) -> Plan {
    let mut noise = |usual: f64| usual * (0.7 + 0.6 * unit(dice));
    let own = SERVICES.map(|(_, _, _, ms)| noise(ms));
    let gap = SERVICES.map(|_| noise(1.0));
    let luck = unit(dice);
    let mut plan = Plan {
        own,
        gap,
        called: [true; 5],
        times: [1; 5],
        failed: [false; 5],
        lines: Vec::new(),
        luck,
        pod: [0; 5],
    };
    for (service, (_, name, _, _)) in SERVICES.iter().enumerate() {
        let id = dice.below(1_000_000);
        plan.info(service, &format!("{name}.rs:10 takes request {id} of user u{}", id % 97));
        if unit(dice) < 0.5 {
            plan.info(service, &format!("{name}.rs:17 cache holds entry {id}"));
        }
    }
    plan
}

fn unit(dice: &mut Dice) -> f64 {
    (dice.next() >> 11) as f64 / (1_u64 << 53) as f64
}

struct Line {
    at: i64,
    trace: u128,
    span: u64,
    service: usize,
    severity: u32,
    text: String,
}

#[derive(Default)]
struct Told {
    spans: Vec<Span>,
    lines: Vec<Line>,
}

impl Told {
    fn request(&mut self, plan: &Plan, dice: &mut Dice, at: i64) {
        let trace = u128::from(dice.next()) << 64 | u128::from(dice.next()) | 1;
        self.serve(plan, dice, trace, 0, GATEWAY, at);
    }

    /// A service takes a request, calls others one after the other, and ends. Gives its end.
    fn serve(
        &mut self,
        plan: &Plan,
        dice: &mut Dice,
        trace: u128,
        parent: u64,
        service: usize,
        at: i64,
    ) -> i64 {
        let (id, half) = (dice.next() | 1, (plan.own[service] * MS / 2.0) as i64);
        let mut now = at + half;
        let called = |callee: &usize| {
            *callee != GATEWAY && SERVICES[*callee].0 == service && plan.called[*callee]
        };
        let each = |callee: usize| std::iter::repeat_n(callee, plan.times[callee]);
        for callee in (0..SERVICES.len()).filter(called).flat_map(each) {
            let (call, gap) = (dice.next() | 1, (plan.gap[callee] * MS / 2.0) as i64);
            let end = self.serve(plan, dice, trace, call, callee, now + gap) + gap;
            self.span(
                trace,
                call,
                id,
                now,
                end,
                service,
                &format!("call {}", SERVICES[callee].1),
                "client",
                false,
            );
            now = end;
        }
        let end = now + half;
        let (name, failed) = (SERVICES[service].2, plan.failed[service]);
        self.span(trace, id, parent, at, end, service, name, "server", failed);
        for (_, severity, text) in plan.lines.iter().filter(|(of, _, _)| *of == service) {
            let (severity, text) = (*severity, text.clone());
            self.lines.push(Line { at, trace, span: id, service, severity, text });
        }
        end
    }

    #[expect(clippy::too_many_arguments, reason = "a span is nine facts")]
    fn span(
        &mut self,
        trace: u128,
        id: u64,
        parent: u64,
        start: i64,
        end: i64,
        service: usize,
        name: &str,
        kind: &'static str,
        failed: bool,
    ) {
        self.spans.push(Span {
            trace,
            id,
            parent,
            start,
            duration: Some(end - start),
            service: SERVICES[service].1.to_owned(),
            name: name.to_owned(),
            kind,
            status: if failed { "error" } else { "unset" },
            message: None,
            weight: None,
            attributes: Vec::new(),
        });
    }
}

/// A row of `changes`: payment 2.0 came so many seconds after the begin.
pub(crate) fn deployed(second: i64) -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("change_id", Arc::new(StringArray::from_iter_values(["d-2"]))),
        ("time", times([BEGIN_NS + second * SECOND_NS].into_iter())),
        ("kind", words(["deploy"].into_iter())),
        ("service", words(["payment"].into_iter())),
        ("version", words(["v2.0"].into_iter())),
        ("title", words(["faster cards"].into_iter())),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

fn words<'a>(texts: impl Iterator<Item = &'a str>) -> ArrayRef {
    let column: DictionaryArray<Int32Type> = texts.map(Some).collect();
    Arc::new(column)
}

fn times(times: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampNanosecondArray::from_iter_values(times).with_timezone("UTC"))
}

fn logs(lines: &[Line], linked: bool) -> RecordBatch {
    let ids = |bytes: Vec<Option<Vec<u8>>>, size: i32| -> ArrayRef {
        let built = FixedSizeBinaryArray::try_from_sparse_iter_with_size(bytes.into_iter(), size);
        Arc::new(built.expect("ids of one size"))
    };
    let trace = |line: &Line| linked.then(|| line.trace.to_be_bytes().to_vec());
    let span = |line: &Line| linked.then(|| line.span.to_be_bytes().to_vec());
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("time", times(lines.iter().map(|line| line.at))),
        ("trace_id", ids(lines.iter().map(trace).collect(), 16)),
        ("span_id", ids(lines.iter().map(span).collect(), 8)),
        ("service", words(lines.iter().map(|line| SERVICES[line.service].1))),
        (
            "severity_number",
            Arc::new(UInt32Array::from_iter_values(lines.iter().map(|line| line.severity))),
        ),
        ("body", Arc::new(StringArray::from_iter_values(lines.iter().map(|line| &line.text)))),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

fn points(points: &[Point]) -> RecordBatch {
    let series = |(service, name, _, _): &Point| {
        let of_name = name.bytes().fold(7_u64, |sum, byte| sum % (1 << 40) * 31 + u64::from(byte));
        of_name * 10 + *service as u64
    };
    let pods: DictionaryArray<Int32Type> = points.iter().map(|point| pod(point.0)).collect();
    let at = |(_, _, second, _): &Point| BEGIN_NS + second * SECOND_NS;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("series", Arc::new(UInt64Array::from_iter_values(points.iter().map(series)))),
        ("time", times(points.iter().map(at))),
        ("service", words(points.iter().map(|point| SERVICES[point.0 % 10].1))),
        ("name", words(points.iter().map(|point| point.1))),
        ("kind", words(points.iter().map(|_| "gauge"))),
        ("resource.k8s.pod.name", Arc::new(pods)),
        ("value_double", Arc::new(Float64Array::from_iter_values(points.iter().map(|p| p.3)))),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

/// The pod of a point, where it is of one.
fn pod(service: usize) -> Option<&'static str> {
    (service >= 10).then(|| ["pod-1", "pod-2", "pod-3", "pod-4"][service / 10 - 1])
}

/// Points of a metric of so many pods of a service, every 30 s of both times, with noise; `of`
/// gives the factor by pod and second.
pub(crate) fn metric_of_pods(
    service: usize,
    pods: usize,
    seed: u64,
    of: impl Fn(usize, i64) -> f64,
) -> Vec<Point> {
    let mut dice = Dice(seed);
    let mut all = Vec::new();
    for (pod, second) in (1..=pods).flat_map(|pod| (15..360).step_by(30).map(move |s| (pod, s))) {
        let value = 0.05 * (0.8 + 0.4 * unit(&mut dice)) * of(pod, second);
        all.push((service + 10 * pod, "container.cpu.usage", second, value));
    }
    all
}

/// Points of a metric of all services, every 30 s of both times, with noise; `of` gives the
/// factor by service and second.
pub(crate) fn metric(
    name: &'static str,
    usual: f64,
    seed: u64,
    of: impl Fn(usize, i64) -> f64,
) -> Vec<Point> {
    let mut dice = Dice(seed);
    let mut all = Vec::new();
    for service in 0..SERVICES.len() {
        for second in (15..360).step_by(30) {
            let value = usual * (0.8 + 0.4 * unit(&mut dice)) * of(service, second);
            all.push((service, name, second, value));
        }
    }
    all
}
