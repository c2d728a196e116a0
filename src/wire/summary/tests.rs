//! Lines of known frames, and what holds for all: no octets make it panic, and what was not copied is
//! never read.

use core::net::Ipv4Addr;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::wire::MacAddr;
use crate::wire::ipv4::Ipv4Header;
use crate::wire::ipv6::Ipv6Header;
use crate::wire::options::{SackBlocks, Timestamps};
use crate::wire::seq::SeqNumber;

const SRC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const DST: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

fn ethernet(vlan: Option<u16>, kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; ethernet::header_len(vlan)];
    ethernet::write_header(&mut out, DST, SRC, vlan, kind);
    out.extend_from_slice(payload);
    out
}

fn over_ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let header = Ipv4Header {
        src: Ipv4Addr::new(198, 18, 0, 2),
        dst: Ipv4Addr::new(198, 18, 0, 1),
        protocol,
        ttl: 64,
        tos: 0,
        ident: 7,
        dont_fragment: true,
    };
    let mut packet = vec![0; 20];
    header.write(&mut packet, payload.len());
    packet.extend_from_slice(payload);
    ethernet(None, ethernet::ETHERTYPE_IPV4, &packet)
}

fn addresses6() -> (Ipv6Addr, Ipv6Addr) {
    ("2001:db8::2".parse().unwrap(), "2001:db8::1".parse().unwrap())
}

fn over_ipv6(vlan: Option<u16>, next_header: u8, payload: &[u8]) -> Vec<u8> {
    let (src, dst) = addresses6();
    let header =
        Ipv6Header { src, dst, next_header, hop_limit: 64, traffic_class: 0, flow_label: 0 };
    let mut packet = vec![0; 40];
    header.write(&mut packet, payload.len());
    packet.extend_from_slice(payload);
    ethernet(vlan, ethernet::ETHERTYPE_IPV6, &packet)
}

fn tcp(flags: Flags, options: Options, payload: usize) -> Vec<u8> {
    let segment = Segment {
        src_port: 9_000,
        dst_port: 33_211,
        seq: SeqNumber::new(u32::MAX),
        ack: SeqNumber::new(2),
        flags,
        window: 65_535,
        urgent: 5,
        options,
        payload: &[],
    };
    let mut out = [0; 60];
    let len = segment.write_header(&mut out);
    [&out[..len], &vec![0xaa; payload]].concat()
}

fn syn() -> Options {
    Options {
        mss: Some(1_460),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps: Some(Timestamps { value: 7, echo: 9 }),
        ..Options::NONE
    }
}

fn sacked() -> Options {
    let mut sack = SackBlocks::EMPTY;
    sack.push(SeqNumber::new(10), SeqNumber::new(20));
    sack.push(SeqNumber::new(30), SeqNumber::new(40));
    Options { timestamps: syn().timestamps, sack, ..Options::NONE }
}

fn arp(operation: Operation) -> Vec<u8> {
    let message = Arp {
        operation,
        sender_mac: SRC,
        sender_ip: Ipv4Addr::new(198, 18, 0, 1),
        target_mac: MacAddr::ZERO,
        target_ip: Ipv4Addr::new(198, 18, 0, 2),
    };
    let mut out = [0; 46]; // as long as the shortest frame has room for
    message.write(&mut out);
    ethernet(None, ethernet::ETHERTYPE_ARP, &out)
}

fn icmp(message: Icmpv4<'_>) -> Vec<u8> {
    let mut out = vec![0; message.len()];
    message.write(&mut out);
    over_ipv4(PROTOCOL_ICMPV4, &out)
}

fn icmp6(message: Icmpv6<'_>) -> Vec<u8> {
    let (src, dst) = addresses6();
    let mut out = vec![0; message.len()];
    message.write(&mut out, src, dst);
    over_ipv6(None, PROTOCOL_ICMPV6, &out)
}

