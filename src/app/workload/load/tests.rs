use super::super::schedule::Arrival;
use super::*;

fn load(pace: Option<(f64, Arrival)>) -> (Load, Arc<Control>) {
    let config = LoadConfig {
        connections: 2,
        pace,
        shape: Shape { request_size: 1, response_size: 1 },
        warmup: Duration::from_millis(10),
        seed: 1,
        ..LoadConfig::new("198.18.0.2:80".parse().unwrap())
    };
    let control = Arc::new(Control::default());
    (Load::new(config, Arc::default(), control.clone()), control)
}

const fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

#[test]
fn another_rate_begins_another_schedule() {
    let (mut load, control) = load(Some((1_000.0, Arrival::Fixed)));
    load.tick(at(0));
    while load.next_start(at(10)).is_some() {}
    control.set_rate(100.0);
    load.tick(at(12)); // the two that were due are not made up for
    let started: Vec<u64> = (12..60).filter(|&ms| load.next_start(at(ms)).is_some()).collect();
    assert_eq!((started, load.not_started()), (vec![12, 22, 32, 42, 52], 2));
    let (mut closed, control) = self::load(None);
    closed.tick(at(0));
    control.set_rate(100.0);
    closed.tick(at(1));
    assert!(!closed.is_open_loop());
}

/// Whether the loop comes round before the stop, or long after, once all connections are open.
#[test]
fn arrivals_with_nothing_to_do_are_not_counted() {
    for open in [1, 2] {
        let (mut load, control) = load(Some((1_000.0, Arrival::Fixed)));
        load.keep_connections();
        load.tick(at(0));
        for _ in 0..open {
            load.tally.opened();
        }
        load.pass_over(at(20));
        control.set_rate(500.0);
        load.tick(at(30));
        control.stop();
        load.tick(at(50));
        let missed = 21 + 10 + 11; // of 0..=20, 21..=30 and, two apart, 30..=50 ms
        assert_eq!(load.not_started(), if open == 2 { 0 } else { missed }, "{open} of 2 are open");
    }
}

#[test]
fn connections_of_a_closed_loop_grow_with_the_ramp() {
    let (mut load, _) = load(None);
    load.config.connections = 100;
    load.config.ramp = Duration::from_millis(1_000);
    load.tick(at(5_000));
    for (ms, connections) in [(5_000, 1), (5_100, 10), (5_500, 50), (5_999, 99), (6_000, 100)] {
        assert_eq!(load.connections_at(at(ms)), connections, "{ms}");
    }
    for open in 1..100 {
        load.tally.open_now.set(open);
        let next = load.next_deadline(true).unwrap();
        assert!(load.may_connect(next), "{open} at {next:?}");
        assert!(!load.may_connect(Instant::from_nanos(next.nanos() - 12_000_000)), "{open}");
    }
}

#[test]
fn what_was_recorded_is_handed_over_and_nothing_is_lost() {
    let (mut load, control) = load(None);
    let answered = |load: &mut Load, at_ms| {
        load.answered(at(at_ms), at(at_ms), at(at_ms + 1));
    };
    load.tick(at(0));
    answered(&mut load, 20);
    assert!(control.ask(Box::default()).is_none() && control.answer().is_none());
    load.tick(at(30));
    answered(&mut load, 31);
    answered(&mut load, 32);
    // asked again before the first answer was taken: it stays, and so does what came since
    assert!(control.ask(Box::default()).is_none());
    load.tick(at(40));
    assert!(control.ask(Box::default()).is_some(), "one question at a time");
    let first = control.answer().unwrap();
    assert_eq!(first.service.count(), 1);
    load.tick(at(50));
    let second = control.answer().unwrap();
    assert_eq!((second.service.count(), load.measured().service.count()), (2, 0));
}

#[test]
fn latency_counts_from_the_intended_start_and_service_from_the_sending() {
    let (mut load, _) = load(Some((1_000.0, Arrival::Fixed)));
    assert_eq!(load.next_deadline(true), Some(Instant::ZERO));
    assert_eq!(load.tick(at(100)), Stage::Running);
    assert_eq!(load.next_start(at(100)), Some(at(100)));
    // Nobody was free until 150 ms: the arrival of 101 ms is still the next.
    let intended = load.next_start(at(150)).unwrap();
    assert_eq!(intended, at(101));
    load.answered(at(115), at(150), at(160));
    let Measured { latency, service, .. } = load.measured();
    assert!(latency.summary().max.abs_diff(45_000_000) < 50_000);
    assert!(service.summary().max.abs_diff(10_000_000) < 10_000);
    assert_eq!(load.tally.requests.get(), 1);
    assert_eq!(load.next_deadline(false), None);
    assert_eq!(load.next_deadline(true), Some(at(102)));
}

