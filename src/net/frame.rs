//! Whole frames for what is not TCP: ARP, neighbour discovery and ping.
//!
//! Each function writes the Ethernet header, the IP header and the message to the front of `out`
//! and returns the length of the frame, or `None` if `out` has no room for it.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::address::{ALL_NODES, Interface, solicited_node};
use super::mld::{MOST_RECORDS, Report};
use crate::wire::arp::{self, Arp, Operation};
use crate::wire::ethernet::{self, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6};
use crate::wire::icmpv4::Icmpv4;
use crate::wire::icmpv6::{Icmpv6, NEIGHBOUR_HOP_LIMIT};
use crate::wire::ipv4::{self, Ipv4Header};
use crate::wire::ipv6::{self, Ipv6Header};
use crate::wire::{MacAddr, PROTOCOL_ICMPV4, PROTOCOL_ICMPV6, mld};

/// Time to live, or hop limit, of what we send that is not neighbour discovery (RFC 1700).
pub const TTL: u8 = 64;

/// Our side of the link: what every Ethernet header that we write has in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Our Ethernet address.
    pub mac: MacAddr,
    /// The tag of our frames.
    pub vlan: Option<u16>,
}

impl Link {
    /// The link of an interface.
    pub fn new(interface: &Interface) -> Self {
        Link { mac: interface.mac, vlan: interface.vlan }
    }
}

/// A buffer with room for a header and `len` octets more, the header written.
fn framed(
    out: &mut [u8],
    link: Link,
    dst: MacAddr,
    kind: u16,
    len: usize,
) -> Option<(&mut [u8], usize)> {
    let total = ethernet::header_len(link.vlan) + len;
    let out = out.get_mut(..total)?;
    let at = ethernet::write_header(out, dst, link.mac, link.vlan, kind);
    Some((&mut out[at..], total))
}

/// An ARP message to `dst`.
pub fn write_arp(out: &mut [u8], link: Link, dst: MacAddr, message: &Arp) -> Option<usize> {
    let (out, total) = framed(out, link, dst, ETHERTYPE_ARP, arp::LEN)?;
    message.write(out);
    Some(total)
}

/// An ARP request for `target`: to all, or to the station that was known to have it (RFC 1122
/// §2.3.2.1: unicast poll).
pub fn write_arp_request(
    out: &mut [u8],
    link: Link,
    to: Option<MacAddr>,
    source: Ipv4Addr,
    target: Ipv4Addr,
) -> Option<usize> {
    let message = Arp {
        operation: Operation::Request,
        sender_mac: link.mac,
        sender_ip: source,
        target_mac: MacAddr::ZERO,
        target_ip: target,
    };
    write_arp(out, link, to.unwrap_or(MacAddr::BROADCAST), &message)
}

/// An announcement that `addr` is ours (RFC 5227 §2.3): makes others forget an older station.
pub fn write_gratuitous_arp(out: &mut [u8], link: Link, addr: Ipv4Addr) -> Option<usize> {
    write_arp_request(out, link, None, addr, addr)
}

/// An ICMP message.
pub fn write_icmpv4(
    out: &mut [u8],
    link: Link,
    to: MacAddr,
    src: Ipv4Addr,
    dst: Ipv4Addr,
    message: &Icmpv4<'_>,
) -> Option<usize> {
    let len = message.len();
    u16::try_from(ipv4::HEADER_LEN + len).ok()?;
    let (out, total) = framed(out, link, to, ETHERTYPE_IPV4, ipv4::HEADER_LEN + len)?;
    let header = Ipv4Header {
        src,
        dst,
        protocol: PROTOCOL_ICMPV4,
        ttl: TTL,
        tos: 0,
        ident: 0,
        dont_fragment: true,
    };
    let at = header.write(out, len);
    message.write(&mut out[at..]);
    Some(total)
}

/// An ICMPv6 message.
pub fn write_icmpv6(
    out: &mut [u8],
    link: Link,
    to: MacAddr,
    src: Ipv6Addr,
    dst: Ipv6Addr,
    message: &Icmpv6<'_>,
) -> Option<usize> {
    let len = message.len();
    u16::try_from(len).ok()?;
    let (out, total) = framed(out, link, to, ETHERTYPE_IPV6, ipv6::HEADER_LEN + len)?;
    let neighbour = matches!(
        message,
        Icmpv6::NeighbourSolicitation { .. } | Icmpv6::NeighbourAdvertisement { .. }
    );
    let header = Ipv6Header {
        src,
        dst,
        next_header: PROTOCOL_ICMPV6,
        hop_limit: if neighbour { NEIGHBOUR_HOP_LIMIT } else { TTL },
        traffic_class: 0,
        flow_label: 0,
    };
    let at = header.write(out, len);
    message.write(&mut out[at..], src, dst);
    Some(total)
}

