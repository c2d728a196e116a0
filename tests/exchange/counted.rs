//! Each frame that is received is counted once: as handled, by its kind, or as dropped, by its reason.

use crate::messages::*;
use crate::*;
use lastack::engine::Metrics;
use lastack::port::{RxChecksum, RxFrame};
use lastack::wire::arp::Operation::{Reply, Request};
use lastack::wire::icmpv4::Icmpv4;
use lastack::wire::icmpv6::Icmpv6;
use lastack::wire::{
    MacAddr, PROTOCOL_ICMPV4, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP, checksum,
};
use proptest::prelude::*;

#[track_caller]
fn all_are_counted(metrics: &Metrics) {
    let (handled, dropped) = (metrics.handled.sum(), metrics.drops.received());
    let received = metrics.rx_packets.get();
    assert_eq!(handled + dropped, received, "{:?} {:?}", metrics.handled, metrics.drops);
}

/// What may come in: each kind that is handled and much that is dropped.
fn templates() -> Vec<Vec<u8>> {
    let mut tcp = Exchange::new(plain());
    let mut frames: Vec<Vec<u8>> = of_each_kind(&tcp).to_vec();
    let segment = tcp.frame_of(&data("hello").seq(301).ack(1));
    let refused = Icmpv4::Unreachable { code: 3, next_hop_mtu: 0, quoted: &segment[14..] };
    let mut message = vec![0; refused.len()];
    refused.write(&mut message);
    frames.push(tcp.packet(PROTOCOL_ICMPV4, &message));
    frames.push(segment);
    frames.push(arp(&tcp, Request, (PEER_MAC, "198.18.0.2"), "198.18.0.1"));
    frames.push(arp(&tcp, Reply, (PEER_MAC, "198.18.0.1"), "198.18.0.1"));
    frames.push(arp(&tcp, Request, (PEER_MAC, "198.18.0.3"), "198.18.0.4"));
    tcp.local = "[2001:db8::1]:80".parse().unwrap();
    tcp.remote = "[2001:db8::2]:40000".parse().unwrap();
    frames.extend(of_each_kind(&tcp));
    frames.push(tcp.packet(60, &[6, 0, 1, 4, 0, 0, 0, 0, 1, 2, 3, 4]));
    frames.push(tcp.packet(44, &[6, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4]));
    frames.push(solicitation(&tcp, Some(PEER_MAC)));
    let told = Icmpv6::NeighbourAdvertisement {
        router: false,
        solicited: true,
        override_known: true,
        target: "2001:db8::2".parse().unwrap(),
        target_link: Some(PEER_MAC),
    };
    frames.push(neighbour_message(&tcp, &told));
    frames.push(icmpv6(&tcp, &Icmpv6::PacketTooBig { mtu: 1_280, quoted: &[0; 48] }));
    tcp.local = "[ff02::1]:80".parse().unwrap();
    frames.push(to_station(ping(&tcp), MacAddr([0x33, 0x33, 0, 0, 0, 1])));
    frames
}

