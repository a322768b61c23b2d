use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, DictionaryArray, FixedSizeBinaryArray, Float64Array,
    Int64Array, MapBuilder, MapFieldNames, RecordBatch, StringArray, StringBuilder, StructBuilder,
    TimestampNanosecondArray, UInt8Builder, UInt64Array,
};
use arrow::datatypes::Int32Type;
use expect_test::expect_file;
use halfopen_model::answer::{
    BaselineKind, Call, Cause, Chain, ChainOf, Condition, ConditionPart, Confidence, Contrast,
    Deviation, Evidence, EvidenceRef, Gap, Hop, HopKind, Onset, Refutation, RuledOut, Scope, Share,
    Strength, Suspect, Suspects, Verdict, WhyAnswer,
};
use halfopen_model::attribute::AttributeValue;
use halfopen_model::schema::value_fields;
use halfopen_model::{SpanId, TimeRange, TraceId, UnixNanos};
use halfopen_store::QueryAnswer;

use super::{ProblemV1, QueryV1, WhyV1, attribute_json, row_json};

fn attributes(entries: &[(&str, AttributeValue)]) -> ArrayRef {
    let names = MapFieldNames { entry: "entries".into(), key: "key".into(), value: "value".into() };
    let values = StructBuilder::from_fields(value_fields(), entries.len());
    let mut map = MapBuilder::new(Some(names), StringBuilder::new(), values);
    for (key, value) in entries {
        map.keys().append_value(key);
        let tag: &mut UInt8Builder = map.values().field_builder(0).expect("the tag");
        tag.append_value(value.value_type().tag());
        let text: &mut StringBuilder = map.values().field_builder(1).expect("the text");
        text.append_value(value.to_text());
        map.values().append(true);
    }
    map.append(true).expect("keys and values of one length");
    Arc::new(map.finish())
}

fn answered(columns: Vec<(&str, ArrayRef)>) -> QueryV1 {
    let rows = RecordBatch::try_from_iter(columns).expect("columns of one length");
    QueryV1::from(&QueryAnswer {
        schema: rows.schema(),
        batches: vec![rows],
        truncated: false,
        unread: Vec::new(),
    })
}

#[test]
fn every_kind_of_cell_has_its_json() {
    let trace = FixedSizeBinaryArray::try_from_iter([[0xab; 16]].iter()).expect("16 bytes");
    let time = TimestampNanosecondArray::from(vec![1_795_183_200_000_000_001]);
    let attributes = attributes(&[
        ("span.text", AttributeValue::Text("it's \"quoted\"\n".into())),
        ("span.int", AttributeValue::Int(i64::MIN)),
        ("span.double", AttributeValue::Double(1.0)),
        ("span.nan", AttributeValue::Double(f64::NAN)),
        ("span.bool", AttributeValue::Bool(false)),
        ("span.empty", AttributeValue::Empty),
        ("span.bytes", AttributeValue::Bytes("AAEC".into())),
        ("span.broken", AttributeValue::BrokenText("/w==".into())),
        ("span.list", AttributeValue::List("[1,\"a\"]".into())),
        ("span.map", AttributeValue::Map("{\"b\":{\"c\":1.5}}".into())),
        ("span.twice", AttributeValue::Int(1)),
        ("span.twice", AttributeValue::Text("two".into())),
    ]);
    let answer = answered(vec![
        ("trace_id", Arc::new(trace)),
        ("time", Arc::new(time.with_timezone("UTC"))),
        (
            "word",
            Arc::new(vec![Some("checkout")].into_iter().collect::<DictionaryArray<Int32Type>>()),
        ),
        ("text", Arc::new(StringArray::from(vec!["größe"]))),
        ("count", Arc::new(UInt64Array::from(vec![u64::MAX]))),
        ("int", Arc::new(Int64Array::from(vec![i64::MIN]))),
        ("nothing", Arc::new(Int64Array::from(vec![None]))),
        ("double", Arc::new(Float64Array::from(vec![f64::NEG_INFINITY]))),
        ("bool", Arc::new(BooleanArray::from(vec![true]))),
        ("raw", Arc::new(BinaryArray::from_vec(vec![b"\xff\x00"]))),
        ("attributes", attributes),
    ]);
    let row = row_json(&answer.columns, &answer.rows[0]);
    expect_file!["tests/cells.json"].assert_eq(&serde_json::to_string_pretty(&row).expect("JSON"));
    let forms: Vec<&str> = answer.columns.iter().map(|column| column.form.as_str()).collect();
    assert_eq!(
        forms,
        [
            "id",
            "time",
            "text",
            "text",
            "number",
            "number",
            "number",
            "number",
            "bool",
            "bytes",
            "attributes"
        ]
    );
}

