//! The loop while very many entries fall due.

use crate::Outcome;
use crate::rounds::median;
use crate::stores::{config, farewell};
use core::net::SocketAddr;
use core::time::Duration;
use lastack::app::Tally;
use lastack::app::workload::{Arrival, Control, Load, LoadConfig, Responder, Rr, Shape, Workload};
use lastack::engine::{Engine, ListenOptions, Runner, Sockets, Stack};
use lastack::measure::{Histogram, Summary};
use lastack::port::dpdk::{DpdkPort, Eal, Pool, PoolConfig, RingPair, RingPairConfig, Tsc};
use lastack::time::Instant;
use lastack::wire::MacAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// So many entries fall due within this time.
const ENTRIES: u32 = 10_000_000;
const FALLING_DUE: Duration = Duration::from_secs(1);
/// Filling the store may take so long; the load warms up in the last part of it.
const FILLING: Duration = Duration::from_secs(8);
const WARMUP: Duration = Duration::from_millis(500);
const ROUNDS: usize = 5;
const SHAPE: Shape = Shape { request_size: 64, response_size: 64 };

/// Fills a stack with entries that fall due evenly from `first` on.
fn fill(stack: &mut Stack, entries: u32, first: Instant) -> Outcome<()> {
    for n in 0..entries {
        let after = FALLING_DUE.as_nanos() as u64 * u64::from(n) / u64::from(entries);
        stack.adopt_time_wait(&farewell(n, false), first.plus_nanos(after))?;
    }
    Ok(())
}

/// The whole part: polls that do nothing but expire, then the load.
pub fn under_load(eal: &Eal) -> Outcome<()> {
    let (lcores, on_lcore) = (eal.lcores().to_vec(), eal.clone());
    println!("\n{ENTRIES} entries over IPv4 falling due within {FALLING_DUE:?}");
    eal.launch(lcores[0], longest_poll)?.join().map_err(|_| "a poll panicked")??;
    if lcores.len() < 2 {
        println!("under load: left out, this machine has one processor");
        return Ok(());
    }
    println!(
        "rr over ring ports, 64 connections, {FALLING_DUE:?}, {ROUNDS} rounds in turns; median ± half the range of the middle half"
    );
    for (pace, name) in [
        (None, "closed loop, service time"),
        (Some((100_000.0, Arrival::Poisson)), "100000/s poisson, latency from the intended start"),
    ] {
        let mut found: [Vec<Ran>; 3] = Default::default();
        for _ in 0..ROUNDS {
            for (case, found) in
                [Case::Without, Case::Waiting, Case::Due].into_iter().zip(&mut found)
            {
                found.push(run(&on_lcore, &lcores, pace, case)?);
            }
        }
        print(name, &found);
    }
    Ok(())
}

/// Polls of an engine without a port, each timed: the clock of the engine leaps so that all is due.
fn longest_poll() -> Outcome<()> {
    let clock = Tsc::new();
    let mut engine = Engine::new(config(ENTRIES), Sockets)?;
    engine.poll(Instant::ZERO);
    fill(engine.stack_mut(), ENTRIES, Instant::from_millis(10_000))?;
    let mut timed = |now| {
        let mut times = Histogram::new();
        let began = clock.cycles();
        let (mut fired, mut polls) = (0, 0);
        while polls < u64::from(ENTRIES / 256) {
            let before = clock.now();
            fired += engine.poll(now);
            times.record_ns(clock.now().nanos_since(before));
            polls += 1;
        }
        let cycles = clock.cycles() - began;
        (times.summary(), fired, cycles as f64 * 1e9 / clock.hz() as f64 / polls as f64)
    };
    let (idle, _, _) = timed(Instant::ZERO);
    let (busy, fired, mean) = timed(Instant::from_millis(20_000));
    println!(
        "a poll that expires {} entries: {:.1} us on average, p99.9 {:.1} us, longest {:.1} us; \
         longest of as many polls with nothing due: {:.1} us",
        fired as u64 / busy.count,
        mean / 1e3,
        busy.p99_9 as f64 / 1e3,
        busy.max as f64 / 1e3,
        idle.max as f64 / 1e3,
    );
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    /// No entries.
    Without,
    /// As many entries, none of them due.
    Waiting,
    /// All fall due while the load runs.
    Due,
}

/// What one run showed.
struct Ran {
    times: Summary,
    expired: u64,
    lag_max_ns: u64,
}

const GO: u8 = 1;
const OVER: u8 = 2;

fn run(eal: &Eal, lcores: &[u32], pace: Option<(f64, Arrival)>, case: Case) -> Outcome<Ran> {
    let pool = Pool::new(eal, "expiry", PoolConfig { buffers: 8_191, ..PoolConfig::default() })?;
    let pair = RingPair::new(eal, "expiry", &RingPairConfig::new(pool))?;
    let (near, far) = (pair.a.queue_pair(0)?, pair.b.queue_pair(0)?);
    let stage = Arc::new(AtomicU8::new(0));
    let told = Arc::clone(&stage);
    let serving = eal.launch(lcores[1], move || {
        let outcome = serve(far, case, &told);
        told.fetch_max(GO, Ordering::Release); // whatever became of it, nobody waits for it
        outcome
    })?;
    while stage.load(Ordering::Acquire) < GO {
        std::thread::sleep(Duration::from_millis(1));
    }
    let loading = eal.launch(lcores[0], move || load(near, pace))?;
    let times = loading.join();
    stage.store(OVER, Ordering::Release);
    let served = serving.join();
    let (expired, lag_max_ns) = served.map_err(|_| "the server panicked")??;
    let times = times.map_err(|_| "the client panicked")??;
    Ok(Ran { times, expired, lag_max_ns })
}

