//! Applications on engines over a simulated link, good and bad, with a virtual clock.

#[path = "apps/ends.rs"]
mod ends;
#[path = "apps/patience.rs"]
mod patience;

use core::time::Duration;
use lastack::app::Tally;
use lastack::app::chargen::{self, Chargen};
use lastack::app::discard::Discard;
use lastack::app::echo::Echo;
use lastack::app::http::{Http, body_octet};
use lastack::app::workload::{
    Arrival, CloseBy, Control, Crr, Direction, Load, LoadConfig, Responder, Rr, Shape, Stream,
    Trouble, Workload, http,
};
use lastack::engine::{
    App, Config, ConnectOptions, Engine, Io, ListenOptions, Metrics, Runner, Stack,
};
use lastack::net::address::Interface;
use lastack::port::sim::{Link, LinkConfig, SimClock, SimPort};
use lastack::tcp::CloseReason;
use lastack::time::Instant;
use lastack::wire::MacAddr;
use std::collections::VecDeque;
use std::sync::Arc;

const MAX_CONNECTIONS: u32 = 256;
const SERVER: &str = "198.18.0.2:9000";

type Side<A> = Runner<SimPort, A, SimClock>;

/// Two engines and the link between them.
struct Bench<C, S> {
    link: Link,
    client: Side<C>,
    server: Side<S>,
}

fn side<A: App>(link: &Link, port: SimPort, last: u8, app: A) -> Side<A> {
    let address = format!("198.18.0.{last}/24").parse().unwrap();
    let mac = |last| MacAddr([2, 0, 0, 0, 0, last]);
    let mut interface = Interface::new(mac(last), vec![address]);
    // known from the start: ARP has no checksum, and what a bad link makes of it would be believed
    interface.neighbours = vec![(format!("198.18.0.{}", 3 - last).parse().unwrap(), mac(3 - last))];
    let mut config = Config::new(interface, [last; 32]);
    config.limits.max_connections = MAX_CONNECTIONS;
    config.limits.max_time_wait = 1 << 16;
    config.limits.buffer_bytes = 1 << 26;
    Runner::new(port, Engine::new(config, app).unwrap(), link.clock())
}

impl<C: App, S: App> Bench<C, S> {
    fn new(link: LinkConfig, seed: u64, client: C, server: S) -> Self {
        let (link, here, there) = Link::new(link, link, seed);
        let client = side(&link, here, 1, client);
        let mut server = side(&link, there, 2, server);
        let listen = ListenOptions::default();
        server.engine_mut().stack_mut().listen(SERVER.parse().unwrap(), listen).unwrap();
        Bench { link, client, server }
    }

    /// Runs until `done`, or there is nothing left to wait for before `until`.
    fn run(&mut self, until: Instant, mut done: impl FnMut() -> bool) {
        let (mut still, mut at) = (0, self.link.now());
        while !done() {
            self.client.poll_once();
            self.server.poll_once();
            let next = [
                self.link.next_arrival(),
                self.client.engine().next_deadline(),
                self.server.engine().next_deadline(),
            ];
            still = if self.link.now() == at { still + 1 } else { 0 };
            at = self.link.now();
            assert!(still < 10_000, "time stands still at {at:?}, waiting for {next:?}");
            match next.into_iter().flatten().min() {
                Some(next) if next <= until => self.link.set_now(next.max(at)),
                _ => return self.link.set_now(until),
            }
        }
    }

    fn metrics(&self) -> [&Arc<Metrics>; 2] {
        [self.client.engine().stack().metrics(), self.server.engine().stack().metrics()]
    }
}

const fn bad_link() -> LinkConfig {
    LinkConfig {
        delay: Duration::from_millis(1),
        jitter: Duration::from_micros(300),
        rate: 0,
        buffer: 0,
        loss: 30_000,
        burst: lastack::port::sim::Burst { begins: 0, ends: 0 },
        duplication: 20_000,
        reordering: 50_000,
        reorder_delay: Duration::from_millis(4),
        corruption: 5_000,
        max_frame: 1_518,
    }
}

