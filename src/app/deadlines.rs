//! A deadline for each of many numbers (connections, seats): what is due comes out, a bounded number of
//! them in one poll, and the others are not looked at.

use crate::time::Instant;
use crate::timer::{Fate, Wheel};

/// A slot of the wheel is this long: 2^22 ns, about 4 ms. Deadlines are exact all the same.
const TICK_SHIFT: u32 = 22;
/// Slots: a turn of about 17 seconds.
const SLOTS: u32 = 1 << 12;
/// Entries that one poll looks at.
const BUDGET: usize = 128;

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// `FAR` = none.
    deadline: Instant,
    /// When the wheel will look at it; `FAR` = it is not filed.
    filed: Instant,
}

const NONE: Entry = Entry { deadline: Instant::FAR, filed: Instant::FAR };

/// The deadlines of the numbers below a limit. A deadline that moves later, or goes, costs a store.
pub struct Deadlines {
    wheel: Wheel,
    entries: Vec<Entry>,
    due: Vec<u32>,
}

impl core::fmt::Debug for Deadlines {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Deadlines").field("filed", &self.wheel.len()).finish_non_exhaustive()
    }
}

impl Deadlines {
    /// Room for the numbers `0..limit`; memory is touched only as it is used.
    pub fn new(limit: u32) -> Self {
        Deadlines {
            wheel: Wheel::new(limit, TICK_SHIFT, SLOTS, Instant::ZERO),
            entries: Vec::with_capacity(limit as usize),
            due: Vec::with_capacity(BUDGET),
        }
    }

    /// Sets the deadline of a number, whatever it was before.
    #[inline]
    pub fn set(&mut self, number: u32, at: Instant) {
        let index = number as usize;
        if index >= self.entries.len() {
            self.entries.resize(index + 1, NONE);
        }
        let entry = &mut self.entries[index];
        entry.deadline = at;
        if at < entry.filed {
            entry.filed = at;
            self.wheel.restart(number, at);
        }
    }

    /// Sets the deadline of a number, unless it has an earlier one.
    #[inline]
    pub fn set_if_earlier(&mut self, number: u32, at: Instant) {
        if self.entries.get(number as usize).is_none_or(|entry| at < entry.deadline) {
            self.set(number, at);
        }
    }

    /// The number has no deadline any more.
    #[inline]
    pub fn clear(&mut self, number: u32) {
        if let Some(entry) = self.entries.get_mut(number as usize) {
            entry.deadline = Instant::FAR;
        }
    }

    /// Looks for what is due, for [`pop`](Self::pop) to hand out.
    #[inline]
    pub fn expire(&mut self, now: Instant) {
        if self.wheel.is_empty() {
            return;
        }
        let Deadlines { wheel, entries, due } = self;
        let _ = wheel.advance(now, BUDGET, |number| {
            let entry = &mut entries[number as usize];
            if entry.deadline > now && entry.deadline != Instant::FAR {
                entry.filed = entry.deadline;
                return Fate::Later(entry.deadline);
            }
            if entry.deadline <= now {
                due.push(number);
            }
            *entry = NONE;
            Fate::Fired
        });
    }

    /// The next number whose deadline has passed; it has none any more.
    #[inline]
    pub fn pop(&mut self) -> Option<u32> {
        self.due.pop()
    }

    /// When [`expire`](Self::expire) is wanted at the latest.
    pub fn next(&self) -> Option<Instant> {
        self.wheel.next_deadline(|number| self.entries[number as usize].deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(deadlines: &mut Deadlines, millis: u64) -> Vec<u32> {
        deadlines.expire(Instant::from_millis(millis));
        let mut due: Vec<u32> = core::iter::from_fn(|| deadlines.pop()).collect();
        due.sort_unstable();
        due
    }

    #[test]
    fn what_is_due_comes_out_once_and_never_early() {
        let at = Instant::from_millis;
        let mut deadlines = Deadlines::new(100);
        deadlines.set(7, at(100));
        deadlines.set(8, at(100_000));
        deadlines.set(9, at(50));
        deadlines.set(9, at(200)); // later
        deadlines.set(8, at(150)); // earlier
        deadlines.set_if_earlier(7, at(300));
        deadlines.set(6, at(120));
        deadlines.clear(6);
        deadlines.clear(55);
        assert!(deadlines.next().unwrap() <= at(100));
        assert!(due(&mut deadlines, 99).is_empty());
        assert_eq!(due(&mut deadlines, 149), [7]);
        assert_eq!(due(&mut deadlines, 150), [8]);
        assert!(due(&mut deadlines, 199).is_empty());
        assert_eq!(due(&mut deadlines, 1_000_000), [9]);
        assert_eq!((due(&mut deadlines, 2_000_000), deadlines.next()), (vec![], None));
        deadlines.set_if_earlier(7, at(2_000_001));
        assert_eq!(due(&mut deadlines, 2_000_001), [7], "the number is used again");
    }

    #[test]
    fn a_poll_takes_a_bounded_number() {
        let mut deadlines = Deadlines::new(10_000);
        (0..10_000).for_each(|number| deadlines.set(number, Instant::from_millis(5)));
        let first = due(&mut deadlines, 10).len();
        assert_eq!(first, BUDGET);
        let rest: usize = (0..100).map(|_| due(&mut deadlines, 10).len()).sum();
        assert_eq!(first + rest, 10_000);
    }
}
