use expect_test::{Expect, expect};
use halfopen_model::time::SECOND_NS;

use super::*;
use crate::drawn::{BASE_NS, span_row, spans};

fn answer(drawn: &str) -> MapAnswer {
    let drawn = drawn.replace("{QUEUE}", "messaging.destination.name=orders");
    let rows: Vec<_> =
        drawn.lines().map(str::trim).filter(|l| !l.is_empty()).map(span_row).collect();
    let window = TimeRange { from: UnixNanos(BASE_NS), to: UnixNanos(BASE_NS + 10 * SECOND_NS) };
    let question = MapQuestion { window, now: window.to.shifted(60 * SECOND_NS) };
    map(&question, &MapEvidence { spans: vec![spans(&rows)], truncated: None })
}

fn render(answer: &MapAnswer) -> String {
    let node = |node: usize| {
        let node = &answer.nodes[node];
        let silent = if node.kind == NodeKind::Service && !node.heard { " (silent)" } else { "" };
        format!("{} {}{silent}", node.kind.name(), node.name)
    };
    let mut text = String::new();
    for edge in &answer.edges {
        let arrow = if edge.queue { "~>" } else { "->" };
        text +=
            &format!("{} {arrow} {}: {} calls", node(edge.from), node(edge.to), edge.calls.total);
        let counts =
            [("failed", edge.calls.count), ("retries", edge.retries), ("unheard", edge.unheard)];
        for (name, count) in counts.iter().filter(|(_, count)| *count > 0.0) {
            text += &format!(", {count} {name}");
        }
        let ms = |ns: i64| ns / 1_000_000;
        text += &edge.latency.map_or(String::new(), |l| format!(", p50 {} ms", ms(l.p50_ns)));
        text += &edge.wait.map_or(String::new(), |w| format!(", waited {} ms", ms(w.p50_ns)));
        text += "\n";
    }
    for gap in &answer.gaps {
        text += &format!("gap: {gap}\n");
    }
    text
}

#[track_caller]
fn check(drawn: &str, expected: Expect) {
    expected.assert_eq(&render(&answer(drawn)));
}

