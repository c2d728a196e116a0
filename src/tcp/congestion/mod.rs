//! Congestion control: how much may be in flight (RFC 5681).

pub mod newreno;

pub use newreno::NewReno;

/// What a congestion controller is told, and what it answers. All sizes in octets.
pub trait Congestion {
    /// The congestion window.
    fn window(&self) -> u32;
    /// The slow-start threshold.
    fn threshold(&self) -> u32;
    /// `acked` octets of new data were acknowledged outside of loss recovery.
    fn on_ack(&mut self, acked: u32, mss: u32);
    /// Three duplicate ACKs: one segment of `flight` octets was lost (RFC 5681 §3.2).
    fn on_loss(&mut self, flight: u32, mss: u32);
    /// Another duplicate ACK while recovering: one more segment has left the network.
    fn on_duplicate_in_recovery(&mut self, mss: u32);
    /// `acked` octets were acknowledged, but not all that was sent before the loss (RFC 6582 §3.2
    /// step 3).
    fn on_partial_ack(&mut self, acked: u32, mss: u32);
    /// All that was sent before the loss is acknowledged; `flight` octets are outstanding.
    fn on_recovered(&mut self, flight: u32, mss: u32);
    /// The retransmission timer ran out; `first` if the segment was not retransmitted before
    /// (RFC 5681 §3.1, equation 4).
    fn on_timeout(&mut self, flight: u32, mss: u32, first: bool);
}