fn load(close: CloseBy, requests_per_connection: Option<u32>) -> LoadConfig {
    LoadConfig {
        connections: 16,
        shape: Shape { request_size: 100, response_size: 3_000 },
        requests_per_connection,
        close,
        seed: 1,
        ..LoadConfig::new(SERVER.parse().unwrap())
    }
}

/// What came of a workload.
struct Outcome<W, S = Responder> {
    bench: Bench<W, S>,
    client: Arc<Tally>,
    server: Arc<Tally>,
}

/// Runs a workload of fixed sizes.
fn run<W: Workload>(link: LinkConfig, seed: u64, config: LoadConfig, time: Duration) -> Outcome<W> {
    let shape = config.shape;
    run_at(link, seed, config, time, |tally| Responder::new(shape, tally, MAX_CONNECTIONS))
}

/// Runs a workload for a time, stops it, and checks what holds for every run.
fn run_at<W: Workload, S: App>(
    link: LinkConfig,
    seed: u64,
    config: LoadConfig,
    time: Duration,
    app: impl FnOnce(Arc<Tally>) -> S,
) -> Outcome<W, S> {
    let (client, server, control) = (Arc::default(), Arc::default(), Arc::<Control>::default());
    let app = app(Arc::clone(&server));
    let workload = W::new(Load::new(config, Arc::clone(&client), control.clone()), MAX_CONNECTIONS);
    let mut bench = Bench::new(link, seed, workload, app);
    bench.run(Instant::ZERO + time, || false);
    control.stop();
    // What is still on its way has ten seconds; losing it again and again would take longer.
    for direction in 0..2 {
        bench.link.reconfigure(direction, LinkConfig::default());
    }
    bench.run(Instant::ZERO + time + Duration::from_secs(30), || control.is_finished());
    assert!(control.is_finished());
    let settle = bench.link.now() + Duration::from_secs(30);
    bench.run(settle, || server.open_now.get() == 0);
    let Tally { opened, closed, failed, reset, open_now, .. } = &*client;
    assert_eq!(open_now.get(), 0);
    assert_eq!(opened.get(), closed.get() + failed.get() + reset.get());
    assert_eq!(server.open_now.get(), 0);
    Outcome { bench, client, server }
}

#[test]
fn crr_over_a_good_link_ends_every_connection_in_order() {
    for close in [CloseBy::Server, CloseBy::Client] {
        let config = load(close, Some(1));
        let Outcome { bench, client, server } =
            run::<Crr>(LinkConfig::default(), 1, config, Duration::from_secs(2));
        // Connect 2 ms, request 2 ms, close 2 ms, 16 at a time.
        assert!((4_500..=8_500).contains(&client.closed.get()), "{}", client.closed.get());
        assert_eq!((client.failed.get(), client.reset.get()), (0, 0));
        assert_eq!(client.requests.get(), client.closed.get());
        assert_eq!(server.requests.get(), client.requests.get());
        assert_eq!(server.closed.get(), client.closed.get());
        assert_eq!(client.bytes_received.get(), 3_000 * client.requests.get());
        let [ours, theirs] = bench.metrics();
        let entered = [ours.tcp.tw_entered.get(), theirs.tcp.tw_entered.get()];
        let expected = match close {
            CloseBy::Server => [0, client.closed.get()],
            _ => [client.closed.get(), 0],
        };
        assert_eq!(entered, expected, "the side that closes first has the TIME-WAIT");
        let measured = bench.client.engine().app().load().measured();
        let connect = measured.connect.summary();
        assert_eq!(connect.count, client.established.get());
        assert!((2_000_000..2_100_000).contains(&connect.p50), "{connect:?}");
        assert_eq!(measured.service.count(), client.requests.get());
        assert_eq!(measured.close.count(), client.closed.get());
        assert_eq!(measured.latency.count(), 0, "a closed loop has only service times");
    }
}