#[test]
fn a_call_is_one_edge_whether_both_sides_tell_of_it_or_one() {
    check(
        "1<- gate GET 0..100 @server
         2<1 gate call 10..90 @client server.address=10.0.0.7 server.port=8080
         3<2 pay charge 20..80 @server
         4<3 pay inner 21..30
         5<4 fraud score 22..28 @server
         6<3 pay call 40..70 @client error service.peer.name=bank
         7<1 gate call 91..95 @client error server.address=10.0.0.7 server.port=8080",
        expect![[r#"
            service gate -> service pay: 2 calls, 1 failed, 1 unheard, p50 4 ms
            service pay -> service bank (silent): 1 calls, 1 failed, p50 30 ms
            outside outside -> service gate: 1 calls, p50 100 ms
            service pay -> service fraud: 1 calls, p50 6 ms
        "#]],
    );
}

#[test]
fn only_what_repeats_a_failed_call_is_a_retry() {
    check(
        "1<- gate GET 0..100 @server
         2<1 gate pay 10..20 @client error service.peer.name=pay
         3<1 gate pay 30..40 @client error service.peer.name=pay
         4<1 gate pay 50..60 @client service.peer.name=pay
         5<1 gate pay 70..80 @client service.peer.name=pay
         6<1 gate stock 10..20 @client error service.peer.name=stock
         7<1 gate stock 12..22 @client service.peer.name=stock
         8<1 gate list 30..40 @client service.peer.name=stock halfopen.retry.attempt=2",
        expect![[r#"
            service gate -> service pay (silent): 4 calls, 2 failed, 2 retries, p50 10 ms
            service gate -> service stock (silent): 3 calls, 1 failed, 1 retries, p50 10 ms
            outside outside -> service gate: 1 calls, p50 100 ms
        "#]],
    );
}

#[test]
fn a_wrapper_around_attempts_is_no_call_of_its_own() {
    check(
        "1<- gate GET 0..100 @server
         2<1 gate logical 10..60 @client service.peer.name=pay
         3<2 gate POST 10..20 @client error service.peer.name=pay
         4<2 gate POST 30..59 @client service.peer.name=pay
         5<1 gate orm 70..90 @client db.system.name=postgresql db.namespace=orders
         6<5 gate SELECT 71..89 @client db.system=postgresql server.address=db-1 db.name=orders",
        expect![[r#"
            service gate -> service pay (silent): 2 calls, 1 failed, 1 retries, p50 10 ms
            service gate -> database db-1/orders: 1 calls, p50 18 ms
            outside outside -> service gate: 1 calls, p50 100 ms
        "#]],
    );
}

#[test]
fn queues_stand_between_those_who_send_and_those_who_work() {
    check(
        "1<- shop GET 0..50 @server trace:1
         2<1 shop send 10..20 @producer trace:1 messaging.system=kafka {QUEUE}
         3<- mail work 120..140 @consumer trace:2 link:1/2 messaging.destination.name=orders
         4<2 bill process 30..60 @consumer error trace:1 messaging.destination.name=orders
         5<- bill poll 25..29 @client trace:3 messaging.operation.type=receive {QUEUE}
         6<4 bill ack 60..61 @client trace:1 messaging.operation.type=settle {QUEUE}
         7<- log work 220..240 @consumer trace:4 link:1/2",
        expect![[r#"
            queue orders ~> service bill: 1 calls, 1 failed, p50 30 ms, waited 10 ms
            queue orders ~> service log: 1 calls, p50 20 ms, waited 200 ms
            queue orders ~> service mail: 1 calls, p50 20 ms, waited 100 ms
            outside outside -> service shop: 1 calls, p50 50 ms
            service shop ~> queue orders: 1 calls, p50 10 ms
        "#]],
    );
}

#[test]
fn what_has_no_place_is_counted() {
    check(
        "1<- gate GET 0..100 @server
         2<1 gate call 10..20 @client
         3<99 stock reserve 10..20 @server
         4<1 gate api 30..40 @client server.address=api.bank.example
         5<1 gate node 50..60 @client server.address=10.1.2.3 server.port=6379
         6<1 gate cache 70..71 @client db.system.name=redis server.address=127.0.0.1
         7<1 gate own 80..90 @client service.peer.name=gate
         8<7 gate GET 81..89 @server
         9<1 gate late 20000..20001 @client service.peer.name=later",
        expect![[r#"
            service gate -> external 10.1.2.3:6379: 1 calls, p50 10 ms
            service gate -> external api.bank.example: 1 calls, p50 10 ms
            service gate -> service gate: 1 calls, p50 10 ms
            service gate -> database redis/127.0.0.1: 1 calls, p50 1 ms
            outside outside -> service gate: 1 calls, p50 100 ms
            gap: 100.0 % of traces incomplete
            gap: 1 calls do not say whom they call (no server.address, no child span)
            gap: 1 requests came from a caller whose span did not arrive
        "#]],
    );
    let drawn =
        "1<- gate GET 0..100 @server\n2<1 gate late 20000..20001 @client service.peer.name=x";
    let names: Vec<String> = answer(drawn).nodes.into_iter().map(|node| node.name).collect();
    assert_eq!(names, ["outside", "gate"]);
}

#[test]
fn services_know_their_requests_versions_and_instances() {
    let answer = answer(
        "1<- gate GET 0..100 @server error trace:1
         2<1 pay charge 5..6 @server trace:1
         3<1 pay charge 7..8 @server error trace:1
         4<- pay charge 9..10 @server trace:2",
    );
    let pay = answer.nodes.iter().find(|node| node.name == "pay").expect("it was heard");
    // One request for each trace: its first entry span did not fail.
    assert_eq!((pay.requests, pay.heard), (Share::new(0.0, 2.0), true));
    assert_eq!(answer.requests, Share::new(1.0, 2.0));
    assert_eq!(
        answer.next,
        [
            "halfopen why gate --from 2026-11-20T14:00:00Z --to 2026-11-20T14:00:10Z",
            "halfopen map --from 2026-11-20T14:00:00Z --to 2026-11-20T14:00:10Z --svg map.svg",
        ]
    );
}

#[test]
fn what_does_not_fit_is_the_least_failing_and_counted() {
    let answer = answer(
        "1<- gate GET 0..100 @server
         2<1 gate a 5..6 @client service.peer.name=a
         3<1 gate a 5..6 @client service.peer.name=a
         4<1 gate b 7..8 @client error service.peer.name=b
         5<1 gate c 7..8 @client service.peer.name=c",
    );
    let names =
        |nodes: &[MapNode]| -> Vec<String> { nodes.iter().map(|node| node.name.clone()).collect() };
    let (nodes, edges, left_out) = cut_map(answer.nodes, answer.edges, 3, 9);
    assert_eq!(names(&nodes), ["a", "b", "gate"]);
    assert_eq!((edges.len(), left_out.nodes, left_out.edges, left_out.calls), (2, 2, 2, 2.0));
    let (nodes, edges, left_out) = cut_map(nodes, edges, 9, 1);
    assert_eq!((nodes.len(), edges.len(), left_out.calls), (3, 1, 2.0));
}

#[test]
fn quantiles_are_the_nearest_rank_of_the_weight() {
    let of = |values: &[(i64, f32)]| {
        let found = graph::quantiles(&mut values.to_vec()).expect("values");
        [found.p50_ns, found.p90_ns, found.p99_ns]
    };
    assert_eq!(of(&[(7, 1.0)]), [7, 7, 7]);
    let hundred: Vec<(i64, f32)> = (1..=100).rev().map(|value| (value, 1.0)).collect();
    assert_eq!(of(&hundred), [50, 90, 99]);
    assert_eq!(of(&[(1, 9.0), (100, 1.0)]), [1, 1, 100]);
    assert_eq!(graph::quantiles(&mut []), None);
}
