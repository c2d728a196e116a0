//! What a receiver reports as received twice: the examples of RFC 2883 §4 and §5, and what lies between
//! them. The figures of the RFC are moved by 300: its octet 500 is 800 here.

use crate::sack::with_sack;
use crate::*;

/// A connection whose peer is about to send octet 500 of the figures.
fn figure() -> Exchange {
    let mut tcp = Exchange::listening(with_sack());
    tcp.receives(syn().seq(799).mss(3_000).sack_permitted());
    tcp.sends(syn_ack().seq(100).ack(800).mss(1_460).sack_permitted());
    tcp.receives(ack().seq(800).ack(101));
    tcp.accepts();
    tcp
}

/// The peer sends `start..end` of a figure, and is answered with this ACK and these blocks.
#[track_caller]
fn line(tcp: &mut Exchange, (start, end): (u32, u32), acked: u32, blocks: &[(u32, u32)]) {
    tcp.receives(data(vec![b'x'; (end - start) as usize]).seq(300 + start).ack(101));
    let blocks: Vec<_> = blocks.iter().map(|&(start, end)| (300 + start, 300 + end)).collect();
    tcp.sends(ack().seq(101).ack(300 + acked).sack(&blocks));
}

/// §4.1.1, example 1: a full duplicate; the ACKs for the first copies were lost.
#[test]
fn a_duplicate_below_the_ack() {
    let mut tcp = figure();
    line(&mut tcp, (500, 1_000), 1_000, &[]);
    line(&mut tcp, (1_000, 1_500), 1_500, &[]);
    line(&mut tcp, (500, 1_000), 1_500, &[(500, 1_000)]);
}

/// §4.1.2, example 2: a duplicate while another segment is out of order.
#[test]
fn a_duplicate_beside_a_hole() {
    let mut tcp = figure();
    line(&mut tcp, (500, 1_000), 1_000, &[]);
    line(&mut tcp, (1_000, 1_500), 1_500, &[]);
    line(&mut tcp, (2_000, 2_500), 1_500, &[(2_000, 2_500)]);
    line(&mut tcp, (1_000, 1_500), 1_500, &[(1_000, 1_500), (2_000, 2_500)]);
}

/// §4.1.3, example 3: a duplicate of a segment that is held out of order, and of the larger block
/// around it.
#[test]
fn a_duplicate_within_a_block() {
    let mut tcp = figure();
    line(&mut tcp, (500, 1_000), 1_000, &[]);
    line(&mut tcp, (1_500, 2_000), 1_000, &[(1_500, 2_000)]);
    line(&mut tcp, (2_000, 2_500), 1_000, &[(1_500, 2_500)]);
    line(&mut tcp, (1_500, 2_000), 1_000, &[(1_500, 2_000), (1_500, 2_500)]);
    line(&mut tcp, (3_000, 3_500), 1_000, &[(3_000, 3_500), (1_500, 2_500)]);
    line(&mut tcp, (1_500, 2_000), 1_000, &[(1_500, 2_000), (1_500, 2_500), (3_000, 3_500)]);
}

/// §4.2.1, example 4: half of a longer segment is a duplicate; the rest closes the hole.
#[test]
fn one_duplicate_part() {
    let mut tcp = figure();
    line(&mut tcp, (500, 1_000), 1_000, &[]);
    line(&mut tcp, (2_000, 2_500), 1_000, &[(2_000, 2_500)]);
    line(&mut tcp, (1_000, 1_500), 1_500, &[(2_000, 2_500)]);
    line(&mut tcp, (1_000, 2_000), 2_500, &[(1_000, 1_500)]);
}

/// §4.2.2, example 5: of two duplicate parts that the ACK covers, the first is reported.
#[test]
fn two_duplicate_parts_below_the_ack() {
    let mut tcp = figure();
    line(&mut tcp, (500, 1_000), 1_000, &[]);
    line(&mut tcp, (3_000, 3_500), 1_000, &[(3_000, 3_500)]);
    line(&mut tcp, (1_000, 1_500), 1_500, &[(3_000, 3_500)]);
    line(&mut tcp, (2_000, 2_500), 1_500, &[(2_000, 2_500), (3_000, 3_500)]);
    line(&mut tcp, (1_000, 2_500), 2_500, &[(1_000, 1_500), (3_000, 3_500)]);
}

/// §4.2.3, example 6: of two duplicate parts above the ACK, the first, then the block around it.
#[test]
fn two_duplicate_parts_above_the_ack() {
    let mut tcp = figure();
    line(&mut tcp, (500, 1_000), 1_000, &[]);
    line(&mut tcp, (3_500, 4_000), 1_000, &[(3_500, 4_000)]);
    line(&mut tcp, (1_500, 2_000), 1_000, &[(1_500, 2_000), (3_500, 4_000)]);
    line(&mut tcp, (2_500, 3_000), 1_000, &[(2_500, 3_000), (1_500, 2_000), (3_500, 4_000)]);
    line(&mut tcp, (1_500, 3_000), 1_000, &[(1_500, 2_000), (1_500, 3_000), (3_500, 4_000)]);
}

