//! The same 4-tuple again and again, over a path that delivers duplicates up to a lifetime late: what
//! TIME-WAIT is there for (RFC 9293 §3.4.2, RFC 1337, RFC 6191). Not one octet of an incarnation may
//! reach a later one, whoever closes first, with timestamps and without. The same runs without
//! TIME-WAIT do deliver old octets, which shows that they are there to be kept out.
//!
//! A seed that fails is printed; `LASTACK_SEED=n cargo test --test reincarnation` replays it alone,
//! and `LASTACK_SEEDS=n` runs another number of them.

use core::cell::Cell;
use core::net::SocketAddr;
use core::time::Duration;
use lastack::engine::{
    App, Config, ConnectOptions, Engine, Error, Io, ListenOptions, Runner, Stack,
};
use lastack::net::address::Interface;
use lastack::port::sim::{Link, LinkConfig, SimClock, SimPort};
use lastack::tcp::{CloseReason, TimeWaitPolicy};
use lastack::time::Instant;
use lastack::wire::MacAddr;
use std::rc::Rc;

/// Incarnations of a run.
const LIVES: u32 = 6;
/// No frame is older than this when it arrives.
const MSL: Duration = Duration::from_secs(2);
/// Between two tries for a 4-tuple that is taken.
const RETRY: Duration = Duration::from_millis(40);
/// Virtual time within which a run must end.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// What a seed stands for.
#[derive(Clone, Debug)]
struct Plan {
    seed: u64,
    policy: TimeWaitPolicy,
    /// Timestamps at the client, at the server.
    timestamps: [bool; 2],
    server_closes_first: bool,
    /// Octets of each life from the client, from the server.
    lengths: [[usize; 2]; LIVES as usize],
    path: LinkConfig,
}

impl Plan {
    fn new(seed: u64, policy: TimeWaitPolicy) -> Self {
        let mut random = Random(seed);
        let both = random.below(3) > 0;
        let with = random.below(2) > 0;
        let lengths = [(); LIVES as usize]
            .map(|()| [2_000 + random.below(18_000) as usize, 1 + random.below(4_000) as usize]);
        let latest = [30, 1_900][random.below(2) as usize];
        let path = LinkConfig {
            delay: Duration::from_micros(200 + random.below(2_000)),
            duplication: 30_000 + random.below(300_000) as u32,
            // within the next life or two, or any time up to MSL
            reorder_delay: Duration::from_millis(1 + random.below(latest)),
            loss: if random.below(4) == 0 { 10_000 } else { 0 },
            ..LinkConfig::default()
        };
        Plan {
            seed,
            policy,
            timestamps: if both { [with; 2] } else { [with, !with] },
            server_closes_first: random.below(4) > 0,
            lengths,
            path,
        }
    }

    fn config(&self, end: usize) -> Config {
        let address = ["198.18.0.1/24", "198.18.0.2/24"][end].parse().unwrap();
        let mac = |end: usize| MacAddr([2, 0, 0, 0, 0, end as u8 + 1]);
        let mut interface = Interface::new(mac(end), vec![address]);
        let other = ["198.18.0.2", "198.18.0.1"][end].parse().unwrap();
        interface.neighbours = vec![(other, mac(1 - end))];
        let mut config = Config::new(interface, [self.seed as u8 ^ end as u8; 32]);
        config.limits.max_connections = 16;
        config.limits.max_time_wait = 16;
        config.limits.buffer_bytes = 1 << 20;
        config.limits.reassembly_segments = 256;
        config.limits.recoveries = 16;
        config.tcp.timestamps = self.timestamps[end];
        config.tcp.time_wait = self.policy;
        config.tcp.msl = MSL;
        config.tcp.fin_wait_2 = Duration::from_secs(10);
        config.tcp.initial_window = 40;
        config
    }
}

