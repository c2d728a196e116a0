//! What a RST ends, and how that is told: RFC 9293 §3.10.4 and §3.10.7.4, SO_LINGER; and what a RST of
//! ours says (RFC 7323 §3.2).

use crate::*;
use core::time::Duration;
use lastack::engine::{Closing, Error};
use lastack::tcp::{CloseReason, State};

/// The peer has closed, we have 20,000 octets for it, and its window takes 2,000.
fn closed_by_peer_with_more_to_send() -> Exchange {
    let mut tcp = Exchange::established(plain());
    tcp.receives(fin().seq(301).ack(101).win(2_000));
    tcp.sends(ack().seq(101).ack(302));
    tcp.write([b'x'; 20_000]);
    assert_eq!(tcp.sent_segments().len(), 1);
    tcp
}

/// CLOSE-WAIT lasts until the FIN is sent, so that a RST is one of a connection that had more to say.
#[test]
fn before_the_fin_is_sent() {
    let mut tcp = closed_by_peer_with_more_to_send();
    tcp.shutdown();
    tcp.is_in(State::CloseWait);
    tcp.receives(rst().seq(302));
    assert_eq!(tcp.engine.status(tcp.conn()), Err(Error::Reset));
    assert_eq!(tcp.read(), Err(Error::Reset));
    assert_eq!(tcp.counters().estab_resets.get(), 1);
}

#[test]
fn before_the_text_is_acknowledged() {
    let mut tcp = Exchange::established(plain());
    tcp.write([b'x'; 1_000]);
    tcp.shutdown();
    assert_eq!(tcp.sent_segments().len(), 1); // with the FIN
    tcp.receives(fin().seq(301).ack(101));
    tcp.sends(ack().seq(1_102).ack(302));
    tcp.is_in(State::Closing);
    tcp.receives(rst().seq(302));
    assert_eq!(tcp.engine.status(tcp.conn()), Err(Error::Reset));
    drop(tcp);
    // and in LAST-ACK, with the text and the FIN on their way
    let mut tcp = Exchange::established(plain());
    tcp.receives(fin().seq(301).ack(101));
    tcp.sends(ack().seq(101).ack(302));
    tcp.write("hello");
    tcp.shutdown();
    tcp.sends(data("hello").with(fin().flags).seq(101).ack(302));
    tcp.is_in(State::LastAck);
    tcp.receives(rst().seq(302));
    assert_eq!(tcp.engine.status(tcp.conn()), Err(Error::Reset));
}

/// All but the FIN is acknowledged: nothing was lost.
#[test]
fn when_only_the_fin_is_missing() {
    let mut tcp = Exchange::established(plain());
    tcp.receives(fin().seq(301).ack(101));
    tcp.sends(ack().seq(101).ack(302));
    tcp.write("hello");
    tcp.shutdown();
    tcp.sends(data("hello").with(fin().flags).seq(101).ack(302));
    tcp.receives(ack().seq(302).ack(106)); // the text alone
    tcp.receives(rst().seq(302));
    assert_eq!(tcp.engine.status(tcp.conn()), Err(Error::NotConnected));
    tcp.reads_eof();
    drop(tcp);
    let mut tcp = Exchange::established(plain());
    tcp.write("hello");
    tcp.shutdown();
    tcp.sends(data("hello").with(fin().flags).seq(101).ack(301));
    tcp.receives(fin().seq(301).ack(106));
    tcp.sends(ack().seq(107).ack(302));
    tcp.is_in(State::Closing);
    tcp.receives(rst().seq(302));
    assert_eq!(tcp.engine.status(tcp.conn()), Err(Error::NotConnected));
}

