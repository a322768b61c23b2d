use super::*;
use proptest::prelude::*;

fn whole() -> Group {
    let attribute = Attribute { key: "pods".into(), tag: 3, text: "4".into() };
    let request = Message {
        headers: vec![("x-request-id".into(), b"req_1".to_vec())],
        body: Some(Vec::new()),
        bytes: Some(0),
    };
    Group {
        parts: vec![Part {
            signal: Signal::Metrics,
            format: "prometheus".into(),
            place: "line 1".into(),
            body: vec![1, 2, 3],
        }],
        exchanges: vec![Exchange {
            exchange_id: "har-1".into(),
            time: -5,
            duration_ns: Some(0),
            status: Some(504),
            protocol: "h2".into(),
            ended: "timeout".into(),
            request,
            attributes: vec![attribute.clone()],
            ..Exchange::default()
        }],
        changes: vec![Change {
            time: 7,
            end_time: Some(9),
            texts: std::array::from_fn(|index| format!("text {index}")),
            files: vec!["a.rs".into(), String::new()],
            attributes: vec![attribute],
        }],
        rejects: vec![Reject {
            format: "har".into(),
            place: "entry 2".into(),
            reason: "no time".into(),
            items: 1,
            raw_bytes: 900,
            raw: vec![0xff],
        }],
    }
}

#[test]
fn a_group_comes_back_from_its_bytes() {
    let group = whole();
    assert_eq!(Group::decode(&group.encode()), Ok(group));
    assert_eq!(Group::decode(b""), Ok(Group::default()));
    assert!(Group::default().is_empty());
}

#[test]
fn a_row_without_what_every_row_has_is_refused() {
    let mut group = whole();
    group.exchanges[0].exchange_id.clear();
    let missing = |table, column| Err(GroupError::Missing { table, column });
    assert_eq!(Group::decode(&group.encode()), missing("exchanges", "exchange_id"));
    let mut group = whole();
    group.changes[0].texts[2].clear();
    assert_eq!(Group::decode(&group.encode()), missing("changes", "title"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn bytes_that_are_no_group_are_an_error_and_no_panic(
        index in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = whole().encode();
        let at = index.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(cut.index(bytes.len()));
        if let Ok(group) = Group::decode(&bytes) {
            prop_assert!(group.encode().len() <= bytes.len() + 64);
        }
    }
}
