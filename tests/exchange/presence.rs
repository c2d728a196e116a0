//! Our own addresses on the link: checked, announced, defended, and their groups reported
//! (RFC 5227, RFC 4862 §5.4, RFC 4861 §7.2.6, RFC 3810).

use crate::*;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use lastack::engine::{Config, Error};
use lastack::net::claim::{ClaimConfig, Conflict, OnDuplicate, Phase};
use lastack::net::frame::{self, Link};
use lastack::wire::arp::{Arp, Operation};
use lastack::wire::ethernet::{self, ETHERTYPE_ARP, ETHERTYPE_IPV6, Ethernet};
use lastack::wire::icmpv6::{self, Icmpv6};
use lastack::wire::ipv6::{Ipv6, Ipv6Header};
use lastack::wire::{MacAddr, mld};

const OTHER: Link = Link { mac: MacAddr([2, 0, 0, 0, 0, 9]), vlan: None };
const US4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
const US6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 1);

fn checked(on_duplicate: OnDuplicate) -> Config {
    let mut config = plain();
    config.claim = ClaimConfig::on_a_link(Duration::from_millis(300), on_duplicate);
    config
}

/// What we say of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Probe(IpAddr),
    Announce(IpAddr),
}

fn said(frame: &[u8]) -> Said {
    let ethernet = Ethernet::parse(frame).unwrap();
    assert_eq!(ethernet.src, OUR_MAC);
    if ethernet.ethertype == ETHERTYPE_ARP {
        let Arp { operation, sender_mac, sender_ip, target_ip, .. } =
            Arp::parse(ethernet.payload).unwrap();
        assert_eq!((ethernet.dst, operation), (MacAddr::BROADCAST, Operation::Request));
        assert_eq!(sender_mac, OUR_MAC);
        return match sender_ip.is_unspecified() {
            true => Said::Probe(target_ip.into()),
            false => {
                assert_eq!(sender_ip, target_ip, "gratuitous");
                Said::Announce(target_ip.into())
            }
        };
    }
    let packet = Ipv6::parse(ethernet.payload).unwrap();
    assert_eq!(packet.hop_limit, 255);
    assert_eq!(ethernet.dst, MacAddr::for_ipv6_multicast(packet.dst));
    assert!(icmpv6::checksum_ok(packet.src, packet.dst, packet.payload));
    match Icmpv6::parse(packet.payload).unwrap() {
        Icmpv6::NeighbourSolicitation { target, source_link: None } => {
            assert!(packet.src.is_unspecified());
            assert_eq!(packet.dst, lastack::net::address::solicited_node(target));
            Said::Probe(target.into())
        }
        Icmpv6::NeighbourAdvertisement { solicited: false, override_known, target, .. } => {
            assert_eq!((packet.src, packet.dst), (target, "ff02::1".parse().unwrap()));
            assert!(override_known);
            Said::Announce(target.into())
        }
        other => panic!("{other:?}"),
    }
}

const ADDRESSES: [IpAddr; 3] = [IpAddr::V4(US4), IpAddr::V6(US6), IpAddr::V6(LINK_LOCAL)];

fn next_said(tcp: &mut Exchange) -> Vec<Said> {
    tcp.sent_frames().iter().map(|frame| said(frame)).collect()
}

/// All frames by then, those that nobody has looked at before included.
fn frames_until(tcp: &mut Exchange, ms: u64) -> Vec<Vec<u8>> {
    let mut frames = tcp.sent_frames();
    tcp.at(ms);
    frames.extend(tcp.sent_frames());
    frames
}

fn said_until(tcp: &mut Exchange, ms: u64) -> Vec<Said> {
    frames_until(tcp, ms).iter().map(|frame| said(frame)).collect()
}

/// The engine as it is after the harness has polled it for the first time.
fn started(config: Config, rhythm: Rhythm) -> Exchange {
    Exchange::new(config).in_rhythm(rhythm)
}

