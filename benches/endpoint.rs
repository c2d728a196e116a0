//! What a connection and a request cost a side, in cycles: client and server engines over a pair of
//! ring ports, beside the cost of the bare port in the same run.
//!
//! Run with `cargo bench --bench endpoint`, or a part of it with `-- cost` or `-- recording`. Cycles are of the time-stamp counter and count turns of
//! the loop that did something. A run is cut into windows; the best window says what the code
//! costs, the median what this machine gave it. On one thread both sides share a cache, on two each
//! packet crosses from core to core. Hugepages are used if some are reserved.

#[path = "support/mod.rs"]
mod support;

use core::net::SocketAddr;
use lastack::app::Tally;
use lastack::app::workload::{
    CloseBy, Control, Crr, Load, LoadConfig, Responder, Rr, Shape, Workload,
};
use lastack::engine::{Config, Engine, ListenOptions, Runner};
use lastack::net::address::Interface;
use lastack::port::dpdk::{
    DpdkPort, Eal, Pool, PoolConfig, RingPair, RingPairConfig, Tsc, bare_cost,
};
use lastack::wire::MacAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
type Side<A> = Runner<DpdkPort, A, Tsc>;

/// Windows of a run, and turns of the loop in each.
const WINDOWS: usize = 60;
const TURNS: u64 = 20_000;
/// Pairs of windows, a tenth as long, in which one client records and one does not.
const PAIRS: usize = 600;
const CONNECTIONS: u32 = 64;
const SHAPE: Shape = Shape { request_size: 64, response_size: 64 };

fn main() {
    if let Err(error) = run() {
        eprintln!("endpoint: {error}");
        std::process::exit(1);
    }
}

fn run() -> Outcome<()> {
    let eal = Eal::init(&support::eal_options(support::one_or_two()))?;
    let lcores = eal.lcores().to_vec();
    let memory = if eal.has_hugepages() { "hugepages" } else { "ordinary pages" };
    println!("ring ports, {CONNECTIONS} connections, 64-octet messages, {memory}");
    if support::is_asked_for("cost") {
        let on_lcore = eal.clone();
        let bare = eal.launch(lcores[0], move || bare(&on_lcore))?;
        println!("bare port, rx+tx, one thread: {:.0} cycles a packet", joined(bare.join())?);
        println!("{:<21} {:>8} {:>8} {:>8}", "cycles a side", "best", "median", "/packet");
        for threads in [1, 2] {
            if threads > lcores.len() {
                println!("two threads: this machine has one processor");
                break;
            }
            measure::<Crr>(&eal, &lcores[..threads], "crr", "connection")?;
            measure::<Rr>(&eal, &lcores[..threads], "rr", "request")?;
        }
    }
    if !support::is_asked_for("recording") {
        return Ok(());
    }
    println!("what recording times costs a client: cycles with and without, by turns");
    recording::<Crr>(&eal, lcores[0], "crr", "connection")?;
    recording::<Rr>(&eal, lcores[0], "rr", "request")
}

fn joined<T>(outcome: std::thread::Result<Outcome<T>>) -> Outcome<T> {
    outcome.map_err(|_| "the measurement panicked")?
}

fn wire(eal: &Eal, name: &str) -> Outcome<RingPair> {
    let pool = Pool::new(eal, name, PoolConfig { buffers: 8_191, ..PoolConfig::default() })?;
    Ok(RingPair::new(eal, name, &RingPairConfig::new(pool))?)
}

fn bare(eal: &Eal) -> Outcome<f64> {
    let pair = wire(eal, "bare")?;
    let (mut left, mut right) = (pair.a.queue_pair(0)?, pair.b.queue_pair(0)?);
    Ok(bare_cost(&mut left, &mut right, &[0x42; 130], 32, 200).cycles_per_packet)
}