/// A solicitation for `target`: to its group, or to the station that was known to have it
/// (RFC 4861 §7.2.2 and §7.3.1).
pub fn write_solicitation(
    out: &mut [u8],
    link: Link,
    to: Option<MacAddr>,
    source: Ipv6Addr,
    target: Ipv6Addr,
) -> Option<usize> {
    let message = Icmpv6::NeighbourSolicitation { target, source_link: Some(link.mac) };
    let (mac, dst) = match to {
        Some(mac) => (mac, target),
        None => {
            let group = solicited_node(target);
            (MacAddr::for_ipv6_multicast(group), group)
        }
    };
    write_icmpv6(out, link, mac, source, dst, &message)
}

/// An announcement to all nodes that `addr` is ours (RFC 4861 §7.2.6).
pub fn write_unsolicited_advertisement(
    out: &mut [u8],
    link: Link,
    addr: Ipv6Addr,
) -> Option<usize> {
    let message = Icmpv6::NeighbourAdvertisement {
        router: false,
        solicited: false,
        override_known: true,
        target: addr,
        target_link: Some(link.mac),
    };
    write_icmpv6(out, link, MacAddr::for_ipv6_multicast(ALL_NODES), addr, ALL_NODES, &message)
}

/// A probe: does anybody have `addr`? It comes from no address, so that nobody believes it of us
/// (RFC 5227 §2.1.1, RFC 4862 §5.4.2).
pub fn write_probe(out: &mut [u8], link: Link, addr: IpAddr) -> Option<usize> {
    match addr {
        IpAddr::V4(addr) => write_arp_request(out, link, None, Ipv4Addr::UNSPECIFIED, addr),
        IpAddr::V6(addr) => {
            let message = Icmpv6::NeighbourSolicitation { target: addr, source_link: None };
            let group = solicited_node(addr);
            let mac = MacAddr::for_ipv6_multicast(group);
            write_icmpv6(out, link, mac, Ipv6Addr::UNSPECIFIED, group, &message)
        }
    }
}

/// An announcement that `addr` is ours, in the protocol of its family.
pub fn write_announcement(out: &mut [u8], link: Link, addr: IpAddr) -> Option<usize> {
    match addr {
        IpAddr::V4(addr) => write_gratuitous_arp(out, link, addr),
        IpAddr::V6(addr) => write_unsolicited_advertisement(out, link, addr),
    }
}

/// A report of multicast groups that we listen to, from `src`, with router alert and hop limit 1
/// (RFC 3810 §5.2, RFC 2710 §3).
pub fn write_listener_report(
    out: &mut [u8],
    link: Link,
    src: Ipv6Addr,
    report: &Report<'_>,
) -> Option<usize> {
    let mut body = [0; MOST_RECORDS * mld::RECORD_LEN];
    let (dst, kind, rest, len) = match *report {
        Report::V2(kind, groups) => {
            let [high, low] = u16::try_from(groups.len()).ok()?.to_be_bytes();
            let groups = groups.get(..groups.len().min(MOST_RECORDS))?;
            let len = mld::write_records(&mut body, kind, groups);
            (mld::REPORTS_TO, mld::REPORT, [0, 0, high, low], len)
        }
        Report::V1(group) => {
            body[..16].copy_from_slice(&group.octets());
            (group, mld::REPORT_V1, [0; 4], 16)
        }
    };
    let message = Icmpv6::Other { kind, code: 0, rest, body: &body[..len] };
    let len = mld::ROUTER_ALERT.len() + message.len();
    let mac = MacAddr::for_ipv6_multicast(dst);
    let (out, total) = framed(out, link, mac, ETHERTYPE_IPV6, ipv6::HEADER_LEN + len)?;
    let header =
        Ipv6Header { src, dst, next_header: 0, hop_limit: 1, traffic_class: 0, flow_label: 0 };
    let at = header.write(out, len);
    let (alert, rest) = out[at..].split_at_mut(mld::ROUTER_ALERT.len());
    alert.copy_from_slice(&mld::ROUTER_ALERT);
    message.write(rest, src, dst);
    Some(total)
}