#[test]
fn crr_by_reset_leaves_no_time_wait() {
    let config = load(CloseBy::Reset, Some(1));
    let Outcome { bench, client, server } =
        run::<Crr>(LinkConfig::default(), 1, config, Duration::from_secs(1));
    assert!(client.reset.get() > 1_000);
    assert_eq!((client.closed.get(), client.failed.get()), (0, 0));
    assert_eq!(server.reset.get(), client.reset.get());
    let [ours, theirs] = bench.metrics();
    assert_eq!(ours.tcp.tw_entered.get() + theirs.tcp.tw_entered.get(), 0);
}

#[test]
fn crr_over_a_bad_link_loses_no_request() {
    for seed in 0..20 {
        let config = load(CloseBy::Server, Some(1));
        let Outcome { client, .. } = run::<Crr>(bad_link(), seed, config, Duration::from_secs(2));
        assert!(client.closed.get() > 100, "seed {seed}");
        assert_eq!(client.failed.get(), 0, "seed {seed}");
        assert_eq!(client.bytes_received.get(), 3_000 * client.requests.get(), "seed {seed}");
    }
}

/// The request of the workload `http`.
fn get(path: &str) -> Option<http::Request> {
    Some(http::Request::get("server.test", path, &[]).unwrap())
}

#[test]
fn http_over_a_bad_link_loses_no_request() {
    for (seed, close) in [(0, CloseBy::Server), (1, CloseBy::Client), (2, CloseBy::Server)] {
        let config = LoadConfig {
            pipeline: 3,
            http: get("/bytes/10000"),
            ..load(close, if seed == 2 { None } else { Some(5) })
        };
        let Outcome { client, server, .. } =
            run_at::<http::Http, _>(bad_link(), seed, config, Duration::from_secs(2), |tally| {
                Http::new(tally, MAX_CONNECTIONS)
            });
        assert_eq!((client.failed.get(), client.reset.get()), (0, 0), "seed {seed}");
        assert!(client.requests.get() > 300, "seed {seed}: {}", client.requests.get());
        assert_eq!(client.requests.get(), server.requests.get(), "seed {seed}");
        assert_eq!(client.bytes_received.get(), server.bytes_sent.get(), "seed {seed}");
        assert_eq!(client.refused.get(), 0);
    }
    let config = LoadConfig { http: get("/nothing"), ..load(CloseBy::Server, Some(2)) };
    let Outcome { client, .. } = run_at::<http::Http, _>(
        LinkConfig::default(),
        3,
        config,
        Duration::from_millis(500),
        |tally| Http::new(tally, MAX_CONNECTIONS),
    );
    assert!(client.requests.get() > 100 && client.failed.get() == 0);
    assert_eq!(client.refused.get(), client.requests.get(), "each is answered with 404");
}

/// A server that does not speak HTTP fails every connection, and nothing hangs.
#[test]
fn http_to_a_server_of_something_else() {
    let config = LoadConfig { http: get("/"), ..load(CloseBy::Client, None) };
    let Outcome { client, .. } = run_at::<http::Http, _>(
        LinkConfig::default(),
        1,
        config,
        Duration::from_millis(200),
        |tally| Chargen::new(tally, MAX_CONNECTIONS),
    );
    assert!(client.failed.get() > 16);
    assert_eq!((client.requests.get(), client.closed.get()), (0, 0));
}

#[test]
fn streams_over_a_bad_link_lose_nothing() {
    for (seed, direction) in
        [(0, Direction::Send), (1, Direction::Receive), (2, Direction::Both), (3, Direction::Idle)]
    {
        let config = LoadConfig { direction, connections: 5, ..load(CloseBy::Client, None) };
        let time = Duration::from_secs(2);
        let tallies = if direction.sends() && direction != Direction::Both {
            let run = run_at::<Stream, _>(bad_link(), seed, config, time, Discard::new);
            (run.client, run.server)
        } else if direction == Direction::Idle {
            let run = run::<Stream>(bad_link(), seed, config, time);
            (run.client, run.server)
        } else {
            let chargen = |tally| Chargen::new(tally, MAX_CONNECTIONS);
            let run = run_at::<Stream, _>(bad_link(), seed, config, time, chargen);
            (run.client, run.server)
        };
        let (client, server) = tallies;
        assert_eq!((client.opened.get(), client.closed.get()), (5, 5), "{direction:?}");
        assert_eq!(client.bytes_sent.get(), server.bytes_received.get(), "{direction:?}");
        assert_eq!(client.bytes_received.get(), server.bytes_sent.get(), "{direction:?}");
        let flows = (client.bytes_sent.get() > 100_000, client.bytes_received.get() > 100_000);
        let expected = match direction {
            Direction::Idle => (false, false),
            Direction::Send => (true, false),
            Direction::Receive => (false, true),
            Direction::Both => (true, true),
        };
        assert_eq!(flows, expected, "{direction:?}");
    }
}

