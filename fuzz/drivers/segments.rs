//! Sequences of segments near to what a connection expects, with octets that belong to one stream:
//! whatever comes, the application reads that stream and nothing else.

use super::input::Input;
use super::peer::{PEER_ISS, Peer, Said, octet};
use core::time::Duration;
use lastack::wire::options::{Options, SackBlocks, Timestamps};
use lastack::wire::tcp::Flags;

pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut peer = Peer::new(&mut input);
    peer.watch.one_stream = true;
    let opened = input.below(3);
    let options = Options {
        mss: Some([1_460, 536, 0, 64][usize::from(input.below(4))]),
        window_scale: input.flip().then_some(input.below(16)),
        sack_permitted: input.flip(),
        timestamps: input.flip().then_some(Timestamps { value: 1_000, echo: 0 }),
        sack: SackBlocks::EMPTY,
    };
    let ecn = if input.flip() { Flags::ECE | Flags::CWR } else { Flags::NONE };
    let mut stamp = 1_000u32;
    match opened {
        0 => {
            let syn = Said { options, ..Said::new(Flags::SYN | ecn) };
            peer.segment(PEER_ISS, peer.nxt, &syn, &[]);
        }
        1 => {
            peer.connect();
            let syn_ack = Said { options, ..Said::new(Flags::SYN | Flags::ACK | ecn) };
            peer.segment(PEER_ISS, peer.nxt, &syn_ack, &[]);
        }
        _ => peer.connect(),
    }
    for _ in 0..400 {
        if input.is_empty() {
            break;
        }
        match input.below(6) {
            0..=2 => send(&mut peer, &mut input, options.timestamps.is_some(), &mut stamp),
            3 => peer.wait(match input.u16() {
                short @ ..65_000 => Duration::from_micros(u64::from(short) * 10),
                long => Duration::from_millis(u64::from(long - 64_900) * 100),
            }),
            4 => peer.application(&mut input),
            _ => {
                // a plain ACK of all there is
                let mut ack = Said::new(Flags::ACK);
                ack.options.timestamps =
                    options.timestamps.map(|_| Timestamps { value: stamp, echo: peer.stamp });
                peer.una = peer.nxt;
                peer.segment(peer.acked, peer.nxt, &ack, &[]);
            }
        }
    }
    peer.accept();
    peer.read_all();
    peer.finish();
}

fn send(peer: &mut Peer, input: &mut Input<'_>, timestamps: bool, stamp: &mut u32) {
    const FLAGS: [Flags; 6] =
        [Flags::FIN, Flags::SYN, Flags::RST, Flags::PSH, Flags::ECE, Flags::CWR];
    let choice = input.u8();
    let mut said = Said::new(Flags::ACK);
    // most segments are plain
    if choice & 0xc0 == 0xc0 {
        said.flags = said.flags | FLAGS[usize::from(input.below(6))];
    }
    if choice & 0x30 == 0x30 {
        said.flags = said.flags | Flags::URG;
        said.urgent = input.u16();
    }
    if choice == 0x0f || (said.flags.syn() && choice & 2 != 0) {
        said.flags = said.flags.without(Flags::ACK);
    }
    said.window = if choice & 8 == 0 { 20_000 } else { input.u16() };
    said.ecn = input.below(4);
    let seq = match input.below(4) {
        0 | 1 => peer.acked,
        2 => peer.acked + input.small(),
        _ => peer.acked - input.small(),
    };
    // every incarnation of the stream begins at the same number
    let opens = said.flags.syn() && !peer.is_synchronized();
    let seq = if opens { PEER_ISS } else { seq };
    let ack = match input.below(6) {
        0 => peer.nxt,
        1 => peer.una,
        2 => peer.una + input.small(),
        3 => peer.nxt + input.small(),
        4 => peer.nxt - input.small(),
        _ => peer.una - input.small(),
    };
    if timestamps && input.below(8) != 0 {
        *stamp = match input.below(4) {
            0 => stamp.wrapping_sub(input.small()),
            1 => *stamp,
            _ => stamp.wrapping_add(input.small()),
        };
        // an older echo answers what was sent before its retransmission
        let echo = if choice & 4 == 0 { peer.stamp } else { peer.older_stamp };
        said.options.timestamps = Some(Timestamps { value: *stamp, echo });
    }
    for _ in 0..input.below(5) {
        let start = peer.una + input.small();
        said.options.sack.push(start, start + input.small());
    }
    let len = (input.small() % 1_400) as usize;
    // the octet at a sequence number is always the same; before the first there is none
    let first = PEER_ISS + 1;
    let syn = u32::from(said.flags.syn());
    let from = seq + syn;
    let len = if from.before(first) { 0 } else { len };
    let payload: Vec<u8> = (0..len as u32).map(|n| octet(from + n)).collect();
    peer.segment(seq, ack, &said, &payload);
    if !said.flags.rst() && peer.una.before(ack) && ack.at_or_before(peer.nxt) {
        peer.una = ack;
    }
}
