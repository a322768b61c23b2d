//! What holds for every map, whatever the spans are.

mod shop;

use std::collections::{BTreeMap, BTreeSet};

use halfopen_explain::map::{MapEvidence, MapQuestion, map};
use halfopen_explain::why::{WhyEvidence, WhyQuestion, why};
use halfopen_model::answer::{MapAnswer, NodeKind, Scope};
use halfopen_model::time::SECOND_NS;
use halfopen_model::{TimeRange, UnixNanos};
use proptest::prelude::*;
use shop::rows::{Span, Value, batches};
use shop::{BEGIN_NS, Dice, Fault, Shop};

const MS: i64 = 1_000_000;
const SERVICES: [&str; 5] = ["gate", "pay", "stock", "mail", "fraud"];
const KINDS: [&str; 5] = ["server", "client", "internal", "producer", "consumer"];

fn window() -> TimeRange {
    let begin = UnixNanos(BEGIN_NS);
    TimeRange { from: begin, to: begin.shifted(60 * SECOND_NS) }
}

fn ask(spans: &[Span], batch_rows: usize) -> MapAnswer {
    let question = MapQuestion { window: window(), now: window().to.shifted(60 * SECOND_NS) };
    map(&question, &MapEvidence { spans: batches(spans, batch_rows), truncated: None })
}

/// Traces of any shape: orphans, several roots, any kind below any other.
fn jumble(seed: u64, traces: usize) -> Vec<Span> {
    let mut dice = Dice(seed);
    let mut spans: Vec<Span> = Vec::new();
    for _ in 0..traces {
        let trace = u128::from(dice.next()) << 64 | u128::from(dice.next());
        let (first, count) = (spans.len(), 1 + dice.below(12));
        for number in 0..count {
            let parent = match dice.below(12) {
                0 => 0,
                1 => dice.next() | 1,
                _ if number == 0 => 0,
                _ => spans[first + dice.below(number)].id,
            };
            let span = jumbled(&mut dice, trace, parent);
            spans.push(span);
        }
    }
    spans
}

fn jumbled(dice: &mut Dice, trace: u128, parent: u64) -> Span {
    let text = |text: &str| Value::Text(text.to_owned());
    let mut attributes = Vec::new();
    match dice.below(6) {
        0 => attributes.push(("span.service.peer.name", text(SERVICES[dice.below(5)]))),
        1 => attributes.push(("span.service.peer.name", text("bank"))),
        2 => attributes.push(("span.server.address", text("api.bank.example"))),
        3 => attributes.push(("span.db.system.name", text("redis"))),
        4 => attributes.push(("span.messaging.destination.name", text("orders"))),
        _ => {}
    }
    Span {
        trace,
        id: dice.next() | 1,
        parent,
        start: BEGIN_NS + (dice.below(70_000) as i64 - 5_000) * MS,
        duration: Some(dice.below(500) as i64 * MS).filter(|_| dice.below(20) > 0),
        service: SERVICES[dice.below(5)].to_owned(),
        name: format!("work {}", dice.below(2)),
        kind: KINDS[dice.below(5)],
        status: if dice.below(4) == 0 { "error" } else { "unset" },
        message: None,
        weight: None,
        attributes,
    }
}

// ===== calls are those of a loop that anybody can check =====

type Edge = (String, String, bool);

#[derive(Default, PartialEq, Debug)]
struct Counts {
    calls: u64,
    failed: u64,
    retries: u64,
    durations: Vec<i64>,
}

/// The spans of one trace, each asked about its neighbours by walking all of them.
struct Oracle<'s> {
    spans: &'s [Span],
    /// The one service behind each peer that was ever answered.
    aliases: &'s BTreeMap<String, Option<String>>,
    /// Services of which spans came, in any trace.
    heard: &'s BTreeSet<String>,
}

