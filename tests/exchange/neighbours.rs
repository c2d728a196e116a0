//! Neighbours that change their Ethernet address, or seem to: unreachability detection, claims, and
//! what is told of our own addresses (RFC 826, RFC 1122 §2.3.2.1, RFC 4861 §7, RFC 5227).

use crate::*;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use lastack::engine::{Config, Error};
use lastack::net::frame::{self, Link};
use lastack::tcp::KeepAlive;
use lastack::wire::MacAddr;
use lastack::wire::arp::{Arp, Operation};
use lastack::wire::ethernet::{ETHERTYPE_ARP, Ethernet};
use lastack::wire::icmpv6::{Icmpv6, NEIGHBOUR_HOP_LIMIT};
use lastack::wire::ipv6::Ipv6;

/// Where the peer is after it has restarted.
const NEW_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);
const US4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
const THEM4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
const US6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const THEM6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

/// A question of ours for a neighbour: for whom, and to which station.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    target: IpAddr,
    station: MacAddr,
}

fn question(frame: &[u8]) -> Option<Asked> {
    let ethernet = Ethernet::parse(frame).unwrap();
    assert_eq!(ethernet.src, OUR_MAC);
    let station = ethernet.dst;
    if ethernet.ethertype == ETHERTYPE_ARP {
        let arp = Arp::parse(ethernet.payload).unwrap();
        assert_eq!((arp.operation, arp.sender_mac), (Operation::Request, OUR_MAC));
        return Some(Asked { target: arp.target_ip.into(), station });
    }
    let packet = Ipv6::parse(ethernet.payload).ok()?;
    match Icmpv6::parse(packet.payload) {
        Ok(Icmpv6::NeighbourSolicitation { target, source_link }) if packet.protocol == 58 => {
            assert_eq!((packet.hop_limit, source_link), (NEIGHBOUR_HOP_LIMIT, Some(OUR_MAC)));
            let to_group = station == MacAddr([0x33, 0x33, 0xff, 0, 0, 2]);
            assert_eq!(packet.dst.is_multicast(), to_group, "its group, or itself");
            let everybody = if to_group { MacAddr::BROADCAST } else { station };
            Some(Asked { target: target.into(), station: everybody })
        }
        _ => None,
    }
}

#[track_caller]
fn asks(tcp: &mut Exchange, target: IpAddr, station: MacAddr) {
    let frame = tcp.sent_frame();
    assert_eq!(question(&frame), Some(Asked { target, station }), "{frame:02x?}");
}

/// The peer says that `ip` is at `mac`: in answer to us, or to all without being asked.
fn says(ip: IpAddr, mac: MacAddr, answers: bool) -> Vec<u8> {
    let mut frame = vec![0; 128];
    let link = Link { mac, vlan: None };
    let len = match ip {
        IpAddr::V4(ip) if answers => {
            let message = Arp {
                operation: Operation::Reply,
                sender_mac: mac,
                sender_ip: ip,
                target_mac: OUR_MAC,
                target_ip: US4,
            };
            frame::write_arp(&mut frame, link, OUR_MAC, &message)
        }
        IpAddr::V4(ip) => frame::write_gratuitous_arp(&mut frame, link, ip),
        IpAddr::V6(ip) if answers => advertises(&mut frame, link, ip, true),
        IpAddr::V6(ip) => frame::write_unsolicited_advertisement(&mut frame, link, ip),
    };
    frame.truncate(len.unwrap());
    frame
}

fn advertises(out: &mut [u8], link: Link, target: Ipv6Addr, override_known: bool) -> Option<usize> {
    let message = Icmpv6::NeighbourAdvertisement {
        router: false,
        solicited: true,
        override_known,
        target,
        target_link: Some(link.mac),
    };
    frame::write_icmpv6(out, link, OUR_MAC, target, US6, &message)
}

