//! Loss, as a sender with SACK finds it and makes it good: RFC 6675, RFC 8985, RFC 6937, RFC 3522.
//! The round trip is 20 ms, a segment 1,000 octets.

use crate::*;
use core::time::Duration;
use lastack::engine::Config;
use lastack::tcp::congestion::Algorithm;

const MSS: u32 = 1_000;

fn with_sack() -> Config {
    let mut config = plain();
    config.tcp.sack = true;
    config.tcp.rto_min = Duration::from_millis(200);
    config.tcp.congestion = Algorithm::NewReno;
    config.tcp.hystart = false;
    config
}

/// The handshake of a peer takes 20 ms.
fn established(config: Config) -> Exchange {
    let timestamps = config.tcp.timestamps;
    let stamp = |segment: segment::Seg, value, echo| {
        if timestamps { segment.echo(value, echo) } else { segment }
    };
    let mss = if timestamps { MSS as u16 + 12 } else { MSS as u16 };
    let mut tcp = Exchange::listening(config);
    tcp.receives(stamp(syn().seq(300).mss(mss).sack_permitted(), 1, 0));
    let answer = tcp.sent_segment(String::new);
    let ours = answer.options.unwrap().timestamps.map_or(0, |ts| ts.value);
    tcp.at(20);
    tcp.receives(stamp(ack().seq(301).ack(101), 2, ours));
    tcp.accepts();
    tcp
}

fn piece(n: u32) -> Vec<u8> {
    vec![b'a' + n as u8; MSS as usize]
}

/// Where piece `n` begins.
fn at(n: u32) -> u32 {
    101 + n * MSS
}

/// The application writes pieces, all in one write.
fn writes(tcp: &mut Exchange, pieces: core::ops::Range<u32>) {
    tcp.write(pieces.flat_map(piece).collect::<Vec<u8>>());
}

#[track_caller]
fn sends_piece(tcp: &mut Exchange, n: u32) {
    let sent = tcp.sent_segment(|| format!("piece {n}"));
    assert_eq!((sent.seq, sent.payload == piece(n)), (at(n), true), "piece {n}, sent {sent:?}");
}

/// Ten pieces are on their way.
fn ten_out(config: Config) -> Exchange {
    let mut tcp = established(config);
    writes(&mut tcp, 0..10);
    for n in 0..10 {
        sends_piece(&mut tcp, n);
    }
    tcp.sends_nothing();
    tcp
}

fn sacks(tcp: &mut Exchange, acked: u32, blocks: &[(u32, u32)]) {
    let blocks: Vec<_> = blocks.iter().map(|&(a, b)| (at(a), at(b))).collect();
    tcp.receives(ack().seq(301).ack(at(acked)).sack(&blocks));
}

/// RFC 6675 §5: three segments behind it have arrived, so it is lost; only the hole is filled, and
/// the window is halved (RFC 5681 §3.2).
#[test]
fn a_hole_is_filled_and_nothing_else() {
    let mut tcp = ten_out(with_sack());
    tcp.at(40);
    sacks(&mut tcp, 2, &[]);
    for end in [4, 5] {
        sacks(&mut tcp, 2, &[(3, end)]);
        tcp.sends_nothing();
    }
    sacks(&mut tcp, 2, &[(3, 6)]);
    sends_piece(&mut tcp, 2);
    for end in 7..=10 {
        sacks(&mut tcp, 2, &[(3, end)]);
        tcp.sends_nothing();
    }
    tcp.at(60);
    sacks(&mut tcp, 10, &[]);
    tcp.sends_nothing();
    let info = tcp.engine.info(tcp.conn()).unwrap();
    assert!(!info.recovering);
    assert_eq!((info.snd_cwnd, info.snd_ssthresh), (4 * MSS, 4 * MSS));
    assert_eq!(tcp.counters().sack_recovery.get(), 1);
    assert_eq!(tcp.counters().retrans_segs.get(), 1);
    assert_eq!(tcp.engine.recoveries(), 0, "nothing is kept of it");
}

