//! The retransmission time-out: RFC 6298.

use super::config::Config;
use crate::time::nanos;

/// Smoothed round-trip time and what follows from it. All times in microseconds; 0 = not measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RttEstimator {
    /// SRTT.
    pub srtt_us: u32,
    /// RTTVAR.
    pub rttvar_us: u32,
    /// The least of all measurements.
    pub min_us: u32,
    /// How often the time-out has been doubled since the last measurement (RFC 6298 §5.5).
    backoff: u8,
    /// The handshake was retransmitted: 3 s until a measurement says better (RFC 6298 §5.7).
    cautious: bool,
}

impl RttEstimator {
    /// Takes in a measurement that is not ambiguous (Karn), in microseconds (RFC 6298 §2.2, §2.3).
    pub fn measured(&mut self, rtt_us: u32) {
        let rtt_us = rtt_us.max(1);
        if self.srtt_us == 0 {
            self.srtt_us = rtt_us;
            self.rttvar_us = rtt_us / 2;
            self.min_us = rtt_us;
        } else {
            // RTTVAR = 3/4 RTTVAR + 1/4 |SRTT - R|; SRTT = 7/8 SRTT + 1/8 R
            let error = self.srtt_us.abs_diff(rtt_us);
            self.rttvar_us = self.rttvar_us - self.rttvar_us / 4 + error / 4;
            self.srtt_us = (self.srtt_us - self.srtt_us / 8 + rtt_us / 8).max(1);
        }
        self.min_us = self.min_us.min(rtt_us);
        self.backoff = 0;
        self.cautious = false;
    }

    /// Takes in a measurement by timestamps, which is up to a millisecond short (RFC 7323 §4.1). It
    /// says nothing new where round trips are shorter than that.
    pub fn measured_coarsely(&mut self, ms: u32) {
        if ms > 1 || self.srtt_us == 0 {
            self.measured(ms * 1_000 + 500);
        }
    }

    /// The time-out now, in nanoseconds, with back-off (RFC 6298 §2, §5.5).
    pub fn rto_nanos(&self, config: &Config) -> u64 {
        let base = if self.srtt_us == 0 {
            let initial = nanos(config.rto_initial);
            if self.cautious { initial.max(3_000_000_000) } else { initial }
        } else {
            let us = u64::from(self.srtt_us) + (4 * u64::from(self.rttvar_us)).max(1);
            (us * 1_000).max(nanos(config.rto_min))
        };
        if self.backoff == 0 {
            return base.min(nanos(config.rto_max));
        }
        base.checked_shl(self.backoff.into())
            .filter(|doubled| doubled >> self.backoff == base)
            .unwrap_or(u64::MAX)
            .min(nanos(config.rto_max))
    }

    /// The timer ran out: the next time-out is twice as long.
    pub fn back_off(&mut self) {
        self.backoff = (self.backoff + 1).min(31);
    }

    /// An ACK for new data came: the path works again (RFC 6298 §5.7, last paragraph of §5).
    pub fn path_works(&mut self) {
        self.backoff = 0;
    }

    /// The SYN had to be retransmitted (RFC 6298 §5.7).
    pub fn note_handshake_retransmitted(&mut self) {
        self.backoff = 0;
        self.cautious = true;
    }

    /// Doublings in force.
    pub fn backoff(&self) -> u8 {
        self.backoff
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn first_measurement_sets_both() {
        let mut rtt = RttEstimator::default();
        let config = Config { rto_min: Duration::from_millis(1), ..Config::default() };
        assert_eq!(rtt.rto_nanos(&config), 1_000_000_000);
        rtt.measured(10_000);
        assert_eq!((rtt.srtt_us, rtt.rttvar_us), (10_000, 5_000));
        assert_eq!(rtt.rto_nanos(&config), 30_000_000);
        for _ in 0..100 {
            rtt.measured(10_000);
        }
        assert!(rtt.rto_nanos(&config) < 11_000_000);
    }

    #[test]
    fn backs_off_to_the_limit_and_recovers() {
        let mut rtt = RttEstimator::default();
        let config = Config::default();
        rtt.measured(1_000);
        assert_eq!(rtt.rto_nanos(&config), 200_000_000);
        rtt.back_off();
        assert_eq!(rtt.rto_nanos(&config), 400_000_000);
        for _ in 0..60 {
            rtt.back_off();
        }
        assert_eq!(rtt.rto_nanos(&config), 120_000_000_000);
        rtt.measured(1_000);
        assert_eq!(rtt.rto_nanos(&config), 200_000_000);
    }

    #[test]
    fn retransmitted_handshake_is_cautious() {
        let mut rtt = RttEstimator::default();
        rtt.back_off();
        rtt.note_handshake_retransmitted();
        assert_eq!(rtt.rto_nanos(&Config::default()), 3_000_000_000);
    }
}