/// A rate and a holding time: so many are open as are opened while one is held.
#[test]
fn connections_are_held_for_their_time() {
    for (close, link) in
        [(CloseBy::Client, LinkConfig::default()), (CloseBy::Reset, LinkConfig::default())]
    {
        let config = LoadConfig {
            connections: 1_000,
            pace: Some((100.0, Arrival::Fixed)),
            hold: Some(Duration::from_millis(200)),
            ..load(close, None)
        };
        let Outcome { client, server, .. } = run::<Stream>(link, 1, config, Duration::from_secs(2));
        assert_eq!(client.opened.get(), 201, "at 0, 10, .. 2,000 ms");
        // held for 200 ms, after a handshake of 2 ms and before a closing of as much
        assert!((21..=22).contains(&client.peak.get()), "{}", client.peak.get());
        let ended = if close == CloseBy::Reset { &client.reset } else { &client.closed };
        assert_eq!((ended.get(), client.failed.get()), (201, 0));
        // the last may be reset before the server has it
        assert!((200..=201).contains(&server.opened.get()), "{}", server.opened.get());
    }
    let config = LoadConfig {
        connections: 5,
        hold: Some(Duration::from_millis(100)),
        ..load(CloseBy::Client, None)
    };
    let time = Duration::from_secs(2);
    let Outcome { client, .. } = run::<Stream>(bad_link(), 1, config, time);
    assert!((40..=105).contains(&client.opened.get()), "{}", client.opened.get());
    assert_eq!((client.peak.get(), client.closed.get()), (5, client.opened.get()));
}

#[test]
fn rr_keeps_its_connections() {
    for pipeline in [1, 8] {
        let config = LoadConfig { pipeline, ..load(CloseBy::Client, None) };
        let Outcome { client, server, .. } =
            run::<Rr>(LinkConfig::default(), 1, config, Duration::from_secs(1));
        assert_eq!((client.opened.get(), client.closed.get()), (16, 16));
        assert_eq!(server.requests.get(), client.requests.get());
        let most = 500 * 16 * u64::from(pipeline); // a request takes 2 ms
        assert!((most * 8 / 10..=most).contains(&client.requests.get()), "{pipeline}");
    }
}

#[test]
fn rr_opens_connections_anew_after_their_requests() {
    for close in [CloseBy::Server, CloseBy::Client, CloseBy::Reset] {
        let config = LoadConfig { pipeline: 3, ..load(close, Some(7)) };
        let Outcome { client, server, .. } =
            run::<Rr>(LinkConfig::default(), 1, config, Duration::from_secs(1));
        let ended = client.closed.get() + client.reset.get();
        assert_eq!((client.failed.get(), ended), (0, client.opened.get()), "{close:?}");
        assert!(ended > 100);
        // The last connections may have been stopped before their seventh request.
        assert!(client.requests.get() <= 7 * ended);
        assert!(client.requests.get() >= 7 * (ended - 16), "{close:?}");
        assert_eq!(server.requests.get(), client.requests.get());
    }
}

#[test]
fn rr_over_a_bad_link_loses_no_request() {
    for seed in 0..10 {
        let config = LoadConfig { pipeline: 4, ..load(CloseBy::Server, Some(20)) };
        let Outcome { client, .. } = run::<Rr>(bad_link(), seed, config, Duration::from_secs(2));
        assert_eq!(client.failed.get(), 0, "seed {seed}");
        assert!(client.requests.get() > 500, "seed {seed}: {}", client.requests.get());
    }
}

