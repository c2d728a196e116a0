//! SYN-RECEIVED answers no more than its share: RFC 5961 §7, for half-open connections in the cache and for
//! those of a simultaneous open.

use crate::segment::{Seg, seg};
use crate::*;
use core::time::Duration;
use lastack::wire::tcp::Flags;

/// A connection in the cache: the peer is at 300, we are at 100.
fn asked(config: lastack::engine::Config, v6: bool) -> Exchange {
    let mut tcp = Exchange::new(config);
    if v6 {
        tcp.local = "[2001:db8::1]:80".parse().unwrap();
        tcp.remote = "[2001:db8::2]:40000".parse().unwrap();
    }
    tcp.listen(Default::default()).unwrap();
    tcp.receives(syn().seq(300));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp
}

/// Segments that SYN-RECEIVED answers though they are not what it waits for.
fn bad_segments() -> [(&'static str, Seg); 7] {
    [
        ("another SYN in the window", syn().seq(5_000)),
        ("an old SYN", syn().seq(200)),
        ("a SYN-ACK", syn_ack().seq(300).ack(101)),
        ("text below the window", data("x").seq(290).ack(101)),
        ("a FIN below the window", fin().seq(290).ack(101)),
        ("an ACK below the window", ack().seq(300).ack(101)),
        ("a RST in the window", rst().seq(302)),
    ]
}

#[test]
fn a_flood_of_one_syn_gets_few_syn_acks() {
    for v6 in [false, true] {
        let mut tcp = asked(plain(), v6);
        for _ in 0..2_000 {
            tcp.receives(syn().seq(300));
        }
        let sent = tcp.sent_segments();
        assert_eq!(sent.len(), 10);
        assert!(sent.iter().all(|segment| syn_ack().seq(100).ack(301).is_met_by(segment)));
        assert_eq!(tcp.counters().syn_received_skipped.get(), 1_990);
        // another second has a share of its own, and the handshake goes on
        tcp.about(1_000);
        tcp.sends(syn_ack().seq(100).ack(301)); // by our timer
        tcp.receives(syn().seq(300));
        tcp.sends(syn_ack().seq(100).ack(301));
        tcp.receives(ack().seq(301).ack(101));
        tcp.accepts();
    }
}

#[test]
fn a_flood_of_bad_segments_gets_few_answers() {
    for v6 in [false, true] {
        for (what, segment) in bad_segments() {
            let mut tcp = asked(plain(), v6);
            for _ in 0..2_000 {
                tcp.receives(segment.clone());
            }
            let sent = tcp.sent_segments();
            assert_eq!(sent.len(), 10, "{what}");
            assert!(sent.iter().all(|sent| ack().seq(101).ack(301).is_met_by(sent)), "{what}");
            let counters = tcp.counters();
            assert_eq!(counters.challenge_ack.get(), 10, "{what}");
            assert_eq!(counters.syn_received_skipped.get(), 1_990, "{what}");
            // the SYN that comes again has a share of its own
            tcp.receives(syn().seq(300));
            tcp.sends(syn_ack().seq(100).ack(301));
            tcp.receives(data("in time").seq(301).ack(101));
            tcp.accepts();
            tcp.reads("in time");
            tcp.sends(ack().seq(101).ack(308));
        }
    }
}

/// So are the RSTs for ACKs of what was never sent, out of the same share.
#[test]
fn a_flood_of_wrong_acks_gets_few_resets() {
    let mut tcp = asked(plain(), false);
    for _ in 0..6 {
        tcp.receives(syn().seq(5_000));
    }
    for _ in 0..2_000 {
        tcp.receives(ack().seq(301).ack(500));
    }
    let sent = tcp.sent_segments();
    let resets = sent.iter().filter(|segment| segment.flags.rst()).count();
    assert_eq!((sent.len(), resets), (10, 4));
    assert_eq!(tcp.counters().out_rsts.get(), 4);
}

#[test]
fn the_share_is_settable() {
    for (limit, syn_acks, acks) in [(3, 3, 3), (255, 255, 255), (0, 1, 0)] {
        let mut config = plain();
        config.tcp.challenge_acks_per_s = limit;
        let mut tcp = asked(config, false);
        for _ in 0..1_000 {
            tcp.receives(syn().seq(300));
            tcp.receives(syn().seq(5_000));
        }
        let sent = tcp.sent_segments();
        let again = sent.iter().filter(|segment| segment.flags.syn()).count();
        assert_eq!((again, sent.len() - again), (syn_acks, acks), "{limit}");
    }
}

/// A peer that hears nothing sends its SYN after 1, 3 and 7 s, and in a hurry more often: each is
/// answered.
#[test]
fn a_peer_that_asks_again_is_answered() {
    let mut tcp = asked(plain(), false);
    for ms in [100, 200, 300, 400, 999] {
        tcp.at(ms);
        tcp.receives(syn().seq(300));
        tcp.sends(syn_ack().seq(100).ack(301));
    }
    tcp.about(1_999);
    tcp.sends(syn_ack().seq(100).ack(301)); // by our timer
    for ms in [3_000, 4_900] {
        tcp.at(ms);
        tcp.receives(syn().seq(300));
        tcp.sends(syn_ack().seq(100).ack(301));
    }
    tcp.receives(ack().seq(301).ack(101));
    tcp.accepts();
    assert_eq!(tcp.counters().syn_received_skipped.get(), 0);
}

/// The round trip of the SYN-ACK counts as long as nothing else was answered (Karn).
#[test]
fn the_round_trip_is_measured_if_one_answer_was_sent() {
    for (disturbed, ms) in [(None, 40), (Some(syn().seq(300)), 0), (Some(rst().seq(302)), 0)] {
        let mut tcp = asked(plain(), false);
        tcp.at(10);
        if let Some(segment) = disturbed {
            tcp.receives(segment);
            assert_eq!(tcp.sent_segments().len(), 1);
        }
        tcp.at(40);
        tcp.receives(ack().seq(301).ack(101));
        let conn = tcp.accepts();
        assert_eq!(tcp.engine.info(conn).unwrap().rtt, Duration::from_millis(ms));
    }
}

/// The same in a simultaneous open, whose connection has a block of its own.
#[test]
fn a_simultaneous_open_has_a_share_too() {
    let floods = [
        ("its own SYN", syn().seq(300)),
        ("another SYN", syn().seq(5_000)),
        ("an old SYN", syn().seq(200)),
        ("text below the window", data("x").seq(290).ack(101)),
        ("a FIN below the window", fin().seq(290).ack(101)),
        ("a RST in the window", rst().seq(302)),
        ("an ACK of what was never sent", ack().seq(301).ack(500)),
    ];
    for (what, segment) in floods {
        let mut tcp = Exchange::new(plain());
        tcp.connect();
        tcp.sends(syn().seq(100));
        tcp.receives(syn().seq(300));
        tcp.sends(syn_ack().seq(100).ack(301));
        for _ in 0..2_000 {
            tcp.receives(segment.clone());
        }
        assert_eq!(tcp.sent_segments().len(), 10, "{what}");
        assert_eq!(tcp.counters().challenge_ack_skipped.get(), 1_990, "{what}");
        tcp.is_in(lastack::tcp::State::SynReceived);
        tcp.receives(syn_ack().seq(300).ack(101));
        tcp.is_in(lastack::tcp::State::Established);
    }
}

/// RFC 5961 §4.2 and §7 of a connection that is established: a SYN is challenged within the share
/// wherever it lies, also below the window.
#[test]
fn an_established_connection_challenges_few_syns() {
    for seq in [300, 301, 5_000, 200] {
        let mut tcp = Exchange::established(plain());
        for _ in 0..100 {
            tcp.receives(syn().seq(seq));
            tcp.receives(seg(Flags::SYN | Flags::FIN).seq(seq));
        }
        assert_eq!(tcp.sent_segments().len(), 10, "{seq}");
    }
}
