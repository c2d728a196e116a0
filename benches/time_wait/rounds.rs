//! The rounds of operations that are timed, for one store.
//!
//! The clock is that of the benchmark: entries come at an even rate, as many in a minute as the
//! store is to hold, and wait for two minutes. *Hot* is a batch of entries that were touched just
//! before; before a *cold* batch so much else is touched that the caches hold nothing of the store.

use crate::stores::{Store, farewell};
use crate::support::resident_bytes;
use lastack::tcp::time_wait::Farewell;
use lastack::time::Instant;
use std::hint::black_box;
use std::time::Duration;

/// A short interval, longer than two ticks, and the long one, shorter than a turn of the wheel.
const SHORT: Duration = Duration::from_millis(3);
const LONG: Duration = Duration::from_secs(120);
/// In this time the store is filled.
const FILLING: Duration = Duration::from_secs(60);
/// Entries of a batch, at most, and what one call may look at.
pub const BATCH: u32 = 4_096;
const BUDGET: usize = 256;

/// What is timed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A new entry.
    Enter,
    /// 2·MSL begin anew.
    Restart,
    /// A restarted entry comes up at its old deadline: what a lazy restart costs later.
    Again,
    /// An entry is taken out before its time.
    Forget,
    /// An entry's time is up.
    Expire,
}

pub const STEPS: [(Step, &str); 5] = [
    (Step::Enter, "enter"),
    (Step::Restart, "restart"),
    (Step::Again, "look again"),
    (Step::Forget, "forget"),
    (Step::Expire, "expire"),
];

/// Nanoseconds an entry, one figure for each round: hot, then cold, for each step.
#[derive(Clone, Default)]
pub struct Costs([[Vec<f64>; 5]; 2]);

impl Costs {
    pub fn add(&mut self, cold: bool, step: Step, began: std::time::Instant, entries: u32) {
        let nanos = began.elapsed().as_nanos() as f64 / f64::from(entries);
        self.0[usize::from(cold)][step as usize].push(nanos);
    }

    pub fn of(&self, cold: bool, step: Step) -> &[f64] {
        &self.0[usize::from(cold)][step as usize]
    }
}

/// The median, and half of what lies between the quartiles.
pub fn median(costs: &[f64]) -> Option<(f64, f64)> {
    let mut sorted = costs.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |part: usize| sorted.get(sorted.len() * part / 4).copied();
    Some((at(2)?, (at(3)? - at(1)?) / 2.0))
}

/// Memory that drives everything else out of the caches.
pub struct Sweep(Vec<u64>);

impl Sweep {
    /// Twice as large as the largest cache.
    pub fn new() -> Self {
        let path = "/sys/devices/system/cpu/cpu0/cache/index3/size";
        let size = std::fs::read_to_string(path).unwrap_or_default();
        let kilobytes = size.trim().trim_end_matches('K').parse().unwrap_or(32 * 1_024);
        Sweep(vec![0; 2 * 128 * kilobytes])
    }

    pub fn run(&mut self) {
        self.0.iter_mut().step_by(8).for_each(|word| *word += 1);
        black_box(&mut self.0);
    }
}

/// One store under test.
pub trait Rounds {
    fn name(&self) -> &str;
    /// Enters, restarts, forgets and expires a batch that stays in the caches.
    fn hot(&mut self, sweep: &mut Sweep);
    /// Forgets and restarts entries anywhere in the store.
    fn cold_edits(&mut self, sweep: &mut Sweep);
    /// Expires the oldest entries and enters as many.
    fn cold(&mut self, sweep: &mut Sweep);
    fn costs(&self) -> &Costs;
    /// Octets of resident memory that each entry has brought.
    fn resident(&self) -> f64;
}

pub struct Run<S> {
    name: String,
    store: S,
    ipv6: bool,
    now: Instant,
    entries: u32,
    batch: u32,
    gap: Duration,
    next: u32,
    random: u64,
    due: Vec<u32>,
    costs: Costs,
    resident: f64,
    jumped: bool,
}

/// Entries of a batch in a store of so many.
pub fn batch_of(entries: u32) -> u32 {
    BATCH.min(entries / 64)
}

impl<S: Store> Run<S> {
    /// A store, made for that capacity, with so many entries that the first of them is due in a
    /// minute.
    pub fn new(
        name: impl Into<String>,
        entries: u32,
        ipv6: bool,
        store: impl FnOnce(u32) -> S,
    ) -> Self {
        let before = resident_bytes();
        let batch = batch_of(entries);
        let mut run = Run {
            name: name.into(),
            store: store(entries + batch),
            ipv6,
            now: Instant::ZERO,
            entries,
            batch,
            gap: FILLING / entries,
            next: 0,
            random: 0x9e37_79b9_7f4a_7c15,
            due: Vec::with_capacity(BUDGET),
            costs: Costs::default(),
            resident: 0.0,
            jumped: false,
        };
        for n in 0..entries {
            run.now = run.now + run.gap;
            run.enter(LONG);
            if n % 64 == 0 {
                assert_eq!(run.expire(), 0, "nothing is due yet"); // its clock goes on
            }
        }
        run.resident = (resident_bytes() - before) as f64 / f64::from(entries);
        run
    }

