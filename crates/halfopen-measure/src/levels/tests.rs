use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, StringArray, TimestampNanosecondArray};
use halfopen_model::time::SECOND_NS;
use halfopen_model::{TimeRange, UnixNanos};

use super::*;

/// Minutes before the window, and minutes of it.
const BEFORE: i64 = 600;
const WINDOW: i64 = 5;

const CALLS: [(&str, &str); 5] = [
    ("gateway", "cart"),
    ("gateway", "search"),
    ("cart", "db"),
    // A circle, and a service that calls itself.
    ("db", "cart"),
    ("search", "search"),
];

fn minute(at: i64) -> UnixNanos {
    UnixNanos(at * 60 * SECOND_NS)
}

fn batch(rows: &[(i64, &str, &str, f64)]) -> RecordBatch {
    let times = TimestampNanosecondArray::from_iter_values(rows.iter().map(|row| minute(row.0).0));
    let texts = |of: fn(&(i64, &str, &str, f64)) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(of)))
    };
    let values = Float64Array::from_iter_values(rows.iter().map(|row| row.3));
    RecordBatch::try_from_iter([
        ("time", Arc::new(times.with_timezone("UTC")) as ArrayRef),
        ("service", texts(|row| row.1.to_owned())),
        ("name", texts(|row| row.2.to_owned())),
        ("value_double", Arc::new(values)),
    ])
    .expect("columns of one length")
}

fn edges() -> RecordBatch {
    let ends = |at: fn(&(&str, &str)) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(CALLS.iter().map(at)))
    };
    RecordBatch::try_from_iter([
        ("metric.client", ends(|call| call.0.to_owned())),
        ("metric.server", ends(|call| call.1.to_owned())),
    ])
    .expect("columns of one length")
}

/// Levels of four services; in the window those of `hit` are multiplied.
fn ask(seed: u64, hit: &[(&str, f64)]) -> MetricAnswer {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut rows = Vec::new();
    for at in 0..BEFORE + WINDOW {
        for (service, level) in [("gateway", 0.2), ("cart", 0.1), ("search", 0.05), ("db", 0.02)] {
            let factor = hit.iter().find(|(name, _)| at >= BEFORE && *name == service);
            // A sum of uniform numbers is nearly normal: spread of a tenth.
            let noise = 1.0 + ((0..12).map(|_| next()).sum::<f64>() - 6.0) / 10.0;
            let value = level * noise.max(0.1) * factor.map_or(1.0, |(_, factor)| *factor);
            rows.push((at, service, "latency", value));
            rows.push((at, service, "requests", 100.0));
        }
    }
    let question = MetricQuestion {
        metric: "latency".to_owned(),
        total: Some("requests".to_owned()),
        service: Some("gateway".to_owned()),
        window: TimeRange { from: minute(BEFORE), to: minute(BEFORE + WINDOW) },
        baseline: Some(TimeRange { from: minute(0), to: minute(BEFORE) }),
    };
    levels(&question, &LevelEvidence { points: vec![batch(&rows)], edges: vec![edges()] })
}

fn first(answer: &MetricAnswer) -> (&str, Vec<&str>) {
    match answer.causes.first().map(|cause| &cause.place) {
        Some(MetricPlace::Service { service, path, .. }) => {
            (service, path.iter().map(String::as_str).collect())
        }
        _ => ("", Vec::new()),
    }
}

#[test]
fn the_walk_ends_at_the_last_service_that_stands_out() {
    let answer = ask(1, &[("gateway", 2.5), ("cart", 3.0), ("db", 9.0)]);
    assert_eq!(answer.verdict, Verdict::Explained, "{answer:?}");
    // Two that call each other and both stand out: no walk ends there, the larger change is told.
    assert!(matches!(first(&answer).0, "db" | "cart"), "{answer:?}");
    let answer = ask(1, &[("gateway", 2.5), ("search", 9.0)]);
    assert_eq!(first(&answer), ("search", vec!["gateway", "search"]), "{answer:?}");
}

#[test]
fn a_service_whose_callees_are_well_is_the_cause_itself() {
    let answer = ask(2, &[("gateway", 4.0)]);
    assert_eq!(first(&answer), ("gateway", vec!["gateway"]), "{answer:?}");
    assert_eq!(answer.causes[0].strength, Strength::Strong);
}

/// A level that falls is as much a symptom as one that rises.
#[test]
fn levels_that_fall_are_followed_down() {
    let answer = ask(3, &[("gateway", 0.3), ("search", 0.1)]);
    assert_eq!(first(&answer).0, "search", "{answer:?}");
}

#[test]
fn a_service_that_nobody_measured_is_a_gap() {
    let question = MetricQuestion {
        metric: "latency".to_owned(),
        total: None,
        service: Some("gateway".to_owned()),
        window: TimeRange { from: minute(0), to: minute(5) },
        baseline: None,
    };
    let answer = levels(&question, &LevelEvidence::default());
    assert_eq!((answer.verdict, answer.gaps.len()), (Verdict::NotEnoughEvidence, 1));
}

/// Nothing happened in 400 windows: at most 3 % are no longer quiet. 12 would be that share.
#[test]
fn quiet_windows_stay_quiet() {
    let alarms = (10..410).filter(|seed| ask(*seed, &[]).verdict == Verdict::Explained).count();
    assert!(alarms <= 12, "{alarms} of 400");
}
