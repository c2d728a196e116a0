//! The TIME-WAIT entries of an engine: a store and a wheel for each address family.
//!
//! ```text
//!   flow table ─▶ entry (32 octets over IPv4, 56 over IPv6)   links of the wheel (8 octets)
//! ```
//!
//! The memory for the limit is reserved up front and touched only as entries are used. A free entry
//! holds the index of the next free one where a used one holds its deadline, so nothing else is kept
//! for it. What goes in last comes out first, because its memory is still near.

use crate::tcp::time_wait::{Addresses, Farewell, PairV4, PairV6, TimeWait};
use crate::time::Instant;
use crate::timer::{Fate, Progress, Wheel};
use core::ops::{Index, IndexMut};

/// 2·MSL is counted in ticks of 2^20 ns, about a millisecond.
pub(super) const TICK_SHIFT: u32 = 20;
/// Slots of a wheel: 2·MSL up to 137 s in one turn.
const SLOTS: u32 = 1 << 17;
/// How many entries are looked at for the oldest one, if those that came first were restarted.
const LOOKS_FOR_OLDEST: usize = 8;

/// The entries of one address family, under keys that the store chooses.
pub struct Family<A> {
    entries: Vec<TimeWait<A>>,
    /// The free entry to be used next, plus one.
    free: u32,
    len: u32,
    limit: u32,
    wheel: Wheel,
}

impl<A: Addresses> Family<A> {
    /// A store of at most `limit` entries, empty at `now`.
    pub fn new(limit: u32, now: Instant) -> Self {
        Family {
            entries: Vec::with_capacity(limit as usize),
            free: 0,
            len: 0,
            limit,
            wheel: Wheel::new(limit, TICK_SHIFT, SLOTS, now),
        }
    }

