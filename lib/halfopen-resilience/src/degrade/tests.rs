use super::*;
use std::future::{pending, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

fn shop() -> Degrade {
    let parts = vec![
        Part::new("recommendations", Level::Full),
        Part::new("reviews", Level::Reduced),
        Part::new("inventory", Level::Minimal),
    ];
    let settings = DegradeSettings { try_every: Duration::ZERO, ..DegradeSettings::default() };
    Degrade::new(parts, settings, Meter::new("shop"))
}

/// Runs work that never waits.
fn now<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("this work waits"),
    }
}

fn fail(degrade: &Degrade, part: &'static str, times: u32) {
    for _ in 0..times {
        let page = degrade.page();
        now(page.part(part, Fallback::<()>::Skip, ready(Err::<(), ()>(()))));
    }
}

#[tokio::test]
async fn a_failing_part_does_not_fail_the_whole_and_is_seen() {
    let degrade = shop();
    let page = degrade.page();
    let reviews = page.part("reviews", Fallback::Skip, ready(Err::<u8, _>("down"))).await;
    let popular =
        page.part("recommendations", Fallback::Cached(1), ready(Err::<u8, _>("down"))).await;
    let inventory = page.part("inventory", Fallback::Default(0), ready(Ok::<u8, ()>(7))).await;
    assert_eq!((reviews.value, popular.value, inventory.value), (None, Some(1), Some(7)));
    let mut headers = http::HeaderMap::new();
    page.write(&mut headers);
    assert_eq!(headers["halfopen-degraded"], "full;reviews=skipped;recommendations=cached");
    assert_eq!(degrade.0.meter.count(crate::telemetry::Name::FallbackUsed), 2);
}

#[tokio::test]
async fn a_part_that_panics_is_a_part_that_failed() {
    let degrade = shop();
    let page = degrade.page();
    let broken = async {
        if degrade.level() == Level::Full {
            std::panic::resume_unwind(Box::new("broken"));
        }
        Ok::<u8, ()>(1)
    };
    let outcome = page.part("reviews", Fallback::Default(0), broken).await;
    assert_eq!(outcome, Outcome { value: Some(0), source: Source::Default });
}

#[tokio::test]
async fn the_level_sinks_with_failing_parts_and_rises_when_they_work() {
    let degrade = shop();
    fail(&degrade, "recommendations", 4);
    assert_eq!(degrade.level(), Level::Full);
    fail(&degrade, "recommendations", 1);
    assert_eq!(degrade.level(), Level::Reduced);
    fail(&degrade, "reviews", 5);
    assert_eq!(degrade.level(), Level::Minimal);
    for part in ["recommendations", "reviews"] {
        for _ in 0..3 {
            now(degrade.page().part(part, Fallback::Skip, ready(Ok::<u8, ()>(1))));
        }
    }
    assert_eq!(degrade.level(), Level::Full);
}

#[tokio::test]
async fn what_is_not_tried_at_a_level_is_not_begun() {
    let degrade = shop();
    degrade.hold(Level::Maintenance, "migration");
    let work = async { unreachable!("this part was begun") };
    let outcome = degrade.page().part::<u8, ()>("inventory", Fallback::Default(3), work).await;
    assert_eq!(outcome.value, Some(3));
    degrade.release();
    assert_eq!(degrade.level(), Level::Full);
}

#[tokio::test]
async fn a_part_that_hangs_ends_with_its_bound() {
    let parts = vec![Part::new("reviews", Level::Full).within(Duration::from_millis(1))];
    let degrade = Degrade::new(parts, DegradeSettings::default(), Meter::new("shop"));
    let work = pending::<Result<u8, ()>>();
    let outcome = degrade.page().part("reviews", Fallback::Skip, work).await;
    assert_eq!(outcome.source, Source::Skipped);
}