#[test]
fn addresses_are_probed_then_announced() {
    at_any_rhythm(|rhythm| {
        let mut tcp = started(checked(OnDuplicate::Yield), rhythm);
        for ms in [0, 100, 200] {
            assert_eq!(said_until(&mut tcp, ms), ADDRESSES.map(Said::Probe));
        }
        tcp.at(300);
        assert_eq!(next_said(&mut tcp), ADDRESSES.map(Said::Announce));
        tcp.listen(Default::default()).unwrap();
        tcp.handshake();
        tcp.at(2_300);
        assert_eq!(next_said(&mut tcp), ADDRESSES.map(Said::Announce));
        assert_eq!(tcp.engine.metrics().presence.phase(), Phase::Announcing);
        tcp.at(10_000);
        assert_eq!(tcp.engine.metrics().presence.phase(), Phase::Held);
    });
}

/// Before they are ours nothing is answered and nothing sent from them.
#[test]
fn addresses_are_not_used_before() {
    let mut tcp = started(checked(OnDuplicate::Yield), Rhythm::Deadlines);
    tcp.listen(Default::default()).unwrap();
    let _ = next_said(&mut tcp);
    let mut ask = [0; 64];
    let peer = Link { mac: PEER_MAC, vlan: None };
    let len =
        frame::write_arp_request(&mut ask, peer, None, Ipv4Addr::new(198, 18, 0, 2), US4).unwrap();
    tcp.receives_frame(&ask[..len]);
    tcp.sends_nothing();
    tcp.receives(syn().seq(300));
    tcp.sends_nothing();
    let far = tcp.remote;
    assert_eq!(tcp.engine.connect(far, Default::default()), Err(Error::Unreachable));
    assert_eq!(tcp.engine.metrics().drops.address_unchecked.get(), 2);
    for ms in [100, 200, 300] {
        tcp.at(ms);
        let _ = next_said(&mut tcp);
    }
    tcp.receives_frame(&ask[..len]);
    assert_eq!(tcp.sent_frames().len(), 1, "an ARP reply");
    tcp.handshake();
}

/// Each message by which another station shows that it has, or is about to take, an address.
fn duplicates() -> Vec<(IpAddr, Vec<u8>)> {
    let mut frames = Vec::new();
    let mut add = |ip: IpAddr, write: &dyn Fn(&mut [u8]) -> Option<usize>| {
        let mut frame = vec![0; 128];
        let len = write(&mut frame).unwrap();
        frames.push((ip, frame[..len].to_vec()));
    };
    let reply = Arp {
        operation: Operation::Reply,
        sender_mac: OTHER.mac,
        sender_ip: US4,
        target_mac: OUR_MAC,
        target_ip: Ipv4Addr::UNSPECIFIED,
    };
    add(US4.into(), &|out| frame::write_arp(out, OTHER, OUR_MAC, &reply));
    add(US4.into(), &|out| frame::write_gratuitous_arp(out, OTHER, US4));
    add(US4.into(), &|out| frame::write_probe(out, OTHER, US4.into()));
    let to_peer = Ipv4Addr::new(198, 18, 0, 2);
    add(US4.into(), &|out| frame::write_arp_request(out, OTHER, None, US4, to_peer));
    for ip in [US6, LINK_LOCAL] {
        add(ip.into(), &|out| frame::write_unsolicited_advertisement(out, OTHER, ip));
        add(ip.into(), &|out| frame::write_probe(out, OTHER, ip.into()));
    }
    frames
}

#[test]
fn a_duplicate_silences_the_engine() {
    for (ip, frame) in duplicates() {
        at_any_rhythm(|rhythm| {
            let mut tcp = started(checked(OnDuplicate::Yield), rhythm);
            tcp.listen(Default::default()).unwrap();
            let _ = next_said(&mut tcp);
            tcp.at(50);
            tcp.receives_frame(&frame);
            tcp.at(20_000);
            tcp.receives(syn().seq(300));
            tcp.sends_nothing();
            let presence = &tcp.engine.metrics().presence;
            assert_eq!(presence.phase(), Phase::Yielded);
            assert_eq!(presence.last_conflict(), Some(Conflict { ip, mac: OTHER.mac }));
        });
    }
}

#[test]
fn a_duplicate_is_only_told_if_that_is_wanted() {
    for (ip, frame) in duplicates() {
        let mut tcp = started(checked(OnDuplicate::Keep), Rhythm::Deadlines);
        tcp.listen(Default::default()).unwrap();
        let _ = next_said(&mut tcp);
        tcp.receives_frame(&frame);
        for ms in [100, 200, 300] {
            tcp.at(ms);
            assert_eq!(next_said(&mut tcp).len(), 3);
        }
        tcp.handshake();
        let presence = &tcp.engine.metrics().presence;
        assert_eq!(presence.last_conflict(), Some(Conflict { ip, mac: OTHER.mac }));
        tcp.at(2_300);
        let _ = next_said(&mut tcp);
    }
}

