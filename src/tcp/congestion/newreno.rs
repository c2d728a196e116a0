//! NewReno: RFC 5681 with the partial ACKs of RFC 6582.

use super::Congestion;

/// The state of NewReno, in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewReno {
    cwnd: u32,
    ssthresh: u32,
}

impl NewReno {
    /// Starts with an initial window of `segments` segments (RFC 6928).
    pub fn new(segments: u8, mss: u32) -> Self {
        NewReno { cwnd: u32::from(segments.max(1)) * mss, ssthresh: u32::MAX }
    }
}

/// RFC 5681 equation 4: half of what is in flight, at least two segments.
fn half(flight: u32, mss: u32) -> u32 {
    (flight / 2).max(2 * mss)
}

impl Congestion for NewReno {
    #[inline]
    fn window(&self) -> u32 {
        self.cwnd
    }

    fn threshold(&self) -> u32 {
        self.ssthresh
    }

    #[inline]
    fn on_ack(&mut self, acked: u32, mss: u32) {
        let growth = if self.cwnd < self.ssthresh {
            acked.min(mss) // RFC 5681 equation 2
        } else {
            (u64::from(mss) * u64::from(mss) / u64::from(self.cwnd)).max(1) as u32 // equation 3
        };
        self.cwnd = self.cwnd.saturating_add(growth);
    }

    fn on_loss(&mut self, flight: u32, mss: u32) {
        self.ssthresh = half(flight, mss);
        self.cwnd = self.ssthresh + 3 * mss; // RFC 5681 §3.2 step 3
    }

    fn on_duplicate_in_recovery(&mut self, mss: u32) {
        self.cwnd = self.cwnd.saturating_add(mss); // RFC 5681 §3.2 step 4
    }

    fn on_partial_ack(&mut self, acked: u32, mss: u32) {
        // RFC 6582 §3.2 step 3: deflate by what was acknowledged, add back one segment
        self.cwnd = self.cwnd.saturating_sub(acked).max(mss);
        if acked >= mss {
            self.cwnd += mss;
        }
    }

    fn on_recovered(&mut self, flight: u32, mss: u32) {
        // RFC 6582 §3.2 step 3, option 1: no burst when recovery ends
        self.cwnd = self.ssthresh.min(flight.max(mss) + mss);
    }

    fn on_timeout(&mut self, flight: u32, mss: u32, first: bool) {
        if first {
            self.ssthresh = half(flight, mss);
        }
        self.cwnd = mss; // the loss window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1_000;

    #[test]
    fn slow_start_doubles_then_grows_by_one_segment_a_round() {
        let mut cc = NewReno::new(10, MSS);
        for _ in 0..10 {
            cc.on_ack(MSS, MSS);
        }
        assert_eq!(cc.window(), 20 * MSS);
        cc.on_timeout(20 * MSS, MSS, true);
        assert_eq!((cc.window(), cc.threshold()), (MSS, 10 * MSS));
        while cc.window() < cc.threshold() {
            cc.on_ack(MSS, MSS);
        }
        let before = cc.window();
        for _ in 0..before / MSS {
            cc.on_ack(MSS, MSS);
        }
        assert!((cc.window() - before).abs_diff(MSS) < MSS / 10);
    }

    #[test]
    fn recovery_ends_at_half() {
        let mut cc = NewReno::new(20, MSS);
        cc.on_loss(20 * MSS, MSS);
        assert_eq!(cc.window(), 13 * MSS);
        cc.on_duplicate_in_recovery(MSS);
        cc.on_partial_ack(3 * MSS, MSS);
        assert_eq!(cc.window(), 12 * MSS);
        cc.on_recovered(9 * MSS, MSS);
        assert_eq!(cc.window(), 10 * MSS);
    }
}