#[test]
fn an_open_loop_keeps_its_rate_and_counts_from_the_intended_start() {
    for arrival in [Arrival::Fixed, Arrival::Poisson] {
        let config = LoadConfig { pace: Some((1_000.0, arrival)), ..load(CloseBy::Client, None) };
        let Outcome { bench, client, .. } =
            run::<Rr>(LinkConfig::default(), 1, config, Duration::from_secs(4));
        let requests = client.requests.get() as f64;
        assert!((requests - 4_000.0).abs() < 250.0, "{arrival:?}: {requests}");
        let measured = bench.client.engine().app().load().measured();
        assert_eq!(measured.latency.count(), client.requests.get());
        assert!((2_000_000..2_300_000).contains(&measured.latency.summary().p50));
    }

    // One connection answers 500 requests a second at most: what is due waits, and that is seen.
    let config = LoadConfig {
        connections: 1,
        pace: Some((1_000.0, Arrival::Fixed)),
        ..load(CloseBy::Client, None)
    };
    let Outcome { bench, client, .. } =
        run::<Rr>(LinkConfig::default(), 1, config, Duration::from_secs(2));
    let load = bench.client.engine().app().load();
    assert!(client.requests.get() <= 1_001);
    assert!(load.not_started() >= 990, "{}", load.not_started());
    assert!(load.measured().latency.summary().max > 900_000_000);
    assert!(load.measured().service.summary().max < 3_000_000);
}

#[test]
fn crr_by_schedule_begins_connections() {
    let config =
        LoadConfig { pace: Some((500.0, Arrival::Fixed)), ..load(CloseBy::Server, Some(1)) };
    let Outcome { bench, client, .. } =
        run::<Crr>(LinkConfig::default(), 1, config, Duration::from_secs(2));
    assert!((998..=1_001).contains(&client.closed.get()), "{}", client.closed.get());
    let latency = bench.client.engine().app().load().measured().latency.summary();
    assert!((4_000_000..4_200_000).contains(&latency.p50), "connect and request: {latency:?}");
}

#[test]
fn a_server_that_is_not_there_is_a_failure_of_every_connection() {
    let tally: Arc<Tally> = Arc::default();
    let control: Arc<Control> = Arc::default();
    let config =
        LoadConfig { remote: "198.18.0.2:1".parse().unwrap(), ..load(CloseBy::Server, Some(1)) };
    let workload = Crr::new(Load::new(config, tally.clone(), control), MAX_CONNECTIONS);
    let mut bench = Bench::new(LinkConfig::default(), 1, workload, Discard::default());
    bench.run(Instant::from_millis(100), || false);
    assert!(tally.failed.get() > 16);
    assert_eq!(tally.established.get(), 0);
    let trouble = bench.client.engine().app().load().trouble();
    assert_eq!(trouble, Some(Trouble::Connection(lastack::engine::Error::Refused)));
}

/// Sends a script, reads what comes back, closes when it has enough or the server closes.
struct Talker {
    script: Vec<u8>,
    sent: usize,
    enough: usize,
    half_closes: bool,
    heard: Vec<u8>,
    ended: Option<CloseReason>,
    begun: bool,
}

impl Talker {
    fn new(script: &[u8], enough: usize, half_closes: bool) -> Self {
        let script = script.to_vec();
        Talker { script, sent: 0, enough, half_closes, heard: vec![], ended: None, begun: false }
    }

    fn talk(&mut self, io: &mut Io<'_>) {
        self.sent += io.write(&self.script[self.sent..]);
        if self.sent == self.script.len() && self.half_closes {
            self.half_closes = false;
            io.shutdown();
        }
    }
}

