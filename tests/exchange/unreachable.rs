//! What nothing here takes is answered with an ICMP error, if it may be, and not too often.

use crate::messages::*;
use crate::*;
use core::net::{IpAddr, SocketAddr};
use lastack::wire::ethernet::{ETHERTYPE_IPV4, Ethernet};
use lastack::wire::icmpv4::Icmpv4;
use lastack::wire::icmpv6::{self, Icmpv6};
use lastack::wire::ipv4::Ipv4;
use lastack::wire::ipv6::Ipv6;
use lastack::wire::{PROTOCOL_ICMPV4, PROTOCOL_ICMPV6, checksum};

const V4: (&str, &str) = ("198.18.0.1:80", "198.18.0.2:40000");
const V6: (&str, &str) = ("[2001:db8::1]:80", "[2001:db8::2]:40000");

fn between((local, remote): (&str, &str)) -> Exchange {
    let mut tcp = Exchange::new(plain());
    tcp.local = local.parse().unwrap();
    tcp.remote = remote.parse().unwrap();
    tcp
}

/// The next frame is an ICMP error from our end to the peer's: type, code, the second half of its
/// header, what it quotes, and how long its IP packet is.
#[track_caller]
fn error(tcp: &mut Exchange) -> (u8, u8, [u8; 4], Vec<u8>, usize) {
    let frame = tcp.sent_frame();
    let ethernet = Ethernet::parse(&frame).unwrap();
    assert_eq!((ethernet.src, ethernet.dst), (OUR_MAC, PEER_MAC));
    assert_eq!(ethernet.vlan_id(), tcp.vlan);
    let (src, dst, message): (IpAddr, IpAddr, &[u8]) = if ethernet.ethertype == ETHERTYPE_IPV4 {
        let packet = Ipv4::parse(ethernet.payload).unwrap();
        assert!(packet.checksum_ok() && checksum::ok(packet.payload));
        assert_eq!(packet.protocol, PROTOCOL_ICMPV4);
        (packet.src.into(), packet.dst.into(), packet.payload)
    } else {
        let packet = Ipv6::parse(ethernet.payload).unwrap();
        assert!(icmpv6::checksum_ok(packet.src, packet.dst, packet.payload));
        assert_eq!(packet.protocol, PROTOCOL_ICMPV6);
        (packet.src.into(), packet.dst.into(), packet.payload)
    };
    assert_eq!((src, dst), (tcp.local.ip(), tcp.remote.ip()));
    let rest = [4, 5, 6, 7].map(|at| message[at]);
    (message[0], message[1], rest, message[8..].to_vec(), ethernet.payload.len())
}

fn drops(tcp: &Exchange) -> [u64; 4] {
    let drops = &tcp.engine.metrics().drops;
    [&drops.checksum, &drops.malformed, &drops.protocol, &drops.fragment].map(|c| c.get())
}

/// RFC 1122 §3.2.2.1 and RFC 4443 §3.1, with as much of the packet as RFC 1812 §4.3.2.3 and
/// RFC 4443 §2.4 (c) say.
#[test]
fn udp_gets_port_unreachable() {
    for (len, v4, v6) in [(0, 56, 96), (500, 556, 596), (1_400, 576, 1_280)] {
        let mut tcp = between(V4);
        let frame = udp(&tcp, &vec![7; len]);
        tcp.receives_frame(&frame);
        let (kind, code, rest, quoted, octets) = error(&mut tcp);
        assert_eq!((kind, code, rest, octets), (3, 3, [0; 4], v4), "{len} octets");
        assert_eq!(quoted, frame[14..14 + quoted.len()]);
        assert_eq!(tcp.engine.metrics().handled.udp.get(), 1);

        let mut tcp = between(V6);
        let frame = udp(&tcp, &vec![7; len]);
        tcp.receives_frame(&frame);
        let (kind, code, rest, quoted, octets) = error(&mut tcp);
        assert_eq!((kind, code, rest, octets), (1, 4, [0; 4], v6), "{len} octets");
        assert_eq!(quoted, frame[14..14 + quoted.len()]);
        assert_eq!(tcp.engine.metrics().handled.udp.get(), 1);
    }
}

/// In a VLAN, to our link-local address, over a link of a short MTU, behind padding.
#[test]
fn wherever_it_comes_from() {
    let mut config = plain();
    config.interface.vlan = Some(42);
    let mut tcp = Exchange::new(config);
    let frame = udp(&tcp, b"anyone?");
    tcp.receives_frame(&frame);
    assert_eq!(error(&mut tcp).3, frame[18..]);

    let mut tcp = between(("[fe80::ff:fe00:1]:80", "[fe80::2]:9"));
    let frame = udp(&tcp, b"anyone?");
    tcp.receives_frame(&frame);
    assert_eq!(error(&mut tcp).3, frame[14..]);

    let mut config = plain();
    config.interface.addresses.truncate(1);
    config.interface.neighbours.clear();
    config.interface.mtu = 300;
    let mut tcp = Exchange::new(config);
    let frame = udp(&tcp, &[7; 272]);
    tcp.receives_frame(&frame);
    assert_eq!(error(&mut tcp).4, 300);

    let mut tcp = between(V4);
    let mut frame = udp(&tcp, b"short");
    frame.resize(60, 0xee);
    tcp.receives_frame(&frame);
    assert_eq!(error(&mut tcp).3, frame[14..14 + 33], "without the padding");
}

