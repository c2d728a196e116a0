//! What the mailbox costs a loop: nothing to take, and another thread that sends all the time.

use crate::Outcome;
use crate::stores::config;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use lastack::engine::{Engine, Request, Sockets};
use lastack::measure::Histogram;
use lastack::port::dpdk::Tsc;
use lastack::time::Instant;
use std::sync::Arc;

const POLLS: u64 = 20_000_000;

/// Polls an engine that has nothing else to do; to be run on an lcore.
pub fn polls() -> Outcome<()> {
    let mut engine = Engine::new(config(1_000), Sockets)?;
    let clock = Tsc::new();
    let quiet = run(&mut engine, &clock);
    let mailbox = engine.mailbox().clone();
    let stop = Arc::new(AtomicBool::new(false));
    let sender = std::thread::spawn({
        let stop = stop.clone();
        move || {
            let mut sent = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                let request = Request::SetMsl(Duration::from_nanos(1 + sent));
                sent += u64::from(mailbox.send(request).is_ok());
                std::thread::sleep(Duration::from_micros(1));
            }
            sent
        }
    });
    let busy = run(&mut engine, &clock);
    stop.store(true, Ordering::Relaxed);
    let sent = sender.join().map_err(|_| "the sender panicked")?;
    println!("\nan idle poll: ns on average, p99.9, longest");
    for (name, (mean, p99_9, longest)) in [("nothing sent", quiet), ("requests sent", busy)] {
        println!("  {name:<14} {mean:>8.1} {p99_9:>8} {longest:>8}");
    }
    println!("  {sent} requests in {POLLS} polls");
    Ok(())
}

/// Nanoseconds: the mean of polls that nobody times, p99.9 and longest of those that are timed.
fn run(engine: &mut Engine<Sockets>, clock: &Tsc) -> (f64, u64, u64) {
    let began = clock.now();
    for _ in 0..POLLS {
        engine.poll(Instant::ZERO);
    }
    let mean = clock.now().nanos_since(began) as f64 / POLLS as f64;
    let mut times = Histogram::new();
    for _ in 0..POLLS / 10 {
        let before = clock.now();
        engine.poll(Instant::ZERO);
        times.record_ns(clock.now().nanos_since(before));
    }
    let times = times.summary();
    (mean, times.p99_9, times.max)
}