/// The two families: the peer's address, and whether a gateway stands before it.
const PATHS: [(IpAddr, bool); 4] = [
    (IpAddr::V4(THEM4), false),
    (IpAddr::V6(THEM6), false),
    (IpAddr::V4(THEM4), true),
    (IpAddr::V6(THEM6), true),
];

fn without_neighbours() -> Config {
    let mut config = plain();
    config.interface.neighbours.clear();
    config.interface.gateway_ipv4 = Some(THEM4);
    config.interface.gateway_ipv6 = Some(THEM6);
    config
}

/// A connection that we opened over this path, by way of a neighbour that answered.
fn connected(rhythm: Rhythm, path: (IpAddr, bool), config: Config) -> Exchange {
    let (hop, by_gateway) = path;
    let mut tcp = Exchange::new(config).in_rhythm(rhythm);
    let (ours, far): (IpAddr, IpAddr) = match hop {
        IpAddr::V4(_) => (US4.into(), Ipv4Addr::new(203, 0, 113, 7).into()),
        IpAddr::V6(_) => (US6.into(), "2001:db8:7::7".parse().unwrap()),
    };
    tcp.local.set_ip(ours);
    tcp.remote.set_ip(if by_gateway { far } else { hop });
    tcp.connect();
    asks(&mut tcp, hop, MacAddr::BROADCAST);
    tcp.receives_frame(&says(hop, PEER_MAC, true));
    tcp.sends(syn().seq(100));
    tcp.receives(syn_ack().seq(300).ack(101));
    tcp.sends(ack().seq(101).ack(301));
    tcp
}

/// A connection whose text nobody acknowledges, just after its second time-out: its neighbour is doubted
/// and has been asked once, at its station.
fn in_doubt(rhythm: Rhythm, path: (IpAddr, bool)) -> Exchange {
    let (hop, _) = path;
    let mut tcp = connected(rhythm, path, without_neighbours());
    tcp.at(500);
    tcp.write("hello");
    tcp.sends(data("hello").seq(101).ack(301));
    tcp.at(1_500);
    tcp.sends(data("hello").seq(101).ack(301));
    tcp.at(3_500);
    asks(&mut tcp, hop, PEER_MAC);
    tcp.sends(data("hello").seq(101).ack(301));
    tcp
}

fn on_each_path(test: impl Fn(Rhythm, (IpAddr, bool))) {
    for path in PATHS {
        at_any_rhythm(|rhythm| test(rhythm, path));
    }
}

/// The second time-out doubts the neighbour: it is asked three times at its station, then all are
/// asked, and the connection goes on where it is now.
#[test]
fn a_neighbour_that_restarts_is_found_after_two_time_outs() {
    on_each_path(|rhythm, path| {
        let (hop, _) = path;
        let mut tcp = in_doubt(rhythm, path);
        for second in [4, 5] {
            tcp.at(second * 1_000 + 500);
            asks(&mut tcp, hop, PEER_MAC);
        }
        tcp.at(6_500);
        asks(&mut tcp, hop, MacAddr::BROADCAST);
        tcp.receives_frame(&says(hop, NEW_MAC, true));
        tcp.peer_mac = NEW_MAC;
        tcp.at(7_500); // the answer is new: nothing is asked
        tcp.sends(data("hello").seq(101).ack(301));
        tcp.receives(ack().seq(301).ack(106));
        tcp.write("again");
        tcp.sends(data("again").seq(106).ack(301));
        tcp.receives(ack().seq(301).ack(111));
    });
}

/// What finds nobody is sent as soon as somebody answers.
#[test]
fn a_segment_that_waits_for_its_neighbour_goes_with_the_answer() {
    on_each_path(|rhythm, path| {
        let (hop, _) = path;
        let mut tcp = in_doubt(rhythm, path);
        for second in 4..=8 {
            tcp.at(second * 1_000 + 500);
            let everybody = second >= 6;
            asks(&mut tcp, hop, if everybody { MacAddr::BROADCAST } else { PEER_MAC });
        }
        tcp.at(8_800); // the time-out of 7.5 s has found nobody
        tcp.receives_frame(&says(hop, NEW_MAC, true));
        tcp.peer_mac = NEW_MAC;
        tcp.sends(data("hello").seq(101).ack(301));
        tcp.receives(ack().seq(301).ack(106));
    });
}