/// RFC 8985 §6.2: a hole behind which little has arrived waits for a quarter of the round trip.
#[test]
fn reordering_has_its_time() {
    at_any_rhythm(|rhythm| {
        let mut tcp = ten_out(with_sack()).in_rhythm(rhythm);
        tcp.at(40);
        sacks(&mut tcp, 0, &[(1, 2)]);
        tcp.sends_nothing();
        tcp.at(45); // 20 ms / 4
        sends_piece(&mut tcp, 0);
    });
    // in time: no loss
    let mut tcp = ten_out(with_sack());
    tcp.at(40);
    sacks(&mut tcp, 0, &[(1, 2)]);
    tcp.at(44);
    sacks(&mut tcp, 2, &[]);
    tcp.at(50);
    tcp.sends_nothing();
    assert_eq!(tcp.counters().sack_reorder.get(), 1);
    assert_eq!(tcp.counters().fast_retrans.get(), 0);
}

/// Several holes are filled at once as far as the reduced window goes (RFC 6937).
#[test]
fn several_holes() {
    let mut tcp = ten_out(with_sack());
    tcp.at(40);
    sacks(&mut tcp, 0, &[(1, 2)]);
    sacks(&mut tcp, 0, &[(3, 4), (1, 2)]);
    sacks(&mut tcp, 0, &[(5, 6), (3, 4), (1, 2)]);
    sends_piece(&mut tcp, 0); // the first leaves in any case
    sacks(&mut tcp, 0, &[(7, 8), (5, 6), (3, 4)]);
    sends_piece(&mut tcp, 2);
    tcp.at(60);
    sacks(&mut tcp, 2, &[(7, 8), (5, 6), (3, 4)]);
    sends_piece(&mut tcp, 4);
    sends_piece(&mut tcp, 6);
    sacks(&mut tcp, 4, &[(7, 8), (5, 6)]);
    tcp.at(80);
    sacks(&mut tcp, 10, &[]);
    assert_eq!(tcp.counters().retrans_segs.get(), 4);
    assert_eq!(tcp.counters().fast_retrans.get(), 1, "one reduction for one window");
}

/// RFC 8985 §3: that a retransmission was lost too is found without a time-out.
#[test]
fn a_lost_retransmission_is_sent_again() {
    let mut tcp = ten_out(with_sack());
    writes(&mut tcp, 10..14);
    tcp.at(40);
    sacks(&mut tcp, 0, &[(1, 4)]);
    sends_piece(&mut tcp, 0); // and is lost
    sacks(&mut tcp, 0, &[(1, 10)]);
    let mut sent = 10;
    for segment in tcp.sent_segments() {
        assert_eq!(segment.seq, at(sent));
        sent += 1;
    }
    assert!(sent > 10, "new data keeps the clock of ACKs running");
    tcp.at(61);
    sacks(&mut tcp, 0, &[(1, sent)]); // left after the retransmission
    sends_piece(&mut tcp, 0);
    assert_eq!(tcp.counters().timeouts.get(), 0);
}

/// RFC 8985 §7: two round trips after the last segment the end of a flight is asked about.
#[test]
fn a_tail_is_probed() {
    at_any_rhythm(|rhythm| {
        let mut tcp = ten_out(with_sack()).in_rhythm(rhythm);
        tcp.at(40);
        sacks(&mut tcp, 8, &[]);
        tcp.at(80); // 2 SRTT after the ACK
        sends_piece(&mut tcp, 9); // the last one again
        tcp.at(100);
        sacks(&mut tcp, 8, &[(9, 10)]);
        tcp.at(105);
        sends_piece(&mut tcp, 8);
        tcp.at(120);
        sacks(&mut tcp, 10, &[]);
        assert_eq!(tcp.counters().loss_probes.get(), 1);
        assert_eq!(tcp.counters().timeouts.get(), 0);
    });
}