/// §5.1 to §5.4, examples 7 to 10: replication, reordering, a time-out after lost ACKs, an early
/// time-out.
#[test]
fn needless_copies() {
    let mut tcp = figure();
    line(&mut tcp, (500, 1_000), 1_000, &[]);
    line(&mut tcp, (1_000, 1_500), 1_500, &[]);
    line(&mut tcp, (1_000, 1_500), 1_500, &[(1_000, 1_500)]);

    let mut tcp = figure();
    line(&mut tcp, (500, 1_000), 1_000, &[]);
    line(&mut tcp, (1_500, 2_000), 1_000, &[(1_500, 2_000)]);
    line(&mut tcp, (2_000, 2_500), 1_000, &[(1_500, 2_500)]);
    line(&mut tcp, (2_500, 3_000), 1_000, &[(1_500, 3_000)]);
    line(&mut tcp, (1_000, 1_500), 3_000, &[]);
    line(&mut tcp, (1_000, 1_500), 3_000, &[(1_000, 1_500)]);

    let mut tcp = figure();
    for start in [500, 1_000, 1_500, 2_000] {
        line(&mut tcp, (start, start + 500), start + 500, &[]);
    }
    for start in [500, 1_000, 1_500, 2_000] {
        line(&mut tcp, (start, start + 500), 2_500, &[(start, start + 500)]);
    }
}

/// A segment out of order that begins before a block and ends in it: the part of the block that came
/// again, then the block that they are now.
#[test]
fn the_end_of_a_segment_out_of_order_is_held() {
    let mut tcp = figure();
    line(&mut tcp, (1_501, 2_501), 500, &[(1_501, 2_501)]);
    line(&mut tcp, (1_001, 2_001), 500, &[(1_501, 2_001), (1_001, 2_501)]);
    line(&mut tcp, (2_401, 2_601), 500, &[(2_401, 2_501), (1_001, 2_601)]);
    // all of the block and more at both ends
    line(&mut tcp, (901, 2_701), 500, &[(1_001, 2_601), (901, 2_701)]);
    assert_eq!(tcp.counters().dsack_sent.get(), 3);
}

/// A segment in order that runs into the queue: its end is reported below the ACK, also when it covers
/// blocks as a whole.
#[test]
fn the_end_of_a_segment_in_order_is_held() {
    let mut tcp = figure();
    line(&mut tcp, (1_500, 2_500), 500, &[(1_500, 2_500)]);
    line(&mut tcp, (500, 2_000), 2_500, &[(1_500, 2_000)]);
    line(&mut tcp, (2_600, 2_700), 2_500, &[(2_600, 2_700)]);
    line(&mut tcp, (2_800, 2_900), 2_500, &[(2_800, 2_900), (2_600, 2_700)]);
    line(&mut tcp, (3_200, 3_300), 2_500, &[(3_200, 3_300), (2_800, 2_900), (2_600, 2_700)]);
    line(&mut tcp, (2_500, 3_000), 3_000, &[(2_600, 2_700), (3_200, 3_300)]);
    tcp.read().unwrap();
}

/// Without room for another piece nothing is kept, but what came twice is reported all the same, with
/// the block around it in the second place (§4, rule 4).
#[test]
fn a_duplicate_part_of_a_segment_that_finds_no_room() {
    let mut config = with_sack();
    config.tcp.reassembly_segments = 2;
    let mut tcp = Exchange::listening(config);
    tcp.receives(syn().seq(799).mss(1_460).sack_permitted());
    tcp.sends(syn_ack().seq(100).ack(800).mss(1_460).sack_permitted());
    tcp.receives(ack().seq(800).ack(101));
    tcp.accepts();
    line(&mut tcp, (1_500, 2_000), 500, &[(1_500, 2_000)]);
    line(&mut tcp, (2_500, 3_000), 500, &[(2_500, 3_000), (1_500, 2_000)]);
    line(&mut tcp, (1_000, 1_800), 500, &[(1_500, 1_800), (1_500, 2_000), (2_500, 3_000)]);
}

/// §4.3: an old timestamp does not hide that a segment came twice, nor a window that it runs out of.
#[test]
fn a_duplicate_that_is_not_acceptable() {
    let mut config = with_sack();
    config.tcp.timestamps = true;
    let mut tcp = Exchange::listening(config);
    tcp.receives(syn().seq(300).mss(1_460).sack_permitted().ts(1_000));
    tcp.sent_segment(String::new);
    tcp.receives(ack().seq(301).ack(101).ts(1_000));
    tcp.accepts();
    let mut line = |segment: segment::Seg, acked: u32, expected: &[(u32, u32)]| {
        tcp.receives(segment.ack(101));
        let sent = tcp.sent_segment(String::new);
        let sack = sent.options.unwrap().sack;
        let found: Vec<_> = sack.iter().map(|(a, b)| (a.value(), b.value())).collect();
        assert_eq!((sent.ack, &found[..]), (acked, expected));
    };
    line(data("abcd").seq(301).ts(1_001), 305, &[]);
    line(data("ghij").seq(309).ts(1_002), 305, &[(309, 313)]);
    line(data("ij").seq(311).ts(990), 305, &[(311, 313), (309, 313)]);
    line(data("cdef").seq(303).ts(990), 305, &[(303, 305), (309, 313)]);
    line(data("zz").seq(320).ts(990), 305, &[(309, 313)]);
}
