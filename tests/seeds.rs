//! Ten thousand seeds: each stands for a path, the habits of two engines, and something that goes
//! wrong. Streams arrive whole, or both ends learn why not; and nothing is left behind.
//!
//! A seed that fails is printed; `LASTACK_SEED=n cargo test --test seeds` replays it alone, and
//! `LASTACK_SEEDS=n` runs another number of them.

#[path = "seeds/overload.rs"]
mod overload;
#[path = "seeds/plan.rs"]
mod plan;
#[path = "../benches/support/syns.rs"]
mod syns;

use core::fmt::Debug;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use lastack::engine::{App, ConnId, ConnectOptions, Engine, Io, ListenOptions, Runner, Stack};
use lastack::port::sim::{Link, LinkConfig, Observer, SimClock, SimPort};
use lastack::tcp::CloseReason;
use lastack::time::Instant;
use lastack::wire::MacAddr;
use plan::{Fault, Manner, Plan};
use std::panic::AssertUnwindSafe;

/// Virtual time within which a run must end.
const PATIENCE: Duration = Duration::from_secs(4 * 3_600);

/// Sends a stream of its own, checks the peer's, and closes by its manner.
struct Stream {
    end: usize,
    manner: Manner,
    /// Aborts when this many octets have arrived.
    aborts_after: Option<usize>,
    sent: usize,
    received: usize,
    opened: usize,
    peer_closed: bool,
    ended: Option<CloseReason>,
    /// Connections that hoard memory, and when they leave.
    hoarders: Vec<ConnId>,
    leave_at: Option<Instant>,
}

/// The server's port for connections that hoard memory.
const HOARD: u16 = 81;

fn hoards(io: &Io<'_>) -> bool {
    io.local_addr().port() == HOARD || io.remote_addr().port() == HOARD
}

/// Octet `at` of the stream that an end sends.
fn octet(end: usize, at: usize) -> u8 {
    (at.wrapping_mul(31) >> 3) as u8 ^ [0x55, 0xaa][end]
}

impl Stream {
    fn new(end: usize, plan: &Plan) -> Self {
        let aborts_after = match plan.fault {
            Fault::Abort { end: who, after } if who == end => Some(after),
            _ => None,
        };
        Stream {
            end,
            manner: plan.manners[end],
            aborts_after,
            sent: 0,
            received: 0,
            opened: 0,
            peer_closed: false,
            ended: None,
            hoarders: Vec::new(),
            leave_at: plan.hoarders.leave_at.map(|time| Instant::ZERO + time),
        }
    }

    fn fill(&mut self, io: &mut Io<'_>) {
        if hoards(io) {
            while io.write(&[0; 4_096]) == 4_096 {}
            return;
        }
        let mut chunk = [0; 4_096];
        while self.sent < self.manner.stream {
            let len = chunk.len().min(self.manner.stream - self.sent);
            for (offset, byte) in chunk[..len].iter_mut().enumerate() {
                *byte = octet(self.end, self.sent + offset);
            }
            let taken = io.write(&chunk[..len]);
            self.sent += taken;
            if taken < len {
                return;
            }
        }
        if !self.manner.closes_last || self.peer_closed {
            io.shutdown();
        }
    }
}

impl App for Stream {
    fn on_open(&mut self, io: &mut Io<'_>) {
        if hoards(io) {
            self.hoarders.push(io.conn());
        } else {
            self.opened += 1;
        }
        self.fill(io);
    }

    fn on_data(&mut self, io: &mut Io<'_>, data: &[u8]) -> usize {
        if hoards(io) {
            return 0;
        }
        let taken = data.len().min(self.manner.gulp);
        for (offset, byte) in data[..taken].iter().enumerate() {
            let at = self.received + offset;
            assert_eq!(*byte, octet(1 - self.end, at), "octet {at} of the peer's stream");
        }
        self.received += taken;
        if self.aborts_after.is_some_and(|after| self.received >= after) {
            io.abort();
        } else if taken < data.len() {
            io.redeliver();
        }
        taken
    }

    fn on_writable(&mut self, io: &mut Io<'_>) {
        self.fill(io);
    }

    fn on_peer_closed(&mut self, io: &mut Io<'_>) {
        self.peer_closed |= !hoards(io);
        self.fill(io);
    }

    fn on_closed(&mut self, io: &mut Io<'_>, reason: CloseReason) {
        if hoards(io) {
            return;
        }
        assert!(self.ended.replace(reason).is_none(), "told of the end twice");
    }

