//! Below TCP: ARP, ping, IPv6, VLAN, checksums, and frames that are not for us.

use crate::*;
use core::net::Ipv4Addr;
use lastack::engine::{Config, Error};
use lastack::wire::arp::{self, Arp, Operation};
use lastack::wire::ethernet::{self, ETHERTYPE_ARP, Ethernet};
use lastack::wire::icmpv4::Icmpv4;
use lastack::wire::ipv4::Ipv4;
use lastack::wire::{MacAddr, PROTOCOL_ICMPV4, checksum};

fn without_neighbours() -> Config {
    let mut config = plain();
    config.interface.neighbours.clear();
    config
}

#[track_caller]
fn asks_for_the_peer(tcp: &mut Exchange) {
    let frame = tcp.sent_frame();
    let ethernet = Ethernet::parse(&frame).unwrap();
    assert_eq!((ethernet.ethertype, ethernet.src), (ETHERTYPE_ARP, OUR_MAC));
    assert_eq!(ethernet.dst, MacAddr::BROADCAST);
    let question = Arp::parse(ethernet.payload).unwrap();
    assert_eq!(question.operation, Operation::Request);
    assert_eq!(question.sender_ip, Ipv4Addr::new(198, 18, 0, 1));
    assert_eq!(question.target_ip, Ipv4Addr::new(198, 18, 0, 2));
}

fn answer() -> Vec<u8> {
    let mut frame = vec![0; ethernet::HEADER_LEN + arp::LEN];
    ethernet::write_header(&mut frame, OUR_MAC, PEER_MAC, None, ETHERTYPE_ARP);
    let reply = Arp {
        operation: Operation::Reply,
        sender_mac: PEER_MAC,
        sender_ip: Ipv4Addr::new(198, 18, 0, 2),
        target_mac: OUR_MAC,
        target_ip: Ipv4Addr::new(198, 18, 0, 1),
    };
    reply.write(&mut frame[ethernet::HEADER_LEN..]);
    frame
}

#[test]
fn the_neighbour_is_asked_for_before_the_syn() {
    at_any_rhythm(|rhythm| {
        let mut tcp = Exchange::new(without_neighbours()).in_rhythm(rhythm);
        tcp.connect();
        asks_for_the_peer(&mut tcp);
        tcp.sends_nothing();
        tcp.at(5);
        tcp.receives_frame(&answer());
        tcp.sends(syn().seq(100));
        tcp.receives(syn_ack().seq(300).ack(101));
        tcp.sends(ack().seq(101).ack(301));
    });
}

#[test]
fn a_neighbour_that_does_not_answer() {
    at_any_rhythm(|rhythm| {
        let mut tcp = Exchange::new(without_neighbours()).in_rhythm(rhythm);
        let conn = tcp.connect();
        asks_for_the_peer(&mut tcp);
        for second in [1, 2] {
            tcp.at(second * 1_000);
            asks_for_the_peer(&mut tcp);
        }
        tcp.at(2_999);
        assert_eq!(tcp.engine.status(conn), Err(Error::InProgress));
        tcp.at(3_000);
        assert_eq!(tcp.engine.status(conn), Err(Error::Unreachable));
    });
}

#[test]
fn ping() {
    let mut tcp = Exchange::new(plain());
    let ask = Icmpv4::EchoRequest { ident: 7, sequence: 1, data: b"are you there?" };
    let mut message = vec![0; ask.len()];
    ask.write(&mut message);
    let frame = tcp.packet(PROTOCOL_ICMPV4, &message);
    tcp.receives_frame(&frame);
    let pong = tcp.sent_frame();
    let packet = Ipv4::parse(Ethernet::parse(&pong).unwrap().payload).unwrap();
    assert!(checksum::ok(packet.payload) && packet.checksum_ok());
    assert_eq!(packet.dst, Ipv4Addr::new(198, 18, 0, 2));
    let said = Icmpv4::EchoReply { ident: 7, sequence: 1, data: b"are you there?" };
    assert_eq!(Icmpv4::parse(packet.payload), Ok(said));
}

#[test]
fn ipv6() {
    let mut tcp = Exchange::new(plain());
    tcp.local = "[2001:db8::1]:80".parse().unwrap();
    tcp.remote = "[2001:db8::2]:40000".parse().unwrap();
    tcp.listen(Default::default()).unwrap();
    tcp.receives(syn().seq(300).mss(1_440));
    tcp.sends(syn_ack().seq(100).ack(301).mss(1_440));
    tcp.receives(ack().seq(301).ack(101));
    tcp.accepts();
    tcp.receives(data("six").seq(301).ack(101));
    tcp.sends(ack().seq(101).ack(304));
    tcp.reads("six");
    tcp.close();
    tcp.sends(fin().seq(101).ack(304));
    tcp.receives(fin().seq(304).ack(102));
    tcp.sends(ack().seq(102).ack(305));
    tcp.only_time_wait(1);
    tcp.at(30_000);
    tcp.receives(fin().seq(304).ack(102));
    tcp.sends(ack().seq(102).ack(305));
    tcp.receives(syn().seq(9_000)); // and it reopens like one over IPv4
    assert_eq!(tcp.sent_segment(String::new).ack, 9_001);
}

