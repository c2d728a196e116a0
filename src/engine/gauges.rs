//! Gauges of TIME-WAIT that one engine writes and anyone may read: how late expiry is, and how the
//! time that is left is spread over the entries.

use super::store::TICK_SHIFT;
use crate::tcp::Counter;
use crate::time::Instant;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use core::time::Duration;

/// Lags up to 2^10 ns are one bucket, and above it every doubling is four.
const FIRST_OCTAVE: u32 = 10;
const PER_OCTAVE: u32 = 4;
const OCTAVES: u32 = 30;

/// How late things happened that were due: a histogram with a precision of a quarter of an octave.
#[derive(Debug)]
pub struct Lag {
    buckets: Box<[Counter]>,
    max: Counter,
}

impl Default for Lag {
    fn default() -> Self {
        let buckets = (0..=OCTAVES * PER_OCTAVE).map(|_| Counter::default()).collect();
        Lag { buckets, max: Counter::default() }
    }
}

impl Lag {
    /// So many things happened `nanos` after they were due.
    #[inline]
    pub(super) fn record(&self, nanos: u64, count: u64) {
        self.buckets[bucket_of(nanos)].add(count);
        self.max.raise_to(nanos);
    }

    /// How many lags there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(Counter::get).sum()
    }

    /// The longest lag, in nanoseconds.
    pub fn max_ns(&self) -> u64 {
        self.max.get()
    }

    /// A lag in nanoseconds that this part of all lags, from 0 to 1, does not exceed: the upper end
    /// of a bucket, and never more than the longest one. 0 if there were none.
    pub fn quantile_ns(&self, part: f64) -> u64 {
        let wanted = (self.count() as f64 * part).ceil() as u64;
        let mut sum = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            sum += count.get();
            if sum >= wanted.max(1) {
                return upper_end(bucket).min(self.max_ns());
            }
        }
        self.max_ns()
    }
}

#[inline]
fn bucket_of(nanos: u64) -> usize {
    let Some(octave) = nanos.checked_ilog2().and_then(|log| log.checked_sub(FIRST_OCTAVE)) else {
        return 0;
    };
    let quarter = (nanos >> (octave + FIRST_OCTAVE - 2)) as u32 & 3;
    (1 + octave * PER_OCTAVE + quarter).min(OCTAVES * PER_OCTAVE) as usize
}

fn upper_end(bucket: usize) -> u64 {
    let Some(above) = (bucket as u32).checked_sub(1) else { return 1 << FIRST_OCTAVE };
    let (octave, quarter) = (above / PER_OCTAVE, above % PER_OCTAVE);
    u64::from(5 + quarter) << (octave + FIRST_OCTAVE - 2)
}

/// A unit of the calendar is this many ticks of the wheel, as a power of two: 2^27 ns, 134 ms.
const UNIT_TICKS_SHIFT: u32 = 7;
/// Units of the calendar, which so reaches over 1,099 s.
const UNITS: u32 = 1 << 13;
/// Of these, units that are taken to be past: what is late by up to 134 s is still counted.
const PAST_UNITS: u32 = 1_000;

/// How many entries expire when: one count for each 134 ms.
#[derive(Debug)]
pub struct Calendar {
    units: Box<[AtomicU32]>,
}

impl Default for Calendar {
    fn default() -> Self {
        Calendar { units: (0..UNITS).map(|_| AtomicU32::new(0)).collect() }
    }
}

impl Calendar {
    /// The longest time ahead that an entry may expire.
    pub const REACH: Duration =
        Duration::from_nanos(((UNITS - PAST_UNITS - 1) as u64) << (TICK_SHIFT + UNIT_TICKS_SHIFT));

    #[inline]
    fn unit(&self, deadline_tick: u32) -> &AtomicU32 {
        &self.units[(deadline_tick >> UNIT_TICKS_SHIFT & (UNITS - 1)) as usize]
    }

