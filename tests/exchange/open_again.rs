//! A SYN of ours meets a connection that only the peer remembers, in TIME-WAIT or half-open (RFC 9293
//! figure 9): its ACK is answered by a RST, and the SYN goes again 2 ms later, once.

use crate::*;
use core::time::Duration;
use lastack::engine::{Error, TcpInfo};
use lastack::tcp::State;

/// An attempt whose SYN has just left.
fn attempt(rhythm: Rhythm) -> Exchange {
    let mut tcp = Exchange::new(plain()).in_rhythm(rhythm);
    tcp.connect();
    tcp.sends(syn().seq(100).mss(1_460));
    tcp
}

fn info(tcp: &Exchange) -> TcpInfo {
    tcp.engine.info(tcp.conn()).unwrap()
}

/// The peer acknowledges what it remembers, and is told that there is no such thing.
#[track_caller]
fn old_connection_answers(tcp: &mut Exchange) {
    tcp.receives(ack().seq(700).ack(5_000));
    tcp.sends(rst().seq(5_000));
}

#[test]
fn the_syn_goes_again_at_once() {
    at_any_rhythm(|rhythm| {
        let mut tcp = attempt(rhythm);
        tcp.at(10);
        old_connection_answers(&mut tcp);
        tcp.at(12);
        tcp.sends(syn().seq(100).mss(1_460));
        tcp.is_in(State::SynSent);
        let counters = tcp.counters();
        assert_eq!((counters.retrans_segs.get(), counters.timeouts.get()), (1, 0));
        tcp.at(22);
        tcp.receives(syn_ack().seq(300).ack(101).mss(1_460));
        tcp.sends(ack().seq(101).ack(301));
        tcp.is_in(State::Established);
        // nothing was lost and no time ran out (RFC 5681 §3.1, RFC 6298 §5.7), but which SYN was
        // answered is not known (Karn)
        let unmeasured = info(&tcp);
        assert_eq!((unmeasured.rtt, unmeasured.rto), (Duration::ZERO, Duration::from_secs(1)));
        assert_eq!(unmeasured.snd_cwnd, 10 * 1_460);
        tcp.write("x");
        tcp.sends(data("x").seq(101).ack(301));
        tcp.at(72);
        tcp.receives(ack().seq(301).ack(102));
        assert_eq!(info(&tcp).rtt, Duration::from_millis(50));
        let counters = tcp.counters();
        let opens = (counters.active_opens.get(), counters.established.get());
        assert_eq!((opens, counters.attempt_fails.get()), ((1, 1), 0));
        assert_eq!((counters.retrans_segs.get(), counters.out_rsts.get()), (1, 1));
    });
}

/// Whoever forges ACKs gets a RST for each, and one SYN.
#[test]
fn but_once_for_each_connection() {
    at_any_rhythm(|rhythm| {
        let mut tcp = attempt(rhythm);
        old_connection_answers(&mut tcp);
        tcp.at(1);
        old_connection_answers(&mut tcp); // does not put it off
        tcp.at(2);
        tcp.sends(syn().seq(100));
        for ms in [3, 500, 1_001] {
            tcp.at(ms);
            old_connection_answers(&mut tcp);
        }
        // from here on as ever: a second, doubled each time, six times
        for second in [1, 3, 7, 15, 31, 63] {
            tcp.at(2 + second * 1_000);
            tcp.sends(syn().seq(100));
            old_connection_answers(&mut tcp);
        }
        tcp.at(127_001);
        assert_eq!(tcp.read(), Err(Error::InProgress));
        tcp.at(127_002);
        assert_eq!(tcp.read(), Err(Error::TimedOut));
        let counters = tcp.counters();
        assert_eq!((counters.retrans_segs.get(), counters.timeouts.get()), (7, 6));
    });
}

/// A peer whose TIME-WAIT ignores RSTs (RFC 1337) acknowledges again what it remembers.
#[test]
fn the_old_connection_may_stay() {
    let mut tcp = attempt(Rhythm::Deadlines);
    old_connection_answers(&mut tcp);
    tcp.at(2);
    tcp.sends(syn().seq(100));
    old_connection_answers(&mut tcp);
    tcp.at(1_002);
    tcp.sends(syn().seq(100));
    tcp.receives(syn_ack().seq(300).ack(101));
    tcp.sends(ack().seq(101).ack(301));
    assert_eq!(info(&tcp).rto, Duration::from_secs(3)); // RFC 6298 §5.7: this one timed out
}

/// The path loses: the SYN that timed out is not hurried.
#[test]
fn a_syn_that_went_again_already_is_not_hurried() {
    let mut tcp = attempt(Rhythm::Deadlines);
    tcp.at(1_000);
    tcp.sends(syn().seq(100));
    tcp.at(1_010);
    old_connection_answers(&mut tcp);
    tcp.at(3_000);
    tcp.sends(syn().seq(100));
}

/// The time-out is due sooner: it counts as one.
#[test]
fn a_time_out_that_is_due_is_not_put_off() {
    let mut tcp = attempt(Rhythm::Deadlines);
    tcp.at(999);
    old_connection_answers(&mut tcp);
    tcp.at(1_000);
    tcp.sends(syn().seq(100));
    assert_eq!(tcp.counters().timeouts.get(), 1);
    old_connection_answers(&mut tcp);
    tcp.at(3_000);
    tcp.sends(syn().seq(100));
}

/// Only what is answered by a RST says that there is something to be removed.
#[test]
fn other_answers_hurry_nothing() {
    let mut tcp = attempt(Rhythm::Deadlines);
    tcp.receives(rst_ack().seq(700).ack(5_000));
    tcp.receives(rst().seq(700));
    tcp.receives(fin().seq(700).ack(101)); // acknowledges our SYN, but is none
    tcp.at(1_000);
    tcp.sends(syn().seq(100));
}

/// The ACK was forged, or had been long on its way, and the SYN is answered as it should be.
#[test]
fn the_answer_comes_first() {
    at_any_rhythm(|rhythm| {
        let mut tcp = attempt(rhythm);
        tcp.at(9);
        old_connection_answers(&mut tcp);
        tcp.at(10);
        tcp.receives(syn_ack().seq(300).ack(101));
        tcp.sends(ack().seq(101).ack(301));
        assert_eq!(info(&tcp).rtt, Duration::from_millis(10)); // it was sent once
        tcp.at(100);
        tcp.write("x");
        tcp.sends(data("x").seq(101).ack(301));
        tcp.at(1_100);
        tcp.sends(data("x").seq(101).ack(301));
        assert_eq!(tcp.counters().timeouts.get(), 1);
    });
}

/// A SYN of the peer's crosses ours while it waits to go again: what goes is the SYN-ACK.
#[test]
fn a_simultaneous_open_comes_first() {
    at_any_rhythm(|rhythm| {
        let mut tcp = attempt(rhythm);
        old_connection_answers(&mut tcp);
        tcp.at(1);
        tcp.receives(syn().seq(300));
        tcp.sends(syn_ack().seq(100).ack(301));
        tcp.at(1_001);
        tcp.sends(syn_ack().seq(100).ack(301));
        tcp.receives(ack().seq(301).ack(101));
        tcp.is_in(State::Established);
    });
}

/// The application goes away in between.
#[test]
fn nothing_goes_for_an_attempt_that_is_over() {
    let mut tcp = attempt(Rhythm::Deadlines);
    old_connection_answers(&mut tcp);
    tcp.close();
    tcp.at(3_000);
    tcp.only_time_wait(0);
}
