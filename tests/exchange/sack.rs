//! SACK and DSACK as a receiver sends them: RFC 2018, RFC 2883.

use crate::*;
use lastack::engine::Config;

pub fn with_sack() -> Config {
    let mut config = plain();
    config.tcp.sack = true;
    config
}

fn established() -> Exchange {
    let mut tcp = Exchange::listening(with_sack());
    tcp.receives(syn().seq(300).mss(1_460).sack_permitted());
    tcp.sends(syn_ack().seq(100).ack(301).mss(1_460).sack_permitted());
    tcp.receives(ack().seq(301).ack(101));
    tcp.accepts();
    tcp
}

/// RFC 2018 §2.
#[test]
fn is_offered_and_granted() {
    drop(established());
    let mut tcp = Exchange::new(with_sack());
    tcp.connect();
    tcp.sends(syn().seq(100).mss(1_460).sack_permitted());
    tcp.receives(syn_ack().seq(300).ack(101).mss(1_460).sack_permitted());
    tcp.sends(ack().seq(101).ack(301));
    assert!(tcp.engine.info(tcp.conn()).unwrap().sack);
}

/// What was not asked for is not granted, and without it no block is sent.
#[test]
fn is_not_used_unasked() {
    for config in [plain(), with_sack()] {
        let offered = config.tcp.sack;
        let mut tcp = Exchange::listening(config);
        let request = syn().seq(300).mss(1_460);
        tcp.receives(if offered { request } else { request.sack_permitted() });
        tcp.sends(syn_ack().seq(100).ack(301).mss(1_460));
        tcp.receives(ack().seq(301).ack(101));
        tcp.accepts();
        tcp.receives(data("cc").seq(305).ack(101));
        tcp.sends(ack().seq(101).ack(301).sack(&[]));
    }
}

/// RFC 2018 §4: the block with the latest segment first, then the others by when they were first.
#[test]
fn blocks_tell_what_has_arrived() {
    let mut tcp = established();
    tcp.receives(data("cc").seq(305).ack(101));
    tcp.sends(ack().seq(101).ack(301).sack(&[(305, 307)]));
    tcp.receives(data("gg").seq(313).ack(101));
    tcp.sends(ack().seq(101).ack(301).sack(&[(313, 315), (305, 307)]));
    tcp.receives(data("ee").seq(309).ack(101));
    tcp.sends(ack().seq(101).ack(301).sack(&[(309, 311), (313, 315), (305, 307)]));
    tcp.receives(data("dd").seq(307).ack(101));
    tcp.sends(ack().seq(101).ack(301).sack(&[(305, 311), (313, 315)]));
    tcp.receives(data("aabb").seq(301).ack(101));
    tcp.sends(ack().seq(101).ack(311).sack(&[(313, 315)]));
    tcp.receives(data("ff").seq(311).ack(101));
    tcp.sends(ack().seq(101).ack(315).sack(&[]));
    tcp.reads("aabbccddeeffgg");
}

/// The ranges that a peer has sent out of order, and which of them ACKs have put first.
struct Model {
    /// Octets that are held, from RCV.NXT = 0 on.
    held: Vec<bool>,
    /// The first octets of blocks that came first in an option, the last one first.
    firsts: Vec<usize>,
}

impl Model {
    fn new(len: usize) -> Self {
        Model { held: vec![false; len], firsts: Vec::new() }
    }

    fn block_around(&self, at: usize) -> (usize, usize) {
        let start = self.held[..at].iter().rposition(|held| !held).map_or(0, |gap| gap + 1);
        let len = self.held[start..].iter().position(|held| !held);
        (start, len.map_or(self.held.len(), |len| start + len))
    }

    /// The octets `start..end` arrive. What the ACK reports: the range of these octets, then the ranges
    /// that were first in options before, the latest of them first, without repetition.
    fn option(&mut self, start: usize, end: usize, most: usize) -> Vec<(u32, u32)> {
        let before = self.held.clone();
        let mut again = (start..end).filter(|&at| before[at]);
        let twice = again.next().map(|from| {
            let to = (from..end).find(|&at| !before[at]).unwrap_or(end);
            (from, to)
        });
        self.held[start..end].fill(true);
        self.firsts.insert(0, start);
        let mut blocks = Vec::new();
        for &at in &self.firsts {
            let block = self.block_around(at);
            if !blocks.contains(&block) {
                blocks.push(block);
            }
        }
        let all = twice.into_iter().chain(blocks).take(most);
        all.map(|(start, end)| (301 + start as u32, 301 + end as u32)).collect()
    }
}

