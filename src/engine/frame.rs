//! Writes TCP segments as whole frames, and queues the short ones that belong to no connection.

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

/// Frames that wait to be sent and belong to no connection: RSTs, ACKs of TIME-WAIT, ARP, pings.
/// Bounded; what finds it full is dropped, as the network might have done.
pub(super) struct ControlQueue {
    bytes: Box<[u8]>,
    lens: Box<[u16]>,
    slot_len: usize,
    head: usize,
    tail: usize,
}

/// Frames that the queue holds.
const CONTROL_FRAMES: usize = 1_024;

impl ControlQueue {
    /// A queue for frames of up to `max_frame` octets.
    pub fn new(max_frame: usize) -> Self {
        ControlQueue {
            bytes: vec![0; CONTROL_FRAMES * max_frame].into_boxed_slice(),
            lens: vec![0; CONTROL_FRAMES].into_boxed_slice(),
            slot_len: max_frame,
            head: 0,
            tail: 0,
        }
    }

    /// Lets `write` fill in a frame; it says how long it is, or `None` for no frame after all.
    /// False if the queue is full.
    #[must_use]
    pub fn push(&mut self, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> bool {
        if self.tail == CONTROL_FRAMES {
            return false;
        }
        let at = self.tail * self.slot_len;
        if let Some(len) = write(&mut self.bytes[at..at + self.slot_len]) {
            self.lens[self.tail] = len as u16;
            self.tail += 1;
        }
        true
    }

    /// Is nothing queued?
    pub fn is_empty(&self) -> bool {
        self.head == self.tail
    }

    /// The next frame, first in, first out. The slots are used again from the first one as soon as
    /// the queue is empty, so that a short queue stays in the cache.
    pub fn pop(&mut self) -> Option<&[u8]> {
        if self.head == self.tail {
            return None;
        }
        let at = self.head * self.slot_len;
        let len = usize::from(self.lens[self.head]);
        self.head += 1;
        if self.head == self.tail {
            (self.head, self.tail) = (0, 0);
        }
        Some(&self.bytes[at..at + len])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_frames_come_out_in_order_and_are_bounded() {
        let mut queue = ControlQueue::new(64);
        let push = |queue: &mut ControlQueue, n: usize| {
            queue.push(|room| {
                room[0] = n as u8;
                Some(n % 60 + 1)
            })
        };
        for n in 0..CONTROL_FRAMES {
            assert!(push(&mut queue, n));
        }
        assert!(!push(&mut queue, 0));
        for n in 0..CONTROL_FRAMES {
            let frame = queue.pop().unwrap();
            assert_eq!((frame[0], frame.len()), (n as u8, n % 60 + 1));
        }
        assert!(queue.pop().is_none());
        assert!(push(&mut queue, 7));
        assert_eq!(queue.pop().unwrap()[0], 7);
    }
}
