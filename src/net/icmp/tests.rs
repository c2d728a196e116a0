use super::*;
use crate::net::address::{Interface, solicited_node};
use crate::wire::ethernet::Ethernet;
use crate::wire::ipv4::Ipv4Header;
use crate::wire::ipv6::Ipv6Header;
use crate::wire::{PROTOCOL_TCP, checksum, icmpv6};

const US: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const PEER: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const LINK: Link = Link { mac: US, vlan: None };
const OUR_V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
const PEER_V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
const FAR_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const OUR_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const PEER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

fn routes() -> Routes {
    let addresses = ["198.18.0.1/24", "2001:db8::1/64"].map(|text| text.parse().unwrap());
    Routes::new(&Interface::new(US, addresses.into()))
}

fn arp(
    operation: Operation,
    sender: (MacAddr, Ipv4Addr),
    target_ip: Ipv4Addr,
) -> Reaction<'static> {
    let message = Arp {
        operation,
        sender_mac: sender.0,
        sender_ip: sender.1,
        target_mac: MacAddr::ZERO,
        target_ip,
    };
    on_arp(&routes(), LINK, sender.0, &message)
}

#[test]
fn arp_is_answered_and_learned_from() {
    use Operation::{Reply, Request};
    let question = Some(Claim::Question);
    let heard = Some(Claim::Overheard { replace: true });
    let answer = Some(Claim::Answer { replace: true });
    for (operation, sender, target, claim, answered) in [
        (Request, PEER_V4, OUR_V4, question, true),
        (Request, Ipv4Addr::UNSPECIFIED, OUR_V4, None, true), // a probe
        (Request, FAR_V4, OUR_V4, None, true),
        (Request, PEER_V4, Ipv4Addr::new(198, 18, 0, 3), heard, false),
        (Request, PEER_V4, PEER_V4, heard, false), // gratuitous
        (Reply, PEER_V4, OUR_V4, answer, false),
        (Reply, PEER_V4, PEER_V4, heard, false),
        (Reply, FAR_V4, OUR_V4, None, false),
    ] {
        let reaction = arp(operation, (PEER, sender), target);
        assert_eq!(reaction.learn.map(|lesson| lesson.claim), claim, "{operation:?} {sender}");
        assert_eq!(matches!(reaction.then, Then::Answer(_)), answered, "{operation:?} {sender}");
    }
    let conflict = Then::Conflict { ip: OUR_V4.into(), mac: Some(PEER) };
    assert_eq!(arp(Request, (PEER, OUR_V4), OUR_V4).then, conflict);
    assert_eq!(arp(Reply, (PEER, OUR_V4), PEER_V4).then, conflict);
    assert_eq!(arp(Request, (US, OUR_V4), OUR_V4).then, Then::Ignored(Ignored::Source));

    let Then::Answer(answer) = arp(Request, (PEER, PEER_V4), OUR_V4).then else { panic!() };
    let mut out = [0; 60];
    let len = answer.write(LINK, &mut out).unwrap();
    let frame = Ethernet::parse(&out[..len]).unwrap();
    assert_eq!((frame.dst, frame.src), (PEER, US));
    let reply = Arp::parse(frame.payload).unwrap();
    assert_eq!((reply.operation, reply.sender_mac, reply.sender_ip), (Reply, US, OUR_V4));
    assert_eq!((reply.target_mac, reply.target_ip), (PEER, PEER_V4));
    assert_eq!(answer.write(LINK, &mut out[..41]), None);
}

/// The header of an IPv4 packet, to judge a message by.
fn ipv4_header(src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, payload_len: usize) -> [u8; 20] {
    let header = Ipv4Header { src, dst, protocol, ttl: 64, tos: 0, ident: 0, dont_fragment: true };
    let mut bytes = [0; 20];
    header.write(&mut bytes, payload_len);
    bytes
}

fn v4<'a>(src: Ipv4Addr, dst: Ipv4Addr, message: &Icmpv4<'a>) -> Then<'a> {
    let bytes = ipv4_header(src, dst, 1, 0);
    let reaction = on_icmpv4(&routes(), PEER, &Ipv4::parse(&bytes).unwrap(), message);
    assert_eq!(reaction.learn, None);
    reaction.then
}