/// What looks like a duplicate and is none: our own frames come back, others resolve us, others
/// check addresses of their own, messages that came through a router or are damaged.
#[test]
fn what_is_no_duplicate() {
    let mut tcp = started(checked(OnDuplicate::Yield), Rhythm::Deadlines);
    let mut frames = tcp.sent_frames();
    let mut add = |write: &dyn Fn(&mut [u8]) -> Option<usize>| {
        let mut frame = vec![0; 128];
        let len = write(&mut frame).unwrap();
        frames.push(frame[..len].to_vec());
    };
    let free = "198.18.0.77".parse().unwrap();
    add(&|out| frame::write_probe(out, OTHER, free));
    add(&|out| frame::write_probe(out, OTHER, "2001:db8::77".parse().unwrap()));
    let peer = Ipv4Addr::new(198, 18, 0, 2);
    add(&|out| frame::write_arp_request(out, OTHER, None, peer, US4));
    let peer = "2001:db8::2".parse().unwrap();
    add(&|out| frame::write_solicitation(out, OTHER, None, peer, US6));
    add(&|out| frame::write_solicitation(out, OTHER, Some(OUR_MAC), peer, US6));
    for (at, octet) in [(21, 64), (60, 0xee)] {
        // the hop limit, and something under the checksum
        let mut frame = vec![0; 128];
        let len = frame::write_unsolicited_advertisement(&mut frame, OTHER, US6).unwrap();
        frame[at] = octet;
        frames.push(frame[..len].to_vec());
    }
    for frame in &frames {
        tcp.receives_frame(frame);
        tcp.sends_nothing();
    }
    for ms in [100, 200] {
        tcp.at(ms);
        assert_eq!(next_said(&mut tcp), ADDRESSES.map(Said::Probe));
    }
    tcp.at(300);
    assert_eq!(next_said(&mut tcp), ADDRESSES.map(Said::Announce));
    assert_eq!(tcp.engine.metrics().presence.last_conflict(), None);
    tcp.at(2_300);
    let _ = next_said(&mut tcp);
}

/// RFC 5227 §2.4 c: an address that we were told to have is defended, at most once in ten seconds.
/// Connections go on.
#[test]
fn an_address_in_use_is_defended() {
    for (ip, frame) in duplicates() {
        let mut tcp = started(checked(OnDuplicate::Yield), Rhythm::Deadlines);
        for ms in [0, 100, 200, 300, 2_300] {
            let _ = said_until(&mut tcp, ms);
        }
        tcp.listen(Default::default()).unwrap();
        tcp.handshake();
        let claims = said_by_another(&frame);
        for (ms, defends) in [(5_000, true), (5_001, false), (14_999, false), (15_000, true)] {
            tcp.at(ms);
            tcp.receives_frame(&frame);
            let sent = tcp.sent_frames();
            if claims {
                let told: Vec<Said> = sent.iter().map(|frame| said(frame)).collect();
                assert_eq!(told, if defends { vec![Said::Announce(ip)] } else { vec![] });
            } else {
                assert_eq!(sent.len(), 1, "a probe is answered each time, RFC 5227 §2.1.1");
            }
        }
        let presence = &tcp.engine.metrics().presence;
        assert_eq!(presence.defended.get(), if claims { 2 } else { 0 });
        assert_eq!(tcp.engine.metrics().drops.address_conflict.get(), if claims { 4 } else { 0 });
        let conn = tcp.conn();
        assert_eq!(tcp.engine.status(conn), Ok(()));
    }
}

/// Does the frame claim an address, and not only ask for it?
fn said_by_another(frame: &[u8]) -> bool {
    let ethernet = Ethernet::parse(frame).unwrap();
    if ethernet.ethertype == ETHERTYPE_ARP {
        return !Arp::parse(ethernet.payload).unwrap().sender_ip.is_unspecified();
    }
    let packet = Ipv6::parse(ethernet.payload).unwrap();
    !packet.src.is_unspecified()
}

