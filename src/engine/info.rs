//! What can be asked about a connection: the fields of Linux' `tcp_info`.

use super::error::Error;
use super::stack::{ConnId, Stack};
use crate::tcp::congestion::Control;
use crate::tcp::recovery::Phase;
use crate::tcp::{Flag, State};
use core::time::Duration;

/// A snapshot of a connection. Names follow `struct tcp_info` of Linux, without the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpInfo {
    /// The state.
    pub state: State,
    /// Retransmission time-outs since the last progress.
    pub retransmits: u8,
    /// Unanswered zero-window or keep-alive probes.
    pub probes: u8,
    /// Doublings of the retransmission time-out in force.
    pub backoff: u8,
    /// Are timestamps in use?
    pub timestamps: bool,
    /// The shifts of the windows, if scaling is in use: of the peer's, of ours.
    pub window_scale: Option<(u8, u8)>,
    /// The retransmission time-out.
    pub rto: Duration,
    /// Largest payload of a segment sent, in octets.
    pub snd_mss: u32,
    /// Segments' worth of octets sent and not acknowledged, in octets.
    pub unacked: u32,
    /// Octets written and not sent yet.
    pub notsent_bytes: u32,
    /// Octets received and not read.
    pub unread: u32,
    /// Octets held out of order.
    pub reassembly_bytes: u32,
    /// Smoothed round-trip time, zero if not measured.
    pub rtt: Duration,
    /// Its mean deviation.
    pub rttvar: Duration,
    /// Congestion window, in octets.
    pub snd_cwnd: u32,
    /// Slow-start threshold, in octets; `u32::MAX` before the first loss.
    pub snd_ssthresh: u32,
    /// The peer's window, in octets.
    pub snd_wnd: u32,
    /// Our window as announced, in octets.
    pub rcv_wnd: u32,
    /// Is the connection in loss recovery?
    pub recovering: bool,
    /// Octets that the peer has out of order, by its SACK.
    pub sacked: u32,
    /// Octets taken for lost and not sent again yet.
    pub lost: u32,
    /// Octets to read up to the end of the peer's urgent data, if there is some.
    pub urgent: Option<u32>,
    /// Is SACK in use?
    pub sack: bool,
    /// Is ECN in use?
    pub ecn: bool,
}

impl Stack {
    /// A snapshot of a connection.
    ///
    /// # Errors
    /// [`Error::BadHandle`] if the handle was closed.
    pub fn info(&self, conn: ConnId) -> Result<TcpInfo, Error> {
        Ok(self.info_at(self.open_index(conn)?))
    }

    /// A snapshot of the connection at `index`.
    pub(super) fn info_at(&self, index: u32) -> TcpInfo {
        let tcp = &self.conns[index].tcp;
        let recovery = tcp.recovery_state(&self.recovery);
        let micros = |us: u32| Duration::from_micros(us.into());
        let sent = tcp.snd_una.steps_to(tcp.snd_nxt) as u32;
        TcpInfo {
            state: tcp.state(),
            retransmits: tcp.retries,
            probes: tcp.probes,
            backoff: tcp.rtt.backoff(),
            timestamps: tcp.is(Flag::Timestamps),
            window_scale: tcp.is(Flag::WindowScale).then_some((tcp.snd_scale, tcp.rcv_scale)),
            rto: Duration::from_nanos(tcp.rtt.rto_nanos(&self.config)),
            snd_mss: tcp.mss.into(),
            unacked: tcp.snd_una.steps_to(tcp.snd_max) as u32,
            notsent_bytes: tcp.send.len().saturating_sub(sent),
            unread: tcp.receive.len(),
            reassembly_bytes: tcp.reassembly.octets(),
            rtt: micros(tcp.rtt.srtt_us),
            rttvar: micros(tcp.rtt.rttvar_us),
            snd_cwnd: tcp.congestion.window(),
            snd_ssthresh: tcp.congestion.threshold(),
            snd_wnd: tcp.snd_wnd,
            rcv_wnd: tcp.rcv_nxt.steps_to(tcp.rcv_adv).max(0) as u32,
            recovering: recovery.0 != Phase::Open,
            sacked: recovery.1,
            lost: recovery.2,
            urgent: tcp.urgent_ahead(),
            sack: tcp.is(Flag::Sack),
            ecn: tcp.is(Flag::Ecn),
        }
    }
}
