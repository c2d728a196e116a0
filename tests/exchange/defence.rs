//! What does not belong here: RFC 5961, RFC 7323 §5, RFC 9293 §3.5.1 to §3.5.3 and §3.10.7.

use crate::*;
use lastack::engine::{Config, Error};
use lastack::tcp::State;

#[test]
fn rst_at_the_exact_number_resets() {
    let mut tcp = Exchange::established(plain());
    tcp.receives(rst().seq(301));
    tcp.sends_nothing();
    assert_eq!(tcp.read(), Err(Error::Reset));
    assert_eq!(tcp.counters().estab_resets.get(), 1);
}

#[test]
fn rst_elsewhere_in_the_window_is_challenged() {
    let mut tcp = Exchange::established(plain());
    for seq in [302, 10_000, 300 + 65_535] {
        tcp.receives(rst().seq(seq));
        tcp.sends(ack().seq(101).ack(301));
    }
    tcp.is_in(State::Established);
    assert_eq!(tcp.counters().challenge_ack.get(), 3);
}

#[test]
fn rst_outside_of_the_window_is_nothing() {
    let mut tcp = Exchange::established(plain());
    for seq in [300, 0, 301 + 65_535, 1 << 31] {
        tcp.receives(rst().seq(seq));
        tcp.sends_nothing();
    }
    tcp.is_in(State::Established);
    assert_eq!(tcp.counters().out_of_window.get(), 4);
}

#[test]
fn syn_on_a_connection_is_challenged() {
    let mut tcp = Exchange::established(plain());
    for challenge in [syn().seq(301), syn().seq(5_000), syn_ack().seq(301).ack(101)] {
        tcp.receives(challenge);
        tcp.sends(ack().seq(101).ack(301));
    }
    assert_eq!(tcp.counters().syn_challenge.get(), 3);
    tcp.receives(syn_ack().seq(300).ack(101)); // an old duplicate of the handshake
    tcp.sends(ack().seq(101).ack(301));
    tcp.is_in(State::Established);
}

/// RFC 9293 §3.5.1: the peer has lost its memory and opens anew; the challenge makes it reset.
#[test]
fn a_half_open_peer_is_found_out() {
    let mut tcp = Exchange::established(plain());
    tcp.receives(syn().seq(9_000));
    tcp.sends(ack().seq(101).ack(301));
    tcp.receives(rst().seq(301)); // it takes its number from our ACK
    assert_eq!(tcp.read(), Err(Error::Reset));
}

#[test]
fn challenges_are_limited_by_connection() {
    let mut tcp = Exchange::established(plain());
    for n in 0..12 {
        tcp.receives(rst().seq(302));
        if n < 10 {
            tcp.sends(ack().seq(101).ack(301));
        } else {
            tcp.sends_nothing();
        }
    }
    assert_eq!(tcp.counters().challenge_ack_skipped.get(), 2);
    // another connection has a limit of its own
    let first = tcp.remote;
    tcp.remote.set_port(40_001);
    tcp.next_incarnation();
    tcp.handshake();
    tcp.receives(rst().seq(302));
    tcp.sends(ack().seq(101).ack(301));
    // and so has another second
    tcp.at(1_000);
    tcp.receives(rst().seq(302));
    tcp.sends(ack().seq(101).ack(301));
    assert_ne!(tcp.remote, first);
}

#[test]
fn an_ack_of_what_was_never_sent() {
    let mut tcp = Exchange::established(plain());
    tcp.receives(data("evil").seq(301).ack(102));
    tcp.sends(ack().seq(101).ack(301));
    assert_eq!(tcp.read(), Err(Error::WouldBlock));
    tcp.receives(data("evil").seq(301).ack(101_u32.wrapping_sub(64_001))); // older than any window (RFC 5961 §5.2)
    tcp.sends(ack().seq(101).ack(301));
    assert_eq!(tcp.read(), Err(Error::WouldBlock));
    assert_eq!(tcp.counters().invalid_ack.get(), 2);
}

