//! Clock values. Nothing here reads a clock: the caller of an engine says what time it is.

use core::fmt;
use core::ops::{Add, Sub};
use core::time::Duration;

/// A point in time: nanoseconds since an origin that the owner of the clock chose.
///
/// Only differences mean something. A `u64` of nanoseconds lasts for 584 years.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The origin of the clock.
    pub const ZERO: Instant = Instant(0);
    /// Later than every other instant; as a deadline it means "never".
    pub const FAR: Instant = Instant(u64::MAX);

    /// The instant `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Instant(nanos)
    }

    /// The instant `micros` microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Self {
        Instant(micros * 1_000)
    }

    /// The instant `millis` milliseconds after the origin.
    pub const fn from_millis(millis: u64) -> Self {
        Instant(millis * 1_000_000)
    }

    /// Nanoseconds since the origin.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// This instant, `nanos` nanoseconds later; stops at [`Instant::FAR`].
    pub const fn plus_nanos(self, nanos: u64) -> Self {
        Instant(self.0.saturating_add(nanos))
    }

    /// Nanoseconds from `earlier` to this instant; 0 if `earlier` is in fact later.
    pub const fn nanos_since(self, earlier: Instant) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Time from `earlier` to this instant; zero if `earlier` is in fact later.
    pub const fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, span: Duration) -> Instant {
        self.plus_nanos(nanos(span))
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    fn sub(self, span: Duration) -> Instant {
        Instant(self.0.saturating_sub(nanos(span)))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Instant::FAR {
            return f.write_str("never");
        }
        write!(f, "{}.{:09}s", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

/// A clock that engines live by.
pub trait Clock {
    /// The time.
    fn now(&self) -> Instant;
    /// A count of cycles, for the share of time that work takes; 0 where there is none.
    fn cycles(&self) -> u64;
    /// The time at which [`cycles`](Self::cycles) gave `cycles`: saves reading the clock twice.
    fn at(&self, cycles: u64) -> Instant;
    /// Cycles in a second; 0 where there are none.
    fn hz(&self) -> u64;
}

/// The nanoseconds of a duration, at most `u64::MAX`.
pub fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_never_wrap() {
        let early = Instant::from_millis(1);
        let late = early + Duration::from_micros(5);
        assert_eq!(late.nanos_since(early), 5_000);
        assert_eq!(early.nanos_since(late), 0);
        assert_eq!(late - Duration::from_secs(1), Instant::ZERO);
        assert_eq!(Instant::FAR + Duration::from_secs(1), Instant::FAR);
    }
}