impl Oracle<'_> {
    fn parent(&self, span: &Span) -> Option<&Span> {
        self.spans.iter().find(|other| other.id == span.parent && span.parent != 0)
    }

    fn children<'a>(&'a self, span: &'a Span) -> impl Iterator<Item = &'a Span> {
        self.spans.iter().filter(move |other| other.parent == span.id)
    }

    fn queue(span: &Span) -> bool {
        span.attributes.iter().any(|(name, _)| *name == "span.messaging.destination.name")
    }

    fn messages(span: &Span) -> bool {
        ["producer", "consumer"].contains(&span.kind)
            || (Self::queue(span) && span.kind == "client")
    }

    fn sends(span: &Span) -> bool {
        Self::messages(span) && span.kind != "consumer"
    }

    fn exits(span: &Span) -> bool {
        ["client", "producer"].contains(&span.kind)
    }

    fn enters(span: &Span) -> bool {
        ["server", "consumer"].contains(&span.kind)
    }

    fn hop(parent: &Span, child: &Span) -> bool {
        parent.service != child.service || (Self::enters(child) && Self::exits(parent))
    }

    fn is_call(span: &Span) -> bool {
        Self::exits(span) && !Self::messages(span)
    }

    /// The child that answered a call.
    fn answer<'a>(&'a self, span: &'a Span) -> Option<&'a Span> {
        let fits =
            |child: &&Span| Self::is_call(span) && !Self::messages(child) && Self::hop(span, child);
        self.children(span).filter(fits).min_by_key(|child| (child.start, child.id))
    }

    fn target(&self, span: &Span) -> Option<String> {
        if let Some(answer) = self.answer(span) {
            return Some(answer.service.clone());
        }
        let database = |(name, value): &(&str, Value)| {
            (*name == "span.db.system.name").then(|| text(value).to_owned())
        };
        let peer = Self::peer(span)?;
        span.attributes.iter().find_map(database).or_else(|| {
            let known = self.heard.contains(&peer);
            let alias = self.aliases.get(&peer).filter(|_| !known).cloned().flatten();
            alias.or(Some(peer))
        })
    }

    fn peer(span: &Span) -> Option<String> {
        let names = ["span.service.peer.name", "span.server.address", "span.db.system.name"];
        let peer =
            |(name, value): &(&str, Value)| names.contains(name).then(|| text(value).to_owned());
        span.attributes.iter().find_map(peer)
    }

    fn is_told_by_a_child(&self, span: &Span) -> bool {
        let target = self.target(span);
        self.answer(span).is_none()
            && self.children(span).any(|child| {
                let same = Self::is_call(child) && child.service == span.service;
                let aim = self.target(child);
                same && aim.is_some() && (target.is_none() || aim == target)
            })
    }

    /// Whether the call right before it, of this parent to this target, failed and was over.
    fn repeats(&self, span: &Span) -> bool {
        let Some(parent) = self.parent(span) else { return false };
        let alike = |other: &&Span| {
            Self::is_call(other)
                && other.name == span.name
                && self.target(other) == self.target(span)
                && (other.start, other.id) < (span.start, span.id)
        };
        let before = self.children(parent).filter(alike).max_by_key(|o| (o.start, o.id));
        before.is_some_and(|before| {
            failed(before) && before.start + before.duration.unwrap_or(0) - MS <= span.start
        })
    }

    /// The edges that a span is counted on; the second flag is for a retry only.
    fn edges(&self, span: &Span) -> Vec<(Edge, bool)> {
        let parent = self.parent(span);
        let service = || span.service.clone();
        if Self::messages(span) {
            let queue = match (Self::queue(span), parent) {
                (true, _) => Some("orders".to_owned()),
                (false, Some(parent)) if !Self::sends(span) => {
                    let known = Self::sends(parent) && Self::queue(parent);
                    Some(if known { "orders".to_owned() } else { parent.service.clone() })
                }
                _ => None,
            };
            let Some(queue) = queue else { return Vec::new() };
            let (from, to) =
                if Self::sends(span) { (service(), queue) } else { (queue, service()) };
            return vec![((from, to, true), false)];
        }
        let mut edges = Vec::new();
        if Self::is_call(span) && !self.is_told_by_a_child(span) {
            edges.extend(self.target(span).map(|target| ((service(), target, false), false)));
        }
        match parent {
            Some(parent) if Self::hop(parent, span) => {
                let edge = (parent.service.clone(), service(), false);
                match self.answer(parent) {
                    Some(answer) if answer.id == span.id => {}
                    Some(answer) if answer.service == span.service => edges.push((edge, true)),
                    _ => edges.push((edge, false)),
                }
            }
            None if span.parent == 0 && Self::enters(span) => {
                edges.push((("outside".to_owned(), service(), false), false));
            }
            _ => {}
        }
        edges
    }
}

fn text(value: &Value) -> &str {
    match value {
        Value::Text(text) => text,
        _ => "",
    }
}

/// Peers of answered calls with the service that answered; none where there were several.
fn aliases(traces: &BTreeMap<u128, Vec<Span>>) -> BTreeMap<String, Option<String>> {
    let mut aliases: BTreeMap<String, Option<String>> = BTreeMap::new();
    let none = BTreeMap::new();
    for spans in traces.values() {
        let oracle = Oracle { spans, aliases: &none, heard: &BTreeSet::new() };
        for span in spans {
            if let (Some(answer), Some(peer)) = (oracle.answer(span), Oracle::peer(span)) {
                let service = Some(answer.service.clone());
                let known = aliases.entry(peer).or_insert(service.clone());
                if *known != service {
                    *known = None;
                }
            }
        }
    }
    aliases
}

fn failed(span: &Span) -> bool {
    span.status == "error" || span.duration.is_none()
}

