use super::*;
use crate::drawn::{span_row, spans};
use crate::tree::Forest;

/// The rule reads the same whether it is asked of one row or of whole columns.
#[test]
fn a_span_fails_by_status_http_grpc_or_a_missing_end() {
    let cases = [
        ("0..9", false),
        ("0..9 error", true),
        ("0..", true),
        ("0..9 http.status_code=503", true),
        ("0..9 http.status_code=499", false),
        ("0..9 http.response.status_code=500", true),
        ("0..9 http.response.status_code=503.0", true),
        ("0..9 http.response.status_code=many", false),
        ("0..9 rpc.grpc.status_code=14", true),
        ("0..9 rpc.grpc.status_code=5", false),
        ("0..9 rpc.grpc.status_code=99", true),
        ("0..9 rpc.grpc.status_code=0", false),
        ("0..9 rpc.grpc.status_code=1", false),
        ("0..9 rpc.grpc.status_code=3", false),
        ("0..9 rpc.grpc.status_code=6", false),
        ("0..9 rpc.grpc.status_code=4", true),
        ("0..9 rpc.grpc.status_code=Internal", true),
        ("0..9 rpc.status_code=14", true),
        ("0..9 rpc.status_code=OK", false),
        ("0..9 rpc.response.status_code=ALREADY_EXISTS", false),
        ("0..9 rpc.response.status_code=CANCELLED", false),
        ("0..9 rpc.status_code=DEADLINE_EXCEEDED", true),
        ("0..9 rpc.status_code=not_found", false),
        ("0..9 rpc.status_code=Canceled", false),
        ("0..9 rpc.response.status_code=INVALID_ARGUMENT", false),
        ("0..9 rpc.response.status_code=UNAVAILABLE", true),
    ];
    for (line, fails) in cases {
        let rows = spans(&[span_row(&format!("1<- pay charge {line}"))]);
        let by_row = request::failed(&Cells::new(&rows), 0);
        let by_column = Spans::load(std::slice::from_ref(&rows), &[]).failed[0];
        assert_eq!((by_row, by_column), (fails, fails), "{line}");
    }
}

#[test]
fn circles_and_orphans_are_counted_and_the_rest_keeps_its_shape() {
    let lines =
        ["1<- a root 0..9", "2<1 a work 1..8", "3<4 b x 0..1", "4<3 b y 0..1", "5<9 c z 0..1"];
    let rows = spans(&lines.map(span_row));
    let loaded = Spans::load(std::slice::from_ref(&rows), &[]);
    let forest = Forest::grow(&loaded);
    assert_eq!((forest.shape[0].circle, forest.shape[0].orphans), (2, 1));
    assert_eq!(forest.parent[..2], [NONE, 0]);
    assert_eq!(forest.depth, [0, 1, 0, 0, 0]);
    assert_eq!(forest.up(1).collect::<Vec<_>>(), [1, 0]);
}

/// Rows that were stored before a name was known as old, or beside the current one, count too.
#[test]
fn every_fact_is_read_under_its_old_names_too() {
    for (name, fact) in FACTS {
        let (scope, key) = halfopen_model::known::Scope::split(name).expect("a prefix");
        for old in halfopen_model::names::old(key) {
            let old = format!("{}{old}", scope.prefix());
            assert!(FACTS.contains(&(old.as_str(), *fact)), "{old} is {name}");
        }
    }
}
