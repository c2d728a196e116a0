//! Frames from sources that cannot be, and frames to a group: dropped, counted and never answered,
//! whatever they carry.

use crate::messages::*;
use crate::*;
use lastack::engine::Config;
use lastack::wire::MacAddr;
use lastack::wire::arp::Operation::{Reply, Request};
use lastack::wire::icmpv6::Icmpv6;

/// An exchange of these ends; we listen at the local one.
fn between(config: Config, local: &str, remote: &str) -> Exchange {
    let mut tcp = Exchange::new(config);
    tcp.local = local.parse().unwrap();
    tcp.remote = remote.parse().unwrap();
    if tcp.engine.listen(tcp.local, Default::default()).is_err() {
        tcp.local.set_port(0); // a group: nobody can listen there
    }
    tcp
}

fn in_vlan(vlan: Option<u16>) -> Config {
    let mut config = plain();
    config.interface.vlan = vlan;
    config
}

/// Each frame is dropped in silence, and counted once, here.
#[track_caller]
fn are_dropped(tcp: &mut Exchange, frames: &[Vec<u8>], reason: &str) {
    let count = |tcp: &Exchange| {
        let drops = &tcp.engine.metrics().drops;
        (drops.iter().find(|(name, _)| *name == reason).unwrap().1, drops.received())
    };
    for (nth, frame) in frames.iter().enumerate() {
        let (before, all) = count(tcp);
        tcp.receives_frame(frame);
        tcp.sends_nothing();
        let said = format!("frame {nth} of {} to {}", tcp.remote, tcp.local);
        assert_eq!(count(tcp), (before + 1, all + 1), "{said}: {:?}", tcp.engine.metrics().drops);
    }
}

/// RFC 1122 §3.2.1.3, RFC 9293 MUST-63: the broadcast and network address of our network, our own
/// addresses (a "land" attack), groups, loopback, nobody.
#[test]
fn sources_that_cannot_be() {
    for vlan in [None, Some(42)] {
        for remote in [
            "198.18.0.255:9",
            "198.18.0.0:9",
            "198.18.0.1:80",
            "198.18.0.1:9",
            "0.0.0.0:9",
            "127.0.0.1:9",
            "224.0.0.1:9",
            "255.255.255.255:9",
        ] {
            let mut tcp = between(in_vlan(vlan), "198.18.0.1:80", remote);
            let frames = of_each_kind(&tcp);
            are_dropped(&mut tcp, &frames, "bad_source");
        }
        for remote in [
            "[2001:db8::1]:80",
            "[fe80::ff:fe00:1]:9", // our link-local address
            "[::]:9",
            "[::1]:9",
            "[ff02::1]:9",
            "[::ffff:198.18.0.2]:9",
        ] {
            let mut tcp = between(in_vlan(vlan), "[2001:db8::1]:80", remote);
            let frames = of_each_kind(&tcp);
            are_dropped(&mut tcp, &frames, "bad_source");
        }
    }
}

/// Networks of one or two addresses have no broadcast address (RFC 3021), and of networks that are not
/// ours we know none.
#[test]
fn sources_that_look_so_and_can_be() {
    for (ours, local, remote) in [
        ("198.18.8.1/31", "198.18.8.1:80", "198.18.8.0:9"),
        ("198.18.8.0/31", "198.18.8.0:80", "198.18.8.1:9"),
        ("198.18.9.1/32", "198.18.9.1:80", "198.18.9.0:9"),
        ("198.18.0.1/24", "198.18.0.1:80", "198.18.1.255:9"),
        ("198.18.0.1/16", "198.18.0.1:80", "198.18.0.255:9"),
    ] {
        let mut config = plain();
        config.interface.addresses = vec![ours.parse().unwrap()];
        config.interface.neighbours.clear();
        let mut tcp = between(config, local, remote);
        tcp.receives(syn().seq(300).mss(1_460));
        tcp.sends(syn_ack().seq(100).ack(301));
        let frame = ping(&tcp);
        tcp.receives_frame(&frame);
        tcp.sent_frame();
        let frame = udp(&tcp, b"anyone?");
        tcp.receives_frame(&frame);
        tcp.sent_frame();
    }
}

/// A frame that comes from a group or from nowhere (IEEE 802.3 §3.2.3).
#[test]
fn stations_that_cannot_be() {
    for from in [
        MacAddr::BROADCAST,
        MacAddr::ZERO,
        MacAddr([1, 0, 0x5e, 0, 0, 1]),
        MacAddr([0x33, 0x33, 0, 0, 0, 1]),
    ] {
        let bad = |frames: &[Vec<u8>]| -> Vec<Vec<u8>> {
            frames.iter().map(|frame| from_station(frame.clone(), from)).collect()
        };
        let mut tcp = between(plain(), "198.18.0.1:80", "198.18.0.2:9");
        let frames = bad(&of_each_kind(&tcp));
        are_dropped(&mut tcp, &frames, "bad_source_mac");
        let question = arp(&tcp, Request, (PEER_MAC, "198.18.0.2"), "198.18.0.1");
        are_dropped(&mut tcp, &bad(&[question]), "bad_source_mac");
        let mut tcp = between(plain(), "[2001:db8::1]:80", "[2001:db8::2]:9");
        let frames = bad(&of_each_kind(&tcp));
        are_dropped(&mut tcp, &frames, "bad_source_mac");
        let question = solicitation(&tcp, Some(PEER_MAC));
        are_dropped(&mut tcp, &bad(&[question]), "bad_source_mac");
    }
}

