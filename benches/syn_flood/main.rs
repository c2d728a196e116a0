//! What a SYN flood costs, and what it leaves to real clients: `cargo bench --bench syn_flood`.
//!
//! All of it is in this process, over ring ports: no frame leaves it. First the cost of a SYN, on one
//! processor that sends, answers and takes the answers away by turns, beside that of the bare port;
//! then clients that share their port with a flood, on one processor, and the server on another; at
//! last ten million sources, and what has grown for them. `-- cost`, `-- clients` and `-- sources` run
//! one of the three.
#![allow(missing_docs)]

mod flood;
mod sources;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/syns.rs"]
mod syns;

use core::net::SocketAddr;
use core::time::Duration;
use flood::Flooded;
use lastack::app::Tally;
use lastack::app::workload::{
    Arrival, CloseBy, Control, Crr, Load, LoadConfig, Responder, Rr, Shape, Workload,
};
use lastack::engine::{Config, Engine, ListenOptions, Runner};
use lastack::measure::Summary;
use lastack::net::address::Interface;
use lastack::net::route::Route;
use lastack::port::dpdk::{
    DpdkPort, Eal, Pool, PoolConfig, RingPair, RingPairConfig, Tsc, bare_cost,
};
use lastack::port::{Port, TxOffload};
use lastack::tcp::SynCookies;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use syns::{CLIENT_MAC, SERVER, SERVER_MAC, SERVER_V6, Syns};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const PORT: u16 = 80;
const SHAPE: Shape = Shape { request_size: 64, response_size: 64 };
const BURST: u32 = 32;
/// Bursts of a round, and rounds.
const BURSTS: u32 = 4_000;
const ROUNDS: usize = 25;
/// A run of clients: what is not measured, and what is.
const WARMUP: Duration = Duration::from_millis(500);
const MEASURED: Duration = Duration::from_secs(4);

fn main() {
    if let Err(error) = run() {
        eprintln!("syn_flood: {error}");
        std::process::exit(1);
    }
}

fn run() -> Outcome<()> {
    let asked = support::is_asked_for;
    let eal = Eal::init(&support::eal_options(support::one_or_two()))?;
    if asked("cost") {
        let on_lcore = eal.clone();
        let cost = eal.launch(eal.lcores()[0], move || cost(&on_lcore))?;
        cost.join().map_err(|_| "the measurement panicked")??;
    }
    if asked("clients") {
        if eal.lcores().len() < 2 {
            println!("clients: left out, this machine has one processor");
            return Ok(());
        }
        clients(&eal)?;
    }
    if asked("sources") {
        if eal.lcores().len() < 2 {
            println!("sources: left out, this machine has one processor");
            return Ok(());
        }
        sources::run(&eal)?;
    }
    Ok(())
}

fn wire(eal: &Eal) -> Outcome<(DpdkPort, DpdkPort)> {
    let pool = Pool::new(eal, "flood", PoolConfig { buffers: 16_383, ..PoolConfig::default() })?;
    let pair = RingPair::new(eal, "flood", &RingPairConfig::new(pool))?;
    Ok((pair.a.queue_pair(0)?, pair.b.queue_pair(0)?))
}

fn config(client: bool) -> Outcome<Config> {
    let (ours, theirs) = if client { (1, 2) } else { (2, 1) };
    let mac = |host| if host == 1 { CLIENT_MAC } else { SERVER_MAC };
    let address = |host: u8| format!("198.18.0.{host}");
    let addresses = [format!("{}/24", address(ours)), format!("2001:db8::{ours}/64")];
    let addresses: Result<_, _> = addresses.iter().map(|cidr| cidr.parse()).collect();
    let mut interface = Interface::new(mac(ours), addresses?);
    interface.neighbours.push((address(theirs).parse()?, mac(theirs)));
    if !client {
        // where those that do not exist would be
        interface.routes.push(Route { to: "198.18.0.0/15".parse()?, via: address(1).parse()? });
    }
    let mut config = Config::new(interface, [ours; 32]);
    config.limits.max_connections = 1 << 16;
    config.limits.max_time_wait = 1 << 20;
    Ok(config)
}

