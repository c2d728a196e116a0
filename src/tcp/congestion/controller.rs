//! The algorithm of a connection, whichever it is.

use super::control::{Ack, Control};
use super::cubic::Cubic;
use super::reno::Reno;
use core::fmt;
use core::str::FromStr;

/// The algorithms that there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// CUBIC (RFC 9438).
    #[default]
    Cubic,
    /// NewReno (RFC 5681, RFC 6582).
    NewReno,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 2] = [Algorithm::Cubic, Algorithm::NewReno];

    /// The name as it is written in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Cubic => "cubic",
            Algorithm::NewReno => "newreno",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No algorithm has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownAlgorithm;

impl fmt::Display for UnknownAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such algorithm of congestion control; there are cubic and newreno")
    }
}

impl core::error::Error for UnknownAlgorithm {}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Algorithm::ALL.into_iter().find(|known| known.name() == name).ok_or(UnknownAlgorithm)
    }
}

/// Congestion control of one connection. A copy from before a loss is what an undo goes back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// CUBIC.
    Cubic(Cubic),
    /// NewReno.
    Reno(Reno),
}

const _: () = assert!(size_of::<Controller>() <= 40);

impl Controller {
    /// Starts with `segments` segments of `mss` octets (RFC 6928); `hystart` leaves slow start when
    /// the delay rises (RFC 9406).
    pub fn new(algorithm: Algorithm, hystart: bool, segments: u8, mss: u32) -> Self {
        let window = u32::from(segments.max(1)) * mss;
        match algorithm {
            Algorithm::Cubic => Controller::Cubic(Cubic::new(window, hystart)),
            Algorithm::NewReno => Controller::Reno(Reno::new(window, hystart)),
        }
    }

    /// What was taken for a loss was none (RFC 4015 §3.2, RFC 9438 §4.9).
    pub fn undo(&mut self, before: &Controller) {
        match (self, before) {
            (Controller::Cubic(now), Controller::Cubic(before)) => now.undo(before),
            (Controller::Reno(now), Controller::Reno(before)) => now.undo(before),
            (now, before) => *now = *before,
        }
    }
}

macro_rules! either {
    ($controller:expr, $algorithm:ident => $call:expr) => {
        match $controller {
            Controller::Cubic($algorithm) => $call,
            Controller::Reno($algorithm) => $call,
        }
    };
}

impl Control for Controller {
    #[inline]
    fn window(&self) -> u32 {
        either!(self, a => a.window())
    }

    #[inline]
    fn threshold(&self) -> u32 {
        either!(self, a => a.threshold())
    }

    #[inline]
    fn on_ack(&mut self, ack: &Ack) {
        either!(self, a => a.on_ack(ack));
    }

    fn on_congestion(&mut self, flight: u32, mss: u32, now_us: u32) {
        either!(self, a => a.on_congestion(flight, mss, now_us));
    }

    fn on_timeout(&mut self, flight: u32, mss: u32, now_us: u32, first: bool) {
        either!(self, a => a.on_timeout(flight, mss, now_us, first));
    }

    fn set_window(&mut self, octets: u32) {
        either!(self, a => a.set_window(octets));
    }

    fn after_idle(&mut self, initial_window: u32, mss: u32, idle_us: u32, now_us: u32) {
        either!(self, a => a.after_idle(initial_window, mss, idle_us, now_us));
    }
}
