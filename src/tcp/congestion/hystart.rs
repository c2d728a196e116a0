//! HyStart++ (RFC 9406): leaves slow start when the delay rises, before the queue overflows.

use super::control::Ack;
use crate::wire::seq::SeqNumber;

/// MIN_RTT_THRESH and MAX_RTT_THRESH (RFC 9406 §4.3), in microseconds.
const LEAST_RISE_US: u32 = 4_000;
const LARGEST_RISE_US: u32 = 16_000;
/// MIN_RTT_DIVISOR.
const RISE_DIVISOR: u32 = 8;
/// N_RTT_SAMPLE.
const SAMPLES: u8 = 8;
/// CSS_GROWTH_DIVISOR.
const CONSERVATIVE_DIVISOR: u32 = 4;
/// CSS_ROUNDS.
const CONSERVATIVE_ROUNDS: u8 = 5;
/// L of RFC 9406 §4.2 for a sender that does not pace: octets of at most this many segments count
/// for each ACK.
const MOST_SEGMENTS: u32 = 8;

/// What slow start keeps of the delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HyStart {
    /// The round is over when this is acknowledged.
    round_end: SeqNumber,
    /// The least delay of the last round and of this one, in microseconds; `u32::MAX` = none.
    last_us: u32,
    current_us: u32,
    /// The least delay when conservative slow start began.
    baseline_us: u32,
    samples: u8,
    /// Rounds of conservative slow start that are left; 0 = in plain slow start.
    conservative: u8,
    begun: bool,
}

/// What an ACK does to the window in slow start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// Octets to add.
    pub octets: u32,
    /// Slow start is over: the threshold is where the window is now.
    pub over: bool,
}

/// Octets that one ACK adds in slow start (RFC 9406 §4.2).
pub fn slow_start(acked: u32, mss: u32) -> u32 {
    acked.min(mss.saturating_mul(MOST_SEGMENTS))
}

impl HyStart {
    /// Slow start begins.
    pub const fn new() -> Self {
        HyStart {
            round_end: SeqNumber::new(0),
            last_us: u32::MAX,
            current_us: u32::MAX,
            baseline_us: u32::MAX,
            samples: 0,
            conservative: 0,
            begun: false,
        }
    }

    /// An ACK in slow start: RFC 9406 §4.2.
    pub fn on_ack(&mut self, ack: &Ack) -> Growth {
        let mut over = false;
        if !self.begun || ack.una.after(self.round_end) {
            over = self.begun && self.end_conservative_round();
            self.begun = true;
            self.round_end = ack.nxt;
            (self.last_us, self.current_us, self.samples) = (self.current_us, u32::MAX, 0);
        }
        if let Some(rtt_us) = ack.rtt_us {
            self.current_us = self.current_us.min(rtt_us);
            self.samples = self.samples.saturating_add(1);
        }
        let full = slow_start(ack.acked, ack.mss);
        if self.samples >= SAMPLES && self.current_us != u32::MAX {
            self.judge_delay();
        }
        let octets = if self.conservative > 0 { full / CONSERVATIVE_DIVISOR } else { full };
        Growth { octets, over }
    }

    fn judge_delay(&mut self) {
        if self.conservative > 0 {
            if self.current_us < self.baseline_us {
                // the rise was none: back to slow start
                (self.conservative, self.baseline_us) = (0, u32::MAX);
            }
        } else if self.last_us != u32::MAX {
            let rise = (self.last_us / RISE_DIVISOR).clamp(LEAST_RISE_US, LARGEST_RISE_US);
            if self.current_us >= self.last_us.saturating_add(rise) {
                (self.conservative, self.baseline_us) = (CONSERVATIVE_ROUNDS, self.current_us);
            }
        }
    }

    /// True if that was the last round of conservative slow start.
    fn end_conservative_round(&mut self) -> bool {
        if self.conservative == 0 {
            return false;
        }
        self.conservative -= 1;
        self.conservative == 0
    }
}

impl Default for HyStart {
    fn default() -> Self {
        HyStart::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1_000;

    /// One round of eight ACKs with the delay of each; the octets that the window grew by, and
    /// whether slow start ended.
    fn round(hystart: &mut HyStart, number: u32, rtt_us: u32) -> (u32, bool) {
        let mut grown = (0, false);
        for n in 0..10 {
            let una = SeqNumber::new(number * 10 * MSS + (n + 1) * MSS);
            let ack = Ack {
                acked: MSS,
                flight: 10 * MSS,
                mss: MSS,
                now_us: 0,
                rtt_us: Some(rtt_us),
                srtt_us: rtt_us,
                limited: true,
                una,
                nxt: SeqNumber::new((number + 1) * 10 * MSS),
            };
            let growth = hystart.on_ack(&ack);
            grown = (grown.0 + growth.octets, grown.1 | growth.over);
        }
        grown
    }

    #[test]
    fn a_steady_delay_changes_nothing() {
        let mut hystart = HyStart::new();
        for number in 0..50 {
            assert_eq!(round(&mut hystart, number, 20_000), (10 * MSS, false));
        }
    }

    #[test]
    fn a_rise_slows_and_five_rounds_later_it_is_over() {
        let mut hystart = HyStart::new();
        round(&mut hystart, 0, 20_000);
        assert_eq!(round(&mut hystart, 1, 23_900), (10 * MSS, false), "less than 4 ms");
        let (grown, over) = round(&mut hystart, 2, 28_000);
        assert!(grown < 10 * MSS && !over, "{grown}");
        let over_at = (3..20).find(|&number| {
            let (grown, over) = round(&mut hystart, number, 28_000);
            assert!(over || grown == 10 * MSS / 4, "{grown}");
            over
        });
        assert_eq!(over_at, Some(7));
    }

    #[test]
    fn a_rise_that_goes_away_was_none() {
        let mut hystart = HyStart::new();
        round(&mut hystart, 0, 20_000);
        round(&mut hystart, 1, 30_000);
        round(&mut hystart, 2, 20_000);
        assert_eq!(round(&mut hystart, 3, 20_000), (10 * MSS, false));
    }
}