/// The question for the station that has `target`, in the protocol of its family. `source` is an
/// address of ours; `None` if it is of the other family.
pub fn write_neighbour_request(
    out: &mut [u8],
    link: Link,
    to: Option<MacAddr>,
    source: IpAddr,
    target: IpAddr,
) -> Option<usize> {
    match (source, target) {
        (IpAddr::V4(source), IpAddr::V4(target)) => {
            write_arp_request(out, link, to, source, target)
        }
        (IpAddr::V6(source), IpAddr::V6(target)) => {
            write_solicitation(out, link, to, source, target)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::checksum;
    use crate::wire::ethernet::Ethernet;
    use crate::wire::icmpv6;
    use crate::wire::ipv4::Ipv4;
    use crate::wire::ipv6::Ipv6;

    const US: Link = Link { mac: MacAddr([2, 0, 0, 0, 0, 1]), vlan: Some(7) };
    const PEER: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

    #[test]
    fn questions_go_to_all_or_to_one() {
        let (us, peer) = (Ipv4Addr::new(198, 18, 0, 1), Ipv4Addr::new(198, 18, 0, 2));
        for (to, dst) in [(None, MacAddr::BROADCAST), (Some(PEER), PEER)] {
            let mut out = [0; 64];
            let len = write_neighbour_request(&mut out, US, to, us.into(), peer.into()).unwrap();
            assert_eq!(len, 18 + 28);
            let frame = Ethernet::parse(&out[..len]).unwrap();
            assert_eq!((frame.dst, frame.src, frame.vlan), (dst, US.mac, Some(7)));
            let message = Arp::parse(frame.payload).unwrap();
            assert_eq!((message.operation, message.target_ip), (Operation::Request, peer));
            assert_eq!((message.sender_mac, message.sender_ip), (US.mac, us));
        }
        let (us, peer): (Ipv6Addr, Ipv6Addr) =
            ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
        let group = "ff02::1:ff00:2".parse().unwrap();
        for (to, dst, ip) in
            [(None, MacAddr([0x33, 0x33, 0xff, 0, 0, 2]), group), (Some(PEER), PEER, peer)]
        {
            let mut out = [0; 128];
            let len = write_neighbour_request(&mut out, US, to, us.into(), peer.into()).unwrap();
            let frame = Ethernet::parse(&out[..len]).unwrap();
            assert_eq!(frame.dst, dst);
            let packet = Ipv6::parse(frame.payload).unwrap();
            assert_eq!((packet.dst, packet.hop_limit), (ip, 255));
            assert!(icmpv6::checksum_ok(packet.src, packet.dst, packet.payload));
            assert_eq!(
                Icmpv6::parse(packet.payload),
                Ok(Icmpv6::NeighbourSolicitation { target: peer, source_link: Some(US.mac) })
            );
        }
        let mixed =
            write_neighbour_request(&mut [0; 128], US, None, us.into(), [198, 18, 0, 2].into());
        assert_eq!(mixed, None);
    }

    #[test]
    fn announcements() {
        let mut out = [0; 128];
        let addr = Ipv4Addr::new(198, 18, 0, 1);
        let len = write_gratuitous_arp(&mut out, US, addr).unwrap();
        let message = Arp::parse(Ethernet::parse(&out[..len]).unwrap().payload).unwrap();
        assert_eq!((message.sender_ip, message.target_ip), (addr, addr));

        let addr = "2001:db8::1".parse().unwrap();
        let len = write_unsolicited_advertisement(&mut out, US, addr).unwrap();
        let frame = Ethernet::parse(&out[..len]).unwrap();
        let packet = Ipv6::parse(frame.payload).unwrap();
        assert_eq!((packet.src, packet.dst, packet.hop_limit), (addr, ALL_NODES, 255));
        assert!(matches!(
            Icmpv6::parse(packet.payload),
            Ok(Icmpv6::NeighbourAdvertisement { solicited: false, override_known: true, .. })
        ));
    }

    #[test]
    fn no_room_is_no_frame() {
        let data = [7; 56];
        let message = Icmpv4::EchoReply { ident: 1, sequence: 2, data: &data };
        let (us, peer) = (Ipv4Addr::new(198, 18, 0, 1), Ipv4Addr::new(198, 18, 0, 2));
        let mut out = [0; 102];
        assert_eq!(write_icmpv4(&mut out[..101], US, PEER, us, peer, &message), None);
        assert_eq!(out, [0; 102], "nothing is written");
        assert_eq!(write_icmpv4(&mut out, US, PEER, us, peer, &message), Some(102));
        let packet = Ipv4::parse(&out[18..]).unwrap();
        assert!(packet.checksum_ok() && checksum::ok(packet.payload));
        assert_eq!(Icmpv4::parse(packet.payload), Ok(message));
        let huge = vec![0; 65_508];
        let message = Icmpv4::EchoReply { ident: 1, sequence: 2, data: &huge };
        assert_eq!(write_icmpv4(&mut vec![0; 70_000], US, PEER, us, peer, &message), None);
    }
}