/// Frames of every kind, with their lines.
fn known() -> Vec<(Vec<u8>, &'static str)> {
    let syn_ack = Flags::SYN | Flags::ACK;
    let all = Flags(0xff);
    let quoted = over_ipv4(PROTOCOL_TCP, &tcp(Flags::ACK, Options::NONE, 4));
    let quoted6 = over_ipv6(None, PROTOCOL_TCP, &tcp(Flags::ACK, Options::NONE, 4));
    let target = addresses6().1;
    let mut fragment = over_ipv4(PROTOCOL_TCP, &[1; 16]);
    fragment[20..22].copy_from_slice(&[0x20, 0x03]);
    let extended = [&[6, 0, 1, 4, 0, 0, 0, 0], &tcp(Flags::RST, Options::NONE, 0)[..]].concat();
    let fragment6 = [&[6, 0, 0, 9, 0, 0, 0, 1], &[1; 16][..]].concat();
    let udp = [0, 53, 0x10, 0, 0, 12, 0, 0, 1, 2, 3, 4];
    let odd = [
        0x23, 0x28, 0x81, 0xbb, 0, 0, 0, 1, 0, 0, 0, 0, 0xa0, 2, 0, 9, 0, 0, 0, 0, 34, 2, 3, 3, 15,
        2, 3, 1, 4, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    ];
    let mut ended = odd;
    ended[28] = 0;
    vec![
        (
            over_ipv4(PROTOCOL_TCP, &tcp(syn_ack, syn(), 0)),
            "IP 198.18.0.2.9000 > 198.18.0.1.33211: Flags [S.], seq 4294967295, ack 2, win 65535, \
             options [mss 1460,sackOK,TS val 7 ecr 9,nop,wscale 7], length 0",
        ),
        (
            over_ipv4(PROTOCOL_TCP, &tcp(Flags::PSH | Flags::ACK, Options::NONE, 1_448)),
            "IP 198.18.0.2.9000 > 198.18.0.1.33211: Flags [P.], seq 4294967295:1447, ack 2, \
             win 65535, length 1448",
        ),
        (
            over_ipv6(Some(0x602a), PROTOCOL_TCP, &tcp(Flags::ACK, sacked(), 0)),
            "vlan 42 p 3 IP6 2001:db8::2.9000 > 2001:db8::1.33211: Flags [.], ack 2, win 65535, \
             options [nop,nop,TS val 7 ecr 9,nop,nop,sack 2 {10:20}{30:40}], length 0",
        ),
        (
            over_ipv4(PROTOCOL_TCP, &tcp(all, Options::NONE, 0)),
            "IP 198.18.0.2.9000 > 198.18.0.1.33211: Flags [FSRP.UEW], seq 4294967295, ack 2, \
             win 65535, urg 5, length 0",
        ),
        (
            over_ipv4(PROTOCOL_TCP, &tcp(Flags::NONE, Options::NONE, 0)),
            "IP 198.18.0.2.9000 > 198.18.0.1.33211: Flags [none], win 65535, length 0",
        ),
        (
            over_ipv4(PROTOCOL_TCP, &odd),
            "IP 198.18.0.2.9000 > 198.18.0.1.33211: Flags [S], seq 1, win 9, \
             options [unknown-34,wscale 15,unknown-2,bad-4], length 0",
        ),
        (
            over_ipv4(PROTOCOL_TCP, &ended),
            "IP 198.18.0.2.9000 > 198.18.0.1.33211: Flags [S], seq 1, win 9, \
             options [unknown-34,wscale 15,unknown-2,eol], length 0",
        ),
        (
            over_ipv6(None, 0, &extended),
            "IP6 2001:db8::2.9000 > 2001:db8::1.33211: Flags [R], seq 4294967295, win 65535, length 0",
        ),
        (arp(Operation::Request), "ARP who-has 198.18.0.2 tell 198.18.0.1, length 46"),
        (arp(Operation::Reply), "ARP reply 198.18.0.1 is-at 02:00:00:00:00:01, length 46"),
        (
            icmp(Icmpv4::EchoRequest { ident: 1, sequence: 3, data: &[0; 200] }),
            "IP 198.18.0.2 > 198.18.0.1: ICMP echo request, id 1, seq 3, length 208",
        ),
        (
            icmp(Icmpv4::EchoReply { ident: 1, sequence: 3, data: &[] }),
            "IP 198.18.0.2 > 198.18.0.1: ICMP echo reply, id 1, seq 3, length 8",
        ),
        (
            icmp(Icmpv4::Unreachable { code: 4, next_hop_mtu: 1_300, quoted: &quoted[14..] }),
            "IP 198.18.0.2 > 198.18.0.1: ICMP unreachable, code 4, mtu 1300, \
             of 198.18.0.2.9000 > 198.18.0.1.33211: seq 4294967295, length 52",
        ),
        (
            icmp(Icmpv4::Unreachable { code: 3, next_hop_mtu: 0, quoted: &quoted[14..40] }),
            "IP 198.18.0.2 > 198.18.0.1: ICMP unreachable, code 3, \
             of malformed: quoted packet of an ICMP error too short to judge, length 34",
        ),
        (
            icmp(Icmpv4::Other { kind: 11, code: 0, rest: [0; 4], body: &[0; 28] }),
            "IP 198.18.0.2 > 198.18.0.1: ICMP type 11, code 0, length 36",
        ),
        (
            icmp6(Icmpv6::EchoRequest { ident: 1, sequence: 3, data: &[0; 20] }),
            "IP6 2001:db8::2 > 2001:db8::1: ICMP6 echo request, id 1, seq 3, length 28",
        ),
        (
            icmp6(Icmpv6::PacketTooBig { mtu: 1_280, quoted: &quoted6[14..] }),
            "IP6 2001:db8::2 > 2001:db8::1: ICMP6 packet too big, mtu 1280, \
             of 2001:db8::2.9000 > 2001:db8::1.33211: seq 4294967295, length 72",
        ),
        (
            icmp6(Icmpv6::NeighbourSolicitation { target, source_link: Some(SRC) }),
            "IP6 2001:db8::2 > 2001:db8::1: ICMP6 neighbour solicitation, who has 2001:db8::1, length 32",
        ),
        (
            icmp6(Icmpv6::NeighbourAdvertisement {
                router: false,
                solicited: true,
                override_known: true,
                target,
                target_link: Some(DST),
            }),
            "IP6 2001:db8::2 > 2001:db8::1: ICMP6 neighbour advertisement, 2001:db8::1 \
             is at 02:00:00:00:00:02, length 32",
        ),
        (fragment, "IP 198.18.0.2 > 198.18.0.1: fragment 7:16@24+ of protocol 6"),
        (
            over_ipv6(None, 44, &fragment6),
            "IP6 2001:db8::2 > 2001:db8::1: fragment of protocol 6, length 16",
        ),
        (over_ipv4(PROTOCOL_UDP, &udp), "IP 198.18.0.2.53 > 198.18.0.1.4096: UDP, length 4"),
        (over_ipv4(50, &[0; 30]), "IP 198.18.0.2 > 198.18.0.1: protocol 50, length 30"),
        (
            ethernet(None, 0x88cc, &[0; 50]),
            "02:00:00:00:00:01 > 02:00:00:00:00:02: ethertype 0x88cc, length 50",
        ),
        (
            ethernet(Some(1), 0x0026, &[0; 50]),
            "vlan 1 p 0 02:00:00:00:00:01 > 02:00:00:00:00:02: 802.3, length 50",
        ),
    ]
}

