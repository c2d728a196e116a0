//! A burst comes in: parse and hash all, ask for their lines of the flow table, look all up, then run
//! the protocol.
//!
//! The stages let the cache misses of one frame hide behind the work of the others: when the first
//! segment is processed, the table lines and connections of the whole burst are on their way.

use super::flow_table::{FlowHash, Kind};
use super::stack::Stack;
use crate::net::address::{is_host_v4, is_host_v6};
use crate::port::{RxChecksum, RxFrame};
use crate::tcp::{Ip, Tuple};
use crate::wire::ethernet::{ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Ethernet};
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::Ipv6;
use crate::wire::tcp::Segment;
use crate::wire::{MacAddr, Malformed, PROTOCOL_ICMPV4, PROTOCOL_ICMPV6, PROTOCOL_TCP, checksum};

/// CE, of the two ECN bits of an IP header (RFC 3168 §5).
const CONGESTION_EXPERIENCED: u8 = 3;

/// Frames that go through the stages together.
pub(super) const BATCH: usize = 32;

/// A TCP segment on its way through the stages.
#[derive(Clone, Copy, Default)]
pub(super) struct Staged {
    pub tuple: Tuple,
    pub hash: FlowHash,
    /// Which frame of the burst it is.
    pub index: u16,
    /// Where in the frame the segment lies.
    start: u16,
    end: u16,
    /// What the flow table had for it, before the burst was processed.
    pub found: Option<(Kind, u32)>,
    /// CE stood in the IP header (RFC 3168 §5).
    pub congestion: bool,
    /// Who sent the frame: replies that belong to no connection go back there.
    pub from: MacAddr,
}

/// TCP in a packet for us.
struct Carried<'a> {
    segment: &'a [u8],
    /// The partial sum of the pseudo header.
    pseudo: u32,
    /// It comes from an address that a host may have (RFC 1122 §3.2.1.3). Whether that can be another
    /// host is asked only where no connection takes the segment.
    from_host: bool,
}

impl Stack {
    /// Parses a frame. A TCP segment is staged in `staged`, field by field: a copy of it all would
    /// wait for each of them. Everything else is dealt with at once, and gives `None`.
    pub(super) fn stage(&mut self, frame: RxFrame<'_>, staged: &mut Staged) -> Option<()> {
        self.metrics.rx_packets.bump();
        self.metrics.rx_bytes.add(frame.bytes.len() as u64);
        let ethernet = match Ethernet::parse(frame.bytes) {
            Ok(ethernet) => ethernet,
            Err(malformed) => return self.drop_malformed(malformed),
        };
        let drops = &self.metrics.drops;
        let reason = if ethernet.vlan_id() != self.vlan_id {
            &drops.vlan
        } else if ethernet.dst != self.link.mac && !ethernet.dst.is_multicast() {
            &drops.not_our_mac
        } else if !ethernet.src.is_individual() {
            &drops.bad_source_mac
        } else {
            staged.from = ethernet.src;
            match ethernet.ethertype {
                ETHERTYPE_IPV4 => return self.stage_ipv4(&ethernet, frame, staged),
                ETHERTYPE_IPV6 => return self.stage_ipv6(&ethernet, frame, staged),
                ETHERTYPE_ARP => {
                    self.arp_arrives(&ethernet);
                    return None;
                }
                _ => &drops.ethertype,
            }
        };
        reason.bump();
        None
    }

    #[inline(always)] // it has one caller, and is on the way of each frame
    fn stage_ipv4(
        &mut self,
        ethernet: &Ethernet<'_>,
        frame: RxFrame<'_>,
        staged: &mut Staged,
    ) -> Option<()> {
        let packet = match Ipv4::parse(ethernet.payload) {
            Ok(packet) => packet,
            Err(malformed) => return self.drop_malformed(malformed),
        };
        let drops = &self.metrics.drops;
        let intact = match frame.checksum {
            RxChecksum::Unknown => packet.checksum_ok(),
            RxChecksum::Good => true,
            RxChecksum::Bad => false,
        };
        let reason = if !intact {
            &drops.checksum
        } else if !self.routes.is_our_ipv4(packet.dst) {
            &drops.not_our_address
        } else if ethernet.dst.is_multicast() {
            &drops.group_frame // RFC 1122 §3.3.6; RFC 9293 MUST-57
        } else if packet.is_fragment() {
            &drops.fragment
        } else if packet.protocol == PROTOCOL_ICMPV4 {
            return self.icmpv4_arrives(&{ packet }, ethernet.src);
        } else if packet.protocol != PROTOCOL_TCP {
            return self.unknown_ipv4(&{ packet }, ethernet);
        } else {
            let Ipv4 { src, dst, payload, .. } = packet;
            let carried = Carried {
                segment: payload,
                pseudo: checksum::pseudo_ipv4(src, dst, PROTOCOL_TCP, payload.len() as u16),
                from_host: is_host_v4(src),
            };
            let (local_port, remote_port) = self.stage_segment(&carried, frame, staged)?;
            staged.congestion = packet.ecn() == CONGESTION_EXPERIENCED;
            staged.tuple.local = Ip::v4(dst);
            staged.tuple.remote = Ip::v4(src);
            staged.hash =
                self.secrets.flows.hash_v4(dst.to_bits(), src.to_bits(), local_port, remote_port);
            return Some(());
        };
        reason.bump();
        None
    }

