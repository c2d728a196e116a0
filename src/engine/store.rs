//! Entries that wait for a deadline: a slab and a wheel.
//!
//! ```text
//!   flow table ─▶ entry      links of the wheel (8 octets)
//! ```
//!
//! The memory for the limit is reserved up front and touched only as entries are used. A free entry
//! holds the index of the next free one where a used one holds its deadline, so nothing else is kept
//! for it. What goes in last comes out first, because its memory is still near.

use crate::time::Instant;
use crate::timer::{Fate, Progress, Wheel};
use core::ops::{Index, IndexMut};

/// Deadlines are counted in ticks of 2^20 ns, about a millisecond.
pub(super) const TICK_SHIFT: u32 = 20;
/// How many entries are looked at for the oldest one, if those that came first were restarted.
pub(super) const LOOKS_FOR_OLDEST: usize = 8;

/// An entry that knows when its time is up, in ticks.
pub trait Timed {
    /// The deadline.
    fn deadline(&self) -> u32;
    /// Another deadline.
    fn set_deadline(&mut self, tick: u32);
}

/// Entries of one kind, under keys that the store chooses.
pub struct Store<E> {
    entries: Vec<E>,
    /// The free entry to be used next, plus one.
    free: u32,
    len: u32,
    limit: u32,
    wheel: Wheel,
}

impl<E: Timed> Store<E> {
    /// A store of at most `limit` entries, empty at `now`, with a wheel of so many slots (a power of
    /// two): deadlines further away than that many ticks cost a look each turn.
    pub fn with_slots(limit: u32, slots: u32, now: Instant) -> Self {
        Store {
            entries: Vec::with_capacity(limit as usize),
            free: 0,
            len: 0,
            limit,
            wheel: Wheel::new(limit, TICK_SHIFT, slots, now),
        }
    }

    /// Files a new entry that lasts until `until`, which is what its deadline says; `None` if there
    /// is no room.
    #[inline]
    pub fn file(&mut self, entry: E, until: Instant) -> Option<u32> {
        let deadline = entry.deadline();
        let index = match self.free.checked_sub(1) {
            Some(index) => {
                self.free = self.entries[index as usize].deadline();
                self.entries[index as usize] = entry;
                index
            }
            None if self.entries.len() < self.limit as usize => {
                self.entries.push(entry);
                self.entries.len() as u32 - 1
            }
            None => return None,
        };
        self.len += 1;
        self.wheel.start(index, instant_of(deadline, until));
        Some(index)
    }

    /// Gives an entry another deadline: a later one is only written down, the wheel finds it out in
    /// its time. Returns the old and the new one, in ticks.
    pub fn restart(&mut self, index: u32, now: Instant, until: Instant) -> (u32, u32) {
        let old = self[index].deadline();
        let new = tick_at_or_after(until);
        self[index].set_deadline(new);
        if instant_of(new, now) < instant_of(old, now) {
            self.wheel.restart(index, instant_of(new, now));
        }
        (old, new)
    }

    /// Forgets an entry. Returns its deadline.
    #[inline]
    pub fn remove(&mut self, index: u32) -> u32 {
        self.wheel.stop(index);
        let deadline = self[index].deadline();
        self.entries[index as usize].set_deadline(self.free);
        self.free = index + 1;
        self.len -= 1;
        deadline
    }

    /// The entry that has waited longest, to the tick: found by looking at one, or a few if those
    /// that came first were restarted.
    pub fn oldest(&mut self, now: Instant) -> Option<u32> {
        for _ in 0..LOOKS_FOR_OLDEST {
            let first = self.wheel.first()?;
            self.wheel.restart(first, instant_of(self[first].deadline(), now));
            if self.wheel.first() == Some(first) {
                break;
            }
        }
        self.wheel.first()
    }

    /// Looks at what is due, at most `budget` entries, and asks `judge` about each whose time is up:
    /// it says until which tick the entry waits instead, or `None` if it is over. What is over is
    /// forgotten, and its keys are added to `due`: until the next entry is filed they can still be read.
    #[inline]
    pub fn expire(
        &mut self,
        now: Instant,
        budget: usize,
        due: &mut Vec<u32>,
        mut judge: impl FnMut(u32, &mut E) -> Option<u32>,
    ) -> Progress {
        let (entries, now_tick) = (&mut self.entries, (now.nanos() >> TICK_SHIFT) as u32);
        let (mut free, before) = (self.free, due.len());
        let progress = self.wheel.advance(now, budget, |index| {
            let entry = &mut entries[index as usize];
            let deadline = entry.deadline();
            if (now_tick.wrapping_sub(deadline) as i32) < 0 {
                return Fate::Later(instant_of(deadline, now));
            }
            if let Some(later) = judge(index, entry) {
                entry.set_deadline(later);
                return Fate::Later(instant_of(later, now));
            }
            entry.set_deadline(free);
            free = index + 1;
            due.push(index);
            Fate::Fired
        });
        self.free = free;
        self.len -= (due.len() - before) as u32;
        progress
    }

    /// When [`expire`](Self::expire) may have something to do; `None` if there is no entry.
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        self.wheel.next_deadline(|index| instant_of(self[index].deadline(), now))
    }

    /// All entries with their keys, in no order. For the control path only.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &E)> {
        (0..).zip(&self.entries).filter(|(index, _)| self.wheel.is_filed(*index))
    }

    /// How many entries wait.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Does none wait?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Is there an entry under this key? What was forgotten is none.
    pub fn contains(&self, index: u32) -> bool {
        (index as usize) < self.entries.len() && self.wheel.is_filed(index)
    }

    /// Octets of one entry and its link in the wheel.
    pub const fn entry_bytes() -> usize {
        size_of::<E>() + Wheel::LINK_BYTES
    }
}

impl<E> Index<u32> for Store<E> {
    type Output = E;

    #[inline]
    fn index(&self, index: u32) -> &E {
        &self.entries[index as usize]
    }
}

impl<E> IndexMut<u32> for Store<E> {
    #[inline]
    fn index_mut(&mut self, index: u32) -> &mut E {
        &mut self.entries[index as usize]
    }
}

/// The first tick at or after `at`, wrapping after 52 days.
pub(super) fn tick_at_or_after(at: Instant) -> u32 {
    at.plus_nanos((1 << TICK_SHIFT) - 1).nanos().wrapping_shr(TICK_SHIFT) as u32
}

/// The instant at which `tick` begins, of all its turns the one nearest to `near`.
pub(super) fn instant_of(tick: u32, near: Instant) -> Instant {
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
