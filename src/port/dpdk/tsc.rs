//! The clock of the engines: the time-stamp counter, as nanoseconds.

use crate::time::{Clock, Instant};

/// Fraction bits of a nanosecond per cycle. A rate from 4 MHz up fits into the 64 bits.
const SHIFT: u32 = 56;

/// Turns the time-stamp counter into nanoseconds since the clock was made.
///
/// A copy has the same origin, so engines on several lcores can share one clock; the counters of
/// the cores are taken to run together (`constant_tsc`, `nonstop_tsc`). The rate is a 56-bit
/// fraction, so its rounding error stays under a nanosecond for years. Reading is one counter read
/// and one 64×64-bit multiplication.
#[derive(Clone, Copy, Debug)]
pub struct Tsc {
    origin: u64,
    hz: u64,
    /// Nanoseconds per cycle, with [`SHIFT`] fraction bits.
    nanos_per_cycle: u64,
}

impl Tsc {
    /// A clock whose origin is now. Uses the rate that EAL found; before EAL is initialised it is
    /// measured, which takes 20 ms.
    pub fn new() -> Self {
        // SAFETY: the function reads a variable of EAL, 0 before it is initialised.
        let hz = match unsafe { dpdk_sys::rte_get_tsc_hz() } {
            0 => measured_hz(),
            hz => hz,
        };
        Self::with_rate(read(), hz)
    }

    fn with_rate(origin: u64, hz: u64) -> Self {
        let nanos_per_cycle = (1_000_000_000u128 << SHIFT) / u128::from(hz.max(1));
        let nanos_per_cycle = u64::try_from(nanos_per_cycle).expect("a counter of 4 MHz or more");
        Tsc { origin, hz, nanos_per_cycle }
    }

    /// The counter now. Not serialising: instructions around it may still be under way.
    #[inline(always)]
    pub fn cycles(&self) -> u64 {
        read()
    }

    /// Cycles per second.
    pub fn hz(&self) -> u64 {
        self.hz
    }

    /// The time now.
    #[inline(always)]
    pub fn now(&self) -> Instant {
        self.at(read())
    }

    /// The time at which the counter was `cycles`; the origin if that was before it.
    #[inline(always)]
    pub fn at(&self, cycles: u64) -> Instant {
        Instant::from_nanos(self.nanos(cycles.saturating_sub(self.origin)))
    }

    /// A span of cycles in nanoseconds.
    #[inline(always)]
    pub fn nanos(&self, cycles: u64) -> u64 {
        // The compiler makes one widening multiplication of it.
        ((u128::from(cycles) * u128::from(self.nanos_per_cycle)) >> SHIFT) as u64
    }
}

impl Default for Tsc {
    fn default() -> Self {
        Self::new()
    }
}

/// The counter now.
#[inline(always)]
pub(super) fn read() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has the instruction, and Linux leaves it open to user space.
    unsafe {
        core::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: the function reads a counter register and has no precondition.
    unsafe {
        dpdk_sys::dpx_rdtsc()
    }
}

fn measured_hz() -> u64 {
    let (clock, cycles) = (std::time::Instant::now(), read());
    std::thread::sleep(std::time::Duration::from_millis(20));
    let (elapsed, cycles) = (clock.elapsed(), read() - cycles);
    u64::try_from(u128::from(cycles) * 1_000_000_000 / elapsed.as_nanos().max(1))
        .unwrap_or(u64::MAX)
}

impl Clock for Tsc {
    #[inline]
    fn now(&self) -> Instant {
        Tsc::now(self)
    }

    #[inline]
    fn cycles(&self) -> u64 {
        Tsc::cycles(self)
    }

    #[inline]
    fn at(&self, cycles: u64) -> Instant {
        Tsc::at(self, cycles)
    }

    #[inline]
    fn hz(&self) -> u64 {
        Tsc::hz(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_become_nanoseconds_without_drift() {
        for hz in [24_000_000, 1_000_000_000, 2_600_000_000, 2_999_999_999, 5_700_000_000u64] {
            let clock = Tsc::with_rate(1_000, hz);
            assert_eq!(clock.at(1_000), Instant::ZERO);
            assert_eq!(clock.at(999), Instant::ZERO, "before the origin");
            let year = 365 * 86_400 * hz;
            let nanos = clock.at(1_000 + year).nanos();
            assert!(365 * 86_400 * 1_000_000_000 - nanos <= 1_000, "{hz} Hz: {nanos}");
        }
    }

    #[test]
    fn the_clock_agrees_with_the_one_of_the_system() {
        let clock = Tsc::with_rate(read(), measured_hz());
        let (system, start) = (std::time::Instant::now(), clock.now());
        let mut last = start;
        while system.elapsed() < std::time::Duration::from_millis(50) {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
        let (ours, theirs) = (clock.now().nanos_since(start), system.elapsed().as_nanos() as u64);
        assert!(ours.abs_diff(theirs) < theirs / 20, "{ours} and {theirs}");
    }
}
