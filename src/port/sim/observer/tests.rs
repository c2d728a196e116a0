use super::*;
use crate::wire::options::{Options, SackBlocks, Timestamps};
use crate::wire::{MacAddr, ethernet, ipv4::Ipv4Header};

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

/// A segment from end 0 (which counts from 100) or 1 (from 300).
fn frame(end: usize, segment: &Segment<'_>) -> Vec<u8> {
    let mut tcp = vec![0; 60 + segment.payload.len()];
    let header_len = segment.write_header(&mut tcp);
    tcp.truncate(header_len + segment.payload.len());
    tcp[header_len..].copy_from_slice(segment.payload);
    let addresses = [[198, 18, 0, 1], [198, 18, 0, 2]];
    let (src, dst) = (addresses[end].into(), addresses[1 - end].into());
    let pseudo = checksum::pseudo(IpAddr::V4(src), IpAddr::V4(dst), PROTOCOL_TCP, tcp.len());
    let sum = checksum::finish(pseudo + checksum::sum(&tcp));
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    let mut frame = vec![0; 34 + tcp.len()];
    ethernet::write_header(&mut frame, MAC, MAC, None, ethernet::ETHERTYPE_IPV4);
    let (protocol, ttl, tos, ident) = (PROTOCOL_TCP, 64, 0, 0);
    Ipv4Header { src, dst, protocol, ttl, tos, ident, dont_fragment: true }
        .write(&mut frame[14..], tcp.len());
    frame[34..].copy_from_slice(&tcp);
    frame
}

fn segment(flags: Flags, seq: u32, ack: u32, payload: &[u8]) -> Segment<'_> {
    Segment {
        src_port: 1,
        dst_port: 2,
        seq: SeqNumber::new(seq),
        ack: SeqNumber::new(ack),
        flags,
        window: 1_000,
        urgent: 0,
        options: Options::NONE,
        payload,
    }
}

/// Both SYNs were exchanged; SACK and an MSS of 100 are agreed on.
fn established() -> Observer {
    let mut observer = Observer::new();
    let options = Options { mss: Some(100), sack_permitted: true, ..Options::NONE };
    let syn = Segment { options, ..segment(Flags::SYN, 100, 0, &[]) };
    let syn_ack = Segment { options, ..segment(Flags::SYN | Flags::ACK, 300, 101, &[]) };
    both(&mut observer, 0, &syn);
    both(&mut observer, 1, &syn_ack);
    both(&mut observer, 0, &segment(Flags::ACK, 101, 301, &[]));
    assert_eq!(observer.violations(), [""; 0]);
    observer
}

fn sent(observer: &mut Observer, end: usize, segment: &Segment<'_>) {
    observer.sent(end, &frame(end, segment), Instant::ZERO);
}

/// Sent, and delivered to the other end.
fn both(observer: &mut Observer, end: usize, segment: &Segment<'_>) {
    sent(observer, end, segment);
    observer.delivered(1 - end, &frame(end, segment));
}

#[test]
fn a_right_exchange_is_right() {
    let mut observer = established();
    both(&mut observer, 0, &segment(Flags::ACK, 101, 301, b"hello"));
    let ack = Segment { window: 995, ..segment(Flags::ACK, 301, 106, &[]) };
    both(&mut observer, 1, &ack);
    both(&mut observer, 0, &segment(Flags::ACK, 104, 301, b"lo"));
    both(&mut observer, 0, &segment(Flags::ACK | Flags::FIN, 106, 301, &[]));
    let ack = Segment { window: 994, ..segment(Flags::ACK, 301, 107, &[]) };
    both(&mut observer, 1, &ack);
    assert_eq!(observer.violations(), [""; 0]);
    assert_eq!((observer.segments(0), observer.segments(1)), (5, 3));
}

#[test]
fn every_rule_is_seen_to_be_broken() {
    let sack = |start, end| {
        let mut sack = SackBlocks::EMPTY;
        sack.push(SeqNumber::new(start), SeqNumber::new(end));
        Options { sack, ..Options::NONE }
    };
    let stamps = Options { timestamps: Some(Timestamps::default()), ..Options::NONE };
    let long = [b'x'; 101];
    let plain = |seq, ack, payload| segment(Flags::ACK, seq, ack, payload);
    let table = [
        ("beyond the window", plain(1_099, 301, &b"xxxx"[..])),
        ("sent again with another octet", plain(101, 301, b"hullo")),
        ("a gap in what is sent", plain(120, 301, b"x")),
        ("longer than the MSS", plain(106, 301, &long)),
        ("acknowledges what it has not received", plain(106, 302, b"")),
        ("takes an ACK back", plain(106, 300, b"")),
        ("shrinks its window", Segment { window: 999, ..plain(106, 301, b"") }),
        ("a SACK block of what", Segment { options: sack(310, 320), ..plain(106, 301, b"") }),
        ("timestamps do not agree", Segment { options: stamps, ..plain(106, 301, b"") }),
    ];
    for (fault, broken) in table {
        let mut observer = established();
        both(&mut observer, 0, &plain(101, 301, b"hello"));
        sent(&mut observer, 0, &broken);
        let found = observer.violations().join("\n");
        assert!(found.contains(fault), "{fault}: {found}");
    }
}

#[test]
fn nothing_follows_a_fin() {
    let mut observer = established();
    both(&mut observer, 0, &segment(Flags::ACK | Flags::FIN, 101, 301, &[]));
    sent(&mut observer, 0, &segment(Flags::ACK, 101, 301, b"x"));
    assert!(observer.violations()[0].contains("behind its own FIN"));
}

/// What was damaged on the way was not delivered.
#[test]
fn damage_is_no_delivery() {
    let mut observer = established();
    let data = segment(Flags::ACK, 101, 301, b"hello");
    sent(&mut observer, 0, &data);
    let mut damaged = frame(0, &data);
    *damaged.last_mut().unwrap() ^= 1;
    observer.delivered(1, &damaged);
    sent(&mut observer, 1, &segment(Flags::ACK, 301, 106, &[]));
    assert!(observer.violations()[0].contains("has not received"));
}
