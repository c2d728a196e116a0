//! Any bytes, as a frame and as each kind of message: nothing panics, and what was read, written and
//! read again is the same.
//!
//! `cargo +nightly fuzz run wire fuzz/corpus/wire fuzz/seeds/wire`

#![no_main]

use std::net::{IpAddr, Ipv6Addr};

use lastack::net::address::Interface;
use lastack::net::frame::Link;
use lastack::net::icmp::{self, Then};
use lastack::net::route::Routes;
use lastack::wire::arp::Arp;
use lastack::wire::ethernet::{self, Ethernet};
use lastack::wire::icmpv4::Icmpv4;
use lastack::wire::icmpv6::{self, Icmpv6};
use lastack::wire::ipv4::{Ipv4, Ipv4Header};
use lastack::wire::ipv6::{Ipv6, Ipv6Header};
use lastack::wire::options::Options;
use lastack::wire::quote::Quote;
use lastack::wire::tcp::Segment;
use lastack::wire::{MacAddr, checksum};
use libfuzzer_sys::fuzz_target;

const US: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

fuzz_target!(|bytes: &[u8]| {
    frame(bytes);
    arp(bytes);
    ipv4(bytes);
    ipv6(bytes);
    tcp(bytes, None);
    options(bytes);
    let _ = Quote::parse_ipv4(bytes);
    let _ = Quote::parse_ipv6(bytes);
    sums(bytes);
});

fn frame(bytes: &[u8]) {
    let Ok(read) = Ethernet::parse(bytes) else { return };
    let mut out = [0; ethernet::TAGGED_HEADER_LEN];
    let len = ethernet::write_header(&mut out, read.dst, read.src, read.vlan, read.ethertype);
    assert_eq!(&out[..len], &bytes[..len]);
    assert_eq!(len + read.payload.len(), bytes.len());
    match read.ethertype {
        ethernet::ETHERTYPE_ARP => arp(read.payload),
        ethernet::ETHERTYPE_IPV4 => ipv4(read.payload),
        ethernet::ETHERTYPE_IPV6 => ipv6(read.payload),
        _ => {}
    }
}

fn routes() -> Routes {
    let addresses = ["198.18.0.1/24", "2001:db8::1/64"].map(|text| text.parse().unwrap());
    Routes::new(&Interface::new(US, addresses.into()))
}

/// Answers are frames that can be read; none is longer than what it answers by more than headers.
fn react(then: Then<'_>, asked: usize) {
    let Then::Answer(answer) = then else { return };
    let mut out = vec![0; asked + 100];
    let len = answer.write(Link { mac: US, vlan: None }, &mut out).expect("room for the answer");
    let read = Ethernet::parse(&out[..len]).unwrap();
    assert_eq!(read.src, US);
    match read.ethertype {
        ethernet::ETHERTYPE_ARP => assert!(Arp::parse(read.payload).is_ok()),
        ethernet::ETHERTYPE_IPV4 => {
            let packet = Ipv4::parse(read.payload).unwrap();
            assert!(packet.checksum_ok() && checksum::ok(packet.payload));
        }
        _ => {
            let packet = Ipv6::parse(read.payload).unwrap();
            assert!(icmpv6::checksum_ok(packet.src, packet.dst, packet.payload));
        }
    }
}

fn arp(bytes: &[u8]) {
    let Ok(read) = Arp::parse(bytes) else { return };
    let mut out = [0; 28];
    read.write(&mut out);
    assert_eq!(out, bytes[..28]);
    let link = Link { mac: US, vlan: None };
    react(icmp::on_arp(&routes(), link, read.sender_mac, &read).then, bytes.len());
}

