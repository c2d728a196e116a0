//! Frames into an engine whose connection is in any state. Some are nothing but octets, some get as
//! far as TCP because addresses, ports and sums are made to fit.

use super::input::Input;
use super::peer::{OUR_MAC, PEER_ISS, PEER_MAC, Peer, Said, octet};
use core::time::Duration;
use lastack::wire::options::Options;
use lastack::wire::tcp::Flags;

pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let state = input.below(17);
    let mut peer = Peer::new(&mut input);
    bring_to(&mut peer, state);
    for _ in 0..200 {
        if input.is_empty() {
            break;
        }
        match input.below(8) {
            0 => {
                let len = usize::from(input.u16() % 1_600);
                let frame = input.bytes(len).to_vec();
                peer.frame(&frame);
            }
            1 => {
                // to our Ethernet address
                let len = usize::from(input.u16() % 1_600);
                let mut frame = input.bytes(len).to_vec();
                if frame.len() >= 12 {
                    frame[..6].copy_from_slice(&OUR_MAC.0);
                    frame[6..12].copy_from_slice(&PEER_MAC.0);
                }
                peer.frame(&frame);
            }
            2 | 3 => {
                let len = usize::from(input.u8());
                let mut segment = input.bytes(len).to_vec();
                peer.tcp(&mut segment, 0);
            }
            4 => {
                // near to what the connection expects
                let len = usize::from(input.u8());
                let mut segment = input.bytes(len).to_vec();
                if segment.len() >= 20 {
                    let seq = peer.acked + u32::from(segment[4]);
                    let ack = peer.nxt - u32::from(segment[5] & 3);
                    segment[4..8].copy_from_slice(&seq.value().to_be_bytes());
                    segment[8..12].copy_from_slice(&ack.value().to_be_bytes());
                }
                peer.tcp(&mut segment, 0);
            }
            5 => {
                let (protocol, len) = (input.u8(), usize::from(input.u8()));
                let payload = input.bytes(len).to_vec();
                let frame = peer.packet(protocol, 0, &payload);
                peer.frame(&frame);
            }
            6 => peer.wait(Duration::from_millis(input.small().into())),
            _ => application(&mut peer, &mut input),
        }
    }
    peer.finish();
}

/// As [`Peer::application`], but what is read may be anything.
fn application(peer: &mut Peer, input: &mut Input<'_>) {
    if input.flip() {
        peer.accept();
        if let Some(&conn) = peer.handles.last() {
            let _ = peer.engine.read(conn, &mut [0; 3_000]);
        }
        return peer.drain();
    }
    let mut choice = [input.u8(), input.u8(), input.u8(), input.u8()];
    if matches!(choice[0] % 10, 2 | 3) {
        choice[0] = 0;
    }
    peer.application(&mut Input::new(&choice));
}

/// The eleven states, some of them with data on its way, lost or held back.
fn bring_to(peer: &mut Peer, state: u8) {
    let ack = Said::new(Flags::ACK);
    let fin = Said::new(Flags::FIN | Flags::ACK);
    let options = Options { mss: Some(1_000), sack_permitted: true, ..Options::NONE };
    let syn = Said { options, ..Said::new(Flags::SYN) };
    let syn_ack = Said { options, ..Said::new(Flags::SYN | Flags::ACK) };
    let at = PEER_ISS + 1;
    match state {
        0 => return,                // LISTEN
        1 => return peer.connect(), // SYN-SENT
        2 => {
            // SYN-RECEIVED from SYN-SENT
            peer.connect();
            return peer.segment(PEER_ISS, peer.nxt, &syn, &[]);
        }
        3 => {
            peer.connect();
            peer.segment(PEER_ISS, peer.nxt, &syn_ack, &[]);
            return;
        }
        _ => {}
    }
    peer.segment(PEER_ISS, peer.nxt, &syn, &[]);
    if state == 4 {
        return; // SYN-RECEIVED from LISTEN
    }
    peer.segment(at, peer.nxt, &ack, &[]);
    peer.accept();
    let Some(&conn) = peer.handles.last() else { return };
    let engine = &mut peer.engine;
    match state {
        5 => {}
        6 => peer.write(20_000),
        7 => {
            // out of order and unread
            let octets: Vec<u8> = (10..500).map(|n| octet(at + n)).collect();
            peer.segment(at + 10, peer.nxt, &ack, &octets);
        }
        8 => drop(engine.shutdown(conn)), // FIN-WAIT-1
        9 | 10 => {
            // FIN-WAIT-2, and TIME-WAIT
            let _ = engine.shutdown(conn);
            peer.drain();
            peer.segment(at, peer.nxt, &ack, &[]);
            if state == 10 {
                peer.segment(at, peer.nxt, &fin, &[]);
            }
        }
        11 => peer.segment(at, peer.nxt, &fin, &[]), // CLOSE-WAIT
        12 => {
            // fast recovery: a segment is missing, those behind it are not
            peer.write(20_000);
            peer.drain();
            for n in 2..6 {
                let mut said = Said::new(Flags::ACK);
                said.options.sack.push(peer.una + 900, peer.una + n * 900);
                peer.segment(at, peer.una, &said, &[]);
            }
        }
        13 => {
            // a window that is shut
            let shut = Said { window: 0, ..Said::new(Flags::ACK) };
            peer.segment(at, peer.nxt, &shut, &[]);
            peer.write(20_000);
            peer.drain();
            peer.wait(Duration::from_secs(3));
        }
        14 => {
            // a time-out has everything sent again
            peer.write(20_000);
            peer.drain();
            peer.wait(Duration::from_secs(3));
        }
        15 => {
            // LAST-ACK
            peer.segment(at, peer.nxt, &fin, &[]);
            let _ = peer.engine.shutdown(conn);
        }
        _ => {
            // CLOSING
            let _ = engine.shutdown(conn);
            peer.drain();
            let una = peer.una + 1;
            peer.segment(at, una, &fin, &[]);
        }
    }
    peer.drain();
}
