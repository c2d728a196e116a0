//! What a packet costs on a bare port: a pair of ring ports on one thread, through the port trait.
//!
//! Run with `cargo bench --bench port`. Cycles are of the time-stamp counter. Hugepages are used if
//! some are reserved. The ratio is taken in one run: the Rust burst path over the C functions.

#[path = "support/mod.rs"]
mod support;

use lastack::port::dpdk::{
    Eal, FastPath, Pool, PoolConfig, RingPair, RingPairConfig, Tsc, bare_cost,
};

const ROUNDS: u32 = 200;

fn main() {
    if let Err(error) = run() {
        eprintln!("port: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let eal = Eal::init(&support::eal_options(1))?;
    let lcore = eal.lcores()[0];
    let on_lcore = eal.clone();
    let measured =
        eal.launch(lcore, move || measure(&on_lcore).map_err(|error| error.to_string()))?;
    match measured.join() {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err("the measurement panicked".into()),
    }
}

fn measure(eal: &Eal) -> Result<(), lastack::port::dpdk::PortError> {
    let pool = Pool::new(eal, "bench", PoolConfig { buffers: 4095, ..PoolConfig::default() })?;
    let pair = RingPair::new(eal, "bench", &RingPairConfig::new(pool))?;
    let (mut left, mut right) = (pair.a.queue_pair(0)?, pair.b.queue_pair(0)?);
    let memory = if eal.has_hugepages() { "hugepages" } else { "no hugepages" };
    println!("ring pair, 64-octet frames, one thread, {memory}, {} Hz", Tsc::new().hz());
    println!(
        "{:>6} {:>12} {:>12} {:>12} {:>6}",
        "burst", "Rust cycles", "(mean)", "C cycles", "ratio"
    );
    for burst in [1, 4, 8, 32, 64, 256] {
        let mut costs = [FastPath::Rust, FastPath::Shim]
            .map(|path| {
                for port in [&mut left, &mut right] {
                    port.set_burst(burst);
                    port.set_fast_path(path);
                }
                bare_cost(&mut left, &mut right, &[0x42; 64], burst, ROUNDS)
            })
            .into_iter();
        if let (Some(rust), Some(shim)) = (costs.next(), costs.next()) {
            println!(
                "{burst:>6} {:>12.1} {:>12.1} {:>12.1} {:>6.2}",
                rust.cycles_per_packet,
                rust.mean_cycles_per_packet,
                shim.cycles_per_packet,
                rust.cycles_per_packet / shim.cycles_per_packet
            );
        }
    }
    Ok(())
}
