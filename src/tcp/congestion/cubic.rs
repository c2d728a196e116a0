//! CUBIC: RFC 9438.
//!
//! Windows are in octets. Time is in milliseconds, and the cube root is that of an integer, so that
//! K is right to a millisecond.

use super::control::{Ack, Control};
use super::hystart::{HyStart, slow_start};

/// An epoch that is longer counts as this long, in microseconds: the cube is beyond any window.
const LONGEST_EPOCH_US: u32 = 1 << 30;
/// The cube of a longer time does not fit, and is beyond any window: a thousand seconds are 4e8
/// segments.
const FARTHEST_MS: i64 = 2_000_000;
/// Fraction bits of W_est.
const FRACTION: u32 = 16;

/// What congestion avoidance keeps (RFC 9438 §4.1.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Epoch {
    /// W_max; 0 after a time-out, when there is none.
    w_max: u32,
    /// cwnd_prior: the window before the last reduction.
    prior: u32,
    /// K, in milliseconds.
    k_ms: u32,
    /// When this congestion avoidance began, in microseconds.
    began_us: u32,
    /// W_est: the window that Reno would have, and its fraction.
    w_est: u32,
    w_est_fraction: u16,
    begun: bool,
    /// What growth has not yet made a whole octet, in octets times the window.
    rest: u32,
}

/// How the window grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Growth {
    /// The first slow start, with what HyStart++ keeps.
    Watched(HyStart),
    /// Everything after it.
    Epoch(Epoch),
}

/// The state of CUBIC, in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cubic {
    cwnd: u32,
    ssthresh: u32,
    growth: Growth,
}

/// The integer cube root, rounded down.
fn cube_root(of: u64) -> u64 {
    let mut root = 0u64;
    for bit in (0..22).rev() {
        let next = root | 1 << bit;
        if next * next <= of / next {
            root = next;
        }
    }
    root
}

/// C (t - K)^3 in octets, with C = 0.4 segments/s^3 and `ms` = t - K (RFC 9438 §4.2, figure 1).
fn cube(ms: i64, mss: u32) -> i64 {
    let ms = ms.clamp(-FARTHEST_MS, FARTHEST_MS);
    ms * ms * ms / 1_000_000 * i64::from(mss) * 2 / 5_000
}

impl Cubic {
    /// Starts with a window of `window` octets; `hystart` watches the delay in slow start.
    pub fn new(window: u32, hystart: bool) -> Self {
        let growth =
            if hystart { Growth::Watched(HyStart::new()) } else { Growth::Epoch(Epoch::default()) };
        Cubic { cwnd: window, ssthresh: u32::MAX, growth }
    }

    /// What was taken for a loss was none (RFC 9438 §4.9.2).
    pub fn undo(&mut self, before: &Cubic) {
        *self = Cubic { cwnd: self.cwnd.max(before.cwnd), ..*before };
    }

    /// RFC 9438 §4.6 and §4.7: what a loss leaves of the epoch.
    fn reduced(&self, timeout: bool) -> Growth {
        let last = match self.growth {
            Growth::Epoch(epoch) => epoch.w_max,
            Growth::Watched(_) => 0,
        };
        let w_max = if timeout {
            0 // §4.8: the next congestion avoidance begins at its own window
        } else if self.cwnd < last {
            // §4.7, fast convergence: (1 + beta) / 2 of the window
            (u64::from(self.cwnd) * 17 / 20) as u32
        } else {
            self.cwnd
        };
        Growth::Epoch(Epoch { w_max, prior: self.cwnd, ..Epoch::default() })
    }

    /// beta = 0.7 of what is in flight, at least two segments (RFC 9438 §4.6).
    fn reduced_threshold(flight: u32, mss: u32) -> u32 {
        ((u64::from(flight) * 7 / 10) as u32).max(mss.saturating_mul(2))
    }
}

impl Epoch {
    /// RFC 9438 §4.2: t = 0.
    fn begin(&mut self, cwnd: u32, mss: u32, now_us: u32) {
        self.begun = true;
        self.began_us = now_us;
        (self.w_est, self.w_est_fraction, self.rest) = (cwnd, 0, 0);
        if cwnd >= self.w_max {
            (self.w_max, self.k_ms) = (cwnd, 0);
        } else {
            // K = cbrt((W_max - cwnd) / C) seconds; 1e9 makes it milliseconds, 1 / C is 5 / 2
            let distance = u64::from(self.w_max - cwnd) * 2_500_000_000 / u64::from(mss.max(1));
            self.k_ms = cube_root(distance) as u32;
        }
    }