/// The link comes up again, or our Ethernet address changes: others are told.
#[test]
fn others_are_told_again() {
    let mut tcp = started(checked(OnDuplicate::Yield), Rhythm::Deadlines);
    for ms in [0, 100, 200, 300, 2_300] {
        let _ = said_until(&mut tcp, ms);
    }
    tcp.at(9_000);
    tcp.engine.note_link_up();
    tcp.at(9_000);
    assert_eq!(next_said(&mut tcp), ADDRESSES.map(Said::Announce));
    tcp.at(11_000);
    assert_eq!(next_said(&mut tcp), ADDRESSES.map(Said::Announce));
    tcp.at(20_000);
    tcp.engine.set_mac(OTHER.mac);
    tcp.at(20_000);
    let sent = tcp.sent_frames();
    assert_eq!(sent.len(), 3);
    for frame in &sent {
        assert_eq!(Ethernet::parse(frame).unwrap().src, OTHER.mac);
    }
    tcp.at(22_000);
    assert_eq!(tcp.sent_frames().len(), 3);
    // nobody is on the link yet: no check
    let mut tcp = started(checked(OnDuplicate::Yield), Rhythm::Deadlines);
    let _ = next_said(&mut tcp);
    tcp.engine.skip_address_check();
    tcp.at(0);
    assert_eq!(next_said(&mut tcp), ADDRESSES.map(Said::Announce));
    tcp.at(2_000);
    assert_eq!(next_said(&mut tcp), ADDRESSES.map(Said::Announce));
}

// Multicast listener discovery

fn with_groups() -> Config {
    let mut config = plain();
    config.report_groups = true;
    config
}

/// A report of ours: its source, its destination, its type, and the groups with their record types.
type Reported = (Ipv6Addr, Ipv6Addr, u8, Vec<(u8, Ipv6Addr)>);

fn reported(frame: &[u8]) -> Reported {
    let ethernet = Ethernet::parse(frame).unwrap();
    let packet = Ipv6::parse(ethernet.payload).unwrap();
    assert_eq!(ethernet.dst, MacAddr::for_ipv6_multicast(packet.dst));
    assert_eq!(packet.hop_limit, 1);
    assert_eq!(packet.header[40..], [58, 0, 5, 2, 0, 0, 1, 0], "router alert");
    assert!(icmpv6::checksum_ok(packet.src, packet.dst, packet.payload));
    let Ok(Icmpv6::Other { kind, code: 0, rest, body }) = Icmpv6::parse(packet.payload) else {
        panic!("{frame:02x?}");
    };
    let address = |octets: &[u8]| Ipv6Addr::from(<[u8; 16]>::try_from(octets).unwrap());
    let groups = match kind {
        mld::REPORT => {
            assert_eq!(body.len(), 20 * usize::from(rest[3]));
            let records = body.chunks_exact(20);
            records.map(|record| (record[0], address(&record[4..]))).collect()
        }
        _ => vec![(0, address(body))],
    };
    (packet.src, packet.dst, kind, groups)
}

/// A query from a router, of version 2 unless it is short.
fn query(src: &str, hop_limit: u8, group: &str, body_len: usize, within_ms: u16) -> Vec<u8> {
    let src: Ipv6Addr = src.parse().unwrap();
    let group: Ipv6Addr = group.parse().unwrap();
    let dst: Ipv6Addr = if group.is_unspecified() { "ff02::1".parse().unwrap() } else { group };
    let mut body = group.octets().to_vec();
    body.resize(body_len, 0);
    let [high, low] = within_ms.to_be_bytes();
    let message = Icmpv6::Other { kind: mld::QUERY, code: 0, rest: [high, low, 0, 0], body: &body };
    let len = mld::ROUTER_ALERT.len() + message.len();
    let mut frame = vec![0; 54 + len];
    let mac = MacAddr::for_ipv6_multicast(dst);
    let mut at = ethernet::write_header(&mut frame, mac, PEER_MAC, None, ETHERTYPE_IPV6);
    let header =
        Ipv6Header { src, dst, next_header: 0, hop_limit, traffic_class: 0, flow_label: 0 };
    at += header.write(&mut frame[at..], len);
    frame[at..at + 8].copy_from_slice(&mld::ROUTER_ALERT);
    message.write(&mut frame[at + 8..], src, dst);
    frame
}

