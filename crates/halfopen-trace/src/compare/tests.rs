use std::collections::HashSet;
use std::fmt::Write as _;

use expect_test::{Expect, expect};
use halfopen_model::answer::{CallTimes, Oddity, TraceAnswer, TraceComparison};
use halfopen_model::time::{TimeRange, show_duration};
use halfopen_model::{TraceId, UnixNanos};
use proptest::collection::vec;
use proptest::prelude::*;

use super::kind::folded;
use super::{candidates, compare, kind};
use crate::drawn::{BASE_NS, Drawn, span_row, spans, trace_of};
use crate::trace::assemble_all;

const WINDOW: TimeRange = TimeRange { from: UnixNanos(BASE_NS), to: UnixNanos(BASE_NS) };

/// Requests of a shop, one every 100 ms: `lines` with `T` for the number of the trace and times
/// from its begin.
fn request(number: u8, lines: &str) -> Vec<Drawn> {
    let rows = lines.trim().lines().map(|line| {
        let mut drawn = span_row(line.trim());
        drawn.trace = trace_of(&number.to_string());
        for (key, _) in &mut drawn.attributes {
            *key = key.replacen("span.resource.", "resource.", 1);
        }
        drawn.start_ms += i64::from(number) * 100;
        drawn.end_ms = drawn.end_ms.map(|end| end + i64::from(number) * 100);
        drawn
    });
    rows.collect()
}

const HEALTHY: &str = "
    1<- gate POST_/orders 0..80 @server tenant=t1
    2<1 gate call_pay 10..40 @client
    3<2 pay charge 12..38 @server resource.pod=pay-a items=3
    4<1 gate call_stock 45..70 @client
    5<4 stock reserve 46..69 @server";

fn laid_out(requests: &[Vec<Drawn>]) -> Vec<TraceAnswer> {
    let rows: Vec<Drawn> = requests.iter().flatten().cloned().collect();
    let ids: HashSet<TraceId> = rows.iter().map(|row| row.trace).collect();
    assemble_all(&ids, &[spans(&rows)])
}

fn against(own: &str, peers: &[Vec<Drawn>]) -> TraceComparison {
    let own = laid_out(&[request(50, own)]).remove(0);
    compare(&own, &laid_out(peers), None, WINDOW).expect("a trace with spans")
}

fn healthy(count: u8) -> Vec<Vec<Drawn>> {
    (1..=count).map(|number| request(number, HEALTHY)).collect()
}

fn show(comparison: &TraceComparison) -> String {
    let mut text = String::new();
    let times = |times: &Option<CallTimes>| match times {
        Some(times) => format!("{}x {}", times.count, show_duration(times.duration_ns)),
        None => "-".to_owned(),
    };
    let odd = |odd: &Oddity| match odd {
        Oddity::Slower { by_ns, own_ns } => {
            format!("+{}, own {}", show_duration(*by_ns), show_duration(*own_ns))
        }
        other => format!("{other:?}"),
    };
    for (index, call) in comparison.calls.iter().enumerate() {
        let mark = if comparison.telling == Some(index) { ">" } else { " " };
        let indent = "  ".repeat(call.depth);
        let usual = call.peers_duration.map_or("-".into(), |s| show_duration(s.median_ns));
        writeln!(
            text,
            "{mark}{indent}{} {} | {} | {} | {usual} in {} {}",
            call.service,
            call.name,
            times(&call.here),
            times(&call.twin),
            call.peers_with,
            call.odd.iter().map(odd).collect::<Vec<_>>().join(", "),
        )
        .expect("text");
    }
    for one in &comparison.attributes {
        writeln!(
            text,
            "{} {:?} {} = {:?}, {} of {}; {:?}",
            one.service,
            one.name,
            one.attribute,
            one.here,
            one.peers_same,
            one.peers_with,
            one.peers_values
        )
        .expect("text");
    }
    for gap in &comparison.gaps {
        writeln!(text, "gap {gap}").expect("text");
    }
    text
}

#[track_caller]
fn check(comparison: &TraceComparison, expected: Expect) {
    expected.assert_eq(&show(comparison));
}

#[test]
fn a_request_like_its_peers_has_nothing_odd() {
    let comparison = against(HEALTHY, &healthy(20));
    assert_eq!(comparison.telling, None);
    assert!(comparison.calls.iter().all(|call| call.odd.is_empty()));
    assert!(comparison.attributes.is_empty());
    assert_eq!((comparison.peers, comparison.gaps.len()), (20, 0));
    // The nearest of them.
    assert_eq!(comparison.twin.expect("a twin").trace_id, trace_of("20"));
}