/// Octet `at` of what `end` sends in a life.
fn octet(end: usize, life: u32, at: usize) -> u8 {
    let word = Random(u64::from(life) << 40 | (end as u64) << 32 | (at as u64 >> 3)).next();
    (word >> (at % 8 * 8)) as u8
}

/// What both ends know, and what went wrong.
#[derive(Default)]
struct Shared {
    /// The life that the client is in, from 1.
    life: Cell<u32>,
    /// Lives that ended with all octets at their place.
    whole: Cell<u32>,
    /// Octets that were delivered and are none of this life.
    foreign: Cell<u64>,
}

/// An end that sends its octets of each life and checks those of the other.
struct Host {
    end: usize,
    plan: Plan,
    shared: Rc<Shared>,
    remote: SocketAddr,
    /// The connection of the life that runs.
    open: bool,
    lives: u32,
    retry_at: Instant,
    sent: usize,
    received: usize,
}

impl Host {
    fn new(end: usize, plan: &Plan, shared: &Rc<Shared>) -> Self {
        Host {
            end,
            plan: plan.clone(),
            shared: shared.clone(),
            remote: "198.18.0.2:80".parse().unwrap(),
            open: false,
            lives: 0,
            retry_at: Instant::ZERO,
            sent: 0,
            received: 0,
        }
    }

    fn lengths(&self) -> (usize, usize) {
        let lengths = self.plan.lengths[(self.shared.life.get() as usize - 1) % LIVES as usize];
        (lengths[self.end], lengths[1 - self.end])
    }

    fn goes_on(&mut self, io: &mut Io<'_>) {
        let (length, expected) = self.lengths();
        let life = self.shared.life.get();
        while self.sent < length {
            let run: Vec<u8> = (self.sent..length.min(self.sent + 4_096))
                .map(|at| octet(self.end, life, at))
                .collect();
            let taken = io.write(&run);
            self.sent += taken;
            if taken < run.len() {
                return;
            }
        }
        let first = self.plan.server_closes_first == (self.end == 1);
        if first && self.received >= expected {
            io.close();
        }
    }
}

