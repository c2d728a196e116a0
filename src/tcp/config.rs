//! What is a stack's own habit, as configuration.

use super::congestion::Algorithm;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// What to do with a 4-tuple that is in TIME-WAIT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeWaitPolicy {
    /// Wait for the whole 2·MSL; a new SYN is only answered by an ACK.
    Strict,
    /// Wait, but let an acceptable SYN reopen the 4-tuple (RFC 6191, RFC 9293 §3.10.7.4).
    #[default]
    Reuse,
    /// No TIME-WAIT at all: for benchmarks, and unsafe on a real network.
    Off,
}

/// Whether a SYN is answered without keeping anything of it (RFC 4987 §3.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SynCookies {
    /// Never: what finds no room is dropped.
    Off,
    /// When the SYN cache or the backlog of the listener is full, until both are half empty.
    #[default]
    Auto,
    /// Always.
    Always,
}

/// Keep-alive: probes on an idle connection (RFC 9293 §3.8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// Silence before the first probe.
    pub idle: Duration,
    /// Time between probes.
    pub interval: Duration,
    /// Unanswered probes before the connection is given up.
    pub count: u8,
}

impl Default for KeepAlive {
    /// Two hours (RFC 9293 §3.8.4), then 9 probes 75 s apart.
    fn default() -> Self {
        KeepAlive { idle: Duration::from_secs(7_200), interval: Duration::from_secs(75), count: 9 }
    }
}