    /// An entry will expire at this tick.
    #[inline]
    pub(super) fn add(&self, deadline_tick: u32) {
        let unit = self.unit(deadline_tick);
        unit.store(unit.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// So many entries that were to expire at this tick are no more.
    #[inline]
    pub(super) fn sub(&self, deadline_tick: u32, count: u32) {
        let unit = self.unit(deadline_tick);
        unit.store(unit.load(Relaxed).wrapping_sub(count), Relaxed);
    }

    /// How many entries have less than each of `edges`, in rising order, left at `now`; one more
    /// for the rest. What is overdue counts with the first. Exact to 134 ms.
    pub fn left(&self, now: Instant, edges: &[Duration]) -> Vec<u64> {
        let mut found = vec![0; edges.len() + 1];
        let current = unit_of(now);
        for back in 1..=PAST_UNITS {
            found[0] += self.at(current.wrapping_sub(back));
        }
        for ahead in 0..UNITS - PAST_UNITS {
            let left = Duration::from_nanos(u64::from(ahead) << (TICK_SHIFT + UNIT_TICKS_SHIFT));
            let place = edges.partition_point(|edge| *edge <= left);
            found[place] += self.at(current.wrapping_add(ahead));
        }
        found
    }

    /// Entries that should have expired before `now` and are still there, those that are late by
    /// less than 134 ms not counted.
    pub fn overdue(&self, now: Instant) -> u64 {
        let current = unit_of(now);
        (1..=PAST_UNITS).map(|back| self.at(current.wrapping_sub(back))).sum()
    }

    fn at(&self, unit: u32) -> u64 {
        self.units[(unit & (UNITS - 1)) as usize].load(Relaxed).into()
    }
}

fn unit_of(now: Instant) -> u32 {
    (now.nanos() >> (TICK_SHIFT + UNIT_TICKS_SHIFT)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_in_order_and_hold_what_they_say() {
        let mut before = 0;
        for nanos in (0..64).flat_map(|shift| [1u64 << shift, (1 << shift) + (1 << shift >> 1)]) {
            let bucket = bucket_of(nanos);
            assert!(bucket >= before, "{nanos}");
            before = bucket;
            if nanos < 1 << 39 {
                assert!(nanos < upper_end(bucket), "{nanos} in {bucket}");
                assert!(nanos < 1 << 10 || upper_end(bucket) <= nanos + nanos / 4 + 1, "{nanos}");
            }
        }
    }

    #[test]
    fn quantiles() {
        let lag = Lag::default();
        assert_eq!((lag.quantile_ns(0.99), lag.max_ns()), (0, 0));
        (0..90).for_each(|_| lag.record(500_000, 11));
        lag.record(9_000_000, 10);
        assert!((500_000..=625_000).contains(&lag.quantile_ns(0.99)));
        assert_eq!(
            (lag.quantile_ns(1.0), lag.max_ns(), lag.count()),
            (9_000_000, 9_000_000, 1_000)
        );
    }

    #[test]
    fn the_calendar_tells_what_is_left() {
        let calendar = Calendar::default();
        let now = Instant::from_millis(4_503_599_000);
        let tick = |millis: u64| (((4_503_599_000 + millis) * 1_000_000) >> TICK_SHIFT) as u32;
        for millis in [1_000, 5_000, 20_000, 59_000] {
            calendar.add(tick(millis));
        }
        let edges = [10, 30, 40].map(Duration::from_secs);
        assert_eq!(calendar.left(now, &edges), [2, 1, 0, 1]);
        assert_eq!(calendar.overdue(now), 0);
        let later = now + Duration::from_secs(6);
        assert_eq!(calendar.overdue(later), 2);
        assert_eq!(calendar.left(later, &edges), [2, 1, 0, 1]);
        calendar.sub(tick(1_000), 1);
        calendar.sub(tick(59_000), 1);
        assert_eq!(calendar.left(later, &edges), [1, 1, 0, 0]);
    }
}