fn ipv4(bytes: &[u8]) {
    let Ok(read) = Ipv4::parse(bytes) else { return };
    let header = Ipv4Header {
        src: read.src,
        dst: read.dst,
        protocol: read.protocol,
        ttl: read.ttl,
        tos: read.tos,
        ident: read.ident,
        dont_fragment: read.dont_fragment(),
    };
    let mut out = [0; 20];
    header.write(&mut out, read.payload.len());
    out[6..8].copy_from_slice(&bytes[6..8]);
    if read.header.len() == 20 {
        assert_eq!(out[..10], bytes[..10]);
        assert_eq!(out[12..], bytes[12..20]);
    }
    match read.protocol {
        1 => {
            let Ok(message) = Icmpv4::parse(read.payload) else { return };
            let mut out = vec![0; message.len()];
            assert_eq!(message.write(&mut out), read.payload.len());
            assert!(checksum::ok(&out));
            // ICMP "unreachable" has two octets that nobody uses.
            assert_eq!(Icmpv4::parse(&out), Ok(message));
            react(icmp::on_icmpv4(&routes(), US, &read, &message).then, bytes.len());
        }
        6 => tcp(read.payload, Some((read.src.into(), read.dst.into()))),
        _ => {}
    }
}

fn ipv6(bytes: &[u8]) {
    let Ok(read) = Ipv6::parse(bytes) else { return };
    assert!(read.header.len() + read.payload.len() <= bytes.len());
    let header = Ipv6Header {
        src: read.src,
        dst: read.dst,
        next_header: bytes[6],
        hop_limit: read.hop_limit,
        traffic_class: read.traffic_class,
        flow_label: read.flow_label,
    };
    let mut out = [0; 40];
    header.write(&mut out, read.header.len() - 40 + read.payload.len());
    assert_eq!(out, bytes[..40]);
    match read.protocol {
        58 => {
            let Ok(message) = Icmpv6::parse(read.payload) else { return };
            let mut out = vec![0; message.len()];
            message.write(&mut out, read.src, read.dst);
            assert!(icmpv6::checksum_ok(read.src, read.dst, &out));
            assert_eq!(Icmpv6::parse(&out), Ok(message));
            let link = Link { mac: US, vlan: None };
            react(icmp::on_icmpv6(&routes(), link, US, &read, &message).then, bytes.len());
        }
        6 => tcp(read.payload, Some((read.src.into(), read.dst.into()))),
        _ => {}
    }
}

fn tcp(bytes: &[u8], addresses: Option<(IpAddr, IpAddr)>) {
    let Ok(read) = Segment::parse(bytes) else { return };
    assert_eq!(read.seq + read.seq_len(), read.end());
    let mut out = [0; 60];
    let len = read.write_header(&mut out);
    let mut again = out[..len].to_vec();
    again.extend_from_slice(read.payload);
    let mut expected = read;
    // A segment of the peer may say more in 40 octets than we do: its last SACK blocks may go.
    expected.options.sack = Segment::parse(&again).unwrap().options.sack;
    assert!(expected.options.sack.len() <= read.options.sack.len());
    assert!(read.options.sack.iter().zip(expected.options.sack.iter()).all(|(a, b)| a == b));
    assert_eq!(Segment::parse(&again), Ok(expected));

    let Some((src, dst)) = addresses else { return };
    let sum = checksum::pseudo(src, dst, 6, again.len()) + checksum::sum(&again);
    again[16..18].copy_from_slice(&checksum::finish(sum).to_be_bytes());
    assert!(checksum::tcp_ok(src, dst, &again));
}

fn options(bytes: &[u8]) {
    let read = Options::parse(bytes);
    let mut out = [0; 40];
    let len = read.write(&mut out);
    assert_eq!((len, len % 4), (read.len(), 0));
    let again = Options::parse(&out[..len]);
    assert_eq!(again.len(), len, "a second writing loses nothing");
    assert_eq!(Options { sack: read.sack, ..again }, read);
}

fn sums(bytes: &[u8]) {
    let mut total = 0u64;
    for pair in bytes.chunks(2) {
        total += u64::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
    }
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    assert_eq!(u64::from(checksum::sum(bytes)), total);
    let mixed = (IpAddr::from([0, 0, 0, 0]), IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    assert!(!checksum::tcp_ok(mixed.0, mixed.1, bytes));
}
