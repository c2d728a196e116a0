//! ICMP errors of our own: what a packet gets that is for us and that nothing here takes.
//!
//! The caller has made sure that the packet may be answered (RFC 1122 §3.2.2, RFC 4443 §2.4 (e)): it
//! is whole, its checksum is right, it came from [one host](super::route::Routes::is_possible_source)
//! to one address of ours in a frame to us alone, and it is no ICMP error.

use core::time::Duration;

use super::icmp::Answer;
use crate::time::Instant;
use crate::wire::MacAddr;
use crate::wire::icmpv4::{self, Icmpv4};
use crate::wire::icmpv6::{self, Icmpv6};
use crate::wire::ipv4::{self, Ipv4};
use crate::wire::ipv6::{self, Ipv6};

/// Errors in a second, and at a time after a silence.
pub const ERRORS_PER_SECOND: u32 = 1_000;
/// See [`ERRORS_PER_SECOND`].
pub const ERRORS_AT_A_TIME: u32 = 50;

/// The longest error over IPv4 (RFC 1812 §4.3.2.3) and over IPv6 (RFC 4443 §2.4 (c)), IP header
/// included.
const LONGEST_IPV4: usize = 576;
const LONGEST_IPV6: usize = 1_280;

const PROTOCOL_UNREACHABLE_V4: u8 = 2;
const PORT_UNREACHABLE_V4: u8 = 3;
const PORT_UNREACHABLE_V6: u8 = 4;
const PARAMETER_PROBLEM_V6: u8 = 4;
const UNKNOWN_NEXT_HEADER: u8 = 1;

/// What nothing here takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The transport protocol.
    Protocol,
    /// The port.
    Port,
}

/// The error for an IPv4 packet (RFC 1122 §3.2.2.1): the port or the protocol is unreachable. `whole`
/// is the packet from its header on, `to` the station that sent it, `mtu` what the link carries.
pub fn for_ipv4<'a>(
    missing: Missing,
    to: MacAddr,
    packet: &Ipv4<'_>,
    whole: &'a [u8],
    mtu: u16,
) -> Answer<'a> {
    let code = match missing {
        Missing::Protocol => PROTOCOL_UNREACHABLE_V4,
        Missing::Port => PORT_UNREACHABLE_V4,
    };
    let room = LONGEST_IPV4.min(mtu.into()) - ipv4::HEADER_LEN - icmpv4::HEADER_LEN;
    let len = (packet.header.len() + packet.payload.len()).min(room).min(whole.len());
    let message = Icmpv4::Unreachable { code, next_hop_mtu: 0, quoted: &whole[..len] };
    Answer::Icmpv4 { to, src: packet.dst, dst: packet.src, message }
}

/// The error for an IPv6 packet: port unreachable (RFC 4443 §3.1), or a parameter problem that points
/// at the number of the protocol (RFC 8200 §4, RFC 4443 §3.4).
pub fn for_ipv6<'a>(
    missing: Missing,
    to: MacAddr,
    packet: &Ipv6<'_>,
    whole: &'a [u8],
) -> Answer<'a> {
    let room = LONGEST_IPV6 - ipv6::HEADER_LEN - icmpv6::HEADER_LEN;
    let len = (packet.header.len() + packet.payload.len()).min(room).min(whole.len());
    let quoted = &whole[..len];
    let message = match missing {
        Missing::Port => Icmpv6::Unreachable { code: PORT_UNREACHABLE_V6, quoted },
        Missing::Protocol => Icmpv6::Other {
            kind: PARAMETER_PROBLEM_V6,
            code: UNKNOWN_NEXT_HEADER,
            rest: (packet.protocol_at() as u32).to_be_bytes(),
            body: quoted,
        },
    };
    Answer::Icmpv6 { to, src: packet.dst, dst: packet.src, message }
}

/// The token bucket that all ICMP errors of an engine share (RFC 1812 §4.3.2.8, RFC 4443 §2.4 (f)).
/// It is kept as the time at which it will be full again, so it needs no clock of its own.
#[derive(Clone, Copy, Debug)]
pub struct ErrorLimit {
    full_at: Instant,
}

impl ErrorLimit {
    /// A full bucket.
    pub const FULL: ErrorLimit = ErrorLimit { full_at: Instant::ZERO };

    /// Takes a token. False if there is none: the error is not sent.
    #[must_use]
    pub fn take(&mut self, now: Instant) -> bool {
        const TOKEN: Duration = Duration::from_nanos(1_000_000_000 / ERRORS_PER_SECOND as u64);
        let full_at = self.full_at.max(now) + TOKEN;
        let granted = full_at.since(now) <= TOKEN * ERRORS_AT_A_TIME;
        if granted {
            self.full_at = full_at;
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut limit = ErrorLimit::FULL;
        let start = Instant::from_millis(86_400_000);
        let taken = |limit: &mut ErrorLimit, at: Instant| {
            (0..100_000).take_while(|_| limit.take(at)).count()
        };
        assert_eq!(taken(&mut limit, start), 50);
        assert_eq!(taken(&mut limit, start + Duration::from_micros(999)), 0);
        assert_eq!(taken(&mut limit, start + Duration::from_millis(1)), 1);
        assert_eq!(taken(&mut limit, start + Duration::from_millis(11)), 10);
        assert_eq!(taken(&mut limit, start + Duration::from_secs(3_600)), 50, "no more than full");
        let second = (0..10_000).filter(|n| {
            let at = Duration::from_secs(7_200) + Duration::from_micros(n * 100);
            limit.take(start + at)
        });
        assert_eq!(second.count(), 1_049);
    }
}
