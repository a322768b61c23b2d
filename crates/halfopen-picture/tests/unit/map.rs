use halfopen_model::TimeRange;
use halfopen_model::answer::{Gap, LeftOut, MapEdge, MapNode, NodeChange, Quantiles, Share};

use super::*;

fn node(name: &str, kind: NodeKind, requests: (f64, f64)) -> MapNode {
    MapNode {
        name: name.to_owned(),
        kind,
        system: None,
        heard: requests.1 > 0.0,
        requests: Share::new(requests.0, requests.1),
        instances: 2,
        versions: Vec::new(),
        changes: Vec::new(),
    }
}

fn edge(from: usize, to: usize, calls: (f64, f64)) -> MapEdge {
    let latency = Quantiles { p50_ns: 12_000_000, p90_ns: 40_000_000, p99_ns: 2_100_000_000 };
    MapEdge {
        from,
        to,
        queue: false,
        calls: Share::new(calls.0, calls.1),
        per_second: calls.1 / 600.0,
        latency: Some(latency),
        retries: 0.0,
        unheard: 0.0,
        wait: None,
        example: None,
    }
}

fn answer(nodes: Vec<MapNode>, edges: Vec<MapEdge>) -> MapAnswer {
    let from = UnixNanos(1_795_183_200_000_000_000);
    MapAnswer {
        window: TimeRange { from, to: from.shifted(600_000_000_000) },
        requests: Share::new(40.0, 1_000.0),
        spans: 12_000,
        nodes,
        edges,
        left_out: LeftOut::default(),
        gaps: vec![Gap::Other("a < b".to_owned())],
        next: Vec::new(),
    }
}

/// Every kind of node and edge, a circle, a node that calls itself.
fn everything() -> MapAnswer {
    let mut nodes = vec![
        node("outside", NodeKind::Outside, (0.0, 0.0)),
        node("gate <&> \"way\"", NodeKind::Service, (40.0, 1_000.0)),
        node("checkout-with-a-rather-long-name", NodeKind::Service, (38.0, 900.0)),
        node("bank", NodeKind::Service, (0.0, 0.0)),
        node("orders", NodeKind::Database, (0.0, 0.0)),
        node("mails", NodeKind::Queue, (0.0, 0.0)),
        node("mailer", NodeKind::Service, (0.0, 500.0)),
        node("api.example.com", NodeKind::External, (0.0, 0.0)),
    ];
    nodes[2].changes = vec![NodeChange {
        kind: "deploy".to_owned(),
        to: Some("2.3.1".to_owned()),
        at: UnixNanos(1_795_183_400_000_000_000),
    }];
    let mut edges = vec![
        edge(0, 1, (40.0, 1_000.0)),
        edge(1, 2, (38.0, 900.0)),
        edge(2, 3, (36.0, 40.0)),
        edge(2, 4, (0.0, 2_000.0)),
        edge(2, 5, (0.0, 500.0)),
        edge(5, 6, (0.0, 500.0)),
        edge(6, 7, (1.0, 20_000.0)),
        edge(6, 2, (0.0, 3.0)),
        edge(1, 1, (2.0, 9.0)),
        edge(1, 4, (0.0, 70.0)),
    ];
    edges[2].retries = 25.0;
    (edges[4].queue, edges[5].queue) = (true, true);
    edges[5].wait = edges[5].latency;
    answer(nodes, edges)
}

/// Tags open and close in pairs, and text holds no markup: what a reader of XML insists on.
fn assert_well_formed(svg: &str) {
    let mut open = Vec::new();
    for (place, piece) in svg.split('<').enumerate().skip(1) {
        let (tag, text) = piece.split_once('>').unwrap_or_else(|| panic!("piece {place}: {piece}"));
        assert!(!text.replace("&amp;", "").contains("&&"), "{text}");
        for entity in text.split('&').skip(1) {
            let name = entity.split(';').next().unwrap_or_default();
            assert!(["amp", "lt", "gt", "quot", "#39"].contains(&name), "&{name}");
        }
        let name = tag.split([' ', '\n']).next().unwrap_or_default();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{tag}"),
            None if tag.ends_with('/') => {}
            None => open.push(name),
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

#[test]
fn the_picture_is_well_formed_and_the_same_every_time() {
    let answer = everything();
    let svg = draw(&answer);
    assert_well_formed(&svg);
    assert_eq!(svg, draw(&answer));
    assert!(svg.contains("gate &lt;&amp;&gt; &quot;way&quot;"), "{svg}");
    assert!(!svg.contains("a < b"));
    for wanted in ["→ 2.3.1 at 14:03:20", "40 ↻ 25 · ", "90 % failed", "waits 12 ms", "silent"]
    {
        assert!(svg.contains(wanted), "{wanted}");
    }
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
}

#[test]
fn no_two_boxes_overlap_and_all_are_inside() {
    let answer = everything();
    let plan = Plan::of(&answer);
    for (number, a) in plan.boxes.iter().enumerate() {
        assert!(a.left >= MARGIN && a.right() <= plan.width && a.top() >= MARGIN, "{a:?}");
        for b in &plan.boxes[number + 1..] {
            let beside = a.right() <= b.left || b.right() <= a.left;
            let apart = a.top() + a.height <= b.top() || b.top() + b.height <= a.top();
            assert!(beside || apart, "{a:?} {b:?}");
        }
    }
}

#[test]
fn nothing_and_too_much_are_pictures_as_well() {
    let empty = draw(&answer(Vec::new(), Vec::new()));
    assert_well_formed(&empty);
    assert!(empty.contains("no span is of that time"));
    let service = |number: usize| node(&format!("s{number}"), NodeKind::Service, (0.0, 9.0));
    let nodes: Vec<MapNode> = (0..260).map(service).collect();
    let edges = (1..260).map(|to| edge(to / 3, to, (0.0, to as f64))).collect();
    let many = draw(&answer(nodes, edges));
    assert_well_formed(&many);
    assert!(many.contains("110 edges and 60 nodes are left out"), "{}", &many[..3_000]);
}
