//! Closing: RFC 9293 §3.6.

use crate::*;
use lastack::engine::{Closing, Error};
use lastack::tcp::State;

/// RFC 9293 figure 12, the left side.
#[test]
fn active_close() {
    let mut tcp = Exchange::established(plain());
    tcp.shutdown();
    tcp.sends(fin().seq(101).ack(301));
    tcp.is_in(State::FinWait1);
    tcp.receives(ack().seq(301).ack(102));
    tcp.is_in(State::FinWait2);
    tcp.receives(fin().seq(301).ack(102));
    tcp.sends(ack().seq(102).ack(302));
    tcp.reads_eof();
    tcp.is_in(State::TimeWait);
    assert_eq!(tcp.close(), Closing::Done);
    tcp.only_time_wait(1);
}

/// The peer's FIN acknowledges ours: no FIN-WAIT-2 on the way.
#[test]
fn active_close_with_one_answer() {
    let mut tcp = Exchange::established(plain());
    tcp.close();
    tcp.sends(fin().seq(101).ack(301));
    tcp.receives(fin().seq(301).ack(102));
    tcp.sends(ack().seq(102).ack(302));
    tcp.only_time_wait(1);
}

/// RFC 9293 figure 12, the right side.
#[test]
fn passive_close() {
    let mut tcp = Exchange::established(plain());
    tcp.receives(fin().seq(301).ack(101));
    tcp.sends(ack().seq(101).ack(302));
    tcp.is_in(State::CloseWait);
    tcp.reads_eof();
    tcp.shutdown();
    tcp.sends(fin().seq(101).ack(302));
    tcp.is_in(State::LastAck);
    tcp.receives(ack().seq(302).ack(102));
    tcp.close();
    tcp.only_time_wait(0); // the passive closer does not wait
}

/// RFC 9293 figure 13.
#[test]
fn simultaneous_close() {
    let mut tcp = Exchange::established(plain());
    tcp.shutdown();
    tcp.sends(fin().seq(101).ack(301));
    tcp.receives(fin().seq(301).ack(101)); // theirs crossed ours
    tcp.sends(ack().seq(102).ack(302));
    tcp.is_in(State::Closing);
    tcp.receives(ack().seq(302).ack(102));
    tcp.is_in(State::TimeWait);
    tcp.close();
    tcp.only_time_wait(1);
}

/// After our FIN the peer goes on for as long as it likes.
#[test]
fn half_close_of_ours() {
    at_any_rhythm(|rhythm| {
        let mut tcp = Exchange::established(plain()).in_rhythm(rhythm);
        tcp.write("request");
        tcp.shutdown();
        tcp.sends(data("request").seq(101).ack(301).with(fin().flags));
        tcp.receives(ack().seq(301).ack(109));
        tcp.is_in(State::FinWait2);
        let conn = tcp.conn();
        assert_eq!(tcp.engine.write(conn, b"more"), Err(Error::BrokenPipe));
        assert_eq!(tcp.engine.shutdown(conn), Err(Error::BrokenPipe));
        tcp.at(3_600_000); // an owner may wait: no time-out of FIN-WAIT-2
        for n in 0..3 {
            tcp.receives(data("answer").seq(301 + 6 * n).ack(109));
            tcp.sends(ack().seq(109).ack(307 + 6 * n));
            tcp.reads("answer");
        }
        tcp.receives(fin().seq(319).ack(109));
        tcp.sends(ack().seq(109).ack(320));
        tcp.reads_eof();
        tcp.close();
        tcp.only_time_wait(1);
    });
}

/// After the peer's FIN we go on for as long as we like.
#[test]
fn half_close_of_theirs() {
    let mut tcp = Exchange::established(plain());
    tcp.receives(data("request").seq(301).ack(101).with(fin().flags));
    tcp.sends(ack().seq(101).ack(309));
    tcp.reads("request");
    tcp.reads_eof();
    tcp.at(3_600_000);
    for n in 0..3 {
        tcp.write("answer");
        tcp.sends(data("answer").seq(101 + 6 * n).ack(309));
        tcp.receives(ack().seq(309).ack(107 + 6 * n));
    }
    tcp.is_in(State::CloseWait);
    tcp.close();
    tcp.sends(fin().seq(119).ack(309));
    tcp.receives(ack().seq(309).ack(120));
    tcp.only_time_wait(0);
}

/// A close that comes before the handshake is over.
#[test]
fn close_in_syn_received_waits_for_the_handshake() {
    let mut tcp = Exchange::new(plain());
    tcp.connect();
    tcp.sends(syn().seq(100));
    tcp.receives(syn().seq(300));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.close();
    tcp.sends_nothing();
    tcp.receives(syn_ack().seq(300).ack(101));
    tcp.sends(fin().seq(101).ack(301));
    tcp.receives(fin().seq(301).ack(102));
    tcp.sends(ack().seq(102).ack(302));
    tcp.only_time_wait(1);
}

#[test]
fn close_in_syn_sent_ends_the_attempt() {
    let mut tcp = Exchange::new(plain());
    tcp.connect();
    tcp.sends(syn().seq(100));
    tcp.close();
    tcp.sends_nothing();
    tcp.at(0); // the next poll lets go of it
    tcp.only_time_wait(0);
    tcp.receives(syn_ack().seq(300).ack(101)); // too late
    tcp.sends(rst().seq(101));
}

#[test]
fn fin_wait_2_without_an_owner_times_out() {
    at_any_rhythm(|rhythm| {
        let mut tcp = Exchange::established(plain()).in_rhythm(rhythm);
        tcp.close();
        tcp.sends(fin().seq(101).ack(301));
        tcp.receives(ack().seq(301).ack(102));
        tcp.at(59_999);
        assert_eq!(tcp.engine.connections(), 1);
        tcp.at(60_000);
        tcp.sends(rst_ack().seq(102).ack(301));
        tcp.only_time_wait(0);
        assert_eq!(tcp.counters().fin_wait_2_timeout.get(), 1);
        tcp.receives(fin().seq(301).ack(102)); // nobody remembers
        tcp.sends(rst().seq(102));
    });
}

#[test]
fn a_fin_out_of_order_waits_for_the_gap() {
    let mut tcp = Exchange::established(plain());
    tcp.receives(fin().seq(306).ack(101));
    tcp.sends(ack().seq(101).ack(301));
    tcp.is_in(State::Established);
    tcp.receives(data("hello").seq(301).ack(101));
    tcp.sends(ack().seq(101).ack(307));
    tcp.is_in(State::CloseWait);
    tcp.reads("hello");
    tcp.reads_eof();
}
