//! What is not acknowledged is sent again: RFC 6298, RFC 5681 §3.2. The RTO is 1 s in these tests,
//! and the times are exact whatever the rhythm of polling.

use crate::*;
use core::time::Duration;
use lastack::engine::Error;

#[test]
fn syn_ack() {
    at_any_rhythm(|rhythm| {
        let mut tcp = Exchange::listening(plain()).in_rhythm(rhythm);
        tcp.receives(syn().seq(300).mss(1_460));
        tcp.sends(segment::syn_ack().seq(100).ack(301));
        for second in [1, 3, 7, 15, 31] {
            tcp.about(second * 1_000);
            tcp.sends(segment::syn_ack().seq(100).ack(301).mss(1_460));
        }
        assert_eq!(tcp.counters().retrans_segs.get(), 5);
        tcp.at(62_999);
        assert_eq!(tcp.engine.metrics().syn_cache.get(), 1);
        tcp.about(63_000);
        assert_eq!(tcp.engine.metrics().syn_cache.get(), 0);
        tcp.only_time_wait(0); // given up; nobody was told of it
    });
}

#[test]
fn a_repeated_syn_gets_its_syn_ack_again() {
    let mut tcp = Exchange::listening(plain());
    tcp.receives(syn().seq(300));
    tcp.sends(segment::syn_ack().seq(100).ack(301));
    tcp.at(500);
    tcp.receives(syn().seq(300));
    tcp.sends(segment::syn_ack().seq(100).ack(301));
    tcp.receives(ack().seq(301).ack(101));
    tcp.accepts();
}

#[test]
fn data_and_fin() {
    at_any_rhythm(|rhythm| {
        let mut tcp = Exchange::established(plain()).in_rhythm(rhythm);
        tcp.write("hello");
        tcp.sends(data("hello").seq(101).ack(301));
        for second in [1, 3, 7, 15] {
            tcp.at(second * 1_000);
            tcp.sends(data("hello").seq(101).ack(301));
        }
        assert_eq!(tcp.counters().timeouts.get(), 4);
        tcp.receives(ack().seq(301).ack(106)); // the path works again: back-off is over
        tcp.close();
        tcp.sends(fin().seq(106).ack(301));
        for second in [1, 3, 7] {
            tcp.at(15_000 + second * 1_000);
            tcp.sends(fin().seq(106).ack(301));
        }
        tcp.receives(ack().seq(301).ack(107));
        tcp.sends_nothing();
    });
}

/// An ACK for new data begins the time anew (RFC 6298 §5.3).
#[test]
fn the_timer_runs_for_the_oldest() {
    let mut tcp = Exchange::established(plain());
    let conn = tcp.conn();
    tcp.engine.set_nodelay(conn, true).unwrap();
    tcp.write("aa");
    tcp.sends(data("aa").seq(101).ack(301));
    tcp.at(400);
    tcp.write("bb");
    tcp.sends(data("bb").seq(103).ack(301));
    tcp.at(700);
    tcp.receives(ack().seq(301).ack(103));
    let rto = tcp.engine.info(tcp.conn()).unwrap().rto;
    tcp.at_instant(tcp.now() + rto);
    tcp.sends(data("bb").seq(103).ack(301));
}

/// SRTT and RTTVAR from one round trip of 500 ms: RTO = 500 + 4 * 250 ms (RFC 6298 §2.2).
#[test]
fn the_time_out_follows_the_round_trip() {
    let mut tcp = Exchange::listening(plain());
    tcp.receives(syn().seq(300));
    tcp.sends(segment::syn_ack().seq(100).ack(301));
    tcp.at(500);
    tcp.receives(ack().seq(301).ack(101));
    tcp.accepts();
    tcp.write("x");
    tcp.sends(data("x").seq(101).ack(301));
    tcp.at(2_000);
    tcp.sends(data("x").seq(101).ack(301));
    tcp.at(5_000);
    tcp.sends(data("x").seq(101).ack(301));
}

#[test]
fn the_floor_of_the_time_out() {
    at_any_rhythm(|rhythm| {
        let mut config = plain();
        config.tcp.rto_min = Duration::from_millis(200);
        let mut tcp = Exchange::established(config).in_rhythm(rhythm);
        tcp.write("x");
        tcp.sends(data("x").seq(101).ack(301));
        for ms in [200, 600, 1_400, 3_000] {
            tcp.at(ms);
            tcp.sends(data("x").seq(101).ack(301));
        }
    });
}