/// RFC 8985 §7.3: new data is the better probe, though the window be full.
#[test]
fn a_probe_is_new_data_if_there_is_some() {
    let mut tcp = ten_out(with_sack());
    writes(&mut tcp, 10..12);
    tcp.sends_nothing();
    tcp.at(60);
    sends_piece(&mut tcp, 10);
    tcp.at(61);
    tcp.sends_nothing();
}

/// RFC 8985 §7.4: a probe that repaired the loss reduces the window; one that came twice does not.
#[test]
fn what_a_probe_has_repaired() {
    for (twice, reductions) in [(false, 1), (true, 0)] {
        let mut tcp = ten_out(with_sack());
        tcp.at(40);
        sacks(&mut tcp, 8, &[]);
        tcp.at(80);
        sends_piece(&mut tcp, 9);
        tcp.at(100);
        sacks(&mut tcp, 10, if twice { &[(9, 10)] } else { &[] });
        assert_eq!(tcp.counters().loss_probe_recovery.get(), reductions);
        assert_eq!(tcp.engine.recoveries(), 0);
    }
}

/// RFC 6675 §5.1: after a time-out only what the peer does not have is sent again.
#[test]
fn a_time_out_skips_what_has_arrived() {
    let mut config = with_sack();
    config.tcp.initial_window = 4;
    let mut tcp = established(config);
    writes(&mut tcp, 0..4);
    for n in 0..4 {
        sends_piece(&mut tcp, n);
    }
    tcp.at(40);
    sacks(&mut tcp, 0, &[(1, 2)]);
    tcp.at(45);
    sends_piece(&mut tcp, 0); // by RACK, and is lost
    tcp.at(245);
    sends_piece(&mut tcp, 0); // by the time-out
    tcp.sends_nothing();
    tcp.at(265);
    sacks(&mut tcp, 2, &[]);
    sends_piece(&mut tcp, 2);
    sends_piece(&mut tcp, 3);
    tcp.at(285);
    sacks(&mut tcp, 4, &[]);
    assert_eq!(tcp.counters().timeouts.get(), 1);
}

/// RFC 2018 §8: a peer that goes back on its word gets everything again.
#[test]
fn a_peer_may_renege() {
    let mut config = with_sack();
    config.tcp.initial_window = 3;
    let mut tcp = established(config);
    writes(&mut tcp, 0..3);
    for n in 0..3 {
        sends_piece(&mut tcp, n);
    }
    tcp.at(40);
    sacks(&mut tcp, 0, &[(1, 2)]);
    tcp.at(45);
    sends_piece(&mut tcp, 0);
    tcp.at(65);
    sacks(&mut tcp, 1, &[]); // and not 2, as its SACK had promised
    tcp.at(265);
    sends_piece(&mut tcp, 1);
    assert_eq!(tcp.counters().sack_reneging.get(), 1);
}

/// RFC 3522: an ACK that echoes the first transmission says that nothing was lost.
#[test]
fn a_needless_retransmission_is_undone_by_its_timestamp() {
    let mut config = with_sack();
    config.tcp.timestamps = true;
    let mut tcp = established(config);
    writes(&mut tcp, 0..10);
    let mut stamp = 0;
    for n in 0..10 {
        let sent = tcp.sent_segment(String::new);
        assert_eq!(sent.seq, at(n));
        stamp = sent.options.unwrap().timestamps.unwrap().value;
    }
    let window = tcp.engine.info(tcp.conn()).unwrap().snd_cwnd;
    tcp.at(40);
    tcp.receives(ack().seq(301).ack(at(0)).echo(3, stamp).sack(&[(at(1), at(4))]));
    sends_piece(&mut tcp, 0);
    assert!(tcp.engine.info(tcp.conn()).unwrap().recovering);
    tcp.at(42); // the first one had only been slow
    tcp.receives(ack().seq(301).ack(at(10)).echo(4, stamp));
    let info = tcp.engine.info(tcp.conn()).unwrap();
    assert!(!info.recovering);
    assert!(info.snd_cwnd >= window, "{info:?}");
    assert_eq!(tcp.counters().full_undo.get(), 1);
}

