//! What an engine counts, shared with whoever wants to read it.

use super::gauges::{Calendar, Lag};
use super::mailbox::InForce;
use super::presence::PresenceGauge;
use crate::tcp::{Counter, Counters, Drops, Handled};

/// The counters of one engine. The engine writes, other threads read.
#[derive(Debug, Default)]
pub struct Metrics {
    /// What TCP did.
    pub tcp: Counters,
    /// Frames that came in and were handled.
    pub handled: Handled,
    /// Frames that went no further.
    pub drops: Drops,
    /// Frames that came in: each is counted once in `handled` or in `drops`.
    pub rx_packets: Counter,
    /// Octets of the frames that came in.
    pub rx_bytes: Counter,
    /// Frames that went out.
    pub tx_packets: Counter,
    /// Octets of the frames that went out.
    pub tx_bytes: Counter,
    /// Connections that there are now, handshakes included, TIME-WAIT not.
    pub connections: Counter,
    /// The most connections that there were at a time.
    pub connections_peak: Counter,
    /// Entries in TIME-WAIT now.
    pub time_wait: Counter,
    /// The most entries in TIME-WAIT that there were at a time.
    pub time_wait_peak: Counter,
    /// Half-open connections now.
    pub syn_cache: Counter,
    /// The most half-open connections that there were at a time.
    pub syn_cache_peak: Counter,
    /// Listeners that answer with cookies because they had no room.
    pub syn_cookies_active: Counter,
    /// How late entries in TIME-WAIT expired, counted from the tick at which their 2·MSL were over.
    pub time_wait_lag: Lag,
    /// When the entries in TIME-WAIT expire.
    pub time_wait_left: Calendar,
    /// Our addresses on the link, and who else claims them.
    pub presence: PresenceGauge,
    /// Settings that may change while it runs.
    pub in_force: InForce,
}