    /// The window after an ACK in congestion avoidance.
    fn grow(&mut self, cwnd: u32, ack: &Ack) -> u32 {
        if !self.begun {
            self.begin(cwnd, ack.mss, ack.now_us);
        }
        let mut elapsed_us = ack.now_us.wrapping_sub(self.began_us);
        if elapsed_us > u32::MAX / 2 {
            (self.began_us, elapsed_us) = (ack.now_us, 0); // idle for longer than the clock can say
        } else if elapsed_us > LONGEST_EPOCH_US {
            self.began_us = ack.now_us.wrapping_sub(LONGEST_EPOCH_US);
            elapsed_us = LONGEST_EPOCH_US;
        }
        let w_cubic = |us: u32| {
            let ms = i64::from(us / 1_000) - i64::from(self.k_ms);
            i64::from(self.w_max).saturating_add(cube(ms, ack.mss))
        };
        let now = w_cubic(elapsed_us);
        // §4.2: where the window is to be a round trip from now, between itself and half as much more
        let target = w_cubic(elapsed_us.saturating_add(ack.srtt_us))
            .clamp(cwnd.into(), i64::from(cwnd) + i64::from(cwnd / 2));
        self.grow_estimate(cwnd, ack);
        if now < i64::from(self.w_est) {
            return cwnd.max(self.w_est); // §4.3: the Reno-friendly region
        }
        // §4.4 and §4.5: (target - cwnd) / cwnd for each segment acknowledged
        let distance = (target - i64::from(cwnd)) as u64;
        let cwnd_wide = u64::from(cwnd.max(1));
        let growth = distance * u64::from(ack.acked) + u64::from(self.rest);
        self.rest = (growth % cwnd_wide) as u32;
        u32::try_from(u64::from(cwnd) + growth / cwnd_wide).unwrap_or(u32::MAX)
    }

    /// §4.3: W_est grows by alpha segments for each window acknowledged: 3 (1 - beta) / (1 + beta) =
    /// 9 / 17, and one when it has come back to where the window was.
    fn grow_estimate(&mut self, cwnd: u32, ack: &Ack) {
        let (up, down) = if self.w_est < self.prior { (9, 17) } else { (1, 1) };
        let segments = (u128::from(ack.acked) * u128::from(ack.mss) * up) << FRACTION;
        let grown = segments / (u128::from(cwnd.max(1)) * down);
        let now = (u128::from(self.w_est) << FRACTION) + u128::from(self.w_est_fraction);
        let now = (now + grown).min(u128::from(u32::MAX) << FRACTION);
        (self.w_est, self.w_est_fraction) = ((now >> FRACTION) as u32, now as u16);
    }
}

impl Control for Cubic {
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
        let slow = self.cwnd < self.ssthresh;
        match &mut self.growth {
            Growth::Watched(hystart) if slow => {
                let grown = hystart.on_ack(ack);
                if grown.over {
                    self.ssthresh = self.cwnd.max(ack.mss.saturating_mul(2));
                    self.growth = Growth::Epoch(Epoch::default());
                } else {
                    self.cwnd = self.cwnd.saturating_add(grown.octets);
                }
            }
            Growth::Epoch(_) if slow => {
                self.cwnd = self.cwnd.saturating_add(slow_start(ack.acked, ack.mss));
            }
            Growth::Epoch(epoch) => self.cwnd = epoch.grow(self.cwnd, ack),
            Growth::Watched(_) => self.growth = Growth::Epoch(Epoch::default()),
        }
    }

    fn on_congestion(&mut self, flight: u32, mss: u32, _: u32) {
        self.growth = self.reduced(false);
        self.ssthresh = Cubic::reduced_threshold(flight, mss);
        self.cwnd = self.ssthresh;
    }

    fn on_timeout(&mut self, flight: u32, mss: u32, _: u32, first: bool) {
        if first {
            self.growth = self.reduced(true);
            self.ssthresh = Cubic::reduced_threshold(flight, mss);
        }
        self.cwnd = mss;
    }

    fn set_window(&mut self, octets: u32) {
        self.cwnd = octets;
    }

    fn after_idle(&mut self, initial_window: u32, _: u32, idle_us: u32, _: u32) {
        self.cwnd = self.cwnd.min(initial_window);
        if let Growth::Epoch(epoch) = &mut self.growth {
            epoch.began_us = epoch.began_us.wrapping_add(idle_us); // §5.8: silence is no growth
        }
    }
}

#[cfg(test)]
mod tests;