/// The same for a time-out.
#[test]
fn a_needless_time_out_is_undone() {
    let mut config = with_sack();
    config.tcp.timestamps = true;
    let mut tcp = established(config);
    writes(&mut tcp, 0..1);
    let sent = tcp.sent_segment(String::new);
    let stamp = sent.options.unwrap().timestamps.unwrap().value;
    let before = tcp.engine.info(tcp.conn()).unwrap();
    tcp.at(220);
    sends_piece(&mut tcp, 0);
    assert_eq!(tcp.engine.info(tcp.conn()).unwrap().snd_cwnd, MSS);
    tcp.at(230);
    tcp.receives(ack().seq(301).ack(at(1)).echo(3, stamp));
    let after = tcp.engine.info(tcp.conn()).unwrap();
    assert_eq!((after.snd_cwnd, after.snd_ssthresh), (before.snd_cwnd, before.snd_ssthresh));
    assert_eq!((after.rtt, after.rto), (before.rtt, before.rto), "no round trip lasts a time-out");
    assert_eq!(tcp.counters().spurious_rtos.get(), 1);
}

/// RFC 2883: all that was sent again had arrived, so nothing was lost; and the next hole is given
/// more time (RFC 8985 §6.2 step 4).
#[test]
fn a_needless_retransmission_is_undone_by_dsack() {
    let mut tcp = ten_out(with_sack());
    tcp.at(40);
    sacks(&mut tcp, 0, &[(1, 4)]);
    sends_piece(&mut tcp, 0);
    tcp.at(42);
    sacks(&mut tcp, 4, &[]); // the first one was late
    tcp.at(60);
    tcp.receives(ack().seq(301).ack(at(9)).sack(&[(at(0), at(1))]));
    assert_eq!(tcp.counters().dsack_received.get(), 1);
    assert_eq!(tcp.counters().dsack_undo.get(), 1);
    let info = tcp.engine.info(tcp.conn()).unwrap();
    assert!(info.snd_cwnd >= 10 * MSS, "{info:?}");
}

/// Blocks that speak of nothing we sent are not heeded.
#[test]
fn nonsense_blocks() {
    let mut tcp = ten_out(with_sack());
    for blocks in [
        &[(at(11), at(12))][..],
        &[(at(5), at(3))],
        &[(0, 50)],
        &[(at(9), at(11)), (at(11), at(30))],
    ] {
        tcp.receives(ack().seq(301).ack(at(0)).sack(blocks));
        tcp.sends_nothing();
    }
    assert_eq!(tcp.engine.info(tcp.conn()).unwrap().sacked, 0);
}

/// RFC 3042: without SACK too, the first two duplicate ACKs let a new segment go each.
#[test]
fn limited_transmit() {
    let mut config = with_sack();
    config.tcp.sack = false;
    config.tcp.initial_window = 4;
    let mut tcp = established(config);
    writes(&mut tcp, 0..8);
    for n in 0..4 {
        sends_piece(&mut tcp, n);
    }
    tcp.at(40);
    for n in [4, 5] {
        tcp.receives(ack().seq(301).ack(at(0)));
        sends_piece(&mut tcp, n);
        tcp.sends_nothing();
    }
    tcp.receives(ack().seq(301).ack(at(0)));
    sends_piece(&mut tcp, 0);
}

/// A FIN is lost and found like data.
#[test]
fn a_lost_fin() {
    let mut tcp = established(with_sack());
    writes(&mut tcp, 0..2);
    sends_piece(&mut tcp, 0);
    sends_piece(&mut tcp, 1);
    tcp.shutdown();
    tcp.sends(fin().seq(at(2)).ack(301));
    tcp.at(40);
    sacks(&mut tcp, 2, &[]);
    tcp.at(240);
    tcp.sends(fin().seq(at(2)).ack(301));
    tcp.receives(ack().seq(301).ack(at(2) + 1));
}
