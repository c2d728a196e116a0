//! What a timer costs: `cargo bench --bench timer`.
//!
//! Each figure is for 4096 timers, among so many that run; deadlines lie up to 16 s ahead, keys come
//! in random order.
#![allow(missing_docs)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lastack::time::Instant;
use lastack::timer::{Fate, Progress, Wheel};

/// A tick of 0.5 ms, 65,536 slots: a turn of 34 s.
const TICK_SHIFT: u32 = 19;
const SLOTS: u32 = 1 << 16;
const SPAN_NS: u64 = 16_000_000_000;
const BATCH: usize = 4096;

struct Random(u64);

impl Random {
    /// xorshift64*.
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn deadline(&mut self, now: Instant) -> Instant {
        now.plus_nanos(1 + self.next() % SPAN_NS)
    }
}

/// All keys in random order, in batches that follow one another, so that what a batch touches is as
/// near or far as so many timers let it be.
struct Batches(Vec<u32>);

impl Batches {
    fn new(keys: u32, random: &mut Random) -> Self {
        let mut order: Vec<u32> = (0..keys).collect();
        for n in (1..order.len()).rev() {
            order.swap(n, random.next() as usize % (n + 1));
        }
        Batches(order)
    }

    fn of(&self, round: u64) -> &[u32] {
        let batches = self.0.len() / BATCH;
        &self.0[round as usize % batches * BATCH..][..BATCH]
    }
}

/// A wheel in which all the keys run, and what the owner has written down.
fn filled(keys: u32, random: &mut Random) -> (Wheel, Vec<Instant>) {
    let mut wheel = Wheel::new(keys, TICK_SHIFT, SLOTS, Instant::ZERO);
    let deadlines: Vec<Instant> = (0..keys).map(|_| random.deadline(Instant::ZERO)).collect();
    for (key, &deadline) in (0..).zip(&deadlines) {
        wheel.start(key, deadline);
    }
    (wheel, deadlines)
}

fn timers(c: &mut Criterion) {
    for keys in [10_000u32, 1_000_000] {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let (mut wheel, mut deadlines) = filled(keys, &mut random);
        let batches = Batches::new(keys, &mut random);
        let starts: Vec<Instant> = (0..BATCH).map(|_| random.deadline(Instant::ZERO)).collect();

        let mut group = c.benchmark_group("timer");
        group.throughput(Throughput::Elements(BATCH as u64));
        group.bench_function(BenchmarkId::new("stop", keys), |b| {
            b.iter_custom(|rounds| {
                let mut total = Duration::ZERO;
                for round in 0..rounds {
                    let batch = batches.of(round);
                    total += time(|| batch.iter().for_each(|&key| wheel.stop(key)));
                    start_all(&mut wheel, batch, &starts);
                }
                total
            });
        });
        // What was just stopped is near; the neighbours in the slots are not.
        group.bench_function(BenchmarkId::new("start", keys), |b| {
            b.iter_custom(|rounds| {
                let mut total = Duration::ZERO;
                for round in 0..rounds {
                    let batch = batches.of(round);
                    batch.iter().for_each(|&key| wheel.stop(key));
                    total += time(|| start_all(&mut wheel, batch, &starts));
                }
                total
            });
        });
        group.bench_function(BenchmarkId::new("restart", keys), |b| {
            let mut round = 0;
            b.iter(|| {
                round += 1;
                for (&key, &deadline) in batches.of(round).iter().zip(&starts) {
                    wheel.restart(key, deadline);
                }
            });
        });
        group.bench_function(BenchmarkId::new("restart later", keys), |b| {
            let mut round = 0;
            b.iter(|| {
                round += 1;
                for &key in batches.of(round) {
                    let deadline = &mut deadlines[black_box(key) as usize];
                    *deadline = deadline.plus_nanos(1);
                }
            });
        });
        group.finish();

        expire(c, keys);
    }
}

/// Time goes by in polls of 10 us; each timer that fires is started again. The figure is for one
/// timer that fires, with the polls that find nothing.
fn expire(c: &mut Criterion, keys: u32) {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let (mut wheel, mut deadlines) = filled(keys, &mut random);
    let mut now = Instant::ZERO;
    let mut due = Vec::with_capacity(BATCH);
    let mut poll = |polls: &mut u64| {
        now = now.plus_nanos(10_000);
        *polls += 1;
        let progress = wheel.advance(now, 64, |key| {
            let deadline = deadlines[key as usize];
            if deadline > now {
                return Fate::Later(deadline);
            }
            due.push(key);
            Fate::Fired
        });
        let fired = due.len() as u64;
        for key in due.drain(..) {
            deadlines[key as usize] = random.deadline(now);
            wheel.start(key, deadlines[key as usize]);
        }
        black_box(progress == Progress::Done);
        fired
    };
    let mut group = c.benchmark_group("timer");
    group.throughput(Throughput::Elements(1));
    group.bench_function(BenchmarkId::new("poll of 10 us", keys), |b| b.iter(|| poll(&mut 0)));
    group.bench_function(BenchmarkId::new("expire and start", keys), |b| {
        b.iter_custom(|rounds| {
            let mut fired = 0;
            let mut polls = 0;
            let begin = std::time::Instant::now();
            while fired < rounds {
                fired += poll(&mut polls);
            }
            begin.elapsed().mul_f64(rounds as f64 / fired as f64)
        });
    });
    group.finish();
}

fn start_all(wheel: &mut Wheel, keys: &[u32], deadlines: &[Instant]) {
    for (&key, &deadline) in keys.iter().zip(deadlines) {
        wheel.start(key, deadline);
    }
}

fn time(step: impl FnOnce()) -> Duration {
    let begin = std::time::Instant::now();
    step();
    begin.elapsed()
}

criterion_group!(benches, timers);
criterion_main!(benches);
