//! What congestion control is told, and what it answers.

use crate::wire::seq::SeqNumber;

/// What one ACK outside of fast recovery says. Octets; microseconds of a clock that wraps.
#[derive(Clone, Copy, Debug)]
pub struct Ack {
    /// Octets of which it acknowledges the delivery.
    pub acked: u32,
    /// Octets in flight before it.
    pub flight: u32,
    /// The largest payload of a segment.
    pub mss: u32,
    /// The time.
    pub now_us: u32,
    /// The round trip that it measured.
    pub rtt_us: Option<u32>,
    /// The smoothed round trip, 0 if there is none.
    pub srtt_us: u32,
    /// Was the window what limited the sender? If not it does not grow (RFC 9438 §5.8, RFC 7661).
    pub limited: bool,
    /// SND.UNA after it.
    pub una: SeqNumber,
    /// SND.NXT: when this is acknowledged a round trip is over.
    pub nxt: SeqNumber,
}

/// An algorithm of congestion control (RFC 5681). All sizes in octets.
pub trait Control {
    /// The congestion window.
    fn window(&self) -> u32;
    /// The slow-start threshold, `u32::MAX` before the first loss.
    fn threshold(&self) -> u32;
    /// An ACK for new data, outside of fast recovery.
    fn on_ack(&mut self, ack: &Ack);
    /// Fast recovery begins, or the peer echoes congestion: threshold and window are reduced.
    fn on_congestion(&mut self, flight: u32, mss: u32, now_us: u32);
    /// The retransmission timer ran out; `first` if that was the first time for this segment
    /// (RFC 5681 §3.1, equation 4).
    fn on_timeout(&mut self, flight: u32, mss: u32, now_us: u32, first: bool);
    /// Sets the window: what PRR allows.
    fn set_window(&mut self, octets: u32);
    /// Sending begins again after `idle_us` of silence, longer than a time-out (RFC 5681 §4.1).
    fn after_idle(&mut self, initial_window: u32, mss: u32, idle_us: u32, now_us: u32);
}