fn serve(port: DpdkPort, case: Case, stage: &AtomicU8) -> Outcome<(u64, u64)> {
    let mut config = config(ENTRIES);
    config.interface.neighbours.push(("198.18.0.2".parse()?, MacAddr([2, 0, 0, 0, 0, 2])));
    config.limits.max_connections = 1 << 10;
    let app = Responder::new(SHAPE, Arc::new(Tally::default()), 1 << 10);
    let mut server = Runner::new(port, Engine::new(config, app)?, Tsc::new());
    server.engine_mut().listen("198.18.0.1:81".parse()?, ListenOptions::default())?;
    server.poll_once();
    let first = server.clock().now() + FILLING;
    match case {
        Case::Without => {}
        Case::Waiting => {
            fill(server.engine_mut().stack_mut(), ENTRIES, first + Duration::from_secs(100))?;
        }
        Case::Due => fill(server.engine_mut().stack_mut(), ENTRIES, first)?,
    }
    if server.clock().now() + WARMUP > first {
        return Err("filling the store took too long on this machine".into());
    }
    let go = first.nanos() - WARMUP.as_nanos() as u64;
    while case != Case::Without && server.clock().now().nanos() < go {
        server.poll_once();
    }
    stage.store(GO, Ordering::Release);
    while stage.load(Ordering::Acquire) < OVER {
        (0..64).for_each(|_| {
            server.poll_once();
        });
    }
    let metrics = server.engine().metrics();
    Ok((metrics.tcp.tw_expired.get(), metrics.time_wait_lag.max_ns()))
}

fn load(port: DpdkPort, pace: Option<(f64, Arrival)>) -> Outcome<Summary> {
    let mut config = config(1_000);
    config.interface.mac = MacAddr([2, 0, 0, 0, 0, 2]);
    config.interface.addresses = vec!["198.18.0.2/15".parse()?];
    config.interface.neighbours.push(("198.18.0.1".parse()?, MacAddr([2, 0, 0, 0, 0, 1])));
    config.limits.max_connections = 1 << 10;
    let remote: SocketAddr = "198.18.0.1:81".parse()?;
    let load = LoadConfig {
        connections: 64,
        pace,
        shape: SHAPE,
        warmup: WARMUP,
        seed: 1,
        ..LoadConfig::new(remote)
    };
    let control = Arc::new(Control::default());
    let load = Load::new(load, Arc::new(Tally::default()), Arc::clone(&control));
    let mut client = Runner::new(port, Engine::new(config, Rr::new(load, 1 << 10))?, Tsc::new());
    let end = client.clock().now() + WARMUP + FALLING_DUE;
    while client.clock().now() < end {
        client.poll_once();
    }
    control.stop();
    while !control.is_finished() {
        client.poll_once();
    }
    let measured = client.engine().app().load().measured();
    let times = if pace.is_some() { &measured.latency } else { &measured.service };
    if times.count() == 0 {
        return Err("no request was answered".into());
    }
    Ok(times.summary())
}

fn print(name: &str, found: &[Vec<Ran>; 3]) {
    println!(
        "\n{name:<38} {:>12} {:>14} {:>14} {:>14}",
        "requests/s", "p50 us", "p99 us", "p99.9 us"
    );
    let figure = |runs: &[Ran], of: &dyn Fn(&Summary) -> f64| {
        let all: Vec<f64> = runs.iter().map(|run| of(&run.times)).collect();
        median(&all).map_or(String::new(), |(median, spread)| format!("{median:.1}±{spread:.1}"))
    };
    let names = ["  no entries", "  as many entries, none due", "  all falling due"];
    for (name, runs) in names.into_iter().zip(found) {
        println!(
            "{name:<38} {:>12} {:>14} {:>14} {:>14}",
            figure(runs, &|times| (times.count as f64 / FALLING_DUE.as_secs_f64()).round()),
            figure(runs, &|times| times.p50 as f64 / 1e3),
            figure(runs, &|times| times.p99 as f64 / 1e3),
            figure(runs, &|times| times.p99_9 as f64 / 1e3),
        );
    }
    let [without, waiting, due] = found;
    let ratio = |base: &[Ran]| {
        let pairs = due.iter().zip(base);
        let all: Vec<f64> =
            pairs.map(|(a, b)| a.times.p99_9 as f64 / b.times.p99_9 as f64).collect();
        median(&all).map_or(f64::NAN, |(median, _)| median)
    };
    let expired: Vec<f64> = due.iter().map(|run| run.expired as f64).collect();
    let lag: Vec<f64> = due.iter().map(|run| run.lag_max_ns as f64 / 1e6).collect();
    println!(
        "  p99.9 while all fall due: {:.2} of that without entries, {:.2} of that with none due; \
         {:.0} expired, at most {:.1} ms late (medians)",
        ratio(without),
        ratio(waiting),
        median(&expired).map_or(0.0, |(median, _)| median),
        median(&lag).map_or(0.0, |(median, _)| median),
    );
}