/// RFC 4861 §7.3.1 and §7.3.3: ACKs of new data, or new data, are proof; a question is not needed.
#[test]
fn progress_saves_the_questions() {
    on_each_path(|rhythm, path| {
        let mut tcp = connected(rhythm, path, without_neighbours());
        tcp.at(31_000);
        tcp.write("one");
        tcp.sends(data("one").seq(101).ack(301));
        tcp.receives(ack().seq(301).ack(104));
        tcp.at(60_000); // believed until 61 s
        tcp.at(62_000);
        tcp.receives(data("two").seq(301).ack(104));
        tcp.sends(ack().seq(104).ack(304));
        tcp.reads("two");
        tcp.receives(data("three").seq(304).ack(104));
        tcp.sends(ack().seq(104).ack(309));
        tcp.reads("three");
        tcp.at(90_000);
    });
}

/// What moves nothing is no proof: the neighbour is asked 5 s after it was used, where it was known.
#[test]
fn without_progress_a_stale_neighbour_is_probed() {
    on_each_path(|rhythm, path| {
        let (hop, _) = path;
        let mut tcp = connected(rhythm, path, without_neighbours());
        tcp.at(31_000);
        for _ in 0..3 {
            tcp.receives(data("x").seq(300).ack(101)); // old: acknowledged again, and no news
            tcp.sends(ack().seq(101).ack(301));
        }
        tcp.at(36_000);
        asks(&mut tcp, hop, PEER_MAC);
        tcp.receives_frame(&says(hop, PEER_MAC, true));
        tcp.at(66_000);
    });
}

/// Keep-alive that is not answered is a time-out too.
#[test]
fn keep_alive_doubts_the_neighbour() {
    let mut config = without_neighbours();
    config.tcp.keep_alive = Some(KeepAlive {
        idle: core::time::Duration::from_secs(40),
        interval: core::time::Duration::from_secs(2),
        count: 9,
    });
    on_each_path(|rhythm, path| {
        let (hop, _) = path;
        let mut tcp = connected(rhythm, path, config.clone());
        let conn = tcp.conn();
        tcp.engine.set_keep_alive(conn, true).unwrap();
        tcp.at(40_000);
        // a probe counts as unanswered as it goes out; this neighbour is stale
        asks(&mut tcp, hop, PEER_MAC);
        tcp.sends(ack().seq(100).ack(301));
        tcp.at(41_000);
        asks(&mut tcp, hop, PEER_MAC);
        tcp.at(42_000);
        asks(&mut tcp, hop, PEER_MAC);
        tcp.sends(ack().seq(100).ack(301));
        tcp.at(43_000);
        asks(&mut tcp, hop, MacAddr::BROADCAST);
        tcp.receives_frame(&says(hop, NEW_MAC, true));
        tcp.peer_mac = NEW_MAC;
        tcp.at(44_000);
        tcp.sends(ack().seq(100).ack(301));
        tcp.receives(ack().seq(301).ack(101));
    });
}