/// All reports that come by then.
fn reports_until(tcp: &mut Exchange, from: u64, until: u64) -> Vec<Reported> {
    let mut all = Vec::new();
    for ms in from..=until {
        all.extend(frames_until(tcp, ms).iter().map(|frame| reported(frame)));
    }
    all
}

fn ours() -> Vec<Ipv6Addr> {
    // the link-local and the global address share their last 24 bits but for one of them
    let mut groups = [US6, LINK_LOCAL].map(lastack::net::address::solicited_node).to_vec();
    groups.sort_unstable();
    groups.dedup();
    groups
}

fn records(kind: u8) -> Vec<(u8, Ipv6Addr)> {
    ours().into_iter().map(|group| (kind, group)).collect()
}

const ALL_ROUTERS: &str = "ff02::16";

#[test]
fn groups_are_joined_at_the_start() {
    let mut tcp = started(with_groups(), Rhythm::Deadlines);
    let reports = reports_until(&mut tcp, 0, 1_100);
    let report = (LINK_LOCAL, ALL_ROUTERS.parse().unwrap(), mld::REPORT, records(4));
    assert_eq!(reports, [report.clone(), report]);
    tcp.at(100_000);
    // with IPv4 alone there is nothing to join
    let mut config = with_groups();
    config.interface.addresses.truncate(1);
    config.interface.neighbours.truncate(1);
    let mut tcp = started(config, Rhythm::Deadlines);
    tcp.at(10_000);
}

/// RFC 4862 §5.4.2: the groups are joined before the check, from no address, and again after it.
#[test]
fn groups_are_joined_before_addresses_are_checked() {
    let mut config = checked(OnDuplicate::Yield);
    config.report_groups = true;
    let mut tcp = started(config, Rhythm::Deadlines);
    let mut sources = Vec::new();
    for ms in 0..=1_400 {
        for frame in frames_until(&mut tcp, ms) {
            let is_report = Ipv6::parse(Ethernet::parse(&frame).unwrap().payload)
                .is_ok_and(|packet| packet.header.len() > 40);
            if is_report {
                sources.push((ms, reported(&frame).0));
            }
        }
    }
    assert_eq!(sources[0], (0, Ipv6Addr::UNSPECIFIED));
    assert!(sources.contains(&(300, LINK_LOCAL)), "{sources:?}");
    assert!(sources.iter().all(|(ms, src)| *ms >= 300 || src.is_unspecified()), "{sources:?}");
    tcp.at(2_300);
    let _ = tcp.sent_frames();
}

#[test]
fn queries_are_answered_in_time() {
    let routers = ALL_ROUTERS.parse().unwrap();
    let group = ours()[0];
    for (asked, body, expected) in [
        ("::", 20, vec![(LINK_LOCAL, routers, mld::REPORT, records(2))]),
        (&*group.to_string(), 20, vec![(LINK_LOCAL, routers, mld::REPORT, vec![(2, group)])]),
        (&*group.to_string(), 52, vec![(LINK_LOCAL, routers, mld::REPORT, vec![(2, group)])]),
        ("::", 16, ours().iter().map(|&g| (LINK_LOCAL, g, mld::REPORT_V1, vec![(0, g)])).collect()),
        ("ff02::1:ff00:77", 20, vec![]),
    ] {
        let mut tcp = started(with_groups(), Rhythm::Deadlines);
        reports_until(&mut tcp, 0, 1_100);
        tcp.receives_frame(&query("fe80::2", 1, asked, body, 500));
        assert_eq!(reports_until(&mut tcp, 1_100, 1_600), expected, "{asked} {body}");
    }
}

#[test]
fn queries_that_may_not_be_are_not_answered() {
    let mut tcp = started(with_groups(), Rhythm::Deadlines);
    reports_until(&mut tcp, 0, 1_100);
    for (src, hop_limit, body) in
        [("2001:db8::2", 1, 20), ("::", 1, 20), ("fe80::2", 64, 20), ("fe80::2", 1, 17)]
    {
        tcp.receives_frame(&query(src, hop_limit, "::", body, 500));
    }
    tcp.at(10_000);
    let mut silent = started(plain(), Rhythm::Deadlines);
    silent.receives_frame(&query("fe80::2", 1, "::", 20, 500));
    silent.at(10_000);
}
