//! Frames of the peer's that carry something else than TCP.

use crate::*;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use lastack::wire::arp::{self, Arp, Operation};
use lastack::wire::ethernet::{self, ETHERTYPE_ARP};
use lastack::wire::icmpv4::Icmpv4;
use lastack::wire::icmpv6::Icmpv6;
use lastack::wire::{MacAddr, PROTOCOL_ICMPV4, PROTOCOL_ICMPV6, PROTOCOL_UDP, checksum};

/// A ping from the remote end of `tcp` to its local one.
pub fn ping(tcp: &Exchange) -> Vec<u8> {
    let (ident, sequence, data) = (7, 1, &b"are you there?"[..]);
    match (tcp.remote.ip(), tcp.local.ip()) {
        (IpAddr::V4(_), _) => {
            let message = Icmpv4::EchoRequest { ident, sequence, data };
            let mut bytes = vec![0; message.len()];
            message.write(&mut bytes);
            tcp.packet(PROTOCOL_ICMPV4, &bytes)
        }
        (IpAddr::V6(_), _) => icmpv6(tcp, &Icmpv6::EchoRequest { ident, sequence, data }),
    }
}

/// An ICMPv6 message from the remote end of `tcp` to its local one.
pub fn icmpv6(tcp: &Exchange, message: &Icmpv6<'_>) -> Vec<u8> {
    let (IpAddr::V6(src), IpAddr::V6(dst)) = (tcp.remote.ip(), tcp.local.ip()) else {
        panic!("ends of IPv6")
    };
    let mut bytes = vec![0; message.len()];
    message.write(&mut bytes, src, dst);
    tcp.packet(PROTOCOL_ICMPV6, &bytes)
}

/// A neighbour message: as [`icmpv6`], with the hop limit that RFC 4861 §7.1 wants.
pub fn neighbour_message(tcp: &Exchange, message: &Icmpv6<'_>) -> Vec<u8> {
    let mut frame = icmpv6(tcp, message);
    frame[if tcp.vlan.is_some() { 25 } else { 21 }] = 255;
    frame
}

/// A UDP datagram with its checksum.
pub fn udp(tcp: &Exchange, data: &[u8]) -> Vec<u8> {
    let len = (8 + data.len()) as u16;
    let mut bytes = Vec::new();
    for field in [tcp.remote.port(), 53, len, 0] {
        bytes.extend(field.to_be_bytes());
    }
    bytes.extend(data);
    let pseudo = checksum::pseudo(tcp.remote.ip(), tcp.local.ip(), PROTOCOL_UDP, bytes.len());
    let sum = checksum::finish(pseudo + checksum::sum(&bytes));
    bytes[6..8].copy_from_slice(&sum.to_be_bytes());
    tcp.packet(PROTOCOL_UDP, &bytes)
}

/// An ARP message in a frame from the peer to all.
pub fn arp(
    tcp: &Exchange,
    operation: Operation,
    (sender_mac, sender_ip): (MacAddr, &str),
    target_ip: &str,
) -> Vec<u8> {
    let at = ethernet::header_len(tcp.vlan);
    let mut frame = vec![0; at + arp::LEN];
    ethernet::write_header(&mut frame, MacAddr::BROADCAST, PEER_MAC, tcp.vlan, ETHERTYPE_ARP);
    let address = |text: &str| text.parse::<Ipv4Addr>().unwrap();
    let message = Arp {
        operation,
        sender_mac,
        sender_ip: address(sender_ip),
        target_mac: MacAddr::ZERO,
        target_ip: address(target_ip),
    };
    message.write(&mut frame[at..]);
    frame
}

/// A solicitation for our address.
pub fn solicitation(tcp: &Exchange, source_link: Option<MacAddr>) -> Vec<u8> {
    let target: Ipv6Addr = "2001:db8::1".parse().unwrap();
    neighbour_message(tcp, &Icmpv6::NeighbourSolicitation { target, source_link })
}

/// What each kind of traffic between the ends of `tcp` looks like: SYN, a stray segment, ping, UDP and
/// a protocol that nobody knows.
pub fn of_each_kind(tcp: &Exchange) -> [Vec<u8>; 5] {
    let stray = ack().seq(300).ack(1);
    [
        tcp.frame_of(&syn().seq(300)),
        tcp.frame_of(&stray),
        ping(tcp),
        udp(tcp, b"anyone?"),
        tcp.packet(132, b"no such protocol"),
    ]
}

/// The same frame to another station.
pub fn to_station(mut frame: Vec<u8>, to: MacAddr) -> Vec<u8> {
    frame[..6].copy_from_slice(&to.0);
    frame
}

/// The same frame from another station.
pub fn from_station(mut frame: Vec<u8>, from: MacAddr) -> Vec<u8> {
    frame[6..12].copy_from_slice(&from.0);
    frame
}