#[test]
fn a_closed_loop_has_no_latency() {
    let (mut load, _) = load(None);
    load.tick(at(0));
    assert_eq!(load.next_start(at(77)), Some(at(77)));
    load.answered(at(77), at(77), at(78));
    assert_eq!((load.measured().latency.count(), load.measured().service.count()), (0, 1));
}

#[test]
fn the_warmup_is_counted_but_not_recorded() {
    let (mut load, _) = load(None);
    load.tick(at(100));
    for began in [at(109), at(110)] {
        load.established(began, at(111));
        load.answered(began, began, at(112));
        load.closed(began, at(113));
    }
    let Measured { service, connect, close, .. } = load.measured();
    assert_eq!((service.count(), connect.count(), close.count()), (1, 1, 1));
    assert_eq!((load.tally.requests.get(), load.tally.established.get()), (2, 2));
}

#[test]
fn the_end_waits_for_connections_but_not_for_ever() {
    let (mut load, control) = load(Some((1_000.0, Arrival::Fixed)));
    load.tick(at(0));
    load.next_start(at(0));
    load.tally.opened();
    control.stop();
    assert_eq!(load.tick(at(20)), Stage::Draining);
    assert_eq!(load.not_started(), 20, "due at 1, 2, .. 20 ms");
    assert!(!load.is_running());
    assert_eq!(load.next_deadline(true), Some(at(20) + DRAIN));
    assert_eq!(load.tick(at(20) + DRAIN), Stage::Overdue);
    assert!(!control.is_finished());
    load.tally.ended(Ending::Failed);
    assert_eq!(load.next_deadline(true), Some(Instant::ZERO));
    load.tick(at(20) + DRAIN);
    assert!(control.is_finished());
    assert_eq!(load.next_deadline(true), None);
}

#[test]
fn a_connection_that_cannot_be_begun_is_a_failure_and_a_pause() {
    let (mut load, _) = load(None);
    load.tick(at(0));
    assert!(load.may_connect(at(0)));
    load.not_begun(Error::Unreachable, at(0));
    assert!(!load.may_connect(at(0)) && load.may_connect(at(1)));
    load.not_begun(Error::Unreachable, at(1));
    assert!(!load.may_connect(at(2)) && load.may_connect(at(3)), "a longer pause");
    assert_eq!((load.tally.failed.get(), load.tally.open_now.get()), (2, 0));
    assert_eq!(load.trouble(), Some(Trouble::Connection(Error::Unreachable)));
}

#[test]
fn what_has_ended_can_begin_anew() {
    let (mut load, control) = load(Some((1_000.0, Arrival::Fixed)));
    control.stop(); // a load that waits for its beginning has ended before
    load.tick(at(0));
    load.tick(at(1));
    assert!(control.is_finished());
    assert_eq!(load.tick(at(1_000_000)), Stage::Draining, "nothing is open, so nothing is overdue");
    control.set_rate(100.0);
    load.tick(at(2_000_000));
    for begins in [2_000_001, 3_000_001] {
        load.begin_anew();
        assert!(!control.is_finished());
        assert_eq!(load.tick(at(begins)), Stage::Running);
        let starts = (0..50).filter(|&ms| load.next_start(at(begins + ms)).is_some()).count();
        assert_eq!((starts, load.not_started()), (5, 0), "the rate was set while nothing ran");
        load.tally.opened();
        load.answered(at(begins + 20), at(begins + 20), at(begins + 21));
        load.tally.ended(Ending::Failed);
        load.not_begun(Error::Unreachable, at(begins + 30));
        let Measured { latency, service, .. } = load.measured();
        assert_eq!((latency.count(), service.count()), (1, 1), "of this run alone");
        control.stop();
        load.tick(at(begins + 70));
        load.tick(at(begins + 71));
        assert!(control.is_finished());
        assert_eq!(load.not_started(), 3, "due at 50, 60 and 70 ms");
    }
    assert_eq!(load.trouble(), Some(Trouble::Connection(Error::Unreachable)));
    load.begin_anew();
    assert_eq!(load.trouble(), None);
}

/// What waits for a connection is not late by our fault; what waits for our turn is.
#[test]
fn what_the_client_itself_is_late_is_told_apart() {
    let (mut load, _) = load(Some((1_000.0, Arrival::Fixed)));
    load.config.warmup = Duration::ZERO;
    load.tick(at(100));
    let behind = |load: &Load| load.measured().behind.summary();
    assert_eq!(load.next_start(at(100)), Some(at(100)));
    assert_eq!((behind(&load).count, behind(&load).max), (1, 0), "at once");
    load.blocked(at(130)); // no connection is free from 101 to 130 ms
    assert_eq!(load.next_start(at(131)), Some(at(101)));
    assert!(behind(&load).max.abs_diff(1_000_000) < 1_000, "{:?}", behind(&load));
    while load.next_start(at(132)).is_some() {}
    let before = behind(&load).count;
    assert_eq!(load.next_start(at(153)), Some(at(133)), "free, but nobody looked for 21 ms");
    assert!(behind(&load).max.abs_diff(20_000_000) < 20_000, "{:?}", behind(&load));
    assert_eq!(behind(&load).count, before + 1);
}