/// Makes the checksums of a mutated frame right again, as far as it can be read.
fn mend(frame: &mut [u8]) {
    let tag = if frame.get(12..14) == Some(&[0x81, 0]) { 4 } else { 0 };
    let Some((head, packet)) = frame.split_at_mut_checked(14 + tag) else { return };
    let (protocol, pseudo, l4) = match head[12 + tag..] {
        [8, 0] if packet.len() >= 20 && packet[0] == 0x45 => {
            packet[10..12].fill(0);
            let sum = checksum::finish(checksum::sum(&packet[..20]));
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
            let len = usize::from(u16::from_be_bytes([packet[2], packet[3]])).min(packet.len());
            if len < 20 {
                return;
            }
            let addresses = checksum::sum(&packet[12..20]);
            (packet[9], addresses, &mut packet[20..len])
        }
        [0x86, 0xdd] if packet.len() >= 40 => {
            let len = usize::from(u16::from_be_bytes([packet[4], packet[5]]));
            let addresses = checksum::sum(&packet[8..40]);
            let len = (40 + len).min(packet.len());
            (packet[6], addresses, &mut packet[40..len])
        }
        _ => return,
    };
    let (at, pseudo) = match protocol {
        PROTOCOL_TCP => (16, pseudo),
        PROTOCOL_UDP => (6, pseudo),
        PROTOCOL_ICMPV6 => (2, pseudo),
        PROTOCOL_ICMPV4 => (2, 0),
        _ => return,
    };
    if l4.len() < at + 2 {
        return;
    }
    l4[at..at + 2].fill(0);
    let own = if protocol == PROTOCOL_ICMPV4 { 0 } else { u32::from(protocol) + l4.len() as u32 };
    let sum = checksum::finish(pseudo + own + checksum::sum(l4));
    l4[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// A change of a frame: where, what, and how.
type Change = (u16, u8, u8);

fn change(frame: &mut Vec<u8>, (at, to, how): Change) {
    let place = usize::from(at) % frame.len().max(1);
    match how % 8 {
        0 => frame.truncate(place),
        1 => frame.resize(frame.len() + usize::from(to), 0),
        2 if frame.len() >= 12 => frame[..6].copy_from_slice(&[0xff; 6]),
        3 if frame.len() >= 14 => drop(frame.splice(12..12, [0x81, 0, 0, to & 1])),
        _ if !frame.is_empty() => frame[place] = to,
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn once_each(
        bursts in prop::collection::vec(
            prop::collection::vec(
                (
                    any::<prop::sample::Index>(),
                    prop::collection::vec(any::<Change>(), 0..4),
                    any::<bool>(),
                    0u8..8,
                ),
                1..40,
            ),
            1..6,
        ),
        noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..20),
    ) {
        let templates = templates();
        let mut tcp = Exchange::listening(plain());
        for burst in bursts {
            let frames: Vec<(Vec<u8>, RxChecksum)> = burst
                .into_iter()
                .map(|(which, changes, mended, known)| {
                    let mut frame = which.get(&templates).clone();
                    changes.into_iter().for_each(|one| change(&mut frame, one));
                    if mended {
                        mend(&mut frame);
                    }
                    let checksum = match known {
                        0 => RxChecksum::Good,
                        1 => RxChecksum::Bad,
                        _ => RxChecksum::Unknown,
                    };
                    (frame, checksum)
                })
                .collect();
            let mut frames: Vec<_> =
                frames.iter().map(|(bytes, checksum)| RxFrame { bytes, checksum: *checksum }).collect();
            let now = tcp.now();
            tcp.engine.input_burst(frames.len(), &mut frames[..], now);
            while tcp.engine.output().is_some() {}
            all_are_counted(tcp.engine.metrics());
        }
        for frame in noise {
            tcp.receives_frame(&frame);
            all_are_counted(tcp.engine.metrics());
        }
        let _ = tcp.sent_segments();
    }
}

/// Each kind is counted under its name.
#[test]
fn by_kind() {
    let mut tcp = Exchange::listening(plain());
    for frame in templates() {
        tcp.receives_frame(&frame);
        all_are_counted(tcp.engine.metrics());
    }
    while tcp.try_sent_frame().is_some() {}
    let handled = &tcp.engine.metrics().handled;
    let kinds: Vec<_> = handled.iter().collect();
    assert_eq!(kinds, [("tcp", 5), ("arp", 2), ("ndp", 2), ("icmp", 1), ("icmpv6", 1), ("udp", 2)]);
    let drops = &tcp.engine.metrics().drops;
    let counted = [
        &drops.malformed, // a destination option, and no segment behind it
        &drops.address_conflict,
        &drops.fragment,
        &drops.group_frame,
        &drops.protocol,
        &drops.icmp_ignored,
    ];
    assert_eq!(counted.map(|count| count.get()), [0, 1, 1, 1, 2, 2], "{drops:?}");
}

/// A frame of more than 65,535 octets, and a segment that ends behind them.
#[test]
fn frames_that_are_too_long() {
    let mut tcp = Exchange::listening(plain());
    tcp.local = "[2001:db8::1]:80".parse().unwrap();
    tcp.remote = "[2001:db8::2]:40000".parse().unwrap();
    let frame = tcp.frame_of(&data("x".repeat(65_515)).seq(301).ack(1));
    assert!(frame.len() > 65_535);
    tcp.receives_frame(&frame);
    tcp.sends_nothing();
    let metrics = tcp.engine.metrics();
    assert_eq!((metrics.rx_packets.get(), metrics.drops.malformed.get()), (1, 1));
    all_are_counted(metrics);
}
