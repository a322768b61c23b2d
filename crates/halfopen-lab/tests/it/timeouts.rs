//! Services that do not tell each other how long they wait.

use futures::StreamExt as _;
use halfopen_lab::Shop;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::receiver::Seen;
use crate::shop::start_of;

const SERVER: i32 = 2;
const CLIENT: i32 = 3;
/// Enough for some to meet the warehouse that hangs, whatever the seed.
const PRODUCTS: usize = 120;
/// Looks at one time: fewer than a busy machine can bear, as callers wait for a second only.
const AT_ONCE: usize = 12;

fn millis(seen: &Seen) -> u64 {
    (seen.span.end_time_unix_nano - seen.span.start_time_unix_nano) / 1_000_000
}

/// Looks at many products; gives the statuses.
async fn look_around(shop: &Shop) -> Vec<u16> {
    let edge = shop.edge().expect("the edge listens");
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<bytes::Bytes>>();
    let looks = (0..PRODUCTS).map(async |number| {
        let request = http::Request::get(format!("http://{edge}/products/sku-{number:04}"))
            .header("host", "shop.example:80")
            .header("x-request-id", format!("look-{number}"))
            .body(Empty::new())
            .expect("a request");
        let (head, body) = client.request(request).await.expect("an answer").into_parts();
        body.collect().await.expect("a whole answer");
        head.status.as_u16()
    });
    futures::stream::iter(looks).buffer_unordered(AT_ONCE).collect().await
}

/// Before the change a count that hangs is cut off in time, and nobody notices; what was asked
/// for is counted to the end for nobody.
#[tokio::test]
async fn a_count_that_hangs_is_cut_off_and_the_warehouse_goes_on_counting() {
    let (shop, receiver) = start_of("cascading-timeout", 4).await;
    let statuses = look_around(&shop).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    // Each time it is waited for a bounded time only, less than a count that hangs may take.
    shop.settle().await;
    shop.settle().await;
    shop.stop().await;

    let spans = receiver.spans();
    let cut_off: Vec<&Seen> = spans
        .iter()
        .filter(|seen| seen.service() == "inventory" && seen.span.kind == CLIENT)
        .filter(|seen| seen.get("error.type").as_deref() == Some("timeout"))
        .collect();
    assert!(!cut_off.is_empty(), "some counts hang");
    let went_on = cut_off.iter().filter(|call| {
        let is_callee = |seen: &&Seen| seen.span.parent_span_id == call.span.span_id;
        spans.iter().find(is_callee).is_some_and(|callee| millis(callee) > 2 * millis(call))
    });
    assert!(went_on.count() > 0, "of {} that were cut off", cut_off.len());
    // Nobody is told how long his caller waits: each has all the time that a request may have.
    let inventory = spans.iter().filter(|seen| seen.service() == "inventory");
    for served in inventory.filter(|seen| seen.span.kind == SERVER) {
        let left = served.get("halfopen.deadline.remaining_ms").expect("each hop knows its own");
        assert!(left.parse::<u64>().expect("a number") > 15_000, "{left}");
    }
}
