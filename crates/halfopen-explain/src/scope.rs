//! Which requests a question is about, when it leaves that open.

use std::collections::BTreeMap;

use halfopen_model::answer::{Scope, Share};

use crate::anchor::Requests;
use crate::intern::{FoldMap, NONE};
use crate::onset::{self, Course};
use crate::spans::Spans;

/// One operation stands for its service when it has at least this share of what fails there.
const OPERATION_SHARE_MIN: f64 = 0.8;

/// A failing share that was there all the time counts this much against one that rose: who asks
/// why means what is new.
const STEADY_WEIGHT: f64 = 0.25;

/// Other kinds of requests that are named.
const ALSO_FAILING_MAX: usize = 5;

/// The requests that are looked at.
pub(crate) struct Chosen {
    pub(crate) scope: Scope,
    /// Their numbers, by time.
    pub(crate) members: Vec<u32>,
    pub(crate) also_failing: Vec<(Scope, Share)>,
    /// Their service; `None` when it has no name.
    pub(crate) service: Option<String>,
    /// What they ask for; empty for all that their service is asked for.
    pub(crate) operations: Vec<String>,
}

/// What is known about requests of one service and operation.
#[derive(Default)]
struct Kind {
    members: Vec<u32>,
    failing: Share,
    baseline: Share,
    excess: f64,
}

/// Chooses the requests: those asked for, else those that fail most beyond what they did before.
pub(crate) fn choose(
    spans: &Spans<'_>,
    requests: &Requests,
    asked: &Scope,
    window_ns: i64,
) -> Chosen {
    let mut met: FoldMap<[u32; 2], Kind> = FoldMap::default();
    for (number, request) in requests.all.iter().enumerate() {
        let kind = met.entry([request.service, request.operation]).or_default();
        let share = if request.baseline { &mut kind.baseline } else { &mut kind.failing };
        share.total += f64::from(request.weight);
        share.count += f64::from(request.weight) * f64::from(u8::from(request.failed));
        kind.members.push(number as u32);
    }
    let named = met.into_iter().map(|([service, operation], kind)| ((service, operation), kind));
    let mut kinds: BTreeMap<(u32, u32), Kind> = named.collect();
    let wanted = |key: &(u32, u32)| {
        let operation = requests.operations.text(key.1);
        asked.operation.as_ref().is_none_or(|wanted| {
            let name = |kind: &Kind| {
                let row = requests.all[kind.members[0] as usize].row as usize;
                spans.words.text(spans.name[row]) == wanted
            };
            operation == wanted || kinds.get(key).is_some_and(name)
        })
    };
    let keys: Vec<_> = kinds.keys().copied().filter(wanted).collect();
    kinds.retain(|key, _| keys.contains(key));
    for kind in kinds.values_mut() {
        kind.excess = excess(requests, kind, window_ns);
    }
    let narrowed = narrow(&kinds, asked);
    assemble(spans, requests, kinds, asked, narrowed)
}

/// Failing requests beyond what would fail if nothing had changed.
fn excess(requests: &Requests, kind: &Kind, window_ns: i64) -> f64 {
    if kind.failing.count == 0.0 {
        return 0.0;
    }
    if kind.baseline.total > 0.0 {
        return kind.failing.count - kind.baseline.ratio() * kind.failing.total;
    }
    let outcomes: Vec<(i64, bool)> = kind
        .members
        .iter()
        .map(|number| &requests.all[*number as usize])
        .filter(|request| !request.baseline)
        .map(|request| (request.start, request.failed))
        .collect();
    match onset::course(&outcomes, window_ns) {
        Course::Rose { .. } => kind.failing.count,
        Course::Steady | Course::Spike { .. } => kind.failing.count * STEADY_WEIGHT,
    }
}

/// Service and operation that fail most; an operation alone only where it holds most of what
/// fails in its service.
fn narrow(kinds: &BTreeMap<(u32, u32), Kind>, asked: &Scope) -> (Option<u32>, Option<u32>) {
    let mut services: BTreeMap<u32, f64> = BTreeMap::new();
    for ((service, _), kind) in kinds {
        *services.entry(*service).or_default() += kind.excess.max(0.0);
    }
    let most = |best: Option<(u32, f64)>, (service, excess): (&u32, &f64)| match best {
        Some((_, known)) if known >= *excess => best,
        _ if *excess > 0.0 => Some((*service, *excess)),
        _ => best,
    };
    let Some((service, total)) = services.iter().fold(None, most) else { return (None, None) };
    let mut best = (NONE, 0.0);
    for ((owner, operation), kind) in kinds {
        if *owner == service && kind.excess > best.1 {
            best = (*operation, kind.excess);
        }
    }
    let alone = best.1 >= OPERATION_SHARE_MIN * total || asked.operation.is_some();
    (Some(service), (alone && best.0 != NONE).then_some(best.0))
}

fn assemble(
    spans: &Spans<'_>,
    requests: &Requests,
    kinds: BTreeMap<(u32, u32), Kind>,
    asked: &Scope,
    narrowed: (Option<u32>, Option<u32>),
) -> Chosen {
    let text = |code: u32| spans.words.text(code).to_owned();
    let scope_of = |key: &(u32, u32)| Scope {
        service: (key.0 != NONE).then(|| text(key.0)),
        operation: Some(requests.operations.text(key.1).to_owned()),
    };
    let (mut members, mut also_failing, mut operations) = (Vec::new(), Vec::new(), Vec::new());
    let some = narrowed.1.is_some() || asked.operation.is_some();
    for (key, kind) in kinds {
        let chosen = narrowed.0.is_none_or(|service| service == key.0)
            && narrowed.1.is_none_or(|operation| operation == key.1);
        if chosen {
            members.extend(kind.members);
            operations.extend(some.then(|| requests.operations.text(key.1).to_owned()));
        } else if kind.failing.count > 0.0 {
            also_failing.push((scope_of(&key), kind.failing));
        }
    }
    members.sort_unstable();
    also_failing.sort_by(|a, b| b.1.count.total_cmp(&a.1.count).then(a.0.cmp(&b.0)));
    also_failing.truncate(ALSO_FAILING_MAX);
    let scope = Scope {
        service: asked.service.clone().or(narrowed.0.filter(|code| *code != NONE).map(text)),
        operation: asked
            .operation
            .clone()
            .or(narrowed.1.map(|code| requests.operations.text(code).to_owned())),
    };
    let service = narrowed.0.filter(|code| *code != NONE).map(text);
    Chosen { scope, members, also_failing, service, operations }
}
