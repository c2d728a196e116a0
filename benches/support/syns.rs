//! SYNs from sources that do not exist, for in-process tests and benchmarks: a frame that is written
//! once and changed a little for each.

use lastack::wire::ethernet::{self, ETHERTYPE_IPV4};
use lastack::wire::ipv4::{self, Ipv4Header};
use lastack::wire::options::{Options, Timestamps};
use lastack::wire::seq::SeqNumber;
use lastack::wire::tcp::{Flags, Segment};
use lastack::wire::{MacAddr, PROTOCOL_TCP, checksum};
use std::net::Ipv4Addr;

pub const SERVER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
pub const SERVER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
pub const CLIENT_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

const L3: usize = ethernet::HEADER_LEN;
const L4: usize = L3 + ipv4::HEADER_LEN;
const SOURCE: usize = L3 + 12;
const IP_SUM: usize = L3 + 10;
const PORT: usize = L4;
const NUMBER: usize = L4 + 4;
const TCP_SUM: usize = L4 + 16;

/// SYNs, each from another source: 131,072 addresses of 198.19.0.0/16 and 198.18.128.0/17 by turns,
/// and another port and number each.
#[derive(Clone)]
pub struct Syns {
    frame: Vec<u8>,
    next: u32,
}

impl Syns {
    /// SYNs to this port, with the options of a Linux client.
    pub fn new(port: u16) -> Self {
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
        let mut frame = vec![0; L4 + 60];
        let len = segment.write_header(&mut frame[L4..]);
        frame.truncate(L4 + len);
        ethernet::write_header(&mut frame, SERVER_MAC, CLIENT_MAC, None, ETHERTYPE_IPV4);
        let (protocol, ttl, tos, ident) = (PROTOCOL_TCP, 64, 0, 0);
        let (src, dst) = (Ipv4Addr::UNSPECIFIED, SERVER);
        Ipv4Header { src, dst, protocol, ttl, tos, ident, dont_fragment: true }
            .write(&mut frame[L3..], len);
        let pseudo = checksum::pseudo(src.into(), dst.into(), PROTOCOL_TCP, len);
        let sum = checksum::finish(pseudo + checksum::sum(&frame[L4..]));
        frame[TCP_SUM..TCP_SUM + 2].copy_from_slice(&sum.to_be_bytes());
        Syns { frame, next: 0 }
    }

    /// Writes the next one; returns its length.
    #[inline]
    pub fn write(&mut self, room: &mut [u8]) -> usize {
        let n = self.next;
        self.next = n.wrapping_add(1);
        let source = (0xc612_8000 + n % 0x18000).to_be_bytes();
        let port = (1_024 + (n / 0x18000) as u16 % 60_000).to_be_bytes();
        let number = n.wrapping_mul(2_654_435_761).to_be_bytes();
        let room = &mut room[..self.frame.len()];
        room.copy_from_slice(&self.frame);
        room[SOURCE..SOURCE + 4].copy_from_slice(&source);
        room[PORT..PORT + 2].copy_from_slice(&port);
        room[NUMBER..NUMBER + 4].copy_from_slice(&number);
        let word =
            |octets: &[u8], at: usize| u32::from(u16::from_be_bytes([octets[at], octets[at + 1]]));
        let added = |mut sum: u32| {
            // one's complement: what the fields, which were zero, add (RFC 1624 §3)
            while sum > 0xffff {
                sum = (sum & 0xffff) + (sum >> 16);
            }
            sum
        };
        let ip = word(&source, 0) + word(&source, 2);
        let tcp = ip + word(&port, 0) + word(&number, 0) + word(&number, 2);
        for (at, sum) in [(IP_SUM, ip), (TCP_SUM, tcp)] {
            let old = !u16::from_be_bytes([room[at], room[at + 1]]);
            let new = !(added(u32::from(old) + sum) as u16);
            room[at..at + 2].copy_from_slice(&new.to_be_bytes());
        }
        room.len()
    }
}