/// Habits and limits of TCP, the same for every connection of an engine unless the connection says
/// otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Maximum segment lifetime; TIME-WAIT lasts twice as long (RFC 9293 §3.4.2 says 2 minutes,
    /// Linux and the BSDs wait 60 s in all, hence 30 s).
    pub msl: Duration,
    /// Maximum segment lifetime towards hosts on the same link, in place of the other one.
    pub msl_on_link: Option<Duration>,
    /// What a 4-tuple in TIME-WAIT may be reused for.
    pub time_wait: TimeWaitPolicy,
    /// Ignore RST in TIME-WAIT (RFC 1337 §3, its fix F1).
    pub rfc1337: bool,
    /// Smallest retransmission time-out (RFC 6298 §2.4 says 1 s; Linux uses 200 ms).
    pub rto_min: Duration,
    /// Largest retransmission time-out (RFC 6298 §2.5: at least 60 s).
    pub rto_max: Duration,
    /// Retransmission time-out before the first measurement (RFC 6298 §2.1).
    pub rto_initial: Duration,
    /// How often an unanswered SYN is sent again.
    pub syn_retries: u8,
    /// How often an unanswered SYN-ACK is sent again.
    pub synack_retries: u8,
    /// How often unanswered data is sent again before the connection is given up (R2 of RFC 9293
    /// §3.8.3).
    pub data_retries: u8,
    /// Give up a connection whose data has waited this long for an ACK, whatever the retries
    /// (RFC 9293 §3.8.3, RFC 5482).
    pub user_timeout: Option<Duration>,
    /// The largest MSS to announce and use, in octets.
    pub mss: Option<u16>,
    /// Offer and accept window scaling (RFC 7323 §2).
    pub window_scale: bool,
    /// Offer and accept timestamps (RFC 7323 §3).
    pub timestamps: bool,
    /// Take segments without a timestamp though timestamps were agreed on. RFC 7323 §3.2 says to drop
    /// them: PAWS protects nothing if a segment may leave its timestamp out. Linux takes them, for
    /// middleboxes that take options away.
    pub tolerate_missing_timestamps: bool,
    /// Offer and accept SACK (RFC 2018), and with it RACK and tail loss probes (RFC 8985).
    pub sack: bool,
    /// Offer and accept ECN (RFC 3168).
    pub ecn: bool,
    /// How the congestion window grows and shrinks.
    pub congestion: Algorithm,
    /// Leave slow start when the delay rises (HyStart++, RFC 9406).
    pub hystart: bool,
    /// Spread the segments of a window over the round trip (pacing).
    pub pacing: bool,
    /// Octets that a connection may hold unacknowledged and unsent.
    pub send_buffer: u32,
    /// Octets that a connection may hold unread; the largest window it announces.
    pub receive_buffer: u32,
    /// Octets of window that a connection announces at first; it doubles, up to the buffer, each time
    /// that the peer fills it within two round trips.
    pub receive_window: u32,
    /// Out-of-order segments that a connection may hold (CVE-2018-5390).
    pub reassembly_segments: u16,
    /// How long an ACK may wait for company (RFC 5681 §4.2: under 500 ms).
    pub delayed_ack: Duration,
    /// Segments with data, from the start of a connection, that are acknowledged without delay.
    pub quick_acks: u8,
    /// Initial congestion window, in segments (RFC 6928).
    pub initial_window: u8,
    /// Switch Nagle's algorithm off from the start (RFC 9293 §3.7.4).
    pub nodelay: bool,
    /// SO_LINGER from the start: what a close does about unacknowledged bytes. `None` leaves them to
    /// the background, zero resets, a time waits for them (where the application can wait).
    pub linger: Option<Duration>,
    /// How long a closed connection waits for its peer to take an eighth of a send buffer, or what is
    /// left, before it is reset: R2 of RFC 9293 §3.8.3, at least 100 s (SHLD-11).
    pub orphan_timeout: Duration,
    /// How long a closed connection waits in FIN-WAIT-2 for the peer's FIN.
    pub fin_wait_2: Duration,
    /// Keep-alive for every connection; off by default (RFC 9293 MUST-25).
    pub keep_alive: Option<KeepAlive>,
    /// Challenge ACKs that one connection may send in a second, and SYN-ACKs that a half-open one may
    /// send for SYNs that come again (RFC 5961 §7).
    pub challenge_acks_per_s: u8,
    /// SYN cookies for listeners that do not say otherwise.
    pub syn_cookies: SynCookies,
    /// SYNs that one source, an IPv4 address or an IPv6 /64, may send in a second; what goes beyond
    /// is dropped. `None` = any number.
    pub syn_limit_per_s: Option<u16>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            msl: Duration::from_secs(30),
            msl_on_link: None,
            time_wait: TimeWaitPolicy::Reuse,
            rfc1337: true,
            rto_min: Duration::from_millis(200),
            rto_max: Duration::from_secs(120),
            rto_initial: Duration::from_secs(1),
            syn_retries: 6,
            synack_retries: 5,
            data_retries: 15,
            user_timeout: None,
            mss: None,
            window_scale: true,
            timestamps: true,
            tolerate_missing_timestamps: false,
            sack: true,
            ecn: false,
            congestion: Algorithm::Cubic,
            hystart: true,
            pacing: false,
            send_buffer: 1 << 20,
            receive_buffer: 1 << 20,
            receive_window: 1 << 16,
            reassembly_segments: 1_024,
            delayed_ack: Duration::from_millis(40),
            quick_acks: 16,
            initial_window: 10,
            nodelay: false,
            linger: None,
            orphan_timeout: Duration::from_secs(100),
            fin_wait_2: Duration::from_secs(60),
            keep_alive: None,
            challenge_acks_per_s: 10,
            syn_cookies: SynCookies::Auto,
            syn_limit_per_s: None,
        }
    }
}

impl Config {
    /// The longest maximum segment lifetime: four times that of RFC 9293 §3.4.2.
    pub const MAX_MSL: Duration = Duration::from_secs(480);

    /// Is it a maximum segment lifetime that an engine can use: above zero and no longer than
    /// [`MAX_MSL`](Self::MAX_MSL)?
    pub fn is_msl(msl: Duration) -> bool {
        !msl.is_zero() && msl <= Self::MAX_MSL
    }

    /// The window scale to offer: the smallest with which the receive buffer can be announced, at
    /// most 14 (RFC 7323 §2.3).
    pub fn scale_for_buffer(&self) -> u8 {
        (0..14).find(|shift| self.receive_buffer >> shift <= 0xffff).unwrap_or(14)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scale_just_fits_the_buffer() {
        let with =
            |receive_buffer| Config { receive_buffer, ..Config::default() }.scale_for_buffer();
        assert_eq!(with(65_535), 0);
        assert_eq!(with(65_536), 1);
        assert_eq!(with(1 << 20), 5);
        assert_eq!(with(u32::MAX), 14);
    }
}