#[test]
fn known_frames_have_their_lines() {
    for (frame, expected) in known() {
        assert_eq!(line(&frame, frame.len()), expected);
    }
}

#[test]
fn what_is_malformed_says_why() {
    let table: [(Vec<u8>, &str); 6] = [
        (vec![0; 13], "malformed: frame shorter than its Ethernet header, frame of 13 octets"),
        (
            ethernet(None, 0x0800, &[0x45; 19]),
            "IP malformed: packet shorter than its IPv4 header, frame of 33 octets",
        ),
        (
            ethernet(None, 0x86dd, &[0x45; 40]),
            "IP6 malformed: IP version is not 6, frame of 54 octets",
        ),
        (
            over_ipv4(PROTOCOL_TCP, &[0; 20]),
            "IP 198.18.0.2.0 > 198.18.0.1.0: malformed: TCP data offset below 5 or beyond the \
             segment, frame of 54 octets",
        ),
        (
            over_ipv4(PROTOCOL_TCP, &[0; 3]),
            "IP 198.18.0.2 > 198.18.0.1: malformed: segment shorter than a TCP header, \
             frame of 37 octets",
        ),
        (
            over_ipv6(None, PROTOCOL_ICMPV6, &[135; 30]),
            "IP6 2001:db8::2 > 2001:db8::1: ICMP6 malformed: neighbour discovery message breaks \
             RFC 4861, frame of 84 octets",
        ),
    ];
    for (frame, expected) in table {
        assert_eq!(line(&frame, frame.len()), expected);
    }
}