    /// Files a new entry that lasts from `now` to `until`; `None` if there is no room.
    #[inline]
    pub fn enter(&mut self, farewell: &Farewell, now: Instant, until: Instant) -> Option<u32> {
        let deadline = tick_at_or_after(until);
        let entry = TimeWait::new(farewell, now, deadline);
        let index = match self.free.checked_sub(1) {
            Some(index) => {
                self.free = self.entries[index as usize].deadline;
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

    /// Begins 2·MSL anew: the deadline is only written down, the wheel finds it out in its time.
    /// Returns the old and the new one.
    pub fn restart(&mut self, index: u32, now: Instant, until: Instant) -> (u32, u32) {
        let old = self[index].deadline;
        let new = tick_at_or_after(until);
        self[index].deadline = new;
        if instant_of(new, now) < instant_of(old, now) {
            self.wheel.restart(index, instant_of(new, now)); // MSL has become shorter
        }
        (old, new)
    }

    /// Forgets an entry. Returns its deadline.
    #[inline]
    pub fn remove(&mut self, index: u32) -> u32 {
        self.wheel.stop(index);
        let deadline = self[index].deadline;
        self.entries[index as usize].deadline = self.free;
        self.free = index + 1;
        self.len -= 1;
        deadline
    }

    /// The entry that has waited longest, to the tick: found by looking at one, or a few if those
    /// that came first were restarted.
    pub fn oldest(&mut self, now: Instant) -> Option<u32> {
        for _ in 0..LOOKS_FOR_OLDEST {
            let first = self.wheel.first()?;
            self.wheel.restart(first, instant_of(self[first].deadline, now));
            if self.wheel.first() == Some(first) {
                break;
            }
        }
        self.wheel.first()
    }

    /// Forgets the entries whose time is up, looking at `budget` at most, and adds their keys to
    /// `due`: until the next entry enters they can still be read. `over` is told of deadlines that
    /// have come and how many entries had each.
    pub fn expire(
        &mut self,
        now: Instant,
        budget: usize,
        due: &mut Vec<u32>,
        mut over: impl FnMut(u32, u32),
    ) -> Progress {
        let (entries, now_tick) = (&mut self.entries, (now.nanos() >> TICK_SHIFT) as u32);
        let (mut free, mut run, before) = (self.free, (0, 0), due.len());
        let progress = self.wheel.advance(now, budget, |index| {
            let entry = &mut entries[index as usize];
            let deadline = entry.deadline;
            if (now_tick.wrapping_sub(deadline) as i32) < 0 {
                return Fate::Later(instant_of(deadline, now));
            }
            if deadline != run.0 {
                if run.1 > 0 {
                    over(run.0, run.1);
                }
                run = (deadline, 0);
            }
            run.1 += 1;
            entry.deadline = free;
            free = index + 1;
            due.push(index);
            Fate::Fired
        });
        if run.1 > 0 {
            over(run.0, run.1);
        }
        self.free = free;
        self.len -= (due.len() - before) as u32;
        progress
    }

    /// When [`expire`](Self::expire) may have something to do; `None` if it holds no entry.
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        self.wheel.next_deadline(|index| instant_of(self[index].deadline, now))
    }

    /// All entries, in no order. For the control path only.
    pub fn iter(&self) -> impl Iterator<Item = &TimeWait<A>> {
        let filed = |(index, _): &(u32, _)| self.wheel.is_filed(*index);
        (0..).zip(&self.entries).filter(filed).map(|(_, entry)| entry)
    }

    /// How many entries wait.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Does none wait?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Octets of one entry and its link in the wheel.
    pub const fn entry_bytes() -> usize {
        size_of::<TimeWait<A>>() + Wheel::LINK_BYTES
    }
}

impl<A> Index<u32> for Family<A> {
    type Output = TimeWait<A>;

    #[inline]
    fn index(&self, index: u32) -> &TimeWait<A> {
        &self.entries[index as usize]
    }
}

impl<A> IndexMut<u32> for Family<A> {
    #[inline]
    fn index_mut(&mut self, index: u32) -> &mut TimeWait<A> {
        &mut self.entries[index as usize]
    }
}

/// All entries.
pub(super) struct TimeWaits {
    pub(super) v4: Family<PairV4>,
    pub(super) v6: Family<PairV6>,
    limit: u32,
}

impl TimeWaits {
    pub fn new(limit: u32, now: Instant) -> Self {
        TimeWaits { v4: Family::new(limit, now), v6: Family::new(limit, now), limit }
    }

    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    pub fn is_full(&self) -> bool {
        self.len() >= self.limit as usize
    }
}

/// The first tick at or after `at`, wrapping after 52 days.
fn tick_at_or_after(at: Instant) -> u32 {
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
    use crate::tcp::Tuple;
    use crate::wire::seq::SeqNumber;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

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

    fn farewell(port: u16) -> Farewell {
        let local = "198.18.0.1:80".parse().unwrap();
        let remote = core::net::SocketAddr::new("198.18.0.2".parse().unwrap(), port);
        Farewell {
            tuple: Tuple::new(local, remote),
            snd_nxt: SeqNumber::new(1),
            rcv_nxt: SeqNumber::new(2),
            window: 3,
            scale: 0,
            ts_recent: None,
        }
    }

    proptest! {
        /// Entering, restarting, forgetting, recycling and expiring, against a map of deadlines.
        #[test]
        fn agrees_with_a_map(
            limit in 1u32..40,
            steps in prop::collection::vec((0u8..8, any::<u16>()), 1..400),
        ) {
            let mut now = Instant::from_millis(4_503_599_600); // the tick is about to wrap
            let mut family = Family::<PairV4>::new(limit, now);
            let mut model = BTreeMap::<u32, (u16, Instant)>::new();
            for (step, value) in steps {
                let until = now + core::time::Duration::from_millis(u64::from(value));
                let chosen = model.keys().nth(usize::from(value) % model.len().max(1)).copied();
                match (step, chosen) {
                    (0..=2, _) => match family.enter(&farewell(value), now, until) {
                        Some(index) => {
                            let deadline = instant_of(tick_at_or_after(until), now);
                            prop_assert!(model.insert(index, (value, deadline)).is_none());
                        }
                        None => prop_assert_eq!(model.len(), limit as usize),
                    },
                    (3, Some(index)) => {
                        family.restart(index, now, until);
                        model.get_mut(&index).unwrap().1 = instant_of(tick_at_or_after(until), now);
                    }
                    (4, Some(index)) => {
                        family.remove(index);
                        model.remove(&index);
                    }
                    (5, Some(_)) => {
                        let oldest = family.oldest(now).unwrap();
                        let first = model.values().map(|(_, deadline)| *deadline).min().unwrap();
                        if model.len() < LOOKS_FOR_OLDEST {
                            prop_assert_eq!(model[&oldest].1, first);
                        }
                    }
                    _ => {
                        now = until;
                        let (mut due, mut told) = (Vec::new(), BTreeMap::new());
                        let over = |tick, count| *told.entry(instant_of(tick, now)).or_insert(0) += count;
                        let progress = family.expire(now, usize::MAX, &mut due, over);
                        prop_assert_eq!(progress, Progress::Done);
                        for index in due {
                            let (port, deadline) = model.remove(&index).unwrap();
                            prop_assert!(deadline <= now);
                            prop_assert!(family[index].is_for(&farewell(port).tuple));
                            *told.get_mut(&deadline).unwrap() -= 1;
                        }
                        prop_assert!(told.values().all(|&count| count == 0));
                        prop_assert!(model.values().all(|(_, deadline)| *deadline > now));
                    }
                }
                prop_assert_eq!(family.len(), model.len());
                prop_assert!(model.iter().all(|(&i, &(port, _))| family[i].is_for(&farewell(port).tuple)));
                prop_assert_eq!(family.iter().count(), model.len());
            }
            prop_assert!(family.entries.capacity() >= limit as usize && family.entries.len() <= limit as usize);
        }
    }
}