fn naive(spans: &[Span]) -> BTreeMap<Edge, Counts> {
    let mut traces: BTreeMap<u128, Vec<Span>> = BTreeMap::new();
    for span in spans {
        traces.entry(span.trace).or_default().push(span.clone());
    }
    let mut edges: BTreeMap<Edge, Counts> = BTreeMap::new();
    let aliases = aliases(&traces);
    let heard = spans.iter().map(|span| span.service.clone()).collect();
    for trace in traces.values() {
        let oracle = Oracle { spans: trace, aliases: &aliases, heard: &heard };
        for span in trace.iter().filter(|span| window().contains(UnixNanos(span.start))) {
            for (edge, only_again) in oracle.edges(span) {
                let told = Oracle::is_call(span) && edge.0 == span.service;
                let counts = edges.entry(edge).or_default();
                counts.retries += u64::from(only_again || (told && oracle.repeats(span)));
                if !only_again {
                    counts.calls += 1;
                    counts.failed += u64::from(failed(span));
                    counts.durations.extend(span.duration);
                }
            }
        }
    }
    edges.retain(|_, counts| counts.calls > 0);
    edges.values_mut().for_each(|counts| counts.durations.sort_unstable());
    edges
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// The smallest value at or below which lies this share, in thousandths.
fn rank(sorted: &[i64], thousandths: usize) -> i64 {
    sorted[(sorted.len() * thousandths).div_ceil(1_000).max(1) - 1]
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn a_map_equals_the_traces_of_its_range(
        seed in any::<u64>(),
        traces in 1_usize..80,
        batch_rows in 5_usize..400,
    ) {
        let spans = jumble(seed, traces);
        let answer = ask(&spans, batch_rows);
        let mut expected = naive(&spans);
        for edge in &answer.edges {
            let (from, to) = (&answer.nodes[edge.from], &answer.nodes[edge.to]);
            let key = (from.name.clone(), to.name.clone(), edge.queue);
            let counts = expected.remove(&key);
            prop_assert!(counts.is_some(), "{key:?} is in no trace");
            let counts = counts.unwrap_or_default();
            let found = (edge.calls.total, edge.calls.count, edge.retries);
            let wanted = (counts.calls as f64, counts.failed as f64, counts.retries as f64);
            prop_assert_eq!(found, wanted, "{:?}", key);
            let found = edge.latency.map(|of| [of.p50_ns, of.p90_ns, of.p99_ns]);
            let wanted = (!counts.durations.is_empty())
                .then(|| [500, 900, 990].map(|share| rank(&counts.durations, share)));
            prop_assert_eq!(found, wanted, "{:?}", key);
        }
        prop_assert!(expected.is_empty(), "not on the map: {:?}", expected);
    }

    #[test]
    fn the_order_of_rows_changes_nothing(seed in any::<u64>(), batch_rows in 5_usize..400) {
        let mut spans = jumble(seed, 40);
        let answer = ask(&spans, batch_rows);
        spans.reverse();
        let again = ask(&spans, 1_000);
        prop_assert_eq!(&answer.edges, &again.edges);
        prop_assert_eq!(&answer.nodes, &again.nodes);
    }
}

/// What `why` says of a service alone, the map says of its node.
#[test]
fn counts_are_those_of_why() {
    let shop = Shop::new(7).failing(|visit| {
        (visit.checkout && visit.gift_card)
            .then(|| Fault::timeout("payment", "card-gateway", 900))?
    });
    let spans = shop.spans();
    let window = shop.window();
    let now = window.to.shifted(60 * SECOND_NS);
    let evidence = MapEvidence { spans: batches(&spans, 700), truncated: None };
    let answer = map(&MapQuestion { window, now }, &evidence);
    let ask = |scope: Scope| {
        let evidence = WhyEvidence { spans: batches(&spans, 700), ..WhyEvidence::default() };
        // A window of its own as baseline keeps an onset from cutting the window short.
        let baseline =
            Some(TimeRange { from: window.from.shifted(-2), to: window.from.shifted(-1) });
        why(&WhyQuestion { scope, window, baseline, slow: None, now }, &evidence)
    };
    let heard: Vec<_> = answer.nodes.iter().filter(|node| node.heard).collect();
    assert_eq!(heard.len(), shop::SERVICES.len());
    for node in heard {
        let scope = Scope { service: Some(node.name.clone()), operation: None };
        let said = ask(scope);
        if said.onset.is_none() && said.also_failing.is_empty() && said.scope.operation.is_none() {
            assert_eq!(said.failing, node.requests, "{}", node.name);
        }
        let by_hand = spans.iter().filter(|s| s.service == node.name && s.kind == "server");
        assert_eq!(node.requests.total, by_hand.count() as f64, "{}", node.name);
    }
    let roots = spans.iter().filter(|span| span.parent == 0);
    let failing = roots.clone().filter(|span| failed(span)).count() as f64;
    assert_eq!((answer.requests.count, answer.requests.total), (failing, roots.count() as f64));
    let silent =
        answer.nodes.iter().find(|node| node.name == "card-gateway").expect("it is called");
    assert_eq!((silent.kind, silent.heard), (NodeKind::Service, false));
    let payment: f64 = answer
        .edges
        .iter()
        .filter(|edge| answer.nodes[edge.to].name == "payment")
        .map(|edge| edge.calls.total)
        .sum();
    let visits = answer.nodes.iter().find(|node| node.name == "payment").expect("it was heard");
    assert_eq!(payment, visits.requests.total);
}