#[test]
fn a_wrong_ack_in_syn_received_is_reset() {
    let mut tcp = Exchange::listening(plain());
    tcp.receives(syn().seq(300));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.receives(ack().seq(301).ack(7_777));
    tcp.sends(rst().seq(7_777));
    tcp.receives(ack().seq(301).ack(101));
    tcp.accepts();
}

#[test]
fn old_segments_are_acknowledged_again() {
    let mut tcp = Exchange::established(plain());
    tcp.receives(data("hello").seq(301).ack(101));
    tcp.sends(ack().seq(101).ack(306));
    tcp.receives(data("hello").seq(301).ack(101));
    tcp.sends(ack().seq(101).ack(306));
    tcp.reads("hello");
    assert_eq!(tcp.read(), Err(Error::WouldBlock));
}

#[test]
fn data_without_an_ack_is_dropped() {
    let mut tcp = Exchange::established(plain());
    tcp.receives(segment::seg(lastack::wire::tcp::Flags::PSH).seq(301));
    tcp.sends_nothing();
    tcp.is_in(State::Established);
}

fn with_timestamps() -> Config {
    let mut config = plain();
    config.tcp.timestamps = true;
    config
}

#[test]
fn paws() {
    let mut tcp = Exchange::listening(with_timestamps());
    tcp.receives(syn().seq(300).ts(5_000));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.receives(ack().seq(301).ack(101).ts(5_001));
    tcp.accepts();
    tcp.receives(data("old").seq(301).ack(101).ts(5_000));
    tcp.sends(ack().seq(101).ack(301));
    tcp.receives(data("none").seq(301).ack(101)); // RFC 7323 §3.2
    tcp.sends_nothing();
    assert_eq!(tcp.read(), Err(Error::WouldBlock));
    let counters = tcp.counters();
    assert_eq!((counters.paws_rejected.get(), counters.missing_timestamp.get()), (1, 1));
    tcp.receives(data("new").seq(301).ack(101).ts(5_001));
    tcp.sends(ack().seq(101).ack(304));
    tcp.reads("new");
    tcp.receives(rst().seq(304)); // a RST needs no timestamp
    assert_eq!(tcp.read(), Err(Error::Reset));
}

/// RFC 9293 §3.10.7.1.
#[test]
fn strays_are_reset() {
    let mut tcp = Exchange::new(plain());
    tcp.receives(syn().seq(300));
    tcp.sends(rst_ack().seq(0).ack(301));
    tcp.receives(ack().seq(300).ack(777));
    tcp.sends(rst().seq(777));
    tcp.receives(fin().seq(300).ack(777));
    tcp.sends(rst().seq(777));
    tcp.receives(segment::seg(fin().flags.without(ack().flags)).seq(300)); // FIN alone
    tcp.sends(rst_ack().seq(0).ack(301));
    tcp.receives(rst().seq(300)); // never a RST for a RST
    tcp.receives(rst_ack().seq(300).ack(777));
    tcp.sends_nothing();
    assert_eq!(tcp.counters().out_rsts.get(), 4);
}

/// RFC 9293 §3.10.7.2.
#[test]
fn a_listener_takes_nothing_but_syns() {
    let mut tcp = Exchange::listening(plain());
    tcp.receives(ack().seq(300).ack(777));
    tcp.sends(rst().seq(777));
    tcp.receives(syn_ack().seq(300).ack(777));
    tcp.sends(rst().seq(777));
    tcp.receives(rst().seq(300));
    tcp.receives(segment::seg(fin().flags.without(ack().flags)).seq(300));
    tcp.sends_nothing();
    tcp.only_time_wait(0);
}

#[test]
fn rst_in_syn_received_ends_the_attempt_in_silence() {
    let mut tcp = Exchange::listening(plain());
    tcp.receives(syn().seq(300));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.receives(rst().seq(301));
    tcp.only_time_wait(0);
    assert_eq!(tcp.engine.acceptable(tcp.listener.unwrap()), 0);
}