    fn on_poll(&mut self, stack: &mut Stack) {
        if self.ended.is_some() || self.leave_at.is_some_and(|at| at <= stack.now()) {
            for conn in self.hoarders.drain(..) {
                let _ = stack.abort(conn); // it may be over already
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.leave_at.filter(|_| !self.hoarders.is_empty())
    }
}

type End = Runner<SimPort, Stream, SimClock>;

fn server(port: SimPort, clock: SimClock, plan: &Plan, secret: u8) -> End {
    let mut config = plan.configs[1].clone();
    config.seed[31] = secret;
    let mut engine = Engine::new(config, Stream::new(1, plan)).unwrap();
    for port in [80, HOARD] {
        let address = plan.address(2, port).parse().unwrap();
        engine.listen(address, ListenOptions::default()).unwrap();
    }
    Runner::new(port, engine, clock)
}

/// From the handshake to the end of 2·MSL.
fn run(plan: &Plan) {
    let (link, a, b) = Link::new(plan.there, plan.back, plan.seed);
    link.observe();
    let engine = Engine::new(plan.configs[0].clone(), Stream::new(0, plan)).unwrap();
    let mut client = Runner::new(a, engine, link.clock());
    let mut server = server(b, link.clock(), plan, 0);
    for _ in 0..plan.hoarders.count {
        let address = plan.address(2, HOARD).parse().unwrap();
        let conn = client.engine_mut().connect(address, ConnectOptions::default()).unwrap();
        client.engine_mut().app_mut().hoarders.push(conn);
    }
    let address = plan.address(2, 80).parse().unwrap();
    client.engine_mut().connect(address, ConnectOptions::default()).unwrap();
    let at = |time: Duration| Instant::ZERO + time;
    let (mut cut_at, mut mend_at, mut crash_at, mut move_at) = (None, None, None, None);
    match plan.fault {
        Fault::Outage { at: begins, lasts } => {
            (cut_at, mend_at) = (Some(at(begins)), Some(at(begins + lasts)));
        }
        Fault::BlackHole { at: begins } => cut_at = Some(at(begins)),
        Fault::Crash { at: time } => crash_at = Some(at(time)),
        Fault::Move { at: time, .. } => move_at = Some(at(time)),
        Fault::None | Fault::Abort { .. } => {}
    }
    let mut first_server = None;
    loop {
        while client.poll_once() | server.poll_once() {}
        for engine in [client.engine(), server.engine()] {
            assert_eq!(engine.stuck(), None, "at {:?}", link.now());
        }
        let deadlines = [client.engine().next_deadline(), server.engine().next_deadline()];
        let faults = [cut_at, mend_at, crash_at, move_at];
        let next = deadlines.into_iter().chain(faults).flatten().chain(link.next_arrival()).min();
        let Some(next) = next else { break };
        assert!(next < at(PATIENCE), "still busy after four hours of virtual time");
        link.set_now(next);
        let due = |time: &mut Option<Instant>| time.take_if(|at| *at <= next).is_some();
        if due(&mut cut_at) {
            for direction in [0, 1] {
                link.reconfigure(direction, LinkConfig { loss: 1_000_000, ..plan.there });
            }
        }
        if due(&mut mend_at) {
            link.reconfigure(0, plan.there);
            link.reconfigure(1, plan.back);
        }
        if due(&mut move_at) {
            let Fault::Move { end, .. } = plan.fault else { unreachable!() };
            let moved = if end == 0 { &mut client } else { &mut server };
            moved.engine_mut().set_mac(MacAddr([2, 0, 0, 0, 0, 9]));
        }
        if due(&mut crash_at) {
            let (port, engine) = server.into_parts();
            first_server = Some(engine);
            server = self::server(port, link.clock(), plan, 1);
        }
    }
    let crashed = first_server.is_some();
    let observer = link.take_observer().expect("it was put there");
    let first: Vec<_> = observer.violations().iter().take(3).collect();
    assert!(first.is_empty(), "seen on the wire: {first:#?}");
    nothing_is_left(&client, &server, &link, &observer, crashed);
    let first = first_server.as_ref().map(Engine::app);
    how_it_ended(plan, client.engine().app(), server.engine().app(), first);
}

fn nothing_is_left(client: &End, server: &End, link: &Link, observer: &Observer, crashed: bool) {
    for (end, runner) in [client, server].into_iter().enumerate() {
        let engine = runner.engine();
        assert_eq!((engine.connections(), engine.time_wait()), (0, 0));
        assert_eq!((engine.timers(), engine.memory_in_use()), (0, (0, 0)));
        assert_eq!(engine.recoveries(), 0);
        let metrics = engine.metrics();
        assert_eq!((metrics.connections.get(), metrics.time_wait.get()), (0, 0));
        let tcp = &metrics.tcp;
        assert_eq!(tcp.established.get(), tcp.closed.get());
        let over = tcp.tw_expired.get() + tcp.tw_reused.get() + tcp.tw_recycled.get();
        assert_eq!(tcp.tw_entered.get(), over + tcp.tw_killed.get());
        assert!(tcp.retrans_segs.get() <= tcp.out_segs.get());
        if !crashed || end == 0 {
            assert_eq!(metrics.tx_packets.get(), link.stats(end).sent);
            assert_eq!(metrics.rx_packets.get(), link.stats(1 - end).delivered);
            assert_eq!(tcp.out_segs.get(), observer.segments(end));
        }
    }
}

fn how_it_ended(plan: &Plan, client: &Stream, server: &Stream, first: Option<&Stream>) {
    use CloseReason::{Aborted, Finished, Refused, Reset, TimedOut};
    let whole = |from: &Stream, to: &Stream| to.received == from.manner.stream;
    let reason = client.ended.expect("the client learns of the end");
    if server.opened > 0 {
        assert!(server.ended.is_some(), "the server learns of the end");
    }
    match plan.fault {
        Fault::None | Fault::Outage { .. } | Fault::Move { .. } => {
            assert_eq!((reason, server.ended), (Finished, Some(Finished)));
        }
        Fault::BlackHole { .. } => assert!(matches!(reason, Finished | TimedOut), "{reason:?}"),
        Fault::Crash { .. } => {
            assert!(matches!(reason, Finished | TimedOut | Reset | Refused), "{reason:?}");
        }
        Fault::Abort { end, .. } => {
            let (aborter, other) = if end == 0 { (client, server) } else { (server, client) };
            assert!(matches!(aborter.ended, Some(Finished | Aborted | TimedOut | Reset) | None));
            let other = other.ended;
            assert!(matches!(other, Some(Finished | Reset | TimedOut) | None), "{other:?}");
        }
    }
    // an orderly end is a whole stream, wherever the bytes went
    if reason == Finished && server.ended == Some(Finished) && first.is_none_or(|s| s.opened == 0) {
        assert!(whole(client, server) && whole(server, client), "not all has arrived");
        assert!(client.peer_closed && server.peer_closed);
        assert_eq!((client.opened, server.opened), (1, 1));
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn ten_thousand_seeds() {
    all_seeds(10_000, Plan::new, run);
}

/// A neighbour restarts with another Ethernet address in the middle of a transfer, and tells nobody:
/// the streams arrive whole all the same.
#[test]
fn neighbours_that_move() {
    all_seeds(500, Plan::with_a_move, run);
}

/// More is offered than the ports carry.
#[test]
fn overload() {
    let sums = [(); 4].map(|()| AtomicU64::new(0));
    let [blocked, syns_shed, answers_shed, put_off] = &sums;
    all_seeds(120, overload::Plan::new, |plan| {
        let seen = overload::run(plan);
        blocked.fetch_add(seen.blocked, Ordering::Relaxed);
        syns_shed.fetch_add(seen.syns_shed, Ordering::Relaxed);
        answers_shed.fetch_add(seen.answers_shed, Ordering::Relaxed);
        put_off.fetch_add(seen.put_off, Ordering::Relaxed);
    });
    if number("LASTACK_SEED").or(number("LASTACK_SEEDS")).is_none() {
        assert!(sums.iter().all(|sum| sum.load(Ordering::Relaxed) > 0), "not overload: {sums:?}");
    }
}

#[test]
fn a_seed_of_overload_replays() {
    for seed in 0..8 {
        let [once, again] = [(); 2].map(|()| overload::run(&overload::Plan::new(seed)));
        assert_eq!(once, again, "{seed}");
    }
}

fn all_seeds<P: Debug>(count: u64, plan: fn(u64) -> P, run: impl Fn(&P) + Sync) {
    let seeds = match number("LASTACK_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("LASTACK_SEEDS").unwrap_or(count),
    };
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (seeds, run) = (seeds.clone(), AssertUnwindSafe(&run));
            scope.spawn(move || {
                for seed in seeds.filter(|seed| seed % threads == thread) {
                    let outcome = std::panic::catch_unwind(|| run(&plan(seed)));
                    assert!(
                        outcome.is_ok(),
                        "replay with LASTACK_SEED={seed} cargo test --test seeds; {:#?}",
                        plan(seed)
                    );
                }
            });
        }
    });
}