fn config(host: u8) -> Outcome<Config> {
    let mac = |host| MacAddr([2, 0, 0, 0, 0, host]);
    let address = |host: u8| format!("198.18.0.{host}");
    let mut interface = Interface::new(mac(host), vec![format!("{}/24", address(host)).parse()?]);
    interface.neighbours.push((address(3 - host).parse()?, mac(3 - host)));
    let mut config = Config::new(interface, [host; 32]);
    config.limits.max_connections = 1 << 16;
    config.limits.max_time_wait = 1 << 17;
    Ok(config)
}

fn client<W: Workload>(
    port: DpdkPort,
    remote: SocketAddr,
    once: bool,
    record: bool,
) -> Outcome<Side<W>> {
    let load = LoadConfig {
        connections: CONNECTIONS,
        record,
        shape: SHAPE,
        requests_per_connection: once.then_some(1),
        close: CloseBy::Server,
        seed: 1,
        ..LoadConfig::new(remote)
    };
    let load = Load::new(load, Arc::new(Tally::default()), Arc::new(Control::default()));
    let app = W::new(load, 1 << 16);
    Ok(Runner::new(port, Engine::new(config(1)?, app)?, Tsc::new()))
}

fn server(port: DpdkPort, at: SocketAddr) -> Outcome<Side<Responder>> {
    let app = Responder::new(SHAPE, Arc::new(Tally::default()), 1 << 16);
    let mut runner = Runner::new(port, Engine::new(config(2)?, app)?, Tsc::new());
    runner.engine_mut().listen(at, ListenOptions::default())?;
    Ok(runner)
}

/// A window of one side: cycles, packets received and sent, connections established.
#[derive(Clone, Copy, Default)]
struct Reading {
    cycles: u64,
    packets: u64,
    connections: u64,
}

fn read<A: lastack::engine::App>(side: &Side<A>) -> Reading {
    let metrics = side.engine().metrics();
    Reading {
        cycles: side.cycles().busy.get(),
        packets: metrics.rx_packets.get() + metrics.tx_packets.get(),
        connections: metrics.tcp.established.get(),
    }
}

fn measure<W: Workload + Send + 'static>(
    eal: &Eal,
    lcores: &[u32],
    workload: &'static str,
    unit: &str,
) -> Outcome<()> {
    let at: SocketAddr = "198.18.0.2:80".parse()?;
    let pair = wire(eal, &format!("{workload}{}", lcores.len()))?;
    let once = workload == "crr";
    let (near, far) = (pair.a.queue_pair(0)?, pair.b.queue_pair(0)?);
    let sides = if let [lcore] = lcores {
        let both = eal.launch(*lcore, move || -> Outcome<_> {
            let (mut server, mut client) = (server(far, at)?, client::<W>(near, at, once, true)?);
            let mut found = [Vec::new(), Vec::new()];
            let mut last = [read(&client), read(&server)];
            for window in 0..WINDOWS {
                for _ in 0..TURNS {
                    client.poll_once();
                    server.poll_once();
                }
                let now = [read(&client), read(&server)];
                for side in 0..2 {
                    if window >= 10 {
                        found[side].push(difference(&now[side], &last[side]));
                    }
                }
                last = now;
            }
            Ok(found)
        })?;
        joined(both.join())?
    } else {
        let done = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&done);
        let serving = eal.launch(lcores[1], move || -> Outcome<_> {
            let mut server = server(far, at)?;
            let mut found = Vec::new();
            let mut last = read(&server);
            while !until.load(Ordering::Relaxed) {
                for _ in 0..TURNS {
                    server.poll_once();
                }
                let now = read(&server);
                found.push(difference(&now, &last));
                last = now;
            }
            Ok(found)
        })?;
        let loading = eal.launch(lcores[0], move || -> Outcome<_> {
            let mut client = client::<W>(near, at, once, true)?;
            let mut found = Vec::new();
            let mut last = read(&client);
            for window in 0..WINDOWS {
                for _ in 0..TURNS {
                    client.poll_once();
                }
                let now = read(&client);
                if window >= 10 {
                    found.push(difference(&now, &last));
                }
                last = now;
            }
            Ok(found)
        })?;
        let client = joined(loading.join());
        done.store(true, Ordering::Relaxed);
        [client?, joined(serving.join())?]
    };
    for (side, windows) in ["client", "server"].into_iter().zip(&sides) {
        // a request is a packet in and a packet out
        let units = |r: &Reading| if once { r.connections } else { r.packets / 2 };
        let per = |count: &dyn Fn(&Reading) -> u64| {
            let mut costs: Vec<f64> = windows
                .iter()
                .filter(|window| count(window) > 100)
                .map(|window| window.cycles as f64 / count(window) as f64)
                .collect();
            costs.sort_by(f64::total_cmp);
            costs
        };
        let (costs, packets) = (per(&units), per(&|r| r.packets));
        let [best, median] = [0, costs.len() / 2].map(|at| costs.get(at).copied().unwrap_or(0.0));
        let packet = packets.get(packets.len() / 2).copied().unwrap_or(0.0);
        let threads = if lcores.len() == 1 { "1 core" } else { "2 cores" };
        println!(
            "{workload:<5} {threads:<7} {side:<7} {best:>8.0} {median:>8.0} {packet:>8.0}   per {unit}"
        );
    }
    Ok(())
}

