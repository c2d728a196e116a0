//! Places of connections that rest after a failure: 1 ms after the first, twice as long after each that
//! follows, and a second at most. One that was of use makes a place as good as new.

use crate::time::Instant;
use core::cmp::Reverse;
use core::time::Duration;
use std::collections::BinaryHeap;

/// The pause after the first failure.
const LEAST: Duration = Duration::from_millis(1);
/// The longest pause.
pub const MOST: Duration = Duration::from_secs(1);

/// How long a place rests after so many failures in a row before this one.
pub fn pause(failures: u8) -> Duration {
    MOST.min(LEAST * (1 << failures.min(16)))
}

/// The places that rest, and those that have rested and have yet to be of use.
#[derive(Debug, Default)]
pub struct Rest {
    /// Until when they rest, and how often they have failed in a row.
    resting: BinaryHeap<Reverse<(Instant, u8)>>,
    rested: Vec<u8>,
}

impl Rest {
    /// Places that rest.
    #[inline]
    pub fn len(&self) -> u64 {
        self.resting.len() as u64
    }

    /// Lets those go on whose pause is over.
    #[inline]
    pub fn wake(&mut self, now: Instant) {
        while let Some(&Reverse((until, failures))) = self.resting.peek()
            && until <= now
        {
            self.resting.pop();
            self.rested.push(failures);
        }
    }

    /// When the pause of the first is over.
    pub fn first(&self) -> Option<Instant> {
        self.resting.peek().map(|&Reverse((until, _))| until)
    }

    /// Takes a place for a connection; returns how often it has failed in a row.
    #[inline]
    pub fn take(&mut self) -> u8 {
        self.rested.pop().unwrap_or(0)
    }

    /// A connection has failed on a place that had failed so often in a row before.
    pub fn begin(&mut self, failures: u8, now: Instant) {
        self.resting.push(Reverse((now + pause(failures), failures.saturating_add(1))));
    }

    /// All places are as good as new.
    pub fn clear(&mut self) {
        self.resting.clear();
        self.rested.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_second_and_one_success_ends_them() {
        let (mut rest, mut now) = (Rest::default(), Instant::ZERO);
        let mut pauses = Vec::new();
        for _ in 0..13 {
            let failures = rest.take();
            rest.begin(failures, now);
            let next = rest.first().unwrap();
            rest.wake(Instant::from_nanos(next.nanos() - 1));
            assert_eq!(rest.len(), 1, "it rests to the end");
            pauses.push(next.nanos_since(now) / 1_000_000);
            now = next;
            rest.wake(now);
            assert_eq!(rest.len(), 0);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 1000, 1000]);
        assert_eq!((rest.take(), rest.take()), (13, 0), "the other places have not failed");
        rest.begin(255, now);
        assert_eq!(rest.first().unwrap().nanos_since(now), 1_000_000_000);
    }
}