/// While the loop was away for 30 ms all wait for it: those for which no connection was free afterwards,
/// too, until the end of its absence.
#[test]
fn what_an_absence_has_piled_up_is_the_clients_own() {
    let (mut load, _) = load(Some((1_000.0, Arrival::Fixed)));
    load.config.warmup = Duration::ZERO;
    for ms in 0..100 {
        load.tick(at(ms));
        while load.next_start(at(ms)).is_some() {}
    }
    load.tick(at(130));
    assert_eq!(load.next_start(at(130)), Some(at(100)), "one connection is free");
    load.blocked(at(130));
    load.tick(at(200)); // the server keeps it for 70 ms, in which the loop comes round each millisecond
    load.absences.pop_back();
    let own = |intended, now| load.own_delay(at(intended), at(now)) / 1_000_000;
    assert_eq!(own(101, 130), 29, "of the absence alone, as nothing is free");
    let before = load.measured().behind.summary();
    assert!(before.max.abs_diff(30_000_000) < 30_000, "{before:?}");
    load.blocked(at(199));
    assert_eq!(load.next_start(at(200)), Some(at(101)));
    let own = |intended| load.own_delay(at(intended), at(200)) / 1_000_000;
    assert_eq!([own(101), own(115), own(130), own(150), own(200)], [30, 16, 1, 1, 0]);
    while load.next_start(at(200)).is_some() {}
    load.tick(at(260));
    assert_eq!(load.absences.len(), 1, "nothing waits for the first any more");
}

#[test]
fn nothing_is_recorded_if_nothing_is_to_be() {
    let (mut load, _) = load(Some((1_000.0, Arrival::Fixed)));
    load.config.record = false;
    load.tick(at(100));
    load.next_start(at(150));
    load.established(at(150), at(151));
    load.answered(at(150), at(150), at(152));
    load.closed(at(152), at(153));
    let measured = load.measured();
    let recorded = measured.by_kind().iter().map(|(_, times)| times.count()).sum::<u64>();
    assert_eq!((recorded, measured.behind.count(), load.tally.requests.get()), (0, 0, 1));
}

/// Requests that are never answered have waited to the end, or until they were given up, and the
/// percentiles of an open loop say so.
#[test]
fn what_is_never_answered_bounds_the_latency_from_below() {
    for open in [true, false] {
        let (mut load, control) = load(open.then_some((1_000.0, Arrival::Fixed)));
        load.config.warmup = Duration::ZERO;
        load.tick(at(0));
        for ms in 1..=97 {
            load.answered(at(ms), at(ms), at(ms + 1));
        }
        load.lost(at(100)); // its connection fails early: nobody knows how long it would have taken
        load.lost(at(2_000));
        load.timed_out(at(50), at(350));
        control.stop();
        load.tick(at(5_000));
        load.tick(at(6_000));
        assert!(control.is_finished());
        let waited = load.measured().unanswered.summary();
        assert_eq!(waited.count, 3);
        assert!((5_885_000_000..=5_905_000_000).contains(&waited.max), "{waited:?}");
        assert!((3_985_000_000..=4_005_000_000).contains(&waited.p50), "{waited:?}");
        assert!((299_000_000..=301_000_000).contains(&waited.min), "{waited:?}");
        let tally = &load.tally;
        assert_eq!((tally.unanswered.get(), tally.timed_out.get()), (2, 1));
        let latency = load.measured().latency.summary();
        assert_eq!(latency.count, if open { 100 } else { 0 });
        assert!(!open || latency.p99 > 3_980_000_000, "{latency:?}");
        assert_eq!(load.measured().service.count(), 97, "service is of what was answered");
    }
}

#[test]
fn places_that_failed_rest_and_the_others_go_on() {
    let (mut load, _) = load(None); // two connections
    load.tick(at(0));
    load.free_place(0, false, at(0));
    load.tally.opened();
    assert!(!load.may_connect(at(0)), "one is open, the other rests");
    assert_eq!(load.next_deadline(true), Some(at(1)));
    load.tick(at(1));
    assert!(load.may_connect(at(1)));
    load.free_place(4, false, at(1));
    assert_eq!(load.next_deadline(true), Some(at(17)));
    load.begin_anew();
    load.tick(at(2));
    assert!(load.may_connect(at(2)), "another run");
}
