//! Overload by seeds: ports whose rings are small and slow, ends that take few turns, and more
//! connections offered than go through, some of them from strangers who never complete.
//!
//! At every step nothing is stuck, and no frame of our own making is lost. At the end everything that was
//! begun has completed.

use crate::syns::{CLIENT_MAC, SERVER_MAC, Syns};
use core::time::Duration;
use lastack::app::Tally;
use lastack::app::workload::{
    Arrival, CloseBy, Control, Crr, Load, LoadConfig, Responder, Shape, Workload,
};
use lastack::engine::{App, Config, Engine, ListenOptions, Runner};
use lastack::net::address::Interface;
use lastack::port::sim::{Dice, Link, LinkConfig, SimClock, SimPort};
use lastack::port::{Port, TxOffload};
use lastack::tcp::Counter;
use lastack::time::Instant;
use std::sync::Arc;

const PORT: u16 = 80;
const MOST: u32 = 1 << 14;
/// Virtual time within which a run must end.
const PATIENCE: Duration = Duration::from_secs(2_000);

/// What a seed stands for.
#[derive(Debug)]
pub struct Plan {
    seed: u64,
    /// How often both ends get turns, and how many frames leave a ring each time.
    tick: Duration,
    /// Places of the ring of the client and of the server; `None` = it is never full.
    rings: [Option<usize>; 2],
    /// Turns that each end takes in a tick; each receives 32 frames at most.
    turns: [usize; 2],
    path: LinkConfig,
    load: LoadConfig,
    /// When no more is begun.
    lasts: Duration,
    /// SYNs of strangers that arrive in one burst, and when.
    strangers: (usize, Duration),
    timestamps: bool,
}

impl Plan {
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x6f76_6572);
        let mut of = |least: u64, most: u64| least + dice.below(most - least + 1);
        let tick = Duration::from_micros(of(50, 2_000));
        let places = of(1, 32);
        let client = (of(0, 2) > 0).then_some(of(1, 32) as usize);
        let turns = [0, 1].map(|_| of(1, 8) as usize);
        // a connection takes some four frames each way
        let narrow = places.min(client.unwrap_or(32) as u64).min(32 * turns[1] as u64);
        let carried = narrow as f64 / 4.0 / tick.as_secs_f64();
        let rate = carried * of(50, 400) as f64 / 100.0;
        let many = of(0, 39) == 0;
        let connections = if many { of(8_000, 12_000) } else { of(20, 1_000) };
        let offered = if many { 14_000 } else { of(200, 2_000) };
        let (request_size, response_size) = (of(1, 2_000) as u32, of(1, 8_000) as u32);
        let load = LoadConfig {
            connections: connections as u32,
            pace: Some((rate, [Arrival::Fixed, Arrival::Poisson][of(0, 1) as usize])),
            shape: Shape { request_size, response_size },
            close: [CloseBy::Client, CloseBy::Server][of(0, 1) as usize],
            drain: PATIENCE,
            seed,
            ..LoadConfig::new(format!("198.18.0.2:{PORT}").parse().unwrap())
        };
        let lasts = Duration::from_secs_f64(offered as f64 / rate);
        let strange = of(0, 7) == 0;
        let strangers = (if strange { of(5_000, 12_000) as usize } else { 0 }, lasts / 3);
        let loss = if of(0, 2) == 0 { of(0, 20_000) as u32 } else { 0 };
        let path = LinkConfig {
            delay: Duration::from_micros(of(0, 5_000)),
            jitter: Duration::from_micros(of(0, 500)),
            loss,
            ..LinkConfig::default()
        };
        let rings = [client.filter(|_| !strange), Some(places as usize)];
        let timestamps = of(0, 1) == 0;
        Plan { seed, tick, rings, turns, path, load, lasts, strangers, timestamps }
    }
}

type End<A> = Runner<SimPort, A, SimClock>;

struct World {
    link: Link,
    client: End<Crr>,
    server: End<Responder>,
    control: Arc<Control>,
    /// Of the client and of the server.
    tallies: [Arc<Tally>; 2],
    turns: [usize; 2],
    tick: Duration,
}

fn end<A: App>(link: &Link, port: SimPort, host: u8, plan: &Plan, app: A) -> End<A> {
    let mac = |host: u8| [CLIENT_MAC, SERVER_MAC][usize::from(host) - 1];
    let address = format!("198.18.0.{host}/24").parse().unwrap();
    let mut interface = Interface::new(mac(host), vec![address]);
    let peer = format!("198.18.0.{}", 3 - host).parse().unwrap();
    interface.neighbours = vec![(peer, mac(3 - host))];
    let mut config = Config::new(interface, [host; 32]);
    config.limits.max_connections = MOST;
    config.limits.max_time_wait = 1 << 16;
    config.limits.buffer_bytes = 1 << 28;
    config.tcp.msl = Duration::from_secs(1);
    config.tcp.timestamps = plan.timestamps;
    // so that no path is so bad that nothing gets through by mere chance
    (config.tcp.syn_retries, config.tcp.synack_retries, config.tcp.data_retries) = (15, 15, 30);
    Runner::new(port, Engine::new(config, app).unwrap(), link.clock())
}

