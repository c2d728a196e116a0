//! What measuring costs on the lcore that will measure: taken before the first run, in a millisecond.

use super::engines::OnPort;
use crate::engine::App;
use crate::measure::Histogram;
use crate::measure::overhead::{Overhead, median};
use crate::port::dpdk::Tsc;
use core::hint::black_box;

/// Rounds of each measurement, of which the median counts.
const ROUNDS: usize = 64;
/// What is done in a round.
const EACH: u64 = 64;
/// Turns that are timed, one by one.
const TURNS: usize = 2_048;

/// Measures on the calling thread, with an engine that has nothing to do.
pub fn calibrate<A: App>(runner: &mut OnPort<A>) -> Overhead {
    let clock = *runner.clock();
    let mut histogram = Histogram::new();
    // Times of a microsecond to a few milliseconds, so that not one line of the histogram is hit alone.
    let mut time = 1_000_u64;
    let record = |_| {
        time = if time > 4_000_000 { 1_000 } else { time + time / 16 };
        histogram.record_ns(time);
    };
    Overhead {
        clock_ns: each(&clock, |_| {
            black_box(clock.cycles());
        }),
        record_ns: each(&clock, record),
        idle_turn_ns: idle_turn(runner, &clock),
        turn_ns: 0.0,
    }
}

/// Nanoseconds that `work` takes.
fn each(clock: &Tsc, mut work: impl FnMut(u64)) -> f64 {
    let rounds = (0..ROUNDS).map(|_| {
        let began = clock.cycles();
        (0..EACH).for_each(&mut work);
        nanos(clock, clock.cycles().wrapping_sub(began)) / EACH as f64
    });
    median(rounds.collect())
}

fn idle_turn<A: App>(runner: &mut OnPort<A>, clock: &Tsc) -> f64 {
    let mut turns = Vec::with_capacity(TURNS);
    let mut before = clock.cycles();
    for _ in 0..TURNS {
        let idle = !runner.poll_once();
        let now = clock.cycles();
        if idle {
            turns.push(nanos(clock, now.wrapping_sub(before)));
        }
        before = now;
    }
    median(turns)
}

fn nanos(clock: &Tsc, cycles: u64) -> f64 {
    cycles as f64 * 1e9 / clock.hz() as f64
}
