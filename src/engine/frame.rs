//! Writes TCP segments as whole frames.

use crate::net::frame::{Link, TTL};
use crate::port::TxOffload;
use crate::tcp::Tuple;
use crate::wire::ethernet::{self, ETHERTYPE_IPV4, ETHERTYPE_IPV6};
use crate::wire::ipv4::{self, Ipv4Header};
use crate::wire::ipv6::{self, Ipv6Header};
use crate::wire::tcp::Segment;
use crate::wire::{MacAddr, PROTOCOL_TCP, checksum};

/// Where the TCP checksum lies in its header.
const CHECKSUM_AT: usize = 16;

/// ECT(0), of the two ECN bits of an IP header (RFC 3168 §5).
const ECT_0: u8 = 2;

/// Who fills in the checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checksums {
    /// We do.
    Software,
    /// The port does; the pseudo header is left for it.
    Offloaded,
}

/// Where a segment goes, and how.
#[derive(Clone, Copy)]
pub(super) struct Envelope<'a> {
    pub link: Link,
    pub to: MacAddr,
    pub tuple: &'a Tuple,
    pub checksums: Checksums,
    /// The packet may be marked instead of dropped (RFC 3168 §5).
    pub ect: bool,
}

/// Writes a frame with `segment` and `payload_len` octets that `fill` puts behind its header, from
/// our end of the tuple to the peer's. Returns its length and what the port has to add.
///
/// # Panics
/// If `room` is too short for it: segments are cut to the MTU before.
#[inline]
pub(super) fn write_segment(
    room: &mut [u8],
    envelope: Envelope<'_>,
    segment: &Segment<'_>,
    payload_len: usize,
    fill: impl FnOnce(&mut [u8]),
) -> (usize, TxOffload) {
    let Envelope { link, to, tuple, checksums, ect } = envelope;
    let ecn = if ect { ECT_0 } else { 0 };
    let ipv4 = tuple.is_v4();
    let ethertype = if ipv4 { ETHERTYPE_IPV4 } else { ETHERTYPE_IPV6 };
    let l2_len = ethernet::write_header(room, to, link.mac, link.vlan, ethertype);
    let l3_len = if ipv4 { ipv4::HEADER_LEN } else { ipv6::HEADER_LEN };
    let (headers, l4) = room.split_at_mut(l2_len + l3_len);
    let header_len = segment.write_header(l4);
    let l4_len = header_len + payload_len;
    let l4 = &mut l4[..l4_len];
    fill(&mut l4[header_len..]);
    let l3 = &mut headers[l2_len..];
    let pseudo = if ipv4 {
        let (src, dst) = (tuple.local.to_v4(), tuple.remote.to_v4());
        // an atomic datagram: its identification may be anything (RFC 6864 §4.1)
        let (protocol, ttl, tos, ident) = (PROTOCOL_TCP, TTL, ecn, 0);
        let header = Ipv4Header { src, dst, protocol, ttl, tos, ident, dont_fragment: true };
        match checksums {
            Checksums::Software => header.write(l3, l4_len),
            Checksums::Offloaded => header.write_for_offload(l3, l4_len),
        };
        checksum::pseudo_ipv4(src, dst, PROTOCOL_TCP, l4_len as u16)
    } else {
        let (src, dst) = (tuple.local.to_v6(), tuple.remote.to_v6());
        let (next_header, hop_limit) = (PROTOCOL_TCP, TTL);
        Ipv6Header { src, dst, next_header, hop_limit, traffic_class: ecn, flow_label: 0 }
            .write(l3, l4_len);
        checksum::pseudo_ipv6(src, dst, PROTOCOL_TCP, l4_len as u32)
    };
    let (sum, offload) = match checksums {
        Checksums::Software => {
            let sum = segment.header_sum() + checksum::sum(&l4[header_len..]);
            (checksum::finish(pseudo + sum), TxOffload::None)
        }
        Checksums::Offloaded => {
            let (l2_len, l3_len) = (l2_len as u8, l3_len as u8);
            let l4_len = header_len as u8;
            (checksum::fold(pseudo), TxOffload::TcpChecksum { ipv4, l2_len, l3_len, l4_len })
        }
    };
    l4[CHECKSUM_AT..CHECKSUM_AT + 2].copy_from_slice(&sum.to_be_bytes());
    (l2_len + l3_len + l4_len, offload)
}