    #[inline(never)] // so that the way of IPv4 frames stays short
    fn stage_ipv6(
        &mut self,
        ethernet: &Ethernet<'_>,
        frame: RxFrame<'_>,
        staged: &mut Staged,
    ) -> Option<()> {
        let packet = match Ipv6::parse(ethernet.payload) {
            Ok(packet) => packet,
            Err(malformed) => return self.drop_malformed(malformed),
        };
        let drops = &self.metrics.drops;
        let ours = self.routes.is_our_ipv6(packet.dst)
            || (packet.protocol == PROTOCOL_ICMPV6 && self.routes.is_our_group(packet.dst));
        let reason = if !ours {
            &drops.not_our_address
        } else if ethernet.dst.is_multicast() && !packet.dst.is_multicast() {
            &drops.group_frame
        } else if packet.is_fragment() {
            &drops.fragment
        } else if packet.protocol == PROTOCOL_ICMPV6 {
            return self.icmpv6_arrives(&{ packet }, ethernet.src);
        } else if packet.protocol != PROTOCOL_TCP {
            return self.unknown_ipv6(&{ packet }, ethernet);
        } else {
            let Ipv6 { src, dst, payload, .. } = packet;
            let carried = Carried {
                segment: payload,
                pseudo: checksum::pseudo_ipv6(src, dst, PROTOCOL_TCP, payload.len() as u32),
                from_host: is_host_v6(src),
            };
            self.stage_segment(&carried, frame, staged)?;
            staged.congestion = packet.ecn() == CONGESTION_EXPERIENCED;
            staged.tuple.local = Ip::v6(dst);
            staged.tuple.remote = Ip::v6(src);
            staged.hash = self.hash(&staged.tuple);
            return Some(());
        };
        reason.bump();
        None
    }

    /// Stages all but the addresses; returns our port and the peer's.
    #[inline]
    fn stage_segment(
        &mut self,
        carried: &Carried<'_>,
        frame: RxFrame<'_>,
        staged: &mut Staged,
    ) -> Option<(u16, u16)> {
        let Carried { segment, pseudo, from_host } = *carried;
        self.metrics.tcp.in_segs.bump();
        if self.sheds(segment) {
            self.metrics.drops.syn_shed.bump();
            return None;
        }
        let intact = match frame.checksum {
            RxChecksum::Unknown => checksum::fold(pseudo + checksum::sum(segment)) == 0xffff,
            RxChecksum::Good => true,
            RxChecksum::Bad => false,
        };
        if !intact {
            self.metrics.tcp.in_csum_errors.bump();
            self.metrics.drops.checksum.bump();
            return None;
        }
        if !from_host {
            self.metrics.drops.bad_source.bump(); // RFC 9293 MUST-63
            return None;
        }
        let Some(ports) = segment.first_chunk::<4>() else {
            return self.drop_malformed(Malformed::ShortTcp);
        };
        let local_port = u16::from_be_bytes([ports[2], ports[3]]);
        let remote_port = u16::from_be_bytes([ports[0], ports[1]]);
        staged.tuple.local_port = local_port;
        staged.tuple.remote_port = remote_port;
        let start = segment.as_ptr().addr() - frame.bytes.as_ptr().addr();
        let (Ok(start), Ok(end)) = (u16::try_from(start), u16::try_from(start + segment.len()))
        else {
            return self.drop_malformed(Malformed::LongFrame);
        };
        (staged.start, staged.end) = (start, end);
        Some((local_port, remote_port))
    }

    /// Looks a staged segment up; the connection's first line comes into the cache on the way.
    #[inline]
    pub(super) fn look_up(&self, tuple: &Tuple, hash: FlowHash) -> Option<(Kind, u32)> {
        self.table.lookup(hash, |kind, index| match kind {
            Kind::Connection => self.conns[index].tcp.tuple == *tuple,
            Kind::TimeWait4 => tuple.is_v4() && self.time_waits.v4[index].is_for(tuple),
            Kind::TimeWait6 => !tuple.is_v4() && self.time_waits.v6[index].is_for(tuple),
            Kind::SynCache => self.syn_cache.is_for(index, tuple),
        })
    }

    /// Where in its frame the segment lies, and how long its header is, when its turn comes.
    #[inline]
    pub(super) fn header_of<'a>(
        &mut self,
        staged: &Staged,
        frame: RxFrame<'a>,
    ) -> Option<(&'a [u8], usize)> {
        let bytes = &frame.bytes[usize::from(staged.start)..usize::from(staged.end)];
        match Segment::header_len_in(bytes) {
            Ok(header_len) => Some((bytes, header_len)),
            Err(malformed) => {
                self.metrics.tcp.in_errs.bump();
                self.not_for_tcp += 1;
                self.drop_malformed(malformed)
            }
        }
    }

    #[cold]
    pub(super) fn drop_malformed<T>(&mut self, _: Malformed) -> Option<T> {
        self.metrics.drops.malformed.bump();
        None
    }
}