fn server(
    port: DpdkPort,
    mode: SynCookies,
    cache: u32,
) -> Outcome<Runner<DpdkPort, Responder, Tsc>> {
    let mut config = config(false)?;
    config.tcp.syn_cookies = mode;
    config.limits.syn_cache = cache;
    let app = Responder::new(SHAPE, Arc::new(Tally::default()), 1 << 16);
    let mut runner = Runner::new(port, Engine::new(config, app)?, Tsc::new());
    let options = ListenOptions { backlog: u32::MAX / 2, ..ListenOptions::default() };
    runner.engine_mut().listen(SocketAddr::from((SERVER, PORT)), options)?;
    runner.engine_mut().listen(SocketAddr::from((SERVER_V6, PORT)), options)?;
    Ok(runner)
}

/// Cycles for a SYN in each mode.
fn cost(eal: &Eal) -> Outcome<()> {
    let (mut left, mut right) = wire(eal)?;
    let bare = bare_cost(&mut left, &mut right, &[0x42; 74], BURST as usize, 200).cycles_per_packet;
    drop((left, right));
    println!("a SYN with all options over IPv4, bursts of {BURST}, ring ports");
    println!("bare port, rx+tx: {bare:.0} cycles a packet");
    println!(
        "{:<34} {:>8} {:>8} {:>10} {:>12}",
        "cycles a SYN", "best", "median", "above port", "SYNs/s"
    );
    let all = BURST * BURSTS * (ROUNDS as u32 + 1);
    for (name, mode, cache) in [
        ("cache (room for all)", SynCookies::Off, all + 1),
        ("cookies", SynCookies::Always, 1 << 16),
        ("auto, cache of 65536 full", SynCookies::Auto, 1 << 16),
        ("dropped, cache of 65536 full", SynCookies::Off, 1 << 16),
    ] {
        let costs = cost_of(eal, mode, cache)?;
        let (best, median) = (costs[0], costs[costs.len() / 2]);
        let rate = Tsc::new().hz() as f64 / median;
        println!("{name:<34} {best:>8.0} {median:>8.0} {:>10.0} {rate:>12.0}", best - bare);
    }
    Ok(())
}

/// Cycles of the server for each SYN, sorted, a figure for each round.
fn cost_of(eal: &Eal, mode: SynCookies, cache: u32) -> Outcome<Vec<f64>> {
    let (mut sender, port) = wire(eal)?;
    let mut server = server(port, mode, cache)?;
    let mut syns = Syns::new(PORT);
    let mut costs = Vec::new();
    for round in 0..=ROUNDS {
        let cycles = server.cycles().busy.get();
        let arrived = server.engine().metrics().tcp.syn_received.get();
        for _ in 0..BURSTS {
            for _ in 0..BURST {
                let room = sender.tx_room().ok_or("no buffer")?;
                let len = syns.write(room);
                sender.tx_commit(len, TxOffload::None);
            }
            sender.tx_flush();
            server.poll_once();
            while sender.rx_burst() > 0 {}
        }
        let tcp = &server.engine().metrics().tcp;
        let arrived = tcp.syn_received.get() - arrived;
        if arrived != u64::from(BURST * BURSTS) {
            return Err(format!("{arrived} SYNs arrived").into());
        }
        if round > 0 {
            let spent = server.cycles().busy.get() - cycles;
            costs.push(spent as f64 / arrived as f64);
        }
    }
    costs.sort_by(f64::total_cmp);
    Ok(costs)
}

/// What clients saw, and what the server did.
struct Seen {
    asked: u64,
    answered: u64,
    failed: u64,
    connect: Summary,
    service: Summary,
    syns: u64,
    cookies: u64,
    cache_peak: u64,
    grown_kb: i64,
}