impl App for Talker {
    fn on_poll(&mut self, stack: &mut Stack) {
        if !core::mem::replace(&mut self.begun, true) {
            stack.connect(SERVER.parse().unwrap(), ConnectOptions::default()).unwrap();
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        (!self.begun).then_some(Instant::ZERO)
    }

    fn on_open(&mut self, io: &mut Io<'_>) {
        self.talk(io);
    }

    fn on_writable(&mut self, io: &mut Io<'_>) {
        self.talk(io);
    }

    fn on_data(&mut self, io: &mut Io<'_>, data: &[u8]) -> usize {
        self.heard.extend_from_slice(data);
        if self.heard.len() >= self.enough {
            io.close();
        }
        data.len()
    }

    fn on_peer_closed(&mut self, io: &mut Io<'_>) {
        io.close();
    }

    fn on_closed(&mut self, _io: &mut Io<'_>, reason: CloseReason) {
        self.ended = Some(reason);
    }
}

/// What a talker hears from a server, and how that ends.
fn talk<S: App>(seed: u64, talker: Talker, server: S, tally: &Tally) -> (Vec<u8>, CloseReason) {
    let mut bench = Bench::new(bad_link(), seed, talker, server);
    bench
        .run(Instant::from_millis(300_000), || tally.opened.get() > 0 && tally.open_now.get() == 0);
    let until = bench.link.now() + Duration::from_secs(60);
    bench.run(until, || false);
    let talker = bench.client.engine_mut().app_mut();
    (core::mem::take(&mut talker.heard), talker.ended.expect("an end"))
}

#[test]
fn echo_gives_every_octet_back_after_a_half_close() {
    let script: Vec<u8> = (0..300_000_u32).map(|at| (at * 7 % 253) as u8).collect();
    for seed in 0..5 {
        let tally: Arc<Tally> = Arc::default();
        let talker = Talker::new(&script, usize::MAX, true);
        let (heard, ended) = talk(seed, talker, Echo::new(tally.clone()), &tally);
        assert!(heard == script, "seed {seed}: {} octets", heard.len());
        assert_eq!(ended, CloseReason::Finished);
        assert_eq!((tally.closed.get(), tally.bytes_sent.get()), (1, 300_000));
    }
}

#[test]
fn discard_takes_everything_and_says_nothing() {
    let tally: Arc<Tally> = Arc::default();
    let talker = Talker::new(&[1; 100_000], usize::MAX, true);
    let (heard, ended) = talk(1, talker, Discard::new(tally.clone()), &tally);
    assert_eq!((heard.len(), ended), (0, CloseReason::Finished));
    assert_eq!((tally.bytes_received.get(), tally.closed.get()), (100_000, 1));
}

#[test]
fn chargen_goes_on_until_the_peer_closes() {
    let tally: Arc<Tally> = Arc::default();
    let talker = Talker::new(b"", 50_000, false);
    let server = Chargen::new(tally.clone(), MAX_CONNECTIONS);
    let (heard, _) = talk(1, talker, server, &tally);
    assert!(heard.len() >= 50_000);
    assert!(heard.iter().enumerate().all(|(at, &octet)| octet == chargen::octet(at)));
}

#[test]
fn http_answers_pipelined_requests_in_order_and_closes() {
    let script = b"GET /bytes/200000 HTTP/1.1\r\nHost: a\r\n\r\n\
                   GET / HTTP/1.1\r\nHost: a\r\n\r\n\
                   GET /bytes/70000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for seed in 0..5 {
        let tally: Arc<Tally> = Arc::default();
        let talker = Talker::new(script, usize::MAX, false);
        let server = Http::new(tally.clone(), MAX_CONNECTIONS);
        let (heard, ended) = talk(seed, talker, server, &tally);
        assert_eq!(ended, CloseReason::Finished, "seed {seed}");
        assert_eq!((tally.requests.get(), tally.closed.get()), (3, 1), "seed {seed}");
        let mut rest = &heard[..];
        let mut lengths = Vec::new();
        while !rest.is_empty() {
            let end = rest.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
            let head = core::str::from_utf8(&rest[..end]).unwrap();
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"));
            let length = head.split("Content-Length: ").nth(1).unwrap();
            let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
            let body = &rest[end..end + length];
            let pattern = |(at, &octet): (usize, &u8)| octet == body_octet(at as u64);
            assert!(lengths.len() == 1 || body.iter().enumerate().all(pattern));
            lengths.push(length);
            rest = &rest[end + length..];
        }
        assert_eq!((lengths[0], lengths[2], lengths.len()), (200_000, 70_000, 3));
    }
}
