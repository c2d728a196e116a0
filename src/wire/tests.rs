//! What holds for every parser: no bytes make it panic, and what was written is read again.

use core::net::{Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::prelude::*;

use super::arp::{Arp, Operation};
use super::ethernet::{self, Ethernet};
use super::icmpv4::Icmpv4;
use super::icmpv6::{self, Icmpv6};
use super::ipv4::{Ipv4, Ipv4Header};
use super::ipv6::{Ipv6, Ipv6Header};
use super::options::{Options, SackBlocks, Timestamps};
use super::quote::Quote;
use super::seq::SeqNumber;
use super::tcp::{Flags, Segment};
use super::{MacAddr, Malformed, checksum};

fn mac() -> impl Strategy<Value = MacAddr> {
    any::<[u8; 6]>().prop_map(MacAddr)
}

fn ipv4() -> impl Strategy<Value = Ipv4Addr> {
    any::<u32>().prop_map(Ipv4Addr::from)
}

fn ipv6() -> impl Strategy<Value = Ipv6Addr> {
    any::<u128>().prop_map(Ipv6Addr::from)
}

fn options() -> impl Strategy<Value = Options> {
    (
        any::<Option<u16>>(),
        proptest::option::of(0u8..=14),
        any::<bool>(),
        any::<Option<(u32, u32)>>(),
        vec(any::<(u32, u32)>(), 0..=4),
    )
        .prop_map(|(mss, window_scale, sack_permitted, timestamps, blocks)| {
            let timestamps = timestamps.map(|(value, echo)| Timestamps { value, echo });
            let mut options =
                Options { mss, window_scale, sack_permitted, timestamps, ..Options::NONE };
            options.sack = first(&blocks, options.sack_room());
            options
        })
}

fn first(blocks: &[(u32, u32)], room: usize) -> SackBlocks {
    let mut sack = SackBlocks::EMPTY;
    for &(start, end) in blocks.iter().take(room) {
        sack.push(SeqNumber::new(start), SeqNumber::new(end));
    }
    sack
}

/// Octets that look like a packet often enough to get past the first checks.
fn almost_a_packet() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![any::<u8>(), 0x40..=0x4fu8, Just(0x60u8), Just(8u8), 128..=136u8];
    let small = prop_oneof![any::<u8>(), 0..=60u8];
    (first, vec(small, 0..160)).prop_map(|(first, mut rest)| {
        rest.insert(0, first);
        rest
    })
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(bytes in almost_a_packet()) {
        let _ = Ethernet::parse(&bytes);
        let _ = Arp::parse(&bytes);
        let _ = Icmpv4::parse(&bytes);
        let _ = Icmpv6::parse(&bytes);
        let _ = Quote::parse_ipv4(&bytes);
        let _ = Quote::parse_ipv6(&bytes);
        let _ = Segment::parse(&bytes);
        let options = Options::parse(&bytes);
        prop_assert!(options.sack.len() <= SackBlocks::MAX);
        if let Ok(packet) = Ipv4::parse(&bytes) {
            prop_assert!(packet.header.len() + packet.payload.len() <= bytes.len());
            let _ = packet.checksum_ok();
        }
        if let Ok(packet) = Ipv6::parse(&bytes) {
            prop_assert!(packet.header.len() + packet.payload.len() <= bytes.len());
        }
    }

    #[test]
    fn ethernet_round_trip(dst in mac(), src in mac(), vlan in any::<Option<u16>>(), kind in any::<u16>()) {
        prop_assume!(vlan.is_some() || kind != ethernet::ETHERTYPE_VLAN);
        let mut out = [0; 20];
        let len = ethernet::write_header(&mut out, dst, src, vlan, kind);
        prop_assert_eq!(len, ethernet::header_len(vlan));
        let expected = Ethernet { dst, src, vlan, ethertype: kind, payload: &out[len..] };
        prop_assert_eq!(Ethernet::parse(&out), Ok(expected));
    }

    #[test]
    fn ipv4_round_trip(
        src in ipv4(), dst in ipv4(), fields in any::<(u8, u8, u8, u16, bool)>(),
        payload in vec(any::<u8>(), 0..100), padding in 0usize..20
    ) {
        let (protocol, ttl, tos, ident, dont_fragment) = fields;
        let header = Ipv4Header { src, dst, protocol, ttl, tos, ident, dont_fragment };
        let mut out = vec![0; 20];
        header.write(&mut out, payload.len());
        out.extend_from_slice(&payload);
        out.resize(out.len() + padding, 0xee);
        let read = Ipv4::parse(&out).unwrap();
        let again = Ipv4Header {
            src: read.src, dst: read.dst, protocol: read.protocol, ttl: read.ttl, tos: read.tos,
            ident: read.ident, dont_fragment: read.dont_fragment(),
        };
        prop_assert_eq!(again, header);
        prop_assert_eq!(read.payload, &payload[..]);
        prop_assert!(read.checksum_ok() && !read.is_fragment());
    }

    #[test]
    fn ipv6_round_trip(
        src in ipv6(), dst in ipv6(), next_header in 1u8..40, hop_limit in any::<u8>(),
        traffic_class in any::<u8>(), flow_label in 0u32..1 << 20, payload in vec(any::<u8>(), 0..100)
    ) {
        let header = Ipv6Header { src, dst, next_header, hop_limit, traffic_class, flow_label };
        let mut out = vec![0; 40];
        header.write(&mut out, payload.len());
        out.extend_from_slice(&payload);
        let read = Ipv6::parse(&out).unwrap();
        let again = Ipv6Header {
            src: read.src, dst: read.dst, next_header: read.protocol, hop_limit: read.hop_limit,
            traffic_class: read.traffic_class, flow_label: read.flow_label,
        };
        prop_assert_eq!(again, header);
        prop_assert_eq!((read.payload, read.is_fragment()), (&payload[..], false));
    }

    #[test]
    fn tcp_round_trip(
        ports in any::<(u16, u16)>(), numbers in any::<(u32, u32)>(), flags in any::<u8>(),
        fields in any::<(u16, u16)>(), options in options(), payload in vec(any::<u8>(), 0..100)
    ) {
        let segment = Segment {
            src_port: ports.0,
            dst_port: ports.1,
            seq: SeqNumber::new(numbers.0),
            ack: SeqNumber::new(numbers.1),
            flags: Flags(flags),
            window: fields.0,
            urgent: fields.1,
            options,
            payload: &payload,
        };
        let mut out = vec![0xee; 60];
        let len = segment.write_header(&mut out);
        prop_assert_eq!(len, segment.header_len());
        out.truncate(len);
        prop_assert_eq!(checksum::fold(segment.header_sum()), checksum::fold(checksum::sum(&out)));
        out.extend_from_slice(&payload);
        prop_assert_eq!(Segment::parse(&out), Ok(segment));

        let (src, dst) = (Ipv4Addr::new(198, 18, 0, 1).into(), Ipv4Addr::new(198, 18, 0, 2).into());
        let sum = checksum::pseudo(src, dst, 6, out.len()) + checksum::sum(&out);
        out[16..18].copy_from_slice(&checksum::finish(sum).to_be_bytes());
        prop_assert!(checksum::tcp_ok(src, dst, &out));
    }

    #[test]
    fn arp_round_trip(reply in any::<bool>(), macs in (mac(), mac()), ips in (ipv4(), ipv4())) {
        let message = Arp {
            operation: if reply { Operation::Reply } else { Operation::Request },
            sender_mac: macs.0,
            sender_ip: ips.0,
            target_mac: macs.1,
            target_ip: ips.1,
        };
        let mut out = [0; 60];
        message.write(&mut out);
        prop_assert_eq!(Arp::parse(&out), Ok(message));
    }

    #[test]
    fn icmpv4_round_trip(header in any::<[u8; 8]>(), kind in 0u8..10, body in vec(any::<u8>(), 0..100)) {
        let mut bytes = header.to_vec();
        bytes[0] = kind;
        bytes.extend_from_slice(&body);
        let message = Icmpv4::parse(&bytes).unwrap();
        let mut out = [0; 120];
        let len = message.write(&mut out);
        prop_assert!(checksum::ok(&out[..len]));
        prop_assert_eq!(Icmpv4::parse(&out[..len]), Ok(message));
    }

    #[test]
    fn icmpv6_round_trip(
        src in ipv6(), dst in ipv6(), fields in any::<(u8, u8, u32)>(), target in ipv6(),
        link in proptest::option::of(mac()), body in vec(any::<u8>(), 0..100)
    ) {
        prop_assume!(!target.is_multicast());
        let (code, bits, mtu) = fields;
        let (ident, sequence) = (mtu as u16, (mtu >> 16) as u16);
        let messages = [
            Icmpv6::EchoRequest { ident, sequence, data: &body },
            Icmpv6::EchoReply { ident, sequence, data: &body },
            Icmpv6::Unreachable { code, quoted: &body },
            Icmpv6::PacketTooBig { mtu, quoted: &body },
            Icmpv6::NeighbourSolicitation { target, source_link: link },
            Icmpv6::NeighbourAdvertisement {
                router: bits & 1 != 0,
                solicited: bits & 2 != 0,
                override_known: bits & 4 != 0,
                target,
                target_link: link,
            },
            Icmpv6::Other { kind: 3, code, rest: mtu.to_be_bytes(), body: &body },
        ];
        for message in messages {
            let mut out = [0xee; 120];
            let len = message.write(&mut out, src, dst);
            prop_assert!(icmpv6::checksum_ok(src, dst, &out[..len]));
            prop_assert_eq!(Icmpv6::parse(&out[..len]), Ok(message));
        }
    }

    #[test]
    fn mac_round_trip(mac in mac()) {
        prop_assert_eq!(mac.to_string().parse(), Ok(mac));
    }
}

#[test]
fn mac_addresses_are_strict() {
    for text in [
        "",
        "2:0:0:0:0:1",
        "02:00:00:00:00",
        "02:00:00:00:00:01:02",
        "02-00-00-00-00-01",
        "+2:00:00:00:00:01",
        "0g:00:00:00:00:01",
        "02:00:00:00:00:01 ",
    ] {
        let error = text.parse::<MacAddr>().unwrap_err();
        assert!(error.to_string().contains("02:00:00:00:00:01"), "{text:?}");
    }
    assert!(MacAddr::BROADCAST.is_multicast() && !MacAddr([2, 0, 0, 0, 0, 1]).is_multicast());
    let group = "ff02::1:ff12:3456".parse().unwrap();
    assert_eq!(MacAddr::for_ipv6_multicast(group).to_string(), "33:33:ff:12:34:56");
}

#[test]
fn reasons_have_names_of_their_own() {
    let mut names: Vec<_> = Malformed::ALL.iter().map(|reason| reason.name()).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
    assert_eq!(Malformed::ShortFrame.name(), "ShortFrame");
    assert_eq!(Malformed::ShortTcp.to_string(), "segment shorter than a TCP header");
}