/// Two clients with their servers on one thread, of which one records, each in its window by turns. The
/// ratios of neighbouring windows say what it costs, whatever the machine's pace is.
fn recording<W: Workload + Send + 'static>(
    eal: &Eal,
    lcore: u32,
    workload: &'static str,
    unit: &str,
) -> Outcome<()> {
    let (at, once): (SocketAddr, _) = ("198.18.0.2:80".parse()?, workload == "crr");
    let pairs = [wire(eal, &format!("{workload}_on"))?, wire(eal, &format!("{workload}_off"))?];
    let measured = eal.launch(lcore, move || -> Outcome<Vec<[f64; 2]>> {
        let mut both = Vec::new();
        for (pair, record) in pairs.iter().zip([true, false]) {
            let (near, far) = (pair.a.queue_pair(0)?, pair.b.queue_pair(0)?);
            both.push((client::<W>(near, at, once, record)?, server(far, at)?));
        }
        let mut found = Vec::new();
        for window in 0..PAIRS {
            let mut costs = [0.0; 2];
            // the order changes, so that neither has what the other left in the cache
            for place in [window % 2, 1 - window % 2] {
                let (client, server) = &mut both[place];
                let before = read(client);
                for _ in 0..TURNS / 10 {
                    client.poll_once();
                    server.poll_once();
                }
                let of = difference(&read(client), &before);
                let units = if once { of.connections } else { of.packets / 2 };
                costs[place] = of.cycles as f64 / units.max(1) as f64;
            }
            if window >= PAIRS / 10 {
                found.push(costs);
            }
        }
        Ok(found)
    })?;
    let costs = joined(measured.join())?;
    let sorted = |of: &dyn Fn(&[f64; 2]) -> f64| {
        let mut figures: Vec<f64> = costs.iter().map(of).collect();
        figures.sort_by(f64::total_cmp);
        figures
    };
    let (on, off) = (sorted(&|c| c[0]), sorted(&|c| c[1]));
    let ratios = sorted(&|c| c[0] / c[1]);
    let part = |figures: &[f64], quarter: usize| figures[figures.len() * quarter / 4];
    println!(
        "{workload:<5} best {:.0} and {:.0}, median {:.0} and {:.0} per {unit}; ratio {:.3}, quartiles {:.3} and {:.3}",
        on[0],
        off[0],
        part(&on, 2),
        part(&off, 2),
        part(&ratios, 2),
        part(&ratios, 1),
        part(&ratios, 3),
    );
    Ok(())
}

fn difference(now: &Reading, last: &Reading) -> Reading {
    Reading {
        cycles: now.cycles - last.cycles,
        packets: now.packets - last.packets,
        connections: now.connections - last.connections,
    }
}
