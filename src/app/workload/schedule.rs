//! When the requests of an open loop are to start. Pure: no clock, no queue.
//!
//! The schedule is its own queue: an arrival that nobody was free for stays the next one, with its
//! intended time.

use crate::time::Instant;
use core::time::Duration;

/// How arrivals are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Evenly.
    Fixed,
    /// As a Poisson process: independent, exponentially distributed gaps.
    Poisson,
}

/// The intended start times of an open loop.
///
/// ```
/// use lastack::app::workload::{Arrival, Schedule};
/// use lastack::time::Instant;
///
/// let mut schedule = Schedule::new(1_000.0, Arrival::Fixed, Instant::ZERO, 0);
/// assert_eq!(schedule.take_due(Instant::ZERO), Some(Instant::ZERO));
/// assert_eq!(schedule.take_due(Instant::from_micros(999)), None);
/// assert_eq!(schedule.take_due(Instant::from_millis(3)), Some(Instant::from_millis(1)));
/// assert_eq!(schedule.next(), Instant::from_millis(2));
/// ```
#[derive(Clone, Debug)]
pub struct Schedule {
    start: Instant,
    arrival: Arrival,
    mean_gap_ns: f64,
    /// How long the rate grows from nothing, in nanoseconds.
    ramp_ns: f64,
    /// Arrivals taken so far.
    taken: u64,
    /// Nanoseconds from the start to the next arrival, for [`Arrival::Poisson`].
    offset_ns: f64,
    random: SplitMix64,
}

impl Schedule {
    /// Arrivals at `rate_per_s` from `start` on. The same seed gives the same times.
    ///
    /// # Panics
    /// If the rate is not a positive number.
    pub fn new(rate_per_s: f64, arrival: Arrival, start: Instant, seed: u64) -> Self {
        assert!(rate_per_s.is_finite() && rate_per_s > 0.0, "a rate is positive");
        Schedule {
            start,
            arrival,
            mean_gap_ns: 1e9 / rate_per_s,
            ramp_ns: 0.0,
            taken: 0,
            offset_ns: 0.0,
            random: SplitMix64(seed),
        }
    }

    /// Lets the rate grow from nothing, evenly, for this time.
    #[must_use]
    pub fn with_ramp(mut self, ramp: Duration) -> Self {
        self.ramp_ns = ramp.as_nanos() as f64;
        self
    }

    /// When so many nanoseconds of the full rate have arrived: with a rate of t/ramp they are t^2/(2 ramp),
    /// and half of the ramp is missing behind it.
    #[inline]
    fn ramped(&self, offset_ns: f64) -> f64 {
        if self.ramp_ns == 0.0 {
            return offset_ns;
        }
        let half = self.ramp_ns / 2.0;
        if offset_ns < half { (2.0 * self.ramp_ns * offset_ns).sqrt() } else { offset_ns + half }
    }

    /// The intended time of the next arrival.
    #[inline]
    pub fn next(&self) -> Instant {
        let offset = match self.arrival {
            // From the count, so that rounding does not add up.
            Arrival::Fixed => self.taken as f64 * self.mean_gap_ns,
            Arrival::Poisson => self.offset_ns,
        };
        self.start.plus_nanos(self.ramped(offset) as u64)
    }

    /// Takes the next arrival if its time has come, and returns that time.
    #[inline]
    pub fn take_due(&mut self, now: Instant) -> Option<Instant> {
        let next = self.next();
        if next > now {
            return None;
        }
        self.taken += 1;
        if self.arrival == Arrival::Poisson {
            // 1 - u is in (0, 1], so the logarithm is finite.
            self.offset_ns -= (1.0 - self.random.unit()).ln() * self.mean_gap_ns;
        }
        Some(next)
    }

    /// Takes all arrivals due by `now` and returns how many there were.
    pub fn take_all_due(&mut self, now: Instant) -> u64 {
        let before = self.taken;
        while self.take_due(now).is_some() {}
        self.taken - before
    }
}

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[derive(Clone, Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(arrival: Arrival, rate: f64, count: usize, seed: u64) -> Vec<f64> {
        let mut schedule = Schedule::new(rate, arrival, Instant::ZERO, seed);
        let times: Vec<u64> =
            (0..=count).map(|_| schedule.take_due(Instant::FAR).unwrap().nanos()).collect();
        times.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect()
    }

    #[test]
    fn fixed_spacing_is_even_and_does_not_drift() {
        let rate = 3_000.0; // a gap of 333,333.3 ns
        assert!(
            gaps(Arrival::Fixed, rate, 10_000, 1).iter().all(|gap| (gap - 333_333.3).abs() < 1.0)
        );
        let mut schedule = Schedule::new(rate, Arrival::Fixed, Instant::from_millis(5), 1);
        assert_eq!(schedule.take_all_due(Instant::from_millis(4)), 0);
        // From 0 to 1,000 s inclusive of both ends.
        assert_eq!(schedule.take_all_due(Instant::from_millis(1_000_005)), 3_000_001);
    }

    #[test]
    fn poisson_gaps_have_the_mean_and_the_spread_of_an_exponential() {
        let gaps = gaps(Arrival::Poisson, 10_000.0, 200_000, 7);
        let n = gaps.len() as f64;
        let mean = gaps.iter().sum::<f64>() / n;
        let deviation = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / n).sqrt();
        assert!((mean / 100_000.0 - 1.0).abs() < 0.01, "mean {mean}");
        assert!((deviation / mean - 1.0).abs() < 0.02, "an exponential deviates by its mean");
        let long = gaps.iter().filter(|&&gap| gap > 300_000.0).count() as f64 / n;
        assert!((long - (-3.0_f64).exp()).abs() < 0.003, "P(gap > 3 means) = e^-3, not {long}");
    }

    #[test]
    fn a_ramp_begins_with_nothing_and_ends_at_the_rate() {
        for arrival in [Arrival::Fixed, Arrival::Poisson] {
            let schedule = Schedule::new(10_000.0, arrival, Instant::from_millis(7), 3);
            let mut schedule = schedule.with_ramp(Duration::from_secs(4));
            let in_quarter: Vec<f64> = (1..=8)
                .map(|half| schedule.take_all_due(Instant::from_millis(7 + half * 1_000)) as f64)
                .collect();
            // rate of t / 4 s: 1/8, 3/8, 5/8, 7/8 of what a second at the full rate brings
            let expected = [1_250.0, 3_750.0, 6_250.0, 8_750.0, 1e4, 1e4, 1e4, 1e4];
            for (found, expected) in in_quarter.iter().zip(expected) {
                assert!((found / expected - 1.0).abs() < 0.1, "{arrival:?} {in_quarter:?}");
            }
        }
    }

    #[test]
    fn a_seed_replays() {
        assert_eq!(gaps(Arrival::Poisson, 9.0, 50, 3), gaps(Arrival::Poisson, 9.0, 50, 3));
        assert_ne!(gaps(Arrival::Poisson, 9.0, 50, 3), gaps(Arrival::Poisson, 9.0, 50, 4));
    }
}