/// An attempt to connect to a neighbour that was known and has moved.
#[test]
fn a_syn_finds_a_neighbour_that_moved_while_nobody_spoke() {
    on_each_path(|rhythm, path| {
        let (hop, _) = path;
        let mut tcp = connected(rhythm, path, without_neighbours());
        let conn = tcp.conn();
        tcp.engine.abort(conn).unwrap();
        tcp.sends(rst_ack().seq(101).ack(301));
        tcp.at(31_000);
        tcp.next_incarnation();
        tcp.connect();
        tcp.sends(syn().seq(100));
        tcp.at(32_000); // it is stale: the first time-out doubts it
        asks(&mut tcp, hop, PEER_MAC);
        tcp.sends(syn().seq(100));
        tcp.at(33_000);
        asks(&mut tcp, hop, PEER_MAC);
        tcp.at(34_000);
        asks(&mut tcp, hop, PEER_MAC);
        tcp.sends(syn().seq(100));
        tcp.at(35_000);
        asks(&mut tcp, hop, MacAddr::BROADCAST);
        tcp.receives_frame(&says(hop, NEW_MAC, true));
        tcp.peer_mac = NEW_MAC;
        tcp.at(38_000);
        tcp.sends(syn().seq(100));
        tcp.receives(syn_ack().seq(300).ack(101));
        tcp.sends(ack().seq(101).ack(301));
    });
}

/// Established connections outlast a neighbour that is away for longer than it is asked for: the
/// next time-out asks again, and the answer lets its segment go.
#[test]
fn a_neighbour_that_is_away_for_long() {
    on_each_path(|rhythm, path| {
        let (hop, _) = path;
        let mut tcp = connected(rhythm, path, without_neighbours());
        tcp.write("hello");
        let mut now = 0;
        loop {
            let asked = tcp.sent_frames().iter().any(|frame| question(frame).is_some());
            if asked && now > 100_000 {
                break;
            }
            now += 100;
            assert!(now < 400_000, "it is asked for again and again");
            tcp.at(now);
        }
        assert_eq!(tcp.engine.status(tcp.conn()), Ok(()));
        tcp.receives_frame(&says(hop, NEW_MAC, true));
        tcp.peer_mac = NEW_MAC;
        tcp.sends(data("hello").seq(101).ack(301));
        tcp.receives(ack().seq(301).ack(106));
    });
}

/// A station that announces itself is believed at once (RFC 5227 §2.3, RFC 4861 §7.2.6).
#[test]
fn an_announcement_moves_a_neighbour_at_once() {
    on_each_path(|rhythm, path| {
        let (hop, _) = path;
        let mut tcp = connected(rhythm, path, without_neighbours());
        tcp.write("hello");
        tcp.sends(data("hello").seq(101).ack(301));
        tcp.receives_frame(&says(hop, NEW_MAC, false));
        tcp.peer_mac = NEW_MAC;
        tcp.at(1_000);
        // what it claims is not proven: the time-out asks, at the new station
        asks(&mut tcp, hop, NEW_MAC);
        tcp.sends(data("hello").seq(101).ack(301));
        tcp.receives(ack().seq(301).ack(106));
        assert_eq!(tcp.engine.neighbours().counters().changed, 1);
    });
}

/// RFC 4861 §7.2.5: without the override flag what is known stays, and is doubted.
#[test]
fn an_advertisement_without_override_moves_nothing() {
    at_any_rhythm(|rhythm| {
        let path = (IpAddr::V6(THEM6), false);
        let mut tcp = connected(rhythm, path, without_neighbours());
        let mut frame = [0; 128];
        let link = Link { mac: NEW_MAC, vlan: None };
        let len = advertises(&mut frame, link, THEM6, false).unwrap();
        tcp.receives_frame(&frame[..len]);
        tcp.write("hello");
        tcp.sends(data("hello").seq(101).ack(301));
        tcp.at(1_000); // doubted already: the first time-out asks
        asks(&mut tcp, THEM6.into(), PEER_MAC);
        tcp.sends(data("hello").seq(101).ack(301));
        tcp.receives(ack().seq(301).ack(106));
        assert_eq!(tcp.engine.neighbours().counters().changed, 0);
    });
}

