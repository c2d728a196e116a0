//! What a bare port costs: the yardstick for everything that is built on it.

use super::tsc::Tsc;
use crate::port::{Port, TxOffload};

/// What a packet costs on its way through a port, both directions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BareCost {
    /// Packets that were sent and received.
    pub packets: u64,
    /// Cycles per packet to take a buffer, write the frame, send it, receive it on the other side,
    /// look at it and give the buffer back: the best of the rounds.
    pub cycles_per_packet: f64,
    /// The same, over all rounds.
    pub mean_cycles_per_packet: f64,
}

/// Sends bursts of `frame` from `left` to `right` and back on the calling thread, and counts cycles
/// per packet. A warm-up of the same kind goes before. The ports must be wired to each other; frames
/// in excess of what their rings hold are not sent.
///
/// # Panics
/// If a port gives no buffer, or a frame does not arrive (the ports are not wired, or used by
/// another thread).
pub fn bare_cost<P: Port>(
    left: &mut P,
    right: &mut P,
    frame: &[u8],
    burst: usize,
    rounds: u32,
) -> BareCost {
    /// Bursts there and back of one round.
    const BURSTS: u64 = 256;
    let clock = Tsc::new();
    let mut round = || {
        let start = clock.cycles();
        for _ in 0..BURSTS {
            pass(left, right, frame, burst);
            pass(right, left, frame, burst);
        }
        clock.cycles() - start
    };
    for _ in 0..rounds.div_ceil(4) {
        round();
    }
    let per_round = 2 * BURSTS * burst as u64;
    let (mut best, mut sum) = (u64::MAX, 0);
    for _ in 0..rounds {
        let cycles = round();
        best = best.min(cycles);
        sum += cycles;
    }
    let packets = per_round * u64::from(rounds);
    BareCost {
        packets,
        cycles_per_packet: best as f64 / per_round as f64,
        mean_cycles_per_packet: sum as f64 / packets as f64,
    }
}

#[inline(never)]
fn pass<P: Port>(from: &mut P, to: &mut P, frame: &[u8], burst: usize) {
    for _ in 0..burst {
        let room = from.tx_room().expect("a buffer");
        room[..frame.len()].copy_from_slice(frame);
        from.tx_commit(frame.len(), TxOffload::None);
    }
    from.tx_flush();
    let mut arrived = 0;
    while arrived < burst {
        let received = to.rx_burst();
        assert!(received > 0, "{arrived} of {burst} frames arrived");
        for index in 0..received {
            let bytes = to.rx_frame(index).bytes;
            assert!(bytes.len() == frame.len() && bytes[0] == frame[0]);
        }
        arrived += received;
    }
}