impl World {
    fn new(plan: &Plan) -> Self {
        let (link, here, there) = Link::new(plan.path, plan.path, plan.seed);
        let (control, tallies) = (Arc::new(Control::default()), [(); 2].map(|()| Arc::default()));
        let load = Load::new(plan.load.clone(), Arc::clone(&tallies[0]), Arc::clone(&control));
        let client = end(&link, here, 1, plan, Crr::new(load, MOST));
        let app = Responder::new(plan.load.shape, Arc::clone(&tallies[1]), MOST);
        let mut server = end(&link, there, 2, plan, app);
        let options = ListenOptions { backlog: MOST, ..ListenOptions::default() };
        server.engine_mut().listen(plan.load.remote, options).unwrap();
        for (end, places) in plan.rings.into_iter().enumerate() {
            link.set_ring(end, places);
        }
        World { link, client, server, control, tallies, turns: plan.turns, tick: plan.tick }
    }

    /// Both ends take their turns, and time goes on to when there is something to do. False if there
    /// never will be.
    fn step(&mut self, other: Option<Instant>) -> bool {
        for turn in 0..self.turns[0].max(self.turns[1]) {
            let [client, server] = self.turns.map(|turns| turn < turns);
            let client = client && self.client.poll_once();
            let server = server && self.server.poll_once();
            if !client && !server {
                break;
            }
        }
        nothing_is_lost(&self.client);
        nothing_is_lost(&self.server);
        let now = self.link.now();
        let waits = self.client.port().tx_waiting() + self.server.port().tx_waiting() > 0;
        let deadlines =
            [self.client.engine().next_deadline(), self.server.engine().next_deadline()];
        let events = deadlines.into_iter().chain([self.link.next_arrival(), other]).flatten();
        let next = events.chain(waits.then_some(now)).min();
        if let Some(next) = next {
            self.link.set_now(next.max(now + self.tick));
        }
        next.is_some()
    }

    /// A burst of SYNs from strangers.
    fn strangers(&mut self, count: usize) {
        let mut syns = Syns::new(PORT);
        let port = self.client.port_mut();
        for _ in 0..count {
            let len = syns.write(port.tx_room().expect("its port is never full"));
            port.tx_commit(len, TxOffload::None);
        }
    }
}

#[track_caller]
fn nothing_is_lost<A: App>(runner: &End<A>) {
    let engine = runner.engine();
    assert_eq!(engine.stuck(), None);
    let lost = (runner.port().stats().tx_dropped, engine.metrics().drops.control_queue.get());
    assert_eq!(lost, (0, 0), "frames of our own making");
}

/// What was seen in a run: enough to tell whether it was overload, and whether it is the same again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Turns that the server could not send in.
    pub blocked: u64,
    /// SYNs that it shed.
    pub syns_shed: u64,
    /// Answers that it shed.
    pub answers_shed: u64,
    /// Time-outs that waited for what was in its port.
    pub put_off: u64,
    /// All counters of both sides, and when it was over.
    all: (Vec<u64>, Instant),
}

pub fn run(plan: &Plan) -> Seen {
    let mut world = World::new(plan);
    let at = |time: Duration| Instant::ZERO + time;
    let (count, time) = plan.strangers;
    let mut strangers_at = (count > 0).then_some(at(time));
    let mut stop_at = Some(at(plan.lasts));
    while world.step(strangers_at.into_iter().chain(stop_at).min()) {
        let now = world.link.now();
        assert!(now < at(PATIENCE), "still busy");
        if strangers_at.take_if(|at| *at <= now).is_some() {
            world.strangers(count);
        }
        if stop_at.take_if(|at| *at <= now).is_some() {
            world.control.stop();
        }
    }
    all_has_completed(&world, plan);
    seen(&world)
}

fn all_has_completed(world: &World, plan: &Plan) {
    assert!(world.control.is_finished());
    let [client, server] = &world.tallies;
    for tally in [client, server] {
        assert_eq!((tally.failed.get(), tally.reset.get(), tally.open_now.get()), (0, 0, 0));
    }
    let begun = client.opened.get();
    let ended =
        [client.requests.get(), client.closed.get(), server.opened.get(), server.closed.get()];
    assert!(begun > 20 && ended == [begun; 4], "{begun} {ended:?}");
    let stacks = [world.client.engine().stack(), world.server.engine().stack()];
    for stack in stacks {
        assert_eq!((stack.connections(), stack.time_wait(), stack.timers()), (0, 0, 0));
        assert_eq!((stack.memory_in_use(), stack.metrics().syn_cache.get()), ((0, 0), 0));
    }
    // of what arrived the server has dropped nothing but SYNs, and those it has told of
    let metrics = stacks[1].metrics();
    assert_eq!(metrics.drops.received(), metrics.drops.syn_shed.get());
    assert_eq!(metrics.tcp.listen_drops.get(), 0);
    if plan.path.loss == 0 && metrics.drops.syn_shed.get() == 0 && plan.strangers.0 == 0 {
        assert_eq!(metrics.tcp.synack_retrans.get(), 0, "each SYN-ACK arrives");
    }
}

fn seen(world: &World) -> Seen {
    let metrics = world.server.engine().metrics();
    let engines = [world.client.engine().metrics(), metrics];
    let all = engines.iter().flat_map(|of| {
        let tcp = of.tcp.iter().map(|(_, count)| count);
        tcp.chain(of.drops.iter().map(|(_, count)| count)).collect::<Vec<_>>()
    });
    let count = |counter: &Counter| counter.get();
    Seen {
        blocked: count(&metrics.tcp.output_blocked),
        syns_shed: count(&metrics.drops.syn_shed),
        answers_shed: count(&metrics.drops.answer_shed),
        put_off: count(&metrics.tcp.host_queues),
        all: (all.collect(), world.link.now()),
    }
}
