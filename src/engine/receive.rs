//! A burst comes in: parse and hash all, ask for their lines of the flow table, look all up, then run
//! the protocol.
//!
//! The stages let the cache misses of one frame hide behind the work of the others: when the first
//! segment is processed, the table lines and connections of the whole burst are on their way.

use super::flow_table::{FlowHash, Kind};
use super::stack::Stack;
use crate::net::address::is_host;
use crate::port::{RxChecksum, RxFrame};
use crate::tcp::{Ip, Tuple};
use crate::wire::ethernet::{ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Ethernet};
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::Ipv6;
use crate::wire::tcp::Segment;
use crate::wire::{MacAddr, Malformed, PROTOCOL_ICMPV4, PROTOCOL_ICMPV6, PROTOCOL_TCP, checksum};
use core::net::IpAddr;

/// CE, of the two ECN bits of an IP header (RFC 3168 §5).
const CONGESTION_EXPERIENCED: u8 = 3;

/// Frames that go through the stages together.
pub(super) const BATCH: usize = 32;

/// A TCP segment on its way through the stages.
#[derive(Clone, Copy)]
pub(super) struct Staged {
    pub tuple: Tuple,
    pub hash: FlowHash,
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

/// A packet for us that carries TCP.
struct Packet<'a> {
    src: IpAddr,
    dst: IpAddr,
    ecn: u8,
    payload: &'a [u8],
}

impl Stack {
    /// Parses a frame. TCP segments are staged; everything else is dealt with at once.
    pub(super) fn stage(&mut self, frame: RxFrame<'_>) -> Option<Staged> {
        self.metrics.rx_packets.bump();
        self.metrics.rx_bytes.add(frame.bytes.len() as u64);
        let ethernet = match Ethernet::parse(frame.bytes) {
            Ok(ethernet) => ethernet,
            Err(malformed) => return self.drop_malformed(malformed),
        };
        if ethernet.vlan_id() != self.vlan_id {
            self.metrics.drops.vlan.bump();
            return None;
        }
        if ethernet.dst != self.link.mac && !ethernet.dst.is_multicast() {
            self.metrics.drops.not_our_mac.bump();
            return None;
        }
        let packet = match ethernet.ethertype {
            ETHERTYPE_IPV4 => self.ipv4(&ethernet, frame.checksum),
            ETHERTYPE_IPV6 => self.ipv6(&ethernet),
            ETHERTYPE_ARP => {
                self.arp_arrives(&ethernet);
                None
            }
            _ => {
                self.metrics.drops.ethertype.bump();
                None
            }
        }?;
        self.stage_segment(&packet, &ethernet, frame)
    }

    #[inline]
    fn ipv4<'a>(&mut self, ethernet: &Ethernet<'a>, known: RxChecksum) -> Option<Packet<'a>> {
        let packet = match Ipv4::parse(ethernet.payload) {
            Ok(packet) => packet,
            Err(malformed) => return self.drop_malformed(malformed),
        };
        let drops = &self.metrics.drops;
        let intact = match known {
            RxChecksum::Unknown => packet.checksum_ok(),
            RxChecksum::Good => true,
            RxChecksum::Bad => false,
        };
        let reason = if !intact {
            &drops.checksum
        } else if !self.routes.is_our_ipv4(packet.dst) {
            &drops.not_our_address
        } else if packet.is_fragment() {
            &drops.fragment
        } else {
            let Ipv4 { src, dst, payload, .. } = packet;
            match packet.protocol {
                PROTOCOL_TCP => {
                    let ecn = packet.ecn();
                    return Some(Packet { src: src.into(), dst: dst.into(), ecn, payload });
                }
                PROTOCOL_ICMPV4 => return self.icmpv4_arrives(&packet, ethernet.src),
                _ => &drops.protocol,
            }
        };
        reason.bump();
        None
    }

    #[inline]
    fn ipv6<'a>(&mut self, ethernet: &Ethernet<'a>) -> Option<Packet<'a>> {
        let packet = match Ipv6::parse(ethernet.payload) {
            Ok(packet) => packet,
            Err(malformed) => return self.drop_malformed(malformed),
        };
        let drops = &self.metrics.drops;
        let ours = self.routes.is_our_ipv6(packet.dst)
            || (packet.protocol == PROTOCOL_ICMPV6 && self.routes.is_our_group(packet.dst));
        let reason = if !ours {
            &drops.not_our_address
        } else if packet.is_fragment() {
            &drops.fragment
        } else {
            let Ipv6 { src, dst, payload, .. } = packet;
            match packet.protocol {
                PROTOCOL_TCP => {
                    let ecn = packet.ecn();
                    return Some(Packet { src: src.into(), dst: dst.into(), ecn, payload });
                }
                PROTOCOL_ICMPV6 => return self.icmpv6_arrives(&packet, ethernet.src),
                _ => &drops.protocol,
            }
        };
        reason.bump();
        None
    }

    #[inline]
    fn stage_segment(
        &mut self,
        packet: &Packet<'_>,
        ethernet: &Ethernet<'_>,
        frame: RxFrame<'_>,
    ) -> Option<Staged> {
        self.metrics.tcp.in_segs.bump();
        let intact = match frame.checksum {
            RxChecksum::Unknown => checksum::tcp_ok(packet.src, packet.dst, packet.payload),
            RxChecksum::Good => true,
            RxChecksum::Bad => false,
        };
        if !intact {
            self.metrics.tcp.in_csum_errors.bump();
            self.metrics.drops.checksum.bump();
            return None;
        }
        if ethernet.dst.is_multicast() || !is_host(packet.src) {
            self.metrics.drops.bad_source.bump(); // RFC 9293 MUST-57, MUST-63
            return None;
        }
        let Some(ports) = packet.payload.first_chunk::<4>() else {
            return self.drop_malformed(Malformed::ShortTcp);
        };
        let tuple = Tuple {
            local: Ip::from(packet.dst),
            remote: Ip::from(packet.src),
            local_port: u16::from_be_bytes([ports[2], ports[3]]),
            remote_port: u16::from_be_bytes([ports[0], ports[1]]),
        };
        let start = packet.payload.as_ptr().addr() - frame.bytes.as_ptr().addr();
        let end = start + packet.payload.len();
        let hash = self.hash(&tuple);
        Some(Staged {
            tuple,
            hash,
            start: u16::try_from(start).ok()?,
            end: u16::try_from(end).ok()?,
            found: None,
            congestion: packet.ecn == CONGESTION_EXPERIENCED,
            from: ethernet.src,
        })
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

    /// The segment itself, when its turn comes.
    #[inline]
    pub(super) fn segment_of<'a>(
        &mut self,
        staged: &Staged,
        frame: RxFrame<'a>,
    ) -> Option<Segment<'a>> {
        match Segment::parse(&frame.bytes[usize::from(staged.start)..usize::from(staged.end)]) {
            Ok(segment) => Some(segment),
            Err(malformed) => {
                self.metrics.tcp.in_errs.bump();
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