#[test]
fn ipv6_active_open() {
    let mut tcp = Exchange::new(plain());
    tcp.local = "[2001:db8::1]:80".parse().unwrap();
    tcp.remote = "[2001:db8::2]:40000".parse().unwrap();
    tcp.connect();
    tcp.sends(syn().seq(100).mss(1_440));
    tcp.receives(syn_ack().seq(300).ack(101));
    tcp.sends(ack().seq(101).ack(301));
}

/// The harness looks at the tag of each frame that comes out.
#[test]
fn vlan() {
    let mut config = plain();
    config.interface.vlan = Some(42);
    let mut tcp = Exchange::established(config);
    let drops = tcp.engine.metrics().drops.vlan.get();
    for foreign in [None, Some(43)] {
        tcp.vlan = foreign;
        tcp.receives(data("not ours").seq(301).ack(101));
        tcp.sends_nothing();
    }
    assert_eq!(tcp.engine.metrics().drops.vlan.get() - drops, 2);
    tcp.vlan = Some(42);
    tcp.receives(data("ours").seq(301).ack(101));
    tcp.sends(ack().seq(101).ack(305));
    tcp.reads("ours");
}

#[test]
fn a_bad_checksum_is_dropped_and_counted() {
    let mut tcp = Exchange::established(plain());
    let good = tcp.frame_of(&data("hello").seq(301).ack(101));
    for octet in 34..good.len() {
        let mut bad = good.clone();
        bad[octet] ^= 0x10;
        tcp.receives_frame(&bad);
        tcp.sends_nothing();
    }
    let broken = (good.len() - 34) as u64;
    assert_eq!(tcp.counters().in_csum_errors.get(), broken);
    assert_eq!(tcp.read(), Err(Error::WouldBlock));
    tcp.receives_frame(&good);
    tcp.sends(ack().seq(101).ack(306));
    tcp.reads("hello");
}

#[test]
fn what_is_not_for_us_is_counted_by_its_reason() {
    let mut tcp = Exchange::listening(plain());
    let frame = tcp.frame_of(&syn().seq(300));
    let changed = |at: usize, to: &[u8]| {
        let mut frame = frame.clone();
        frame[at..at + to.len()].copy_from_slice(to);
        if at >= 14 {
            frame[24..26].fill(0);
            let sum = checksum::finish(checksum::sum(&frame[14..34]));
            frame[24..26].copy_from_slice(&sum.to_be_bytes());
        }
        frame
    };
    tcp.receives_frame(&changed(0, &[2, 9, 9, 9, 9, 9]));
    tcp.receives_frame(&changed(12, &[0x88, 0xcc]));
    tcp.receives_frame(&changed(30, &[198, 18, 0, 77]));
    tcp.receives_frame(&changed(20, &[0x20, 0]));
    tcp.receives_frame(&changed(23, &[132]));
    tcp.sent_frame(); // protocol unreachable
    tcp.receives_frame(&frame[..20]);
    let drops = &tcp.engine.metrics().drops;
    let counted = [
        &drops.not_our_mac,
        &drops.ethertype,
        &drops.not_our_address,
        &drops.fragment,
        &drops.protocol,
        &drops.malformed,
    ];
    assert_eq!(counted.map(|counter| counter.get()), [1; 6]);
    tcp.only_time_wait(0);
}

/// Addresses that no segment can come from (RFC 9293 MUST-57; RFC 1122 §3.2.1.3; RFC 4291 §2.5.3;
/// IPv4-mapped ones are for the inside of a host: RFC 4291 §2.5.5.2).
#[test]
fn segments_from_nowhere_get_no_answer() {
    for (local, remote) in [
        ("198.18.0.1:80", "0.0.0.0:9"),
        ("198.18.0.1:80", "127.0.0.1:9"),
        ("198.18.0.1:80", "224.0.0.1:9"),
        ("198.18.0.1:80", "255.255.255.255:9"),
        ("[2001:db8::1]:80", "[::]:9"),
        ("[2001:db8::1]:80", "[::1]:9"),
        ("[2001:db8::1]:80", "[ff02::1]:9"),
        ("[2001:db8::1]:80", "[::ffff:198.18.0.2]:9"),
    ] {
        let mut tcp = Exchange::new(plain());
        tcp.local = local.parse().unwrap();
        tcp.remote = remote.parse().unwrap();
        tcp.listen(Default::default()).unwrap();
        for segment in [syn().seq(300), ack().seq(300).ack(1), fin().seq(300).ack(1)] {
            tcp.receives(segment);
            tcp.sends_nothing();
        }
        assert_eq!(tcp.engine.metrics().drops.bad_source.get(), 3, "{remote}");
    }
}
