//! The TIME-WAIT entries of an engine: a slab and a wheel for each address family.

use super::slab::Slab;
use crate::tcp::time_wait::{Addresses, Farewell, PairV4, PairV6, TimeWait};
use crate::time::Instant;
use crate::timer::{Fate, Progress, Wheel};

/// 2·MSL is counted in ticks of 2^20 ns, about a millisecond.
const TICK_SHIFT: u32 = 20;
/// Slots of a wheel: 2·MSL up to 137 s in one turn.
const SLOTS: u32 = 1 << 17;

/// The entries of one address family.
pub(super) struct Family<A> {
    pub entries: Slab<TimeWait<A>>,
    wheel: Wheel,
}

impl<A: Addresses> Family<A> {
    fn new(limit: u32, now: Instant) -> Self {
        Family {
            entries: Slab::with_limit(limit),
            wheel: Wheel::new(limit, TICK_SHIFT, SLOTS, now),
        }
    }

    /// Files a new entry; `None` if there is no room.
    pub fn enter(&mut self, farewell: &Farewell, until: Instant) -> Option<u32> {
        let deadline = tick_at_or_after(until);
        let index = self.entries.insert(TimeWait::new(farewell, deadline))?;
        self.wheel.start(index, instant_of(deadline, until));
        Some(index)
    }

    /// Begins 2·MSL anew: the deadline is only written down, the wheel finds it out in its time.
    pub fn restart(&mut self, index: u32, until: Instant) {
        self.entries[index].deadline = tick_at_or_after(until);
    }

    /// Forgets an entry.
    pub fn remove(&mut self, index: u32) {
        self.wheel.stop(index);
        self.entries.free(index);
    }

    /// The entry that has waited longest, or nearly so.
    pub fn oldest(&self) -> Option<u32> {
        self.wheel.first()
    }

    /// Looks at what is due, at most `budget` entries, and gives the keys of those whose time is up.
    pub fn expire(&mut self, now: Instant, budget: usize, due: &mut Vec<u32>) -> Progress {
        let entries = &self.entries;
        self.wheel.advance(now, budget, |index| {
            let deadline = instant_of(entries[index].deadline, now);
            if deadline <= now {
                due.push(index);
                Fate::Fired
            } else {
                Fate::Later(deadline)
            }
        })
    }

    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        self.wheel.next_deadline(|index| instant_of(self.entries[index].deadline, now))
    }

    fn memory_bytes(&self) -> usize {
        self.entries.memory_bytes() + self.wheel.memory_bytes()
    }
}

/// All entries.
pub(super) struct TimeWaits {
    pub v4: Family<PairV4>,
    pub v6: Family<PairV6>,
    limit: u32,
}

impl TimeWaits {
    pub fn new(limit: u32, now: Instant) -> Self {
        TimeWaits { v4: Family::new(limit, now), v6: Family::new(limit, now), limit }
    }

    pub fn len(&self) -> usize {
        self.v4.entries.len() + self.v6.entries.len()
    }

    pub fn is_full(&self) -> bool {
        self.len() >= self.limit as usize
    }

    pub fn memory_bytes(&self) -> usize {
        self.v4.memory_bytes() + self.v6.memory_bytes()
    }
}

/// The first tick at or after `at`, wrapping after 52 days.
fn tick_at_or_after(at: Instant) -> u32 {
    at.plus_nanos((1 << TICK_SHIFT) - 1).nanos().wrapping_shr(TICK_SHIFT) as u32
}

/// The instant at which `tick` begins, of all its turns the one nearest to `near`.
fn instant_of(tick: u32, near: Instant) -> Instant {
    let near_tick = near.nanos() >> TICK_SHIFT;
    let offset = i64::from(tick.wrapping_sub(near_tick as u32) as i32);
    Instant::from_nanos(near_tick.saturating_add_signed(offset) << TICK_SHIFT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_survive_the_wrap() {
        for millis in [0, 1, 4_000_000_000, 4_503_599_000, 4_503_600_000, 9_007_199_254] {
            let now = Instant::from_millis(millis);
            for ahead in [0, 1, 60_000, 240_000] {
                let at = Instant::from_millis(millis + ahead);
                let found = instant_of(tick_at_or_after(at), now);
                assert!(found >= at && found.nanos_since(at) < 1 << TICK_SHIFT, "{now:?} {at:?}");
            }
        }
    }
}
