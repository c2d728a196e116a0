//! Ten million sources that do not exist, and clients whose connections stand meanwhile.

use super::flood::Flooded;
use super::syns::{SERVER, Syns};
use super::{Outcome, PORT, SHAPE, config, server, support, wire};
use core::net::SocketAddr;
use core::time::Duration;
use lastack::app::Tally;
use lastack::app::workload::{Arrival, Control, Load, LoadConfig, Rr, Workload};
use lastack::engine::{Engine, Runner, Stack};
use lastack::port::dpdk::{Eal, Tsc};
use lastack::tcp::SynCookies;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const SOURCES: u64 = 10_000_000;
/// So many come before the first look: the cache is full by then.
const BEFORE: u64 = 500_000;
const CACHE: u32 = 1 << 16;
const CONNECTIONS: u32 = 64;
const RATE: f64 = 50_000.0;
/// Memory that is reserved from the start may be touched so late, most of it by a queue of 1.5 MB for
/// what waits while the ring is full: a fifth of an octet for each source.
const LATE_KB: i64 = 2_048;
/// What the flood tries; it gets as far as there is time.
const FLOOD: u64 = 4_000_000;
/// It ends at the latest then.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the server has of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sizes {
    connections: usize,
    time_wait: usize,
    neighbours: usize,
    chunks: u32,
    descriptors: u32,
    recoveries: u32,
    half_open_peak: u64,
    resident_kb: i64,
}

impl Sizes {
    fn of(stack: &Stack) -> Self {
        let (chunks, descriptors) = stack.memory_in_use();
        Sizes {
            connections: stack.connections(),
            time_wait: stack.time_wait(),
            neighbours: stack.neighbours().len(),
            chunks,
            descriptors,
            recoveries: stack.recoveries(),
            half_open_peak: stack.metrics().syn_cache_peak.get(),
            resident_kb: support::resident_bytes() / 1_024,
        }
    }
}

/// Runs it, and says what has grown.
pub fn run(eal: &Eal) -> Outcome<()> {
    let (near, far) = wire(eal)?;
    let enough = Arc::new(AtomicBool::new(false));
    let (reached, until) = (Arc::clone(&enough), Arc::clone(&enough));
    let serving = eal.launch(eal.lcores()[1], move || -> Outcome<(Sizes, Sizes, u64, u64)> {
        let mut server = server(far, SynCookies::Auto, CACHE)?;
        let metrics = Arc::clone(server.engine().metrics());
        let syns = || metrics.tcp.syn_received.get();
        let mut before = None;
        while syns() < BEFORE + SOURCES && !until.load(Ordering::Relaxed) {
            (0..64).for_each(|_| {
                server.poll_once();
            });
            if before.is_none() && syns() >= BEFORE {
                before = Some(Sizes::of(server.engine()));
            }
        }
        let after = Sizes::of(server.engine());
        until.store(true, Ordering::Relaxed);
        let until_all_have_closed = server.clock().now() + Duration::from_secs(2);
        while server.clock().now() < until_all_have_closed {
            server.poll_once();
        }
        let before = before.ok_or("the flood did not begin")?;
        Ok((before, after, syns(), metrics.tcp.cookies_sent.get()))
    })?;
    let loading = eal.launch(eal.lcores()[0], move || -> Outcome<(u64, u64)> {
        let load = LoadConfig {
            connections: CONNECTIONS,
            pace: Some((RATE, Arrival::Fixed)),
            shape: SHAPE,
            warmup: PATIENCE, // histograms touch memory as new times come up
            seed: 1,
            ..LoadConfig::new(SocketAddr::from((SERVER, PORT)))
        };
        let (control, tally) = (Arc::new(Control::default()), Arc::new(Tally::default()));
        let load = Load::new(load, Arc::clone(&tally), Arc::clone(&control));
        let engine = Engine::new(config(true)?, Rr::new(load, 1 << 16))?;
        let flooded = Flooded::new(near, Syns::over_ipv6(PORT));
        let mut client = Runner::new(flooded, engine, Tsc::new());
        let start = client.clock().now();
        let mut flooding = false;
        while !reached.load(Ordering::Relaxed) {
            client.poll_once();
            let age = client.clock().now().since(start);
            if !flooding && age > Duration::from_millis(200) {
                client.port_mut().set_rate(FLOOD);
                flooding = true;
            }
            if age > PATIENCE {
                reached.store(true, Ordering::Relaxed);
            }
        }
        client.port_mut().set_rate(0);
        control.stop();
        while !control.is_finished() {
            client.poll_once();
        }
        let lost = tally.failed.get() + tally.reset.get();
        Ok((tally.requests.get(), lost))
    })?;
    let loaded = loading.join().map_err(|_| "the client panicked")?;
    enough.store(true, Ordering::Relaxed);
    let (before, after, syns, cookies) = serving.join().map_err(|_| "the server panicked")??;
    let (answered, lost) = loaded?;
    println!("\n{CONNECTIONS} standing connections, and {syns} SYNs from as many networks of IPv6");
    println!("after {BEFORE} SYNs: {before:?}");
    println!("after all of them: {after:?}");
    println!("cookies sent {cookies}, requests answered {answered}, connections lost {lost}");
    let grown_kb = after.resident_kb - before.resident_kb;
    println!("resident memory grew by {grown_kb} kB");
    // of what flows a little may be under way, or lost, at either look
    let flowing = |sizes: Sizes| Sizes { chunks: 0, descriptors: 0, recoveries: 0, ..sizes };
    let same = flowing(Sizes { resident_kb: before.resident_kb, ..after }) == flowing(before);
    let bounded = after.half_open_peak <= u64::from(CACHE) && grown_kb < LATE_KB;
    if syns < SOURCES || lost > 0 || !same || !bounded {
        return Err("something has grown or was lost".into());
    }
    Ok(())
}