/// RFC 2018 §4, RFC 2883 §4: every option is the one that the naive model gives, with timestamps
/// and without, whatever overlaps.
#[test]
fn options_repeat_the_last_distinct_first_blocks() {
    for seed in 0..60u64 {
        let stamped = seed % 2 == 1;
        let mut config = with_sack();
        config.tcp.timestamps = stamped;
        config.tcp.reassembly_segments = 200;
        let mut tcp = Exchange::listening(config);
        let stamp = |segment: segment::Seg| if stamped { segment.ts(1_000) } else { segment };
        tcp.receives(stamp(syn().seq(300).mss(1_460).sack_permitted()));
        tcp.sent_segment(String::new);
        tcp.receives(stamp(ack().seq(301).ack(101)));
        tcp.accepts();
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut below = |limit: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % limit) as usize
        };
        let mut model = Model::new(400);
        for _ in 0..60 {
            let start = 1 + below(380);
            let end = start + 1 + below(if seed % 3 == 0 { 3 } else { 18 });
            let segment = data(vec![b'x'; end - start]).seq(301 + start as u32).ack(101);
            tcp.receives(stamp(segment));
            let expected = model.option(start, end, if stamped { 3 } else { 4 });
            let sent = tcp.sent_segment(String::new);
            let sack = sent.options.unwrap().sack;
            let found: Vec<_> = sack.iter().map(|(a, b)| (a.value(), b.value())).collect();
            assert_eq!(found, expected, "seed {seed}");
        }
    }
}

/// Seven blocks that arrive upwards: each is in as many options as RFC 2018 §4 promises, three, or
/// in four where four fit; with timestamps in exactly three.
#[test]
fn each_block_is_told_three_times() {
    for stamped in [false, true] {
        let mut config = with_sack();
        config.tcp.timestamps = stamped;
        let mut tcp = Exchange::listening(config);
        let stamp = |segment: segment::Seg| if stamped { segment.ts(1_000) } else { segment };
        tcp.receives(stamp(syn().seq(300).mss(1_460).sack_permitted()));
        tcp.sent_segment(String::new);
        tcp.receives(stamp(ack().seq(301).ack(101)));
        tcp.accepts();
        let mut told = [0; 7];
        for n in 0..7 {
            tcp.receives(stamp(data("x").seq(303 + 2 * n).ack(101)));
            for (start, _) in tcp.sent_segment(String::new).options.unwrap().sack.iter() {
                told[(start.value() - 303) as usize / 2] += 1;
            }
        }
        assert_eq!(told, if stamped { [3, 3, 3, 3, 3, 2, 1] } else { [4, 4, 4, 4, 3, 2, 1] });
    }
}

/// As many as fit: four, or three beside timestamps.
#[test]
fn no_more_blocks_than_fit() {
    let mut tcp = established();
    let mut blocks = Vec::new();
    for n in 0..6 {
        let at = 310 + 10 * n;
        tcp.receives(data("x").seq(at).ack(101));
        blocks.insert(0, (at, at + 1));
        let sent = tcp.sent_segment(String::new);
        let sack = sent.options.unwrap().sack;
        assert_eq!(sack.len(), blocks.len().min(4));
        let first = sack.iter().next().map(|(a, b)| (a.value(), b.value()));
        assert_eq!(first, Some(blocks[0]), "the latest first");
    }
}

