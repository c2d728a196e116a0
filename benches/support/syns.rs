//! SYNs from sources that do not exist, for in-process tests and benchmarks: a frame that is written
//! once and changed a little for each.

use lastack::wire::ethernet::{self, ETHERTYPE_IPV4, ETHERTYPE_IPV6};
use lastack::wire::ipv4::{self, Ipv4Header};
use lastack::wire::ipv6::{self, Ipv6Header};
use lastack::wire::options::{Options, Timestamps};
use lastack::wire::seq::SeqNumber;
use lastack::wire::tcp::{Flags, Segment};
use lastack::wire::{MacAddr, PROTOCOL_TCP, checksum};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub const SERVER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
#[allow(dead_code)] // as over_ipv6()
pub const SERVER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
pub const SERVER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
pub const CLIENT_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

const L3: usize = ethernet::HEADER_LEN;
const IP_SUM: usize = L3 + 10;
/// The source over IPv4; over IPv6 its second four octets, which are different networks.
const SOURCE: usize = L3 + 12;

/// SYNs, each from another source and with another number.
#[derive(Clone)]
pub struct Syns {
    frame: Vec<u8>,
    next: u32,
    ipv4: bool,
    /// Where the TCP header lies.
    l4: usize,
}

impl Syns {
    /// SYNs to this port over IPv4, with the options of a Linux client: from 98,304 addresses of
    /// 198.18.128.0/17 and 198.19.0.0/16, and another port for each round.
    pub fn new(port: u16) -> Self {
        let mut frame = vec![0; L3 + ipv4::HEADER_LEN + 60];
        let l4 = L3 + ipv4::HEADER_LEN;
        let len = write_syn(&mut frame[l4..], port);
        frame.truncate(l4 + len);
        ethernet::write_header(&mut frame, SERVER_MAC, CLIENT_MAC, None, ETHERTYPE_IPV4);
        let (protocol, ttl, tos, ident) = (PROTOCOL_TCP, 64, 0, 0);
        let (src, dst) = (Ipv4Addr::UNSPECIFIED, SERVER);
        Ipv4Header { src, dst, protocol, ttl, tos, ident, dont_fragment: true }
            .write(&mut frame[L3..], len);
        Syns { next: 0, ipv4: true, l4, frame }.summed(src.into(), dst.into())
    }

    /// SYNs to this port over IPv6, from as many networks of 2001:db8::/32 as there are numbers of 32
    /// bits.
    #[allow(dead_code)] // not everyone who floods does it over both
    pub fn over_ipv6(port: u16) -> Self {
        let l4 = L3 + ipv6::HEADER_LEN;
        let mut frame = vec![0; l4 + 60];
        let len = write_syn(&mut frame[l4..], port);
        frame.truncate(l4 + len);
        ethernet::write_header(&mut frame, SERVER_MAC, CLIENT_MAC, None, ETHERTYPE_IPV6);
        let src = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        let (dst, next_header, hop_limit) = (SERVER_V6, PROTOCOL_TCP, 64);
        Ipv6Header { src, dst, next_header, hop_limit, traffic_class: 0, flow_label: 0 }
            .write(&mut frame[L3..], len);
        Syns { next: 0, ipv4: false, l4, frame }.summed(src.into(), dst.into())
    }

    fn summed(mut self, src: IpAddr, dst: IpAddr) -> Self {
        let segment = &mut self.frame[self.l4..];
        let pseudo = checksum::pseudo(src, dst, PROTOCOL_TCP, segment.len());
        let sum = checksum::finish(pseudo + checksum::sum(segment));
        segment[16..18].copy_from_slice(&sum.to_be_bytes());
        self
    }

    /// Writes the next one; returns its length.
    #[inline]
    pub fn write(&mut self, room: &mut [u8]) -> usize {
        let (n, l4) = (self.next, self.l4);
        self.next = n.wrapping_add(1);
        let source = if self.ipv4 { 0xc612_8000 + n % 0x18000 } else { n }.to_be_bytes();
        let port = (1_024 + (n / 0x18000) as u16 % 60_000).to_be_bytes();
        let number = n.wrapping_mul(2_654_435_761).to_be_bytes();
        let room = &mut room[..self.frame.len()];
        room.copy_from_slice(&self.frame);
        room[SOURCE..SOURCE + 4].copy_from_slice(&source);
        room[l4..l4 + 2].copy_from_slice(&port);
        room[l4 + 4..l4 + 8].copy_from_slice(&number);
        // one's complement: what the fields, which were zero, add (RFC 1624 §3)
        let word =
            |octets: &[u8], at: usize| u32::from(u16::from_be_bytes([octets[at], octets[at + 1]]));
        let mut add = |at: usize, sum: u32| {
            let old = !u16::from_be_bytes([room[at], room[at + 1]]);
            let new = checksum::finish(checksum::fold(u32::from(old) + sum).into());
            room[at..at + 2].copy_from_slice(&new.to_be_bytes());
        };
        let ip = word(&source, 0) + word(&source, 2);
        if self.ipv4 {
            add(IP_SUM, ip);
        }
        add(l4 + 16, ip + word(&port, 0) + word(&number, 0) + word(&number, 2));
        room.len()
    }
}

/// Writes the header of a SYN with the options of a Linux client; returns its length.
fn write_syn(room: &mut [u8], port: u16) -> usize {
    let segment = Segment {
        src_port: 0,
        dst_port: port,
        seq: SeqNumber::default(),
        ack: SeqNumber::default(),
        flags: Flags::SYN,
        window: 64_240,
        urgent: 0,
        options: Options {
            mss: Some(1_460),
            window_scale: Some(7),
            sack_permitted: true,
            timestamps: Some(Timestamps { value: 1_000, echo: 0 }),
            ..Options::NONE
        },
        payload: &[],
    };
    segment.write_header(room)
}
