//! The TIME-WAIT entries of an engine: a store with its wheel for each address family.

use super::store::{Store, Timed, tick_at_or_after};
use crate::tcp::time_wait::{Addresses, Farewell, PairV4, PairV6, TimeWait};
use crate::time::Instant;
use crate::timer::Progress;

/// Slots of a wheel: 2·MSL up to 137 s in one turn.
const SLOTS: u32 = 1 << 17;

/// The entries of one address family: 32 octets each over IPv4, 56 over IPv6.
pub type Family<A> = Store<TimeWait<A>>;

impl<A> Timed for TimeWait<A> {
    #[inline]
    fn deadline(&self) -> u32 {
        self.deadline
    }

    #[inline]
    fn set_deadline(&mut self, tick: u32) {
        self.deadline = tick;
    }
}

impl<A: Addresses> Store<TimeWait<A>> {
    /// A store of at most `limit` entries, empty at `now`.
    pub fn new(limit: u32, now: Instant) -> Self {
        Store::with_slots(limit, SLOTS, now)
    }

    /// Files a new entry that lasts from `now` to `until`; `None` if there is no room.
    #[inline]
    pub fn enter(&mut self, farewell: &Farewell, now: Instant, until: Instant) -> Option<u32> {
        self.file(TimeWait::new(farewell, now, tick_at_or_after(until)), until)
    }

    /// Forgets the entries whose time is up, looking at `budget` at most, and adds their keys to
    /// `due`: until the next entry enters they can still be read. `over` is told of deadlines that
    /// have come and how many entries had each.
    pub fn expire_all(
        &mut self,
        now: Instant,
        budget: usize,
        due: &mut Vec<u32>,
        mut over: impl FnMut(u32, u32),
    ) -> Progress {
        let mut run = (0, 0);
        let progress = self.expire(now, budget, due, |_, entry| {
            if entry.deadline != run.0 {
                if run.1 > 0 {
                    over(run.0, run.1);
                }
                run = (entry.deadline, 0);
            }
            run.1 += 1;
            None
        });
        if run.1 > 0 {
            over(run.0, run.1);
        }
        progress
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

#[cfg(test)]
mod tests {
    use super::super::store::{LOOKS_FOR_OLDEST, instant_of};
    use super::*;
    use crate::tcp::Tuple;
    use crate::wire::seq::SeqNumber;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

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
                        let progress = family.expire_all(now, usize::MAX, &mut due, over);
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
        }
    }
}
