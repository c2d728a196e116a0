//! TCP sequence numbers (RFC 9293 §3.4): points on a circle of 2^32.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};

/// A point in the sequence space.
///
/// There is no `Ord`: "before" on a circle is not transitive. Two points compare only when they are
/// less than 2^31 apart, which RFC 9293 guarantees for those that a live connection can meet.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SeqNumber(u32);

impl SeqNumber {
    /// The sequence number with this value on the wire.
    pub const fn new(value: u32) -> Self {
        SeqNumber(value)
    }

    /// The value on the wire.
    pub const fn value(self) -> u32 {
        self.0
    }

    /// Signed distance from here to `later`, in octets; negative if `later` comes before.
    #[inline]
    pub const fn steps_to(self, later: Self) -> i32 {
        later.0.wrapping_sub(self.0) as i32
    }

    /// Does this point come before `other`?
    #[inline]
    pub const fn before(self, other: Self) -> bool {
        self.steps_to(other) > 0
    }

    /// Does this point come after `other`?
    #[inline]
    pub const fn after(self, other: Self) -> bool {
        self.steps_to(other) < 0
    }

    /// Is this point `other`, or before it?
    #[inline]
    pub const fn at_or_before(self, other: Self) -> bool {
        self.steps_to(other) >= 0
    }

    /// Is this point `other`, or after it?
    #[inline]
    pub const fn at_or_after(self, other: Self) -> bool {
        self.steps_to(other) <= 0
    }

    /// The earlier of two points.
    #[inline]
    pub const fn earlier(self, other: Self) -> Self {
        if self.before(other) { self } else { other }
    }

    /// The later of two points.
    #[inline]
    pub const fn later(self, other: Self) -> Self {
        if self.before(other) { other } else { self }
    }
}

impl Add<u32> for SeqNumber {
    type Output = SeqNumber;

    #[inline]
    fn add(self, octets: u32) -> SeqNumber {
        SeqNumber(self.0.wrapping_add(octets))
    }
}

impl AddAssign<u32> for SeqNumber {
    #[inline]
    fn add_assign(&mut self, octets: u32) {
        *self = *self + octets;
    }
}

impl Sub<u32> for SeqNumber {
    type Output = SeqNumber;

    #[inline]
    fn sub(self, octets: u32) -> SeqNumber {
        SeqNumber(self.0.wrapping_sub(octets))
    }
}

impl fmt::Debug for SeqNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_across_the_wrap() {
        let last = SeqNumber::new(u32::MAX);
        let first = last + 1;
        assert_eq!(first, SeqNumber::new(0));
        assert!(last.before(first) && first.after(last));
        assert!(last.at_or_before(last) && last.at_or_after(last));
        assert_eq!(last.steps_to(first), 1);
        assert_eq!(first.steps_to(last), -1);
        assert_eq!(last.later(first), first);
        assert_eq!(last.earlier(first), last);
        assert_eq!(first - 1, last);
    }
}
