//! Segments that lack the timestamp that was agreed on: RFC 7323 §3.2 has them dropped, which is counted in
//! each state; `tolerate_missing_timestamps` takes them.

use crate::segment::Seg;
use crate::*;
use lastack::engine::{Config, Error};
use lastack::tcp::State;

fn with_timestamps(tolerate: bool) -> Config {
    let mut config = plain();
    config.tcp.timestamps = true;
    config.tcp.tolerate_missing_timestamps = tolerate;
    config
}

/// A half-open connection, ours at 100 and theirs at 300, timestamp 5000.
fn asked(tolerate: bool) -> Exchange {
    let mut tcp = Exchange::listening(with_timestamps(tolerate));
    tcp.receives(syn().seq(300).ts(5_000));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp
}

fn missing(tcp: &Exchange) -> u64 {
    tcp.counters().missing_timestamp.get()
}

/// What our next segment echoes.
fn echoed(tcp: &mut Exchange) -> u32 {
    let sent = tcp.sent_segment(String::new);
    sent.options.unwrap().timestamps.expect("we send timestamps").echo
}

#[test]
fn in_syn_received_they_are_dropped_and_counted() {
    let mut tcp = asked(false);
    tcp.receives(ack().seq(301).ack(101));
    tcp.receives(data("early").seq(301).ack(101));
    tcp.receives(fin().seq(301).ack(101));
    tcp.sends_nothing();
    assert_eq!((missing(&tcp), tcp.engine.connections()), (3, 0));
    tcp.receives(data("early").seq(301).ack(101).ts(5_001));
    tcp.accepts();
    tcp.reads("early");
    assert_eq!(echoed(&mut tcp), 5_001);
}

#[test]
fn in_syn_received_they_complete_the_handshake_if_tolerated() {
    for segment in [ack().seq(301).ack(101), data("early").seq(301).ack(101)] {
        let mut tcp = asked(true);
        tcp.receives(ack().seq(301).ack(101).ts(4_999)); // PAWS is what it was
        tcp.sends(ack().seq(101).ack(301));
        let text = segment.payload.clone();
        tcp.receives(segment);
        tcp.accepts();
        if !text.is_empty() {
            tcp.reads(&text);
            assert_eq!(echoed(&mut tcp), 5_000);
        }
        assert_eq!(missing(&tcp), 0);
    }
}

/// A simultaneous open is in SYN-RECEIVED with a block of its own.
#[test]
fn in_a_simultaneous_open() {
    for tolerate in [false, true] {
        let mut tcp = Exchange::new(with_timestamps(tolerate));
        tcp.connect();
        tcp.sends(syn().seq(100));
        tcp.receives(syn().seq(300).ts(5_000));
        tcp.sends(syn_ack().seq(100).ack(301));
        tcp.receives(ack().seq(301).ack(101));
        tcp.sends_nothing();
        tcp.is_in(if tolerate { State::Established } else { State::SynReceived });
        assert_eq!(missing(&tcp), u64::from(!tolerate));
    }
}

#[test]
fn in_established() {
    for tolerate in [false, true] {
        let mut tcp = asked(tolerate);
        tcp.receives(ack().seq(301).ack(101).ts(5_001));
        tcp.accepts();
        tcp.write("ours");
        assert_eq!(echoed(&mut tcp), 5_001);
        tcp.receives(data("one").seq(301).ack(105));
        if !tolerate {
            tcp.sends_nothing();
            assert_eq!((missing(&tcp), tcp.read()), (1, Err(Error::WouldBlock)));
            continue;
        }
        // taken, ACK and text; TS.Recent stays, and PAWS still sees old duplicates
        tcp.reads("one");
        assert_eq!(echoed(&mut tcp), 5_001);
        assert_eq!(tcp.engine.info(tcp.conn()).unwrap().unacked, 0);
        tcp.receives(data("old").seq(304).ack(105).ts(5_000));
        assert_eq!((echoed(&mut tcp), tcp.counters().paws_rejected.get()), (5_001, 1));
        tcp.receives(data("two").seq(304).ack(105).ts(5_002));
        tcp.reads("two");
        assert_eq!((echoed(&mut tcp), missing(&tcp)), (5_002, 0));
    }
}

/// In TIME-WAIT: a FIN that comes again, and text in the window. A RST needs no timestamp, a SYN is
/// judged by RFC 6191.
#[test]
fn in_time_wait() {
    for tolerate in [false, true] {
        let mut tcp = asked(tolerate);
        tcp.receives(ack().seq(301).ack(101).ts(5_001));
        tcp.accepts();
        tcp.close();
        tcp.sends(fin().seq(101).ack(301));
        tcp.receives(fin().seq(301).ack(102).ts(5_003));
        tcp.sends(ack().seq(102).ack(302));
        let again: [Seg; 2] = [fin().seq(301).ack(102), data("x").seq(302).ack(102)];
        for segment in again {
            tcp.receives(segment);
            if tolerate {
                assert_eq!(echoed(&mut tcp), 5_003);
            }
        }
        tcp.receives(rst().seq(302));
        tcp.sends_nothing();
        let counters = tcp.counters();
        let restarted = counters.tw_restarted.get();
        assert_eq!((missing(&tcp), restarted), if tolerate { (0, 2) } else { (2, 0) });
        assert_eq!(counters.tw_rst_ignored.get(), 1);
        tcp.receives(syn().seq(10));
        tcp.sends(ack().seq(102).ack(302));
        tcp.receives(syn().seq(302));
        tcp.next_incarnation();
        tcp.sends(syn_ack().seq(100).ack(303));
    }
}