#[test]
fn the_place_that_takes_the_time_tells_most() {
    let slow = "
        1<- gate POST_/orders 0..980 @server tenant=t1
        2<1 gate call_pay 10..940 @client
        3<2 pay charge 12..938 @server resource.pod=pay-b items=3
        4<1 gate call_stock 945..970 @client
        5<4 stock reserve 946..969 @server";
    check(
        &against(slow, &healthy(20)),
        expect![[r#"
             gate POST_/orders | 1x 980.0 ms | 1x 80.0 ms | 80.0 ms in 20 +900.0 ms, own 0 ns
               gate call_pay | 1x 930.0 ms | 1x 30.0 ms | 30.0 ms in 20 +900.0 ms, own 0 ns
            >    pay charge | 1x 926.0 ms | 1x 26.0 ms | 26.0 ms in 20 +900.0 ms, own 900.0 ms
               gate call_stock | 1x 25.0 ms | 1x 25.0 ms | 25.0 ms in 20 
                 stock reserve | 1x 23.0 ms | 1x 23.0 ms | 23.0 ms in 20 
            pay None resource.pod = Some("pay-b"), 0 of 20; [("pay-a", 20)]
        "#]],
    );
}

#[test]
fn calls_that_vanish_and_calls_that_multiply_are_told_with_what_fails() {
    let failing = "
        1<- gate POST_/orders 0..60 @server error tenant=t1
        2<1 gate call_pay 10..20 @client error
        3<2 pay charge 12..18 @server error resource.pod=pay-a items=3
        6<1 gate call_pay 22..32 @client error
        7<6 pay charge 23..31 @server error resource.pod=pay-a items=3
        8<1 gate call_pay 34..44 @client error
        9<8 pay charge 35..43 @server error resource.pod=pay-a items=900
        10<7 pay ask_vault 24..30 @client error";
    check(
        &against(failing, &healthy(20)),
        expect![[r#"
             gate POST_/orders | 1x 60.0 ms | 1x 80.0 ms | 80.0 ms in 20 Fails
               gate call_pay | 3x 30.0 ms | 1x 30.0 ms | 30.0 ms in 20 More, Fails
                 pay charge | 3x 22.0 ms | 1x 26.0 ms | 26.0 ms in 20 More, Fails
            >      pay ask_vault | 1x 6.0 ms | - | - in 0 OnlyHere, Fails
               gate call_stock | - | 1x 25.0 ms | 25.0 ms in 20 NotHere
                 stock reserve | - | 1x 23.0 ms | 23.0 ms in 20 NotHere
            pay Some("charge") span.items = Some("900"), 0 of 20; [("3", 20)]
        "#]],
    );
}

#[test]
fn peers_that_failed_are_no_measure() {
    let failing = HEALTHY.replace("@server tenant", "@server error tenant");
    let mut peers = healthy(6);
    peers.extend((7..=30).map(|number| request(number, &failing)));
    let comparison = against(HEALTHY, &peers);
    assert_eq!((comparison.peers, comparison.peers_failed), (6, 24));
}

#[test]
fn requests_of_another_kind_are_no_peers() {
    let other = HEALTHY.replace("POST_/orders", "GET_/orders");
    let peers: Vec<_> = (1..=20).map(|number| request(number, &other)).collect();
    let comparison = against(HEALTHY, &peers);
    assert_eq!((comparison.peers, comparison.twin.is_none()), (0, true));
    check(
        &comparison,
        expect![[r#"
             gate POST_/orders | 1x 80.0 ms | - | - in 0 
               gate call_pay | 1x 30.0 ms | - | - in 0 
                 pay charge | 1x 26.0 ms | - | - in 0 
               gate call_stock | 1x 25.0 ms | - | - in 0 
                 stock reserve | 1x 23.0 ms | - | - in 0 
            gap no healthy request of this kind near it: what is usual is not known
        "#]],
    );
}

#[test]
fn rows_of_the_same_request_elsewhere_are_candidates() {
    let own = laid_out(&[request(50, HEALTHY)]).remove(0);
    let other = HEALTHY.replace("POST_/orders", "GET_/orders");
    let rows: Vec<Drawn> = [request(1, HEALTHY), request(2, &other), request(3, HEALTHY)].concat();
    let found = candidates(&kind(&own).expect("a request"), &[spans(&rows)]);
    assert_eq!(found.into_keys().collect::<Vec<_>>(), [trace_of("1"), trace_of("3")]);
}

#[test]
fn numbers_and_ids_in_names_are_folded_and_words_are_not() {
    let folded = |name| folded(name);
    assert_eq!(folded("GET /carts/7f3a91c2/items/12"), "GET /carts/{}/items/{}");
    assert_eq!(folded("GET /v1/deadbeef"), "GET /v1/deadbeef");
    assert_eq!(folded("user-0b9c11d2-44aa-11ee-be56-0242ac120002"), "user-{}-{}-{}-{}-{}");
    assert_eq!(folded("GET /u/abcdefab-44aa-abcd-be56-0242ac120002?x=1"), "GET /u/{}?x={}");
    assert_eq!(folded("oauth2 v2-beta"), "oauth2 v2-beta");
    assert_eq!(folded(""), "");
    assert_eq!(folded("größe 7"), "größe {}");
}

proptest! {
    /// Whatever hangs below whatever: every span of the trace is in one call, and of calls and
    /// peers nothing is counted twice.
    #[test]
    fn every_span_is_in_one_call(
        shapes in vec(vec((0_u64..8, 0_u64..8, 0_usize..3, 0_i64..50, any::<bool>()), 1..12), 1..8),
    ) {
        let requests: Vec<Vec<Drawn>> = shapes.iter().enumerate().map(|(number, shape)| {
            shape.iter().map(|(id, parent, service, start, error)| {
                let service = ["gate", "pay", "stock"][*service];
                let error = if *error { " error" } else { "" };
                let parent = if *parent == 0 { "-".into() } else { parent.to_string() };
                let end = start + 10;
                let times = format!("{start}..{end}");
                let line = format!("{}<{parent} {service} work {times} @server{error}", id + 1);
                let mut drawn = span_row(&line);
                drawn.trace = trace_of(&(number + 1).to_string());
                drawn
            }).collect()
        }).collect();
        let traces = laid_out(&requests);
        let own = &traces[0];
        let comparison = compare(own, &traces, None, WINDOW).expect("a trace with spans");
        let here: u64 = comparison.calls.iter().filter_map(|c| c.here).map(|c| c.count).sum();
        prop_assert_eq!(here, own.spans.len() as u64);
        for call in &comparison.calls {
            prop_assert!(call.peers_with <= comparison.peers);
            prop_assert!(call.peers_failed <= call.peers_with);
        }
    }
}
