//! Are the percentiles true? A server whose service times are known, stalls of 100 ms in each second
//! among them, in the virtual time of the simulator: an open loop reports what arithmetic says, and a
//! closed loop hides the stalls.

use core::time::Duration;
use lastack::app::Tally;
use lastack::app::workload::{Arrival, Control, Load, LoadConfig, Measured, Rr, Shape, Workload};
use lastack::engine::{App, Config, ConnId, Engine, Io, ListenOptions, Runner, Stack};
use lastack::measure::Summary;
use lastack::net::address::Interface;
use lastack::port::sim::{Link, LinkConfig};
use lastack::time::Instant;
use lastack::wire::MacAddr;
use std::collections::VecDeque;
use std::sync::Arc;

const SERVER: &str = "198.18.0.2:9000";
const MS: u64 = 1_000_000;
/// One way.
const DELAY: Duration = Duration::from_millis(1);
/// What the server takes for a request, and how long it does nothing from the beginning of each
/// second on.
const SERVICE: Duration = Duration::from_millis(3);
const STALL: Duration = Duration::from_millis(100);
/// What a request takes that meets no stall.
const BASE_NS: u64 = 5 * MS;
/// The figures of histograms have three digits.
const PRECISION: f64 = 0.01;

/// Answers each octet with an octet, when its time has come.
#[derive(Default)]
struct Staller {
    stalls: bool,
    due: VecDeque<(Instant, ConnId)>,
}

impl App for Staller {
    fn on_data(&mut self, io: &mut Io<'_>, data: &[u8]) -> usize {
        let since_second = io.now().nanos() % (1_000 * MS);
        let stall = STALL.as_nanos() as u64;
        let left = if self.stalls { stall.saturating_sub(since_second) } else { 0 };
        let at = io.now() + SERVICE + Duration::from_nanos(left);
        self.due.extend(data.iter().map(|_| (at, io.conn())));
        // a stall that is over lets those go first that came last: they wait for nothing more
        self.due.make_contiguous().sort_by_key(|&(at, _)| at);
        data.len()
    }

    fn on_poll(&mut self, stack: &mut Stack) {
        while let Some(&(at, conn)) = self.due.front()
            && at <= stack.now()
        {
            self.due.pop_front();
            let _ = stack.write(conn, b"x");
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.due.front().map(|&(at, _)| at)
    }

    fn on_peer_closed(&mut self, io: &mut Io<'_>) {
        io.close();
    }
}

/// Twenty seconds of it.
fn measured(stalls: bool, connections: u32, pace: Option<(f64, Arrival)>) -> Measured {
    let path = LinkConfig { delay: DELAY, ..LinkConfig::default() };
    let (link, a, b) = Link::new(path, path, 1);
    let config = |host: u8| {
        let mac = |host| MacAddr([2, 0, 0, 0, 0, host]);
        let address = format!("198.18.0.{host}/24").parse().unwrap();
        let mut interface = Interface::new(mac(host), vec![address]);
        let peer = 3 - host;
        interface.neighbours = vec![(format!("198.18.0.{peer}").parse().unwrap(), mac(peer))];
        Config::new(interface, [host; 32])
    };
    let load = LoadConfig {
        connections,
        pace,
        shape: Shape { request_size: 1, response_size: 1 },
        warmup: Duration::from_secs(1),
        seed: 5,
        ..LoadConfig::new(SERVER.parse().unwrap())
    };
    let control = Arc::<Control>::default();
    let load = Load::new(load, Arc::<Tally>::default(), Arc::clone(&control));
    let mut client =
        Runner::new(a, Engine::new(config(1), Rr::new(load, 4_096)).unwrap(), link.clock());
    let app = Staller { stalls, ..Staller::default() };
    let mut server = Runner::new(b, Engine::new(config(2), app).unwrap(), link.clock());
    server.engine_mut().listen(SERVER.parse().unwrap(), ListenOptions::default()).unwrap();
    let end = Instant::ZERO + Duration::from_secs(21);
    while !control.is_finished() {
        while client.poll_once() | server.poll_once() {}
        let deadlines = [client.engine().next_deadline(), server.engine().next_deadline()];
        let now = link.now();
        let stop = (now < end).then_some(end);
        let events = deadlines.into_iter().chain([link.next_arrival(), stop]);
        link.set_now(events.flatten().min().unwrap().max(now));
        if link.now() >= end {
            control.stop();
        }
    }
    client.engine().app().load().measured().clone()
}

#[track_caller]
fn is_about(told: u64, expected: u64) {
    let off = told as f64 / expected as f64 - 1.0;
    assert!(off.abs() <= PRECISION, "{told} instead of {expected}");
}

/// A tenth of the requests meets a stall, at any time of it: what is left of it is added to them.
#[test]
fn an_open_loop_tells_the_stalls() {
    for arrival in [Arrival::Fixed, Arrival::Poisson] {
        // not a divisor of a second, so that every part of a stall is met
        let measured = measured(true, 400, Some((2_003.0, arrival)));
        for summary in [measured.latency.summary(), measured.service.summary()] {
            let Summary { count, p50, p99, p99_9, max, mean, .. } = summary;
            assert!((38_000..42_000).contains(&count), "{count}");
            is_about(p50, BASE_NS);
            is_about(p99, BASE_NS + 90 * MS);
            is_about(p99_9, BASE_NS + 99 * MS);
            is_about(max, BASE_NS + 100 * MS);
            // Poisson arrivals deviate: a tenth of 40,000 by 2 %
            let off = mean / (BASE_NS as f64 + 5.0 * MS as f64) - 1.0;
            assert!(off.abs() < 0.03, "{mean}");
        }
    }
}

/// With ten connections no more than ten requests meet a stall, and the others are never made.
#[test]
fn a_closed_loop_hides_the_stalls() {
    let measured = measured(true, 10, None);
    let Summary { count, p50, p99, max, .. } = measured.service.summary();
    is_about(p50, BASE_NS);
    is_about(p99, BASE_NS);
    assert!(max > 90 * MS, "{max}");
    assert!((36_000..39_000).contains(&count), "{count}");
    assert_eq!(measured.latency.count(), 0, "it has no latency to tell");
}

/// The same load as a schedule on the same ten connections: requests wait for their turn, and latency
/// says so where service time does not.
#[test]
fn an_open_loop_on_too_few_connections_tells_the_waiting() {
    let measured = measured(true, 10, Some((1_000.0, Arrival::Fixed)));
    let (latency, service) = (measured.latency.summary(), measured.service.summary());
    assert_eq!(latency.count, service.count);
    is_about(service.p50, BASE_NS);
    is_about(service.p99, BASE_NS);
    // A stall leaves a hundred requests behind; then 2 are served in 1 ms while 1 arrives. Who arrives t
    // after its beginning waits for 100 ms - t/2, until there is no queue 200 ms after it.
    assert!((50 * MS..57 * MS).contains(&latency.p90), "{latency:?}");
    assert!((95 * MS..101 * MS).contains(&latency.p99), "{latency:?}");
    assert!((100 * MS..107 * MS).contains(&latency.max), "{latency:?}");
}

#[test]
fn without_stalls_all_requests_take_the_same() {
    let measured = measured(false, 400, Some((2_003.0, Arrival::Poisson)));
    for summary in [measured.latency.summary(), measured.service.summary()] {
        for time in [summary.min, summary.p50, summary.p99_99, summary.max] {
            is_about(time, BASE_NS);
        }
    }
    let behind = measured.behind.summary();
    assert_eq!((behind.count, behind.max), (measured.latency.count(), 0), "always in time");
}