#[test]
fn protocols_that_nobody_knows() {
    let mut tcp = between(V4);
    let frame = tcp.packet(132, b"sctp");
    tcp.receives_frame(&frame);
    assert_eq!(error(&mut tcp), (3, 2, [0; 4], frame[14..].to_vec(), 28 + 24));
    let mut tcp = between(V6);
    let frame = tcp.packet(132, b"sctp");
    tcp.receives_frame(&frame);
    // RFC 8200 §4: a parameter problem that points at the number
    assert_eq!(error(&mut tcp), (4, 1, [0, 0, 0, 6], frame[14..].to_vec(), 48 + 44));
    let options = [132, 0, 1, 4, 0, 0, 0, 0, b's'];
    let frame = tcp.packet(60, &options);
    tcp.receives_frame(&frame);
    assert_eq!(error(&mut tcp), (4, 1, [0, 0, 0, 40], frame[14..].to_vec(), 48 + 49));
    let frame = tcp.packet(59, b""); // no next header: nothing is asked for
    tcp.receives_frame(&frame);
    tcp.sends_nothing();
    assert_eq!(drops(&tcp), [0, 0, 3, 0]);
}

/// RFC 1122 §3.2.2: what is broken, a piece, or itself an error gets none.
#[test]
fn what_gets_no_error() {
    let checked = |ends, change: &dyn Fn(&mut Vec<u8>), counted: [u64; 4]| {
        let mut tcp = between(ends);
        let mut frame = udp(&tcp, b"anyone?");
        change(&mut frame);
        if tcp.remote.is_ipv4() {
            frame[24..26].fill(0);
            let sum = checksum::finish(checksum::sum(&frame[14..34]));
            frame[24..26].copy_from_slice(&sum.to_be_bytes());
        }
        tcp.receives_frame(&frame);
        if counted == [0; 4] {
            error(&mut tcp);
        }
        tcp.sends_nothing();
        assert_eq!(drops(&tcp), counted);
    };
    checked(V4, &|frame| *frame.last_mut().unwrap() ^= 1, [1, 0, 0, 0]);
    checked(V6, &|frame| *frame.last_mut().unwrap() ^= 1, [1, 0, 0, 0]);
    checked(V4, &|frame| frame[40..42].fill(0), [0; 4]); // no checksum (RFC 768)
    checked(V6, &|frame| frame[60..62].fill(0), [1, 0, 0, 0]); // RFC 8200 §8.1
    checked(V4, &|frame| frame[39] += 1, [0, 1, 0, 0]);
    checked(V6, &|frame| frame[59] = 7, [0, 1, 0, 0]);
    checked(V4, &|frame| frame[20] = 0x20, [0, 0, 0, 1]); // the first fragment
    checked(V4, &|frame| frame[21] = 1, [0, 0, 0, 1]);

    let mut tcp = between(V4);
    let quoted = udp(&tcp, b"anyone?")[14..].to_vec();
    let refused = Icmpv4::Unreachable { code: 3, next_hop_mtu: 0, quoted: &quoted };
    let mut message = vec![0; refused.len()];
    refused.write(&mut message);
    let frame = tcp.packet(PROTOCOL_ICMPV4, &message);
    tcp.receives_frame(&frame);
    tcp.sends_nothing();
    let mut tcp = between(V6);
    let unknown = Icmpv6::Other { kind: 100, code: 0, rest: [0; 4], body: &quoted };
    let frame = icmpv6(&tcp, &unknown); // RFC 4443 §2.4 (a), (e)
    tcp.receives_frame(&frame);
    tcp.sends_nothing();
}

/// RFC 1812 §4.3.2.8, RFC 4443 §2.4 (f): all errors share one bucket. Answers to pings are no errors.
#[test]
fn errors_are_limited_and_pings_are_not() {
    let mut tcp = between(V4);
    let v4 = [udp(&tcp, b"1"), tcp.packet(132, b"2")];
    (tcp.local, tcp.remote) = (V6.0.parse().unwrap(), V6.1.parse().unwrap());
    let v6 = [udp(&tcp, b"3"), tcp.packet(132, b"4")];
    let ends: [SocketAddr; 2] = [V4.0.parse().unwrap(), V4.1.parse().unwrap()];
    [tcp.local, tcp.remote] = ends;
    let flood = |tcp: &mut Exchange| {
        for frame in v4.iter().chain(&v6).cycle().take(400) {
            tcp.receives_frame(frame);
        }
        core::iter::from_fn(|| tcp.try_sent_frame()).count()
    };
    assert_eq!(flood(&mut tcp), 50);
    assert_eq!(tcp.engine.metrics().drops.icmp_limited.get(), 350);
    tcp.at(10);
    assert_eq!(flood(&mut tcp), 10, "one in a millisecond");
    tcp.at(3_600_000);
    assert_eq!(flood(&mut tcp), 50);
    let echo = ping(&tcp);
    for _ in 0..2_000 {
        tcp.receives_frame(&echo);
        tcp.sent_frame();
    }
    assert_eq!(tcp.engine.metrics().handled.icmp.get(), 2_000);
    assert_eq!(tcp.engine.metrics().handled.udp.get(), 600, "answered or not");
}