#[test]
fn pings_over_ipv4() {
    let ping = Icmpv4::EchoRequest { ident: 7, sequence: 9, data: b"data" };
    let Then::Answer(answer) = v4(FAR_V4, OUR_V4, &ping) else { panic!() };
    let mut out = [0; 100];
    let len = answer.write(LINK, &mut out).unwrap();
    let frame = Ethernet::parse(&out[..len]).unwrap();
    assert_eq!(frame.dst, PEER, "back through the router that it came from");
    let packet = Ipv4::parse(frame.payload).unwrap();
    assert_eq!((packet.src, packet.dst), (OUR_V4, FAR_V4));
    assert!(packet.checksum_ok() && checksum::ok(packet.payload));
    let pong = Icmpv4::EchoReply { ident: 7, sequence: 9, data: b"data" };
    assert_eq!(Icmpv4::parse(packet.payload), Ok(pong));

    for (src, dst, message, why) in [
        (PEER_V4, PEER_V4, ping, Ignored::NotForUs),
        (PEER_V4, Ipv4Addr::BROADCAST, ping, Ignored::NotForUs),
        (PEER_V4, Ipv4Addr::new(198, 18, 0, 255), ping, Ignored::NotForUs),
        (Ipv4Addr::BROADCAST, OUR_V4, ping, Ignored::Source),
        (Ipv4Addr::new(224, 0, 0, 1), OUR_V4, ping, Ignored::Source),
        (OUR_V4, OUR_V4, ping, Ignored::Source),
        (PEER_V4, OUR_V4, pong, Ignored::Type),
        (
            PEER_V4,
            OUR_V4,
            Icmpv4::Other { kind: 13, code: 0, rest: [0; 4], body: &[] },
            Ignored::Type,
        ),
    ] {
        assert_eq!(v4(src, dst, &message), Then::Ignored(why), "{src} {dst}");
    }
}

#[test]
fn errors_over_ipv4_reach_the_connection() {
    let quoted = |src, protocol| {
        let mut bytes = ipv4_header(src, PEER_V4, protocol, 1480).to_vec();
        bytes.extend([0x9c, 0x40, 0, 80, 0, 0, 1, 0]);
        bytes
    };
    let good = quoted(OUR_V4, PROTOCOL_TCP);
    let unreachable = |code, mtu| Icmpv4::Unreachable { code, next_hop_mtu: mtu, quoted: &good };
    let exceeded = Icmpv4::Other { kind: 11, code: 0, rest: [0; 4], body: &good };
    for (message, cause) in [
        (unreachable(0, 0), Cause::Transient { kind: 3, code: 0 }),
        (unreachable(1, 0), Cause::Transient { kind: 3, code: 1 }),
        (unreachable(3, 0), Cause::Hard { kind: 3, code: 3 }),
        (unreachable(4, 1300), Cause::TooBig { mtu: 1300 }),
        (unreachable(4, 0), Cause::TooBig { mtu: 0 }),
        (unreachable(13, 0), Cause::Hard { kind: 3, code: 13 }),
        (exceeded, Cause::Transient { kind: 11, code: 0 }),
    ] {
        let error = TcpError {
            local: (OUR_V4, 40_000).into(),
            remote: (PEER_V4, 80).into(),
            seq: SeqNumber::new(256),
            cause,
        };
        assert_eq!(v4(FAR_V4, OUR_V4, &message), Then::TcpError(error));
    }
    for bad in [quoted(PEER_V4, PROTOCOL_TCP), quoted(OUR_V4, 17), good[..27].to_vec(), vec![]] {
        let message = Icmpv4::Unreachable { code: 3, next_hop_mtu: 0, quoted: &bad };
        assert_eq!(v4(FAR_V4, OUR_V4, &message), Then::Ignored(Ignored::Quote));
    }
}

fn ipv6_header(src: Ipv6Addr, dst: Ipv6Addr, next_header: u8, hop_limit: u8) -> [u8; 40] {
    let header = Ipv6Header { src, dst, next_header, hop_limit, traffic_class: 0, flow_label: 0 };
    let mut bytes = [0; 40];
    header.write(&mut bytes, 0);
    bytes
}

fn v6<'a>(src: Ipv6Addr, dst: Ipv6Addr, hop_limit: u8, message: &Icmpv6<'a>) -> Reaction<'a> {
    let bytes = ipv6_header(src, dst, 58, hop_limit);
    on_icmpv6(&routes(), LINK, PEER, &Ipv6::parse(&bytes).unwrap(), message)
}

#[test]
fn solicitations_are_answered_and_learned_from() {
    let group = solicited_node(OUR_V6);
    let ask = |source_link| Icmpv6::NeighbourSolicitation { target: OUR_V6, source_link };
    let none = Ipv6Addr::UNSPECIFIED;
    let station = MacAddr([2, 0, 0, 0, 0, 9]);
    for (src, dst, link, to, to_ip, solicited, learns) in [
        (PEER_V6, group, Some(station), station, PEER_V6, true, true),
        (PEER_V6, OUR_V6, None, PEER, PEER_V6, true, false),
        (none, group, None, MacAddr([0x33, 0x33, 0, 0, 0, 1]), ALL_NODES, false, false),
    ] {
        let reaction = v6(src, dst, 255, &ask(link));
        assert_eq!(reaction.learn.is_some(), learns);
        assert!(reaction.learn.is_none_or(|lesson| {
            lesson == Lesson { ip: src.into(), mac: link, claim: Claim::Question }
        }));
        let Then::Answer(answer) = reaction.then else { panic!("{src} {dst}") };
        let mut out = [0; 100];
        let len = answer.write(LINK, &mut out).unwrap();
        let frame = Ethernet::parse(&out[..len]).unwrap();
        let packet = Ipv6::parse(frame.payload).unwrap();
        assert_eq!((frame.dst, packet.src, packet.dst), (to, OUR_V6, to_ip));
        assert_eq!(packet.hop_limit, 255);
        assert!(icmpv6::checksum_ok(packet.src, packet.dst, packet.payload));
        let told = Icmpv6::NeighbourAdvertisement {
            router: false,
            solicited,
            override_known: true,
            target: OUR_V6,
            target_link: Some(US),
        };
        assert_eq!(Icmpv6::parse(packet.payload), Ok(told));
    }
    let other = Icmpv6::NeighbourSolicitation { target: PEER_V6, source_link: None };
    for (src, dst, hop_limit, message, why) in [
        (PEER_V6, group, 254, ask(None), Ignored::HopLimit),
        (none, group, 255, ask(Some(PEER)), Ignored::Neighbour),
        (none, OUR_V6, 255, ask(None), Ignored::Neighbour),
        (PEER_V6, ALL_NODES, 255, other, Ignored::NotForUs),
        (PEER_V6, PEER_V6, 255, ask(None), Ignored::NotForUs),
        (OUR_V6, group, 255, ask(None), Ignored::Source),
        (ALL_NODES, group, 255, ask(None), Ignored::Source),
    ] {
        assert_eq!(v6(src, dst, hop_limit, &message), ignored(why), "{src} {dst} {hop_limit}");
    }
}