#[test]
fn a_name_that_sql_gives_twice_keeps_both_values() {
    let column = |value: i64| -> ArrayRef { Arc::new(Int64Array::from(vec![value])) };
    let answer = answered(vec![("a", column(1)), ("a", column(2))]);
    let row = row_json(&answer.columns, &answer.rows[0]);
    assert_eq!(serde_json::to_string(&row).expect("JSON"), r#"{"a":1,"a:2":2}"#);
}

#[test]
fn a_value_that_is_no_json_is_text() {
    assert_eq!(attribute_json(&AttributeValue::List("[1,".into())).to_string(), "\"[1,\"");
}

fn suspects(window: TimeRange, trace_id: TraceId) -> Suspects {
    Suspects {
        now: window,
        before: window,
        list: vec![Suspect {
            strength: Strength::Likely,
            service: "stock".into(),
            instance: None,
            after: None,
            score: 0.5,
            path: Vec::new(),
            evidence: vec![Deviation {
                id: "e0000d1".into(),
                kind: "self_time",
                subject: "GET /stock".into(),
                before: 3e6,
                now: 2.4e8,
                unit: "ns".into(),
                samples: 120,
                samples_before: 118,
                score: 0.5,
                refs: vec![EvidenceRef::Trace(trace_id), EvidenceRef::Series(7)],
                query: None,
            }],
            explains: vec!["gateway".into()],
        }],
        compared: 9,
        unread_lines: 0,
        symptom: None,
    }
}

fn chain() -> Chain {
    let hop = Hop {
        kind: HopKind::Call,
        statement: "gateway → payment POST /pay fails".into(),
        numbers: "398 of 412 failing · 0 of 9,418 healthy".into(),
        notes: Vec::new(),
        evidence: vec!["e0000e1".into()],
        query: Some("select 1".into()),
        confidence: Confidence::Confirmed,
        refuted_by: Refutation { check: "halfopen query QUERY".into(), result: "0 of 412".into() },
    };
    let stock = RuledOut { what: "stock".into(), how: "fails as often among healthy ones".into() };
    Chain { of: ChainOf::Cause, hops: vec![hop], ruled_out: vec![stock] }
}

fn why() -> WhyAnswer {
    let trace_id = TraceId([0x7f; 16]);
    let contrast = Contrast { failing: Share::new(398.0, 412.0), healthy: Share::new(0.0, 9418.0) };
    let window = TimeRange { from: UnixNanos(0), to: UnixNanos(900_000_000_000) };
    WhyAnswer {
        scope: Scope { service: Some("gateway".into()), operation: None },
        window,
        baseline: BaselineKind::Window(window),
        slow: None,
        verdict: Verdict::Explained,
        failing: Share::new(412.0, 9830.0),
        before: Some(Share::new(0.5, 1000.0)),
        onset: Some(Onset {
            at: UnixNanos(130_000_000_000),
            within_ns: 10_000_000_000,
            until: None,
        }),
        causes: vec![Cause {
            strength: Strength::Strong,
            call: Some(Call {
                service: "payment".into(),
                peer: Some("card-gateway".into()),
                operation: "POST".into(),
                reason: "timeout".into(),
                duration_ns: Some(2_000_000_000),
                example: Some((trace_id, SpanId([3; 8]))),
            }),
            contrast,
            conditions: vec![Condition {
                parts: vec![ConditionPart {
                    service: "payment".into(),
                    attribute: "span.order.gift_card".into(),
                    value: "true".into(),
                }],
                same_as: Vec::new(),
                contrast,
                p_value: 1e-12,
                implied_by_call: false,
            }],
            novelty: None,
            after: Vec::new(),
            example: Some(trace_id),
            healthy_twin: None,
            path: Vec::new(),
            evidence: vec![Evidence {
                id: "e0000e1".into(),
                kind: "error_origin",
                subject: "payment".into(),
                effect: None,
                failing: contrast.failing,
                healthy: contrast.healthy,
                strength: Strength::Strong,
                refs: vec![EvidenceRef::Span(trace_id, SpanId([3; 8]))],
                query: Some("select 1".into()),
            }],
        }],
        suspects: Some(suspects(window, trace_id)),
        ruled_out: vec!["stock: fails as often among healthy requests".into()],
        change: None,
        gaps: vec![Gap::NoBaseline],
        spans: 39_320,
        also_failing: vec![(Scope::default(), Share::new(1.0, 2.0))],
        next: vec!["halfopen trace 7f7f".into()],
        symptom: None,
        chain: chain(),
    }
}

#[test]
fn the_answer_of_why_has_this_form_and_comes_back_as_it_was() {
    let wire = WhyV1::from(&why());
    let text = serde_json::to_string_pretty(&wire).expect("JSON");
    expect_file!["tests/why.json"].assert_eq(&text);
    let back: WhyV1 = serde_json::from_str(&text).expect("its own form");
    assert_eq!(back, wire);
}

#[test]
fn another_version_is_refused_with_both_numbers() {
    let text = serde_json::to_string(&WhyV1::from(&why())).expect("JSON");
    let newer = text.replacen("\"v\":1", "\"v\":2", 1);
    let error = serde_json::from_str::<WhyV1>(&newer).expect_err("another version");
    assert!(error.to_string().contains("version 2, this halfopen reads version 1"), "{error}");
}

#[test]
fn fields_of_a_later_minor_release_are_passed_over() {
    let problem = r#"{"v":1,"error":{"fact":"no","since":"later"},"more":[]}"#;
    let read: ProblemV1 = serde_json::from_str(problem).expect("known fields");
    assert_eq!((read.error.fact.as_str(), read.error.hint), ("no", None));
}
