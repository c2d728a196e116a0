//! Initial sequence numbers: RFC 6528 §3.

use crate::time::Instant;
use crate::wire::seq::SeqNumber;

/// How far the ISN of a reopened 4-tuple is put beyond the last sequence number of the old
/// incarnation, in octets: more than any window that an unscaled old duplicate could fall into.
const REOPEN_GAP: u32 = 65_536;

/// `ISN = M + F(4-tuple, secret)`: `keyed_hash` is F, and M ticks every 4 µs (RFC 6528 §3).
pub fn isn(now: Instant, keyed_hash: u32) -> SeqNumber {
    SeqNumber::new(((now.nanos() / 4_000) as u32).wrapping_add(keyed_hash))
}

/// The ISN for a 4-tuple whose old incarnation had sent up to `old_snd_nxt`: the usual one if it is
/// later, else one that is (RFC 9293 §3.4.3, RFC 6191 §2).
pub fn isn_after(now: Instant, keyed_hash: u32, old_snd_nxt: SeqNumber) -> SeqNumber {
    isn(now, keyed_hash).later(old_snd_nxt + REOPEN_GAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_every_four_microseconds() {
        let start = isn(Instant::from_millis(1), 7);
        assert_eq!(start.steps_to(isn(Instant::from_millis(2), 7)), 250);
        assert_eq!(start.steps_to(isn(Instant::from_millis(1), 9)), 2);
    }

    #[test]
    fn reopening_goes_forward() {
        let old = isn(Instant::from_millis(1), 7) + 5_000_000;
        assert!(isn_after(Instant::from_millis(2), 7, old).after(old));
        let late = isn_after(Instant::from_millis(60_000), 7, old);
        assert_eq!(late, isn(Instant::from_millis(60_000), 7));
    }
}