/// A packet to one address in a frame to a group (RFC 1122 §3.3.6).
#[test]
fn packets_to_us_in_frames_to_a_group() {
    for to in
        [MacAddr::BROADCAST, MacAddr([1, 0, 0x5e, 0, 0, 1]), MacAddr([0x33, 0x33, 0xff, 0, 0, 1])]
    {
        for (local, remote) in
            [("198.18.0.1:80", "198.18.0.2:9"), ("[2001:db8::1]:80", "[2001:db8::2]:9")]
        {
            let mut tcp = between(plain(), local, remote);
            let frames = of_each_kind(&tcp).map(|frame| to_station(frame, to));
            are_dropped(&mut tcp, &frames, "group_frame");
        }
    }
}

/// A segment to a group does not reach a connection that exists either.
#[test]
fn a_connection_takes_nothing_from_frames_to_a_group() {
    let mut tcp = Exchange::established(plain());
    let frame = tcp.frame_of(&data("hello").seq(301).ack(101));
    are_dropped(&mut tcp, &[to_station(frame, MacAddr::BROADCAST)], "group_frame");
    tcp.receives(data("hello").seq(301).ack(101));
    tcp.sends(ack().seq(101).ack(306));
    tcp.reads("hello");
}

/// RFC 1122 §3.2.2.6; over IPv6 the same, though RFC 4443 §4.2 would let us answer.
#[test]
fn pings_to_a_group_get_no_answer() {
    let all = MacAddr([0x33, 0x33, 0, 0, 0, 1]);
    for (group, to) in [
        ("[ff02::1]:80", all),
        ("[ff02::1:ff00:1]:80", MacAddr([0x33, 0x33, 0xff, 0, 0, 1])),
        ("[ff02::1]:80", OUR_MAC), // RFC 6085: also in a frame to one station
    ] {
        let mut tcp = between(plain(), group, "[2001:db8::2]:9");
        let frame = to_station(ping(&tcp), to);
        are_dropped(&mut tcp, &[frame], "group_frame");
    }
    for group in ["198.18.0.255:80", "198.18.0.0:80", "255.255.255.255:80", "224.0.0.1:80"] {
        let mut tcp = between(plain(), group, "198.18.0.2:9");
        for to in [MacAddr::BROADCAST, OUR_MAC] {
            let frames = of_each_kind(&tcp).map(|frame| to_station(frame, to));
            are_dropped(&mut tcp, &frames, "not_our_address");
        }
    }
    let mut tcp = between(plain(), "[ff02::1]:80", "[2001:db8::2]:9");
    let frame = to_station(udp(&tcp, b"mDNS and the like"), all);
    are_dropped(&mut tcp, &[frame], "not_our_address");
}

/// Senders of ARP messages. Questions of others are answered as before.
#[test]
fn senders_of_arp_that_cannot_be() {
    let mut tcp = Exchange::new(plain());
    let group = MacAddr([1, 0, 0x5e, 0, 0, 1]);
    for operation in [Request, Reply] {
        for sender in [
            (PEER_MAC, "198.18.0.255"),
            (PEER_MAC, "198.18.0.0"),
            (PEER_MAC, "224.0.0.1"),
            (PEER_MAC, "127.0.0.1"),
            (PEER_MAC, "255.255.255.255"),
            (OUR_MAC, "198.18.0.1"),
            (MacAddr::BROADCAST, "198.18.0.2"),
            (MacAddr::ZERO, "198.18.0.2"),
            (group, "198.18.0.77"),
        ] {
            let frame = arp(&tcp, operation, sender, "198.18.0.1");
            are_dropped(&mut tcp, &[frame], "bad_source");
        }
    }
    let frame = arp(&tcp, Reply, (PEER_MAC, "0.0.0.0"), "198.18.0.1");
    are_dropped(&mut tcp, &[frame], "bad_source");
    for good in ["198.18.0.2", "0.0.0.0", "203.0.113.1"] {
        let frame = arp(&tcp, Request, (PEER_MAC, good), "198.18.0.1");
        tcp.receives_frame(&frame);
        tcp.sent_frame();
    }
    assert_eq!(tcp.engine.metrics().handled.arp.get(), 3);
}

/// Senders of neighbour messages.
#[test]
fn senders_of_neighbour_messages_that_cannot_be() {
    let local = "[ff02::1:ff00:1]:80";
    let to = MacAddr([0x33, 0x33, 0xff, 0, 0, 1]);
    for (remote, link) in [
        ("[ff02::1]:9", None),
        ("[::1]:9", None),
        ("[2001:db8::1]:9", None),
        ("[::ffff:198.18.0.2]:9", None),
        ("[2001:db8::2]:9", Some(MacAddr::BROADCAST)),
        ("[2001:db8::2]:9", Some(MacAddr::ZERO)),
    ] {
        let mut tcp = between(plain(), local, remote);
        let question = to_station(solicitation(&tcp, link), to);
        are_dropped(&mut tcp, &[question], "bad_source");
        let answer = Icmpv6::NeighbourAdvertisement {
            router: false,
            solicited: false,
            override_known: true,
            target: "2001:db8::77".parse().unwrap(),
            target_link: link,
        };
        let answer = to_station(neighbour_message(&tcp, &answer), to);
        are_dropped(&mut tcp, &[answer], "bad_source");
    }
    for (remote, link) in [("[2001:db8::2]:9", Some(PEER_MAC)), ("[::]:9", None)] {
        let mut tcp = between(plain(), local, remote);
        let question = to_station(solicitation(&tcp, link), to);
        tcp.receives_frame(&question);
        tcp.sent_frame();
        assert_eq!(tcp.engine.metrics().handled.ndp.get(), 1);
    }
}