/// Every message that could tell of a station, from the neighbour itself or forged: one that was
/// configured is where it was configured, whatever anybody says and however long it is silent.
#[test]
fn a_permanent_neighbour_is_changed_by_nothing() {
    for (hop, by_gateway) in PATHS {
        let mut config = without_neighbours();
        config.interface.neighbours = vec![(hop, PEER_MAC)];
        let mut tcp = Exchange::new(config);
        if hop.is_ipv6() {
            tcp.local.set_ip(US6.into());
            tcp.remote.set_ip(hop);
        }
        if by_gateway {
            tcp.remote.set_ip(match hop {
                IpAddr::V4(_) => Ipv4Addr::new(203, 0, 113, 7).into(),
                IpAddr::V6(_) => "2001:db8:7::7".parse().unwrap(),
            });
        }
        tcp.connect();
        tcp.sends(syn().seq(100));
        tcp.receives(syn_ack().seq(300).ack(101));
        tcp.sends(ack().seq(101).ack(301));
        tcp.write("hello");
        tcp.sends(data("hello").seq(101).ack(301));
        for mac in [NEW_MAC, PEER_MAC, MacAddr::BROADCAST, MacAddr::ZERO] {
            for frame in claims(hop, mac) {
                tcp.receives_frame(&frame);
                let _ = tcp.sent_frames(); // questions are answered, to whoever asked
            }
        }
        // to the old station each time, and no question
        for ms in [1_000, 3_000, 7_000, 15_000] {
            tcp.at(ms);
            tcp.sends(data("hello").seq(101).ack(301));
        }
        tcp.receives(ack().seq(301).ack(106));
        assert_eq!(tcp.engine.neighbours().counters().changed, 0);
    }
}

/// All the ways to claim that `ip` is at `mac`.
fn claims(ip: IpAddr, mac: MacAddr) -> Vec<Vec<u8>> {
    let link = Link { mac: NEW_MAC, vlan: None };
    let mut frames = Vec::new();
    let mut add = |write: &dyn Fn(&mut [u8]) -> Option<usize>| {
        let mut frame = vec![0; 128];
        let len = write(&mut frame).unwrap();
        frames.push(frame[..len].to_vec());
    };
    match ip {
        IpAddr::V4(ip) => {
            for operation in [Operation::Request, Operation::Reply] {
                for target_ip in [US4, ip, Ipv4Addr::new(198, 18, 0, 3)] {
                    let message = Arp {
                        operation,
                        sender_mac: mac,
                        sender_ip: ip,
                        target_mac: OUR_MAC,
                        target_ip,
                    };
                    for to in [OUR_MAC, MacAddr::BROADCAST] {
                        add(&|out| frame::write_arp(out, link, to, &message));
                    }
                }
            }
        }
        IpAddr::V6(ip) => {
            for (solicited, override_known) in
                [(false, false), (false, true), (true, false), (true, true)]
            {
                let message = Icmpv6::NeighbourAdvertisement {
                    router: false,
                    solicited,
                    override_known,
                    target: ip,
                    target_link: Some(mac),
                };
                add(&|out| frame::write_icmpv6(out, link, OUR_MAC, ip, US6, &message));
            }
            let message = Icmpv6::NeighbourSolicitation { target: US6, source_link: Some(mac) };
            add(&|out| frame::write_icmpv6(out, link, OUR_MAC, ip, US6, &message));
        }
    }
    frames
}

/// A neighbour that nobody answers for is given up; the next attempt asks again.
#[test]
fn an_attempt_fails_where_the_neighbour_is_gone() {
    on_each_path(|rhythm, (hop, by_gateway)| {
        let mut tcp = connected(rhythm, (hop, by_gateway), without_neighbours());
        let conn = tcp.conn();
        tcp.engine.abort(conn).unwrap();
        tcp.sends(rst_ack().seq(101).ack(301));
        tcp.at(31_000);
        tcp.next_incarnation();
        let conn = tcp.connect();
        let mut last = 31_000;
        while tcp.engine.status(conn) == Err(Error::InProgress) {
            let _ = tcp.sent_frames();
            last += 100;
            assert!(last < 60_000, "it ends");
            tcp.at(last);
        }
        let _ = tcp.sent_frames();
        assert_eq!(tcp.engine.status(conn), Err(Error::Unreachable));
    });
}
