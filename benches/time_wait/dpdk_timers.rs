//! The same steps with DPDK's own timers.

use crate::rounds::{BATCH, Costs, Rounds, Step, Sweep, batch_of};
use lastack::port::dpdk::{Eal, RteTimers, Tsc};
use std::time::Instant;

/// An hour of cycles lies between now and the first of those that wait, and this many between one and
/// the next, so that what is started last also ends last.
const STEP_CYCLES: u64 = 20_000;

pub struct DpdkTimers {
    timers: RteTimers,
    entries: u32,
    batch: u32,
    far: u64,
    next: u64,
    costs: Costs,
    fired: u64,
}

impl DpdkTimers {
    pub fn new(eal: &Eal, entries: u32) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let batch = batch_of(entries).min(BATCH);
        let mut run = DpdkTimers {
            timers: RteTimers::new(eal, entries + batch)?,
            entries,
            batch,
            far: Tsc::new().hz() * 3_600,
            next: 0,
            costs: Costs::default(),
            fired: 0,
        };
        (0..entries).for_each(|key| run.enter(key));
        Ok(run)
    }

    fn enter(&mut self, key: u32) {
        self.next += 1;
        self.timers.start(key, self.far + self.next * STEP_CYCLES);
    }

    fn round(&mut self, cold: bool, keys: &[u32], sweep: &mut Sweep) {
        let batch = self.batch;
        let mut step = |run: &mut Self, step, work: &mut dyn FnMut(&mut Self)| {
            if cold {
                sweep.run();
            }
            let began = Instant::now();
            work(run);
            run.costs.add(cold, step, began, batch);
        };
        step(self, Step::Forget, &mut |run| keys.iter().for_each(|&key| run.timers.stop(key)));
        step(self, Step::Enter, &mut |run| keys.iter().for_each(|&key| run.enter(key)));
        step(self, Step::Restart, &mut |run| keys.iter().for_each(|&key| run.enter(key)));
        for &key in keys {
            self.timers.start(key, 0);
        }
        step(self, Step::Expire, &mut |run| {
            let fired = run.timers.manage();
            assert_eq!(fired - run.fired, u64::from(batch), "the batch was due");
            run.fired = fired;
        });
        keys.iter().for_each(|&key| self.enter(key));
    }
}

impl Rounds for DpdkTimers {
    fn name(&self) -> &str {
        "rte_timer"
    }

    fn hot(&mut self, sweep: &mut Sweep) {
        let keys: Vec<u32> = (self.entries..self.entries + self.batch).collect();
        if self.fired == 0 {
            keys.iter().for_each(|&key| self.enter(key));
        }
        self.round(false, &keys, sweep);
    }

    fn cold_edits(&mut self, sweep: &mut Sweep) {
        let stride = self.entries / self.batch;
        let start = (self.next % u64::from(stride)) as u32;
        let keys: Vec<u32> = (0..self.batch).map(|n| start + n * stride).collect();
        self.round(true, &keys, sweep);
    }

    fn cold(&mut self, _: &mut Sweep) {}

    fn costs(&self) -> &Costs {
        &self.costs
    }

    fn resident(&self) -> f64 {
        size_of::<u64>() as f64 * 8.0 // a timer is a cache line, to be put into what it belongs to
    }
}