fn clients(eal: &Eal) -> Outcome<()> {
    println!(
        "\nclients in an open loop for {MEASURED:?}, and a flood from their port; a cache of 65536"
    );
    println!(
        "{:<28} {:>9} {:>10} {:>8} {:>7} {:>12} {:>12} {:>11} {:>8} {:>7} {:>8}",
        "",
        "SYNs/s",
        "answered/s",
        "success",
        "rate",
        "connect p99",
        "service p99",
        "cookies",
        "cache",
        "failed",
        "RSS kB"
    );
    for (workload, rate) in [("crr", 20_000.0), ("rr", 100_000.0)] {
        let mut alone = None;
        for (name, mode, each) in [
            ("no flood, auto", SynCookies::Auto, 0),
            ("1 M/s, auto", SynCookies::Auto, 1_000_000),
            ("1 M/s, always", SynCookies::Always, 1_000_000),
            ("2 M/s, auto", SynCookies::Auto, 2_000_000),
            ("2 M/s, always", SynCookies::Always, 2_000_000),
            ("1 M/s, off", SynCookies::Off, 1_000_000),
        ] {
            let seen = match workload {
                "crr" => run_clients::<Crr>(eal, rate, Some(1), mode, each)?,
                _ => run_clients::<Rr>(eal, rate, None, mode, each)?,
            };
            let span = MEASURED.as_secs_f64();
            let reached = seen.service.count as f64 / span;
            let base = *alone.get_or_insert(reached);
            println!(
                "{:<28} {:>9.0} {reached:>10.0} {:>7.2}% {:>7.3} {:>9.1} us {:>9.1} us {:>11} {:>8} {:>7} {:>8}",
                format!("{workload}, {name}"),
                seen.syns as f64 / (MEASURED + WARMUP).as_secs_f64(),
                seen.answered as f64 / seen.asked.max(1) as f64 * 100.0,
                reached / base,
                seen.connect.p99 as f64 / 1e3,
                seen.service.p99 as f64 / 1e3,
                seen.cookies,
                seen.cache_peak,
                seen.failed,
                seen.grown_kb,
            );
        }
    }
    Ok(())
}

fn run_clients<W: Workload + Send + 'static>(
    eal: &Eal,
    rate: f64,
    once: Option<u32>,
    mode: SynCookies,
    each: u64,
) -> Outcome<Seen> {
    let (near, far) = wire(eal)?;
    let halt = Arc::new(AtomicBool::new(false));
    let until = Arc::clone(&halt);
    let serving = eal.launch(eal.lcores()[1], move || -> Outcome<(u64, u64, u64)> {
        let mut server = server(far, mode, 1 << 16)?;
        while !until.load(Ordering::Relaxed) {
            (0..64).for_each(|_| {
                server.poll_once();
            });
        }
        let metrics = server.engine().metrics();
        let tcp = &metrics.tcp;
        Ok((tcp.syn_received.get(), tcp.cookies_sent.get(), metrics.syn_cache_peak.get()))
    })?;
    let loading = eal.launch(eal.lcores()[0], move || load::<W>(near, rate, once, each))?;
    let seen = loading.join();
    halt.store(true, Ordering::Relaxed);
    let served = serving.join();
    let (syns, cookies, cache_peak) = served.map_err(|_| "the server panicked")??;
    let seen = seen.map_err(|_| "the client panicked")??;
    Ok(Seen { syns, cookies, cache_peak, ..seen })
}

fn load<W: Workload>(port: DpdkPort, rate: f64, once: Option<u32>, each: u64) -> Outcome<Seen> {
    let load = LoadConfig {
        connections: 64,
        pace: Some((rate, Arrival::Fixed)),
        shape: SHAPE,
        requests_per_connection: once,
        close: CloseBy::Server,
        warmup: WARMUP,
        seed: 1,
        ..LoadConfig::new(SocketAddr::from((SERVER, PORT)))
    };
    let (control, tally) = (Arc::new(Control::default()), Arc::new(Tally::default()));
    let load = Load::new(load, tally.clone(), Arc::clone(&control));
    let engine = Engine::new(config(true)?, W::new(load, 1 << 16))?;
    let mut client = Runner::new(Flooded::new(port, Syns::new(PORT)), engine, Tsc::new());
    let start = client.clock().now();
    // standing connections are there before the flood begins
    while client.clock().now() < start + WARMUP / 2 {
        client.poll_once();
    }
    client.port_mut().set_rate(each);
    while client.clock().now() < start + WARMUP {
        client.poll_once();
    }
    let resident = support::resident_bytes();
    while client.clock().now() < start + WARMUP + MEASURED {
        client.poll_once();
    }
    let grown_kb = (support::resident_bytes() - resident) / 1_024;
    client.port_mut().set_rate(0);
    control.stop();
    while !control.is_finished() {
        client.poll_once();
    }
    let measured = client.engine().app().load().measured();
    Ok(Seen {
        asked: tally.opened.get().max(tally.requests.get()),
        answered: if once.is_some() { tally.closed.get() } else { tally.requests.get() },
        failed: tally.failed.get() + tally.reset.get(),
        connect: measured.connect.summary(),
        service: measured.service.summary(),
        syns: 0,
        cookies: 0,
        cache_peak: 0,
        grown_kb,
    })
}