/// Of a long frame the first 128 octets are enough.
#[test]
fn lengths_come_from_the_headers() {
    let frame = over_ipv6(Some(1), PROTOCOL_TCP, &tcp(Flags::SYN, syn(), 8_000));
    let whole = line(&frame, frame.len());
    assert!(whole.ends_with("length 8000"), "{whole}");
    assert_eq!(line(&frame[..128], frame.len()), whole);
    let cut = line(&frame[..85], frame.len());
    assert!(cut.ends_with("options [mss 1460,sackOK,[|tcp]], length 8000"), "{cut}");
    assert_eq!(line(&frame[..50], frame.len()), "vlan 1 p 0 IP6 [|ip6], frame of 8098 octets");
    assert_eq!(line(&[], 60), "[|ether], frame of 60 octets");
    assert_eq!(line(&frame, 10), line(&frame[..10], 10), "what lies beyond the frame is not its");
}

/// A line of the beginning of a frame is that of the whole, or says that something is missing: then
/// what it said before is true.
fn holds_for_beginnings(frame: &[u8], padding: usize) -> Result<(), TestCaseError> {
    let length = frame.len() + padding;
    let mut padded = frame.to_vec();
    padded.resize(length, 0x5a);
    let whole = line(&padded, length);
    for known in 0..=length {
        let told = line(&padded[..known], length);
        match told.split_once("[|") {
            None => prop_assert_eq!(&told, &whole, "{} octets", known),
            // Addresses are told without the ports if these are missing.
            Some((before, _)) => prop_assert!(
                whole.starts_with(before)
                    || before.strip_suffix(": ").is_some_and(|ends| !ends.contains("Flags")),
                "{} octets: {}\n{}",
                known,
                told,
                whole
            ),
        }
    }
    Ok(())
}

#[test]
fn beginnings_of_known_frames_tell_the_truth() {
    for (frame, _) in known() {
        for padding in [0, 7] {
            holds_for_beginnings(&frame, padding).unwrap();
        }
    }
}

fn almost_a_frame() -> impl Strategy<Value = Vec<u8>> {
    let frames = known();
    (0..frames.len(), vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6)).prop_map(
        move |(which, changes)| {
            let mut frame = frames[which].0.clone();
            frame.truncate(200);
            for (at, octet) in changes {
                let at = at.index(frame.len());
                frame[at] = octet;
            }
            frame
        },
    )
}

proptest! {
    #[test]
    fn no_octets_make_it_panic(octets in vec(any::<u8>(), 0..200), length in any::<u32>()) {
        for length in [octets.len(), length as usize % 300, length as usize] {
            let told = line(&octets, length);
            prop_assert!(!told.is_empty() && !told.contains('\n'));
        }
    }

    #[test]
    fn beginnings_tell_the_truth(frame in almost_a_frame(), padding in 0usize..20) {
        holds_for_beginnings(&frame, padding)?;
    }
}
