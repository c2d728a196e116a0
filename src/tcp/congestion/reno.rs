//! NewReno: the window of RFC 5681, in octets (RFC 3465).

use super::control::{Ack, Control};
use super::hystart::{HyStart, slow_start};

/// Where the window grows to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Growth {
    /// The first slow start, with what HyStart++ keeps.
    Watched(HyStart),
    /// Octets acknowledged towards the next segment that congestion avoidance adds.
    Counted(u32),
}

/// The state of NewReno, in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reno {
    cwnd: u32,
    ssthresh: u32,
    growth: Growth,
}

impl Reno {
    /// Starts with a window of `window` octets; `hystart` watches the delay in slow start.
    pub fn new(window: u32, hystart: bool) -> Self {
        let growth = if hystart { Growth::Watched(HyStart::new()) } else { Growth::Counted(0) };
        Reno { cwnd: window, ssthresh: u32::MAX, growth }
    }
}

/// RFC 5681 equation 4: half of what is in flight, at least two segments.
fn half(flight: u32, mss: u32) -> u32 {
    (flight / 2).max(mss.saturating_mul(2))
}

impl Control for Reno {
    #[inline]
    fn window(&self) -> u32 {
        self.cwnd
    }

    fn threshold(&self) -> u32 {
        self.ssthresh
    }

    fn on_ack(&mut self, ack: &Ack) {
        if !ack.limited {
            return;
        }
        if self.cwnd < self.ssthresh {
            let grown = match &mut self.growth {
                Growth::Watched(hystart) => {
                    let grown = hystart.on_ack(ack);
                    if grown.over {
                        self.ssthresh = self.cwnd.max(ack.mss.saturating_mul(2));
                        self.growth = Growth::Counted(0);
                        return;
                    }
                    grown.octets
                }
                Growth::Counted(_) => slow_start(ack.acked, ack.mss),
            };
            self.cwnd = self.cwnd.saturating_add(grown);
            return;
        }
        // RFC 3465 §2.1: a segment for each window's worth of octets
        let counted = match self.growth {
            Growth::Counted(octets) => octets.saturating_add(ack.acked),
            Growth::Watched(_) => ack.acked,
        };
        let (segments, rest) = (counted / self.cwnd.max(1), counted % self.cwnd.max(1));
        self.cwnd = self.cwnd.saturating_add(segments.saturating_mul(ack.mss));
        self.growth = Growth::Counted(rest);
    }

    fn on_congestion(&mut self, flight: u32, mss: u32, _: u32) {
        self.ssthresh = half(flight, mss);
        self.cwnd = self.ssthresh;
        self.growth = Growth::Counted(0);
    }

    fn on_timeout(&mut self, flight: u32, mss: u32, _: u32, first: bool) {
        if first {
            self.ssthresh = half(flight, mss);
        }
        self.cwnd = mss; // the loss window
        self.growth = Growth::Counted(0);
    }

    fn set_window(&mut self, octets: u32) {
        self.cwnd = octets;
    }

    fn after_idle(&mut self, initial_window: u32, _: u32, _: u32, _: u32) {
        self.cwnd = self.cwnd.min(initial_window);
    }
}

impl Reno {
    /// What was taken for a loss was none: as in `before`, unless the window has grown meanwhile.
    pub fn undo(&mut self, before: &Reno) {
        *self = Reno { cwnd: self.cwnd.max(before.cwnd), ..*before };
    }
}