    #[inline]
    fn enter(&mut self, interval: Duration) -> u32 {
        let farewell = self.next_farewell();
        self.store.enter(&farewell, self.now, self.now + interval)
    }

    fn next_farewell(&mut self) -> Farewell {
        let farewell = farewell(self.next, self.ipv6);
        self.next = self.next.wrapping_add(1) & (u32::MAX >> 1);
        farewell
    }

    /// Enters so many, each so long after the other, and times it.
    fn enter_timed(&mut self, cold: bool, entries: u32, gap: Duration, interval: Duration) {
        let farewells: Vec<Farewell> = (0..entries).map(|_| self.next_farewell()).collect();
        let began = std::time::Instant::now();
        for farewell in &farewells {
            self.now = self.now + gap;
            self.store.enter(farewell, self.now, self.now + interval);
        }
        self.costs.add(cold, Step::Enter, began, entries);
    }

    /// Expires all that is due.
    fn expire(&mut self) -> u32 {
        let mut expired = 0;
        loop {
            self.due.clear();
            let more = self.store.expire(self.now, BUDGET, &mut self.due);
            expired += self.due.len() as u32;
            if !more {
                return expired;
            }
        }
    }

    /// Keys of entries anywhere, no two of them equal.
    fn random_keys(&mut self) -> Vec<u32> {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let (start, entries) = (self.random >> 33, u64::from(self.entries));
        let stride = 1 + entries / u64::from(self.batch) * 7 / 10;
        let keys = (0..u64::from(self.batch)).map(|n| ((start + n * stride) % entries) as u32);
        let mut keys: Vec<u32> = keys.collect();
        for n in (1..keys.len()).rev() {
            self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            keys.swap(n, (self.random >> 33) as usize % (n + 1));
        }
        keys
    }
}

impl<S: Store> Rounds for Run<S> {
    fn name(&self) -> &str {
        &self.name
    }

    fn hot(&mut self, _: &mut Sweep) {
        let batch = self.batch;
        self.enter_timed(false, batch, Duration::ZERO, SHORT);
        self.now = self.now + SHORT * 2;
        let began = std::time::Instant::now();
        let expired = self.expire();
        self.costs.add(false, Step::Expire, began, batch);
        assert_eq!(expired, batch, "{}: only the batch was due", self.name);
        if !S::EDITS {
            return;
        }
        let keys: Vec<u32> = (0..batch).map(|_| self.enter(SHORT)).collect();
        let began = std::time::Instant::now();
        for &key in &keys {
            self.store.restart(key, self.now, self.now + LONG);
        }
        self.costs.add(false, Step::Restart, began, batch);
        self.now = self.now + SHORT * 2;
        let began = std::time::Instant::now();
        let expired = self.expire();
        self.costs.add(false, Step::Again, began, batch);
        assert_eq!(expired, 0, "{}: all were restarted", self.name);
        let began = std::time::Instant::now();
        for &key in &keys {
            self.store.forget(key);
        }
        self.costs.add(false, Step::Forget, began, batch);
    }

    fn cold_edits(&mut self, sweep: &mut Sweep) {
        if !S::EDITS {
            return;
        }
        let (keys, batch) = (self.random_keys(), self.batch);
        sweep.run();
        let began = std::time::Instant::now();
        for &key in &keys {
            self.store.forget(key);
        }
        self.costs.add(true, Step::Forget, began, batch);
        // what was forgotten last is used first: the batch lies where the keys are
        let keys: Vec<u32> = (0..batch).map(|_| self.enter(SHORT)).collect();
        sweep.run();
        let began = std::time::Instant::now();
        for &key in &keys {
            self.store.restart(key, self.now, self.now + LONG);
        }
        self.costs.add(true, Step::Restart, began, batch);
        self.now = self.now + SHORT * 2;
        sweep.run();
        let began = std::time::Instant::now();
        let expired = self.expire();
        self.costs.add(true, Step::Again, began, batch);
        assert_eq!(expired, 0, "{}: all were restarted", self.name);
    }

    fn cold(&mut self, sweep: &mut Sweep) {
        let before = self.now;
        if !self.jumped {
            // to where the first entry is about to fall due: what comes next is the steady state
            self.now = Instant::ZERO + LONG;
            self.jumped = true;
        }
        self.now = self.now + self.gap * self.batch;
        sweep.run();
        let began = std::time::Instant::now();
        let expired = self.expire();
        self.costs.add(true, Step::Expire, began, expired.max(1));
        let off = expired.abs_diff(self.batch);
        assert!(off <= self.batch / 2 + 2 * (self.entries / 60_000), "{}: {expired}", self.name);
        sweep.run();
        let until = self.now;
        self.now = before.max(until.min(Instant::ZERO + LONG));
        let gap = Duration::from_nanos(until.nanos_since(self.now) / u64::from(expired.max(1)));
        self.enter_timed(true, expired.max(1), gap, LONG);
        self.now = until;
    }

    fn costs(&self) -> &Costs {
        &self.costs
    }

    fn resident(&self) -> f64 {
        self.resident
    }
}
