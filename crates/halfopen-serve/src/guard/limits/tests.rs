use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn senders(now: Instant) -> Senders {
    let bounds = Bounds {
        connections_max: 2,
        requests_max: 3,
        bytes_per_second_max: 1_000,
        held_bytes_max: 100,
    };
    Senders::new(bounds, now)
}

fn peer(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

#[test]
fn senders_are_networks_and_this_machine_has_no_bounds() {
    let now = Instant::now();
    let senders = senders(now);
    let at = |text: &str| senders.at(peer(text), now);
    for local in ["127.0.0.1:1", "127.8.9.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        assert!(at(local).is_none(), "{local}");
    }
    let same = |one: &str, two: &str| {
        Arc::ptr_eq(&at(one).expect("a sender"), &at(two).expect("a sender"))
    };
    assert!(same("10.0.0.1:1", "10.0.0.1:2"));
    assert!(same("10.0.0.1:1", "[::ffff:10.0.0.1]:2"));
    assert!(!same("10.0.0.1:1", "10.0.0.2:1"));
    assert!(same("[2001:db8::1]:1", "[2001:db8::ffff:2]:1"), "one network of 64 bits");
    assert!(!same("[2001:db8::1]:1", "[2001:db8:0:1::1]:1"));
}

#[test]
fn what_is_under_way_is_bounded_until_it_ends() {
    let now = Instant::now();
    let senders = senders(now);
    let greedy = senders.named("greedy", now);
    let connections = [greedy.connect(), greedy.connect()];
    assert!(connections.iter().all(Option::is_some) && greedy.connect().is_none());
    assert!(senders.named("modest", now).connect().is_some(), "others are not touched");
    drop(connections);
    assert!(greedy.connect().is_some());

    let requests: Vec<_> = (0..3).map(|_| greedy.begin(now)).collect();
    assert!(requests.iter().all(Result::is_ok));
    assert_eq!(greedy.begin(now).map(|_| ()), Err((Reason::Requests, Duration::ZERO)));
    drop(requests);
    assert!(greedy.begin(now).is_ok());

    assert!(greedy.hold(60) && !greedy.hold(60) && greedy.hold(40));
    greedy.release(60);
    assert!(greedy.hold(60));
}

#[test]
fn bytes_are_paid_afterwards_at_the_rate_that_is_allowed() {
    let now = Instant::now();
    let sender = senders(now).named("ci", now);
    sender.charge(2_000, now);
    assert!(sender.begin(now).is_ok(), "a burst of two seconds is free");
    // One large body passes; then nothing does until it is paid.
    sender.charge(3_000, now);
    assert_eq!(sender.begin(now).map(|_| ()), Err((Reason::Bytes, 3 * SECOND)));
    let later = now + SECOND;
    assert_eq!(sender.begin(later).map(|_| ()), Err((Reason::Bytes, 2 * SECOND)));
    assert!(sender.begin(now + 3 * SECOND).is_ok());
    // However long it is silent, it earns no more than a burst; time that runs back earns nothing.
    let much_later = now + 3_600 * SECOND;
    assert!(sender.begin(much_later).is_ok() && sender.begin(now).is_ok());
    sender.charge(2_500, much_later);
    assert_eq!(sender.begin(now).map(|_| ()), Err((Reason::Bytes, SECOND / 2)));
}

#[test]
fn without_a_rate_bytes_are_not_counted() {
    let now = Instant::now();
    let mut senders = senders(now);
    senders.bounds.bytes_per_second_max = 0;
    let sender = senders.named("ci", now);
    sender.charge(usize::MAX, now);
    assert!(sender.begin(now).is_ok());
}

#[test]
fn the_table_is_bounded_and_forgets_who_went_away() {
    let now = Instant::now();
    let senders = senders(now);
    let held = senders.named("held", now);
    let indebted = senders.named("indebted", now);
    indebted.charge(5_000, now);
    drop(indebted);
    let mut staying = Vec::new();
    for number in 0..SENDERS_MAX - 2 {
        staying.push(senders.named(&number.to_string(), now));
    }
    assert_eq!(senders.count(), SENDERS_MAX);
    let (one, two) = (senders.named("one more", now), senders.named("two more", now));
    assert!(Arc::ptr_eq(&one, &two), "beyond the bound they share an account");
    assert_eq!(senders.count(), SENDERS_MAX);

    drop(staying);
    let later = now + SWEEP_PAUSE;
    let own = senders.named("one more", later);
    assert!(!Arc::ptr_eq(&own, &one));
    assert_eq!(senders.count(), 3, "who has something under way or owes bytes is known still");
    assert!(Arc::ptr_eq(&held, &senders.named("held", later)));
    assert!(senders.named("indebted", later).begin(later).is_err());
}