impl App for Host {
    fn on_poll(&mut self, stack: &mut Stack) {
        if self.end == 1 || self.open || self.lives == LIVES || stack.now() < self.retry_at {
            return;
        }
        let local = Some("198.18.0.1:40000".parse().unwrap());
        match stack.connect(self.remote, ConnectOptions { local, user: 0 }) {
            Ok(_) => {
                self.lives += 1;
                self.open = true;
                self.shared.life.set(self.lives);
            }
            Err(Error::AddressInUse) => self.retry_at = stack.now() + RETRY,
            Err(error) => panic!("{error}"),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        (self.end == 0 && !self.open && self.lives < LIVES).then_some(self.retry_at)
    }

    fn on_open(&mut self, io: &mut Io<'_>) {
        (self.sent, self.received) = (0, 0);
        self.goes_on(io);
    }

    fn on_data(&mut self, io: &mut Io<'_>, data: &[u8]) -> usize {
        let life = self.shared.life.get();
        let (_, expected) = self.lengths();
        let foreign = (self.received..)
            .zip(data)
            .filter(|&(at, &byte)| at >= expected || byte != octet(1 - self.end, life, at));
        self.shared.foreign.set(self.shared.foreign.get() + foreign.count() as u64);
        self.received += data.len();
        self.goes_on(io);
        data.len()
    }

    fn on_writable(&mut self, io: &mut Io<'_>) {
        self.goes_on(io);
    }

    fn on_peer_closed(&mut self, io: &mut Io<'_>) {
        io.close();
    }

    fn on_closed(&mut self, _: &mut Io<'_>, reason: CloseReason) {
        if self.end == 0 {
            self.open = false;
            let (_, expected) = self.lengths();
            if reason == CloseReason::Finished && self.received == expected {
                self.shared.whole.set(self.shared.whole.get() + 1);
            }
        }
    }
}

/// Lives that were whole, octets that were of another life, and entries reused.
fn run(plan: &Plan) -> (u32, u64, u64) {
    let (link, a, b) = Link::new(plan.path, plan.path, plan.seed);
    let shared = Rc::<Shared>::default();
    let host = |end, port: SimPort| -> Runner<SimPort, Host, SimClock> {
        let engine = Engine::new(plan.config(end), Host::new(end, plan, &shared)).unwrap();
        Runner::new(port, engine, link.clock())
    };
    let (mut client, mut server) = (host(0, a), host(1, b));
    let listening =
        server.engine_mut().listen("198.18.0.2:80".parse().unwrap(), ListenOptions::default());
    listening.unwrap();
    // the clock of initial sequence numbers starts anywhere
    link.set_now(Instant::from_millis(plan.seed % 1_000_003 * 17));
    let end = link.now() + PATIENCE;
    loop {
        while client.poll_once() | server.poll_once() {}
        let deadlines = [client.engine().next_deadline(), server.engine().next_deadline()];
        let next = deadlines.into_iter().flatten().chain(link.next_arrival()).min();
        let Some(next) = next else { break };
        assert!(next < end, "still busy after an hour of virtual time");
        link.set_now(next);
    }
    let mut reused = 0;
    for runner in [&client, &server] {
        let engine = runner.engine();
        assert_eq!((engine.connections(), engine.time_wait(), engine.timers()), (0, 0, 0));
        reused += engine.metrics().tcp.tw_reused.get();
    }
    (shared.whole.get(), shared.foreign.get(), reused)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs seeds on all cores and adds up what they came to.
fn sum(seeds: core::ops::Range<u64>, of: impl Fn(u64) -> [u64; 3] + Sync) -> [u64; 3] {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    std::thread::scope(|scope| {
        let part = |thread| {
            let (seeds, of) = (seeds.clone(), &of);
            scope.spawn(move || {
                let mine = seeds.filter(|seed| seed % threads == thread);
                mine.map(of).fold([0; 3], |sum, one| [0, 1, 2].map(|i| sum[i] + one[i]))
            })
        };
        let parts: Vec<_> = (0..threads).map(part).collect();
        parts.into_iter().fold([0; 3], |sum, part| {
            let one = part.join().expect("its message stands above");
            [0, 1, 2].map(|i| sum[i] + one[i])
        })
    })
}

#[test]
fn no_octet_reaches_a_later_life() {
    let seeds = match number("LASTACK_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("LASTACK_SEEDS").unwrap_or(10_000),
    };
    let all = seeds.end - seeds.start;
    let [whole, _, reused] = sum(seeds, |seed| {
        let plan = Plan::new(seed, TimeWaitPolicy::Reuse);
        let outcome = std::panic::catch_unwind(|| run(&plan));
        let replay = "cargo test --test reincarnation";
        let Ok((whole, foreign, reused)) = outcome else {
            panic!("replay with LASTACK_SEED={seed} {replay}; {plan:#?}");
        };
        assert_eq!(foreign, 0, "replay with LASTACK_SEED={seed} {replay}; {plan:#?}");
        [whole.into(), foreign, reused]
    });
    if all > 1_000 {
        // most lives come to their end, and many 4-tuples are opened again before 2 MSL are over
        assert!(whole > all * u64::from(LIVES) * 9 / 10, "{whole} lives of {all} runs were whole");
        assert!(reused > all / 2, "{reused} entries were reused in {all} runs");
    }
}

/// The proof that there is something to keep out.
#[test]
fn without_time_wait_old_octets_are_delivered() {
    let [_, hit, _] = sum(0..400, |seed| {
        let mut plan = Plan::new(seed, TimeWaitPolicy::Off);
        plan.timestamps = [false; 2];
        let (_, foreign, _) = run(&plan);
        [0, u64::from(foreign > 0), 0]
    });
    assert!(hit > 10, "{hit} of 400 runs delivered octets of an earlier life");
}