/// RFC 2883 §4: what arrived twice is reported, once.
#[test]
fn what_arrives_twice_is_reported() {
    let mut tcp = established();
    tcp.receives(data("aabb").seq(301).ack(101));
    tcp.sends(ack().seq(101).ack(305).sack(&[]));
    tcp.receives(data("aabb").seq(301).ack(101));
    tcp.sends(ack().seq(101).ack(305).sack(&[(301, 305)]));
    tcp.receives(data("bbcc").seq(303).ack(101)); // half of it is new
    tcp.sends(ack().seq(101).ack(307).sack(&[(303, 305)]));
    tcp.receives(data("ee").seq(309).ack(101));
    tcp.sends(ack().seq(101).ack(307).sack(&[(309, 311)]));
    tcp.receives(data("ee").seq(309).ack(101)); // RFC 2883 §4.1.2: within what is out of order
    tcp.sends(ack().seq(101).ack(307).sack(&[(309, 311), (309, 311)]));
    tcp.receives(data("dd").seq(307).ack(101));
    tcp.sends(ack().seq(101).ack(311).sack(&[]));
    assert_eq!(tcp.counters().dsack_sent.get(), 3);
    tcp.reads("aabbccddee");
}

/// Data that carries blocks leaves them room (RFC 6691 §3).
#[test]
fn data_with_blocks_fits_the_mtu() {
    let mut tcp = established();
    tcp.receives(data("cc").seq(305).ack(101));
    tcp.sends(ack().seq(101).ack(301).sack(&[(305, 307)]));
    tcp.write(vec![b'x'; 3_000]);
    for (offset, len) in [(0, 1_448), (1_448, 1_448)] {
        let part = data(vec![b'x'; len]).without_psh();
        tcp.sends(part.seq(101 + offset).ack(301).sack(&[(305, 307)]));
    }
    tcp.receives(ack().seq(301).ack(2_997));
    tcp.sends(data(vec![b'x'; 104]).seq(2_997).ack(301).sack(&[(305, 307)]));
}

/// RFC 5681 §4.2: each segment out of order has an ACK of its own, though they come in one burst, and
/// each tells of its own block; what arrived twice does too.
#[test]
fn a_burst_out_of_order_is_acknowledged_one_by_one() {
    let mut tcp = established();
    let mut burst = vec![
        data("b").seq(305).ack(101),
        data("c").seq(307).ack(101),
        data("d").seq(309).ack(101),
        data("d").seq(309).ack(101),
        data("e").seq(311).ack(101),
    ];
    tcp.receives_burst(&burst);
    tcp.sends(ack().seq(101).ack(301).sack(&[(305, 306)]));
    tcp.sends(ack().seq(101).ack(301).sack(&[(307, 308), (305, 306)]));
    tcp.sends(ack().seq(101).ack(301).sack(&[(309, 310), (307, 308), (305, 306)]));
    tcp.sends(ack().seq(101).ack(301).sack(&[(309, 310), (309, 310), (307, 308), (305, 306)]));
    tcp.sends(ack().seq(101).ack(301).sack(&[(311, 312), (309, 310), (307, 308), (305, 306)]));
    burst.truncate(2);
    tcp.write("x"); // data does not take the place of the ACK of another segment
    tcp.receives_burst(&burst);
    let sent = tcp.sent_segments();
    let kinds: Vec<_> = sent.iter().map(|segment| segment.payload.len()).collect();
    assert_eq!(kinds.iter().filter(|len| **len == 0).count(), 2, "{sent:?}");
}

/// The text of a SYN was not taken, so a SYN that comes again with text repeats nothing.
#[test]
fn a_syn_with_text_is_not_reported() {
    let mut tcp = established();
    let again = segment::Seg { payload: b"early".to_vec(), ..syn().seq(300) };
    tcp.receives(again);
    tcp.sends(ack().seq(101).ack(301).sack(&[]));
    assert_eq!(tcp.counters().dsack_sent.get(), 0);
}

/// A FIN that fills the gap ends the stream: what a peer had sent beyond it is let go.
#[test]
fn nothing_follows_a_fin_that_fills_the_gap() {
    let mut tcp = established();
    tcp.receives(data("beyond").seq(305).ack(101));
    tcp.sends(ack().seq(101).ack(301).sack(&[(305, 311)]));
    tcp.receives(segment::Seg { payload: b"last".to_vec(), ..fin().seq(301).ack(101) });
    tcp.sends(ack().seq(101).ack(306).sack(&[]));
    tcp.reads("last");
    tcp.reads_eof();
}