#[test]
fn three_duplicate_acks() {
    let mut tcp = Exchange::listening(plain());
    tcp.receives(syn().seq(300).mss(1_000));
    tcp.sends(segment::syn_ack().seq(100).ack(301));
    tcp.receives(ack().seq(301).ack(101));
    tcp.accepts();
    let piece = |n: u8| vec![b'a' + n; 1_000];
    tcp.write((0..5).flat_map(piece).collect::<Vec<u8>>());
    for n in 0..4 {
        let sent = data(piece(n)).without_psh();
        tcp.sends(sent.seq(101 + 1_000 * u32::from(n)).ack(301));
    }
    tcp.sends(data(piece(4)).seq(4_101).ack(301)); // PSH at the end of what was written
    tcp.at(10);
    for _ in 0..2 {
        tcp.receives(ack().seq(301).ack(101));
        tcp.sends_nothing();
    }
    tcp.receives(ack().seq(301).ack(101));
    tcp.sends(data(piece(0)).without_psh().seq(101).ack(301));
    tcp.receives(ack().seq(301).ack(101)); // a fourth means nothing new
    tcp.sends_nothing();
    assert_eq!(tcp.counters().fast_retrans.get(), 1);
    tcp.receives(ack().seq(301).ack(2_101)); // partial: the third is missing too (RFC 6582)
    tcp.sends(data(piece(2)).without_psh().seq(2_101).ack(301));
    tcp.receives(ack().seq(301).ack(5_101));
    tcp.sends_nothing();
    assert_eq!(tcp.engine.unacked(tcp.conn()), Ok(0));
}

/// A window update or data in between is no duplicate ACK (RFC 5681 §2).
#[test]
fn what_is_no_duplicate_ack() {
    let mut tcp = Exchange::established(plain());
    tcp.write("hello");
    tcp.sends(data("hello").seq(101).ack(301));
    for n in 0..5 {
        tcp.receives(ack().seq(301).ack(101).win(60_000 - 100 * n));
        tcp.sends_nothing();
    }
    for n in 0..5 {
        tcp.receives(data("x").seq(301 + n).ack(101).win(50_000));
        tcp.sends(ack().seq(106).ack(302 + n));
    }
    assert_eq!(tcp.counters().fast_retrans.get(), 0);
}

#[test]
fn the_peer_has_gone() {
    at_any_rhythm(|rhythm| {
        let mut config = plain();
        config.tcp.data_retries = 2;
        let mut tcp = Exchange::established(config).in_rhythm(rhythm);
        tcp.write("x");
        tcp.sends(data("x").seq(101).ack(301));
        for second in [1, 3] {
            tcp.at(second * 1_000);
            tcp.sends(data("x").seq(101).ack(301));
        }
        tcp.at(7_000);
        assert_eq!(tcp.read(), Err(Error::TimedOut));
        assert_eq!(tcp.counters().abort_on_timeout.get(), 1);
    });
}

/// RFC 9293 §3.8.3, RFC 5482.
#[test]
fn user_timeout() {
    at_any_rhythm(|rhythm| {
        let mut config = plain();
        config.tcp.user_timeout = Some(Duration::from_secs(5));
        let mut tcp = Exchange::established(config).in_rhythm(rhythm);
        tcp.write("x");
        tcp.sends(data("x").seq(101).ack(301));
        for second in [1, 3] {
            tcp.at(second * 1_000);
            tcp.sends(data("x").seq(101).ack(301));
        }
        tcp.at(4_990);
        assert_eq!(tcp.read(), Err(Error::WouldBlock));
        tcp.at(5_010);
        assert_eq!(tcp.read(), Err(Error::TimedOut));
    });
}

/// The user timeout bounds an attempt to connect too.
#[test]
fn user_timeout_of_an_attempt() {
    at_any_rhythm(|rhythm| {
        let mut config = plain();
        config.tcp.user_timeout = Some(Duration::from_secs(2));
        let mut tcp = Exchange::new(config).in_rhythm(rhythm);
        tcp.connect();
        tcp.sends(syn().seq(100));
        tcp.at(1_000);
        tcp.sends(syn().seq(100));
        tcp.at(1_999);
        assert_eq!(tcp.read(), Err(Error::InProgress));
        tcp.at(2_001);
        assert_eq!(tcp.read(), Err(Error::TimedOut));
    });
}
