use super::*;
use crate::Chance;
use proptest::prelude::*;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    pairs.iter().map(pair).collect()
}

/// `remaining ms / attempt / budget` of a request with these headers.
#[track_caller]
fn check(pairs: &[(&'static str, &str)], expected: &str) {
    let now = Instant::now();
    let context = read_headers(&headers(pairs), now).or_begin(&Chance::seeded(1));
    let remaining = context.remaining(now).map(|left| left.as_millis());
    let budget = context.grant().map(Grant::left);
    assert_eq!(format!("{remaining:?} / {} / {budget:?}", context.attempt()), expected);
}

#[test]
fn our_own_header_carries_three_numbers() {
    check(&[("halfopen-context", "d=950;a=2;b=3")], "Some(950) / 2 / Some(3)");
    check(&[("halfopen-context", "a=1")], "None / 1 / None");
    check(&[], "None / 1 / None");
}

#[test]
fn what_is_malformed_or_unknown_is_as_if_nobody_sent_it() {
    check(&[("halfopen-context", "d=soon;a=2;z=9; b=1")], "None / 2 / Some(1)");
    check(&[("halfopen-context", "d=12x;a=0;b=-1")], "None / 1 / None");
    check(&[("halfopen-context", "garbage")], "None / 1 / None");
    check(&[("halfopen-context", "x;d=7")], "None / 1 / None");
    check(&[("halfopen-context", "b=99999999999")], "None / 1 / Some(1000)");
}

#[test]
fn a_tracer_gets_the_three_numbers_under_their_names() {
    let now = Instant::now();
    let context = RequestContext::begin(&Chance::seeded(1)).as_attempt(2);
    let context = context.until(now + Duration::from_millis(950)).granted(Some(Grant::new(3)));
    let mut seen = Vec::new();
    context.triple(now).attributes(&mut |key, value| seen.push(format!("{key} {value:?}")));
    let expected = [
        "halfopen.retry.attempt Count(2)",
        "halfopen.retry.budget_remaining Count(3)",
        "halfopen.deadline.remaining_ms Count(950)",
    ];
    assert_eq!(seen, expected);
    let mut count = 0;
    Triple::default().attributes(&mut |_, _| count += 1);
    assert_eq!(count, 1, "what nobody set is not there");
}

#[test]
fn deadlines_of_others_are_read_and_the_earliest_wins() {
    check(&[("grpc-timeout", "250m")], "Some(250) / 1 / None");
    check(&[("grpc-timeout", "1S"), ("halfopen-context", "d=2000")], "Some(1000) / 1 / None");
    let envoy = [("x-envoy-expected-rq-timeout-ms", "80"), ("x-envoy-attempt-count", "3")];
    check(&envoy, "Some(80) / 3 / None");
    check(&[("x-envoy-expected-rq-timeout-ms", "0")], "None / 1 / None");
}

#[test]
fn grpc_timeouts_of_every_unit() {
    let read = |text: &str| read_grpc_timeout(text.as_bytes()).map(|d| d.as_nanos());
    assert_eq!(read("1H"), Some(3_600_000_000_000));
    assert_eq!(read("2M"), Some(120_000_000_000));
    assert_eq!(read("3u"), Some(3_000));
    assert_eq!(read("4n"), Some(4));
    for bad in ["", "S", "5", "123456789m", "1x", "-1S"] {
        assert_eq!(read(bad), None, "{bad}");
    }
}

#[test]
fn a_tracer_before_us_keeps_its_span() {
    let came = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let tracers = "00-0af7651916cd43dd8448eb211c80319c-0000000000000001-01";
    let now = Instant::now();
    let context =
        read_headers(&headers(&[("traceparent", came)]), now).or_begin(&Chance::seeded(1));
    let outgoing = Outgoing { context: &context, granted: 0 };
    let mut traced = headers(&[("traceparent", tracers)]);
    write_headers(&outgoing, &mut traced, now);
    assert_eq!(traced["traceparent"], tracers);
    let mut untraced = HeaderMap::new();
    write_headers(&outgoing, &mut untraced, now);
    assert_eq!(untraced["traceparent"], came);
}

#[test]
fn grpc_requests_get_their_own_timeout_too() {
    let now = Instant::now();
    let context = RequestContext::begin(&Chance::seeded(1)).until(now + Duration::from_millis(90));
    let mut grpc = headers(&[("content-type", "application/grpc+proto"), ("grpc-timeout", "9S")]);
    write_headers(&Outgoing { context: &context, granted: 1 }, &mut grpc, now);
    assert_eq!(grpc["grpc-timeout"], "90m");
    assert_eq!(grpc["halfopen-context"], "d=90;a=1;b=1");
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        remaining_ms in prop::option::of(any::<u32>()),
        attempt in 1u32..,
        budget in prop::option::of(any::<u32>()),
    ) {
        let triple = Triple { remaining_ms, attempt, budget };
        let mut buffer = [0; TRIPLE_BYTES_MAX];
        prop_assert_eq!(Triple::decode(triple.encode(&mut buffer)), triple);
    }

    #[test]
    fn no_bytes_make_the_readers_fail(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = Triple::decode(&bytes);
        let _ = read_grpc_timeout(&bytes);
        let _ = RequestId::parse(&bytes);
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            let _ = TraceContext::new(&value, None);
        }
        let _ = Triple::decode(&[b"d=", &bytes[..]].concat());
    }

    #[test]
    fn a_message_list_carries_the_same_context(ms in 1u32..100_000, granted in 0u32..1_000) {
        let now = Instant::now();
        let context = RequestContext::begin(&Chance::seeded(3))
            .until(now + Duration::from_millis(u64::from(ms)));
        let mut list: Vec<(String, Vec<u8>)> = vec![("X-Request-Id".into(), b"old".to_vec())];
        write_list(&Outgoing { context: &context, granted }, &mut list, now);
        let read = read_list(&list, now).or_begin(&Chance::seeded(4));
        prop_assert_eq!(read.id().to_string(), context.id().to_string());
        prop_assert_eq!(read.remaining(now), context.remaining(now));
        prop_assert_eq!(read.grant().map(Grant::left), Some(granted));
    }
}