/// LAST-ACK begins when the FIN leaves, also if it leaves as a probe.
#[test]
fn close_wait_lasts_until_the_fin_leaves() {
    at_any_rhythm(|rhythm| {
        let mut tcp = Exchange::established(plain()).in_rhythm(rhythm);
        tcp.receives(fin().seq(301).ack(101).win(0));
        tcp.sends(ack().seq(101).ack(302));
        tcp.shutdown();
        tcp.sends_nothing();
        tcp.is_in(State::CloseWait);
        tcp.at(1_000);
        tcp.sends(fin().seq(101).ack(302));
        tcp.is_in(State::LastAck);
        tcp.receives(ack().seq(302).ack(102).win(0));
        tcp.reads_eof();
        tcp.close();
        tcp.only_time_wait(0);
    });
}

#[test]
fn a_lingering_close_is_told() {
    let linger = |tcp: &mut Exchange| {
        let conn = tcp.conn();
        tcp.engine.set_linger(conn, Some(Duration::from_secs(9))).unwrap();
    };
    let mut tcp = closed_by_peer_with_more_to_send();
    linger(&mut tcp);
    assert_eq!(tcp.close(), Closing::Pending);
    tcp.receives(rst().seq(302));
    assert!(tcp.engine.readiness(tcp.conn()).unwrap().closed);
    assert_eq!(tcp.close(), Closing::Failed(CloseReason::Reset));
    drop(tcp);
    // unread bytes make it a RST of ours
    let mut tcp = Exchange::established(plain());
    linger(&mut tcp);
    tcp.write("hello");
    tcp.sends(data("hello").seq(101).ack(301));
    tcp.receives(data("abc").seq(301).ack(101));
    tcp.sends(ack().seq(106).ack(304));
    assert_eq!(tcp.close(), Closing::Failed(CloseReason::Aborted));
    tcp.sends(rst_ack().seq(106).ack(304));
    drop(tcp);
    // the peer goes silent for too long
    let mut config = plain();
    config.tcp.user_timeout = Some(Duration::from_millis(500));
    let mut tcp = Exchange::established(config);
    linger(&mut tcp);
    tcp.write("hello");
    assert_eq!(tcp.close(), Closing::Pending);
    tcp.sends(data("hello").with(fin().flags).seq(101).ack(301));
    tcp.at(501);
    assert_eq!(tcp.close(), Closing::Failed(CloseReason::TimedOut));
}

/// RFC 7323 §3.2: a RST of a connection with timestamps has one.
#[test]
fn our_resets_have_timestamps() {
    let with = |timestamps: bool| {
        let mut config = plain();
        config.tcp.timestamps = timestamps;
        let mut tcp = Exchange::listening(config);
        tcp.receives(syn().seq(300).mss(1_460).ts(5_000));
        tcp.sends(syn_ack().seq(100).ack(301));
        tcp
    };
    let echo = |tcp: &mut Exchange| {
        let sent = tcp.sent_segment(|| "a RST".to_owned());
        assert!(sent.flags.rst());
        sent.options.and_then(|options| options.timestamps).map(|ts| ts.echo)
    };
    for (timestamps, expected) in [(true, Some(5_001)), (false, None)] {
        let established = || {
            let mut tcp = with(timestamps);
            tcp.receives(ack().seq(301).ack(101).ts(5_001));
            tcp.accepts();
            tcp
        };
        let mut tcp = established();
        let conn = tcp.conn();
        tcp.engine.abort(conn).unwrap();
        assert_eq!(echo(&mut tcp), expected, "an abort");
        drop(tcp);
        let mut tcp = established(); // data after a close
        tcp.close();
        tcp.sends(fin().seq(101).ack(301));
        tcp.receives(data("abc").seq(301).ack(101).ts(5_001));
        assert_eq!(echo(&mut tcp), expected, "data after a close");
        drop(tcp);
        let mut tcp = with(timestamps); // a wrong ACK in SYN-RECEIVED
        tcp.receives(ack().seq(301).ack(7_777).ts(5_001));
        assert_eq!(echo(&mut tcp), expected.map(|_| 5_000), "SYN-RECEIVED");
    }
}