#[test]
fn advertisements_teach() {
    let tell = |target, solicited, override_known| Icmpv6::NeighbourAdvertisement {
        router: true,
        solicited,
        override_known,
        target,
        target_link: Some(PEER),
    };
    for (dst, solicited, replace, claim) in [
        (OUR_V6, true, true, Claim::Answer { replace: true }),
        (OUR_V6, true, false, Claim::Answer { replace: false }),
        (ALL_NODES, false, true, Claim::Overheard { replace: true }),
    ] {
        let reaction = v6(PEER_V6, dst, 255, &tell(PEER_V6, solicited, replace));
        let lesson = Lesson { ip: PEER_V6.into(), mac: Some(PEER), claim };
        assert_eq!(reaction, Reaction { learn: Some(lesson), then: Then::Done });
    }
    let told = tell(PEER_V6, true, true);
    assert_eq!(v6(PEER_V6, OUR_V6, 64, &told), ignored(Ignored::HopLimit));
    assert_eq!(v6(PEER_V6, ALL_NODES, 255, &told), ignored(Ignored::Neighbour));
    let conflict = Then::Conflict { ip: OUR_V6.into(), mac: Some(PEER) };
    assert_eq!(v6(PEER_V6, ALL_NODES, 255, &tell(OUR_V6, false, true)), only(conflict));
}

#[test]
fn pings_over_ipv6() {
    let ping = Icmpv6::EchoRequest { ident: 7, sequence: 9, data: b"data" };
    let pong = Icmpv6::EchoReply { ident: 7, sequence: 9, data: b"data" };
    let answer = Answer::Icmpv6 { to: PEER, src: OUR_V6, dst: PEER_V6, message: pong };
    assert_eq!(v6(PEER_V6, OUR_V6, 1, &ping), only(Then::Answer(answer)));
    assert_eq!(v6(PEER_V6, ALL_NODES, 1, &ping), ignored(Ignored::Group));
    assert_eq!(v6(PEER_V6, solicited_node(OUR_V6), 1, &ping), ignored(Ignored::Group));
    assert_eq!(v6(OUR_V6, OUR_V6, 64, &ping), ignored(Ignored::Source));
    assert_eq!(v6(PEER_V6, PEER_V6, 64, &ping), ignored(Ignored::NotForUs));
    assert_eq!(v6(Ipv6Addr::UNSPECIFIED, OUR_V6, 64, &ping), ignored(Ignored::Source));
    assert_eq!(v6(PEER_V6, OUR_V6, 64, &pong), ignored(Ignored::Type));
}

#[test]
fn errors_over_ipv6_reach_the_connection() {
    let mut quoted = ipv6_header(OUR_V6, PEER_V6, PROTOCOL_TCP, 60).to_vec();
    quoted.extend([0x9c, 0x40, 0, 80, 0, 0, 1, 0]);
    for (message, cause) in [
        (Icmpv6::PacketTooBig { mtu: 1280, quoted: &quoted }, Cause::TooBig { mtu: 1280 }),
        (Icmpv6::Unreachable { code: 0, quoted: &quoted }, Cause::Transient { kind: 1, code: 0 }),
        (Icmpv6::Unreachable { code: 4, quoted: &quoted }, Cause::Hard { kind: 1, code: 4 }),
        (
            Icmpv6::Other { kind: 3, code: 0, rest: [0; 4], body: &quoted },
            Cause::Transient { kind: 3, code: 0 },
        ),
    ] {
        let error = TcpError {
            local: (OUR_V6, 40_000).into(),
            remote: (PEER_V6, 80).into(),
            seq: SeqNumber::new(256),
            cause,
        };
        assert_eq!(v6(PEER_V6, OUR_V6, 64, &message), only(Then::TcpError(error)));
    }
    let cut = Icmpv6::PacketTooBig { mtu: 1280, quoted: &quoted[..47] };
    assert_eq!(v6(PEER_V6, OUR_V6, 64, &cut), ignored(Ignored::Quote));
}
